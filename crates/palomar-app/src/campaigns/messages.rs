//! The messages of a campaign: whom one is made for, what it says to them, when it is due; or why there is none. What feeds
//! batches and what shows them beforehand both make them here.

use std::time::Duration;

use palomar_broker::{Dedupe, NewJob};
use palomar_model::template::RenderError;
use palomar_model::{
    CampaignPlace, Content, HoursThere, MessageId, Outbound, Recipient, Timestamp, ZoneName,
};
use palomar_records::{CampaignRecipient, CampaignRecord, Records};

use super::definition::Definition;
use super::follow_up::FollowUp;
use super::words::{Form, NotCompleted};
use super::{lots, pace::Pace, zones};
use crate::channels::Line;
use crate::submit::job_of;
use crate::{AppError, consent};

/// What is known of a recipient beside what the campaign says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Nothing is sent to them.
    suppressed: bool,
    /// Until when free text may be sent to them; none where it may not.
    window_until: Option<Timestamp>,
}

impl Facts {
    /// Those under which nobody is left out who was not before.
    pub(super) const fn as_before(self) -> Facts {
        Facts { suppressed: false, window_until: Some(Timestamp::MAX) }
    }
}

/// What stands for or against sending to each of these.
pub(super) async fn facts(
    records: &Records,
    line: &Line,
    definition: &Definition,
    recipients: &[CampaignRecipient],
) -> Result<Vec<Facts>, AppError> {
    let key = |one: &CampaignRecipient| {
        Recipient::parse(&one.recipient, None).map_or_else(|_| one.recipient.clone(), |to| to.key())
    };
    let whom = || recipients.iter().map(|one| (line.name.clone(), key(one)));
    let suppressed = consent::suppressed(records, whom().map(|whom| (whom, true)).collect()).await?;
    let asks_for_windows = line.limits.budget.is_some() || definition.keeps_to_windows(line.provider);
    let windows = if asks_for_windows {
        records.windows_until(whom().collect()).await?
    } else {
        vec![None; recipients.len()]
    };
    let facts = suppressed.iter().zip(windows);
    Ok(facts.map(|(found, window_until)| Facts { suppressed: found.is_some(), window_until }).collect())
}

/// Why somebody gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LeftOut {
    /// They are on the suppression list, or asked for no more.
    Suppressed,
    /// They are among those who get nothing, to be compared with.
    HeldOut,
    /// Nothing is known of them where the text needs it.
    MissingVariable,
    /// What the text becomes for them can't be sent.
    NotSendable,
    /// They did not write in the last 24 hours.
    OutsideWindow,
    /// Their number is none.
    InvalidNumber,
    /// There is no time at which they may be written to.
    NoHours,
}

impl LeftOut {
    /// The word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            LeftOut::Suppressed => "suppressed",
            LeftOut::HeldOut => "held_out",
            LeftOut::MissingVariable => "missing_variable",
            LeftOut::NotSendable => "not_sendable",
            LeftOut::OutsideWindow => "outside_window",
            LeftOut::InvalidNumber => "invalid_number",
            LeftOut::NoHours => "no_hours",
        }
    }
}

/// What all messages of a batch have in common.
pub(super) struct Drafts<'w> {
    campaign: &'w CampaignRecord,
    definition: &'w Definition,
    line: &'w Line,
    forms: Vec<Form>,
    fallback: Option<Form>,
    weights: Vec<u32>,
    zones: Vec<ZoneName>,
    pace: Pace,
    /// Recipients who were queued before.
    before: u64,
    step: u32,
    now: Timestamp,
}

