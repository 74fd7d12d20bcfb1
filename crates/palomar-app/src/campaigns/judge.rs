//! Whether too much of a campaign fails. A function of values.

use serde::{Deserialize, Serialize};

/// When a campaign pauses by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoPause {
    /// The share of messages that may fail, from 0 to 1; 1 never pauses.
    #[serde(default = "half")]
    pub failure_rate: f64,
    /// Of so many that came to an end, one after another.
    #[serde(default = "hundred")]
    pub sample: u64,
}

const fn half() -> f64 {
    0.5
}

const fn hundred() -> u64 {
    100
}

impl Default for AutoPause {
    fn default() -> AutoPause {
        AutoPause { failure_rate: half(), sample: hundred() }
    }
}

/// What a look at a campaign came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Too few came to an end since the last one.
    TooFew,
    /// They are well: the next look begins here.
    Well,
    /// Too many failed; in words.
    Bad(String),
}

impl AutoPause {
    /// Judges those who came to an end since the last look: all and failed ones, then and now.
    pub(super) fn judge(&self, then: (u64, u64), now: (u64, u64)) -> Judgement {
        let (ended, failed) = (now.0.saturating_sub(then.0), now.1.saturating_sub(then.1));
        if ended < self.sample.max(1) {
            return Judgement::TooFew;
        }
        // A retry can take failures back: then there are fewer than there were.
        if self.failure_rate < 1.0 && failed as f64 > self.failure_rate * ended as f64 {
            let most = self.failure_rate * 100.0;
            return Judgement::Bad(format!("{failed} of the last {ended} messages failed; {most:.0} % may"));
        }
        Judgement::Well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_say_nothing_and_many_say_why() {
        let rule = AutoPause { failure_rate: 0.3, sample: 100 };
        for (then, now, expected) in [
            ((0, 0), (99, 99), Judgement::TooFew),
            ((0, 0), (100, 30), Judgement::Well),
            ((500, 5), (600, 36), Judgement::Bad("31 of the last 100 messages failed; 30 % may".to_owned())),
            ((500, 50), (600, 10), Judgement::Well),
        ] {
            assert_eq!(rule.judge(then, now), expected, "{then:?} {now:?}");
        }
        let never = AutoPause { failure_rate: 1.0, sample: 1 };
        assert_eq!(never.judge((0, 0), (100, 100)), Judgement::Well);
    }
}
