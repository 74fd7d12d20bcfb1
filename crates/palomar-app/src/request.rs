//! From the JSON of a request to a message: our shape and the older one (`instanceName`, `recipientPhone`, …), every
//! error with the place where it is. Errors never repeat a value: values are personal.

use std::str::FromStr;

use palomar_model::{
    ChannelName, Content, FieldError, MessageId, OnUncertain, Outbound, Priority, ProviderMessageId,
    Recipient, Template, Timestamp,
};
use serde_json::{Map, Value};

const MAX_METADATA: usize = 16 * 1024;
const MAX_CAMPAIGN: usize = 128;

/// Every field that a message has, under both of its names.
const FIELDS: &[&str] = &[
    "channel",
    "instanceName",
    "to",
    "recipientPhone",
    "type",
    "messageType",
    "content",
    "text",
    "id",
    "priority",
    "scheduledAt",
    "expiresAt",
    "campaignId",
    "metadata",
    "onUncertain",
    "replyTo",
    "fallback",
];

/// A message to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// Its id, where the client gives it: repeating the request is then safe for ever.
    pub id: Option<MessageId>,
    /// The channel; the only one there is where it is left out.
    pub channel: Option<ChannelName>,
    /// Whom it goes to.
    pub to: Recipient,
    /// What it says.
    pub content: Content,
    /// How urgent it is.
    pub priority: Priority,
    /// Not before.
    pub scheduled_at: Option<Timestamp>,
    /// Not after.
    pub expires_at: Option<Timestamp>,
    /// Its campaign.
    pub campaign_id: Option<String>,
    /// What becomes of it when its outcome stays unknown; the channel's setting where left out.
    pub on_uncertain: Option<OnUncertain>,
    /// The message that it answers.
    pub reply_to: Option<ProviderMessageId>,
    /// What is sent instead where only a template may be.
    pub fallback: Option<Box<Template>>,
    /// The sender's own data.
    pub metadata: Map<String, Value>,
}

impl NewMessage {
    /// Plain words to somebody, with everything else as it is by default.
    #[must_use]
    pub fn text(channel: ChannelName, to: Recipient, words: &str) -> NewMessage {
        NewMessage {
            id: None,
            channel: Some(channel),
            to,
            content: Content::text(words),
            priority: Priority::Normal,
            scheduled_at: None,
            expires_at: None,
            campaign_id: None,
            on_uncertain: None,
            reply_to: None,
            fallback: None,
            metadata: Map::new(),
        }
    }

    /// The message under its id, accepted at `accepted_at` by a channel.
    pub(crate) fn into_outbound(
        self,
        id: MessageId,
        channel: ChannelName,
        accepted_at: Timestamp,
    ) -> Outbound {
        Outbound {
            id,
            channel,
            to: self.to,
            content: self.content,
            priority: self.priority,
            scheduled_at: self.scheduled_at,
            expires_at: self.expires_at,
            campaign_id: self.campaign_id,
            campaign_place: None,
            hours: None,
            reply_to: self.reply_to,
            fallback: self.fallback,
            on_uncertain: self.on_uncertain,
            metadata: self.metadata,
            accepted_at,
        }
    }

