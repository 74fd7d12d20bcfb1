//! `palomar top` as it is drawn.

use std::time::Duration;

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::clean::wrapped;
use super::flow::draw_rates;
use super::paint::{Palette, Tone, above, bar, beside, line, put, section, short, spark, whole, words};
use super::queues::{age, count, lasting, text};
use super::table::{Row, number_column, table, text_column};
use super::top::{Busy, OVER, Order, Top};

/// How far back what flows is drawn.
const FLOW: Duration = Duration::from_secs(300);

/// Draws it: the process, what flows, the channels, and what runs or is wrong.
pub(super) fn draw(screen: &Top, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
    let (head, rest) = above(area, 5);
    let (left, right) = beside(head, head.width * 5 / 9);
    draw_process(screen, buf, left, palette, now);
    draw_flow(screen, buf, right, palette);
    let roomy = rest.height >= 30;
    let (flow, rest) = above(rest, if roomy { rest.height / 3 } else { 0 });
    if roomy {
        let flow = section(buf, flow, "a second, last 5 min", palette);
        let counts = [("messages done", &screen.sent), ("webhooks in", &screen.received)];
        draw_rates(buf, flow, &counts, (now, FLOW), palette);
    }
    // Channels have the room that they need, and leave some to the rest.
    let wanted = u16::try_from(screen.channels().len()).unwrap_or(u16::MAX).saturating_add(2);
    let room = rest.height.saturating_sub(if roomy { 12 } else { 6 });
    let (channels, below) = above(rest, wanted.max(rest.height / 2).min(room));
    draw_channels(screen, buf, channels, palette, now);
    let (left, right) = beside(below, below.width / 2);
    draw_campaigns(screen, buf, left, palette);
    draw_wrong(screen, buf, right, palette, now);
}

fn mebibytes(bytes: f64) -> String {
    if bytes >= f64::from(1 << 30) {
        format!("{:.1} GiB", bytes / f64::from(1 << 30))
    } else {
        format!("{:.0} MiB", bytes / f64::from(1 << 20))
    }
}

fn draw_process(screen: &Top, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
    let (dim, plain) = (palette.style(Tone::Dim), palette.style(Tone::Plain));
    let usage = &screen.usage;
    let status = text(&screen.ready, "status");
    let tone = match status {
        "pass" => Tone::Good,
        "warn" => Tone::Warn,
        _ => Tone::Bad,
    };
    #[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
    let up = usage.started_at_seconds.map(|at| lasting(now.since(Timestamp::from_seconds(at as i64))));
    let named = |name: &str, value: Option<String>| {
        [(format!("  {name} "), dim), (value.unwrap_or_else(|| "—".to_owned()), plain)]
    };
    let begun = |name: &str, value: Option<String>| {
        let [(name, style), value] = named(name, value);
        vec![(name.trim_start().to_owned(), style), value]
    };
    let mut first = vec![(status.to_owned(), palette.style(tone))];
    first.extend(named("up", up));
    first.extend(named("version", usage.version.clone()));
    first.extend(named("nodes", Some(screen.nodes.len().max(1).to_string())));
    words(buf, line(area, 0), &first);
    let cpu = screen.cpu.rate(Duration::from_secs(10)).map(|millis| millis / 1_000.0);
    let mut second = begun("cpu", cpu.map(|share| format!("{:.0} %", share * 100.0)));
    second.push((format!("  {:<8}", bar(cpu.unwrap_or(0.0), 1.0, 8)), palette.series(0)));
    second.extend(named("memory", usage.resident_bytes.map(mebibytes)));
    words(buf, line(area, 1), &second);
    let disk = usage.disk_free_bytes.zip(usage.disk_size_bytes);
    let mut third = begun("disk", disk.map(|(free, _)| format!("{} free", mebibytes(free))));
    let (used, size) = disk.map_or((0.0, 1.0), |(free, size)| (size - free, size));
    third.push((format!("  {:<5}", bar(used, size, 5)), palette.series(2)));
    third.extend(named("stores", usage.store_bytes.map(mebibytes)));
    words(buf, line(area, 2), &third);
    let mut fourth = begun("records behind by", usage.lag_events.map(short));
    fourth.extend(named("files", usage.open_fds.map(short)));
    fourth.extend(named("clients", usage.realtime_clients.map(short)));
    words(buf, line(area, 3), &fourth);
    let durability = text(&screen.ready, "durability");
    // In words where they fit, else its name.
    let name = durability.split(':').next().unwrap_or_default();
    let fits = durability.chars().count() + 11 <= usize::from(area.width);
    let durability = Some(if fits { durability } else { name }).filter(|name| !name.is_empty());
    words(buf, line(area, 4), &begun("durable by", durability.map(str::to_owned)));
}

