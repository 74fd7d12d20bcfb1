//! The ledger: what a simulated provider accepted, in order. A message is in it exactly if the provider took it,
//! whatever the sender was told; tests compare it with what the engine believes.

use std::collections::BTreeMap;
use std::collections::HashMap;

use palomar_model::{Tag, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

/// One accepted message. Kept small: a ledger holds a million of them.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// When it was accepted.
    pub(crate) at: Timestamp,
    /// The sender: phone number id.
    pub(crate) sender: std::sync::Arc<str>,
    /// Who it reaches.
    pub(crate) recipient: Box<str>,
    /// The caller's own reference.
    pub(crate) tag: Option<Box<str>>,
    /// The kind of message.
    pub(crate) kind: &'static str,
    /// The number from which the provider's id is made.
    pub(crate) number: u64,
    /// The fault that struck its answer.
    pub(crate) fault: Option<&'static str>,
    /// The request's body.
    pub(crate) body: Option<Box<[u8]>>,
}

/// One line of the ledger as it is shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// Its place, counted from 1.
    pub order: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// The same in microseconds since 1970.
    pub at_micros: i64,
    /// The sender: phone number id.
    pub phone_number_id: String,
    /// Who it reaches: `+` and digits, a user id or a group id.
    pub recipient: String,
    /// The sender's own reference (`biz_opaque_callback_data`).
    pub tag: Option<String>,
    /// The kind of message: `text`, `template`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The provider's id.
    pub wamid: String,
    /// The fault that struck its answer: the sender was not told that it was accepted, or late.
    pub fault: Option<String>,
    /// The request's body, where bodies are kept.
    pub body: Option<Box<RawValue>>,
}

/// A message that was accepted more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Duplicate {
    /// The message part of the tag (`palomar:<message>:<attempt>`), or the whole tag where it is not Palomar's.
    pub message: String,
    /// How often it was accepted.
    pub count: u64,
    /// Where in the ledger.
    pub orders: Vec<u64>,
}

/// What was accepted, in order.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<Accepted>);

impl Ledger {
    pub(crate) fn push(&mut self, accepted: Accepted) {
        self.0.push(accepted);
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Up to `limit` entries behind place `after`, with their places.
    pub(crate) fn page(&self, after: u64, limit: usize) -> Vec<(u64, Accepted)> {
        let start = usize::try_from(after).unwrap_or(usize::MAX).min(self.0.len());
        let page = self.0[start..].iter().take(limit);
        page.zip(after.saturating_add(1)..).map(|(entry, order)| (order, entry.clone())).collect()
    }

    /// What was accepted more than once, in order of its first acceptance. Entries without a tag can't be told apart.
    pub(crate) fn duplicates(&self) -> Vec<Duplicate> {
        let mut first_seen: HashMap<&str, u64> = HashMap::new();
        let mut repeated: BTreeMap<u64, Duplicate> = BTreeMap::new();
        for (entry, order) in self.0.iter().zip(1..) {
            let Some(message) = entry.tag.as_deref().map(message_of) else {
                continue;
            };
            let first = *first_seen.entry(message).or_insert(order);
            if first == order {
                continue;
            }
            let new = || Duplicate { message: message.to_owned(), count: 1, orders: vec![first] };
            let duplicate = repeated.entry(first).or_insert_with(new);
            duplicate.count += 1;
            duplicate.orders.push(order);
        }
        repeated.into_values().collect()
    }
}

/// The part of a tag that is the same for all attempts of a message.
fn message_of(tag: &str) -> &str {
    if tag.parse::<Tag>().is_err() {
        return tag;
    }
    tag.strip_prefix("palomar:").and_then(|rest| rest.split_once(':')).map_or(tag, |(message, _)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_of_one_message_are_duplicates() {
        let uuid = "0197a1b2-0000-7000-8000-000000000001";
        let mut ledger = Ledger::default();
        for tag in [
            Some(format!("palomar:{uuid}:1")),
            Some("job:1".into()),
            None,
            None,
            Some(format!("palomar:{uuid}:2")),
        ] {
            ledger.push(Accepted {
                at: Timestamp::EPOCH,
                sender: "1".into(),
                recipient: "34600111222".into(),
                tag: tag.map(String::into_boxed_str),
                kind: "text",
                number: 0,
                fault: None,
                body: None,
            });
        }
        let expected = Duplicate { message: uuid.to_owned(), count: 2, orders: vec![1, 5] };
        assert_eq!(ledger.duplicates(), [expected]);
        assert_eq!(ledger.page(3, 10).iter().map(|(order, _)| *order).collect::<Vec<_>>(), [4, 5]);
        assert!(ledger.page(u64::MAX, 10).is_empty());
    }
}
