//! `palomar top`: the server, its channels and what is wrong, live or once.

use clap::Args;
use serde_json::{Value, json};

use super::{number, short_time, text};
use crate::cli::Context;
use crate::failure::Failure;
use crate::output::Output;
use crate::screens::{Live, Top, Usage, watch};

/// `palomar top`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    live: Live,
}

/// Runs it.
pub(crate) async fn run(context: &Context, flags: Flags) -> Result<(), Failure> {
    if flags.live.is_wanted(context) {
        return watch(context, &flags.live, Top::new()).await;
    }
    let client = context.client()?;
    let ready = client.probe("/readyz").await?;
    let stats = client.get("/api/queue-monitor/stats", &[]).await?;
    let firing = [("state", Some("firing".to_owned()))];
    let alerts = client.list("/api/alerts", &firing, 20).await?;
    let under_way = [("status", Some("sending,paused".to_owned()))];
    let campaigns = client.list("/api/campaigns", &under_way, 20).await?;
    let usage = Usage::read(&client.text("/metrics").await?);
    if context.out.json {
        return context.out.document(&json!({
            "ready": ready, "process": usage, "stats": stats, "alerts": alerts, "campaigns": campaigns,
        }));
    }
    shown(context.out, &ready, &usage, &stats, &alerts);
    Ok(())
}

fn shown(out: Output, ready: &Value, usage: &Usage, stats: &Value, alerts: &[Value]) {
    let mebibytes = |bytes: Option<f64>| {
        bytes.map_or_else(String::new, |bytes| format!("{:.0} MiB", bytes / f64::from(1 << 20)))
    };
    let mut pairs = vec![
        ("status", text(ready, "status")),
        ("durable by", text(ready, "durability")),
        ("version", usage.version.clone().unwrap_or_default()),
        ("memory", mebibytes(usage.resident_bytes)),
        ("disk free", mebibytes(usage.disk_free_bytes)),
    ];
    let checks = ready["checks"].as_object().into_iter().flatten();
    let wrong: Vec<String> = checks
        .filter(|(_, check)| check["status"] != "pass")
        .map(|(name, check)| format!("{name}: {}", text(check, "detail")))
        .collect();
    pairs.push(("beware", wrong.join("; ")));
    pairs.retain(|(_, value)| !value.is_empty());
    out.pairs(&pairs);
    let queues = stats["queues"].as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<_> = queues
        .iter()
        .map(|queue| {
            let mut cells = vec![text(queue, "queue")];
            let keys = ["waiting", "active", "completed", "dead", "uncertain"];
            cells.extend(keys.map(|key| number(queue, key).to_string()));
            cells.extend([text(queue, "breaker"), text(queue, "paused")]);
            cells
        })
        .collect();
    out.line("");
    out.table(
        &["queue", "waiting", "active", "done", "dead", "uncertain", "breaker", "paused"],
        &rows,
        "no queues",
    );
    if !alerts.is_empty() {
        let row = |alert: &Value| {
            vec![
                text(alert, "severity"),
                text(alert, "rule"),
                text(alert, "subject"),
                short_time(alert, "firedAt"),
                text(alert, "detail"),
            ]
        };
        out.line("");
        out.table(
            &["alert", "rule", "of", "since", "detail"],
            &alerts.iter().map(row).collect::<Vec<_>>(),
            "",
        );
    }
}
