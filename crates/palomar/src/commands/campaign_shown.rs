//! Campaigns on the terminal: tables, reports, and the screen that follows one until it ends.

use std::time::Duration;

use serde_json::Value;

use super::{analytics_shown, number, row, segment, short_time, text};
use crate::cli::Context;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, Tone};

const CAMPAIGNS: &str = "/api/campaigns";

pub(super) fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().map_or(&[][..], Vec::as_slice).iter()
}

pub(super) fn list(out: Output, found: &[Value]) -> Result<(), Failure> {
    let rows: Vec<_> = found
        .iter()
        .map(|campaign| {
            let mut cells = row(campaign, &["id", "name", "channel", "status", "contacts"]);
            cells.push(format!("{} %", number(&campaign["progress"], "percentage")));
            cells.push(short_time(campaign, "createdAt"));
            cells
        })
        .collect();
    out.table(&["id", "name", "channel", "state", "contacts", "done", "made"], &rows, "no campaigns");
    Ok(())
}

pub(super) fn show(out: Output, campaign: &Value, status: &Value) {
    let (progress, metrics) = (&status["progress"], &status["metrics"]);
    let mut pairs = vec![
        ("id", text(campaign, "id")),
        ("name", text(campaign, "name")),
        ("channel", text(campaign, "channel")),
        ("state", text(campaign, "status")),
    ];
    for (name, key) in [("paused", "pauseReason"), ("begins", "scheduledAt"), ("message", "message")] {
        if !campaign[key].is_null() {
            pairs.push((name, text(campaign, key)));
        }
    }
    pairs.extend([
        ("contacts", text(campaign, "contacts")),
        (
            "done",
            format!(
                "{} of {} ({} %)",
                number(progress, "processed"),
                number(progress, "total"),
                number(progress, "percentage")
            ),
        ),
        ("sent", text(progress, "success")),
        ("failed", text(progress, "failed")),
        ("left out", counted(&metrics["leftOut"])),
        (
            "batches",
            format!(
                "{}: {} done, {} active, {} waiting, {} failed",
                number(status, "totalJobs"),
                number(status, "completedJobs"),
                number(status, "activeJobs"),
                number(status, "waitingJobs"),
                number(status, "failedJobs")
            ),
        ),
        ("ends", text(metrics, "estimatedEnd")),
    ]);
    pairs.retain(|(_, value)| !value.is_empty());
    out.pairs(&pairs);
}

pub(super) fn previews(out: Output, found: &Value) -> Result<(), Failure> {
    let rows: Vec<_> = items(found)
        .map(|one| {
            let said = match &one["content"]["text"] {
                Value::String(said) => said.clone(),
                _ if one["content"].is_null() => String::new(),
                _ => one["content"].to_string(),
            };
            vec![text(one, "recipient"), text(one, "variant"), said, text(one, "leftOut")]
        })
        .collect();
    out.table(&["contact", "variant", "gets", "gets nothing"], &rows, "no contacts");
    Ok(())
}

pub(super) fn dry_run(out: Output, found: &Value) {
    let mut pairs = vec![
        ("contacts", text(found, "contacts")),
        ("given twice", text(found, "duplicates")),
        ("would get it", text(found, "wouldSend")),
        ("left out", counted(&found["leftOut"])),
        ("by variant", counted(&found["byVariant"])),
        ("takes", span(number(found, "estimatedTime"))),
        ("until", text(found, "estimatedEnd")),
        ("costs", money(&found["cost"])),
    ];
    if number(found, "outsideWindow") > 0 {
        let words = format!(
            "{} did not write in the last 24 hours: free text may be refused",
            number(found, "outsideWindow")
        );
        pairs.push(("beware", words));
    }
    pairs.retain(|(_, value)| !value.is_empty());
    out.pairs(&pairs);
}

