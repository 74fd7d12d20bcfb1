//! Content with variables: every text in it is a template, wherever it stands, so that a caption, a button and a parameter of
//! a provider's template may name whom they go to.
//!
//! What always holds: what is rendered has the form and the members of what was read; only texts differ.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Attributes, RenderError, Template, Variable};
use crate::attribute::AttributeName;
use crate::{Content, FieldError};

/// Texts of one content.
const MOST_TEXTS: usize = 1_000;

/// Content with variables.
#[derive(Clone, Debug, PartialEq)]
pub struct ContentTemplate {
    form: Value,
    /// The texts that are not the same for everybody, by their places (JSON pointers).
    texts: BTreeMap<String, Template>,
}

/// Why content can't be given to somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentRenderError {
    /// A text can't be rendered for them.
    #[error("{pointer}: {why}")]
    Text {
        /// Which one.
        pointer: String,
        /// Why.
        why: RenderError,
    },
    /// With their values it is no content.
    #[error("{0}")]
    Content(String),
}

impl ContentTemplate {
    /// Reads content as messages have it: `{"type": "text", "content": {"text": "Hola {{name|amigo}}"}}`.
    ///
    /// # Errors
    /// What is wrong with its texts, each with its place. Whether the rest is content is seen when it is rendered.
    pub fn parse(form: &Value) -> Result<ContentTemplate, Vec<FieldError>> {
        let (mut texts, mut errors, mut left) = (BTreeMap::new(), Vec::new(), MOST_TEXTS);
        if let Some(content) = form.get("content") {
            gather(content, "/content", &mut left, &mut |pointer, text| match Template::parse(text) {
                // A text without signs is itself; a plain one with signs had them marked.
                Ok(_) if !text.contains("{{") && !text.contains("}}") => {}
                Ok(template) => drop(texts.insert(pointer.to_owned(), template)),
                Err(why) => errors.push(FieldError::new(pointer, why.to_string())),
            });
        }
        if left == 0 {
            errors.push(FieldError::new("/content", format!("has more than {MOST_TEXTS} texts")));
        }
        if errors.is_empty() { Ok(ContentTemplate { form: form.clone(), texts }) } else { Err(errors) }
    }

    /// A text message.
    ///
    /// # Errors
    /// Where the text is no template.
    pub fn text(text: &str) -> Result<ContentTemplate, Vec<FieldError>> {
        ContentTemplate::parse(&serde_json::json!({ "type": "text", "content": { "text": text } }))
    }

    /// As it was read.
    #[must_use]
    pub const fn form(&self) -> &Value {
        &self.form
    }

    /// The variables of all texts, each once.
    #[must_use]
    pub fn variables(&self) -> Vec<Variable> {
        let mut found: BTreeMap<AttributeName, bool> = BTreeMap::new();
        for variable in self.texts.values().flat_map(Template::variables) {
            *found.entry(variable.name).or_default() |= variable.required;
        }
        found.into_iter().map(|(name, required)| Variable { name, required }).collect()
    }

    /// The content for somebody.
    ///
    /// # Errors
    /// What they lack, or that it is no content with their values.
    pub fn render(&self, whom: &impl Attributes) -> Result<Content, ContentRenderError> {
        let mut form = self.form.clone();
        for (pointer, template) in &self.texts {
            let text = template
                .render(whom)
                .map_err(|why| ContentRenderError::Text { pointer: pointer.clone(), why })?;
            if let Some(place) = form.pointer_mut(pointer) {
                *place = Value::String(text);
            }
        }
        let content = form.get_mut("content").map(Value::take).unwrap_or_default();
        let kind = form.get("type").and_then(Value::as_str).unwrap_or_default();
        Content::from_parts(kind, content).map_err(|error| ContentRenderError::Content(error.to_string()))
    }
}

/// Hands on every text with its place.
fn gather(value: &Value, pointer: &str, left: &mut usize, each: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) if *left > 0 => {
            *left -= 1;
            each(pointer, text);
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(n, item)| gather(item, &format!("{pointer}/{n}"), left, each));
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                gather(member, &format!("{pointer}/{name}"), left, each);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::attribute::AttributeMap;

    #[test]
    fn every_text_is_rendered_in_its_place() {
        let ana: AttributeMap =
            serde_json::from_value(json!({ "city": "Madrid", "code": "A\"1" })).expect("a map");
        let form = json!({"type": "template", "content": {"name": "oferta", "language": "es", "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "{{city}}"}, {"type": "text", "text": "{{name|amigo}}"}]},
            {"type": "button", "subType": "url", "index": 0, "parameters": [{"type": "text", "text": "{{code}}"}]},
        ]}});
        let template = ContentTemplate::parse(&form).expect("a template");
        let told: Vec<_> =
            template.variables().into_iter().map(|one| (one.name.to_string(), one.required)).collect();
        assert_eq!(told, [("city".to_owned(), true), ("code".to_owned(), true), ("name".to_owned(), false)]);
        let rendered = serde_json::to_value(template.render(&ana).expect("rendered")).expect("JSON");
        let parameters = &rendered["content"]["components"][0]["parameters"];
        assert_eq!((&parameters[0]["text"], &parameters[1]["text"]), (&json!("Madrid"), &json!("amigo")));
        assert_eq!(rendered["content"]["components"][1]["parameters"][0]["text"], "A\"1");

        let missing = ContentTemplate::text("Hola {{name}}").expect("a template").render(&ana);
        let text = missing.expect_err("missing").to_string();
        assert!(text.starts_with("/content/text: no value for {{name}}"), "{text}");
        let escaped = ContentTemplate::text("\\{{x\\}}").expect("a template").render(&ana).expect("rendered");
        let Content::Text(escaped) = escaped else { panic!("a text") };
        assert_eq!(escaped.text, "{{x}}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let bad = json!({"type": "text", "content": {"text": "{{", "b": ["{{1}}"]}});
        let errors = ContentTemplate::parse(&bad).expect_err("refused");
        let places: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(places, ["/content/b/0", "/content/text"]);
        let many = json!({"type": "text", "content": vec!["x"; MOST_TEXTS + 1]});
        assert!(ContentTemplate::parse(&many).is_err());
        let none = ContentTemplate::parse(&json!({"type": "text", "content": {}})).expect("read");
        assert!(matches!(none.render(&AttributeMap::default()), Err(ContentRenderError::Content(_))));
    }
}