fn draw_flow(screen: &Top, buf: &mut Buffer, area: Rect, palette: Palette) {
    let (dim, strong) = (palette.style(Tone::Dim), palette.style(Tone::Strong));
    let rate = |history: &super::history::History| {
        history
            .rate(Duration::from_secs(10))
            .map_or_else(|| "…".to_owned(), |rate| format!("{}/s", short(rate)))
    };
    for (n, name, history) in [(0, "messages done", &screen.sent), (2, "webhooks in", &screen.received)] {
        words(buf, line(area, n), &[(format!("{name} "), dim), (rate(history), strong)]);
        let steps = history.steps(usize::from(area.width));
        spark(buf, line(area, n + 1), &steps, palette.series(usize::from(n) / 2));
    }
    let sum =
        |key: &str| -> u64 { screen.channels().iter().map(|(_, busy)| count(&busy.outbound, key)).sum() };
    let stuck = sum("dead") + sum("uncertain");
    let tone = palette.style(if stuck > 0 { Tone::Warn } else { Tone::Plain });
    let all = [
        ("waiting ".to_owned(), dim),
        (format!("{}  ", whole(sum("waiting"))), strong),
        ("active ".to_owned(), dim),
        (format!("{}  ", whole(sum("active"))), strong),
        ("stuck ".to_owned(), dim),
        (whole(stuck), tone),
    ];
    words(buf, line(area, 4), &all);
}

fn draw_channels(screen: &Top, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
    let order = match screen.order {
        Order::Rate => "busiest first",
        Order::Waiting => "what waits first",
        Order::Stuck => "what is stuck first",
        Order::Name => "by name",
    };
    let filter = if screen.filter.is_empty() { String::new() } else { format!(", with {:?}", screen.filter) };
    let channels = screen.channels();
    let area = section(buf, area, &format!("channels: {}, {order}{filter}", channels.len()), palette);
    let columns = [
        text_column("channel", 0, 0),
        number_column("out/s", 7, 0),
        number_column("in/s", 7, 0),
        text_column("use", 10, 100),
        number_column("waiting", 8, 0),
        number_column("oldest", 7, 90),
        number_column("active", 6, 0),
        number_column("done", 9, 100),
        number_column("in all", 9, 110),
        number_column("dead", 6, 0),
        number_column("unsure", 6, 0),
        text_column("state", 14, 0),
    ];
    let rows: Vec<Row> = channels.iter().map(|(name, busy)| channel(screen, name, busy, now)).collect();
    table(buf, area, &columns, &rows, Some(screen.chosen()), palette);
}

