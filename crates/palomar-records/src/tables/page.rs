//! Paging by place: a cursor names the last row that was given out, so that new rows move nothing.

use data_encoding::BASE64URL_NOPAD;
use palomar_model::Timestamp;
use serde::Serialize;

use crate::error::{RecordsError, Result};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to ask for the next page with; none at the end.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next_cursor: self.next_cursor }
    }
}

/// The place of a row in a list that is ordered by time and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
}

impl Place {
    /// Before the first row of a list, the newest first.
    pub(crate) fn newest() -> Place {
        Place { at: Timestamp::MAX, id: String::new() }
    }

    /// The cursor as it is given out.
    pub(crate) fn encode(&self) -> String {
        BASE64URL_NOPAD.encode(format!("{}.{}", self.at.micros(), self.id).as_bytes())
    }

    /// Reads a cursor; none is the beginning.
    pub(crate) fn decode(cursor: Option<&str>) -> Result<Place> {
        let Some(cursor) = cursor else {
            return Ok(Place::newest());
        };
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| RecordsError::BadCursor)?;
        let text = String::from_utf8(bytes).map_err(|_| RecordsError::BadCursor)?;
        let (at, id) = text.split_once('.').ok_or(RecordsError::BadCursor)?;
        let at = at.parse().map_err(|_| RecordsError::BadCursor)?;
        Ok(Place { at: Timestamp::from_micros(at), id: id.to_owned() })
    }
}

/// Makes a page of up to `limit` items from `limit + 1` that were read.
pub(crate) fn page<T>(mut items: Vec<T>, limit: usize, place: impl Fn(&T) -> Place) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|last| place(last).encode());
    Page { items, next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_and_others_are_refused() {
        let place = Place { at: Timestamp::from_micros(1_767_225_600_000_001), id: "a.b".to_owned() };
        assert_eq!(Place::decode(Some(&place.encode())).expect("a cursor"), place);
        for bad in ["", "!", "AAAA", &BASE64URL_NOPAD.encode(b"x.y")] {
            assert!(matches!(Place::decode(Some(bad)), Err(RecordsError::BadCursor)), "{bad}");
        }
    }
}
