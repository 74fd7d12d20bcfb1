//! Configuration: one documented default file, `palomar.toml` over it, the environment over that, flags over all.
//!
//! ```text
//! palomar.default.toml ─┐
//! palomar.toml ─────────┼─ tree (values with lines) ─ load (layers) ─ settings ─ check (rules) ─> Loaded | problems
//! PALOMAR__SECTION__KEY ┤
//! flags ────────────────┘
//! ```
//!
//! What always holds: everything comes in through [`Sources`]; nothing below [`Sources::gather`] looks at the process's
//! environment, and nothing but it reads the configuration's file. A wrong configuration never starts a server: it is
//! a list of [`Problem`]s, each with its place.

mod check;
mod load;
mod nearest;
mod problem;
mod seeds;
mod settings;
mod show;
#[cfg(test)]
mod tests;
mod tree;
mod units;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use check::records_url;
pub(crate) use load::{DEFAULT_FILE, InForce, load};
pub(crate) use problem::{Origin, Problem};
pub(crate) use seeds::{SeedChannel, Seeds};
pub(crate) use settings::{Alerts, Confirm, LogFormat, ReportFormat, Settings, Web};
pub(crate) use show::lines;
pub(crate) use units::{Rate, Size, Span};

/// The file that is read where no other is named and this one is there.
pub(crate) const USUAL_FILE: &str = "palomar.toml";

/// Where queues are kept, if not in the data directory.
pub(crate) const REDIS: &str = "broker.redis";
/// Where records are kept.
pub(crate) const RECORDS_URL: &str = "records.url";
/// What is signed with where media are kept in S3.
const S3_SECRET_KEY: &str = "media.s3_secret_key";
/// What alerts to a hook are signed with.
const HOOK_SECRET: &str = "alerts.hook_secret";
/// What reports to a hook are signed with.
const REPORT_SECRET: &str = "reports.hook_secret";
/// Settings that are not shown. Each has a twin that names a file to read it from, with `_file` behind its name.
const SECRETS: [&str; 5] = [REDIS, RECORDS_URL, S3_SECRET_KEY, HOOK_SECRET, REPORT_SECRET];

/// Reads a file that a secret's `_FILE` names.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Everything that has a say.
pub(crate) struct Sources<'a> {
    /// The file and what stands in it.
    pub(crate) file: Option<(PathBuf, String)>,
    /// The environment.
    pub(crate) variables: BTreeMap<String, String>,
    /// Flag, key, value.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
    /// How secrets' files are read.
    pub(crate) read_file: ReadFile<'a>,
}

/// A configuration that holds together.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings.
    pub(crate) settings: Settings,
    /// The variables of the systems that came before.
    pub(crate) seeds: Seeds,
    /// Every value with its place.
    pub(crate) in_force: InForce,
}

impl Sources<'static> {
    /// What this process was given: the named file, else `palomar.toml` where there is one; its environment.
    ///
    /// # Errors
    /// A problem, where a named file can't be read.
    pub(crate) fn gather(
        named: Option<&Path>,
        flags: Vec<(&'static str, &'static str, String)>,
    ) -> Result<Sources<'static>, Problem> {
        let path = named.unwrap_or(Path::new(USUAL_FILE));
        let file = match std::fs::read_to_string(path) {
            Ok(text) => Some((path.to_owned(), text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => None,
            Err(error) => {
                let origin = Origin::File { file: path.to_owned(), line: 1 };
                return Err(Problem { origin, key: String::new(), what: format!("can't be read: {error}") });
            }
        };
        // A variable that is not UTF-8 is none of ours: our names and values are text.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Sources { file, variables, flags, read_file: &|path| std::fs::read_to_string(path) })
    }
}
