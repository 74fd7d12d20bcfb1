//! The dashboard as it is drawn.

use palomar_model::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::clean::wrapped;
use super::dashboard::{Dashboard, Pane};
use super::paint::{
    Palette, Series, Tile, Tone, above, bar, bars, beside, chart, line, put, put_right, section, tiles,
    whole, words,
};
use super::queues::{count, text};
use super::table::{Row, number_column, table, text_column};
use crate::commands::analytics_shown::{COUNTS, change, list, percent, took};

/// Draws all of it: what has no room below the chart is behind Tab.
pub(super) fn draw(screen: &Dashboard, buf: &mut Buffer, area: Rect, palette: Palette) {
    draw_range(screen, buf, line(area, 0), palette);
    let (_, area) = above(area, 1);
    let roomy = area.width >= 120 && area.height >= 34;
    let (top, rest) = above(area, if roomy { 4 } else { 3 });
    draw_tiles(screen, buf, top, palette);
    if !roomy {
        let (middle, below) = above(rest, rest.height.saturating_sub(8).max(5));
        draw_chart(screen, buf, middle, palette);
        let (left, right) = beside(below, below.width * 2 / 5);
        draw_talks(screen, buf, left, palette);
        draw_pane(screen, screen.pane(), buf, right, palette);
        return;
    }
    let (middle, below) = above(rest, rest.height * 2 / 5);
    draw_chart(screen, buf, middle, palette);
    let (first, second) = above(below, below.height / 2);
    let third = area.width / 3;
    for (row, panes) in [
        (first, [Pane::Counts, Pane::Times, Pane::Failures]),
        (second, [Pane::Conversions, Pane::Campaigns, Pane::Conversations]),
    ] {
        let (left, rest) = beside(row, third);
        let (centre, right) = beside(rest, third);
        for (place, pane) in [left, centre, right].into_iter().zip(panes) {
            draw_pane(screen, pane, buf, place, palette);
        }
    }
}

fn draw_range(screen: &Dashboard, buf: &mut Buffer, area: Rect, palette: Palette) {
    let report = &screen.report;
    let day = |key| text(report, key).get(..16).unwrap_or_default().replace('T', " ");
    let range =
        format!("{}: {} to {}, {}", text(report, "period"), day("from"), day("to"), text(report, "zone"));
    let taken = put(buf, area, &range, palette.style(Tone::Strong));
    let only: Vec<String> = screen.only.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let rest = Rect { x: area.x + taken, width: area.width - taken, ..area };
    let only = if only.is_empty() { "all messages".to_owned() } else { format!("only {}", only.join(", ")) };
    put_right(
        buf,
        rest,
        &format!("  {only}"),
        palette.style(if screen.only.is_empty() { Tone::Dim } else { Tone::Warn }),
    );
}

/// The counts that matter most, what they were before, and how they went.
fn draw_tiles(screen: &Dashboard, buf: &mut Buffer, area: Rect, palette: Palette) {
    let (messages, before) = (&screen.report["messages"], &screen.report["previous"]["messages"]);
    let tile = |name, key: &str, rate: Option<&str>, tone| {
        let rate = rate.map_or_else(String::new, |rate| percent(&messages[rate]));
        let change = change(count(messages, key), count(before, key));
        let notes: Vec<String> = [rate, change].into_iter().filter(|note| !note.is_empty()).collect();
        let value = format!("{} {}", whole(count(messages, key)), notes.join(" ")).trim_end().to_owned();
        // Of a week there are fewer stretches than cells.
        let stretches = list(&screen.report, "series");
        let each = (usize::from(area.width / 5).saturating_sub(1) / stretches.len().max(1)).max(1);
        let went = stretches.iter().flat_map(|one| std::iter::repeat_n(count(one, key), each)).collect();
        Tile { name, value, tone, went }
    };
    let failed = if count(messages, "failed") > 0 { Tone::Bad } else { Tone::Plain };
    let all = [
        tile("sent", "sent", None, Tone::Plain),
        tile("delivered", "delivered", Some("deliveryRate"), Tone::Good),
        tile("read", "read", Some("readRate"), Tone::Good),
        tile("failed", "failed", None, failed),
        tile("received", "received", None, Tone::Plain),
    ];
    tiles(buf, area, &all, palette);
}

