//! What is wrong with a document that a type refused: where (JSON pointer), and why, without repeating the value.
//!
//! Only refused documents come here. The type is read once more, from the parsed value, by a deserialiser whose error
//! keeps what serde says in its structured form; each container on the way out puts its key in front. Where a type
//! buffers (flattened or internally tagged), the pointer ends at the buffer.

use std::fmt;

use palomar_model::FieldError;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};
use serde_json::Value;

use super::nearest;

/// What is wrong with `value` as a `T`.
pub(crate) fn explain<T: DeserializeOwned>(value: &Value) -> FieldError {
    match T::deserialize(Node(value)) {
        Err(fault) => FieldError::new(fault.pointer, fault.detail),
        // The text was refused but its value is not: only a name given twice does that.
        Ok(_) => FieldError::new("", "a name occurs twice"),
    }
}

#[derive(Debug)]
struct Fault {
    pointer: String,
    detail: String,
}

impl Fault {
    fn new(detail: impl Into<String>) -> Fault {
        Fault { pointer: String::new(), detail: detail.into() }
    }

    fn at(field: &str, detail: impl Into<String>) -> Fault {
        Fault::new(detail).below(field)
    }

    fn below(mut self, key: &str) -> Fault {
        self.pointer = format!("/{}{}", key.replace('~', "~0").replace('/', "~1"), self.pointer);
        self
    }
}

/// The names that are shown: of those that differ in case only, the one in lower case.
fn names(expected: &'static [&'static str]) -> Vec<&'static str> {
    let shouted = |name: &str| expected.iter().any(|other| *other != name && *other == name.to_lowercase());
    expected.iter().copied().filter(|name| !shouted(name)).collect()
}

/// What serde expects, in words of JSON.
fn wanted(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let words = match expected.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number within bounds",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    words.to_owned()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        let given = match unexpected {
            Unexpected::Bool(_) => "a truth value",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "a string",
            Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Seq => "an array",
            Unexpected::Map => "an object",
            _ => "this",
        };
        Fault::new(format!("must be {}, not {given}", wanted(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Fault {
        Fault::new(format!("has {length} elements; expected {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Fault {
        let known = names(expected);
        let list = known.join(", ");
        Fault::new(match nearest(variant, known) {
            Some(meant) => format!("must be one of {list}; did you mean `{meant}`?"),
            None => format!("must be one of {list}"),
        })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Fault {
        let known = names(expected);
        let list = known.join(", ");
        let detail = match nearest(field, known) {
            Some(meant) => format!("is not known here; did you mean `{meant}`?"),
            None => format!("is not known here; known are {list}"),
        };
        // Serde reports the name before it asks for the value, that is from inside the object: the name is put in here.
        Fault::at(field, detail)
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault::at(field, "is missing")
    }

    fn duplicate_field(field: &'static str) -> Fault {
        Fault::at(field, "occurs twice (perhaps under two names)")
    }
}

/// A value that is read; strings are handed out borrowed.
#[derive(Clone, Copy)]
struct Node<'a>(&'a Value);

impl<'de> de::Deserializer<'de> for Node<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(members) => visitor.visit_map(Members { rest: members.iter(), value: None }),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, number) => visitor.visit_f64(number.unwrap_or(f64::MAX)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(Variant { name: variant, value: None }),
            Value::Object(members) => match (members.iter().next(), members.len()) {
                (Some((name, value)), 1) => visitor.visit_enum(Variant { name, value: Some(value) }),
                _ => Err(Fault::new("must be an object with one member")),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Value>>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((n, item)) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Node(item)).map(Some).map_err(|fault| fault.below(&n.to_string()))
    }
}

struct Members<'a> {
    rest: serde_json::map::Iter<'a>,
    value: Option<(&'a str, &'a Value)>,
}

impl<'de> de::MapAccess<'de> for Members<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some((key, value));
        seed.deserialize(key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.value.take() else {
            return Err(Fault::new("has no value"));
        };
        seed.deserialize(Node(value)).map_err(|fault| fault.below(key))
    }
}

struct Variant<'a> {
    name: &'a str,
    value: Option<&'a Value>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Variant<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant<'de>), Fault> {
        let variant = seed.deserialize(self.name.into_deserializer())?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        if self.value.is_none() { Ok(()) } else { Err(Fault::new("must be a string")) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(Node(self.value.unwrap_or(&Value::Null))).map_err(|fault| fault.below(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        let node = Node(self.value.unwrap_or(&Value::Null));
        de::Deserializer::deserialize_any(node, visitor).map_err(|fault| fault.below(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.tuple_variant(0, visitor)
    }
}
