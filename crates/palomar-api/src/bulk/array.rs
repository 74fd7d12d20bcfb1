//! A JSON array of messages: small enough to be held, answered as an array.

use palomar_app::{Caller, IdempotencyKey, MAX_BATCH, fingerprint};
use serde_json::value::RawValue;

use super::answers::{Answered, submit};
use super::{Defaults, MAX_ARRAY, MAX_ROW, RawRow};
use crate::json;
use crate::problem::{Code, Problem};
use crate::state::Api;

/// Submits the array that `body` holds.
pub(crate) async fn submit_array(
    api: &Api,
    caller: &Caller,
    key: Option<&IdempotencyKey>,
    defaults: &Defaults,
    body: &[u8],
) -> Result<Vec<Answered>, Problem> {
    let mut rows = rows(defaults, body)?;
    let mut answers = Vec::with_capacity(rows.len());
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(MAX_BATCH));
        answers.append(&mut submit(api, caller, key, std::mem::replace(&mut rows, rest)).await?);
    }
    Ok(answers)
}

fn rows(defaults: &Defaults, body: &[u8]) -> Result<Vec<RawRow>, Problem> {
    let text = json::text(body)?;
    let raw: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(raw) => raw,
        // Either not JSON at all, or not an array.
        Err(_) => json::value(body).and(Err(Problem::invalid_at("", "must be an array of messages")))?,
    };
    if raw.len() > MAX_ARRAY {
        let detail =
            format!("An array may hold {MAX_ARRAY} messages; send more as application/x-ndjson or text/csv.");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    let rows = raw.iter().zip(1..).map(|(raw, row)| {
        let bytes = raw.get().as_bytes();
        let value = if bytes.len() > MAX_ROW {
            Err(Problem::new(Code::TooLarge, "A message may have 256 KiB here."))
        } else {
            json::value(bytes).map(|value| defaults.apply(value))
        };
        RawRow { row, line: row, hash: fingerprint(bytes) ^ defaults.hash(), value }
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_or_refused() {
        let read = |body: &str| rows(&Defaults::default(), body.as_bytes());
        assert_eq!(read("[]"), Ok(vec![]));
        let two = read(" [ {\"to\": 1} , 7 ] ").expect("an array");
        assert_eq!(two.iter().map(|row| row.row).collect::<Vec<_>>(), vec![1, 2]);
        for (body, code) in [
            ("", Code::NotJson),
            ("[", Code::NotJson),
            ("[{}", Code::NotJson),
            ("{}", Code::Invalid),
            ("3", Code::Invalid),
            (&"[".repeat(100), Code::TooDeep),
            (&format!("[{}0]", "0,".repeat(MAX_ARRAY)), Code::TooLarge),
        ] {
            assert_eq!(read(body).expect_err("refused").code(), code, "{body:.20}");
        }
        let long = read(&format!("[\"{}\"]", "x".repeat(MAX_ROW))).expect("an array");
        assert!(long[0].value.is_err());
    }
}
