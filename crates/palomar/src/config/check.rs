//! Rules across settings: what no single value can show to be wrong.

use std::time::Duration;

use palomar_app::NodeRole;
use palomar_records::{LEAST_CONNECTIONS, LEAST_RETENTION, NotPostgres, PostgresUrl};

use super::problem::{Origin, Problem};
use super::settings::{Alerts, Broker, Media, Reports, Settings, Web};
use super::units::Span;
use super::{RECORDS_URL, REDIS};

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
            "{:?} leaves work to other processes, and these stores are this process' own: expected \"all\", or \
             broker.redis and records.url to be set",
            server.role.as_str()
        ),
    );
    let strange =
        server.origins().find(|origin| *origin != "*" && (!is_base_url(origin) || origin.ends_with('/')));
    demand(
        strange.is_none(),
        "server.cors_origins",
        format!(
            "{:?} is no origin: expected for example \"https://crm.example.com\", or \"*\"",
            strange.unwrap_or_default()
        ),
    );
    let clients = server.realtime_clients;
    demand(
        (1..=9_000).contains(&clients),
        "server.realtime_clients",
        format!("{clients} is not within 1 and 9000"),
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
    let campaigns = &settings.campaigns;
    for (key, count, most) in [
        ("campaigns.batch_size", campaigns.batch_size, 500),
        ("campaigns.concurrent_batches", campaigns.concurrent_batches, 100),
        ("campaigns.retry_attempts", campaigns.retry_attempts, 100),
        ("campaigns.look_ahead", campaigns.look_ahead, 1_000_000),
    ] {
        demand((1..=most).contains(&count), key, format!("{count} is not within 1 and {most}"));
    }
    for (key, what) in alert_problems(&settings.alerts) {
        demand(false, key, what);
    }
    for (key, what) in report_problems(&settings.reports) {
        demand(false, key, what);
    }
    demand(
        settings.broker.payload_memory.0 >= 1 << 20,
        "broker.payload_memory",
        format!("{} is too little: expected 1 MiB or more", settings.broker.payload_memory),
    );
    for (key, what) in media_problems(&settings.media) {
        demand(false, key, what);
    }
    for (key, what) in web_problems(&settings.web) {
        demand(false, key, what);
    }
    demand(
        settings.broker.spool_limit.0 >= 1 << 20,
        "broker.spool_limit",
        format!("{} is too little: expected 1 MiB or more", settings.broker.spool_limit),
    );
    for (key, what) in redis_problems(&settings.broker) {
        demand(false, key, what);
    }
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
    let analytics = &settings.analytics;
    let journal = Span(records.journal_for.0 + Duration::from_secs(24 * 3600));
    demand(
        analytics.kept_for >= journal,
        "analytics.kept_for",
        format!(
            "{} is too short: expected {journal} or more, a day beyond records.journal_for",
            analytics.kept_for
        ),
    );
    demand(
        analytics.minutes_for <= analytics.kept_for,
        "analytics.minutes_for",
        format!("{} is longer than analytics.kept_for", analytics.minutes_for),
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

/// Whether other processes share what this one works on, its queues and its records.
fn are_shared(settings: &Settings) -> bool {
    settings.broker.is_redis() && !settings.records.url.expose().is_empty()
}

/// Why the settings of browser sessions can't be meant, by key.
fn web_problems(web: &Web) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let rest = web.url.strip_prefix("https://").or_else(|| web.url.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace))
    {
        problems.push(("web.url", format!("{:?} is no address of a page", web.url)));
    }
    let language =
        !web.language.is_empty() && web.language.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if !language {
        problems.push(("web.language", format!("{:?} is no language such as \"es-ES\"", web.language)));
    }
    if !(1..=1_000).contains(&web.sessions) {
        problems.push(("web.sessions", format!("{} is not within 1 and 1000", web.sessions)));
    }
    if web.memory.0 < 256 << 20 {
        problems.push(("web.memory", format!("{} is too little: expected 256 MiB or more", web.memory)));
    }
    for (key, span) in
        [("web.step_timeout", web.step_timeout), ("web.navigation_timeout", web.navigation_timeout)]
    {
        if span.0 < Duration::from_secs(1) {
            problems.push((key, format!("{span} is too short: expected 1 s or more")));
        }
    }
    problems
}

/// Why the settings of Redis can't be meant, by key.
fn redis_problems(broker: &Broker) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let is_url = |url: &String| {
        let rest = url.strip_prefix("redis://").or_else(|| url.strip_prefix("rediss://"));
        rest.is_some_and(|rest| !rest.rsplit_once('@').map_or(rest, |(_, place)| place).is_empty())
    };
    if !broker.redis_urls().iter().all(is_url) {
        let what = "expected \"redis://user:password@host:port/database\" or \"rediss://…\"; several with commas between";
        problems.push((REDIS, what.to_owned()));
    }
    if broker.is_redis() && broker.redis_urls().is_empty() {
        problems.push((REDIS, "expected an address, or nothing".to_owned()));
    }
    let prefix = &broker.redis_prefix;
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b':');
    if !(1..=64).contains(&prefix.len()) || !prefix.bytes().all(plain) {
        let what = format!("{prefix:?} can't begin a key: expected 1 to 64 of a-z A-Z 0-9 - _ . :");
        problems.push(("broker.redis_prefix", what));
    }
    if !(1..=256).contains(&broker.redis_partitions) {
        let what = format!("{} is not within 1 and 256", broker.redis_partitions);
        problems.push(("broker.redis_partitions", what));
    }
    if !(1..=5).contains(&broker.confirm_replicas) {
        let what = format!("{} is not within 1 and 5", broker.confirm_replicas);
        problems.push(("broker.confirm_replicas", what));
    }
    problems
}

