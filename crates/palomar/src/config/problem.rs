//! What is wrong with a configuration: where it was said, which key, what to write instead.

use std::fmt;
use std::path::PathBuf;

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the file, on this line (counted from 1).
    File {
        /// The file, as it was named.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// In a file that a variable or a setting ending in `_FILE` names.
    SecretFile {
        /// What names the file.
        named_by: Box<Origin>,
        /// The file.
        path: PathBuf,
    },
    /// On the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { file, line } => write!(f, "{}:{line}", file.display()),
            Origin::Variable(name) => write!(f, "${name}"),
            Origin::SecretFile { named_by, path } => write!(f, "{} (named by {named_by})", path.display()),
            Origin::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where.
    pub(crate) origin: Origin,
    /// Which key; empty where the file as a whole is meant.
    pub(crate) key: String,
    /// What is wrong, and what to write instead.
    pub(crate) what: String,
}

impl Problem {
    pub(super) fn new(origin: Origin, key: impl Into<String>, what: impl Into<String>) -> Problem {
        Problem { origin, key: key.into(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}