pub(super) fn report(out: Output, found: &Value) {
    let campaign = &found["campaign"];
    let mut pairs = vec![
        ("name", text(campaign, "name")),
        ("state", text(campaign, "status")),
        ("began", text(campaign, "startedAt")),
        ("ended", text(campaign, "endedAt")),
        ("contacts", text(found, "recipients")),
        ("left out", counted(&found["leftOut"])),
        ("not queued", text(found, "notQueued")),
        ("sent", text(found, "sent")),
        ("delivered", text(found, "delivered")),
        ("read", text(found, "read")),
        ("failed", counted(&found["failures"])),
        ("cost", money(&found["cost"])),
        ("led to", led_to(found)),
        ("return", analytics_shown::percent(&found["roi"])),
    ];
    pairs.retain(|(_, value)| !value.is_empty());
    out.pairs(&pairs);
    let steps = found["followUps"].as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<_> = steps
        .iter()
        .map(|step| {
            let after = span(number(step, "afterSeconds") * 1000);
            vec![text(step, "when"), after, counted(&step["decided"]), counted(&step["messages"])]
        })
        .collect();
    if !rows.is_empty() {
        out.line("");
        out.table(&["follow-up", "after", "decided", "messages"], &rows, "");
    }
    let variants = found["variants"].as_array().map_or(&[][..], Vec::as_slice);
    if variants.len() > 1 {
        let rows: Vec<_> = variants
            .iter()
            .map(|variant| {
                let mut cells = row(variant, &["name", "messages", "sent", "delivered", "read", "failed"]);
                let between = &variant["readRateBetween"];
                cells.push(format!("{} % ({} to {})", text(variant, "readRate"), between[0], between[1]));
                cells
            })
            .collect();
        out.line("");
        out.table(&["variant", "messages", "sent", "delivered", "read", "failed", "read rate"], &rows, "");
    }
}

pub(super) fn ordered(out: Output, answer: &Value) -> Result<(), Failure> {
    if out.json {
        return out.document(answer);
    }
    out.line(format_args!("{}; in flight: {}", text(answer, "message"), number(answer, "inFlight")));
    Ok(())
}

