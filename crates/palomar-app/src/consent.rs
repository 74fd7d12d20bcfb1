//! Who wants no more messages: the words by which people say so, and what follows from it.
//!
//! Whoever opted out gets nothing, until they take it back or write again: then they may be answered, and campaigns leave
//! them out still. Whoever is blocked or on the list by a person's word gets nothing at all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use palomar_model::{
    ChannelEvent, ChannelName, ErrorClass, InboundContent, InboundMessage, MessageId, Recipient,
    ReportedStatus, SendFailure, Sender, Status, Tag, Wish, keyword,
};
use palomar_records::{Records, RecordsError, Suppression, SuppressionReason};

use crate::event::AppEvent;
use crate::submit::Prepared;
use crate::{App, AppError};

/// After somebody wrote, free text may be sent for so long: the end of that tells when they wrote.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The words by which people say that they want no more messages, or want them again: a whole message that is one of
/// them, whatever its case, accents and the punctuation around it.
#[derive(Clone, Debug, Default)]
pub struct ConsentWords {
    stop: Arc<HashSet<String>>,
    resume: Arc<HashSet<String>>,
}

impl ConsentWords {
    /// These words, a comma between two.
    #[must_use]
    pub fn new(stop: &str, resume: &str) -> ConsentWords {
        let words = |text: &str| {
            Arc::new(text.split(',').map(keyword).filter(|word| !word.is_empty()).collect::<HashSet<_>>())
        };
        ConsentWords { stop: words(stop), resume: words(resume) }
    }

    /// What a message says, where it is one of the words.
    #[must_use]
    pub fn wish(&self, text: &str) -> Option<Wish> {
        let word = keyword(text);
        if self.stop.contains(&word) {
            Some(Wish::Stop)
        } else if self.resume.contains(&word) {
            Some(Wish::Resume)
        } else {
            None
        }
    }

    /// What an event says of somebody's wish.
    pub(crate) fn of(
        &self,
        channel: &ChannelName,
        id: Option<MessageId>,
        event: &ChannelEvent,
    ) -> Option<AppEvent> {
        let (who, wish, detail, identity) = match event {
            ChannelEvent::Message(message) => {
                let text = said(message)?;
                let identity = format!("consent:{}", message.provider_id);
                (message.from.clone(), self.wish(text)?, text.to_owned(), identity)
            }
            ChannelEvent::Preference(preference) => {
                let who = preference.who.key().unwrap_or_default();
                let identity = format!("preference:{}:{}:{who}", preference.category, preference.at);
                (preference.who.clone(), preference.wish.clone(), preference.category.clone(), identity)
            }
            _ => return None,
        };
        Some(AppEvent::Consent {
            channel: channel.clone(),
            who,
            wish,
            detail: Some(detail),
            message: id,
            identity,
        })
    }
}

/// What a report of failure says of somebody's wish, where its code is one that `says_no_more`. A provider that was asked
/// for no more messages tells us so only when we send one.
pub(crate) fn of_report(
    channel: &ChannelName,
    event: &ChannelEvent,
    says_no_more: impl Fn(&str) -> bool,
) -> Option<AppEvent> {
    let ChannelEvent::Status(report) = event else { return None };
    if report.status != Status::Known(ReportedStatus::Failed) {
        return None;
    }
    let code =
        report.errors.iter().filter_map(|error| error.code.as_deref()).find(|code| says_no_more(code))?;
    let named = report.recipient.as_deref()?;
    let plus = if named.bytes().all(|c| c.is_ascii_digit()) { "+" } else { "" };
    let to = Recipient::parse(&format!("{plus}{named}"), None).ok()?;
    let message = report.tag.map(|tag| tag.message);
    Some(no_more(channel, &to, code, message, format!("refused:{}", report.provider_id)))
}

/// What the failure of an attempt says of it, where its code is one that `says_no_more`.
pub(crate) fn of_failure(
    channel: &ChannelName,
    to: &Recipient,
    tag: Tag,
    failure: &SendFailure,
    says_no_more: impl Fn(&str) -> bool,
) -> Option<AppEvent> {
    let code = failure.code.as_deref().filter(|code| says_no_more(code))?;
    Some(no_more(channel, to, code, Some(tag.message), format!("refused:{tag}")))
}

fn no_more(
    channel: &ChannelName,
    to: &Recipient,
    code: &str,
    message: Option<MessageId>,
    identity: String,
) -> AppEvent {
    let who = match to {
        Recipient::Phone(phone) => Sender { phone: Some(phone.clone()), ..Sender::default() },
        Recipient::Bsuid(bsuid) => Sender { bsuid: Some(bsuid.clone()), ..Sender::default() },
    };
    let detail = Some(format!("the provider refuses it: code {code}"));
    AppEvent::Consent { channel: channel.clone(), who, wish: Wish::Stop, detail, message, identity }
}

