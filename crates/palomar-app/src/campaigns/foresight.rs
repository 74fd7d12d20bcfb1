//! When a campaign will be done: its messages on a clock of their own, under the windows that will hold them, in the hours
//! and at the pace that it has.

use std::time::Duration;

use palomar_broker::{Forecast, Limits};
use palomar_model::{CampaignState, SendingHours, Timestamp, ZoneName};
use palomar_records::CampaignProgress;

use super::definition::Definition;
use super::follow_up::FollowUp;
use super::orders::{definition_of, remaining};
use super::pace::{Days, Pace, rate};
use super::{messages, zones};
use crate::{App, AppError};

/// More starts are not followed one by one: each stands for several.
const MOST_STARTS: u64 = 20_000;

/// Recipients in the same zones, who are still to come.
struct Group {
    zones: Vec<ZoneName>,
    left: u64,
    /// Nobody of them may be written to before this.
    asleep_until: Timestamp,
}

impl Group {
    const fn new(zones: Vec<ZoneName>, left: u64) -> Group {
        Group { zones, left, asleep_until: Timestamp::EPOCH }
    }

    /// When they may be written to, from a time on that never goes back.
    fn opens(&mut self, hours: Option<&SendingHours>, at: Timestamp) -> Timestamp {
        if self.asleep_until <= at {
            self.asleep_until = hours.map_or(at, |hours| hours.next(at, &self.zones).unwrap_or(at));
        }
        self.asleep_until
    }
}

/// What is foreseen of.
struct Foreseen {
    limits: Limits,
    hours: Option<SendingHours>,
    pace: Pace,
    days: Option<Days>,
    /// Recipients who came before.
    before: u64,
    /// Messages that share the channel in turn with each of these.
    in_turn: f64,
}

impl Foreseen {
    /// When the last of these will start.
    fn end(mut self, mut groups: Vec<Group>, now: Timestamp) -> Timestamp {
        let all: u64 = groups.iter().map(|group| group.left).sum();
        let each = all.div_ceil(MOST_STARTS).max(1);
        let mut starts = Starts::of(&self.limits, self.in_turn, each, now);
        let (mut at, mut place) = (now, self.before);
        while let Some((n, opens)) = self.next(&mut groups, at) {
            let mut due = self.pace.due(place).map_or(opens, |due| due.max(opens));
            let taken = each.min(groups[n].left);
            if let Some(days) = &mut self.days {
                due = days.take(taken, due.max(at));
            }
            at = starts.start(due);
            groups[n].left -= taken;
            place += taken;
        }
        at
    }

    /// Whose turn it is: the first who are awake, or who wake first.
    fn next(&self, groups: &mut [Group], at: Timestamp) -> Option<(usize, Timestamp)> {
        let mut soonest: Option<(usize, Timestamp)> = None;
        for (n, group) in groups.iter_mut().enumerate().filter(|(_, group)| group.left > 0) {
            let opens = group.opens(self.hours.as_ref(), at);
            if opens <= at {
                // Nobody is before them.
                return Some((n, opens));
            }
            if soonest.is_none_or(|(_, known)| opens < known) {
                soonest = Some((n, opens));
            }
        }
        soonest
    }
}

/// Starts under windows, each standing for as many as it must.
enum Starts {
    OneByOne {
        forecast: Forecast,
        in_turn: f64,
        owed: f64,
    },
    /// Too many, or no windows: at the rate of the slowest.
    Steady {
        at: Timestamp,
        interval: Duration,
    },
}

impl Starts {
    fn of(limits: &Limits, in_turn: f64, each: u64, now: Timestamp) -> Starts {
        if each == 1 && !limits.windows.is_empty() {
            return Starts::OneByOne { forecast: Forecast::new(limits, now), in_turn, owed: 0.0 };
        }
        let margin = 1.0 - f64::from(limits.margin_permille) / 1000.0;
        let rate = rate(limits) * if limits.windows.is_empty() { 1.0 } else { margin };
        let interval = Duration::from_secs_f64((each as f64 * in_turn / rate.max(1e-6)).min(1e9));
        Starts::Steady { at: now, interval }
    }

    fn start(&mut self, not_before: Timestamp) -> Timestamp {
        match self {
            Starts::OneByOne { forecast, in_turn, owed } => {
                *owed += *in_turn;
                let mut at = not_before;
                while *owed >= 1.0 {
                    *owed -= 1.0;
                    at = forecast.start(not_before);
                }
                at
            }
            Starts::Steady { at, interval } => {
                *at = not_before.max(*at).after(*interval);
                *at
            }
        }
    }
}

