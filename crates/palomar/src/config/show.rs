//! What is in force, line by line, with where each value was said. Secrets are masked here, before anything is printed.

use toml::Value;

use super::problem::Origin;
use super::{Loaded, REDIS, SECRETS, records_url};

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The key, or the variable's name.
    pub(crate) key: String,
    /// The value as TOML; a secret as `"•••"`.
    pub(crate) value: String,
    /// Where it was said.
    pub(crate) origin: String,
    /// Whether it is the default.
    pub(crate) is_default: bool,
}

/// Everything in force, sorted by key; the seeds' variables last.
pub(crate) fn lines(loaded: &Loaded) -> Vec<Line> {
    let settings = loaded.in_force.iter().map(|(path, setting)| Line {
        key: path.to_string(),
        value: shown(&path.to_string(), &setting.value),
        origin: setting.origin.to_string(),
        is_default: setting.origin == Origin::Default,
    });
    let seeds = loaded.seeds.kept.iter().map(|kept| Line {
        key: kept.name.to_owned(),
        value: if kept.secret { format!("\"{}\"", kept.value) } else { format!("{:?}", kept.value.expose()) },
        origin: kept.origin.to_string(),
        is_default: false,
    });
    settings.chain(seeds).collect()
}

/// A value as it may be seen: of an address its host and database, of any other secret nothing.
fn shown(key: &str, value: &Value) -> String {
    match value.as_str() {
        Some(text) if key == REDIS && !text.is_empty() => {
            let urls: Vec<_> = text.split(',').map(|url| without_secret(url.trim())).collect();
            format!("\"{}\"", urls.join(","))
        }
        Some(text) if SECRETS.contains(&key) && !text.is_empty() => match records_url(text) {
            Ok(Some(url)) => format!("\"postgres://•••@{}\"", url.place()),
            _ => "\"•••\"".to_owned(),
        },
        _ => value.to_string(),
    }
}
/// An address without user and password.
fn without_secret(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let place = rest.rsplit_once('@').map_or(rest.to_owned(), |(_, place)| format!("•••@{place}"));
    // Behind a `?` there may be more of them.
    let place = place.split('?').next().unwrap_or_default();
    if scheme.is_empty() { place.to_owned() } else { format!("{scheme}://{place}") }
}
