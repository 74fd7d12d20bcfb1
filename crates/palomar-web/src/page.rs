//! How the page is read and used: selectors, words and the script that uses them, in one data file with a version.
//!
//! The default is compiled in; another file takes its place without a build. What always holds: a file that lacks an
//! element which the program asks for, or a way to find it, is refused when it is read, with its name.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The description that is built in.
const BUILT_IN: &str = include_str!("../page/whatsapp.toml");

/// Elements that the library asks for.
const NEEDED: [&str; 22] = [
    "qr",
    "qr_reload",
    "loading",
    "syncing",
    "chats",
    "chat_row",
    "chat_row_opens",
    "chat_row_title",
    "chat_row_unread",
    "offline",
    "dialog",
    "header",
    "composer",
    "send",
    "messages",
    "message_out",
    "message_in",
    "words",
    "file_media",
    "file_document",
    "preview",
    "preview_send",
];
/// Lists of words that it asks for.
const TEXTS: [&str; 5] = ["invalid_number", "starting", "conflict", "refused", "read"];
/// Ticks that it asks for.
const TICKS: [&str; 5] = ["pending", "sent", "delivered", "read", "failed"];

/// A description of the page.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageFile {
    /// What it calls itself.
    pub version: String,
    /// Hosts beside the page's own that it may talk to.
    pub hosts: Vec<String>,
    elements: BTreeMap<String, Element>,
    texts: BTreeMap<String, Vec<String>>,
    ticks: BTreeMap<String, Vec<String>>,
    kinds: BTreeMap<String, Vec<String>>,
    personal: Personal,
    scripts: Scripts,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Element {
    when: When,
    any: Vec<String>,
}

/// Where an element must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// On the list of chats.
    Ready,
    /// In an open chat.
    Chat,
    /// In an open chat, once something is written.
    Typed,
    /// Its absence proves nothing.
    Sometimes,
}

impl When {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            When::Ready => "ready",
            When::Chat => "chat",
            When::Typed => "typed",
            When::Sometimes => "sometimes",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Personal {
    any: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripts {
    library: String,
}

/// What is wrong with a description.
#[derive(Debug, thiserror::Error)]
pub enum PageFileError {
    /// It can't be read.
    #[error("can't read {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not of the shape.
    #[error("not a description of the page: {0}")]
    Malformed(#[from] toml::de::Error),
    /// It lacks something.
    #[error("the description of the page lacks {0}")]
    Lacks(String),
}

impl PageFile {
    /// The description that is built in.
    ///
    /// # Errors
    /// None, as a test holds.
    pub fn built_in() -> Result<PageFile, PageFileError> {
        PageFile::parse(BUILT_IN)
    }

    /// Reads a description from a file.
    ///
    /// # Errors
    /// [`PageFileError`].
    pub fn read(path: &Path) -> Result<PageFile, PageFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PageFileError::Unreadable { path: path.display().to_string(), source })?;
        PageFile::parse(&text)
    }

    /// Reads a description.
    ///
    /// # Errors
    /// [`PageFileError`].
    pub fn parse(text: &str) -> Result<PageFile, PageFileError> {
        let page: PageFile = toml::from_str(text)?;
        let empty =
            |list: Option<&Vec<String>>| list.is_none_or(|list| list.iter().all(|one| one.trim().is_empty()));
        for name in NEEDED {
            if empty(page.elements.get(name).map(|element| &element.any)) {
                return Err(PageFileError::Lacks(format!("a selector for the element {name:?}")));
            }
        }
        for (section, names, table) in
            [("texts", &TEXTS[..], &page.texts), ("ticks", &TICKS[..], &page.ticks)]
        {
            for name in names {
                if empty(table.get(*name)) {
                    return Err(PageFileError::Lacks(format!("{section}.{name}")));
                }
            }
        }
        if page.scripts.library.trim().is_empty() {
            return Err(PageFileError::Lacks("scripts.library".to_owned()));
        }
        Ok(page)
    }

    /// The script that runs beside the page; it tells what it sees through the function `binding`.
    #[must_use]
    pub fn script(&self, binding: &str) -> String {
        let page = serde_json::json!({
            "elements": self.elements, "texts": self.texts, "ticks": self.ticks, "kinds": self.kinds,
            "personal": self.personal,
        });
        format!("({})({page}, globalThis[{}]);", self.scripts.library, serde_json::json!(binding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_one_is_whole() {
        let page = PageFile::built_in().expect("whole");
        assert!(!page.version.is_empty());
        assert!(page.script("tell").contains("contenteditable"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = BUILT_IN.replace("[elements.composer]", "[elements.other]");
        let error = PageFile::parse(&without).expect_err("it lacks one").to_string();
        assert!(error.contains("composer"), "{error}");
        let without = BUILT_IN.replace("[texts]\ninvalid_number", "[texts]\nsomething");
        assert!(
            PageFile::parse(&without).expect_err("it lacks one").to_string().contains("texts.invalid_number")
        );
        assert!(PageFile::parse("version = 1").is_err());
    }
}
