//! JSON from outside: limits before parsing, and refusals that say where and why.
//!
//! What always holds: no document nested deeper than [`MAX_DEPTH`] reaches a parser; a refusal names the place by JSON
//! pointer and never repeats the value; text that is not JSON is a 400, JSON of the wrong shape a 422. Members that a
//! type does not know are refused. Of a name given twice the last counts in messages (they are read from values); where a
//! type is read straight from the text it is refused.

mod fault;
mod limits;
mod nearest;

use palomar_model::FieldError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use crate::problem::{Code, Problem};

pub(crate) use limits::MAX_DEPTH;
pub(crate) use nearest::nearest;

/// The document as text, once it is known to be harmless.
pub(crate) fn text(body: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Problem::new(Code::BadUtf8, format!("Byte {} is not UTF-8.", error.valid_up_to()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !limits::depth_within(text.as_bytes(), MAX_DEPTH) {
        return Err(Problem::new(
            Code::TooDeep,
            format!("Objects and arrays may be nested {MAX_DEPTH} deep."),
        ));
    }
    Ok(text)
}

/// Any JSON value.
pub(crate) fn value(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_str(text(body)?).map_err(|error| not_json(&error))
}

/// An object of a type. Read once; only what is refused is read again, to say what is wrong with it.
pub(crate) fn typed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = text(body)?;
    // A type would take an array of its fields, in their order, too.
    if text.trim_start().starts_with('[') {
        return value(body).and(Err(Problem::invalid_at("", "must be an object, not an array")));
    }
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => match serde_json::from_str::<Value>(text) {
            Ok(value) => Problem::invalid(vec![fault::explain::<T>(&value)]),
            Err(error) => not_json(&error),
        },
        _ => not_json(&error),
    })
}

/// What is wrong with `value` as a `T`, where anything is.
pub(crate) fn fault_of<T: DeserializeOwned>(value: &Value) -> Option<FieldError> {
    T::deserialize(value).err().map(|_| fault::explain::<T>(value))
}

/// Of a parser's complaint only the place: the words could repeat what was sent.
fn not_json(error: &serde_json::Error) -> Problem {
    let detail = match error.classify() {
        Category::Eof => "The JSON ends too early (or there is none).".to_owned(),
        _ => format!("Not JSON from line {}, column {} on.", error.line(), error.column()),
    };
    Problem::new(Code::NotJson, detail)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::testing::Rng;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Sample {
        name: String,
        #[serde(default)]
        limits: Vec<Limit>,
        #[serde(default)]
        mode: Option<Mode>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Limit {
        max: u32,
        per_seconds: u64,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Hold,
        Retry,
    }

    #[test]
    fn refusals_say_where_and_why() {
        for (body, pointer, detail) in [
            (json!({"nmae": "x"}), "/nmae", "is not known here; did you mean `name`?"),
            (json!({"name": "x", "zzz": 1}), "/zzz", "is not known here; known are name, limits, mode"),
            (json!({}), "/name", "is missing"),
            (json!({"name": 3}), "/name", "must be a string, not a number"),
            (
                json!({"name": "x", "limits": [{"max": -1, "perSeconds": 1}]}),
                "/limits/0/max",
                "must be a whole number within bounds, not a number",
            ),
            (
                json!({"name": "x", "limits": [{"max": 1, "perSecond": 1}]}),
                "/limits/0/perSecond",
                "is not known here; did you mean `perSeconds`?",
            ),
            (json!({"name": "x", "limits": {}}), "/limits", "must be an array, not an object"),
            (
                json!({"name": "x", "mode": "holt"}),
                "/mode",
                "must be one of hold, retry; did you mean `hold`?",
            ),
            (json!(7), "", "must be an object, not a number"),
            (json!(["x"]), "", "must be an object, not an array"),
        ] {
            let problem = typed::<Sample>(body.to_string().as_bytes()).expect_err("refused");
            let document = serde_json::to_value(problem.document(None, None)).expect("json");
            assert_eq!(document["status"], 422, "{body}");
            assert_eq!(document["errors"], json!([{"pointer": pointer, "detail": detail}]), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_before_its_meaning() {
        for (body, code) in [
            (&b""[..], Code::NotJson),
            (b"  ", Code::NotJson),
            (b"{", Code::NotJson),
            (b"{\"name\": \"x\"} trailing", Code::NotJson),
            (b"to=1&text=2", Code::NotJson),
            (b"{\"name\": \"\xff\"}", Code::BadUtf8),
            (b"\xff\xfe{", Code::BadUtf8),
            (b"{\"name\": NaN}", Code::NotJson),
            (b"{\"name\": \"a\", \"name\": \"b\"}", Code::Invalid),
        ] {
            assert_eq!(
                typed::<Sample>(body).expect_err("refused").code(),
                code,
                "{}",
                String::from_utf8_lossy(body)
            );
        }
        for open in ["[", "{\"a\":"] {
            let deep = open.repeat(100_000);
            assert_eq!(value(deep.as_bytes()).expect_err("refused").code(), Code::TooDeep);
        }
        assert!(value(b"\xef\xbb\xbf{}").is_ok(), "a byte order mark is tolerated");
    }

    /// Whatever is done to a document, reading it ends with a value or a problem, and both ways agree.
    #[test]
    fn mutated_documents_are_read_or_refused() {
        let seed = Rng::seed_from_env();
        let mut rng = Rng::new(seed);
        let sample = json!({"name": "José \u{1f54a}", "limits": [{"max": 80, "perSeconds": 60}, {"max": 1, "perSeconds": 6}], "mode": "retry"});
        let sample = sample.to_string().into_bytes();
        for round in 0..50_000 {
            let body = rng.mutate(&sample);
            let typed = typed::<Sample>(&body);
            let value = value(&body);
            let agree = match (&typed, &value) {
                (Ok(_), value) => value.is_ok(),
                (Err(problem), Ok(_)) => problem.code().status().as_u16() == 422,
                // A type may complain of what it does not want before the text's end is reached.
                (Err(problem), Err(_)) => problem.code().status().as_u16() == 400,
            };
            assert!(agree, "seed {seed}, round {round}: {}", String::from_utf8_lossy(&body));
        }
    }
}
