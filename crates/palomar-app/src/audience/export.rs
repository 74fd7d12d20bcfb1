//! Contacts and suppressions as CSV: what a spreadsheet opens as it stands, and what imports as the same.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use palomar_model::attribute::{AttributeName, AttributeValue, ConsentState};
use palomar_records::{AudienceContact, Suppression, Whom};

use super::Body;
use super::columns::{Kind, header};
use crate::sheet::Csv;
use crate::{App, AppError};

/// Contacts that are read together.
const PAGE: usize = 1_000;

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
        Ok(Some(csv.into_bytes()))
    }

    fn head(&self) -> Bytes {
        let mut csv = Csv::begin();
        for name in ["phone", "name", "tags", "consent", "consent_source", "consent_at"] {
            csv.plain(name);
        }
        for (name, kind) in &self.columns {
            csv.text(&header(name, *kind));
        }
        csv.end();
        csv.into_bytes()
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
        csv.some(contact.consent.at);
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
        let mut head = Csv::begin();
        head.head(&["recipient", "channel", "reason", "detail", "created_at"]);
        SuppressionExport { app, waiting: VecDeque::from([head.into_bytes()]), cursor: None, ended: false }
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
        Ok(Some(csv.into_bytes()))
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
