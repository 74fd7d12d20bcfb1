//! Trial 24: broken webhooks of every kind beside good ones. Each is answered for what it is, none with a 5xx; what is the
//! provider's and can't be read is kept; what is good arrives; the log says of each cause a line a second.
//!
//! `BROKEN=10000 cargo test -p palomar --test system what_is_broken`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use palomar_channels::cloud_api::sign;
use palomar_model::Secret;
use serde_json::{Value, json};

use crate::harness::{APP_SECRET, Dice, Server, instant, quick, seed, simulator, size, until};

/// What is wrong with a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Broken {
    /// Signed with another secret.
    Forged,
    /// Not signed.
    Unsigned,
    /// Signed, and then changed.
    Changed,
    /// Larger than any.
    Oversized,
    /// For a channel that there is not.
    Astray,
    /// In a method that is none of a webhook's.
    Put,
    /// Signed, and cut short.
    Cut,
    /// Signed, and nested without end.
    Deep,
    /// Signed, and no text.
    NoText,
    /// Signed JSON with a value of another type, or an absurd one, somewhere.
    Absurd,
    /// Signed JSON with thousands of members that nobody knows.
    Crowded,
}

use Broken::{Absurd, Astray, Changed, Crowded, Cut, Deep, Forged, NoText, Oversized, Put, Unsigned};

const KINDS: [Broken; 11] =
    [Forged, Unsigned, Changed, Oversized, Astray, Put, Cut, Deep, NoText, Absurd, Crowded];

impl Broken {
    const fn answer(self) -> u16 {
        match self {
            Forged | Unsigned | Changed => 401,
            Oversized => 413,
            Astray => 404,
            Put => 405,
            Cut | Deep | NoText | Absurd | Crowded => 200,
        }
    }

    /// Whether it is certain that it can't be read.
    const fn is_unreadable(self) -> bool {
        matches!(self, Cut | Deep | NoText)
    }
}

/// Numbers from here on are of broken ones, and of good ones: what is left of the one is never the whole of the other.
const BROKEN: usize = 1_000_000;
const GOOD: usize = 2_000_000;

/// A webhook that says what a person wrote.
fn good(number: &str, n: usize) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{
        "field": "messages", "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550100200", "phone_number_id": number},
            "contacts": [{"profile": {"name": "Lucía"}, "wa_id": "34600777888"}],
            "messages": [{"from": "34600777888", "id": format!("wamid.{n}"), "type": "text",
                "timestamp": "1767225600", "text": {"body": "Hola"}}],
    }}]}]})
}

/// Puts something absurd in the place of one value.
fn disfigure(value: &mut Value, dice: &mut Dice) {
    let inside = match value {
        Value::Object(map) if !map.is_empty() && dice.below(8) > 0 => {
            let n = dice.below(map.len() as u64) as usize;
            map.values_mut().nth(n)
        }
        Value::Array(items) if !items.is_empty() && dice.below(8) > 0 => {
            let n = dice.below(items.len() as u64) as usize;
            items.get_mut(n)
        }
        _ => None,
    };
    if let Some(inside) = inside {
        return disfigure(inside, dice);
    }
    *value = match dice.below(10) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!("x".repeat(10_000)),
        4 => json!(u64::MAX),
        5 => json!(-1.5e300),
        6 => json!("253402300799000"),
        7 => json!("\u{0}\u{202e}"),
        8 => json!([[[{"a": [null, true]}]]]),
        _ => json!(false),
    };
}

fn body(kind: Broken, number: &str, n: usize, dice: &mut Dice) -> Vec<u8> {
    let mut whole = good(number, n);
    match kind {
        Oversized => vec![b'x'; (3 << 20) + 1],
        Cut => {
            let mut text = whole.to_string().into_bytes();
            text.truncate(dice.below(text.len() as u64) as usize);
            text
        }
        Deep => "[".repeat(10_000 + dice.below(90_000) as usize).into_bytes(),
        NoText => {
            let mut text = whole.to_string().into_bytes();
            let at = text.len() / 2;
            text.splice(at..at, [0xff, 0xfe, 0x00]);
            text
        }
        Absurd => {
            disfigure(&mut whole, dice);
            whole.to_string().into_bytes()
        }
        Crowded => {
            let members = (0..5_000).map(|n| (format!("k{n}"), json!(n)));
            whole["entry"][0]["changes"][0]["value"]["more"] = Value::Object(members.collect());
            whole.to_string().into_bytes()
        }
        Forged | Unsigned | Changed | Astray | Put => whole.to_string().into_bytes(),
    }
}

