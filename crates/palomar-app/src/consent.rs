//! Who wants no more messages: the words by which people say so, and what follows from it.
//!
//! Whoever opted out gets nothing, until they take it back or write again: then they may be answered, and campaigns leave
//! them out still. Whoever is blocked or on the list by a person's word gets nothing at all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use palomar_model::{
    ChannelEvent, ChannelName, ErrorClass, InboundContent, InboundMessage, MessageId, SendFailure, Wish,
    keyword,
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
