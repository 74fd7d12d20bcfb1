//! A report in a few sentences, and what its file is called.

use palomar_model::Timestamp;

use crate::analytics::{Range, Report};

/// The days of a range, the last included.
fn days(range: &Range) -> (String, String) {
    let last = Timestamp::from_micros(range.to.micros() - 1);
    (range.zone.date(range.from), range.zone.date(last))
}

/// What a report's file is called, without its ending.
pub(super) fn name(report: &Report) -> String {
    format!("{}-{}", report.range.period, days(&report.range).0)
}

/// A report as a message.
pub(super) fn of(report: &Report) -> String {
    let (first, last) = days(&report.range);
    let when = if first == last { first } else { format!("{first} to {last}") };
    let (messages, before) = (&report.messages, report.previous.as_ref().map(|before| &before.messages));
    let against = |now: u64, was: Option<u64>| match was {
        #[expect(clippy::cast_precision_loss, reason = "shown without a fraction")]
        Some(was) if was > 0 => format!(" ({:+.0} %)", (now as f64 / was as f64 - 1.0) * 100.0),
        _ => String::new(),
    };
    let mut text = format!(
        "Messages, {} {when} ({}): {} sent{}, {} delivered, {} read, {} failed, {} received{}.",
        report.range.period,
        report.range.zone,
        messages.sent,
        against(messages.sent, before.map(|before| before.sent)),
        messages.delivered,
        messages.read,
        messages.failed,
        messages.received,
        against(messages.received, before.map(|before| before.received)),
    );
    if let Some(talks) = report.conversations.as_ref().filter(|talks| talks.asked > 0) {
        text.push_str(&format!(" {} of {} who wrote were answered", talks.answered, talks.asked));
        if let Some(half) = talks.response.p50_ms {
            text.push_str(&format!(", half of them within {}", lasting(half)));
        }
        text.push('.');
    }
    for conversion in report.conversions.iter().flatten() {
        text.push_str(&format!(" {}: {}", conversion.kind, conversion.count));
        if let Some(currency) = &conversion.currency {
            text.push_str(&format!(", {:.2} {currency}", conversion.value));
        }
        text.push('.');
    }
    text.chars().take(MOST).collect()
}

/// What every provider takes as a text.
const MOST: usize = 1_500;

fn lasting(ms: f64) -> String {
    match ms / 1_000.0 {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3_600.0),
    }
}
