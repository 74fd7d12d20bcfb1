//! Rules across settings: what no single value can show to be wrong.

use palomar_app::NodeRole;
use palomar_records::{LEAST_CONNECTIONS, LEAST_RETENTION, NotPostgres, PostgresUrl};

use super::RECORDS_URL;
use super::problem::{Origin, Problem};
use super::settings::Settings;
use super::units::Span;

/// Every rule that `settings` break. `origin` tells where a key was said.
pub(super) fn rules(settings: &Settings, origin: impl Fn(&str) -> Origin) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut demand = |holds: bool, key: &str, what: String| {
        if !holds {
            problems.push(Problem::new(origin(key), key, what));
        }
    };
    let sending = &settings.sending;
    let server = &settings.server;

    let environment = &settings.environment;
    demand(
        (1..=32).contains(&environment.chars().count()) && !environment.contains(char::is_control),
        "environment",
        "expected a word of 1 to 32 letters, such as \"production\"".to_owned(),
    );
    demand(!settings.data_dir.as_os_str().is_empty(), "data_dir", "expected a directory".to_owned());
    demand(
        server.public_url.is_empty() || is_base_url(&server.public_url),
        "server.public_url",
        format!(
            "{:?} is no address: expected for example \"https://wa.example.com\", without a path",
            server.public_url
        ),
    );
    demand(
        server.role == NodeRole::All || are_shared(settings),
        "server.role",
        format!(
            "{:?} leaves work to other processes, and these stores are this process' own (queues in its data \
             directory): expected \"all\"",
            server.role.as_str()
        ),
    );
    let region = &sending.default_region;
    demand(
        region.is_empty() || (region.len() == 2 && region.bytes().all(|c| c.is_ascii_uppercase())),
        "sending.default_region",
        format!("{region:?} is no country: expected two capital letters, such as \"ES\", or nothing"),
    );
    for (key, count) in
        [("sending.concurrency", sending.concurrency), ("intake.concurrency", settings.intake.concurrency)]
    {
        demand((1..=10_000).contains(&count), key, format!("{count} is not within 1 and 10000"));
    }
    demand(
        settings.broker.payload_memory.0 >= 1 << 20,
        "broker.payload_memory",
        format!("{} is too little: expected 1 MiB or more", settings.broker.payload_memory),
    );
    let records = &settings.records;
    if let Err(why) = records_url(records.url.expose()) {
        demand(false, RECORDS_URL, why.to_string());
    }
    let connections = LEAST_CONNECTIONS..=1_000;
    demand(
        connections.contains(&usize::from(records.connections)),
        "records.connections",
        format!("{} is not within {} and {}", records.connections, connections.start(), connections.end()),
    );
    demand(
        settings.records.journal_for.0 >= LEAST_RETENTION,
        "records.journal_for",
        format!("{} is too short: expected {} or more", settings.records.journal_for, Span(LEAST_RETENTION)),
    );
    demand(
        crate::logs::is_filter(&settings.log.level),
        "log.level",
        format!(
            "{:?} is not understood: expected error, warn, info, debug or trace, or for example \"info,palomar_broker=debug\"",
            settings.log.level
        ),
    );
    problems
}

/// Whether other processes share what this one works on, its queues and its records: queues are never shared so far.
const fn are_shared(_: &Settings) -> bool {
    false
}

/// The address of PostgreSQL, where records are kept there.
pub(crate) fn records_url(text: &str) -> Result<Option<PostgresUrl>, NotPostgres> {
    if text.is_empty() { Ok(None) } else { PostgresUrl::parse(text).map(Some) }
}

/// Whether a text is scheme and host, and perhaps a port: what links can be built on.
fn is_base_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    !host.is_empty()
        && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'[' | b']'))
}
