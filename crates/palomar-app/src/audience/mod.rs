//! The audience of campaigns, for people: contacts and what is said of them, files of them in and out, segments.

mod columns;
mod export;
mod import;
mod segments;
mod suppression_columns;
mod templates;

use std::sync::Arc;

use palomar_model::attribute::{AttributeName, AttributeValue, BadAttribute, Tag};
use palomar_model::filter::Filter;
use palomar_model::{FieldError, Recipient};
use palomar_records::{
    ContactChange, ContactFilter, ContactIds, ContactView, NewContact, Page, Put, RecordsError, Whom,
};

use crate::messages::MAX_PAGE;
use crate::{App, AppError};
use import::Taker;

pub use import::{Body, FileKind, Import, ImportCounts, ImportLine, ImportOptions, RefusedRow};
pub use segments::{NewSegment, SegmentPatch};
pub use templates::{Preview, PreviewVariable, TemplateStanding, read_values};

/// Contacts that are tagged together.
const TAG_BATCH: usize = 1_000;
/// Ids of contacts in one request.
const MOST_IDS: usize = 10_000;

/// Which contacts a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Those whom a filter means.
    pub filter: Option<Filter>,
    /// Those of a segment, by its id or name.
    pub segment: Option<String>,
    /// These.
    pub ids: Vec<String>,
}

/// A contact that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptContact {
    /// The contact as it stands.
    pub contact: ContactView,
    /// Whether it was not known before.
    pub is_new: bool,
}

impl App {
    /// A page of contacts, the newest first; of a segment, where one is named.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list; [`AppError::NotFound`] where there is no such segment.
    pub async fn contacts(
        &self,
        mut filter: ContactFilter,
        segment: Option<String>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ContactView>, AppError> {
        if let Some(segment) = segment {
            let own = self.segment(&segment).await?.filter;
            filter.filter = Some(match filter.filter {
                Some(filter) => Filter::All(vec![own, filter]),
                None => own,
            });
        }
        Ok(self.records.contacts(filter, cursor, limit.clamp(1, MAX_PAGE), self.now()).await?)
    }

    /// One contact.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn contact(&self, id: &str) -> Result<ContactView, AppError> {
        self.records.contact(id).await?.ok_or(AppError::NotFound("contact"))
    }

    /// Keeps a contact, or what is new of one that is known by this number.
    ///
    /// # Errors
    /// [`AppError::Invalid`] where there would be too much of it.
    pub async fn put_contact(&self, to: Recipient, says: ContactChange) -> Result<KeptContact, AppError> {
        let now = self.now();
        let new = NewContact { id: self.ids.uuid(now).to_string(), to, says };
        let put = self.records.put_contacts(vec![new], now).await?.pop();
        let put = put.ok_or_else(|| AppError::Unavailable("the records did not answer".to_owned()))?;
        let id = kept(&put)?.to_owned();
        Ok(KeptContact { contact: self.contact(&id).await?, is_new: matches!(put, Put::Added { .. }) })
    }

    /// Changes what is said of a contact.
    ///
    /// # Errors
    /// As [`App::put_contact`]; [`AppError::NotFound`].
    pub async fn change_contact(&self, id: &str, change: ContactChange) -> Result<ContactView, AppError> {
        let put = self.records.change_contact(id, change, self.now()).await?;
        self.contact(kept(&put)?).await
    }

    /// Gives tags to all who are chosen, and takes others from them; how many changed.
    ///
    /// # Errors
    /// Where nobody is chosen, or nothing is to be done.
    pub async fn tag_contacts(
        &self,
        chosen: Chosen,
        add: Vec<Tag>,
        remove: Vec<Tag>,
    ) -> Result<u64, AppError> {
        if add.is_empty() && remove.is_empty() {
            return Err(AppError::invalid("", "name tags in `add` or `remove`"));
        }
        if chosen == Chosen::default() {
            return Err(AppError::invalid("", "say who is meant: `ids`, `filter` or `segment`"));
        }
        let whom = self.whom(chosen).await?;
        let (mut after, mut changed) = (None, 0);
        loop {
            let page = self.records.audience(whom.clone(), after, TAG_BATCH, self.now()).await?;
            let ids = page.contacts.into_iter().map(|contact| contact.id).collect();
            changed += self.records.tag_contacts(ids, add.clone(), remove.clone(), self.now()).await?;
            after = page.next;
            if after.is_none() {
                return Ok(changed);
            }
        }
    }