/// Posts one; the status of the answer, and how long it took.
async fn post(server: &Server, kind: Option<Broken>, mut body: Vec<u8>) -> (u16, Duration) {
    let secret = if kind == Some(Forged) { "another" } else { APP_SECRET };
    let signature = sign::sign(&Secret::from(secret), &body);
    if kind == Some(Changed) {
        body.push(b' ');
    }
    let channel = if kind == Some(Astray) { "nowhere" } else { "line" };
    let url = format!("http://{}/webhooks/{channel}", server.address);
    let request = if kind == Some(Put) { server.http.put(url) } else { server.http.post(url) };
    let request = match kind {
        // The server ends the connection without reading all of it: nothing else is to wait for it.
        Some(Oversized) => request.header("connection", "close"),
        Some(Unsigned) => request,
        _ => request.header("x-hub-signature-256", signature),
    };
    let begun = instant();
    let status = match request.body(body).send().await {
        Ok(answer) => answer.status().as_u16(),
        // An answer that comes before all is written may be lost with the connection.
        Err(error) => {
            assert_eq!(kind, Some(Oversized), "{error:?}");
            413
        }
    };
    (status, begun.elapsed())
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_answered_for_what_it_is_and_disturbs_nothing() {
    let (broken, callers) = (size("BROKEN", 600), 8);
    let sim = simulator(quick()).await;
    let server = Arc::new(Server::with(vec![("PALOMAR__LOG__FORMAT", "json".to_owned())]).await);
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    let number = (100_200_300_400_500 + u64::from(sim.addr.port())).to_string();
    let first = seed();
    let begun = instant();
    let bad = (0..callers).map(|caller| {
        let (server, number) = (Arc::clone(&server), number.clone());
        tokio::spawn(async move {
            let mut dice = Dice(first + caller as u64);
            let mut told: BTreeMap<Broken, usize> = BTreeMap::new();
            for n in (caller..broken).step_by(callers) {
                let kind = KINDS[n / callers % KINDS.len()];
                let body = body(kind, &number, BROKEN + n, &mut dice);
                let (status, _) = post(&server, Some(kind), body).await;
                assert_eq!(status, kind.answer(), "{kind:?}");
                *told.entry(kind).or_default() += 1;
            }
            told
        })
    });
    let bad: Vec<_> = bad.collect();
    let mut times = Vec::new();
    let messages = broken / 4;
    for n in 0..messages {
        let (status, took) = post(&server, None, good(&number, GOOD + n).to_string().into_bytes()).await;
        assert_eq!(status, 200);
        times.push(took);
    }
    let mut told: BTreeMap<Broken, usize> = BTreeMap::new();
    for caller in bad {
        for (kind, count) in caller.await.expect("no answer was another") {
            *told.entry(kind).or_default() += count;
        }
    }
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let ids: Vec<String> = (0..messages).map(|n| format!("wamid.{}", GOOD + n)).collect();
    until("what is good has arrived, and what can't be read is kept", || async {
        let stats = server.get("/api/queue-monitor/stats").await;
        let webhook = &stats["webhook"];
        let open = ["waiting", "active", "delayed"].iter().any(|name| webhook[*name] != 0);
        let received = server.count("line", "received").await;
        if open || received < messages { Err(format!("{received} of {messages}; {webhook}")) } else { Ok(()) }
    })
    .await;
    let page = server.get("/api/failed-webhooks?limit=200").await;
    let unreadable: usize =
        told.iter().filter(|(kind, _)| kind.is_unreadable()).map(|(_, count)| count).sum();
    let kept = page["items"].as_array().map_or(0, Vec::len);
    assert!(kept >= unreadable.min(200), "{kept} of {unreadable} are kept");
    assert!(page["items"].as_array().is_some_and(|items| items.iter().all(|item| {
        !ids.iter().any(|id| item["payload"].as_str().unwrap_or_default().contains(&format!("\"{id}\"")))
    })));

    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for line in server.printed().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        assert_ne!(line["message"], "a handler panicked", "{line}");
        let cause = format!("{} {} {}", line["message"], line["route"], line["status"]);
        *lines.entry(cause).or_default() += 1;
    }
    for (cause, count) in &lines {
        assert!(*count <= 2 * seconds + 4, "{count} lines in {seconds} s: {cause}");
    }
    eprintln!(
        "{told:?} beside {messages} good ones in {seconds} s, of which p99 {:?}; {kept} kept",
        p99(times)
    );
}
