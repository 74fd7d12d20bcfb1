//! Where a campaign that begins finds its contacts, beside those who were given: the contacts that its audiences mean, and
//! the failed of another campaign. Read a page at a time.
//!
//! Always: of another campaign's failed only those are meant of whom it is known that they got nothing, unless somebody said
//! that those in doubt are meant too; and nobody who got a message of an earlier campaign for the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use palomar_model::{MessageId, MessageState, OnUncertain, Timestamp};
use palomar_records::{CampaignRecipient, MessageEnd, NewRecipient, Whom};
use serde::{Deserialize, Serialize};

use super::contacts::{self, AudienceInput};
use super::definition::Definition;
use super::orders::definition_of;
use super::results::{message_of, read_cursor, write_cursor};
use crate::{App, AppError};

/// Records get so long to have all that was logged, before it is looked who failed.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Whose failed ones a campaign goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resend {
    /// The campaign.
    pub campaign: String,
    /// Those too of whom it is not known whether they got it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
}

/// Where contacts come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'d> {
    /// Contacts by what is known of them.
    Audience(&'d AudienceInput),
    /// The failed of another campaign.
    Failed(&'d Resend),
}

/// The same, ready to be read.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Contacts(Whom),
    Failed(Failed),
}

/// The failed of a campaign.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    campaign: u64,
    /// Of whose messages those in doubt are meant too, in these states.
    doubtful: Doubtful,
    /// The campaigns that went to the same before.
    earlier: Vec<u64>,
}

/// Which messages in doubt are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubtful {
    /// None.
    No,
    /// Those that were given up.
    GivenUp,
    /// Those too that are uncertain and stay so: nobody tries them again.
    All,
}

/// Some of the contacts.
pub(super) struct SourcePage {
    pub(super) contacts: Vec<NewRecipient>,
    /// After whom it goes on; none at the end.
    pub(super) next: Option<String>,
}

impl Definition {
    /// Where its contacts come from that were not given.
    pub(super) fn wanted(&self) -> Vec<Wanted<'_>> {
        let audiences = self.audiences.iter().map(Wanted::Audience);
        audiences.chain(self.resend.iter().map(Wanted::Failed)).collect()
    }

    /// Whether all its contacts were given.
    pub(super) fn knows_all(&self) -> bool {
        self.audiences.is_empty() && self.resend.is_none()
    }
}

impl Source {
    /// Looks up what is wanted.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for what is no more: a segment, a campaign.
    pub(super) async fn of(app: &App, wanted: Wanted<'_>) -> Result<Source, AppError> {
        match wanted {
            Wanted::Audience(audience) => Ok(Source::Contacts(audience.whom(&app.records).await?)),
            Wanted::Failed(resend) => Ok(Source::Failed(Failed::of(app, resend).await?)),
        }
    }

    /// How many contacts these are about.
    pub(super) async fn count(app: &App, wanted: Wanted<'_>) -> Result<u64, AppError> {
        match wanted {
            Wanted::Audience(audience) => audience.count(&app.records, app.now()).await,
            Wanted::Failed(resend) => {
                let progress = app.records.campaign_progress(&resend.campaign).await?.ok_or_else(no_more)?;
                let in_doubt = if resend.uncertain { progress.counts.with("uncertain") } else { 0 };
                Ok(progress.counts.with("failed") + in_doubt)
            }
        }
    }

    /// Up to so many contacts after somebody: fewer, or none, need not be the last.
    pub(super) async fn page(
        &self,
        app: &App,
        definition: &Definition,
        after: Option<String>,
        limit: usize,
        as_of: Timestamp,
    ) -> Result<SourcePage, AppError> {
        match self {
            Source::Contacts(whom) => {
                let page = app.records.audience(whom.clone(), after, limit, as_of).await?;
                let found = page.contacts.into_iter();
                let contacts = found.map(|contact| contacts::of_audience(contact, definition)).collect();
                Ok(SourcePage { contacts, next: page.next })
            }
            Source::Failed(failed) => failed.page(app, definition, after, limit).await,
        }
    }
}

impl Failed {
    async fn of(app: &App, resend: &Resend) -> Result<Failed, AppError> {
        let campaign = app.records.campaign(&resend.campaign).await?.ok_or_else(no_more)?;
        let policy = definition_of(&campaign)?.on_uncertain;
        let policy = policy.or_else(|| Some(app.registry.get(&campaign.channel)?.on_uncertain));
        let doubtful = match (resend.uncertain, policy) {
            (false, _) => Doubtful::No,
            (true, Some(OnUncertain::Retry)) => Doubtful::GivenUp,
            (true, _) => Doubtful::All,
        };
        let earlier = app.records.resends(campaign.number).await?.into_iter().map(|one| one.number);
        Ok(Failed { campaign: campaign.number, doubtful, earlier: earlier.collect() })
    }