    /// How many are chosen.
    ///
    /// # Errors
    /// [`AppError::NotFound`] where there is no such segment.
    pub async fn count_contacts(&self, chosen: Chosen) -> Result<u64, AppError> {
        match self.whom(chosen).await? {
            Whom::All => Ok(self.records.audience_count(None, self.now()).await?),
            Whom::Filter(filter) => Ok(self.records.audience_count(Some(filter), self.now()).await?),
            Whom::Ids(ids) => Ok(ids.len() as u64),
        }
    }

    /// Whom a choice means; all, where nothing is chosen.
    ///
    /// # Errors
    /// [`AppError::NotFound`] where there is no such segment; ids together with a filter, or too many of them.
    pub async fn whom(&self, chosen: Chosen) -> Result<Whom, AppError> {
        let Chosen { filter, segment, ids } = chosen;
        if !ids.is_empty() {
            if filter.is_some() || segment.is_some() {
                return Err(AppError::invalid("/ids", "either `ids`, or `filter` and `segment`"));
            }
            if ids.len() > MOST_IDS {
                return Err(AppError::invalid("/ids", format!("at most {MOST_IDS} at once")));
            }
            return Ok(Whom::Ids(ids.into_iter().collect::<ContactIds>()));
        }
        let segment = match segment {
            Some(segment) => Some(self.segment(&segment).await?.filter),
            None => None,
        };
        Ok(match (segment, filter) {
            (Some(segment), Some(filter)) => Whom::Filter(Filter::All(vec![segment, filter])),
            (Some(filter), None) | (None, Some(filter)) => Whom::Filter(filter),
            (None, None) => Whom::All,
        })
    }

    /// Takes a file of contacts in, as it comes. Nothing of it is read before [`Import::next`] is called.
    #[must_use]
    pub fn import_contacts(self: &Arc<App>, kind: FileKind, options: ImportOptions, body: Body) -> Import {
        Import::begin(Arc::clone(self), kind, body, Taker::Contacts { columns: None, options })
    }

    /// Takes a file of suppressions in.
    #[must_use]
    pub fn import_suppressions(self: &Arc<App>, kind: FileKind, body: Body) -> Import {
        Import::begin(Arc::clone(self), kind, body, Taker::Suppressions { columns: None })
    }

    /// Gives contacts out as CSV.
    ///
    /// # Errors
    /// Where there is no such segment, or records can't be read.
    pub async fn export_contacts(self: &Arc<App>, chosen: Chosen) -> Result<Body, AppError> {
        let whom = self.whom(chosen).await?;
        export::contacts(Arc::clone(self), whom).await
    }

    /// Gives suppressions out as CSV.
    #[must_use]
    pub fn export_suppressions(self: &Arc<App>) -> Body {
        export::suppressions(Arc::clone(self))
    }
}

/// The contact that something was kept of.
fn kept(put: &Put) -> Result<&str, AppError> {
    match put {
        Put::Added { id } | Put::Changed { id, .. } | Put::Unchanged { id, .. } => Ok(id),
        Put::Refused(why) => {
            let at = if *why == BadAttribute::TooManyTags { "/tags" } else { "/attributes" };
            Err(AppError::invalid(at, why.to_string()))
        }
    }
}

/// Attributes as a request says them: one of null is taken away.
///
/// # Errors
/// Each that is none, with its place below `at`.
pub fn read_attributes(
    said: serde_json::Map<String, serde_json::Value>,
    at: &str,
) -> Result<Vec<(AttributeName, Option<AttributeValue>)>, Vec<FieldError>> {
    let (mut read, mut errors) = (Vec::with_capacity(said.len()), Vec::new());
    for (name, value) in said {
        let at = format!(
            "{at}/{}",
            name.chars().take(64).collect::<String>().replace('~', "~0").replace('/', "~1")
        );
        let value = if value.is_null() {
            Ok(None)
        } else {
            serde_json::from_value(value).map(Some).map_err(|error| error.to_string())
        };
        match (name.parse::<AttributeName>().map_err(|why| why.to_string()), value) {
            (Ok(name), Ok(value)) => read.push((name, value)),
            (Err(why), _) | (_, Err(why)) => errors.push(FieldError::new(at, why)),
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}

/// A name that is taken already.
fn taken(error: RecordsError) -> AppError {
    match error {
        RecordsError::Exists(what) => {
            AppError::Conflict { code: "exists", detail: format!("there is {what} already") }
        }
        other => other.into(),
    }
}
