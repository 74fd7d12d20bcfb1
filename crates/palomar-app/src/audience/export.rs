//! Contacts and suppressions as CSV: what a spreadsheet opens as it stands, and what imports as the same.
//!
//! What always holds: no cell begins as a formula does; one that would gets an apostrophe in front, and so does one that has
//! such an apostrophe already, so that reading takes exactly one away.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use palomar_model::attribute::{AttributeName, AttributeValue, ConsentState};
use palomar_records::{AudienceContact, Suppression, Whom};

use super::Body;
use super::columns::{Kind, header};
use crate::{App, AppError};

/// Contacts that are read together.
const PAGE: usize = 1_000;

/// What a spreadsheet may take for the beginning of a formula, full-width forms too.
const LIVE: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\0', '＝', '＋', '－', '＠'];

/// A text that no spreadsheet runs.
fn marked(text: &str) -> Cow<'_, str> {
    if text.trim_start_matches('\'').starts_with(LIVE) { format!("'{text}").into() } else { text.into() }
}

/// The text that was marked.
pub(super) fn unmarked(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(LIVE) => rest,
        _ => text,
    }
}

/// Those who are meant, as CSV. All attributes that they have when it begins get columns.
pub(super) async fn contacts(app: Arc<App>, whom: Whom) -> Result<Body, AppError> {
    let export = ContactExport::begin(app, whom).await?;
    Ok(Box::pin(stream::try_unfold(export, async |mut export| {
        Ok(export.next().await?.map(|piece| (piece, export)))
    })))
}

/// All suppressions, as CSV.
pub(super) fn suppressions(app: Arc<App>) -> Body {
    let export = SuppressionExport::begin(app);
    Box::pin(stream::try_unfold(export, async |mut export| {
        Ok(export.next().await?.map(|piece| (piece, export)))
    }))
}

/// Rows in the making.
#[derive(Default)]
struct Csv(Vec<u8>);

