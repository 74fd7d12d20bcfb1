//! Who may call what: one table for all routes. What is not in it is not answered.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::Method;
use palomar_app::{Caller, Role};

use crate::problem::{Code, Problem};

/// What a caller needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: health, documents, and webhooks, which prove themselves by signature.
    Open,
    /// A key of at least this role. One that is bound to channels sees those only.
    Key(Role),
    /// A key of at least this role that is not bound to channels, for what concerns the whole installation.
    Whole(Role),
}

use Access::{Key, Open, Whole};
use Role::{Admin, Operator, Viewer};

/// A route as the table has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
}

#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule("GET",    "/",                                 Open),
    rule("GET",    "/login",                            Open),
    rule("GET",    "/healthz",                          Open),
    rule("GET",    "/readyz",                           Open),
    rule("GET",    "/metrics",                          Open),
    rule("GET",    "/api/openapi.json",                 Open),
    rule("GET",    "/api/docs",                         Open),
    rule("GET",    "/webhooks/{channel}",               Open),
    rule("POST",   "/webhooks/{channel}",               Open),
    rule("POST",   "/api/messages",                     Key(Operator)),
    rule("GET",    "/api/messages",                     Key(Viewer)),
    rule("POST",   "/api/messages/bulk",                Key(Operator)),
    rule("GET",    "/api/messages/{id}",                Key(Viewer)),
    rule("DELETE", "/api/messages/{id}",                Key(Operator)),
    rule("GET",    "/api/messages/{id}/explain",        Key(Viewer)),
    rule("POST",   "/api/messages/{id}/retry",          Key(Operator)),
    rule("POST",   "/api/messages/{id}/promote",        Key(Operator)),
    rule("POST",   "/api/messages/{id}/settle",         Key(Operator)),
    rule("GET",    "/api/media/{id}",                   Key(Viewer)),
    rule("GET",    "/api/queue-monitor/stats",          Key(Viewer)),
    rule("POST",   "/api/queue-monitor/pause",          Key(Admin)),
    rule("POST",   "/api/queue-monitor/resume",         Key(Admin)),
    rule("DELETE", "/api/queue-monitor/clear",          Key(Admin)),
    rule("POST",   "/api/queue-monitor/clean",          Whole(Admin)),
    rule("GET",    "/api/dead-letters",                 Key(Viewer)),
    rule("POST",   "/api/dead-letters/retry",           Key(Operator)),
    rule("DELETE", "/api/dead-letters",                 Key(Admin)),
    rule("GET",    "/api/channels",                     Key(Viewer)),
    rule("POST",   "/api/channels",                     Whole(Admin)),
    rule("GET",    "/api/channels/{name}",              Key(Viewer)),
    rule("PATCH",  "/api/channels/{name}",              Key(Admin)),
    rule("DELETE", "/api/channels/{name}",              Whole(Admin)),
    rule("POST",   "/api/channels/{name}/pause",        Key(Admin)),
    rule("POST",   "/api/channels/{name}/resume",       Key(Admin)),
    rule("POST",   "/api/channels/{name}/test",         Key(Operator)),
    rule("GET",    "/api/sessions",                     Key(Viewer)),
    rule("POST",   "/api/sessions",                     Whole(Admin)),
    rule("GET",    "/api/sessions/{name}",              Key(Viewer)),
    rule("DELETE", "/api/sessions/{name}",              Whole(Admin)),
    rule("GET",    "/api/sessions/{name}/qr",           Key(Admin)),
    rule("GET",    "/api/sessions/{name}/picture",      Key(Operator)),
    rule("POST",   "/api/sessions/{name}/open",         Key(Admin)),
    rule("POST",   "/api/sessions/{name}/close",        Key(Admin)),
    rule("POST",   "/api/sessions/{name}/restart",      Key(Operator)),
    rule("GET",    "/api/send-jobs",                    Key(Viewer)),
    rule("POST",   "/api/send-jobs",                    Key(Operator)),
    rule("DELETE", "/api/send-jobs",                    Whole(Operator)),
    rule("GET",    "/api/send-jobs/stats",              Whole(Viewer)),
    rule("GET",    "/api/send-jobs/{id}",               Key(Viewer)),
    rule("POST",   "/api/send-jobs/{id}/pause",         Key(Operator)),
    rule("POST",   "/api/send-jobs/{id}/resume",        Key(Operator)),
    rule("POST",   "/api/send-jobs/{id}/cancel",        Key(Operator)),
    rule("GET",    "/api/keys",                         Whole(Admin)),
    rule("POST",   "/api/keys",                         Whole(Admin)),
    rule("DELETE", "/api/keys/{id}",                    Whole(Admin)),
    rule("GET",    "/api/failed-webhooks",              Whole(Operator)),
    rule("GET",    "/api/failed-webhooks/{id}",         Whole(Operator)),
    rule("POST",   "/api/failed-webhooks/replay",       Whole(Operator)),
    rule("POST",   "/api/failed-webhooks/reparse",      Whole(Admin)),
    rule("POST",   "/api/failed-webhooks/{id}/replay",  Whole(Operator)),
    rule("GET",    "/api/conversations",                Key(Viewer)),
    rule("GET",    "/api/conversations/{id}",           Key(Viewer)),
    rule("PATCH",  "/api/conversations/{id}",           Key(Operator)),
    rule("GET",    "/api/conversations/{id}/messages",  Key(Viewer)),
    rule("POST",   "/api/conversations/{id}/messages",  Key(Operator)),
    rule("GET",    "/api/events",                       Key(Viewer)),
    rule("GET",    "/api/campaigns",                    Key(Viewer)),
    rule("POST",   "/api/campaigns",                    Key(Operator)),
    rule("GET",    "/api/campaigns/{id}",               Key(Viewer)),
    rule("PATCH",  "/api/campaigns/{id}",               Key(Operator)),
    rule("DELETE", "/api/campaigns/{id}",               Key(Operator)),
    rule("POST",   "/api/campaigns/{id}/contacts",      Key(Operator)),
    rule("POST",   "/api/campaigns/{id}/start",         Key(Operator)),
    rule("GET",    "/api/campaigns/{id}/queue-status",  Key(Viewer)),
    rule("POST",   "/api/campaigns/{id}/queue-pause",   Key(Operator)),
    rule("POST",   "/api/campaigns/{id}/queue-resume",  Key(Operator)),
    rule("POST",   "/api/campaigns/{id}/queue-stop",    Key(Operator)),
    rule("POST",   "/api/campaigns/{id}/resend",        Key(Operator)),
    rule("POST",   "/api/campaigns/{id}/preview",       Key(Viewer)),
    rule("POST",   "/api/campaigns/{id}/test",          Key(Operator)),
    rule("POST",   "/api/campaigns/{id}/dry-run",       Key(Viewer)),
    rule("GET",    "/api/campaigns/{id}/report",        Key(Viewer)),
    rule("GET",    "/api/campaigns/{id}/recipients",    Key(Viewer)),
    rule("GET",    "/api/campaigns/{id}/recipients/export", Key(Viewer)),
    rule("GET",    "/api/dashboard/campaign-queue-metrics", Whole(Viewer)),
    rule("GET",    "/api/rates",                        Key(Viewer)),
    rule("POST",   "/api/rates",                        Whole(Operator)),
    rule("PUT",    "/api/rates",                        Whole(Operator)),
    rule("GET",    "/api/alerts",                       Whole(Viewer)),
    rule("GET",    "/api/alerts/{id}",                  Whole(Viewer)),
    rule("POST",   "/api/alerts/{id}/ack",              Whole(Operator)),
    rule("POST",   "/api/analytics/events",             Whole(Operator)),
    rule("POST",   "/api/analytics/conversions",        Key(Operator)),
    rule("GET",    "/api/analytics/conversions",        Key(Viewer)),
    rule("GET",    "/api/analytics/messages",           Key(Viewer)),
    rule("GET",    "/api/analytics/conversations",      Key(Viewer)),
    rule("GET",    "/api/analytics/campaigns",          Key(Viewer)),
    rule("GET",    "/api/analytics/performance",        Key(Viewer)),
    rule("GET",    "/api/analytics/timeseries",         Key(Viewer)),
    rule("GET",    "/api/analytics/top-conversations",  Key(Viewer)),
    rule("GET",    "/api/analytics/report",             Key(Viewer)),
    rule("DELETE", "/api/analytics",                    Whole(Admin)),
    rule("GET",    "/api/contacts",                     Whole(Viewer)),
    rule("POST",   "/api/contacts",                     Whole(Operator)),
    rule("GET",    "/api/contacts/count",               Whole(Viewer)),
    rule("POST",   "/api/contacts/tags",                Whole(Operator)),
    rule("POST",   "/api/contacts/import",              Whole(Operator)),
    rule("GET",    "/api/contacts/export",              Whole(Operator)),
    rule("GET",    "/api/contacts/{id}",                Whole(Viewer)),
    rule("PATCH",  "/api/contacts/{id}",                Whole(Operator)),
    rule("GET",    "/api/segments",                     Whole(Viewer)),
    rule("POST",   "/api/segments",                     Whole(Operator)),
    rule("GET",    "/api/segments/{id}",                Whole(Viewer)),
    rule("PATCH",  "/api/segments/{id}",                Whole(Operator)),
    rule("DELETE", "/api/segments/{id}",                Whole(Operator)),
    rule("GET",    "/api/templates",                    Key(Viewer)),
    rule("POST",   "/api/templates/pull",               Key(Operator)),
    rule("POST",   "/api/templates/preview",            Whole(Viewer)),
    rule("GET",    "/api/suppressions",                 Whole(Viewer)),
    rule("POST",   "/api/suppressions",                 Whole(Operator)),
    rule("DELETE", "/api/suppressions",                 Whole(Operator)),
    rule("POST",   "/api/suppressions/import",          Whole(Operator)),
    rule("GET",    "/api/suppressions/export",          Whole(Operator)),
];