/// A stretch's place in time, in seconds.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
fn second(value: &Value) -> Option<f64> {
    Some(text(value, "at").parse::<Timestamp>().ok()?.seconds() as f64)
}

fn draw_chart(screen: &Dashboard, buf: &mut Buffer, area: Rect, palette: Palette) {
    let metric = screen.metric();
    let source = if metric == "messages" { &screen.report } else { &screen.series };
    let bucket = text(source, "bucket");
    let (drawn, name) = if metric == "messages" {
        let stretches = list(&screen.report, "series");
        #[expect(clippy::cast_precision_loss, reason = "a chart")]
        let points = |key: &str| {
            let point = |stretch| Some((second(stretch)?, count(stretch, key) as f64));
            stretches.iter().filter_map(point).collect()
        };
        let series = ["sent", "delivered", "read", "failed", "received"];
        (series.map(|name| Series { name, points: points(name) }).into(), format!("messages by {bucket}"))
    } else {
        let groups = list(&screen.series, "series");
        let point = |point: &Value| Some((second(point)?, point["value"].as_f64()?));
        let points: Vec<_> =
            groups.iter().take(1).flat_map(|group| list(group, "points")).filter_map(point).collect();
        let (points, which) = match screen.series["percentile"].as_u64() {
            Some(n) => {
                let (points, unit) = in_unit(points);
                (points, format!(", p{n} in {unit}"))
            }
            None => (points, String::new()),
        };
        (vec![Series { name: metric, points }], format!("{metric} by {bucket}{which}"))
    };
    let area = section(buf, area, &name, palette);
    if source.is_null() {
        put(buf, area, "asking …", palette.style(Tone::Dim));
        return;
    }
    let ends = ["from", "to"].map(|key| text(source, key));
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    let bounds = ends.map(|end| end.parse::<Timestamp>().map_or(0.0, |at| at.seconds() as f64));
    let short = ends.map(|end| end.get(5..16).unwrap_or_default().replace('T', " "));
    chart(buf, area, &drawn, bounds, [&short[0], &short[1]], palette);
}

/// Milliseconds in the unit that the largest of them is best told in.
fn in_unit(points: Vec<(f64, f64)>) -> (Vec<(f64, f64)>, &'static str) {
    let most = points.iter().map(|(_, ms)| *ms).fold(0.0, f64::max);
    let (unit, name) = match most {
        _ if most < 10_000.0 => (1.0, "ms"),
        _ if most < 600_000.0 => (1_000.0, "s"),
        _ if most < 36_000_000.0 => (60_000.0, "min"),
        _ => (3_600_000.0, "h"),
    };
    (points.into_iter().map(|(at, ms)| (at, ms / unit)).collect(), name)
}

/// How people are answered.
fn draw_talks(screen: &Dashboard, buf: &mut Buffer, area: Rect, palette: Palette) {
    let area = section(buf, area, "conversations", palette);
    pairs(buf, area, &talks(&screen.report["conversations"]), palette);
}

fn talks(talks: &Value) -> Vec<(&'static str, String)> {
    let asked = format!("{} of {}", whole(count(talks, "answered")), whole(count(talks, "asked")));
    let half = |key: &str| match took(&talks[key]["p50Ms"]) {
        none if none.is_empty() => "—".to_owned(),
        half => format!("{half}, p95 {}", took(&talks[key]["p95Ms"])),
    };
    vec![
        ("active", whole(count(talks, "active"))),
        ("new", whole(count(talks, "new"))),
        ("answered", format!("{asked} {}", percent(&talks["responseRate"]))),
        ("first", half("firstResponse")),
        ("every", half("response")),
    ]
}

