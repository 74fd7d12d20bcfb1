//! One file per command. Each has its flags or verbs and one `run`; adding a command is adding a file and its line in
//! `cli::Command`.

pub(crate) mod alert;
pub(crate) mod analytics;
pub(crate) mod analytics_page;
pub(crate) mod analytics_shown;
pub(crate) mod bulk;
pub(crate) mod campaign;
mod campaign_shown;
pub(crate) mod channel;
pub(crate) mod config;
pub(crate) mod contacts;
pub(crate) mod conversation;
pub(crate) mod dlq;
pub(crate) mod doctor;
mod files;
pub(crate) mod follow;
mod kept;
pub(crate) mod key;
pub(crate) mod limits;
pub(crate) mod message;
pub(crate) mod queue;
pub(crate) mod rates;
pub(crate) mod records;
pub(crate) mod segments;
pub(crate) mod send;
pub(crate) mod send_job;
pub(crate) mod session;
pub(crate) mod shell;
pub(crate) mod simulate;
pub(crate) mod store;
pub(crate) mod suppressions;
pub(crate) mod template;
pub(crate) mod top;
pub(crate) mod webhook;

use std::io::{Read, Write};

use palomar_model::Secret;
use serde_json::Value;

use crate::cli::Context;
use crate::failure::Failure;

/// The largest secret that is read from a file or from standard input.
const LARGEST_SECRET: u64 = 64 << 10;

/// What stands at `key`, as text: numbers and switches as they are written, nothing as "".
fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The whole number at `key`, 0 where there is none.
fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

/// A row for a table: the texts at `keys`.
fn row(value: &Value, keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| text(value, key)).collect()
}

/// A time without its fraction: what a person reads in a table.
fn short_time(value: &Value, key: &str) -> String {
    let text = text(value, key);
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// A part of an address: what is not a letter, digit, `-`, `_`, `.` or `~` is escaped.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        path
    })
}

/// A secret: from the file that a flag names ("-": standard input), else a variable, else asked for.
fn secret(
    context: &Context,
    file: Option<&std::path::Path>,
    variable: &str,
    what: &str,
) -> Result<Option<Secret>, Failure> {
    let read = |from: &mut dyn Read, name: &str| {
        let mut text = String::new();
        from.take(LARGEST_SECRET)
            .read_to_string(&mut text)
            .map_err(|error| Failure::wrong_use(format!("can't read the {what} from {name}: {error}")))?;
        Ok(text)
    };
    let found = match (file, std::env::var(variable).ok()) {
        (Some(file), _) if file.as_os_str() == "-" => read(&mut std::io::stdin().lock(), "standard input")?,
        (Some(file), _) => {
            let mut opened = std::fs::File::open(file).map_err(|error| {
                Failure::wrong_use(format!("can't read the {what} from {}: {error}", file.display()))
            })?;
            read(&mut opened, &file.display().to_string())?
        }
        (None, Some(value)) => value,
        (None, None) if context.may_ask() => ask_hidden(context, what)?,
        (None, None) => return Ok(None),
    };
    let found = found.trim();
    Ok((!found.is_empty()).then(|| Secret::new(found)))
}

/// Asks for a secret without showing what is typed.
fn ask_hidden(context: &Context, what: &str) -> Result<String, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before =
        tcgetattr(&stdin).map_err(|error| Failure::new(format!("can't ask for the {what}: {error}")))?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{what} (empty: none): ").and_then(|()| stderr.flush());
    let _ = tcsetattr(&stdin, OptionalActions::Flush, &hidden);
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    let _ = tcsetattr(&stdin, OptionalActions::Flush, &before);
    context.out.talk("");
    read.map_err(|error| Failure::new(format!("can't read the {what}: {error}")))?;
    Ok(line)
}

/// Asks whether something that can't be undone is meant. `--yes` answers beforehand.
fn confirm(context: &Context, yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !context.may_ask() {
        return Err(
            Failure::wrong_use(format!("{what}: this can't be undone")).help("Say --yes if it is meant.")
        );
    }
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{what}? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new("nothing was done")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_cells() {
        let value = json!({"a": "x", "b": 3, "c": null, "at": "2026-01-01T00:00:00.123456Z"});
        assert_eq!(row(&value, &["a", "b", "c", "d"]), ["x", "3", "", ""]);
        assert_eq!(short_time(&value, "at"), "2026-01-01T00:00:00Z");
        assert_eq!(segment("outbound/main line"), "outbound%2Fmain%20line");
    }
}