/// Why the settings of alerts can't be meant, by key.
fn alert_problems(alerts: &Alerts) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    for (key, percent) in [
        ("alerts.failure_percent", alerts.failure_percent),
        ("alerts.failure_percent_critical", alerts.failure_percent_critical),
    ] {
        if percent > 100 {
            problems.push((key, format!("{percent} is not within 0 and 100")));
        }
    }
    if alerts.failure_sample == 0 {
        problems.push(("alerts.failure_sample", "must be 1 at least".to_owned()));
    }
    problems.extend(hook_problems(
        ["alerts.hook_url", "alerts.hook_secret"],
        &alerts.hook_url,
        &alerts.hook_secret,
    ));
    problems.extend(number_problems(
        ["alerts.whatsapp_to", "alerts.whatsapp_channel"],
        &alerts.whatsapp_to,
        &alerts.whatsapp_channel,
    ));
    problems
}

/// Why the settings of reports can't be meant, by key.
fn report_problems(reports: &Reports) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let kinds = reports.kinds();
    if let Err(why) = &kinds {
        problems.push(("reports.of", format!("{:?} {why}; a comma between two", reports.of)));
    }
    if let Err(why) = reports.at.parse::<palomar_model::DayTime>() {
        problems.push(("reports.at", format!("{:?} {why}", reports.at)));
    }
    if let Err(why) = reports.zone.parse::<palomar_model::ZoneName>() {
        problems.push(("reports.zone", format!("{:?} {why}", reports.zone)));
    }
    let goes_nowhere =
        reports.dir.as_os_str().is_empty() && reports.hook_url.is_empty() && reports.whatsapp_to.is_empty();
    if goes_nowhere && kinds.is_ok_and(|kinds| !kinds.is_empty()) {
        let what = "has reports that go nowhere: set dir, hook_url or whatsapp_to";
        problems.push(("reports.of", what.to_owned()));
    }
    problems.extend(hook_problems(
        ["reports.hook_url", "reports.hook_secret"],
        &reports.hook_url,
        &reports.hook_secret,
    ));
    problems.extend(number_problems(
        ["reports.whatsapp_to", "reports.whatsapp_channel"],
        &reports.whatsapp_to,
        &reports.whatsapp_channel,
    ));
    problems
}

/// Why a hook that is set can't be meant, by its keys.
fn hook_problems(
    [url_key, secret_key]: [&'static str; 2],
    url: &str,
    secret: &palomar_model::Secret,
) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if url.is_empty() {
        return problems;
    }
    if !url.starts_with("https://") && !url.starts_with("http://") {
        problems.push((url_key, "expected an address that begins with https://".to_owned()));
    }
    if let Err(why) = palomar_app::HookSecret::read(secret.clone()) {
        problems.push((secret_key, why.to_owned()));
    }
    problems
}

/// Why a number that is set can't be meant, by its keys.
fn number_problems(
    [to_key, channel_key]: [&'static str; 2],
    to: &str,
    channel: &str,
) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if to.is_empty() {
        return problems;
    }
    if palomar_model::Recipient::parse(to, None).is_err() {
        let what = "is no number: expected it with its country, such as +34600111222";
        problems.push((to_key, what.to_owned()));
    }
    if channel.parse::<palomar_model::ChannelName>().is_err() {
        problems.push((channel_key, "needs the name of a channel".to_owned()));
    }
    problems
}

/// Why the settings of media can't be meant, by key.
fn media_problems(media: &Media) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let mut demand = |holds: bool, key, what: String| {
        if !holds {
            problems.push((key, what));
        }
    };
    let day = Span(Duration::from_secs(24 * 3600));
    demand(media.keep >= day, "media.keep", format!("{} is too short: expected {day} or more", media.keep));
    let size = media.max_size;
    demand(size.0 >= 1 << 10, "media.max_size", format!("{size} is too little: expected 1 KiB or more"));
    let count = media.concurrency;
    demand((1..=64).contains(&count), "media.concurrency", format!("{count} is not within 1 and 64"));
    if media.s3_endpoint.is_empty() {
        return problems;
    }
    let bucket = &media.s3_bucket;
    let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-');
    demand(
        is_base_url(&media.s3_endpoint),
        "media.s3_endpoint",
        "expected scheme and host, such as \"https://s3.eu-central-1.amazonaws.com\"".to_owned(),
    );
    demand(
        (3..=63).contains(&bucket.len()) && bucket.bytes().all(letters),
        "media.s3_bucket",
        format!("{bucket:?} is no bucket: expected 3 to 63 of a-z 0-9 . -"),
    );
    demand(
        !media.s3_region.is_empty(),
        "media.s3_region",
        "expected a region, such as \"us-east-1\"".to_owned(),
    );
    demand(!media.s3_access_key.is_empty(), "media.s3_access_key", "S3 needs the id of a key".to_owned());
    demand(
        !media.s3_secret_key.is_empty(),
        "media.s3_secret_key",
        "S3 needs a key, or a file of it".to_owned(),
    );
    problems
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
