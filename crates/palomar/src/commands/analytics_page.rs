//! A report as one page of HTML that needs nothing else: its style and its charts (SVG) are in it, it runs no script, and
//! it is printed as it is shown.

use std::fmt::Write as _;

use serde_json::Value;

use super::analytics_shown::{COUNTS, change, costs, list, percent, took};
use super::{number, text};

const STYLE: &str = "\
:root{--ink:#1c2430;--dim:#667085;--line:#e4e7ec;--sent:#3b82f6;--delivered:#14b8a6;--read:#8b5cf6;--failed:#ef4444;--received:#f59e0b}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);margin:0;background:#fff}
main{max-width:60rem;margin:0 auto;padding:2rem 1.5rem}h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .6rem}
p.when{color:var(--dim);margin:.2rem 0 1.5rem}.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.8rem}
.tile{border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}.tile b{display:block;font-size:1.6rem;line-height:1.2}
.tile span{color:var(--dim);font-size:.85rem}.tile i{font-style:normal;font-size:.85rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
th{color:var(--dim);font-weight:500;font-size:.85rem}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:var(--dim)}
.key span{display:inline-flex;align-items:center;gap:.35rem;margin-right:1rem;color:var(--dim);font-size:.85rem}
.key i{width:.8rem;height:.8rem;border-radius:.2rem;display:inline-block}
section{break-inside:avoid}@media print{main{padding:0}.tile{break-inside:avoid}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}";

const LINES: [(&str, &str); 5] = [
    ("sent", "sent"),
    ("delivered", "delivered"),
    ("read", "read"),
    ("received", "received"),
    ("failed", "failed"),
];

/// The page.
pub(crate) fn page(report: &Value) -> String {
    let mut html = String::new();
    let (from, to, zone) = (text(report, "from"), text(report, "to"), text(report, "zone"));
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>Palomar report</title><style>{STYLE}</style></head>\
         <body><main><h1>Messages, {}</h1><p class=\"when\">{} to {}, days of {}</p>",
        escaped(&text(report, "period")),
        escaped(&from),
        escaped(&to),
        escaped(&zone)
    );
    tiles(&mut html, report);
    chart(&mut html, report);
    funnel(&mut html, &report["messages"]);
    conversations(&mut html, &report["conversations"]);
    table(
        &mut html,
        "Why messages failed",
        &["Reason", "Code", "Messages"],
        list(&report["messages"], "failures").iter().map(|one| texts(one, &["class", "code", "count"])),
    );
    table(
        &mut html,
        "Conversions",
        &["Kind", "Currency", "Count", "Attributed", "Value"],
        list(report, "conversions")
            .iter()
            .map(|one| texts(one, &["kind", "currency", "count", "attributed", "value"])),
    );
    table(
        &mut html,
        "Campaigns",
        &["Campaign", "", "Sent", "Delivered", "Read", "Failed", "Cost", "Return"],
        list(report, "campaigns").iter().map(|one| {
            let mut cells = texts(one, &["campaignId", "", "sent", "delivered", "read", "failed"]);
            if let Some(cell) = cells.get_mut(1) {
                *cell = percent(&one["readRate"]);
            }
            cells.extend([costs(one), percent(&one["roi"])]);
            cells
        }),
    );
    let times = report["performance"]["times"].as_object();
    table(
        &mut html,
        "How long it took",
        &["Way", "", "Median", "95 of 100", "99 of 100", "Times"],
        times.into_iter().flatten().filter(|(_, times)| number(times, "count") > 0).map(|(stage, times)| {
            let [p50, p95, p99] = ["p50Ms", "p95Ms", "p99Ms"].map(|key| took(&times[key]));
            vec![stage.replace('_', " "), String::new(), p50, p95, p99, text(times, "count")]
        }),
    );
    html.push_str("</main></body></html>");
    html
}

fn texts(value: &Value, keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| text(value, key)).collect()
}

/// Text that is no HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

fn tiles(html: &mut String, report: &Value) {
    let (messages, before) = (&report["messages"], &report["previous"]["messages"]);
    html.push_str("<section class=\"tiles\">");
    for (name, key) in
        COUNTS.iter().filter(|(_, key)| !matches!(*key, "accepted" | "attemptsFailed" | "cancelled"))
    {
        let now = number(messages, key);
        let changed = if before.is_object() { change(now, number(before, key)) } else { String::new() };
        let _ = write!(html, "<div class=\"tile\"><span>{name}</span><b>{now}</b><i>{changed}</i></div>");
    }
    html.push_str("</section>");
}

