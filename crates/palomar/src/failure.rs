//! How a command ends: what went wrong, what to do about it, and the exit status that a script sees.

use std::fmt;

/// The exit status of a command that did not do what it was asked. Done is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 1: it was tried and did not work.
    Failed = 1,
    /// 2: it was asked for in a way that can't work: flags, configuration.
    WrongUse = 2,
    /// 3: there is no server to talk to.
    Unreachable = 3,
    /// 4: the server does not let this key do it.
    Refused = 4,
}

/// What went wrong, for the person in front of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) exit: Exit,
    /// What went wrong, and where.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
}

impl Failure {
    /// It did not work.
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, what: what.into(), help: None }
    }

    /// It can't work this way.
    pub(crate) fn wrong_use(what: impl Into<String>) -> Failure {
        Failure { exit: Exit::WrongUse, what: what.into(), help: None }
    }

    /// The same, with what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// The same, with another exit status.
    pub(crate) fn exit(mut self, exit: Exit) -> Failure {
        self.exit = exit;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.help {
            Some(help) => write!(f, "\n  {help}"),
            None => Ok(()),
        }
    }
}
