//! What a campaign says, with places for what is known of a recipient: `Hola {{name|amigo}}`. Functions of values.
//!
//! Always: a text is read once, when the campaign is written; whoever it can't be completed for is named with the variable
//! that is missing, and gets nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;

use palomar_model::attribute::{AttributeName, AttributeValue, Number};
use palomar_model::template::{Attributes, RenderError, Template};
use palomar_model::{Content, FieldError};
use serde_json::{Map, Value};

/// What is known of a recipient, as the text asks for it.
struct Known<'f>(&'f Map<String, Value>);

impl Attributes for Known<'_> {
    fn value(&self, name: &AttributeName) -> Option<Cow<'_, AttributeValue>> {
        let value = match self.0.get(name.as_str())? {
            Value::String(text) => AttributeValue::Text(text.clone()),
            Value::Bool(flag) => AttributeValue::Flag(*flag),
            Value::Number(number) => AttributeValue::Number(Number::new(number.as_f64()?).ok()?),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some(Cow::Owned(value))
    }
}

/// Why a text can't be completed for somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotCompleted {
    /// A text of it can't: nothing is known of them where it asks for something, or it becomes too long.
    #[error(transparent)]
    Words(#[from] RenderError),
    /// What comes out can't be sent.
    #[error("{0}")]
    NotSendable(FieldError),
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
    Words(Template),
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
    pub(super) fn names(&self) -> BTreeSet<String> {
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
        Value::String(text) if text.contains("{{") || text.contains("}}") => {
            Shape::Words(Template::parse(text).map_err(|error| FieldError::new(at, error.to_string()))?)
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
    fn names(&self, names: &mut BTreeSet<String>) {
        match self {
            Shape::Fixed(_) => {}
            Shape::Words(words) => {
                names.extend(words.variables().into_iter().map(|variable| variable.name.as_str().to_owned()));
            }
            Shape::List(items) => items.iter().for_each(|item| item.names(names)),
            Shape::Object(members) => members.iter().for_each(|(_, member)| member.names(names)),
        }
    }

    fn complete(&self, fields: &Map<String, Value>) -> Result<Value, NotCompleted> {
        Ok(match self {
            Shape::Fixed(value) => value.clone(),
            Shape::Words(words) => Value::String(words.render(&Known(fields))?),
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
    fn contents_are_completed_wherever_a_text_stands() {
        let template = json!({"name": "promo", "language": "es", "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "{{name}}"}]},
        ]});
        let form = Form::read("template", &template).expect("read");
        assert_eq!(form.names(), BTreeSet::from(["name".to_owned()]));
        let content = serde_json::to_value(form.complete(&fields()).expect("complete")).expect("json");
        assert_eq!(content["content"]["components"][0]["parameters"][0]["text"], "Lucía");
        for (text, expected) in [
            ("{{points}} {{vip}} {{ciudad|allí}}", Some("7 true allí")),
            ("{{#if vip}}Hola{{/if}} {{city|tú}}", Some("Hola tú")),
            ("{{city}}", None),
            ("{{tags}}", None),
        ] {
            let form = Form::read("text", &json!({"text": text})).expect("read");
            let said = form.complete(&fields()).ok().and_then(|said| serde_json::to_value(said).ok());
            assert_eq!(said.as_ref().and_then(|said| said["content"]["text"].as_str()), expected, "{text}");
        }
        let bad = Form::read("text", &json!({"text": "{{"})).expect_err("refused");
        assert_eq!(bad.pointer, "/content/text");
        let empty = Form::read("text", &json!({"text": "{{x|}}"})).expect("read");
        assert!(matches!(empty.complete(&fields()), Err(NotCompleted::NotSendable(_))));
    }
}