    async fn page(
        &self,
        app: &App,
        definition: &Definition,
        after: Option<String>,
        limit: usize,
    ) -> Result<SourcePage, AppError> {
        if after.is_none() {
            app.caught_up(CATCH_UP).await?;
        }
        let after = after.as_deref().map(read_cursor).transpose()?;
        let mut found = app.records.campaign_recipients(self.campaign, after, limit).await?;
        let next = found.last().filter(|_| found.len() == limit).map(write_cursor);
        found.retain(|one| one.left_out.is_none());
        let ends = self.ends(app, self.campaign, &found).await?;
        found.retain(|one| {
            let end = ends.get(&message_of(self.campaign, one));
            end.is_some_and(|end| failed(end, self.doubtful))
        });
        let reached = self.reached(app, &found).await?;
        let key = |one: &CampaignRecipient| (one.lane, one.place);
        found.retain(|one| !reached.contains(&key(one)));
        let contacts = found.into_iter().map(|one| contacts::again(one, definition)).collect();
        Ok(SourcePage { contacts, next })
    }

    /// Where these recipients' messages of a campaign stand.
    async fn ends(
        &self,
        app: &App,
        campaign: u64,
        recipients: &[CampaignRecipient],
    ) -> Result<BTreeMap<MessageId, MessageEnd>, AppError> {
        let ids = recipients.iter().map(|one| message_of(campaign, one)).collect();
        let ends = app.records.message_ends(ids).await?;
        Ok(ends.into_iter().map(|end| (end.id, end)).collect())
    }

    /// Those of these recipients who got, or may get, a message of an earlier campaign for the same.
    async fn reached(
        &self,
        app: &App,
        recipients: &[CampaignRecipient],
    ) -> Result<BTreeSet<(u32, u64)>, AppError> {
        let mut reached = BTreeSet::new();
        for earlier in &self.earlier {
            let ends = self.ends(app, *earlier, recipients).await?;
            for one in recipients {
                let end = ends.get(&message_of(*earlier, one));
                let called_off = [MessageState::Cancelled, MessageState::Expired];
                if end.is_some_and(|end| end.doubted || !called_off.contains(&end.state)) {
                    reached.insert((one.lane, one.place));
                }
            }
        }
        Ok(reached)
    }
}

/// Whether a message failed, so that its recipient got nothing; or may have got it, where those in doubt are meant too.
fn failed(end: &MessageEnd, doubtful: Doubtful) -> bool {
    // Given up without an answer: by the policy for uncertain messages, or because whoever sent it broke down. Or one attempt had
    // no answer, and a later one was refused.
    let given_up =
        end.reason.as_deref().is_some_and(|why| why == "uncertain" || why.starts_with("poison: its handler"));
    match end.state {
        MessageState::Failed => !(given_up || end.doubted) || doubtful != Doubtful::No,
        MessageState::Uncertain => doubtful == Doubtful::All,
        _ => false,
    }
}

fn no_more() -> AppError {
    AppError::invalid("", "the campaign whose failed ones it goes to is no more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_in_doubt_are_meant_where_somebody_said_so() {
        let end = |state, reason: &str, doubted| MessageEnd {
            id: MessageId(uuid::Uuid::nil()),
            state,
            reason: Some(reason.to_owned()),
            doubted,
        };
        use MessageState as State;
        for (state, reason, doubted, expected) in [
            (State::Failed, "not on WhatsApp", false, [true, true, true]),
            (State::Failed, "not on WhatsApp", true, [false, true, true]),
            (State::Failed, "uncertain", false, [false, true, true]),
            (State::Failed, "poison: its handler panicked three times", false, [false, true, true]),
            (State::Uncertain, "no answer", true, [false, false, true]),
            (State::Sent, "", true, [false; 3]),
            (State::Delivered, "", false, [false; 3]),
            (State::Queued, "", true, [false; 3]),
            (State::Cancelled, "", true, [false; 3]),
        ] {
            let doubts = [Doubtful::No, Doubtful::GivenUp, Doubtful::All];
            let found = doubts.map(|doubt| failed(&end(state, reason, doubted), doubt));
            assert_eq!(found, expected, "{state} {reason} {doubted}");
        }
    }
}
