//! The data directory: made for its owner only, tried before anything is opened in it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::failure::Failure;

/// Makes the directory where it is missing, and makes sure that it can be written.
pub(crate) fn prepare(dir: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).and_then(|()| try_writing(dir)).map_err(
        |error| {
            Failure::new(format!("can't write to the data directory {}: {error}", dir.display()))
                .help("Give it to the user that runs Palomar, or name another with --data.")
        },
    )
}

/// Writes a small file, flushes it and removes it.
pub(crate) fn try_writing(dir: &Path) -> io::Result<()> {
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe).and_then(
            |mut file| {
                file.write_all(b"palomar")?;
                file.sync_all()
            },
        );
    let removed = std::fs::remove_file(&probe);
    written.and(removed)
}

/// Writes a secret so that at no moment anybody else can read it, and so that a crash leaves the old file or the new.
pub(crate) fn write_secret(file: &Path, secret: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    // A left-over of a crash may have another mode: it goes first.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    opened.write_all(secret.as_bytes())?;
    opened.write_all(b"\n")?;
    opened.sync_all()?;
    std::fs::rename(&new, file)?;
    // The name is durable only with its directory.
    std::fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_its_owners_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("a/b");
        prepare(&data).expect("made");
        assert_eq!(std::fs::metadata(&data).expect("there").permissions().mode() & 0o777, 0o700);
        let file = data.join("admin.key");
        for secret in ["one", "two"] {
            write_secret(&file, secret).expect("written");
            assert_eq!(std::fs::read_to_string(&file).expect("readable"), format!("{secret}\n"));
            assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(&data).expect("readable").count(), 1, "nothing is left over");
    }

    #[test]
    fn a_file_in_the_way_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("taken");
        std::fs::write(&file, "x").expect("written");
        let failure = prepare(&file).expect_err("a file is no directory");
        assert!(failure.what.contains("can't write to the data directory"), "{failure}");
    }
}
