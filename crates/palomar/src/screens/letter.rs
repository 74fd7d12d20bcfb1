//! What a person says of dead letters: which of them are meant, and how one of them should have read.

use serde_json::{Map, Value, json};

use super::dlq::Topic;
use super::prompt::Line;
use super::queues::text;
use super::{Method, Request};

/// Which letters are meant: words of the reason, and `channel:`, `queue:`, `campaign:`, `before:`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    channel: Option<String>,
    queue: Option<String>,
    campaign: Option<String>,
    before: Option<String>,
    reason: Option<String>,
}

impl Filter {
    /// As it is typed: `channel:shop no such number`.
    pub(super) fn parse(text: &str) -> Filter {
        let mut filter = Filter::default();
        let mut reason: Vec<&str> = Vec::new();
        for word in text.split_whitespace() {
            let field = match word.split_once(':') {
                Some(("channel", value)) => Some((&mut filter.channel, value)),
                Some(("queue", value)) => Some((&mut filter.queue, value)),
                Some(("campaign", value)) => Some((&mut filter.campaign, value)),
                Some(("before", value)) => Some((&mut filter.before, value)),
                _ => None,
            };
            match field {
                Some((field, value)) => *field = (!value.is_empty()).then(|| value.to_owned()),
                None => reason.push(word),
            }
        }
        filter.reason = (!reason.is_empty()).then(|| reason.join(" "));
        filter
    }

    /// As it would be typed; nothing where all are meant.
    pub(super) fn words(&self) -> String {
        let named = [
            ("channel:", &self.channel),
            ("queue:", &self.queue),
            ("campaign:", &self.campaign),
            ("before:", &self.before),
            ("", &self.reason),
        ];
        let said: Vec<String> =
            named.iter().filter_map(|(name, value)| Some(format!("{name}{}", value.as_ref()?))).collect();
        said.join(" ")
    }

    pub(super) fn pairs(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("channel", self.channel.clone()),
            ("queue", self.queue.clone()),
            ("campaign", self.campaign.clone()),
            ("before", self.before.clone()),
            ("reason", self.reason.clone()),
        ]
    }

    /// As the body of an order.
    pub(super) fn body(&self) -> Value {
        let named = self.pairs().into_iter().filter_map(|(name, value)| {
            let name = if name == "campaign" { "campaignId" } else { name };
            Some((name.to_owned(), json!(value?)))
        });
        Value::Object(named.collect::<Map<_, _>>())
    }
}

/// A message being changed before it is sent anew.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) id: String,
    pub(super) channel: String,
    kind: String,
    /// What it says as JSON, but for the part that is edited.
    content: Value,
    priority: String,
    metadata: Value,
    pub(super) to: Line,
    pub(super) said: Line,
    /// Whether the cursor is in what it says.
    pub(super) in_said: bool,
}

impl Edit {
    /// What can be changed of a letter; nothing where its message is not known.
    pub(super) fn of(letter: &Value) -> Option<Edit> {
        let message = &letter["message"];
        let content = message["content"].clone();
        let said = match content["text"].as_str() {
            Some(text) => text.to_owned(),
            None if content.is_object() => content.to_string(),
            None => return None,
        };
        Some(Edit {
            id: text(letter, "id").to_owned(),
            channel: text(message, "channel").to_owned(),
            kind: text(message, "type").to_owned(),
            priority: text(letter, "priority").to_owned(),
            metadata: message["metadata"].clone(),
            to: Line::of(text(message, "contact")),
            said: Line::of(&said),
            in_said: true,
            content,
        })
    }

    pub(super) fn is_text(&self) -> bool {
        self.content["text"].is_string()
    }

    /// The message to be queued in place of the letter. It is another one, with an id of its own, and says whose place it
    /// takes; asked for twice it is queued once.
    pub(super) fn request(&self) -> Result<Request<Topic>, String> {
        let mut content = self.content.clone();
        if self.is_text() {
            content["text"] = json!(self.said.text());
        } else {
            content = serde_json::from_str(&self.said.text()).map_err(|error| format!("no JSON: {error}"))?;
        }
        let mut metadata = match &self.metadata {
            Value::Object(fields) => fields.clone(),
            _ => Map::new(),
        };
        metadata.insert("replaces".to_owned(), json!(self.id));
        let mut body = json!({
            "channel": self.channel,
            "to": self.to.text(),
            "type": self.kind,
            "content": content,
            "metadata": metadata,
        });
        if !self.priority.is_empty() {
            body["priority"] = json!(self.priority);
        }
        let mut request = Request::new(Topic::Edited, Method::Post(body), "/api/messages");
        request.idempotency_key = Some(format!("replaces-{}", self.id));
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_typed_and_shown_alike() {
        for (typed, shown, body) in [
            ("", "", json!({})),
            ("no such number", "no such number", json!({"reason": "no such number"})),
            (
                "lost channel:shop  answer campaign:c1",
                "channel:shop campaign:c1 lost answer",
                json!({"channel": "shop", "campaignId": "c1", "reason": "lost answer"}),
            ),
            (
                "queue:outbound/shop before:2026-11-01T00:00:00Z",
                "queue:outbound/shop before:2026-11-01T00:00:00Z",
                json!({"queue": "outbound/shop", "before": "2026-11-01T00:00:00Z"}),
            ),
            ("channel: code:131026", "code:131026", json!({"reason": "code:131026"})),
        ] {
            let filter = Filter::parse(typed);
            assert_eq!(filter.words(), shown, "{typed}");
            assert_eq!(filter.body(), body, "{typed}");
            assert_eq!(Filter::parse(shown), filter, "{typed}");
        }
    }

    #[test]
    fn what_is_no_text_is_edited_as_json() {
        let content = json!({"link": "https://example.org/a.png"});
        let letter = json!({"id": "x", "message": {"channel": "shop", "contact": "+1", "type": "image", "content": content}});
        let mut edit = Edit::of(&letter).expect("it can be edited");
        let Ok(Request { method: Method::Post(body), .. }) = edit.request() else { panic!("a request") };
        assert_eq!(body["content"], content);
        edit.said = Line::of("{no json");
        assert!(edit.request().is_err());
        assert!(Edit::of(&json!({"id": "x", "message": null})).is_none());
    }
}