fn pairs(buf: &mut Buffer, area: Rect, pairs: &[(&str, String)], palette: Palette) {
    for (n, (name, value)) in (0u16..).zip(pairs) {
        let parts =
            [(format!("{name:<10}"), palette.style(Tone::Dim)), (value.clone(), palette.style(Tone::Plain))];
        words(buf, line(area, n), &parts);
    }
}

fn draw_pane(screen: &Dashboard, pane: Pane, buf: &mut Buffer, area: Rect, palette: Palette) {
    match pane {
        Pane::Times => draw_times(screen, buf, area, palette),
        Pane::Counts => draw_counts(screen, buf, area, palette),
        Pane::Failures => {
            let area = section(buf, area, "why messages failed", palette);
            let reason = |one: &Value| {
                let code = text(one, "code");
                let name = format!("{} {code}", text(one, "class")).trim_end().to_owned();
                (name, count(one, "count"))
            };
            let items: Vec<_> = list(&screen.report["messages"], "failures").iter().map(reason).collect();
            if items.is_empty() {
                put(buf, area, "none failed", palette.style(Tone::Good));
            }
            bars(buf, area, &items, palette.style(Tone::Bad), palette);
        }
        Pane::Conversions => draw_conversions(screen, buf, area, palette),
        Pane::Campaigns => {
            let area = section(buf, area, "campaigns", palette);
            let columns = [
                text_column("campaign", 0, 0),
                number_column("sent", 8, 0),
                number_column("delivered", 9, 0),
                number_column("read", 8, 0),
                number_column("failed", 6, 0),
            ];
            let row = |one: &Value| {
                let mut cells = vec![(text(one, "campaignId").to_owned(), Tone::Plain)];
                cells.extend(
                    ["sent", "delivered", "read", "failed"].map(|key| (whole(count(one, key)), Tone::Plain)),
                );
                Row { cells }
            };
            listed(
                buf,
                area,
                &columns,
                &list(&screen.report, "campaigns").iter().map(row).collect::<Vec<_>>(),
                palette,
            );
        }
        Pane::Conversations => {
            let area = section(buf, area, "busiest conversations", palette);
            let columns = [
                text_column("contact", 0, 0),
                text_column("channel", 10, 0),
                number_column("received", 8, 0),
                number_column("sent", 8, 0),
            ];
            let row = |one: &Value| Row {
                cells: vec![
                    (text(one, "contactId").to_owned(), Tone::Plain),
                    (text(one, "channel").to_owned(), Tone::Plain),
                    (whole(count(one, "received")), Tone::Plain),
                    (whole(count(one, "sent")), Tone::Plain),
                ],
            };
            listed(buf, area, &columns, &screen.top.iter().map(row).collect::<Vec<_>>(), palette);
        }
    }
}

fn listed(buf: &mut Buffer, area: Rect, columns: &[super::table::Column], rows: &[Row], palette: Palette) {
    if rows.is_empty() {
        put(buf, area, "none", palette.style(Tone::Dim));
    } else {
        table(buf, area, columns, rows, None, palette);
    }
}

