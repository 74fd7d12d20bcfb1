//! Reports that are told by themselves, on a real broker and real records: each way once, and none that nobody asked for.

mod house;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use house::{House, SystemClock};
use palomar_app::{
    AppConfig, MessageFilter, NoticeNumber, Providers, Report, ReportConfig, ReportKind, ReportWriter,
};
use palomar_model::{Clock as _, DayTime, MessageState, Timestamp, ZoneName};
use serde_json::Value;

const DAY: Duration = Duration::from_secs(24 * 3600);
const WAYS: [&str; 3] = ["hook", "number", "file"];

/// What was written down.
#[derive(Debug, Default)]
struct Shelf(Mutex<Vec<(String, Value)>>);

impl ReportWriter for Shelf {
    fn write(&self, name: &str, report: &Report) -> Result<(), String> {
        let report = serde_json::to_value(report).map_err(|error| error.to_string())?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), report));
        Ok(())
    }
}

async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_goes_each_way_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let sent = house.send("+34600111222", "Hola").await;
    house.wait_for(sent, MessageState::Read).await;
    // Days were told up to three days ago; nobody has ever asked for weeks.
    for way in WAYS {
        house.app.records().report_told("day", way, SystemClock.now().before(DAY * 3)).await.expect("noted");
    }
    house.close().await;

    let (hook, calls) = house::hook::start().await;
    let shelf = Arc::new(Shelf::default());
    let number = NoticeNumber {
        to: palomar_model::Recipient::parse("+34600999888", None).expect("a number"),
        channel: "demo".parse().expect("a name"),
    };
    let reports = ReportConfig {
        kinds: vec![ReportKind::Day, ReportKind::Week],
        at: DayTime::MIDNIGHT,
        zone: ZoneName::utc(),
        hook: Some(hook),
        number: Some(number),
        file: Some(Arc::clone(&shelf) as Arc<dyn ReportWriter>),
    };
    let config = AppConfig { reports, ..AppConfig::default() };
    let providers = Arc::new(Providers::new(Arc::new(SystemClock)).expect("providers"));
    let before = SystemClock.now();
    let house = House::open_as(dir.path(), providers, config).await;
    let told = |kind: &'static str| {
        let records = house.app.records().clone();
        async move {
            let mut all: Vec<Timestamp> = Vec::new();
            for way in WAYS {
                all.extend(records.report_told_until(kind, way).await.expect("read"));
            }
            all
        }
    };
    let midnight = |at: Timestamp| Timestamp::from_micros(at.micros() / 86_400_000_000 * 86_400_000_000);
    let days = until("days are told", async || {
        let days = told("day").await;
        days.iter().all(|until| *until >= midnight(before)).then_some(days)
    })
    .await;
    assert_eq!(days.len(), 3);
    // Weeks begin with the next.
    let weeks =
        until("weeks are known", async || Some(told("week").await).filter(|all| all.len() == 3)).await;
    assert!(weeks.iter().all(|until| *until <= SystemClock.now()), "{weeks:?}");

    // The hook failed at first: it is told again, as the same.
    let both = until("the hook is told", async || {
        let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        (calls.len() >= 2).then(|| calls.clone())
    })
    .await;
    assert_eq!((both.len(), &both[0].id), (2, &both[1].id));
    let yesterday = ZoneName::utc().date(Timestamp::from_micros(days[0].micros() - 1));
    let body = &both[1].body;
    assert_eq!((&body["type"], &body["data"]["period"]), (&"report.ready".into(), &"day".into()));
    assert_eq!(body["data"]["from"], format!("{yesterday}T00:00:00Z").as_str());
    assert!(body["data"]["previous"]["messages"].is_object(), "beside the day before: {body}");

    let written = shelf.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(written.len(), 1, "one day, however many were missed");
    assert_eq!((&written[0].0, &written[0].1), (&format!("day-{yesterday}"), &body["data"]));

    let notice = until("the number is told", async || {
        let filter = MessageFilter { text: Some(yesterday.clone()), ..MessageFilter::default() };
        let found = house.app.messages(filter, None, 10, &palomar_app::Caller::system()).await;
        found.expect("a page").items.pop()
    })
    .await;
    let words = serde_json::to_string(&notice).expect("JSON");
    assert!(words.contains(&format!("Messages, day {yesterday} (UTC): 0 sent")), "{words}");
    house.close().await;
}
