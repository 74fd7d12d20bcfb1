//! Whether too much of a campaign fails, or is not wanted. Functions of values.

use palomar_records::Judged;
use serde::{Deserialize, Serialize};

/// When a campaign pauses by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoPause {
    /// The share of messages that may fail, from 0 to 1; 1 never pauses.
    #[serde(default = "half")]
    pub failure_rate: f64,
    /// The share of messages that may fail because they are not wanted, from 0 to 1; 1 never pauses.
    #[serde(default = "fifth")]
    pub block_rate: f64,
    /// Of so many that came to an end, one after another.
    #[serde(default = "hundred")]
    pub sample: u64,
    /// How badly people may take a template that it sends.
    #[serde(default)]
    pub quality: WorstQuality,
}

/// The quality of a template at which a campaign pauses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WorstQuality {
    /// `YELLOW`, or worse.
    Yellow,
    /// `RED`.
    #[default]
    Red,
    /// None: it goes on.
    Never,
}

const fn half() -> f64 {
    0.5
}

const fn fifth() -> f64 {
    0.2
}

const fn hundred() -> u64 {
    100
}

impl Default for AutoPause {
    fn default() -> AutoPause {
        AutoPause { failure_rate: half(), block_rate: fifth(), sample: hundred(), quality: WorstQuality::Red }
    }
}

impl WorstQuality {
    /// Whether a campaign pauses whose template the provider gives this quality.
    pub(super) fn is_reached(self, quality: &str) -> bool {
        match self {
            WorstQuality::Yellow => matches!(quality, "YELLOW" | "RED"),
            WorstQuality::Red => quality == "RED",
            WorstQuality::Never => false,
        }
    }
}

/// What a look at a campaign came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// They are well: the next look begins here.
    Well,
    /// Too many failed; in words.
    Failing(String),
    /// Too many were not wanted; in words.
    Unwelcome(String),
}

impl AutoPause {
    /// Whether the share is one, and the sample somebody.
    pub(super) fn is_sound(&self) -> bool {
        let share = 0.0..=1.0;
        share.contains(&self.failure_rate) && share.contains(&self.block_rate) && self.sample > 0
    }

    /// Whether enough came to an end since the last look.
    pub(super) fn is_due(&self, then: Judged, ended: u64) -> bool {
        ended.saturating_sub(then.ended) >= self.sample.max(1)
    }

    /// Judges those who came to an end since the last look, enough of them. A retry can take failures back: then there are fewer
    /// than there were.
    pub(super) fn judge(&self, then: Judged, now: Judged) -> Judgement {
        let ended = now.ended.saturating_sub(then.ended);
        let too_many = |count: u64, share: f64| share < 1.0 && count as f64 > share * ended as f64;
        let words = |count: u64, what: &str, share: f64| {
            format!("{count} of the last {ended} messages {what}; {:.0} % may", share * 100.0)
        };
        let unwelcome = now.unwelcome.saturating_sub(then.unwelcome);
        if too_many(unwelcome, self.block_rate) {
            let what = "were not wanted (blocked, stopped, or beyond what people get of marketing)";
            return Judgement::Unwelcome(words(unwelcome, what, self.block_rate));
        }
        let failed = now.failed.saturating_sub(then.failed);
        if too_many(failed, self.failure_rate) {
            return Judgement::Failing(words(failed, "failed", self.failure_rate));
        }
        Judgement::Well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn judged(ended: u64, failed: u64, unwelcome: u64) -> Judged {
        Judged { ended, failed, unwelcome }
    }

    #[test]
    fn a_few_say_nothing_and_many_say_why() {
        let rule = AutoPause { failure_rate: 0.3, block_rate: 0.1, sample: 100, ..AutoPause::default() };
        assert!(!rule.is_due(judged(500, 0, 0), 599) && rule.is_due(judged(500, 0, 0), 600));
        let failing = "31 of the last 100 messages failed; 30 % may".to_owned();
        let blocked = "11 of the last 100 messages were not wanted (blocked, stopped, or beyond what people get of marketing); 10 % may";
        for (then, now, expected) in [
            (judged(0, 0, 0), judged(100, 30, 10), Judgement::Well),
            (judged(500, 5, 5), judged(600, 36, 5), Judgement::Failing(failing)),
            (judged(500, 50, 9), judged(600, 10, 3), Judgement::Well),
            (judged(500, 50, 9), judged(600, 90, 20), Judgement::Unwelcome(blocked.to_owned())),
        ] {
            assert_eq!(rule.judge(then, now), expected, "{then:?} {now:?}");
        }
        let never = AutoPause { failure_rate: 1.0, block_rate: 1.0, sample: 1, ..AutoPause::default() };
        assert_eq!(never.judge(judged(0, 0, 0), judged(100, 100, 100)), Judgement::Well);
    }

    #[test]
    fn a_quality_is_as_bad_as_is_said() {
        for (worst, quality, expected) in [
            (WorstQuality::Red, "RED", true),
            (WorstQuality::Red, "YELLOW", false),
            (WorstQuality::Yellow, "YELLOW", true),
            (WorstQuality::Yellow, "RED", true),
            (WorstQuality::Yellow, "UNKNOWN", false),
            (WorstQuality::Never, "RED", false),
        ] {
            assert_eq!(worst.is_reached(quality), expected, "{worst:?} {quality}");
        }
    }
}
