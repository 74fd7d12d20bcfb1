//! What is wrong, by the numbers of the queues and by how sessions stand: rules with thresholds. Functions of values, and of
//! what was seen before.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use palomar_broker::{BreakerState, JobState, QueueName, QueueStats, Stats};
use palomar_model::Timestamp;
use palomar_records::{SessionRecord, Wanted};
use palomar_web::{NOT_READY, Status};

use super::AlertConfig;
use crate::attempt::paused_by_itself;
use crate::hooks::HOOKS;
use crate::queues::{INBOUND, OUTBOUND, outbound_queue};

/// What can be found to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AlertRule {
    /// A channel's circuit breaker lets nothing through.
    BreakerOpen,
    /// Too many messages of a channel fail.
    FailureRateHigh,
    /// What somebody waits for is not worked on.
    QueueWaitHigh,
    /// More waits than a queue is meant for.
    QueueSaturated,
    /// A channel paused by itself: its provider refuses it, or it does not work.
    ChannelPaused,
    /// It is not known whether messages were sent.
    MessagesUncertain,
    /// A browser session that is wanted can't send.
    ChannelDisconnected,
}

impl AlertRule {
    /// The word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            AlertRule::BreakerOpen => "breaker_open",
            AlertRule::FailureRateHigh => "failure_rate_high",
            AlertRule::QueueWaitHigh => "queue_wait_high",
            AlertRule::QueueSaturated => "queue_saturated",
            AlertRule::ChannelPaused => "channel_paused",
            AlertRule::MessagesUncertain => "messages_uncertain",
            AlertRule::ChannelDisconnected => "channel_disconnected",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// It should be looked at.
    Warning,
    /// It should be looked at now.
    Critical,
}

impl Severity {
    /// The word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// Something that is wrong at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: AlertRule,
    /// The queue that it is about.
    pub(super) subject: String,
    pub(super) severity: Severity,
    /// For people.
    pub(super) detail: String,
}

/// Messages of a channel that had come to an end at a moment: all, and those that had failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ended {
    at: Timestamp,
    all: u64,
    failed: u64,
}

/// What was seen before, as far as rules ask for it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ended: HashMap<QueueName, VecDeque<Ended>>,
}

impl Seen {
    /// What is wrong now. `sessions` are those of channels that there are; `reported` says how many messages of a channel their
    /// provider reported as failed within the window, after it took them.
    pub(super) fn look(
        &mut self,
        config: &AlertConfig,
        stats: &Stats,
        sessions: &[SessionRecord],
        reported: &HashMap<String, u64>,
        now: Timestamp,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        for queue in &stats.queues {
            if queue.queue.pool() == OUTBOUND {
                found.extend(breaker(queue));
                found.extend(paused(queue));
                found.extend(uncertain(queue));
                let reported = reported.get(queue.queue.name()).copied().unwrap_or(0);
                found.extend(self.failures(config, queue, reported, now));
            }
            found.extend(wait(config, queue, now));
            // What is told of alerts raises none.
            if queue.queue.pool() != HOOKS {
                found.extend(saturated(config, queue));
            }
        }
        found.extend(sessions.iter().filter_map(disconnected));
        self.ended.retain(|name, _| stats.queues.iter().any(|queue| queue.queue == *name));
        found
    }

    fn failures(
        &mut self,
        config: &AlertConfig,
        queue: &QueueStats,
        reported: u64,
        now: Timestamp,
    ) -> Option<Finding> {
        let ever = |state: JobState| queue.finished[state as usize] + queue.taken_back[state as usize];
        let (done, failed) = (ever(JobState::Done), ever(JobState::Dead));
        let seen = self.ended.entry(queue.queue.clone()).or_default();
        // Counts that are smaller than they were are those of another life of the queue.
        if seen.back().is_some_and(|last| last.all > done + failed || last.failed > failed) {
            seen.clear();
        }
        seen.push_back(Ended { at: now, all: done + failed, failed });
        // The first that stays is the last of before the window.
        while seen.get(1).is_some_and(|next| now.since(next.at) >= config.failure_window) {
            seen.pop_front();
        }
        let first = seen.front()?;
        let (ended, failed) = (done + failed - first.all, failed - first.failed + reported);
        // What is reported now may have been taken before the window began.
        let all = ended.max(failed);
        if all < config.failure_sample.max(1) {
            return None;
        }
        let percent = failed as f64 * 100.0 / all as f64;
        let severity = if percent > f64::from(config.failure_percent_critical) {
            Severity::Critical
        } else if percent > f64::from(config.failure_percent) {
            Severity::Warning
        } else {
            return None;
        };
        let minutes = config.failure_window.as_secs() / 60;
        let detail =
            format!("{failed} of the last {all} messages failed ({percent:.0} %), within {minutes} min");
        Some(Finding { rule: AlertRule::FailureRateHigh, subject: queue.queue.to_string(), severity, detail })
    }
}

