//! The channel `twilio` against the simulated Twilio, over real HTTP: every code of the table, every fault, a look-up.

use std::sync::Arc;
use std::time::Duration;

use palomar_channels::{Channel as _, Deadlined, Lookup, Sent, Twilio, TwilioConfig, http};
use palomar_model::{
    ErrorClass, IdGenerator, ManualClock, NextStep, Outbound, RetryPolicy, Secret, SendFailure, Tag,
    Timestamp, Tries, after_attempt,
};
use palomar_sim::Windows;
use palomar_sim::twilio::{Config, Fault, FaultKind, RunningSim, SenderQueue, TwilioSim};
use serde_json::json;

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);
const CODES: &str = include_str!("../../../tests/fixtures/error-codes/twilio.csv");

async fn simulator() -> RunningSim {
    // As the binary does, first thing: the channel's client speaks through the same TLS library.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = Config { queue: SenderQueue::OFF, account: Windows::off(), ..Config::default() };
    TwilioSim::start(config, Arc::new(ManualClock::at(NOW))).await.expect("a simulator")
}

fn channel(sim: &RunningSim) -> Deadlined<Twilio> {
    let token = Secret::from("0123456789abcdef0123456789abcdef");
    let config = TwilioConfig {
        base_url: sim.url(),
        ..TwilioConfig::new("AC00000000000000000000000000000001", token, "+15550100200")
    };
    let webhook = Some("https://wa.example.test/webhooks/line");
    let twilio = Twilio::new(config, webhook, http::client().expect("a client")).expect("a channel");
    Deadlined::new(twilio, Duration::from_secs(2))
}

fn message(to: &str, words: &str) -> Outbound {
    let id = IdGenerator::new(7).message_id(NOW);
    let stored = json!({"v": 1, "id": id, "channel": "line", "to": to, "type": "text",
        "content": {"text": words}, "acceptedAt": NOW.to_string()});
    Outbound::decode(stored.to_string().as_bytes()).expect("a message")
}

async fn send(channel: &Deadlined<Twilio>, message: &Outbound) -> Result<Sent, SendFailure> {
    channel.send(message, Tag { message: message.id, attempt: 1 }).await
}

/// What the class of a code, in the table's word, demands of the next step.
fn demanded(word: &str, step: &NextStep) -> bool {
    match word {
        "recipient" | "content" | "template_needed" => matches!(step, NextStep::Dead { .. }),
        "auth" | "account" => matches!(step, NextStep::HoldChannel { .. }),
        "retry" => matches!(step, NextStep::RetryAfter { counts: true, .. }),
        "throttle" => matches!(step, NextStep::RetryAfter { counts: false, .. }),
        _ => false,
    }
}

#[tokio::test]
async fn every_code_of_the_table_has_the_outcome_that_its_class_demands() {
    let sim = simulator().await;
    let channel = channel(&sim);
    let mut codes = 0;
    for line in CODES.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let &[code, word, ..] = &columns[..] else { panic!("{line}") };
        let Ok(number) = code.parse::<u32>() else { continue };
        if word == "n/a" {
            continue;
        }
        let failure = send(&channel, &message(&format!("+34606{number:06}"), "Hola")).await;
        let failure = failure.expect_err("it is refused");
        assert_eq!(failure.code.as_deref(), Some(code), "{failure}");
        let tries = Tries { attempts: 1, throttled: 0 };
        let step = after_attempt(&failure, tries, &RetryPolicy::default(), 0.5);
        assert!(demanded(word, &step), "{code} is {word}: {step:?}");
        codes += 1;
    }
    assert_eq!((codes, sim.accepted()), (86, 0));
}

#[tokio::test]
async fn what_is_not_known_is_not_guessed() {
    let sim = simulator().await;
    let channel = channel(&sim);
    for (kind, class) in [
        (FaultKind::Hang, ErrorClass::Unknown),
        (FaultKind::ResetAfterAccept, ErrorClass::Unknown),
        (FaultKind::Truncated201, ErrorClass::Unknown),
        (FaultKind::Http502Html, ErrorClass::Unknown),
        (FaultKind::Error20500, ErrorClass::Transient),
        (FaultKind::Down, ErrorClass::Transient),
        (FaultKind::Auth, ErrorClass::Auth),
    ] {
        sim.reset();
        sim.set_faults(vec![Fault::times(kind, 1)]).expect("a fault");
        let failure = send(&channel, &message("+34600111222", "Hola")).await.expect_err("a failure");
        assert_eq!(failure.class, class, "{kind}: {failure}");
        assert_eq!(sim.accepted(), usize::from(class == ErrorClass::Unknown), "{kind}");
    }
    let throttled = Fault { retry_after: Some(7), ..Fault::times(FaultKind::Throttle, 1) };
    sim.set_faults(vec![throttled]).expect("a fault");
    let failure = send(&channel, &message("+34600111222", "Hola")).await.expect_err("a failure");
    assert!(
        matches!(failure.class, ErrorClass::Throttled { after: Some(after), .. } if after.as_secs() == 7),
        "{failure:?}"
    );
    let failure = send(&channel, &message("+34607000005", "Hola")).await.expect_err("no id");
    assert_eq!(failure.class, ErrorClass::Unknown);
}

#[tokio::test]
async fn a_look_up_finds_what_was_taken_in_silence() {
    let sim = simulator().await;
    let channel = channel(&sim);
    let lost = message("+34600111222", "Hola");
    let tag = Tag { message: lost.id, attempt: 1 };
    assert_eq!(channel.lookup(&lost, tag).await, Ok(Lookup::Unknowable), "silence proves nothing");
    sim.set_faults(vec![Fault::times(FaultKind::ResetAfterAccept, 1)]).expect("a fault");
    assert_eq!(send(&channel, &lost).await.expect_err("silence").class, ErrorClass::Unknown);
    send(&channel, &message("+34600111222", "Adiós")).await.expect("sent");
    send(&channel, &message("+34600111333", "Hola")).await.expect("sent");
    let taken = sim.ledger(0, 1).remove(0);
    assert_eq!(taken.tag, Some(tag.to_string()));
    let Ok(Lookup::Alike(found)) = channel.lookup(&lost, tag).await else { panic!("nothing found") };
    let ids: Vec<&str> = found.iter().map(|sent| &*sent.provider_id.0).collect();
    assert_eq!(ids, [taken.sid.as_str()]);
    sim.set_faults(vec![Fault::times(FaultKind::Down, 1)]).expect("a fault");
    assert_eq!(channel.lookup(&lost, tag).await.expect_err("down").class, ErrorClass::Transient);
}
