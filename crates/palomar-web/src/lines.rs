//! A file of lines in JSON, written at its end: what a session has to know after a crash.
//!
//! What always holds: a line that was not written whole is none, and nothing is ever joined to a part of one; what is
//! flushed is on the disk when that is answered, also the name of a file that was written anew; the file is its owner's
//! alone.

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
    /// The length of all that was written whole.
    whole: u64,
    /// What of it is on the disk is not known any more: nothing is written to it by this process.
    is_broken: bool,
}

/// What a file says that is opened.
pub(crate) struct Written<T> {
    pub(crate) lines: Vec<T>,
    /// Lines that can't be read, but for a last one that was cut off: something was lost.
    pub(crate) lost: usize,
}

impl Lines {
    /// Opens a file and reads its lines. Whoever opens it writes it anew.
    pub(crate) fn open<T: DeserializeOwned>(path: &Path) -> io::Result<(Lines, Written<T>)> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let ended = text.rfind('\n').map_or(0, |at| at + 1);
        let (lines, rest) = text.split_at(ended);
        let read: Vec<Option<T>> = lines.lines().map(|line| serde_json::from_str(line).ok()).collect();
        let lost = read.iter().filter(|line| line.is_none()).count();
        // What was cut off may be whole but for its end.
        let lines: Vec<T> = read.into_iter().flatten().chain(serde_json::from_str(rest).ok()).collect();
        let count = lines.len();
        let file = append(path)?;
        let lines_of =
            Lines { path: path.to_owned(), file, count, whole: text.len() as u64, is_broken: false };
        Ok((lines_of, Written { lines, lost }))
    }

    /// Lines that were written since the file was written anew, and those that it had then.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Adds a line. One that can't be written leaves nothing of itself.
    pub(crate) fn write<T: Serialize>(&mut self, line: &T, sure: Sure) -> io::Result<()> {
        if self.is_broken {
            let words = "an earlier line could not be written whole: free the disk, then restart the program";
            return Err(io::Error::other(words));
        }
        let mut text = serde_json::to_string(line).map_err(io::Error::other)?;
        text.push('\n');
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            self.cut();
            return Err(error);
        }
        if sure == Sure::Flushed
            && let Err(error) = self.file.sync_data()
        {
            // What the disk holds is not known, and asking again would not tell.
            self.cut();
            self.is_broken = true;
            return Err(error);
        }
        self.whole += text.len() as u64;
        self.count += 1;
        Ok(())
    }

    /// Takes away what stands behind the last whole line.
    fn cut(&mut self) {
        self.is_broken = self.file.set_len(self.whole).is_err();
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
        // From here on the old file has no name.
        self.is_broken = true;
        if let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        self.file = append(&self.path)?;
        (self.count, self.whole, self.is_broken) = (count, text.len() as u64, false);
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_joined_to_a_part_of_a_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        let (mut lines, _) = Lines::open::<String>(&path).expect("opened");
        lines.write(&"one", Sure::Flushed).expect("written");
        // A part of a line is there, as a disk that is full leaves it.
        append(&path).and_then(|mut file| file.write_all(b"\"tw")).expect("written");
        lines.cut();
        lines.write(&"three", Sure::Soon).expect("written");
        drop(lines);
        let (_, written) = Lines::open::<String>(&path).expect("opened");
        assert_eq!((written.lines, written.lost), (vec!["one".to_owned(), "three".to_owned()], 0));
    }

    #[test]
    fn what_can_not_be_written_is_said_from_then_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        let (mut lines, _) = Lines::open::<String>(&path).expect("opened");
        // A disk that takes nothing, and of which nothing can be taken away.
        lines.file = append(Path::new("/dev/full")).expect("opened");
        for _ in 0..2 {
            lines.write(&"one", Sure::Soon).expect_err("the disk is full");
        }
        assert!(lines.is_broken);
        lines.rewrite(["two"].into_iter()).expect("written");
        lines.write(&"three", Sure::Flushed).expect("written");
    }

    #[test]
    fn lines_that_are_lost_are_counted_and_one_that_was_cut_off_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        for (text, lines, lost) in
            [("\"a\"\n\"b", 1, 0), ("\"a\"\n\"b\"", 2, 0), ("\"a\n\"b\"\n", 1, 1), ("\0\0\n", 0, 1)]
        {
            fs::write(&path, text).expect("written");
            let (_, written) = Lines::open::<String>(&path).expect("opened");
            assert_eq!((written.lines.len(), written.lost), (lines, lost), "{text:?}");
        }
    }
}
