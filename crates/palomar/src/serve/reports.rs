//! Reports that are told by themselves, as they are set up, and how they are written to files.
//!
//! Always: a file under a report's name is whole; one that is written again is replaced at once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use palomar_app::{BrowserConfig, Report, ReportConfig, ReportWriter, print};
use palomar_model::{DayTime, ZoneName};

use super::open::{browser, hook, number};
use crate::commands::{analytics_page, analytics_shown};
use crate::config::{ReportFormat, Settings};

/// How long Chromium may take for a page.
const PRINTED_WITHIN: Duration = Duration::from_secs(120);

/// As the settings say; the rules of the configuration have looked at them.
pub(super) fn reports(settings: &Settings) -> ReportConfig {
    let reports = &settings.reports;
    let file = (!reports.dir.as_os_str().is_empty()).then(|| {
        let (dir, browser) = (settings.data_dir.join(&reports.dir), browser(&settings.web));
        Arc::new(Directory { dir, format: reports.format, browser }) as Arc<dyn ReportWriter>
    });
    ReportConfig {
        kinds: reports.kinds().unwrap_or_default(),
        at: reports.at.parse().unwrap_or(DayTime::MIDNIGHT),
        zone: reports.zone.parse().unwrap_or_else(|_| ZoneName::utc()),
        hook: hook(&reports.hook_url, &reports.hook_secret),
        number: number(&reports.whatsapp_to, &reports.whatsapp_channel),
        file,
    }
}

/// A directory of reports.
#[derive(Debug)]
struct Directory {
    dir: PathBuf,
    format: ReportFormat,
    browser: BrowserConfig,
}

impl ReportWriter for Directory {
    fn write(&self, name: &str, report: &Report) -> Result<(), String> {
        let (ending, bytes) = self.bytes(report)?;
        let file = self.dir.join(format!("{name}.{ending}"));
        put(&self.dir, &file, &bytes).map_err(|error| format!("{}: {error}", file.display()))?;
        tracing::info!(file = %file.display(), "a report was written");
        Ok(())
    }
}

impl Directory {
    fn bytes(&self, report: &Report) -> Result<(&'static str, Vec<u8>), String> {
        let report = serde_json::to_value(report).map_err(|error| error.to_string())?;
        Ok(match self.format {
            ReportFormat::Json => {
                ("json", serde_json::to_vec_pretty(&report).map_err(|error| error.to_string())?)
            }
            ReportFormat::Csv => {
                ("csv", analytics_shown::csv(&report).map_err(|failure| failure.what)?.into_bytes())
            }
            ReportFormat::Html => ("html", analytics_page::page(&report).into_bytes()),
            ReportFormat::Pdf => {
                let dir = tempfile::tempdir().map_err(|error| format!("no room to print in: {error}"))?;
                let page = analytics_page::page(&report);
                let printed = print(&self.browser, &page, dir.path(), PRINTED_WITHIN);
                ("pdf", printed.map_err(|error| error.to_string())?)
            }
        })
    }
}

/// Writes a file beside its place, and puts it there.
fn put(dir: &Path, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut beside = tempfile::NamedTempFile::new_in(dir)?;
    beside.write_all(bytes)?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let (within, file) = (dir.path().join("reports"), dir.path().join("reports/week-2026-11-16.csv"));
        for text in ["long ago, and longer", "now"] {
            put(&within, &file, text.as_bytes()).expect("written");
            assert_eq!(std::fs::read_to_string(&file).expect("read"), text);
        }
        assert_eq!(std::fs::read_dir(&within).expect("a directory").count(), 1, "nothing is left beside it");
    }
}
