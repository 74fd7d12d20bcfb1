//! `palomar completions`, `man` and `version`: what a shell and a package want of a program.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::cli::{Cli, Context};
use crate::failure::Failure;

/// `palomar completions SHELL`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  palomar completions bash > ~/.local/share/bash-completion/completions/palomar"
)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// `palomar man [DIR]`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page per command into this directory.
    dir: Option<PathBuf>,
}

/// Prints the completions.
pub(crate) fn completions(context: &Context, completions: &Completions) {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Cli::command(), "palomar", &mut script);
    context.out.line(String::from_utf8_lossy(&script).trim_end());
}

/// Prints the manual page, or writes all of them.
pub(crate) fn man(context: &Context, man: &Man) -> Result<(), Failure> {
    if let Some(dir) = &man.dir {
        std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
            .map_err(|error| Failure::new(format!("can't write the pages to {}: {error}", dir.display())))?;
        context.out.talk(format_args!("The pages are in {}; read one with `man -l`.", dir.display()));
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| Failure::new(format!("can't render the page: {error}")))?;
    context.out.line(String::from_utf8_lossy(&page).trim_end());
    Ok(())
}

/// Prints the version.
pub(crate) fn version(context: &Context) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if context.out.json {
        return context.out.document(&json!({"name": "palomar", "version": version}));
    }
    context.out.line(format_args!("palomar {version}"));
    Ok(())
}
