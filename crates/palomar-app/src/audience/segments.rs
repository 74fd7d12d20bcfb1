//! Segments: groups of contacts that are said by a filter, under a name.

use palomar_model::filter::Filter;
use palomar_records::{Page, Segment};

use super::taken;
use crate::messages::MAX_PAGE;
use crate::{App, AppError};

/// Characters of a segment's name.
const LONGEST_NAME: usize = 100;

/// A segment to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegment {
    /// Its name.
    pub name: String,
    /// Who is in it.
    pub filter: Filter,
}

/// What changes of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentPatch {
    /// Its name from now on.
    pub name: Option<String>,
    /// Who is in it from now on.
    pub filter: Option<Filter>,
}

impl App {
    /// A page of segments, the newest first.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn segments(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Segment>, AppError> {
        Ok(self.records.segments(cursor, limit.clamp(1, MAX_PAGE)).await?)
    }

    /// One segment, by its id or its name.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn segment(&self, id_or_name: &str) -> Result<Segment, AppError> {
        self.records.segment(id_or_name).await?.ok_or(AppError::NotFound("segment"))
    }

    /// Keeps a new segment.
    ///
    /// # Errors
    /// A name that is empty, too long or another's.
    pub async fn create_segment(&self, new: NewSegment) -> Result<Segment, AppError> {
        let now = self.now();
        let id = self.ids.uuid(now).to_string();
        let segment =
            Segment { id, name: named(&new.name)?, filter: new.filter, created_at: now, updated_at: now };
        self.records.create_segment(segment.clone()).await.map_err(taken)?;
        Ok(segment)
    }

    /// Changes a segment. A campaign that runs keeps whom it was started for.
    ///
    /// # Errors
    /// As [`App::create_segment`]; [`AppError::NotFound`].
    pub async fn change_segment(&self, id_or_name: &str, patch: SegmentPatch) -> Result<Segment, AppError> {
        let mut segment = self.segment(id_or_name).await?;
        if let Some(name) = patch.name {
            segment.name = named(&name)?;
        }
        if let Some(filter) = patch.filter {
            segment.filter = filter;
        }
        segment.updated_at = self.now();
        self.records.update_segment(segment.clone()).await.map_err(taken)?;
        Ok(segment)
    }

    /// Forgets a segment. Its contacts stay.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn delete_segment(&self, id_or_name: &str) -> Result<(), AppError> {
        let segment = self.segment(id_or_name).await?;
        Ok(self.records.delete_segment(&segment.id).await?)
    }
}

fn named(name: &str) -> Result<String, AppError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(AppError::invalid("/name", format!("must be a text of 1 to {LONGEST_NAME} characters")));
    }
    Ok(name.to_owned())
}
