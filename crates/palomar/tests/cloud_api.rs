//! The channel `cloud_api` against the simulated Cloud API, over real HTTP: every code of the table.

use std::sync::Arc;
use std::time::Duration;

use palomar_channels::{Channel as _, CloudApi, CloudApiConfig, Deadlined, http};
use palomar_model::{
    IdGenerator, ManualClock, NextStep, Outbound, RetryPolicy, Secret, Tag, Timestamp, Tries, after_attempt,
};
use palomar_sim::Windows;
use palomar_sim::cloud_api::{CloudApiSim, Config, Fault, FaultKind, PairLimit};
use serde_json::json;

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);
const CODES: &str = include_str!("../../../tests/fixtures/error-codes/cloud_api.csv");

fn message() -> Outbound {
    let id = IdGenerator::new(7).message_id(NOW);
    let stored = json!({"v": 1, "id": id, "channel": "line", "to": "+34600111222", "type": "text",
        "content": {"text": "Hola"}, "acceptedAt": NOW.to_string()});
    Outbound::decode(stored.to_string().as_bytes()).expect("a message")
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
    // As the binary does, first thing: the channel's client speaks through the same TLS library.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = Config { throughput: Windows::off(), pair: PairLimit::OFF, ..Config::default() };
    let sim = CloudApiSim::start(config, Arc::new(ManualClock::at(NOW))).await.expect("a simulator");
    let config = CloudApiConfig {
        base_url: sim.url(),
        ..CloudApiConfig::new("100200300400500", Secret::from("token-1"))
    };
    let channel =
        Deadlined::new(CloudApi::new(config, http::client().expect("a client")), Duration::from_secs(2));
    let message = message();
    let mut codes = 0;
    for line in CODES.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let &[range, word, ..] = &columns[..] else { panic!("{line}") };
        let Ok(code) = range.split('-').next().unwrap_or_default().parse::<u32>() else { continue };
        sim.set_faults(vec![Fault { code: Some(code), ..Fault::times(FaultKind::Code, 1) }])
            .expect("a fault");
        let sent = channel.send(&message, Tag { message: message.id, attempt: 1 }).await;
        let failure = sent.expect_err("it is refused");
        assert_eq!(failure.code.as_deref(), Some(code.to_string().as_str()), "{failure}");
        let tries = Tries { attempts: 1, throttled: 0 };
        let step = after_attempt(&failure, tries, &RetryPolicy::default(), 0.5);
        assert!(demanded(word, &step), "{code} is {word}: {step:?}");
        codes += 1;
    }
    assert_eq!((codes, sim.accepted()), (CODES.lines().count() - 2, 0));
}