impl Csv {
    /// A cell with words, which may be anybody's.
    fn text(&mut self, text: &str) {
        let text = marked(text);
        if text.contains([',', ';', '\t', '"', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ') {
            self.0.push(b'"');
            self.0.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            self.0.push(b'"');
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(b',');
    }

    /// A cell with a number or a word of ours.
    fn plain(&mut self, value: impl std::fmt::Display) {
        self.0.extend_from_slice(value.to_string().as_bytes());
        self.0.push(b',');
    }

    fn empty(&mut self) {
        self.0.push(b',');
    }

    fn end(&mut self) {
        self.0.pop();
        self.0.extend_from_slice(b"\r\n");
    }
}

/// A CSV of contacts under way.
struct ContactExport {
    app: Arc<App>,
    whom: Whom,
    /// The attributes' columns, each of one type.
    columns: Vec<(AttributeName, Kind)>,
    place: Place,
}

enum Place {
    Head,
    After(Option<String>),
    End,
}

fn kind(value: &AttributeValue) -> Kind {
    match value {
        AttributeValue::Text(_) => Kind::Text,
        AttributeValue::Number(_) => Kind::Number,
        AttributeValue::Flag(_) => Kind::Flag,
    }
}

impl ContactExport {
    async fn begin(app: Arc<App>, whom: Whom) -> Result<ContactExport, AppError> {
        let mut columns = BTreeSet::new();
        let mut after = None;
        loop {
            let page = app.records.audience(whom.clone(), after, PAGE, app.now()).await?;
            for contact in &page.contacts {
                columns.extend(contact.attributes.iter().map(|(name, value)| (name.clone(), kind(value))));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(ContactExport { app, whom, columns: columns.into_iter().collect(), place: Place::Head })
    }

    /// The next rows; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, AppError> {
        let after = match &self.place {
            Place::End => return Ok(None),
            Place::Head => {
                self.place = Place::After(None);
                return Ok(Some(self.head()));
            }
            Place::After(after) => after.clone(),
        };
        let page = self.app.records.audience(self.whom.clone(), after, PAGE, self.app.now()).await?;
        self.place = page.next.map_or(Place::End, |next| Place::After(Some(next)));
        let mut csv = Csv::default();
        // Somebody without a number or id of the business can't be imported.
        for contact in &page.contacts {
            if let Some(to) = contact.recipient() {
                self.row(&mut csv, to.expose(), contact);
            }
        }
        Ok(Some(Bytes::from(csv.0)))
    }

    fn head(&self) -> Bytes {
        let mut csv = Csv::default();
        for name in ["phone", "name", "tags", "consent", "consent_source", "consent_at"] {
            csv.plain(name);
        }
        for (name, kind) in &self.columns {
            csv.text(&header(name, *kind));
        }
        csv.end();
        // Without the mark a spreadsheet takes the file for Latin-1.
        Bytes::from([b"\xef\xbb\xbf", csv.0.as_slice()].concat())
    }

    fn row(&self, csv: &mut Csv, to: &str, contact: &AudienceContact) {
        csv.text(to);
        csv.text(contact.name.as_deref().unwrap_or_default());
        let tags: Vec<_> = contact.tags.iter().map(palomar_model::attribute::Tag::as_str).collect();
        csv.text(&tags.join("|"));
        match contact.consent.state {
            ConsentState::Unknown => csv.empty(),
            state => csv.plain(state),
        }
        csv.text(contact.consent.source.as_deref().unwrap_or_default());
        match contact.consent.at {
            Some(at) => csv.plain(at),
            None => csv.empty(),
        }
        for (name, column) in &self.columns {
            match contact.attributes.get(name).filter(|value| kind(value) == *column) {
                Some(AttributeValue::Text(text)) => csv.text(text),
                Some(value) => csv.plain(value),
                None => csv.empty(),
            }
        }
        csv.end();
    }
}

/// A CSV of suppressions under way.
struct SuppressionExport {
    app: Arc<App>,
    waiting: VecDeque<Bytes>,
    cursor: Option<String>,
    ended: bool,
}

impl SuppressionExport {
    fn begin(app: Arc<App>) -> SuppressionExport {
        let head = Bytes::from_static(b"\xef\xbb\xbfrecipient,channel,reason,detail,created_at\r\n");
        SuppressionExport { app, waiting: VecDeque::from([head]), cursor: None, ended: false }
    }

    /// The next rows; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, AppError> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Ok(Some(waiting));
        }
        if self.ended {
            return Ok(None);
        }
        let page = self.app.records.suppressions(self.cursor.as_deref(), PAGE).await?;
        (self.ended, self.cursor) = (page.next_cursor.is_none(), page.next_cursor);
        let mut csv = Csv::default();
        page.items.iter().for_each(|one| suppression(&mut csv, one));
        Ok(Some(Bytes::from(csv.0)))
    }
}

fn suppression(csv: &mut Csv, one: &Suppression) {
    csv.text(&one.recipient);
    csv.text(one.channel.as_ref().map_or("", palomar_model::ChannelName::as_str));
    csv.plain(one.reason.as_str());
    csv.text(one.detail.as_deref().unwrap_or_default());
    csv.plain(one.created_at);
    csv.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_as_a_formula_and_each_is_read_as_it_was() {
        let texts = [
            "",
            "=1+1",
            "'=1+1",
            "''=1",
            "'hello",
            "+34",
            "-5",
            "@x",
            "\tx",
            "＝1",
            "\u{0}",
            "hello",
            "'",
            "''",
            "a=b",
            "x\"y",
            "a,b;c",
            "two\nlines",
            " spaced ",
        ];
        for text in texts {
            let marked = marked(text);
            assert!(!marked.starts_with(LIVE), "{text:?} as {marked:?}");
            assert_eq!(unmarked(&marked), text);
        }
    }
}