impl App {
    /// How long a campaign will take from now on, with so many still to come.
    pub(super) async fn foresee(&self, progress: &CampaignProgress, left: u64) -> Result<Duration, AppError> {
        let now = self.now();
        Ok(self.foresee_end_of(progress, left).await?.unwrap_or(now).since(now))
    }

    /// When a campaign will be done; none where nothing holds or where nobody can tell: it is paused, or its channel
    /// does not work.
    pub(super) async fn foresee_end(
        &self,
        progress: &CampaignProgress,
    ) -> Result<Option<Timestamp>, AppError> {
        let definition = definition_of(&progress.campaign)?;
        let left = self.still_to_come(progress, &definition).await?;
        // Whoever is to get a step after the first is known when all of its time has passed.
        let steps: Duration = definition.follow_ups.iter().map(FollowUp::after).sum();
        Ok(self.foresee_end_of(progress, left).await?.map(|end| end.after(steps)))
    }

    async fn foresee_end_of(
        &self,
        progress: &CampaignProgress,
        left: u64,
    ) -> Result<Option<Timestamp>, AppError> {
        let campaign = &progress.campaign;
        let Some(line) = self.registry.first_of(&campaign.channel) else { return Ok(None) };
        if campaign.state.has_ended() || matches!(campaign.state, CampaignState::Paused { .. }) {
            return Ok(None);
        }
        let begins = match campaign.state {
            CampaignState::Scheduled { at } => at.max(self.now()),
            _ => self.now(),
        };
        let definition = definition_of(campaign)?;
        let groups = self.groups(progress, &definition, left).await?;
        let before = campaign.recipients.saturating_sub(left);
        let foreseen = Foreseen {
            limits: line.limits.clone(),
            hours: definition.hours.clone(),
            pace: messages::pace(campaign, &definition, before + left, begins),
            days: match definition.daily_cap {
                Some(cap) => Some(Days {
                    cap: u64::from(cap),
                    zone: definition.zone.clone(),
                    daily: self.records.campaign_day(campaign.number).await?,
                }),
                None => None,
            },
            before,
            in_turn: self.in_turn(progress, left).await?,
        };
        // Some thousands of starts: not on a thread that answers requests.
        let end = tokio::task::spawn_blocking(move || foreseen.end(groups, begins)).await;
        Ok(Some(end.map_err(|error| AppError::Unavailable(error.to_string()))?))
    }

    /// Those who are still to come, by their zones: of each lane its share.
    async fn groups(
        &self,
        progress: &CampaignProgress,
        definition: &Definition,
        left: u64,
    ) -> Result<Vec<Group>, AppError> {
        let lanes = self.records.campaign_lanes(progress.campaign.number).await?;
        let all = progress.campaign.recipients.max(1);
        let mut rest = left;
        let last = lanes.len().saturating_sub(1);
        let groups = lanes.iter().enumerate().map(|(n, lane)| {
            let share = u64::try_from(u128::from(left) * u128::from(lane.recipients) / u128::from(all));
            let own = if n == last { rest } else { share.unwrap_or(rest).min(rest) };
            rest -= own;
            let zones = zones::read(&lane.zones);
            Group::new(if zones.is_empty() { vec![definition.zone.clone()] } else { zones }, own)
        });
        let groups: Vec<_> = groups.collect();
        // Nobody is read yet: whoever comes, comes in the campaign's own zone.
        let unread = vec![Group::new(vec![definition.zone.clone()], left)];
        Ok(if groups.is_empty() { unread } else { groups })
    }

    /// How many messages go for each of this campaign, where others send on its channel.
    async fn in_turn(&self, progress: &CampaignProgress, left: u64) -> Result<f64, AppError> {
        let others = self.records.live_campaigns().await?;
        let theirs = others.iter().filter(|other| {
            other.campaign.number != progress.campaign.number
                && other.campaign.channel == progress.campaign.channel
                && matches!(other.campaign.state, CampaignState::Sending { .. })
        });
        let theirs: u64 = theirs.map(|other| remaining(other).min(left)).sum();
        Ok(1.0 + theirs as f64 / left.max(1) as f64)
    }
}

#[cfg(test)]
#[path = "foresight_tests.rs"]
mod tests;
