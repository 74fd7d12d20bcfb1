//! `palomar analytics`: what was sent, read and answered, over any time.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use palomar_app::print;
use serde_json::Value;

use super::{analytics_page, analytics_shown, confirm, number};
use crate::cli::Context;
use crate::client::Client;
use crate::failure::Failure;
use crate::screens::{Dashboard, Live, watch};
use crate::serve::browser;

const ANALYTICS: &str = "/api/analytics";
/// How long Chromium may take for a page.
const PRINTED_WITHIN: Duration = Duration::from_secs(60);

/// What can be asked of analytics.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Look at messages, conversations, conversions and times, live.
    #[command(after_help = "\
Examples:
  palomar analytics dashboard
  palomar analytics dashboard --period month --channel shop --zone Europe/Madrid
  palomar analytics dashboard --once")]
    Dashboard {
        #[command(flatten)]
        range: Range,
        #[command(flatten)]
        live: Live,
    },
    /// Report on a period: messages, conversations, conversions, campaigns, performance.
    #[command(after_help = "\
Examples:
  palomar analytics report --period week
  palomar analytics report --period month --zone Europe/Madrid --format html > report.html
  palomar analytics report --period month --format pdf > report.pdf
  palomar analytics report --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --format csv")]
    Report {
        #[command(flatten)]
        range: Range,
        /// As what [usual: table].
        #[arg(long)]
        format: Option<Format>,
        /// Without the period before to compare with.
        #[arg(long)]
        alone: bool,
    },
    /// One metric over time.
    Timeseries {
        /// A count (sent, delivered, read, failed, received, …) or a time (sent_to_delivered, …) [usual: sent].
        #[arg(long)]
        metric: Option<String>,
        /// minute, 15m, hour, day, week or month [usual: what makes a picture of the range].
        #[arg(long)]
        bucket: Option<String>,
        /// Told apart by channel, campaign, template, type, country or priority.
        #[arg(long)]
        group_by: Option<String>,
        /// Of a time: which of a hundred took no longer [usual: 95].
        #[arg(long)]
        percentile: Option<u32>,
        #[command(flatten)]
        range: Range,
        /// As what [usual: table].
        #[arg(long)]
        format: Option<Format>,
    },
    /// Forget what is past its retention, or older than so many days. Messages stay.
    Cleanup {
        /// In days, such as 365d [usual: analytics.kept_for of the server's configuration].
        #[arg(long, value_name = "DAYS")]
        older_than: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// From when to when, and of what.
#[derive(Debug, Args)]
pub(crate) struct Range {
    /// day, week, month, year or a number of days such as 90d [usual: week].
    #[arg(long)]
    period: Option<String>,
    /// In place of a period: from this moment on (RFC 3339).
    #[arg(long, conflicts_with = "period")]
    from: Option<String>,
    /// Up to this moment.
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// The time zone of days, such as Europe/Madrid [usual: UTC].
    #[arg(long)]
    zone: Option<String>,
    /// Only this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only this campaign.
    #[arg(long)]
    campaign: Option<String>,
}

/// As what it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person at a terminal.
    Table,
    /// As the API answers it.
    Json,
    /// For a spreadsheet.
    Csv,
    /// A page with charts that needs nothing else, to be kept or printed.
    Html,
    /// That page printed by Chromium, where it is installed; not to a terminal.
    Pdf,
}

