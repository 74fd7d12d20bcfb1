//! What the query of a bulk request says for all rows that do not say it themselves.

use palomar_app::fingerprint;
use serde_json::{Map, Value};

use crate::params::Params;
use crate::problem::Problem;

/// The names that may stand in the query, and those under which a row may say it itself.
const NAMES: [(&str, &[&str]); 6] = [
    ("channel", &["channel", "instanceName"]),
    ("priority", &["priority"]),
    ("scheduledAt", &["scheduledAt"]),
    ("expiresAt", &["expiresAt"]),
    ("campaignId", &["campaignId"]),
    ("text", &["text", "content", "type", "messageType"]),
];

/// Members that are put into rows that lack them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults(Vec<(&'static str, &'static [&'static str], String)>);

impl Defaults {
    pub(crate) fn read(params: &mut Params) -> Result<Defaults, Problem> {
        let mut defaults = Vec::new();
        for (name, said_by) in NAMES {
            if let Some(value) = params.text(name)? {
                defaults.push((name, said_by, value));
            }
        }
        Ok(Defaults(defaults))
    }

    /// Part of each row's identity: the same row with other defaults is another request.
    pub(crate) fn hash(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |hash, (name, _, value)| hash ^ fingerprint(format!("{name}={value}").as_bytes()))
    }

    /// The row, with what it lacks.
    pub(crate) fn apply(&self, mut row: Value) -> Value {
        if let Value::Object(members) = &mut row {
            for (name, said_by, value) in &self.0 {
                let said = said_by.iter().any(|name| members.contains_key(*name));
                let said = said || (*name == "priority" && has_priority(members));
                if !said {
                    members.insert((*name).to_owned(), Value::String(value.clone()));
                }
            }
        }
        row
    }
}

/// The other form says it in its metadata.
fn has_priority(members: &Map<String, Value>) -> bool {
    members.get("metadata").and_then(|metadata| metadata.get("priority")).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_come_first() {
        let uri = "/x?channel=demo&priority=low".parse().expect("a URI");
        let mut params = Params::of(&uri).expect("a query");
        let defaults = Defaults::read(&mut params).expect("defaults");
        for (row, filled) in [
            (json!({}), json!({"channel": "demo", "priority": "low"})),
            (
                json!({"instanceName": "x", "priority": "high"}),
                json!({"instanceName": "x", "priority": "high"}),
            ),
            (
                json!({"channel": "x", "metadata": {"priority": "high"}}),
                json!({"channel": "x", "metadata": {"priority": "high"}}),
            ),
            (json!([1]), json!([1])),
        ] {
            assert_eq!(defaults.apply(row), filled);
        }
        assert_ne!(defaults.hash(), Defaults::default().hash());
    }
}
