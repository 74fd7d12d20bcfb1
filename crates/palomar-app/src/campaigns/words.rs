//! What a campaign says, with places for what is known of a recipient: `Hola {{name|amigo}}`. Functions of values.
//!
//! Always: a text is read once, when the campaign is written; whoever it can't be completed for is named with the variable
//! that is missing, and gets nothing.

use std::collections::BTreeSet;

use palomar_model::{Content, FieldError};
use serde_json::{Map, Value};

/// A completed text is no longer than this.
const MOST_BYTES: usize = 64 * 1024;
/// A variable's name is no longer than this.
const MOST_NAME: usize = 64;

/// A text with places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Place { name: String, fallback: Option<String> },
}

/// Why a text can't be completed for somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotCompleted {
    /// Nothing is known of them under this name, and the text has no words for that.
    #[error("nothing is known of them as `{0}`: write `{{{{{0}|…}}}}` with words for that")]
    Missing(String),
    /// It becomes too long.
    #[error("it becomes longer than {MOST_BYTES} bytes")]
    TooLong,
    /// What comes out can't be sent.
    #[error("{0}")]
    NotSendable(FieldError),
}

impl Words {
    /// Reads a text; what is wrong with it, where it can't be.
    pub(super) fn read(text: &str) -> Result<Words, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(begin) = rest.find("{{") {
            let (plain, place) = rest.split_at(begin);
            let at = text.len() - place.len();
            let place = &place[2..];
            let end = place.find("}}").ok_or(format!("`{{{{` at byte {at} is not closed by `}}}}`"))?;
            if !plain.is_empty() {
                pieces.push(Piece::Plain(plain.to_owned()));
            }
            let (name, fallback) = match place[..end].split_once('|') {
                Some((name, fallback)) => (name, Some(fallback.trim().to_owned())),
                None => (&place[..end], None),
            };
            let name = name.trim();
            let known = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
            if name.is_empty() || name.len() > MOST_NAME || !name.chars().all(known) {
                return Err(format!(
                    "what is in `{{{{}}}}` at byte {at} is not a name, such as {{{{name}}}}"
                ));
            }
            pieces.push(Piece::Place { name: name.to_owned(), fallback });
            rest = &place[end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Plain(rest.to_owned()));
        }
        Ok(Words(pieces))
    }

    fn complete(&self, fields: &Map<String, Value>) -> Result<String, NotCompleted> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Place { name, fallback } => match fields.get(name) {
                    Some(Value::String(value)) if !value.trim().is_empty() => text.push_str(value),
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => text.push_str(&value.to_string()),
                    _ => {
                        let missing = || NotCompleted::Missing(name.clone());
                        text.push_str(fallback.as_deref().ok_or_else(missing)?);
                    }
                },
            }
            if text.len() > MOST_BYTES {
                return Err(NotCompleted::TooLong);
            }
        }
        Ok(text)
    }
}

/// A content with places in its texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    kind: String,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Fixed(Value),
    Words(Words),
    List(Vec<Shape>),
    Object(Vec<(String, Shape)>),
}

impl Form {
    /// Reads a content of a type.
    ///
    /// # Errors
    /// Where a text of it can't be read: the place and why.
    pub(super) fn read(kind: &str, content: &Value) -> Result<Form, FieldError> {
        Ok(Form { kind: kind.to_owned(), shape: shape(content, "/content")? })
    }

    /// The names that it has places for.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.shape.names(&mut names);
        names
    }

    /// The content for somebody.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn complete(&self, fields: &Map<String, Value>) -> Result<Content, NotCompleted> {
        let content = Content::from_parts(&self.kind, self.shape.complete(fields)?);
        let content = content.map_err(NotCompleted::NotSendable)?;
        match content.validate_common().into_iter().next() {
            None => Ok(content),
            Some(error) => Err(NotCompleted::NotSendable(error)),
        }
    }
}