impl<'w> Drafts<'w> {
    /// Of recipients who may be in these zones, before whom so many others were queued, of so many in all.
    pub(super) fn new(
        campaign: &'w CampaignRecord,
        definition: &'w Definition,
        line: &'w Line,
        zones: &str,
        (before, all): (u64, u64),
        now: Timestamp,
    ) -> Result<Drafts<'w>, String> {
        let own = zones::read(zones);
        Ok(Drafts {
            forms: definition.forms().map_err(|error| error.to_string())?,
            fallback: definition.fallback_form().map_err(|error| error.to_string())?,
            weights: definition.variants.iter().map(|variant| variant.weight).collect(),
            zones: if own.is_empty() { vec![definition.zone.clone()] } else { own },
            pace: pace(campaign, definition, all, now),
            campaign,
            definition,
            line,
            before,
            step: lots::FIRST_STEP,
            now,
        })
    }

    /// Those of a step after the first, which go at once.
    pub(super) fn of_step(self, step: u32, follow: &FollowUp) -> Result<Drafts<'w>, String> {
        let form = Form::read(&follow.says.kind, &follow.says.content).map_err(|error| error.to_string())?;
        let pace = Pace { spread: None, ..self.pace };
        Ok(Drafts { forms: vec![form], weights: vec![1], pace, step, ..self })
    }

    /// The id of somebody's message.
    pub(super) fn id(&self, recipient: &CampaignRecipient) -> MessageId {
        let key = Recipient::parse(&recipient.recipient, None).map(|to| to.key());
        lots::message_id(self.campaign.number, self.step, &key.unwrap_or_default())
    }

    /// The message for the n-th of these recipients, or why they get none.
    pub(super) fn message(
        &self,
        recipient: &CampaignRecipient,
        facts: &Facts,
        n: u64,
    ) -> Result<Outbound, LeftOut> {
        let to = Recipient::parse(&recipient.recipient, None).map_err(|_| LeftOut::InvalidNumber)?;
        let (number, key) = (self.campaign.number, to.key());
        if facts.suppressed {
            return Err(LeftOut::Suppressed);
        }
        if lots::held_out(number, self.definition.hold_out, &key) {
            return Err(LeftOut::HeldOut);
        }
        let variant = lots::variant(number, &self.weights, &key);
        let (content, fallback) = self.content(variant, recipient)?;
        self.check(&to, &content, fallback.is_some(), facts)?;
        let due = self.due(n)?;
        let hours = self.definition.hours.as_ref();
        Ok(Outbound {
            id: lots::message_id(number, self.step, &key),
            channel: self.campaign.channel.clone(),
            to,
            content,
            priority: self.definition.priority,
            scheduled_at: due.filter(|due| *due > self.now),
            expires_at: None,
            campaign_id: Some(self.campaign.id.clone()),
            campaign_place: Some(CampaignPlace {
                campaign: number,
                step: self.step,
                variant: u32::try_from(variant).unwrap_or(0),
            }),
            hours: hours
                .map(|hours| Box::new(HoursThere { hours: hours.clone(), zones: self.zones.clone() })),
            reply_to: None,
            fallback,
            on_uncertain: self.definition.on_uncertain,
            metadata: self.definition.metadata.clone(),
            accepted_at: self.now,
        })
    }

    fn content(
        &self,
        variant: usize,
        recipient: &CampaignRecipient,
    ) -> Result<(Content, Option<Box<palomar_model::Template>>), LeftOut> {
        let left_out = |error: NotCompleted| match error {
            NotCompleted::Words(RenderError::Missing(_)) => LeftOut::MissingVariable,
            NotCompleted::Words(RenderError::TooLong) | NotCompleted::NotSendable(_) => LeftOut::NotSendable,
        };
        let form = self.forms.get(variant).ok_or(LeftOut::NotSendable)?;
        let content = form.complete(&recipient.fields).map_err(left_out)?;
        let fallback = self.fallback.as_ref().map(|form| form.complete(&recipient.fields));
        Ok(match fallback.transpose().map_err(left_out)? {
            Some(Content::Template(template)) => (content, Some(template)),
            _ => (content, None),
        })
    }

    fn check(
        &self,
        to: &Recipient,
        content: &Content,
        has_fallback: bool,
        facts: &Facts,
    ) -> Result<(), LeftOut> {
        if !self.line.channel.validate(to, content).is_empty() {
            return Err(LeftOut::NotSendable);
        }
        let asks = self.definition.keeps_to_windows(self.line.provider);
        let free = !matches!(content, Content::Template(_)) && !has_fallback;
        if asks && free && facts.window_until.is_none_or(|until| until <= self.now) {
            return Err(LeftOut::OutsideWindow);
        }
        Ok(())
    }

    /// When the n-th is due; none where at once.
    fn due(&self, n: u64) -> Result<Option<Timestamp>, LeftOut> {
        let due = self.pace.due(self.before + n);
        let Some(hours) = &self.definition.hours else { return Ok(due) };
        let at = due.map_or(self.now, |due| due.max(self.now));
        hours.next(at, &self.zones).map(Some).ok_or(LeftOut::NoHours)
    }

    /// The job that sends a message through a line; its id is remembered for so long.
    pub(super) fn job(
        &self,
        message: &Outbound,
        line: &Line,
        facts: &Facts,
        remembered: Duration,
    ) -> serde_json::Result<NewJob> {
        let mut job = job_of(message, line, 0, None)?;
        let goes = message.scheduled_at.unwrap_or(self.now);
        job.spends_budget = facts.window_until.is_none_or(|until| until <= goes);
        job.dedupe = vec![Dedupe { id: message.id.0.as_u128(), fingerprint: 0, ttl: remembered }];
        Ok(job)
    }
}

/// How fast a campaign goes beside its channel's limits, to so many recipients in all.
pub(super) fn pace(
    campaign: &CampaignRecord,
    definition: &Definition,
    recipients: u64,
    now: Timestamp,
) -> Pace {
    Pace {
        started_at: campaign.started_at.unwrap_or(now).after(campaign.held),
        recipients,
        spread: definition.spread_seconds.map(Duration::from_secs),
    }
}
