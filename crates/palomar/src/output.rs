//! Everything that commands print goes through here: data to standard output, talk to standard error.
//!
//! What always holds: standard output carries only what was asked for (with `--json`, one JSON document or one per
//! line), so that it can be piped; colours appear only where a person can see them; a reader that goes away ends the
//! command quietly.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::{OwoColorize, Style};
use serde::Serialize;

use crate::failure::Failure;

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// `--json`.
    pub(crate) json: bool,
    /// `--plain`: rows with tabs and no heads.
    pub(crate) plain: bool,
    /// `-q`: no talk.
    pub(crate) quiet: bool,
    /// Whether standard output is coloured.
    pub(crate) colour: bool,
}

/// What a word's colour says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// Wrong.
    Bad,
    /// Beside the point.
    Dim,
}

impl Output {
    /// By the flags, the environment and where the output goes.
    pub(crate) fn new(json: bool, plain: bool, quiet: bool, no_colour: bool) -> Output {
        let said = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = io::stdout().is_terminal() && !(no_colour || plain || dumb || said("NO_COLOR"));
        Output { json, plain, quiet, colour }
    }

    /// A line of data.
    pub(crate) fn line(&self, line: impl Display) {
        write_or_end(&mut io::stdout().lock(), format_args!("{line}\n"));
    }

    /// Data that is no text.
    pub(crate) fn bytes(&self, data: &[u8]) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(data).and_then(|()| stdout.flush()) {
            end(&error);
        }
    }

    /// A line for the person, not for what reads the data.
    pub(crate) fn talk(&self, line: impl Display) {
        if !self.quiet {
            write_or_end(&mut io::stderr().lock(), format_args!("{line}\n"));
        }
    }

    /// A JSON document: indented for people, on one line for programs.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = if io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(text.map_err(|error| Failure::new(format!("can't write this as JSON: {error}")))?);
        Ok(())
    }

    /// Rows under heads. Nothing at all where there are no rows, but a word to the person.
    pub(crate) fn table(&self, heads: &[&str], rows: &[Vec<String>], none: &str) {
        if rows.is_empty() {
            self.talk(none);
        } else if self.plain {
            for row in rows {
                self.line(
                    row.iter()
                        .map(|cell| cell.replace(['\t', '\n', '\r'], " "))
                        .collect::<Vec<_>>()
                        .join("\t"),
                );
            }
        } else {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
            table.set_header(heads.iter().map(|head| head.to_uppercase()));
            table.add_rows(rows.iter().map(|row| row.iter().map(|cell| visible(cell))));
            for line in table.lines() {
                // The space around each cell is not wanted before the first.
                self.line(line.strip_prefix(' ').unwrap_or(&line).trim_end());
            }
        }
    }

    /// Names and values under each other.
    pub(crate) fn pairs(&self, pairs: &[(&str, String)]) {
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in pairs {
            if self.plain {
                self.line(format_args!("{name}\t{}", value.replace(['\t', '\n', '\r'], " ")));
            } else {
                self.line(format_args!(
                    "{}  {}",
                    self.paint(Tone::Dim, format_args!("{name:width$}")),
                    visible(value)
                ));
            }
        }
    }

    /// A word in the colour of its tone, where there are colours.
    pub(crate) fn paint(&self, tone: Tone, word: impl Display) -> String {
        let style = match tone {
            _ if !self.colour => return word.to_string(),
            Tone::Good => Style::new().green(),
            Tone::Warn => Style::new().yellow(),
            Tone::Bad => Style::new().red(),
            Tone::Dim => Style::new().dimmed(),
        };
        word.style(style).to_string()
    }

    /// A failure, on standard error: as a sentence, with `--json` as a document.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut stderr = io::stderr().lock();
        if self.json {
            let document =
                serde_json::json!({"error": failure.what, "help": failure.help, "exit": failure.exit as u8});
            write_or_end(&mut stderr, format_args!("{document}\n"));
        } else {
            write_or_end(&mut stderr, format_args!("palomar: {}\n", visible(&failure.to_string())));
        }
    }
}

/// Text from outside must not steer the terminal: control characters are shown as what they are.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Writes, or ends the process where the reader has gone: that is how a pipeline says "enough".
fn write_or_end(to: &mut impl Write, text: std::fmt::Arguments<'_>) {
    if let Err(error) = to.write_fmt(text).and_then(|()| to.flush()) {
        end(&error);
    }
}

fn end(error: &io::Error) -> ! {
    std::process::exit(if error.kind() == io::ErrorKind::BrokenPipe { 0 } else { 1 });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_does_not_steer_the_terminal() {
        for (text, shown) in [
            ("Hola 👋 ñ", "Hola 👋 ñ"),
            ("two\nlines", "two\nlines"),
            ("bell\u{7}", "bell\\u{7}"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }
}
