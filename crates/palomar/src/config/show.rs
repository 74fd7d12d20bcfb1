//! What is in force, line by line, with where each value was said. Secrets are masked here, before anything is printed.

use super::Loaded;
use super::problem::Origin;

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
        value: setting.value.to_string(),
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
