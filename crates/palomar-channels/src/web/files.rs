//! A file that is given by a link, brought to the disk for the page to take: by the rules by which all media are
//! fetched, so that no link leads into private networks, and under a name that is nothing but a name.

use std::io;
use std::path::{Path, PathBuf};

use palomar_model::{ErrorClass, InboundMedia, Media, MediaSource as Where, SendFailure};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::io::AsyncWriteExt as _;

use crate::channel::BoxFuture;
use crate::media::{Call, FetchFailure, FetchProblem, Fetcher, MediaSink, MediaSource, Step, Wanted};

/// WhatsApp Web takes no larger picture, film or sound.
const MOST: u64 = 64 << 20;
/// The longest name of a file.
const LONGEST_NAME: usize = 100;

/// A file that is gone when this is dropped.
pub(super) struct Kept {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Kept {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The rules for a link that a sender gives.
struct Link {
    own: Option<Url>,
    link: String,
}

impl MediaSource for Link {
    fn own(&self) -> Option<Url> {
        self.own.clone()
    }

    fn credentials(&self) -> Option<(HeaderName, HeaderValue)> {
        None
    }

    fn may_know(&self, _: &str) -> bool {
        false
    }

    fn may_have(&self, _: &str, _: bool) -> bool {
        true
    }

    fn first(&self, _: &Wanted) -> Result<Step, FetchFailure> {
        Ok(Step::Bytes { call: Call::get(self.link.as_str()), sha256: None })
    }
}

struct File(tokio::fs::File);

impl MediaSink for File {
    fn take<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(self.0.write_all(bytes))
    }
}

/// Brings a file to the disk.
pub(super) async fn fetch(fetcher: &Fetcher, page: &str, media: &Media) -> Result<Kept, SendFailure> {
    let Some(Where::Link(link)) = media.source() else {
        return Err(SendFailure::new(ErrorClass::Content, "WhatsApp Web needs a link to the file"));
    };
    let written = |error: io::Error| {
        SendFailure::new(ErrorClass::Transient, format!("the file can't be written here: {error}"))
    };
    let dir = tempfile::Builder::new().prefix("palomar-").tempdir().map_err(written)?;
    let path = dir.path().join(name(media, link));
    let mut file = File(tokio::fs::File::create(&path).await.map_err(written)?);
    let source = Link { own: Url::parse(page).ok(), link: link.to_owned() };
    let wanted = Wanted { message: String::new(), media: InboundMedia::default() };
    fetcher.fetch(&source, &wanted, MOST, &mut file).await.map_err(|failure| not_fetched(&failure))?;
    file.0.flush().await.map_err(written)?;
    Ok(Kept { path, _dir: dir })
}

fn not_fetched(failure: &FetchFailure) -> SendFailure {
    let class = match failure.problem {
        FetchProblem::Nowhere
        | FetchProblem::Gone
        | FetchProblem::TooLarge
        | FetchProblem::Blocked
        | FetchProblem::Refused => ErrorClass::Content,
        FetchProblem::NotWritten | FetchProblem::Passing => ErrorClass::Transient,
    };
    SendFailure::new(class, format!("the file can't be fetched: {}", failure.detail)).with_code("no_file")
}

/// The name that a file is shown by: of what is given, what can't lead anywhere.
fn name(media: &Media, link: &str) -> String {
    let path = link.split(['?', '#']).next().unwrap_or_default();
    let given = media.filename.as_deref().unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default());
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .filter(|c| !c.is_control() && !"<>:\"|?*\u{202e}\u{202d}".contains(*c))
        .take(LONGEST_NAME)
        .collect();
    let plain = plain.trim_matches([' ', '.']);
    if plain.is_empty() { "file".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere() {
        for (filename, link, expected) in [
            (None, "https://x.example/a/photo.png?x=1", "photo.png"),
            (Some("Factura nº 1.pdf"), "https://x.example/a", "Factura nº 1.pdf"),
            (Some("../../etc/passwd"), "https://x.example/a", "passwd"),
            (Some("..\\..\\x.exe"), "https://x.example/a", "x.exe"),
            (Some(".."), "https://x.example/a", "file"),
            (Some("a\u{202e}fdp.exe\0"), "https://x.example/a", "afdp.exe"),
            (None, "https://x.example/", "file"),
        ] {
            let media = Media { filename: filename.map(str::to_owned), ..Media::link(link) };
            assert_eq!(name(&media, link), expected, "{filename:?} {link}");
        }
    }
}
