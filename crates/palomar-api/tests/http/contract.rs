//! Compares answers with what the OpenAPI document says of them: no member that it does not name, none missing.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) struct Contract(Value);

impl Contract {
    pub(crate) async fn of(router: &Router) -> Contract {
        let request = Request::get("/api/openapi.json").body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        Contract(serde_json::from_slice(&body).expect("a document"))
    }

    pub(crate) fn check(&self, method: &Method, path: &str, status: StatusCode, answer: &Value) {
        let paths = self.0["paths"].as_object().expect("paths");
        let known = paths
            .iter()
            .filter(|(pattern, _)| fits(pattern, path))
            .min_by_key(|(pattern, _)| pattern.contains('{'));
        let (pattern, item) = known.unwrap_or_else(|| panic!("{path} is not documented"));
        let response = &item[method.as_str().to_lowercase()]["responses"][status.as_str()];
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {pattern}: the answer {status} is not documented");
        self.compare(schema, answer, &format!("{method} {pattern}"));
    }

    fn compare(&self, schema: &Value, value: &Value, at: &str) {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            return self.compare(&self.0["components"]["schemas"][name], value, &format!("{at} ({name})"));
        }
        if let Some(options) = schema["oneOf"].as_array() {
            let real = options.iter().find(|option| option["type"] != "null").expect("a real one");
            if !value.is_null() {
                self.compare(real, value, at);
            }
            return;
        }
        let (mut properties, mut required) = (serde_json::Map::new(), Vec::new());
        for part in schema["allOf"].as_array().into_iter().flatten().chain([schema]) {
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
        }
        match value {
            Value::Array(items) => {
                items.iter().for_each(|item| self.compare(&schema["items"], item, &format!("{at}[]")));
            }
            Value::Object(members) if !properties.is_empty() => {
                for (name, member) in members {
                    let known =
                        properties.get(name).unwrap_or_else(|| panic!("{at}: `{name}` is not documented"));
                    self.compare(known, member, &format!("{at}.{name}"));
                }
                for name in &required {
                    let name = name.as_str().expect("a name");
                    assert!(members.contains_key(name), "{at}: `{name}` is missing in {value}");
                }
            }
            Value::Null => assert!(allows(schema, "null"), "{at}: null is not documented"),
            Value::String(_) => assert!(allows(schema, "string"), "{at}: a string is not documented"),
            Value::Bool(_) => assert!(allows(schema, "boolean"), "{at}: a truth value is not documented"),
            Value::Number(_) => {
                assert!(
                    allows(schema, "integer") || allows(schema, "number"),
                    "{at}: a number is not documented"
                );
            }
            Value::Object(_) => assert!(allows(schema, "object"), "{at}: an object is not documented"),
        }
    }
}

fn allows(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        Value::String(one) => one == kind,
        // Nothing is said: anything.
        _ => true,
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(known, given)| known.starts_with('{') || *known == given)
}
