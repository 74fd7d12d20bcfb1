//! Counts messages that something else sends, and what they led to, with Palomar as a library: no server, no provider.
//!
//! ```sh
//! cargo run -p palomar-app --example tracking -- ./tracked
//! ```
//!
//! Run it twice: every event has an id and counts once, so the numbers stay as they are.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use palomar_app::{
    AnalyticsFilter, App, AppConfig, Asked, Caller, EventInput, Metrics, NewConversion, Providers,
};
use palomar_broker::{EmbeddedBroker, EmbeddedConfig};
use palomar_model::{Clock, IdGenerator, Timestamp};
use palomar_records::{PROJECTION, Records, random_bytes};

/// The system's clock: the library itself never asks for it.
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the edge of a program")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// What became of a message to a person, as the software that sent it knows.
fn event(message: &str, kind: &str, phone: &str) -> EventInput {
    EventInput {
        // One message is sent once and read once.
        id: format!("{message}-{kind}"),
        kind: kind.to_owned(),
        channel: "other-software".to_owned(),
        at: None,
        phone: Some(phone.to_owned()),
        r#type: Some("text".to_owned()),
        campaign_id: Some("spring".to_owned()),
        template: None,
        code: (kind == "failed").then(|| "131026".to_owned()),
        latency_ms: (kind == "sent").then_some(180),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).map_or_else(|| PathBuf::from("tracked"), PathBuf::from);
    std::fs::create_dir_all(&dir)?;
    let app = open(&dir).await?;

    let mut events = Vec::new();
    for n in 1..=20 {
        let (message, phone) = (format!("message-{n}"), format!("+346001110{n:02}"));
        events.push(event(&message, "sent", &phone));
        // Every fifth can't be delivered; every second of the others is read.
        events.extend(match n {
            _ if n % 5 == 0 => vec![event(&message, "failed", &phone)],
            _ if n % 2 == 0 => vec![event(&message, "delivered", &phone), event(&message, "read", &phone)],
            _ => vec![event(&message, "delivered", &phone)],
        });
    }
    let told = app.track(events).await?;
    let new = told.iter().filter(|event| event.status == "counted").count();
    println!("{new} of {} events are new", told.len());

    let sale = NewConversion {
        id: Some("order-1001".to_owned()),
        kind: "sale".to_owned(),
        value: Some(49.90),
        currency: Some("EUR".to_owned()),
        at: None,
        message_id: None,
        to: None,
        channel: None,
        campaign_id: Some("spring".to_owned()),
        metadata: None,
    };
    let sale = app.convert(sale, &Caller::system()).await?;
    println!("order-1001 {}", if sale.repeated { "was known" } else { "is new" });

    let week = Asked { period: Some("week".to_owned()), ..Asked::default() };
    let report = app.analytics_report(week, &AnalyticsFilter::default(), false, &Caller::system()).await?;
    println!("{}", serde_json::to_string_pretty(&report.messages)?);
    println!("{}", serde_json::to_string_pretty(&report.conversions)?);
    app.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Queues and records as files in a directory.
async fn open(dir: &std::path::Path) -> Result<Arc<App>, Box<dyn Error>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let queues = EmbeddedConfig { readers: vec![PROJECTION.to_owned()], ..EmbeddedConfig::in_dir(dir) };
    let broker = Arc::new(EmbeddedBroker::open(queues, Arc::clone(&clock))?);
    let records = Records::open(dir, clock.now())?;
    let providers = Arc::new(Providers::new(Arc::clone(&clock))?);
    let ids = Arc::new(IdGenerator::new(u64::from_ne_bytes(random_bytes()?)));
    Ok(App::start(AppConfig::default(), broker, records, providers, clock, ids, Metrics::default()).await?)
}