fn channel(screen: &Top, name: &str, busy: &Busy, now: Timestamp) -> Row {
    let rate = |history: &super::history::History| match history.rate(OVER) {
        None => ("…".to_owned(), Tone::Dim),
        Some(rate) => (short(rate), if rate > 0.0 { Tone::Strong } else { Tone::Dim }),
    };
    let number = |key: &str, tone| {
        let count = count(&busy.outbound, key);
        (whole(count), if count > 0 { tone } else { Tone::Dim })
    };
    let used = match (screen.usage.allowed(name), busy.starts.rate(OVER)) {
        (Some(allowed), Some(used)) if allowed > 0.0 => (bar(used, allowed, 10), Tone::Accent),
        (None, _) => ("no limit".to_owned(), Tone::Dim),
        _ => (String::new(), Tone::Dim),
    };
    Row {
        cells: vec![
            (name.to_owned(), Tone::Plain),
            rate(&busy.done),
            rate(&busy.arrived),
            used,
            number("waiting", Tone::Plain),
            (age(&busy.outbound, "oldestWaitingAt", now), Tone::Plain),
            number("active", Tone::Plain),
            number("completed", Tone::Plain),
            (whole(count(&busy.inbound, "accepted")), Tone::Dim),
            number("dead", Tone::Bad),
            number("uncertain", Tone::Warn),
            super::queues::state(&busy.outbound),
        ],
    }
}

fn draw_campaigns(screen: &Top, buf: &mut Buffer, area: Rect, palette: Palette) {
    let area = section(buf, area, "campaigns under way", palette);
    if screen.campaigns.is_empty() {
        put(buf, area, "none", palette.style(Tone::Dim));
    }
    for (n, campaign) in (0u16..).zip(&screen.campaigns).take(usize::from(area.height)) {
        let row = line(area, n);
        let progress = &campaign["progress"];
        let (name, rest) = beside(row, row.width / 3);
        put(buf, name, text(campaign, "name"), palette.style(Tone::Plain));
        let (drawn, rest) = beside(rest, rest.width / 3);
        #[expect(clippy::cast_precision_loss, reason = "a bar")]
        let share = [count(progress, "processed") as f64, count(progress, "total") as f64];
        put(buf, drawn, &bar(share[0], share[1], drawn.width), palette.series(1));
        let state = text(campaign, "status");
        let figures =
            format!("{} % of {} {state}", count(progress, "percentage"), whole(count(progress, "total")));
        put(buf, rest, &figures, palette.style(if state == "paused" { Tone::Warn } else { Tone::Plain }));
    }
}

/// What is wrong: alerts that fire, and checks that do not pass.
fn draw_wrong(screen: &Top, buf: &mut Buffer, area: Rect, palette: Palette, now: Timestamp) {
    let area = section(buf, area, "what is wrong", palette);
    let alerts = screen.alerts.iter().map(|alert| {
        let tone = if text(alert, "severity") == "critical" { Tone::Bad } else { Tone::Warn };
        let since = age(alert, "firedAt", now);
        (
            format!(
                "{} {} for {since}: {}",
                text(alert, "rule"),
                text(alert, "subject"),
                text(alert, "detail")
            ),
            tone,
        )
    });
    let checks = screen.ready["checks"].as_object().into_iter().flatten().filter_map(|(name, check)| {
        let tone = match text(check, "status") {
            "pass" => return None,
            "warn" => Tone::Warn,
            _ => Tone::Bad,
        };
        Some((format!("{name}: {}", text(check, "detail")), tone))
    });
    let failed = screen.usage.webhooks_failed.filter(|failed| *failed > 0.0).map(|failed| {
        (format!("{} webhooks could not be processed: palomar webhook list", short(failed)), Tone::Warn)
    });
    let stuck = spooled(&screen.spool);
    let all: Vec<(String, Tone)> = alerts.chain(checks).chain(failed).chain(stuck).collect();
    if all.is_empty() {
        put(buf, area, "nothing that is known", palette.style(Tone::Good));
    }
    let lines =
        all.iter().flat_map(|(words, tone)| wrapped(words, area.width).into_iter().map(|part| (part, *tone)));
    for (n, (part, tone)) in (0u16..).zip(lines) {
        put(buf, line(area, n), &part, palette.style(tone));
    }
}

fn spooled(spool: &Value) -> Option<(String, Tone)> {
    let items = count(spool, "items");
    (items > 0).then(|| (format!("{} accepted things wait in this node's spool", whole(items)), Tone::Warn))
}
