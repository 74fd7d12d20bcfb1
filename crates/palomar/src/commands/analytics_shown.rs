//! Analytics as tables and as CSV.

use serde_json::Value;

use super::{number, row, short_time, text};
use crate::failure::Failure;
use crate::output::Output;

/// What a report has of messages, in the order of a message's life.
pub(crate) const COUNTS: [(&str, &str); 10] = [
    ("accepted", "accepted"),
    ("sent", "sent"),
    ("delivered", "delivered"),
    ("read", "read"),
    ("received", "received"),
    ("failed", "failed"),
    ("uncertain", "uncertain"),
    ("expired", "expired"),
    ("cancelled", "cancelled"),
    ("attempts failed", "attemptsFailed"),
];

pub(crate) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[][..], Vec::as_slice)
}

/// A share in percent, where there is one.
pub(crate) fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(String::new, |share| format!("{:.1} %", share * 100.0))
}

/// Milliseconds as people say them.
pub(crate) fn took(value: &Value) -> String {
    match value.as_f64() {
        None => String::new(),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0} ms"),
        Some(ms) if ms < 120_000.0 => format!("{:.1} s", ms / 1_000.0),
        Some(ms) if ms < 7_200_000.0 => format!("{:.0} min", ms / 60_000.0),
        Some(ms) => format!("{:.1} h", ms / 3_600_000.0),
    }
}

/// How much more or less than before, in percent.
pub(crate) fn change(now: u64, before: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown without a fraction")]
    match before {
        0 => String::new(),
        _ => format!("{:+.0} %", (now as f64 / before as f64 - 1.0) * 100.0),
    }
}

/// A report for a person at a terminal.
pub(super) fn report(out: Output, report: &Value) {
    out.line(format_args!("{} to {} ({})", text(report, "from"), text(report, "to"), text(report, "zone")));
    out.line("");
    let (messages, before) = (&report["messages"], &report["previous"]["messages"]);
    let rows: Vec<_> = COUNTS
        .iter()
        .map(|(name, key)| {
            let (now, was) = (number(messages, key), number(before, key));
            let mut cells = vec![(*name).to_owned(), now.to_string()];
            if before.is_object() {
                cells.extend([was.to_string(), change(now, was)]);
            }
            cells
        })
        .collect();
    let period = text(report, "period");
    let heads = ["messages", &period, "before", "change"];
    out.table(&heads[..if before.is_object() { 4 } else { 2 }], &rows, "no messages");
    let talks = &report["conversations"];
    out.line("");
    let mut shares = vec![
        ("delivered of sent", percent(&messages["deliveryRate"])),
        ("read of delivered", percent(&messages["readRate"])),
    ];
    if talks.is_object() {
        let answered = format!(
            "{} of {} {}",
            number(talks, "answered"),
            number(talks, "asked"),
            percent(&talks["responseRate"])
        );
        shares.extend([
            ("conversations", format!("{} active, {} new", number(talks, "active"), number(talks, "new"))),
            ("answered", answered),
            ("first answer", format!("{} (median)", took(&talks["firstResponse"]["p50Ms"]))),
        ]);
    }
    out.pairs(&shares);
    failures(out, messages);
    conversions(out, list(report, "conversions"));
    campaigns(out, list(report, "campaigns"));
    times(out, &report["performance"]);
}

fn failures(out: Output, messages: &Value) {
    let rows: Vec<_> =
        list(messages, "failures").iter().map(|failure| row(failure, &["class", "code", "count"])).collect();
    if !rows.is_empty() {
        out.line("");
        out.table(&["failed", "code", "messages"], &rows, "");
    }
}

fn conversions(out: Output, conversions: &[Value]) {
    let rows: Vec<_> = conversions
        .iter()
        .map(|one| row(one, &["kind", "count", "attributed", "value", "currency"]))
        .collect();
    if !rows.is_empty() {
        out.line("");
        out.table(&["conversions", "count", "attributed", "value", "currency"], &rows, "");
    }
}

fn campaigns(out: Output, campaigns: &[Value]) {
    let rows: Vec<_> = campaigns
        .iter()
        .map(|one| {
            let mut cells = row(one, &["campaignId", "sent", "delivered", "read", "failed"]);
            cells.extend([costs(one), percent(&one["roi"])]);
            cells
        })
        .collect();
    if !rows.is_empty() {
        out.line("");
        out.table(&["campaign", "sent", "delivered", "read", "failed", "cost", "return"], &rows, "");
    }
}

/// What a campaign cost, a currency after another.
pub(super) fn costs(campaign: &Value) -> String {
    let sums =
        list(campaign, "cost").iter().map(|sum| format!("{} {}", text(sum, "amount"), text(sum, "currency")));
    sums.collect::<Vec<_>>().join(", ")
}

fn times(out: Output, performance: &Value) {
    let times = performance["times"].as_object();
    let rows: Vec<_> = times
        .into_iter()
        .flatten()
        .filter(|(_, times)| number(times, "count") > 0)
        .map(|(stage, times)| {
            let cell = |key: &str| took(&times[key]);
            vec![stage.replace('_', " "), cell("p50Ms"), cell("p95Ms"), cell("p99Ms"), text(times, "count")]
        })
        .collect();
    if !rows.is_empty() {
        out.line("");
        out.table(&["took", "p50", "p95", "p99", "times"], &rows, "");
    }
}