/// How long the ways took: half of all as the bar's full part, 95 of 100 as its end.
fn draw_times(screen: &Dashboard, buf: &mut Buffer, area: Rect, palette: Palette) {
    const STAGES: [(&str, &str); 5] = [
        ("queue wait", "queue_wait"),
        ("provider", "provider_latency"),
        ("to sent", "accepted_to_sent"),
        ("to phone", "sent_to_delivered"),
        ("to read", "delivered_to_read"),
    ];
    let area = section(buf, area, "times: p50, p95, p99", palette);
    let times = &screen.report["performance"]["times"];
    for (n, (name, key)) in (0u16..).zip(STAGES) {
        let row = line(area, n);
        put(buf, row, &format!("{name:<11}"), palette.style(Tone::Dim));
        let (_, rest) = beside(row, 11);
        if count(&times[key], "count") == 0 {
            put(buf, rest, "—", palette.style(Tone::Dim));
            continue;
        }
        let shown = ["p50Ms", "p95Ms", "p99Ms"].map(|key_of| took(&times[key][key_of]));
        let figures = format!("{:>7} {:>7} {:>7}", shown[0], shown[1], shown[2]);
        put(buf, rest, &figures, palette.style(Tone::Plain));
        let (_, rest) = beside(rest, 24);
        // Times reach from milliseconds to hours: their bars are of their logarithm, from 1 ms to a day.
        let length = |key_of: &str| times[key][key_of].as_f64().unwrap_or(0.0).max(1.0).log10();
        let shaded = bar(length("p95Ms"), 8.0, rest.width).replace(|c| c != ' ', "░");
        put(buf, rest, &shaded, palette.style(Tone::Dim));
        put(buf, rest, &bar(length("p50Ms"), 8.0, rest.width), palette.series(0));
    }
    let (performance, (_, rest)) = (&screen.report["performance"], above(area, 5));
    let rate = |key: &str| performance[key].as_f64().map_or_else(String::new, super::paint::short);
    let failed = percent(&performance["attemptFailureRate"]);
    let failed = if failed.is_empty() { failed } else { format!(", {failed} of attempts failed") };
    let words =
        format!("a minute: {} sent, {} received{failed}", rate("sentPerMinute"), rate("receivedPerMinute"));
    for (n, part) in (0u16..).zip(wrapped(&words, rest.width)) {
        put(buf, line(rest, n), &part, palette.style(Tone::Plain));
    }
}

fn draw_counts(screen: &Dashboard, buf: &mut Buffer, area: Rect, palette: Palette) {
    let area = section(buf, area, "messages and conversations, before", palette);
    let columns = [
        text_column("", 0, 0),
        number_column("now", 10, 0),
        number_column("before", 10, 0),
        number_column("", 7, 0),
    ];
    let (now, was) = (&screen.report, &screen.report["previous"]);
    let row = |part: &str, name: &str, key: &str| {
        let (is, before) = (count(&now[part], key), count(&was[part], key));
        Row {
            cells: vec![
                (name.to_owned(), Tone::Dim),
                (whole(is), Tone::Plain),
                (whole(before), Tone::Dim),
                (change(is, before), Tone::Plain),
            ],
        }
    };
    let mut rows: Vec<Row> = COUNTS.iter().map(|(name, key)| row("messages", name, key)).collect();
    let talks =
        [("conversations", "active"), ("new ones", "new"), ("asked", "asked"), ("answered", "answered")];
    rows.extend(talks.map(|(name, key)| row("conversations", name, key)));
    table(buf, area, &columns, &rows, None, palette);
}

fn draw_conversions(screen: &Dashboard, buf: &mut Buffer, area: Rect, palette: Palette) {
    let area = section(buf, area, "conversions", palette);
    let columns = [
        text_column("kind", 0, 0),
        number_column("count", 7, 0),
        number_column("attributed", 10, 0),
        number_column("value", 12, 0),
        text_column("", 4, 0),
    ];
    let row = |one: &Value| Row {
        cells: vec![
            (text(one, "kind").to_owned(), Tone::Plain),
            (whole(count(one, "count")), Tone::Plain),
            (whole(count(one, "attributed")), Tone::Plain),
            (one["value"].as_f64().map_or_else(String::new, |value| format!("{value:.2}")), Tone::Good),
            (text(one, "currency").to_owned(), Tone::Plain),
        ],
    };
    listed(
        buf,
        area,
        &columns,
        &list(&screen.report, "conversions").iter().map(row).collect::<Vec<_>>(),
        palette,
    );
}