impl Range {
    fn query(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("period", self.period.clone()),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("zone", self.zone.clone()),
            ("channel", self.channel.clone()),
            ("campaign", self.campaign.clone()),
        ]
    }
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    let format = |asked: Option<Format>| match asked {
        None if out.json => Format::Json,
        asked => asked.unwrap_or(Format::Table),
    };
    match verb {
        Verb::Dashboard { range, live } if live.is_wanted(context) => {
            watch(context, &live, Dashboard::new(&range.query())).await
        }
        Verb::Dashboard { range, .. } => {
            let report = report(&client, &range, true).await?;
            if out.json {
                return out.document(&report);
            }
            analytics_shown::report(out, &report);
            Ok(())
        }
        Verb::Report { range, format: asked, alone } => {
            let report = report(&client, &range, !alone).await?;
            match format(asked) {
                Format::Json => out.document(&report)?,
                Format::Csv => out.line(analytics_shown::csv(&report)?.trim_end()),
                Format::Html => out.line(analytics_page::page(&report)),
                Format::Pdf => pdf(context, analytics_page::page(&report)).await?,
                Format::Table => analytics_shown::report(out, &report),
            }
            Ok(())
        }
        Verb::Timeseries { metric, bucket, group_by, percentile, range, format: asked } => {
            let mut query = range.query();
            query.extend([("metric", metric), ("bucket", bucket), ("groupBy", group_by)]);
            query.push(("percentile", percentile.map(|percentile| percentile.to_string())));
            let series = client.get(&format!("{ANALYTICS}/timeseries"), &query).await?;
            match format(asked) {
                Format::Json => out.document(&series),
                Format::Csv => {
                    out.line(analytics_shown::series_csv(&series)?.trim_end());
                    Ok(())
                }
                Format::Html | Format::Pdf => Err(Failure::wrong_use("a time series has no page of its own")
                    .help("`palomar analytics report --format html` has charts.")),
                Format::Table => {
                    analytics_shown::series(out, &series);
                    Ok(())
                }
            }
        }
        Verb::Cleanup { older_than, yes } => {
            let days = older_than.as_deref().map(days).transpose()?;
            let what = older_than.as_deref().map_or("what is past its retention".to_owned(), |age| {
                format!("analytics that are older than {age}")
            });
            confirm(context, yes, &format!("forget {what}"))?;
            let query =
                [("confirm", Some("true".to_owned())), ("olderThan", days.map(|days| days.to_string()))];
            let answer = client.delete(ANALYTICS, &query).await?;
            if out.json {
                return out.document(&answer);
            }
            out.line(format_args!("forgotten: {}", number(&answer, "forgotten")));
            Ok(())
        }
    }
}

async fn report(client: &Client, range: &Range, compare: bool) -> Result<Value, Failure> {
    let mut query = range.query();
    query.push(("compare", compare.then(|| "true".to_owned())));
    client.get(&format!("{ANALYTICS}/report"), &query).await
}

/// Prints a page to standard output.
async fn pdf(context: &Context, page: String) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() {
        return Err(Failure::wrong_use("a PDF is nothing for a terminal")
            .help("Send it to a file: palomar analytics report --format pdf > week.pdf"));
    }
    let browser = browser(&context.load(Vec::new())?.settings.web);
    let dir = tempfile::tempdir().map_err(|error| Failure::new(format!("no room to print in: {error}")))?;
    let within = context.timeout().unwrap_or(PRINTED_WITHIN);
    let printed = tokio::task::spawn_blocking(move || print(&browser, &page, dir.path(), within)).await;
    let printed = printed.map_err(|error| Failure::new(format!("printing broke off: {error}")))?;
    let printed = printed.map_err(|error| {
        Failure::new(error.to_string()).help("`--format html` needs no Chromium, and prints as it is.")
    })?;
    context.out.bytes(&printed);
    Ok(())
}

/// A number of days, as `365d` or `365`.
fn days(text: &str) -> Result<u32, Failure> {
    let days = text.strip_suffix('d').unwrap_or(text).parse().ok().filter(|days| *days > 0);
    days.ok_or_else(|| Failure::wrong_use(format!("{text:?} is no number of days: write it as 365d")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_days() {
        assert_eq!(days("365d"), Ok(365));
        assert_eq!(days("30"), Ok(30));
        for bad in ["", "0d", "1h", "-3d"] {
            assert!(days(bad).is_err(), "{bad}");
        }
    }
}