    /// Reads a message. National numbers are read with `default_region` (ISO 3166).
    ///
    /// # Errors
    /// All rules that are broken, as far as they can be told apart.
    pub fn from_json(body: &Value, default_region: Option<&str>) -> Result<NewMessage, Vec<FieldError>> {
        let Some(fields) = body.as_object() else {
            return Err(vec![FieldError::new("", format!("must be an object, not {}", name_of(body)))]);
        };
        let mut read = Reader { fields, errors: unknown_fields(fields) };
        let id = read.parsed("id", "must be a UUID");
        let channel = read.channel();
        let to = read.recipient(default_region);
        let content = read.content();
        let mut metadata = read.metadata();
        let priority = read.priority(&mut metadata);
        let scheduled_at =
            read.parsed::<Timestamp>("scheduledAt", "must be a time such as 2026-07-01T09:30:00Z");
        let expires_at = read.parsed::<Timestamp>("expiresAt", "must be a time such as 2026-07-01T09:30:00Z");
        let on_uncertain = read.parsed("onUncertain", "must be hold, retry or drop");
        let campaign_id = read.text("campaignId").map(str::to_owned);
        let reply_to = read.text("replyTo").map(|id| ProviderMessageId(id.into()));
        let fallback = read.fallback();
        if campaign_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_CAMPAIGN) {
            read.error("/campaignId", format!("must have 1 to {MAX_CAMPAIGN} characters"));
        }
        if campaign_id.as_ref().is_some_and(|id| id.starts_with(crate::send_jobs::PREFIX)) {
            read.error("/campaignId", "names a send job, which says itself what belongs to it");
        }
        if scheduled_at.zip(expires_at).is_some_and(|(due, end)| end <= due) {
            read.error("/expiresAt", "must be later than scheduledAt");
        }
        match (to, content) {
            (Some(to), Some(content)) if read.errors.is_empty() => Ok(NewMessage {
                id,
                channel,
                to,
                content,
                priority,
                scheduled_at,
                expires_at,
                campaign_id,
                on_uncertain,
                reply_to,
                fallback,
                metadata,
            }),
            _ => Err(read.errors),
        }
    }
}

/// Reads fields one by one and gathers what is wrong with them.
struct Reader<'a> {
    fields: &'a Map<String, Value>,
    errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    fn error(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// A field that is there; `null` is as good as not.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A field under one of its names, with the name that it has.
    fn one_of(&self, names: [&'static str; 2]) -> Option<(&'static str, &'a Value)> {
        names.into_iter().find_map(|name| Some((name, self.get(name)?)))
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = self.get(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.error(format!("/{name}"), format!("must be a text, not {}", name_of(value)));
        }
        text
    }

    fn parsed<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let parsed = self.text(name)?.parse().ok();
        if parsed.is_none() {
            self.error(format!("/{name}"), expected);
        }
        parsed
    }

    fn channel(&mut self) -> Option<ChannelName> {
        let (name, _) = self.one_of(["channel", "instanceName"])?;
        self.parsed(name, "must be the name of a channel")
    }

    fn recipient(&mut self, default_region: Option<&str>) -> Option<Recipient> {
        let Some((name, value)) = self.one_of(["to", "recipientPhone"]) else {
            self.error("/to", "is missing");
            return None;
        };
        // Spreadsheets make numbers of phone numbers.
        let text = match value {
            Value::Number(number) if number.is_u64() => number.to_string(),
            _ => self.text(name)?.to_owned(),
        };
        Recipient::parse(&text, default_region)
            .map_err(|error| self.error(format!("/{name}"), error.to_string()))
            .ok()
    }

    fn content(&mut self) -> Option<Content> {
        if self.get("content").is_none() {
            if let Some(words) = self.text("text") {
                return self.checked(Content::text(words));
            }
            self.error("/content", "is missing");
            return None;
        }
        let content = self.get("content")?.clone();
        let kind = match self.one_of(["type", "messageType"]) {
            Some((name, _)) => self.text(name)?,
            None => "text",
        };
        // The shortest form of a text.
        let content = match content {
            Value::String(words) if kind == "text" => Value::from_iter([("text", words)]),
            other => other,
        };
        match Content::from_parts(kind, content) {
            Ok(content) => self.checked(content),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    fn checked(&mut self, content: Content) -> Option<Content> {
        let errors = content.validate_common();
        let sound = errors.is_empty();
        self.errors.extend(errors);
        sound.then_some(content)
    }

    fn metadata(&mut self) -> Map<String, Value> {
        match self.get("metadata") {
            None => Map::new(),
            Some(Value::Object(metadata)) => {
                if serde_json::to_string(metadata).is_ok_and(|text| text.len() > MAX_METADATA) {
                    self.error("/metadata", format!("must not be larger than {MAX_METADATA} bytes"));
                }
                metadata.clone()
            }
            Some(other) => {
                self.error("/metadata", format!("must be an object, not {}", name_of(other)));
                Map::new()
            }
        }
    }

    /// In the older shape the priority is in the metadata.
    fn priority(&mut self, metadata: &mut Map<String, Value>) -> Priority {
        let expected = "must be critical, high, normal or low";
        if self.get("priority").is_some() {
            return self.parsed("priority", expected).unwrap_or_default();
        }
        let older = self.get("recipientPhone").is_some() || self.get("instanceName").is_some();
        let Some(word) = metadata.get("priority").filter(|_| older) else {
            return Priority::default();
        };
        let priority = word.as_str().and_then(|word| word.parse().ok());
        if priority.is_some() {
            metadata.remove("priority");
        } else {
            self.error("/metadata/priority", expected);
        }
        priority.unwrap_or_default()
    }

    fn fallback(&mut self) -> Option<Box<Template>> {
        let template = serde_json::from_value(self.get("fallback")?.clone());
        template.map_err(|error| self.error("/fallback", format!("is not a template: {error}"))).ok()
    }
}

fn unknown_fields(fields: &Map<String, Value>) -> Vec<FieldError> {
    let unknown = fields.keys().filter(|name| !FIELDS.contains(&name.as_str()));
    unknown
        .map(|name| {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let nearest = FIELDS.iter().map(|known| (distance(name, known), known)).min();
            let detail = match nearest {
                Some((steps, known)) if steps <= 3 => format!("unknown field; did you mean `{known}`?"),
                _ => format!("unknown field (known: {})", FIELDS.join(", ")),
            };
            FieldError::new(pointer, detail)
        })
        .collect()
}

/// How many letters must change to make one word of another (Levenshtein); more than ten for words that are too long.
fn distance(one: &str, other: &str) -> usize {
    if one.len() > 32 {
        return usize::MAX;
    }
    let letters: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=letters.len()).collect();
    for (n, letter) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = n + 1;
        for (m, known) in letters.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *known);
            diagonal = row[m + 1];
            row[m + 1] = replaced.min(diagonal + 1).min(row[m] + 1);
        }
    }
    row[letters.len()]
}

const fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(body: &Value) -> Vec<String> {
        let errors = NewMessage::from_json(body, None).expect_err("refused");
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_shapes_and_the_short_one_are_read() {
        let to = "+34600111222";
        let ours = json!({"channel": "demo", "to": to, "type": "text", "content": {"text": "Hola"}, "priority": "high"});
        let older = json!({"instanceName": "demo", "recipientPhone": "34 600 111 222", "messageType": "text",
            "content": {"text": "Hola"}, "metadata": {"priority": "high"}});
        let short = json!({"channel": "demo", "to": 34_600_111_222_u64, "text": "Hola", "priority": "high"});
        let expected = NewMessage::from_json(&ours, None).expect("read");
        assert_eq!(expected.priority, Priority::High);
        for other in [older, short] {
            assert!(NewMessage::from_json(&other, None).expect("read") == expected, "{other}");
        }
    }

    #[test]
    fn every_error_says_where_and_repeats_nothing() {
        let body = json!({"chanel": "demo", "to": "12", "content": {"text": 1}, "priority": "now", "id": 7,
            "scheduledAt": "tomorrow", "metadata": []});
        let found = errors(&body);
        for expected in [
            "/chanel: unknown field; did you mean `channel`?",
            "/id: must be a text, not a number",
            "/priority: must be critical, high, normal or low",
            "/metadata: must be an object, not a list",
        ] {
            assert!(found.iter().any(|error| error == expected), "{expected} in {found:?}");
        }
        for start in ["/to: ", "/content", "/scheduledAt: "] {
            assert!(found.iter().any(|error| error.starts_with(start)), "{start} in {found:?}");
        }
        assert!(!found.concat().contains("tomorrow"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(errors(&json!({})), ["/to: is missing", "/content: is missing"]);
        assert_eq!(errors(&json!([])), [": must be an object, not a list"]);
        let body = json!({"to": "+34600111222", "text": "x", "scheduledAt": "2026-01-02T00:00:00Z",
            "expiresAt": "2026-01-01T00:00:00Z"});
        assert_eq!(errors(&body), ["/expiresAt: must be later than scheduledAt"]);
    }
}
