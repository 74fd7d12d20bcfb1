//! Walks a JSON request and knows where it is: each complaint names its parameter as the Graph API does,
//! `interactive['action']['buttons'][0]['reply']['title']`.

use serde_json::Value;

use super::errors::GraphError;

type Checked<T> = Result<T, GraphError>;

/// A value inside the request and the way to it. Costs nothing until a path is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'v, 'p> {
    value: &'v Value,
    parent: Option<&'p Field<'v, 'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl<'v, 'p> Field<'v, 'p> {
    /// The whole request.
    pub(super) const fn root(value: &'v Value) -> Field<'v, 'p> {
        Field { value, parent: None, step: Step::Root }
    }

    /// Where this value is.
    pub(super) fn path(&self) -> String {
        let mut path = self.parent.map_or_else(String::new, Field::path);
        match self.step {
            Step::Root => {}
            Step::Key(key) if path.is_empty() => path.push_str(key),
            Step::Key(key) => path.push_str(&format!("['{key}']")),
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
        path
    }

    /// The error "must be …" about this value.
    pub(super) fn must(&self, be: &str) -> GraphError {
        GraphError::parameter(format!("Param {} must {be}.", self.path()))
    }

    /// True if the member is there and not null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value.get(key).is_some_and(|value| !value.is_null())
    }

    /// A member, unless missing or null.
    pub(super) fn get<'c>(&'c self, key: &'c str) -> Option<Field<'v, 'c>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Field { value, parent: Some(self), step: Step::Key(key) })
    }

    /// A member that must be there.
    pub(super) fn need<'c>(&'c self, key: &'c str) -> Checked<Field<'v, 'c>> {
        self.get(key).ok_or_else(|| self.missing(key))
    }

    /// 131008 about a member of this value.
    pub(super) fn missing(&self, key: &str) -> GraphError {
        let path = Field { value: &Value::Null, parent: Some(self), step: Step::Key(key) }.path();
        GraphError::missing(&path)
    }

    /// A member that must be an object.
    pub(super) fn object<'c>(&'c self, key: &'c str) -> Checked<Field<'v, 'c>> {
        let field = self.need(key)?;
        if field.value.is_object() { Ok(field) } else { Err(field.must("be a JSON object")) }
    }

    /// A member that must be an array of `least` to `most` items.
    pub(super) fn array<'c>(&'c self, key: &'c str, least: usize, most: usize) -> Checked<Field<'v, 'c>> {
        let field = self.need(key)?;
        let items = field.value.as_array().ok_or_else(|| field.must("be a JSON array"))?;
        if (least..=most).contains(&items.len()) {
            Ok(field)
        } else {
            Err(field.must(&format!("have between {least} and {most} elements")))
        }
    }

    /// The items of an array; of anything else none.
    pub(super) fn items<'c>(&'c self) -> impl Iterator<Item = Field<'v, 'c>> {
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let item = |(index, value)| Field { value, parent: Some(self), step: Step::Index(index) };
        items.iter().enumerate().map(item)
    }

    /// A text of 1 to `most` characters that must be there.
    pub(super) fn text(&self, key: &str, most: usize) -> Checked<&'v str> {
        let text = self.need(key)?.as_text(most)?;
        if text.is_empty() { Err(self.missing(key)) } else { Ok(text) }
    }

    /// A text of at most `most` characters, if there.
    pub(super) fn text_if_any(&self, key: &str, most: usize) -> Checked<Option<&'v str>> {
        self.get(key).map(|field| field.as_text(most)).transpose()
    }

    /// This value as a text of at most `most` characters.
    pub(super) fn as_text(&self, most: usize) -> Checked<&'v str> {
        let text = self.value.as_str().ok_or_else(|| self.must("be a string"))?;
        // A text of few bytes has no more characters than that.
        if text.len() > most && text.chars().count() > most {
            return Err(self.must(&format!("be at most {most} characters long")));
        }
        Ok(text)
    }

    /// One of the `allowed` texts; anything else is 131009.
    pub(super) fn choice(&self, key: &str, allowed: &[&str]) -> Checked<&'v str> {
        let field = self.need(key)?;
        let text = field.value.as_str().ok_or_else(|| field.must("be a string"))?;
        if allowed.contains(&text) {
            return Ok(text);
        }
        Err(GraphError::value(format!("Param {} must be one of {{{}}}", field.path(), allowed.join(", "))))
    }

    /// True for `{}`.
    pub(super) fn is_empty_object(&self) -> bool {
        self.value.as_object().is_some_and(serde_json::Map::is_empty)
    }

    /// A boolean, if there.
    pub(super) fn flag(&self, key: &str) -> Checked<bool> {
        let Some(field) = self.get(key) else {
            return Ok(false);
        };
        field.value.as_bool().ok_or_else(|| field.must("be a boolean"))
    }

    /// A number, or a text that reads as one, within the limits.
    pub(super) fn number(&self, key: &str, least: f64, most: f64) -> Checked<f64> {
        let field = self.need(key)?;
        let number = match field.value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_f64(),
        };
        let number = number.ok_or_else(|| field.must("be a number"))?;
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(GraphError::value(format!("Param {} must be between {least} and {most}", field.path())))
        }
    }

    /// Refuses a member that this kind of object does not have.
    pub(super) fn without(&self, key: &str) -> Checked<()> {
        if !self.has(key) {
            return Ok(());
        }
        Err(GraphError::parameter(format!("Unexpected key \"{key}\" on param \"{}\".", self.path())))
    }

    /// A web address of this member: `http` or `https`.
    pub(super) fn link(&self, key: &str) -> Checked<&'v str> {
        let link = self.text(key, 2048)?;
        if link.starts_with("https://") || link.starts_with("http://") {
            return Ok(link);
        }
        Err(GraphError::value(format!("Param {}['{key}'] is not a valid URL", self.path())))
    }
}
