//! `provider_templates`: templates as the provider last told of them.

use palomar_model::{ChannelName, TemplateChange, TemplateNews, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;

use super::{json, parsed, to_json};
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Write, values};

pub(crate) const PROVIDER_TEMPLATES: Table = Table {
    name: "provider_templates",
    columns: &[
        text("channel"),
        text("name"),
        text("language"),
        text("provider_id"),
        text("category"),
        text("status"),
        text("quality"),
        text("reason"),
        text("components"),
        int("pulled_at"),
    ],
    key: 3,
};

/// A template as its provider tells of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderTemplate {
    /// The channel that it was asked of; channels of one account have the same.
    pub channel: ChannelName,
    /// Its name.
    pub name: String,
    /// Its language, for example `es`.
    pub language: String,
    /// The provider's id of it.
    #[serde(rename = "id")]
    pub provider_id: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    pub category: String,
    /// The provider's word: `APPROVED`, `PENDING`, `REJECTED`, `PAUSED`, `DISABLED`, …
    pub status: String,
    /// How people take it: `GREEN`, `YELLOW`, `RED`.
    pub quality: Option<String>,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// Its parts, as the provider says them.
    pub components: Json,
    /// When the provider told so, or of a change since.
    pub pulled_at: Timestamp,
}

/// Keeps what a channel's provider tells, all of it: what it does not tell of any more is forgotten.
pub(crate) fn replace(db: Db<'_>, channel: &ChannelName, templates: &[ProviderTemplate]) -> Result<()> {
    db.execute("DELETE FROM provider_templates WHERE channel = $1", &values![channel])?;
    let mut rows = Rows::of(PROVIDER_TEMPLATES.columns);
    for template in templates {
        rows.push(values![
            channel,
            template.name.as_str(),
            template.language.as_str(),
            template.provider_id.as_str(),
            template.category.as_str(),
            template.status.as_str(),
            template.quality.as_deref(),
            template.reason.as_deref(),
            to_json(&template.components, PROVIDER_TEMPLATES.name)?,
            template.pulled_at,
        ]);
    }
    db.write(vec![Write::insert(&PROVIDER_TEMPLATES, "", rows)])
}

/// News of a template, of which channel, and when.
pub(crate) type Told<'f> = (&'f TemplateNews, &'f ChannelName, Timestamp);

/// Notes news of a template on every channel of its account, unless a later answer says otherwise.
pub(crate) fn note(db: Db<'_>, (news, channel, at): &Told<'_>) -> Result<()> {
    let (column, value) = match &news.change {
        TemplateChange::Status { status, .. } => ("status", status),
        TemplateChange::Quality { to, .. } => ("quality", to),
        TemplateChange::Category { to, announced_for: None, .. } => ("category", to),
        TemplateChange::Category { .. } | TemplateChange::Components => return Ok(()),
    };
    let reason = match &news.change {
        TemplateChange::Status { reason, .. } => reason.as_deref(),
        _ => None,
    };
    let text = format!(
        "UPDATE provider_templates SET {column} = $1, reason = COALESCE($2, reason), pulled_at = $3
         WHERE pulled_at <= $3 AND ((provider_id = $4 AND $4 <> '')
             OR (channel = $5 AND name = $6 AND ($7 = '' OR language = $7)))"
    );
    let id = news.id.as_deref().unwrap_or_default();
    let language = news.language.as_deref().unwrap_or_default();
    let values = values![value.as_str(), reason, *at, id, *channel, news.name.as_str(), language];
    db.execute(&text, &values)?;
    Ok(())
}

/// Those of a channel, or of all; those of one name where one is asked for.
pub(crate) fn list(
    db: Db<'_>,
    channel: Option<&ChannelName>,
    name: Option<&str>,
) -> Result<Vec<ProviderTemplate>> {
    let text = "SELECT * FROM provider_templates
         WHERE ($1 = '' OR channel = $1) AND ($2 = '' OR name = $2) ORDER BY channel, name, language";
    let channel = channel.map_or("", ChannelName::as_str);
    db.rows(text, &values![channel, name.unwrap_or_default()], view)
}

fn view(row: &Row<'_>) -> Result<ProviderTemplate> {
    let table = PROVIDER_TEMPLATES.name;
    Ok(ProviderTemplate {
        channel: parsed(row, table, "channel")?,
        name: row.get("name")?,
        language: row.get("language")?,
        provider_id: row.get("provider_id")?,
        category: row.get("category")?,
        status: row.get("status")?,
        quality: row.get("quality")?,
        reason: row.get("reason")?,
        components: json(row, table, "components")?,
        pulled_at: row.time("pulled_at")?,
    })
}
