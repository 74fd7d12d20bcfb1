//! Media in a message: by link or by the provider's id.

use serde::{Deserialize, Serialize};

use crate::ContentKind;
use crate::field::Checks;

/// A picture, film, sound, file or sticker. Exactly one of `link` and `id` says where its bytes are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Media {
    /// Where the provider fetches it: http or https. `url` and `mediaUrl` are read too.
    #[serde(default, alias = "url", alias = "mediaUrl", skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The provider's id of an upload. `mediaId` is read too.
    #[serde(default, alias = "mediaId", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Words below it; not with audio and stickers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The name a document is shown by.
    #[serde(default, alias = "fileName", skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Whether audio is a voice note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voice: bool,
}

/// Where the bytes of a [`Media`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaSource<'a> {
    /// At this address.
    Link(&'a str),
    /// At the provider, under this id.
    Id(&'a str),
}

impl Media {
    /// Media at an address.
    pub fn link(link: impl Into<String>) -> Media {
        Media { link: Some(link.into()), ..Media::default() }
    }

    /// Media at the provider.
    pub fn id(id: impl Into<String>) -> Media {
        Media { id: Some(id.into()), ..Media::default() }
    }

    /// Where its bytes are; the id before the link. `None` only where [`crate::Content::validate_common`] complains.
    #[must_use]
    pub fn source(&self) -> Option<MediaSource<'_>> {
        let id = self.id.as_deref().map(MediaSource::Id);
        id.or_else(|| self.link.as_deref().map(MediaSource::Link))
    }

    pub(crate) fn check(&self, kind: ContentKind, checks: &mut Checks, at: &str) {
        match (&self.link, &self.id) {
            (None, None) => checks.require(false, at, "needs a link or an id"),
            (Some(_), Some(_)) => checks.require(false, at, "must have a link or an id, not both"),
            (Some(link), None) => {
                checks.require(is_web_address(link), format!("{at}/link"), "must be an http(s) URL");
            }
            (None, Some(id)) => {
                checks.require(!id.trim().is_empty(), format!("{at}/id"), "must not be empty");
            }
        }
        let no_caption = matches!(kind, ContentKind::Audio | ContentKind::Sticker);
        checks.require(
            !no_caption || self.caption.is_none(),
            format!("{at}/caption"),
            "is not possible with this type",
        );
        let named = self.filename.is_none() || kind == ContentKind::Document;
        checks.require(named, format!("{at}/filename"), "is possible with documents only");
        checks.require(
            !self.voice || kind == ContentKind::Audio,
            format!("{at}/voice"),
            "is possible with audio only",
        );
    }
}

/// `http://` or `https://`, a host, and nothing that would end a line or a header.
pub(crate) fn is_web_address(text: &str) -> bool {
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| {
        let start = text.get(..scheme.len())?;
        if start.eq_ignore_ascii_case(scheme) { text.get(scheme.len()..) } else { None }
    });
    let host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']));
    host && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}