/// The range in lines.
fn chart(html: &mut String, report: &Value) {
    const WIDTH: f64 = 880.0;
    const HEIGHT: f64 = 240.0;
    const LEFT: f64 = 52.0;
    const BOTTOM: f64 = 22.0;
    let days = list(report, "series");
    if days.is_empty() {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let value = |day: &Value, key: &str| number(day, key) as f64;
    let most =
        days.iter().flat_map(|day| LINES.iter().map(move |(_, key)| value(day, key))).fold(1.0, f64::max);
    let top = round_up(most);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let step = (WIDTH - LEFT) / (days.len().saturating_sub(1).max(1) as f64);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - 8.0);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let x = |place: usize| LEFT + step * place as f64;
    let _ = write!(
        html,
        "<section><h2>By {}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Messages over time\">",
        escaped(&text(report, "bucket"))
    );
    for part in 0..=4_u8 {
        let value = top * f64::from(part) / 4.0;
        let at = y(value);
        let _ = write!(
            html,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"var(--line)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    let every = days.len().div_ceil(8).max(1);
    for (place, day) in days.iter().enumerate().step_by(every) {
        let at = text(day, "at");
        // Of a day its date, of an hour its hour.
        let shown = if text(report, "bucket") == "hour" { at.get(11..16) } else { at.get(5..10) };
        let anchor = if place + 1 == days.len() && place > 0 { "end" } else { "start" };
        let _ = write!(
            html,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            x(place),
            HEIGHT - 6.0,
            escaped(shown.unwrap_or_default())
        );
    }
    for (_, key) in LINES {
        let points: Vec<_> = days
            .iter()
            .enumerate()
            .map(|(place, day)| format!("{:.1},{:.1}", x(place), y(value(day, key))))
            .collect();
        let _ = write!(
            html,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"var(--{key})\" stroke-width=\"2\" stroke-linejoin=\"round\"/>",
            points.join(" ")
        );
        if let [one] = points.as_slice()
            && let Some((x, y)) = one.split_once(',')
        {
            let _ = write!(html, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"var(--{key})\"/>");
        }
    }
    html.push_str("</svg><div class=\"key\">");
    for (name, key) in LINES {
        let _ = write!(html, "<span><i style=\"background:var(--{key})\"></i>{name}</span>");
    }
    html.push_str("</div></section>");
}

/// The next number that is round.
fn round_up(value: f64) -> f64 {
    let scale = 10_f64.powf(value.max(1.0).log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * scale).find(|round| *round >= value).unwrap_or(value).max(4.0)
}

/// How far messages came.
fn funnel(html: &mut String, messages: &Value) {
    let most = ["accepted", "sent"].iter().map(|key| number(messages, key)).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    html.push_str("<section><h2>How far messages came</h2><svg viewBox=\"0 0 880 132\" role=\"img\" aria-label=\"Funnel\">");
    for (place, (name, colour)) in
        [("accepted", "--dim"), ("sent", "--sent"), ("delivered", "--delivered"), ("read", "--read")]
            .iter()
            .enumerate()
    {
        let count = number(messages, name);
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let (y, width) = (place as f64 * 33.0, (count as f64 / most as f64 * 600.0).clamp(1.0, 600.0));
        let _ = write!(
            html,
            "<text x=\"0\" y=\"{:.0}\">{name}</text><rect x=\"90\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"24\" rx=\"4\" \
             fill=\"var({colour})\"/><text x=\"{:.1}\" y=\"{:.0}\">{count}</text>",
            y + 16.0,
            width + 98.0,
            y + 16.0
        );
    }
    html.push_str("</svg></section>");
}

fn conversations(html: &mut String, talks: &Value) {
    if !talks.is_object() {
        return;
    }
    let rows = [
        ("Active", text(talks, "active")),
        ("New", text(talks, "new")),
        ("Asked", text(talks, "asked")),
        ("Answered", format!("{} {}", number(talks, "answered"), percent(&talks["responseRate"]))),
        ("First answer, median", took(&talks["firstResponse"]["p50Ms"])),
        ("First answer, 95 of 100", took(&talks["firstResponse"]["p95Ms"])),
        ("Any answer, median", took(&talks["response"]["p50Ms"])),
    ];
    table(
        html,
        "Conversations",
        &["", "", ""],
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), String::new(), value]),
    );
}

/// Rows under a title; nothing where there are none. All but the first two columns are numbers.
fn table(html: &mut String, title: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let class = |place: usize| if place > 1 { " class=\"n\"" } else { "" };
    let _ = write!(html, "<section><h2>{title}</h2><table><tr>");
    for (place, head) in heads.iter().enumerate() {
        let _ = write!(html, "<th{}>{head}</th>", class(place));
    }
    html.push_str("</tr>");
    for row in rows {
        html.push_str("<tr>");
        for (place, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}</td>", class(place), escaped(cell));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></section>");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_is_told_becomes_html() {
        let report = json!({
            "period": "week", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "zone": "UTC", "bucket": "day",
            "messages": {"sent": 7, "accepted": 9},
            "campaigns": [{"campaignId": "<script>alert(1)</script>", "sent": 1}],
            "series": [{"at": "2026-01-01T00:00:00Z", "sent": 7}],
        });
        let html = page(&report);
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
        assert!(html.contains("<polyline") && !html.contains("http:"), "it needs nothing else: {html}");
        assert!(
            html.contains("default-src 'none'") && !html.contains("https:"),
            "and may load nothing: {html}"
        );
        assert!(page(&json!({})).ends_with("</html>"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [(0.0, 4.0), (3.0, 4.0), (7.0, 8.0), (11.0, 20.0), (990.0, 1000.0)] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value} {}", round_up(value));
        }
    }
}