/// What a person said by themselves, to us alone: written, or tapped.
fn said(message: &InboundMessage) -> Option<&str> {
    let by_themselves = matches!(
        message.content,
        InboundContent::Text(_)
            | InboundContent::ButtonReply(_)
            | InboundContent::ListReply(_)
            | InboundContent::TemplateButton(_)
    );
    message.text.as_deref().filter(|_| by_themselves && message.group_id.is_none())
}

/// What stands against sending to these recipients, each with whether it is for a campaign; in the order of the question.
pub(crate) async fn suppressed(
    records: &Records,
    whom: Vec<((ChannelName, String), bool)>,
) -> Result<Vec<Option<Suppression>>, RecordsError> {
    let mut found = records.suppressed(whom.iter().map(|(whom, _)| whom.clone()).collect()).await?;
    for ((whom, of_campaign), suppression) in whom.into_iter().zip(&mut found) {
        let Some(opted_out) = suppression.as_ref().filter(|one| one.reason == SuppressionReason::OptOut)
        else {
            continue;
        };
        let since = opted_out.created_at;
        if !of_campaign
            && records.window_until(whom.0, whom.1).await?.is_some_and(|until| until > since.after(WINDOW))
        {
            // They came back and wrote: they may be answered.
            *suppression = None;
        }
    }
    Ok(found)
}

/// An attempt that is not made, because nothing is sent to the recipient.
pub(crate) fn refusal(reason: SuppressionReason) -> SendFailure {
    let title = format!("not sent: {}", reason.in_words());
    SendFailure::new(ErrorClass::Recipient, title).with_code(AppError::Suppressed(reason).code())
}

impl App {
    /// Takes messages out to whom nothing is sent; each with its place and why. Where records can't tell, the attempt
    /// asks again.
    pub(crate) async fn refuse_suppressed(
        &self,
        prepared: &mut Vec<(usize, Prepared)>,
    ) -> Vec<(usize, AppError)> {
        let whom = prepared.iter().map(|(_, ready)| (ready.whom.clone(), ready.of_campaign)).collect();
        let found = match suppressed(&self.records, whom).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "whom nothing is sent to is not known: the attempts will ask");
                return Vec::new();
            }
        };
        let mut refused = Vec::new();
        let mut found = found.into_iter();
        prepared.retain(|(place, _)| match found.next().flatten() {
            Some(suppression) => {
                refused.push((*place, AppError::Suppressed(suppression.reason)));
                false
            }
            None => true,
        });
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(status: &str, recipient: Option<&str>, code: Option<&str>) -> ChannelEvent {
        let at = palomar_model::Timestamp::EPOCH;
        let mut report = palomar_model::StatusReport::new(
            palomar_model::ProviderMessageId("w".into()),
            Status::from(status),
            at,
        );
        report.recipient = recipient.map(str::to_owned);
        report.errors.push(palomar_model::ProviderError {
            code: code.map(str::to_owned),
            title: "refused".to_owned(),
            detail: None,
            class: None,
        });
        ChannelEvent::Status(Box::new(report))
    }

    #[test]
    fn codes_that_say_it_say_it_for_somebody() {
        let channel: ChannelName = "demo".parse().expect("a name");
        let no_more = |code: &str| code == "131050";
        for (status, recipient, code, whom) in [
            ("failed", Some("34600111222"), Some("131050"), Some("+34600111222")),
            ("failed", Some("ES.918273645546372819"), Some("131050"), Some("ES.918273645546372819")),
            ("failed", Some("34600111222"), Some("131049"), None),
            ("failed", Some("34600111222"), None, None),
            ("failed", None, Some("131050"), None),
            ("failed", Some("120363000000000000@g.us"), Some("131050"), None),
            ("delivered", Some("34600111222"), Some("131050"), None),
        ] {
            let found = of_report(&channel, &reported(status, recipient, code), no_more);
            let found = found.map(|event| match event {
                AppEvent::Consent { who, wish: Wish::Stop, .. } => {
                    let bsuid = who.bsuid.map(|bsuid| bsuid.expose().to_owned());
                    who.phone.map(|phone| phone.e164().to_owned()).or(bsuid).expect("somebody")
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(found.as_deref(), whom, "{status} {recipient:?} {code:?}");
        }
    }

    #[test]
    fn whole_messages_and_no_parts() {
        let words = ConsentWords::new("stop, Baja, no más mensajes, arrêt, ,", "alta");
        for (text, wish) in [
            ("STOP", Some(Wish::Stop)),
            (" Baja. ", Some(Wish::Stop)),
            ("¡No más mensajes!", Some(Wish::Stop)),
            ("ARRET", Some(Wish::Stop)),
            ("Alta", Some(Wish::Resume)),
            ("la planta baja", None),
            ("stop it please", None),
            ("", None),
        ] {
            assert_eq!(words.wish(text), wish, "{text}");
        }
        assert_eq!(ConsentWords::default().wish("stop"), None);
    }
}
