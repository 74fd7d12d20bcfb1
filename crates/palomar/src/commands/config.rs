//! `palomar config`: write, check and show the configuration.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::{Context, problems};
use crate::config::{DEFAULT_FILE, Sources, USUAL_FILE, lines, load};
use crate::failure::Failure;
use crate::output::Tone;

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write the commented file with every setting and its default.
    Init {
        /// Where to; "-" prints it [usual: palomar.toml].
        file: Option<PathBuf>,
        /// Replace a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Find every problem and say where it is.
    Check,
    /// Print what is in force and where each value comes from. Secrets are masked.
    Show {
        /// Only what is not the default.
        #[arg(long)]
        changed: bool,
    },
    /// Print which file is read and which directory is used.
    Path,
}

/// Runs it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let out = context.out;
    match verb {
        Verb::Init { file, force } => init(context, file.as_deref().unwrap_or(Path::new(USUAL_FILE)), force),
        Verb::Check => check(context),
        Verb::Show { changed } => {
            let loaded = context.load(Vec::new())?;
            let shown: Vec<_> =
                lines(&loaded).into_iter().filter(|line| !(changed && line.is_default)).collect();
            if out.json {
                let settings: Vec<Value> = shown
                    .iter()
                    .map(|line| json!({"key": line.key, "value": line.value, "origin": line.origin, "default": line.is_default}))
                    .collect();
                return out.document(&settings);
            }
            let rows: Vec<_> =
                shown.into_iter().map(|line| vec![line.key, line.value, line.origin]).collect();
            out.table(&["key", "value", "from"], &rows, "everything is at its default");
            Ok(())
        }
        Verb::Path => {
            let loaded = context.load(Vec::new())?;
            let named = context.globals.config.as_deref();
            let file = named.unwrap_or(Path::new(USUAL_FILE));
            let file = file.exists().then(|| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
            let data = std::path::absolute(&loaded.settings.data_dir).unwrap_or(loaded.settings.data_dir);
            if out.json {
                return out.document(&json!({"file": file, "dataDir": data}));
            }
            let file = file.map_or_else(
                || format!("none (there is no {USUAL_FILE} here)"),
                |file| file.display().to_string(),
            );
            out.pairs(&[("file", file), ("data", data.display().to_string())]);
            Ok(())
        }
    }
}

fn init(context: &Context, file: &Path, force: bool) -> Result<(), Failure> {
    if file.as_os_str() == "-" {
        context.out.line(DEFAULT_FILE.trim_end());
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let options = if force { options.create(true).truncate(true) } else { options.create_new(true) };
    let written =
        options.write(true).open(file).and_then(|mut opened| opened.write_all(DEFAULT_FILE.as_bytes()));
    match written {
        Ok(()) => {
            context.out.talk(format_args!(
                "{} is written: keep the lines that you change. `palomar config check` reads it.",
                file.display()
            ));
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::new(format!("{} is there already", file.display()))
                .help("Say --force to replace it, or name another file."))
        }
        Err(error) => Err(Failure::new(format!("can't write {}: {error}", file.display()))),
    }
}

fn check(context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let sources = Sources::gather(context.globals.config.as_deref(), Vec::new());
    let found = match sources.map(|sources| load(&sources)) {
        Ok(Ok(loaded)) => {
            let notices = loaded.seeds.notices();
            if out.json {
                return out.document(&json!({"ok": true, "problems": [], "notices": notices}));
            }
            for notice in notices {
                out.talk(format_args!("{} {notice}", out.paint(Tone::Warn, "note:")));
            }
            out.line(out.paint(Tone::Good, "The configuration holds together."));
            return Ok(());
        }
        Ok(Err(found)) => found,
        Err(problem) => vec![problem],
    };
    if out.json {
        let listed: Vec<Value> = found
            .iter()
            .map(
                |problem| json!({"at": problem.origin.to_string(), "key": problem.key, "what": problem.what}),
            )
            .collect();
        out.document(&json!({"ok": false, "problems": listed}))?;
    }
    Err(problems(&found))
}
