//! A file of lines in JSON, written at its end: what a session has to know after a crash.
//!
//! What always holds: a line that was not written whole is none; what is flushed is on the disk when that is answered;
//! the file is its owner's alone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How sure a line must be when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sure {
    /// It survives the process: losing it to a power cut costs work, and nothing else.
    Soon,
    /// It survives the machine.
    Flushed,
}

/// The file.
pub(crate) struct Lines {
    path: PathBuf,
    file: File,
    count: usize,
}

impl Lines {
    /// Opens a file and reads its lines. One that a crash cut off is left out: whoever opens writes the file anew.
    pub(crate) fn open<T: DeserializeOwned>(path: &Path) -> io::Result<(Lines, Vec<T>)> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let lines: Vec<T> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok((Lines { path: path.to_owned(), file: append(path)?, count: lines.len() }, lines))
    }

    /// Lines that were written since the file was written anew, and those that it had then.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Adds a line.
    pub(crate) fn write<T: Serialize>(&mut self, line: &T, sure: Sure) -> io::Result<()> {
        let mut text = serde_json::to_string(line).map_err(io::Error::other)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())?;
        self.count += 1;
        match sure {
            Sure::Soon => Ok(()),
            Sure::Flushed => self.file.sync_data(),
        }
    }

    /// Writes the file anew with these lines only.
    pub(crate) fn rewrite<T: Serialize>(&mut self, lines: impl Iterator<Item = T>) -> io::Result<()> {
        let (mut text, mut count) = (String::new(), 0);
        for line in lines {
            text.push_str(&serde_json::to_string(&line).map_err(io::Error::other)?);
            text.push('\n');
            count += 1;
        }
        let new = self.path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.file = append(&self.path)?;
        self.count = count;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