fn shape(value: &Value, at: &str) -> Result<Shape, FieldError> {
    Ok(match value {
        Value::String(text) if text.contains("{{") => {
            Shape::Words(Words::read(text).map_err(|error| FieldError::new(at, error))?)
        }
        Value::Array(items) => {
            let items = items.iter().zip(0..).map(|(item, n)| shape(item, &format!("{at}/{n}")));
            Shape::List(items.collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| {
                Ok((
                    name.clone(),
                    shape(member, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")))?,
                ))
            });
            Shape::Object(members.collect::<Result<_, FieldError>>()?)
        }
        other => Shape::Fixed(other.clone()),
    })
}

impl Shape {
    fn names<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Shape::Fixed(_) => {}
            Shape::Words(Words(pieces)) => names.extend(pieces.iter().filter_map(|piece| match piece {
                Piece::Place { name, .. } => Some(name.as_str()),
                Piece::Plain(_) => None,
            })),
            Shape::List(items) => items.iter().for_each(|item| item.names(names)),
            Shape::Object(members) => members.iter().for_each(|(_, member)| member.names(names)),
        }
    }

    fn complete(&self, fields: &Map<String, Value>) -> Result<Value, NotCompleted> {
        Ok(match self {
            Shape::Fixed(value) => value.clone(),
            Shape::Words(words) => Value::String(words.complete(fields)?),
            Shape::List(items) => {
                Value::Array(items.iter().map(|item| item.complete(fields)).collect::<Result<_, _>>()?)
            }
            Shape::Object(members) => {
                let members =
                    members.iter().map(|(name, member)| Ok((name.clone(), member.complete(fields)?)));
                Value::Object(members.collect::<Result<_, NotCompleted>>()?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields() -> Map<String, Value> {
        let fields = json!({"name": "Lucía", "city": " ", "points": 7, "vip": true, "tags": ["a"]});
        fields.as_object().expect("an object").clone()
    }

    #[test]
    fn texts_are_completed() {
        for (text, expected) in [
            ("Hola", Ok("Hola")),
            ("", Ok("")),
            ("Hola {{name}}, {{ points }} {{vip}}", Ok("Hola Lucía, 7 true")),
            ("{{nobody|amigo}} {{city|tu ciudad}} {{x|}}!", Ok("amigo tu ciudad !")),
            ("{{city}}", Err("city")),
            ("{{tags}}", Err("tags")),
            ("a } b { c }} d", Ok("a } b { c }} d")),
        ] {
            let found = Words::read(text).expect("read").complete(&fields());
            let expected = expected.map(str::to_owned).map_err(|name| NotCompleted::Missing(name.to_owned()));
            assert_eq!(found, expected, "{text}");
        }
        for bad in ["{{", "{{name", "{{}}", "{{ }}", "{{a b}}", "{{|x}}", "{{{name}}}", "{{for x in y}}"] {
            assert!(Words::read(bad).is_err(), "{bad}");
        }
        let long = Map::from_iter([("x".to_owned(), Value::from("y".repeat(MOST_BYTES)))]);
        assert_eq!(Words::read("a{{x}}").expect("read").complete(&long), Err(NotCompleted::TooLong));
    }

    #[test]
    fn contents_are_completed_wherever_a_text_stands() {
        let template = json!({"name": "promo", "language": "es", "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "{{name}}"}]},
        ]});
        let form = Form::read("template", &template).expect("read");
        assert_eq!(form.names(), BTreeSet::from(["name"]));
        let content = serde_json::to_value(form.complete(&fields()).expect("complete")).expect("json");
        assert_eq!(content["content"]["components"][0]["parameters"][0]["text"], "Lucía");
        let bad = Form::read("text", &json!({"text": "{{"})).expect_err("refused");
        assert_eq!(bad.pointer, "/content/text");
        let empty = Form::read("text", &json!({"text": "{{x|}}"})).expect("read");
        assert!(matches!(empty.complete(&fields()), Err(NotCompleted::NotSendable(_))));
    }
}