/// Names with their counts: `suppressed 2, invalid_number 1`.
fn counted(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

/// What messages cost: `61.5 EUR, 3 messages without a rate`.
pub(super) fn money(cost: &Value) -> String {
    let total = cost["total"].as_array().into_iter().flatten();
    let mut words: Vec<_> =
        total.map(|sum| format!("{} {}", text(sum, "amount"), text(sum, "currency"))).collect();
    if number(cost, "unpriced") > 0 {
        words.push(format!("{} messages without a rate", number(cost, "unpriced")));
    }
    words.join(", ")
}

/// What a campaign led to: `3 sale (149.7 EUR)`.
fn led_to(found: &Value) -> String {
    let conversions = found["conversions"].as_array().into_iter().flatten();
    let words = conversions.map(|one| {
        let worth = format!("{} {}", text(one, "value"), text(one, "currency"));
        let worth = if one["currency"].is_null() { String::new() } else { format!(" ({worth})") };
        format!("{} {}{worth}", number(one, "count"), text(one, "kind"))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A time in milliseconds, as people say it.
pub(super) fn span(millis: u64) -> String {
    let seconds = millis.div_ceil(1000);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// How often the screen is drawn anew.
const DRAWN: Duration = Duration::from_millis(500);

/// Shows how far a campaign is, again and again, until it ends. With `--json` a line each time that it came further.
pub(super) async fn watch(context: &Context, client: &Client, id: &str) -> Result<(), Failure> {
    let out = context.out;
    let path = format!("{CAMPAIGNS}/{}/queue-status", segment(id));
    let name = text(&client.get(&format!("{CAMPAIGNS}/{}", segment(id)), &[]).await?, "name");
    let bar = if out.json { indicatif::ProgressBar::hidden() } else { indicatif::ProgressBar::new(0) };
    let style = "{prefix}\n{wide_bar:.green/dim} {pos}/{len} {percent:>3} %\n{msg}";
    if let Ok(style) = indicatif::ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let mut last = Value::Null;
    loop {
        let answer = client.get(&path, &[]).await?;
        let status = &answer["status"];
        if out.json && (status["progress"] != last["progress"] || status["status"] != last["status"]) {
            out.document(status)?;
        }
        draw(out, &bar, &name, status);
        let state = text(status, "status");
        last = status.clone();
        if state == "finished" || (state == "stopped" && is_still(status)) {
            bar.abandon();
            // Where nobody sees the screen, its last state is what there is to say.
            if !out.json && bar.is_hidden() {
                out.line(format_args!("{name}: {}", lines(out, status).join("; ")));
            }
            return Ok(());
        }
        tokio::time::sleep(DRAWN).await;
    }
}

/// Shows how far a campaign is, once.
pub(super) async fn look(context: &Context, client: &Client, id: &str) -> Result<(), Failure> {
    let out = context.out;
    let answer = client.get(&format!("{CAMPAIGNS}/{}/queue-status", segment(id)), &[]).await?;
    let status = &answer["status"];
    if out.json {
        return out.document(status);
    }
    let progress = &status["progress"];
    out.line(format_args!(
        "{}: {} of {} ({} %)",
        text(status, "status"),
        number(progress, "processed"),
        number(progress, "total"),
        number(progress, "percentage")
    ));
    lines(out, status).iter().for_each(|line| out.line(line));
    Ok(())
}

/// Whether nothing of a stopped one moves any more.
fn is_still(status: &Value) -> bool {
    let messages = &status["metrics"]["messages"];
    ["queued", "scheduled", "sending"].iter().all(|word| number(messages, word) == 0)
}

fn draw(out: Output, bar: &indicatif::ProgressBar, name: &str, status: &Value) {
    let tone = match text(status, "status").as_str() {
        "sending" | "finished" => Tone::Good,
        "paused" | "scheduled" | "draft" => Tone::Warn,
        _ => Tone::Bad,
    };
    bar.set_prefix(format!("{name}  {}", out.paint(tone, text(status, "status"))));
    bar.set_length(number(&status["progress"], "total"));
    bar.set_position(number(&status["progress"], "processed"));
    bar.set_message(lines(out, status).join("\n"));
}

/// What stands below the bar.
fn lines(out: Output, status: &Value) -> Vec<String> {
    let (progress, metrics) = (&status["progress"], &status["metrics"]);
    let failed = number(progress, "failed");
    let failed_word = format!("{failed} failed");
    let mut lines = vec![format!(
        "{} sent, {}, {} left out, {} not queued yet",
        number(progress, "success"),
        if failed > 0 { out.paint(Tone::Bad, failed_word) } else { failed_word },
        metrics["leftOut"]
            .as_object()
            .map_or(0, |reasons| reasons.values().filter_map(Value::as_u64).sum::<u64>()),
        number(metrics, "notQueued"),
    )];
    let speed = metrics["messagesPerSecond"].as_f64().unwrap_or(0.0);
    let end = short_time(metrics, "estimatedEnd");
    let end = if end.is_empty() { end } else { format!(", done about {end}") };
    lines.push(format!("{speed:.1} a second, for {}{end}", span(number(metrics, "processingTime"))));
    lines.push(format!(
        "batches: {} done, {} active, {} waiting, {} failed",
        number(status, "completedJobs"),
        number(status, "activeJobs"),
        number(status, "waitingJobs"),
        number(status, "failedJobs")
    ));
    let messages = counted(&metrics["messages"]);
    if !messages.is_empty() {
        lines.push(out.paint(Tone::Dim, messages));
    }
    let left_out = counted(&metrics["leftOut"]);
    if !left_out.is_empty() {
        lines.push(out.paint(Tone::Dim, format_args!("left out: {left_out}")));
    }
    let reason = text(metrics, "pauseReason");
    if !reason.is_empty() {
        lines.push(out.paint(Tone::Warn, reason));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_and_counts_read_well() {
        for (millis, expected) in [
            (0, "0 s"),
            (1, "1 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h 0 min"),
            (90_061_000, "25 h 1 min"),
        ] {
            assert_eq!(span(millis), expected);
        }
        assert_eq!(counted(&json!({"a": 1, "b": 2})), "a 1, b 2");
        assert_eq!(counted(&Value::Null), "");
        assert!(is_still(&json!({"metrics": {"messages": {"sent": 3}}})));
        assert!(!is_still(&json!({"metrics": {"messages": {"queued": 3}}})));
    }
}
