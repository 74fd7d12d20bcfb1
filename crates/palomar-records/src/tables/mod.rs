//! One file a table: its SQL and the way between its rows and our values. Nothing else says SQL about that table.

pub(crate) mod alerts;
pub(crate) mod analytics;
pub(crate) mod api_keys;
pub(crate) mod campaign_batches;
pub(crate) mod campaign_counts;
pub(crate) mod campaign_days;
pub(crate) mod campaign_fallbacks;
pub(crate) mod campaign_follow_ups;
pub(crate) mod campaign_places;
pub(crate) mod campaign_recipients;
pub(crate) mod campaign_requests;
pub(crate) mod campaign_resends;
pub(crate) mod campaigns;
pub(crate) mod channels;
pub(crate) mod contacts;
pub(crate) mod conversations;
pub(crate) mod conversions;
pub(crate) mod counters;
pub(crate) mod cursors;
pub(crate) mod early_statuses;
pub(crate) mod failed_webhooks;
pub(crate) mod followers;
pub(crate) mod inbound_seen;
pub(crate) mod journal;
pub(crate) mod media;
pub(crate) mod media_places;
pub(crate) mod message_changes;
pub(crate) mod messages;
pub(crate) mod nodes;
pub(crate) mod page;
pub(crate) mod pool_contacts;
pub(crate) mod profiles;
pub(crate) mod provider_ids;
pub(crate) mod provider_templates;
pub(crate) mod rates;
pub(crate) mod reports;
pub(crate) mod retained;
pub(crate) mod seals;
pub(crate) mod segments;
pub(crate) mod send_jobs;
pub(crate) mod sessions;
pub(crate) mod stored;
pub(crate) mod suppressions;
pub(crate) mod versions;

use crate::error::{RecordsError, Result};
use crate::store::{Row, Table};

/// All tables, each once.
pub(crate) const ALL: [&Table; 51] = [
    &messages::MESSAGES,
    &message_changes::MESSAGE_CHANGES,
    &media::MEDIA,
    &media_places::MEDIA_PLACES,
    &suppressions::SUPPRESSIONS,
    &provider_ids::PROVIDER_IDS,
    &early_statuses::EARLY_STATUSES,
    &inbound_seen::INBOUND_SEEN,
    &journal::JOURNAL,
    &cursors::CURSORS,
    &cursors::TURNS,
    &followers::FOLLOWERS,
    &counters::COUNTERS,
    &contacts::CONTACTS,
    &contacts::CONTACT_IDENTITIES,
    &segments::SEGMENTS,
    &provider_templates::PROVIDER_TEMPLATES,
    &conversations::CONVERSATIONS,
    &channels::CHANNELS,
    &sessions::SESSIONS,
    &send_jobs::JOBS,
    &send_jobs::MESSAGES,
    &pool_contacts::POOL_CONTACTS,
    &api_keys::API_KEYS,
    &versions::VERSIONS,
    &nodes::NODES,
    &failed_webhooks::FAILED_WEBHOOKS,
    &campaigns::CAMPAIGNS,
    &campaign_recipients::LANES,
    &campaign_recipients::RECIPIENTS,
    &campaign_batches::BATCHES,
    &campaign_counts::COUNTS,
    &campaign_days::DAYS,
    &campaign_fallbacks::FALLBACKS,
    &campaign_follow_ups::FOLLOW_UPS,
    &campaign_follow_ups::LOOKS,
    &campaign_places::PLACES,
    &campaign_requests::REQUESTS,
    &campaign_resends::RESENDS,
    &rates::RATES,
    &alerts::ALERTS,
    &reports::REPORTS,
    &analytics::series::SERIES,
    &analytics::reasons::REASONS,
    &analytics::counts::COUNTS,
    &analytics::times::TIMES,
    &analytics::talks::TALKS,
    &analytics::tracked::TRACKED,
    &conversions::CONVERSIONS,
    &seals::SEALS,
    &SCHEMA_STEPS,
];

/// Kept by `store/migrate.rs`.
pub(crate) const SCHEMA_STEPS: Table = Table {
    name: "schema_steps",
    columns: &[
        crate::store::table::int("step"),
        crate::store::table::text("name"),
        crate::store::table::int("applied_at"),
    ],
    key: 1,
};

/// Reads a text column that must parse.
pub(crate) fn parsed<T>(row: &Row<'_>, table: &'static str, column: &'static str) -> Result<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| RecordsError::damaged(table, format!("{column}: {error}")))
}

/// As [`parsed`], where the column may be empty.
pub(crate) fn optional<T>(row: &Row<'_>, table: &'static str, column: &'static str) -> Result<Option<T>>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse())
        .transpose()
        .map_err(|error| RecordsError::damaged(table, format!("{column}: {error}")))
}

/// Reads a text column of JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| RecordsError::damaged(table, format!("{column}: {error}")))
}

/// As [`json`], where the column may be empty.
pub(crate) fn optional_json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| RecordsError::damaged(table, format!("{column}: {error}")))
}

/// Writes a value as JSON.
pub(crate) fn to_json(value: &impl serde::Serialize, table: &'static str) -> Result<String> {
    serde_json::to_string(value).map_err(|error| RecordsError::damaged(table, error))
}