fn breaker(queue: &QueueStats) -> Option<Finding> {
    let detail = match queue.breaker {
        BreakerState::Closed => return None,
        BreakerState::Open { .. } => "the circuit breaker is open: the provider fails, and messages wait",
        BreakerState::HalfOpen => "the circuit breaker is trying whether the provider is back",
    };
    let (subject, detail) = (queue.queue.to_string(), detail.to_owned());
    Some(Finding { rule: AlertRule::BreakerOpen, subject, severity: Severity::Critical, detail })
}

fn paused(queue: &QueueStats) -> Option<Finding> {
    let reason = queue.paused.as_deref().filter(|reason| paused_by_itself(reason))?;
    // Of a session that is not ready its own rule tells.
    if reason.contains(NOT_READY) {
        return None;
    }
    let detail = format!("it paused by itself ({reason}): mend that, then resume it");
    let subject = queue.queue.to_string();
    Some(Finding { rule: AlertRule::ChannelPaused, subject, severity: Severity::Critical, detail })
}

fn uncertain(queue: &QueueStats) -> Option<Finding> {
    let count = queue.counts[JobState::Uncertain as usize];
    if count == 0 {
        return None;
    }
    let detail = format!(
        "it is not known of {count} messages whether they were sent; they are listed with the dead letters"
    );
    let subject = queue.queue.to_string();
    Some(Finding { rule: AlertRule::MessagesUncertain, subject, severity: Severity::Warning, detail })
}

fn disconnected(session: &SessionRecord) -> Option<Finding> {
    let sends = [Status::Available, Status::Busy].iter().any(|status| status.as_str() == session.status);
    if sends || session.wanted != Wanted::Open {
        return None;
    }
    let detail = format!("the session is {} ({}): its messages wait", session.status, session.reason);
    let subject = outbound_queue(&session.channel).ok()?.to_string();
    Some(Finding { rule: AlertRule::ChannelDisconnected, subject, severity: Severity::Critical, detail })
}

fn wait(config: &AlertConfig, queue: &QueueStats, now: Timestamp) -> Option<Finding> {
    let [critical, high, ..] = queue.oldest_ready;
    let (since, most, what) = match queue.queue.pool() {
        INBOUND => (queue.oldest_waiting, config.inbound_wait, "a webhook"),
        OUTBOUND => {
            let urgent = critical.into_iter().chain(high).min();
            (urgent, config.wait, "an urgent message")
        }
        _ => return None,
    };
    let waited = now.since(since?);
    if waited <= most || queue.paused.is_some() {
        return None;
    }
    let detail = format!("{what} has waited for {} s; {} s may", waited.as_secs(), most.as_secs());
    let subject = queue.queue.to_string();
    Some(Finding { rule: AlertRule::QueueWaitHigh, subject, severity: Severity::Critical, detail })
}

fn saturated(config: &AlertConfig, queue: &QueueStats) -> Option<Finding> {
    let waiting: u64 = queue.waiting.iter().sum();
    if waiting <= config.saturated {
        return None;
    }
    let detail = format!("{waiting} jobs wait; {} may", config.saturated);
    let subject = queue.queue.to_string();
    Some(Finding { rule: AlertRule::QueueSaturated, subject, severity: Severity::Warning, detail })
}

/// How long something must be wrong before it is said.
pub(super) const fn held_for(rule: AlertRule, config: &AlertConfig) -> Duration {
    match rule {
        AlertRule::BreakerOpen => config.breaker_open,
        AlertRule::QueueSaturated => config.saturated_for,
        AlertRule::MessagesUncertain => config.uncertain,
        AlertRule::ChannelDisconnected => config.disconnected,
        // These look back by themselves, or last until somebody does something.
        AlertRule::FailureRateHigh | AlertRule::QueueWaitHigh | AlertRule::ChannelPaused => Duration::ZERO,
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
