//! Which alerts fire: what was found for long enough, and has not been gone for long enough. A function of values, and of what
//! was seen before.

use std::collections::{HashMap, HashSet};

use palomar_model::Timestamp;
use palomar_records::{AlertChange, AlertRecord};

use super::AlertConfig;
use super::rules::{Finding, held_for};

/// Rule and subject.
type Key = (String, String);

/// Since when what is found, and what is gone.
#[derive(Debug, Default)]
pub(super) struct Board {
    found: HashMap<Key, Timestamp>,
    gone: HashMap<Key, Timestamp>,
}

impl Board {
    /// What changes by what a look found. `id` makes the ids of new alerts.
    pub(super) fn look(
        &mut self,
        config: &AlertConfig,
        findings: Vec<Finding>,
        firing: &[AlertRecord],
        now: Timestamp,
        mut id: impl FnMut() -> String,
    ) -> Vec<AlertChange> {
        let mut changes = Vec::new();
        let key = |finding: &Finding| (finding.rule.as_str().to_owned(), finding.subject.clone());
        let keys: Vec<Key> = findings.iter().map(key).collect();
        let still: HashSet<Key> = keys.iter().cloned().collect();
        self.found.retain(|known, _| still.contains(known));
        self.gone.retain(|known, _| !still.contains(known));
        for (finding, key) in findings.into_iter().zip(keys) {
            let (severity, detail) = (finding.severity.as_str().to_owned(), finding.detail);
            let known = firing.iter().find(|one| (&one.rule, &one.subject) == (&key.0, &key.1));
            match known {
                Some(known) if known.severity == severity => {}
                Some(_) => changes.push(AlertChange::Changed(key.0, key.1, severity, detail)),
                None => {
                    let since = *self.found.entry(key.clone()).or_insert(now);
                    if now.since(since) < held_for(finding.rule, config) {
                        continue;
                    }
                    let (rule, subject) = key;
                    changes.push(AlertChange::Fired(AlertRecord {
                        id: id(),
                        rule,
                        subject,
                        severity,
                        detail,
                        fired_at: now,
                        resolved_at: None,
                        acked_at: None,
                        acked_by: None,
                    }));
                }
            }
        }
        for one in firing {
            let key = (one.rule.clone(), one.subject.clone());
            if still.contains(&key) {
                continue;
            }
            let since = *self.gone.entry(key.clone()).or_insert(now);
            if now.since(since) >= config.calm {
                self.gone.remove(&key);
                changes.push(AlertChange::Resolved(key.0, key.1));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::rules::{AlertRule, Severity};
    use super::*;

    fn finding(rule: AlertRule, severity: Severity) -> Finding {
        Finding { rule, subject: "outbound/line".to_owned(), severity, detail: "words".to_owned() }
    }

    /// Looks once a second; what changed, and when.
    fn looks(found: &[Option<Finding>]) -> Vec<(u64, &'static str)> {
        let config = AlertConfig {
            breaker_open: Duration::from_secs(2),
            calm: Duration::from_secs(3),
            ..AlertConfig::default()
        };
        let (mut board, mut firing, mut told) = (Board::default(), Vec::new(), Vec::new());
        for (second, found) in (0_u64..).zip(found) {
            let now = Timestamp::from_seconds(1_800_000_000 + second as i64);
            let changes =
                board.look(&config, found.iter().cloned().collect(), &firing, now, || second.to_string());
            for change in changes {
                match change {
                    AlertChange::Fired(alert) => {
                        firing.push(alert);
                        told.push((second, "fired"));
                    }
                    AlertChange::Changed(_, _, severity, _) => {
                        firing[0].severity = severity;
                        told.push((second, "changed"));
                    }
                    AlertChange::Resolved(..) => {
                        firing.clear();
                        told.push((second, "resolved"));
                    }
                }
            }
        }
        told
    }

    #[test]
    fn what_lasts_fires_and_what_stays_away_is_resolved() {
        let open = || Some(finding(AlertRule::BreakerOpen, Severity::Critical));
        let few = || Some(finding(AlertRule::FailureRateHigh, Severity::Warning));
        let many = || Some(finding(AlertRule::FailureRateHigh, Severity::Critical));
        for (found, expected) in [
            // A moment is nothing.
            (vec![open(), open(), None, open(), open(), None], vec![]),
            (vec![open(), open(), open(), open()], vec![(2, "fired")]),
            // A moment without it is nothing either.
            (vec![open(), open(), open(), None, None, open(), None, None, None], vec![(2, "fired")]),
            (vec![open(), open(), open(), None, None, None, None, None], vec![(2, "fired"), (6, "resolved")]),
            (vec![few(), few(), many(), many(), few()], vec![(0, "fired"), (2, "changed"), (4, "changed")]),
        ] {
            assert_eq!(looks(&found), expected, "{found:?}");
        }
    }
}
