//! Watches one message on its way: `palomar send --wait`.

use std::time::Duration;

use clap::ValueEnum;
use palomar_model::Clock as _;
use serde_json::Value;

use super::{segment, text};
use crate::cli::Context;
use crate::client::Client;
use crate::clock::SystemClock;
use crate::failure::Failure;
use crate::output::Tone;

/// How far a message is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// The provider took it.
    Sent,
    /// It is on the phone.
    Delivered,
    /// It was read.
    Read,
}

/// How long a message is waited for, where `--timeout` does not say.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(150);

/// What a status means for somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Not there yet.
    OnTheWay,
    /// As far as was asked for.
    Arrived,
    /// It will not come.
    Lost,
}

const WAY: [&str; 5] = ["queued", "sending", "sent", "delivered", "read"];

fn progress(status: &str, until: Until) -> Progress {
    let goal = match until {
        Until::Sent => 2,
        Until::Delivered => 3,
        Until::Read => 4,
    };
    match status {
        "failed" | "cancelled" | "expired" => Progress::Lost,
        _ if WAY.iter().position(|step| *step == status).is_some_and(|step| step >= goal) => {
            Progress::Arrived
        }
        _ => Progress::OnTheWay,
    }
}

/// Prints every state that the message comes to, as it comes to it; ends when it is as far as `until`.
///
/// Not every phone says that a message was read: where that alone is missing in the end, it is a success that says so.
pub(crate) async fn follow(
    context: &Context,
    client: &Client,
    id: &str,
    until: Until,
) -> Result<Value, Failure> {
    let out = context.out;
    let patience = context.timeout().unwrap_or(PATIENCE);
    let begin = SystemClock.now();
    let path = format!("/api/messages/{}", segment(id));
    let mut said: Vec<String> = Vec::new();
    loop {
        let message = client.get(&path, &[]).await?;
        let status = text(&message, "status");
        for step in steps(&message, &status) {
            if !said.contains(&step) {
                if !out.json {
                    let tone = if progress(&step, until) == Progress::Lost { Tone::Bad } else { Tone::Good };
                    let seconds = SystemClock.now().since(begin).as_secs_f64();
                    out.line(format_args!(
                        "{} {}",
                        out.paint(Tone::Dim, format_args!("{seconds:6.2} s")),
                        out.paint(tone, &step)
                    ));
                }
                said.push(step);
            }
        }
        match progress(&status, until) {
            Progress::Arrived => return Ok(message),
            Progress::Lost => {
                let reason = reason(&message);
                return Err(Failure::new(format!("{id} is {status}{reason}"))
                    .help(format!("`palomar message show {id}` tells everything that happened to it.")));
            }
            Progress::OnTheWay if SystemClock.now().since(begin) >= patience => {
                if until == Until::Read && status == "delivered" {
                    out.talk("It is delivered. Nobody said that it was read: not every phone does.");
                    return Ok(message);
                }
                return Err(Failure::new(format!("{id} is still {status} after {} s", patience.as_secs()))
                    .help(format!("`palomar message explain {id}` says what holds it.")));
            }
            Progress::OnTheWay => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The states that a message has been in, by its timeline, and the one that it is in.
fn steps(message: &Value, status: &str) -> Vec<String> {
    let timeline = message["timeline"].as_array().map_or(&[][..], Vec::as_slice);
    let mut steps = vec!["queued".to_owned()];
    for entry in timeline {
        let what = if entry["what"].is_null() { text(entry, "kind") } else { text(entry, "what") };
        if ["sent", "delivered", "read", "failed", "uncertain"].contains(&what.as_str()) {
            steps.push(what);
        }
    }
    if status == "scheduled" {
        steps.clear();
    }
    steps.push(status.to_owned());
    steps.dedup();
    steps
}

/// Why a message failed, as the end of a sentence.
fn reason(message: &Value) -> String {
    let reason = &message["reason"];
    let said = match reason {
        Value::String(reason) => reason.clone(),
        Value::Object(_) => text(reason, "detail"),
        _ => String::new(),
    };
    if said.is_empty() { said } else { format!(": {said}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_arrives_as_far_as_asked() {
        for (status, until, expected) in [
            ("queued", Until::Sent, Progress::OnTheWay),
            ("uncertain", Until::Sent, Progress::OnTheWay),
            ("sent", Until::Sent, Progress::Arrived),
            ("read", Until::Sent, Progress::Arrived),
            ("delivered", Until::Read, Progress::OnTheWay),
            ("failed", Until::Sent, Progress::Lost),
            ("expired", Until::Read, Progress::Lost),
        ] {
            assert_eq!(progress(status, until), expected, "{status} until {until:?}");
        }
    }

    #[test]
    fn no_state_is_left_out_between_two_looks() {
        let message = json!({"timeline": [{"what": "accepted"}, {"what": "started"}, {"what": "sent"}, {"what": "delivered"}]});
        assert_eq!(steps(&message, "delivered"), ["queued", "sent", "delivered"]);
        assert_eq!(steps(&json!({}), "scheduled"), ["scheduled"]);
        assert_eq!(reason(&json!({"reason": {"code": "x", "detail": "no such number"}})), ": no such number");
    }
}