fn written(rows: Vec<Vec<String>>) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: String| Failure::new(format!("can't write this as CSV: {error}"));
    for row in rows {
        writer.write_record(&row).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

/// A report as CSV: one value a row, each under its section and name, so that everything has a place.
pub(crate) fn csv(report: &Value) -> Result<String, Failure> {
    let mut rows = vec![["section", "name", "metric", "value"].map(str::to_owned).to_vec()];
    let mut add = |section: &str, name: &str, metric: &str, value: &Value| {
        let shown = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.push(vec![section.to_owned(), cell(name), metric.to_owned(), cell(&shown)]);
    };
    for key in ["period", "from", "to", "zone"] {
        add("report", "", key, &report[key]);
    }
    for (section, value) in [("messages", &report["messages"]), ("conversations", &report["conversations"])] {
        for (metric, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::Object(times) => {
                    times.iter().for_each(|(name, value)| add(section, metric, name, value));
                }
                Value::Array(_) => {}
                value => add(section, "", metric, value),
            }
        }
    }
    for failure in list(&report["messages"], "failures") {
        add(
            "failures",
            &format!("{} {}", text(failure, "class"), text(failure, "code")),
            "count",
            &failure["count"],
        );
    }
    for one in list(report, "conversions") {
        let name = format!("{} {}", text(one, "kind"), text(one, "currency"));
        ["count", "attributed", "value"]
            .iter()
            .for_each(|key| add("conversions", name.trim(), key, &one[*key]));
    }
    for one in list(report, "campaigns") {
        let name = text(one, "campaignId");
        COUNTS.iter().for_each(|(_, key)| add("campaigns", &name, key, &one[*key]));
        for sum in list(one, "cost") {
            add("campaigns", &name, &format!("cost {}", text(sum, "currency")), &sum["amount"]);
        }
        add("campaigns", &name, "unpriced", &one["unpriced"]);
        add("campaigns", &name, "roi", &one["roi"]);
    }
    for (stage, times) in report["performance"]["times"].as_object().into_iter().flatten() {
        times.as_object().into_iter().flatten().for_each(|(key, value)| add("times", stage, key, value));
    }
    for stretch in list(report, "series") {
        let at = text(stretch, "at");
        ["sent", "delivered", "read", "failed", "received"]
            .iter()
            .for_each(|key| add("series", &at, key, &stretch[*key]));
    }
    written(rows)
}

/// A cell that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let number = text.parse::<f64>().is_ok();
    if !number && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// A time series for a person at a terminal.
pub(super) fn series(out: Output, series: &Value) {
    let groups = list(series, "series");
    out.talk(format_args!(
        "{} by {} from {} to {} ({})",
        text(series, "metric"),
        text(series, "bucket"),
        text(series, "from"),
        text(series, "to"),
        text(series, "zone")
    ));
    let most = groups
        .iter()
        .flat_map(|group| list(group, "points"))
        .filter_map(|point| point["value"].as_f64())
        .fold(0.0, f64::max);
    let rows: Vec<_> = groups
        .iter()
        .flat_map(|group| {
            list(group, "points").iter().map(move |point| {
                let value = point["value"].as_f64();
                vec![text(group, "group"), short_time(point, "at"), text(point, "value"), bar(value, most)]
            })
        })
        .collect();
    out.table(&["group", "from", "value", ""], &rows, "nothing happened");
}

/// A bar of up to 30 blocks.
fn bar(value: Option<f64>, most: f64) -> String {
    let share = value.filter(|_| most > 0.0).map_or(0.0, |value| value / most);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 30")]
    "█".repeat((share.clamp(0.0, 1.0) * 30.0).round() as usize)
}

/// A time series as CSV.
pub(super) fn series_csv(series: &Value) -> Result<String, Failure> {
    let mut rows = vec![["group", "at", "value"].map(str::to_owned).to_vec()];
    for group in list(series, "series") {
        for point in list(group, "points") {
            rows.push(vec![cell(&text(group, "group")), text(point, "at"), text(point, "value")]);
        }
    }
    written(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_as_people_say_them() {
        for (ms, shown) in [(3.2, "3 ms"), (1_500.0, "1.5 s"), (600_000.0, "10 min"), (9_000_000.0, "2.5 h")]
        {
            assert_eq!(took(&json!(ms)), shown);
        }
        assert_eq!((took(&json!(null)), percent(&json!(0.985))), (String::new(), "98.5 %".to_owned()));
        assert_eq!((change(150, 100), change(1, 0)), ("+50 %".to_owned(), String::new()));
    }

    #[test]
    fn no_cell_is_a_formula() {
        let report = json!({
            "period": "week", "messages": {"sent": 3, "failures": [{"class": "reported", "code": "131026", "count": 2}]},
            "campaigns": [{"campaignId": "=1+1", "sent": 1}],
        });
        let text = csv(&report).expect("written");
        assert!(text.contains("messages,,sent,3\n"), "{text}");
        assert!(text.contains("failures,reported 131026,count,2\n"), "{text}");
        assert!(text.contains("campaigns,'=1+1,sent,1\n"), "{text}");
    }
}
