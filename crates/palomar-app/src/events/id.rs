//! The place of an event.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The place of an event: the number of its entry in the journal, and which of the entry's events it is. Events are
/// ordered by it, on all nodes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    pub(crate) seq: u64,
    pub(crate) part: u16,
}

impl EventId {
    /// The place behind all events of an entry.
    pub(crate) const fn end_of(seq: u64) -> EventId {
        EventId { seq, part: u16::MAX }
    }

    /// The number after which the journal has all that comes after this place.
    pub(crate) const fn read_after(self) -> u64 {
        if self.part == u16::MAX { self.seq } else { self.seq.saturating_sub(1) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            u16::MAX => write!(f, "{}", self.seq),
            part => write!(f, "{}-{part}", self.seq),
        }
    }
}

/// A text that is no [`EventId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of an event, such as 1041-0")]
pub struct NoEventId;

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<EventId, NoEventId> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (seq, part) = match text.split_once('-') {
            None => (text, None),
            Some((seq, part)) => (seq, Some(part)),
        };
        if !digits(seq) || !part.is_none_or(digits) {
            return Err(NoEventId);
        }
        let part = part.map_or(Ok(u16::MAX), str::parse).map_err(|_| NoEventId)?;
        // The database's numbers end there.
        let seq = seq.parse().ok().filter(|seq| i64::try_from(*seq).is_ok()).ok_or(NoEventId)?;
        Ok(EventId { seq, part })
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_or_refused() {
        let place = |text: &str| text.parse::<EventId>();
        assert_eq!(place("1041-2"), Ok(EventId { seq: 1041, part: 2 }));
        assert_eq!(place("1041"), Ok(EventId::end_of(1041)));
        for text in ["0", "1041", "1041-0", "9-65534"] {
            assert_eq!(place(text).expect("a place").to_string(), text);
        }
        for bad in ["", "-", "-1", "1-", "+1", "1-2-3", "1.2", "x", "9223372036854775808", "1-65536", " 1"] {
            assert_eq!(place(bad), Err(NoEventId), "{bad:?}");
        }
        let ordered = ["9-1", "9", "10-0"].map(|text| place(text).expect("a place"));
        assert!(ordered.is_sorted());
    }
}