const fn rule(method: &'static str, path: &'static str, access: Access) -> Rule {
    Rule { method, path, access }
}

static BY_PATH: LazyLock<HashMap<&'static str, Vec<&'static Rule>>> = LazyLock::new(|| {
    let mut by_path: HashMap<_, Vec<_>> = HashMap::new();
    for rule in RULES {
        by_path.entry(rule.path).or_default().push(rule);
    }
    by_path
});

/// The rule for a route, or what is wrong with asking for it; `path` is the route's pattern.
pub(crate) fn rule_for(method: &Method, path: &str) -> Result<&'static Rule, Refused> {
    let rules = BY_PATH.get(path).ok_or(Refused::NoRoute)?;
    // A HEAD is a GET whose body is left out.
    let wanted = if method == Method::HEAD { "GET" } else { method.as_str() };
    let rule = rules.iter().find(|rule| rule.method == wanted);
    rule.copied().ok_or_else(|| Refused::NoMethod { allowed: allowed(rules) })
}

/// Why a route is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NoRoute,
    NoMethod { allowed: String },
}

fn allowed(rules: &[&Rule]) -> String {
    let mut methods: Vec<_> = rules.iter().map(|rule| rule.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.join(", ")
}

impl Rule {
    /// Whether `caller` may.
    pub(crate) fn admit(&self, caller: &Caller) -> Result<(), Problem> {
        match self.access {
            Open => Ok(()),
            Key(role) => Ok(caller.require(role)?),
            Whole(role) => {
                caller.require(role)?;
                unbound(caller)
            }
        }
    }
}

/// Refuses a key that is bound to channels.
pub(crate) fn unbound(caller: &Caller) -> Result<(), Problem> {
    if caller.channels.is_none() {
        Ok(())
    } else {
        Err(Problem::new(Code::Forbidden, "This key is bound to channels; this concerns all of them."))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn table_and_document_name_the_same_routes() {
        let document = serde_json::to_value(crate::routes::router().into_openapi()).expect("json");
        let paths = document["paths"].as_object().expect("paths");
        let documented: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("an item").keys();
                methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
            })
            .collect();
        let ruled = RULES.iter().map(|rule| (rule.method.to_owned(), rule.path.to_owned())).collect();
        assert_eq!(documented, ruled);
    }

    #[test]
    fn the_document_says_which_routes_need_a_key() {
        let document = serde_json::to_value(crate::routes::router().into_openapi()).expect("json");
        for rule in RULES {
            let operation = &document["paths"][rule.path][rule.method.to_lowercase()];
            let open = operation["security"] == serde_json::json!([])
                || operation["security"] == serde_json::json!([{}]);
            assert_eq!(open, rule.access == Open, "{} {}", rule.method, rule.path);
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        assert_eq!(rule_for(&Method::GET, "/api/secrets"), Err(Refused::NoRoute));
        let refused = rule_for(&Method::PUT, "/api/messages/{id}");
        assert_eq!(refused, Err(Refused::NoMethod { allowed: "GET, DELETE, HEAD".into() }));
        assert!(rule_for(&Method::HEAD, "/healthz").is_ok());
        assert!(rule_for(&Method::HEAD, "/api/messages/bulk").is_err());
    }
}
