//! Pictures and outlines of the page, for whoever has to find out what changed: no name and no word of anybody's is in
//! them.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use palomar_model::{ErrorClass, SendFailure, Timestamp};

use super::Shared;
use crate::profile::ProfileDir;
use crate::tab::Tab;

/// Pictures that are kept of a session.
const KEPT: usize = 10;

/// Keeps a picture and an outline of the page as it is now. Only ever of a page that is about to be ended: what makes
/// it illegible stays on it.
pub(super) async fn keep(tab: &Tab, dir: &ProfileDir, now: Timestamp) -> Result<(), String> {
    tab.ask::<bool>("blur()", Duration::ZERO).await.map_err(|error| error.to_string())?;
    let outline: String = tab.ask("outline()", Duration::ZERO).await.map_err(|error| error.to_string())?;
    let picture = tab.picture().await.map_err(|error| error.to_string())?;
    let picture = STANDARD.decode(picture).map_err(|error| error.to_string())?;
    let place = dir.snapshots();
    let name = now.millis();
    let write = move || {
        write(&place.join(format!("{name}.txt")), outline.as_bytes())?;
        write(&place.join(format!("{name}.png")), &picture)?;
        forget(&place)
    };
    let written = tokio::task::spawn_blocking(write).await.map_err(|error| error.to_string())?;
    written.map_err(|error| error.to_string())
}

/// A picture of a page that goes on working.
pub(super) async fn blurred(shared: &Shared) -> Result<Vec<u8>, SendFailure> {
    let failed = |words: String| SendFailure::new(ErrorClass::Transient, words);
    let tab =
        shared.tab.borrow().clone().ok_or_else(|| failed("there is no page to be seen now".to_owned()))?;
    let pictured = async {
        tab.ask::<bool>("blur()", Duration::ZERO).await?;
        let picture = tab.picture().await;
        tab.ask::<bool>("unblur()", Duration::ZERO).await?;
        picture
    };
    let picture = pictured.await.map_err(|error| failed(error.to_string()))?;
    STANDARD.decode(picture).map_err(|error| failed(error.to_string()))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// The oldest ones go.
fn forget(place: &Path) -> std::io::Result<()> {
    let mut all: Vec<_> = fs::read_dir(place)?.flatten().map(|entry| entry.path()).collect();
    all.sort();
    let surplus = all.len().saturating_sub(2 * KEPT);
    all.into_iter().take(surplus).try_for_each(fs::remove_file)
}
