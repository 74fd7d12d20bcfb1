//! People: what is known of them, files of them in and out.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use palomar_app::{Chosen, ConsentChange, ContactChange, ContactFilter, ImportOptions, read_attributes};
use palomar_model::attribute::{ConsentState, Tag};
use palomar_model::filter::Filter;
use palomar_model::{Recipient, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json as object};
use utoipa::ToSchema;

use super::conversations::given;
use super::page;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::state::{Answer, PathId, Shared, json, ok};
use crate::{files, schema};

/// List contacts
///
/// Those that changed last first.
#[utoipa::path(
    get, path = "/api/contacts", tag = "contacts", operation_id = "listContacts",
    params(
        ("q" = Option<String>, Query, description = "With this in their name, a number or an id"),
        ("filter" = Option<String>, Query, description = "Whom a filter means, for example `city = \"Madrid\" and tag = vip`"),
        ("segment" = Option<String>, Query, description = "Of this segment: its id or name"),
        schema::PageParams,
    ),
    responses((status = 200, description = "A page", body = schema::Page<schema::Contact>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    let text = params.text("q")?;
    let Chosen { filter, segment, .. } = chosen(&mut params)?;
    params.finish()?;
    let filter = ContactFilter { text, filter };
    page(&uri, &api.app.contacts(filter, segment, cursor.as_deref(), limit).await?)
}

/// `filter` and `segment`.
fn chosen(params: &mut Params) -> Result<Chosen, Problem> {
    let wrong = |why| Problem::new(Code::BadQuery, format!("The parameter `filter` can't be read: {why}."));
    let filter = params.text("filter")?.map(|text| Filter::parse(&text)).transpose().map_err(wrong)?;
    Ok(Chosen { filter, segment: params.text("segment")?, ids: Vec::new() })
}

/// Count contacts
///
/// All, or those whom a filter means.
#[utoipa::path(
    get, path = "/api/contacts/count", tag = "contacts", operation_id = "countContacts",
    params(
        ("filter" = Option<String>, Query, description = "Whom a filter means"),
        ("segment" = Option<String>, Query, description = "Of this segment: its id or name"),
    ),
    responses((status = 200, description = "How many", body = schema::Count), schema::Errors),
)]
pub(crate) async fn count(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let chosen = chosen(&mut params)?;
    params.finish()?;
    ok(&object!({ "count": api.app.count_contacts(chosen).await? }))
}

/// Show a contact
///
/// Also by the id of one that turned out to be another.
#[utoipa::path(
    get, path = "/api/contacts/{id}", tag = "contacts", operation_id = "getContact",
    params(("id" = String, Path, description = "The contact")),
    responses((status = 200, description = "The contact", body = schema::Contact), schema::Errors),
)]
pub(crate) async fn show(State(api): Shared, PathId(id): PathId, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.contact(&id).await?)
}

/// Whether somebody agreed to be written to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConsent {
    /// `granted`, `denied` or `unknown`.
    #[schema(value_type = String)]
    state: ConsentState,
    /// Where they did, or who says so.
    #[serde(default)]
    source: Option<String>,
    /// When; now, where left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    at: Option<Timestamp>,
}

impl From<NewConsent> for ConsentChange {
    fn from(NewConsent { state, source, at }: NewConsent) -> ConsentChange {
        ConsentChange { state, source, at }
    }
}

/// Somebody, and what is known of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewContact {
    /// A phone number or a business-scoped user id.
    #[serde(alias = "to")]
    phone: String,
    /// What you call them.
    #[serde(default)]
    name: Option<String>,
    /// Texts, numbers and flags by name; null takes one away.
    #[serde(default)]
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
    /// Tags that they get.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tags: Vec<Tag>,
    #[serde(default)]
    consent: Option<NewConsent>,
}

/// Keep a contact
///
/// One who is known by this number gets what is new of it; the rest stays. Repeating is safe.
#[utoipa::path(
    post, path = "/api/contacts", tag = "contacts", operation_id = "putContact",
    request_body = NewContact,
    responses(
        (status = 201, description = "Kept, and new", body = schema::Contact,
            headers(("Location" = String, description = "The contact"))),
        (status = 200, description = "Known before", body = schema::Contact),
        schema::Errors,
    ),
)]
pub(crate) async fn create(State(api): Shared, body: JsonBytes) -> Answer {
    let NewContact { phone, name, attributes, tags, consent } = body.typed()?;
    let to = Recipient::parse(&phone, api.app.default_region());
    let to = to.map_err(|error| Problem::invalid_at("/phone", error.to_string()))?;
    let attributes = read_attributes(attributes, "/attributes").map_err(Problem::invalid)?;
    let consent = consent.map(ConsentChange::from);
    let says = ContactChange { name, attributes, tags, untag: Vec::new(), consent };
    let kept = api.app.put_contact(to, says).await?;
    if !kept.is_new {
        return ok(&kept.contact);
    }
    let mut response = json(StatusCode::CREATED, &kept.contact)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/api/contacts/{}", kept.contact.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What is said of somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ContactPatch {
    /// What you call them; null for the name in their profile.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// Texts, numbers and flags by name; null takes one away.
    #[serde(default)]
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
    /// Tags that they get.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    add_tags: Vec<Tag>,
    /// Tags that are taken from them.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    remove_tags: Vec<Tag>,
    #[serde(default)]
    consent: Option<NewConsent>,
}

/// Change a contact
///
/// What is left out stays.
#[utoipa::path(
    patch, path = "/api/contacts/{id}", tag = "contacts", operation_id = "updateContact",
    params(("id" = String, Path, description = "The contact")),
    request_body = ContactPatch,
    responses((status = 200, description = "As it is now", body = schema::Contact), schema::Errors),
)]
pub(crate) async fn update(State(api): Shared, PathId(id): PathId, body: JsonBytes) -> Answer {
    let ContactPatch { name, attributes, add_tags, remove_tags, consent } = body.typed()?;
    let attributes = read_attributes(attributes, "/attributes").map_err(Problem::invalid)?;
    let change = ContactChange {
        name: name.map(Option::unwrap_or_default),
        attributes,
        tags: add_tags,
        untag: remove_tags,
        consent: consent.map(ConsentChange::from),
    };
    ok(&api.app.change_contact(&id, change).await?)
}

/// Tags for many.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tagging {
    /// These contacts.
    #[serde(default)]
    ids: Vec<String>,
    /// Those whom a filter means.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    filter: Option<Filter>,
    /// Those of a segment, by its id or name.
    #[serde(default)]
    segment: Option<String>,
    /// Tags that they get.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    add: Vec<Tag>,
    /// Tags that are taken from them.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    remove: Vec<Tag>,
}

/// Tag contacts
///
/// Those named by `ids`, or those whom `filter` and `segment` mean.
#[utoipa::path(
    post, path = "/api/contacts/tags", tag = "contacts", operation_id = "tagContacts",
    request_body = Tagging,
    responses((status = 200, description = "How many changed", body = schema::Count), schema::Errors),
)]
pub(crate) async fn tag(State(api): Shared, body: JsonBytes) -> Answer {
    let Tagging { ids, filter, segment, add, remove } = body.typed()?;
    let changed = api.app.tag_contacts(Chosen { filter, segment, ids }, add, remove).await?;
    ok(&object!({ "count": changed }))
}

/// Import contacts
///
/// A CSV file (`,`, `;` or tab; UTF-8, UTF-16 or Latin-1, told by its bytes) or an XLSX file of any length. The first row names
/// the columns: one holds the phone numbers (`phone`, `teléfono`, `móvil`, `to`, …), others may be `name`, `tags`, `consent`,
/// `consent_source`, `consent_at`; all else becomes attributes, as texts unless the name ends in `:number` or `:flag`.
/// `columns` says otherwise: a JSON object from the file's names to these, or to null for what is not to be read.
///
/// Of one number there is one contact; a row about somebody who is known says what is new of them. Answered as NDJSON while
/// it is read: `refused` rows with their line and column, `progress`, and `done` at the end; a last line with an `error`
/// says that the rest was not taken. The same file may be sent again.
#[utoipa::path(
    post, path = "/api/contacts/import", tag = "contacts", operation_id = "importContacts",
    params(
        ("columns" = Option<String>, Query, description = "What columns are about, as JSON: `{\"Móvil\": \"phone\", \"Edad\": \"age:number\", \"Notas\": null}`"),
        ("tags" = Option<String>, Query, description = "Tags for all, a comma between two"),
        ("consent" = Option<String>, Query, description = "What all agreed to of whom the file does not say: `granted`, `denied`"),
        ("source" = Option<String>, Query, description = "Where they did"),
        ("encoding" = Option<String>, Query, description = "`utf-8`, `latin-1`, `utf-16le` or `utf-16be`, where the bytes do not tell"),
        ("sheet" = Option<String>, Query, description = "The sheet of a spreadsheet; the first where left out"),
        ("dryRun" = Option<bool>, Query, description = "Keep nothing, only tell what would be refused"),
    ),
    request_body(content(
        (String = "text/csv"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    )),
    responses(
        (status = 200, description = "What becomes of it, a line at a time", content((schema::ImportLine = "application/x-ndjson"))),
        schema::Errors,
    ),
)]
pub(crate) async fn import(State(api): Shared, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let kind = files::kind(&parts.headers)?;
    let mut params = Params::of(&parts.uri)?;
    let options = options(&mut params)?;
    params.finish()?;
    files::import(api.app.import_contacts(kind, options, files::body(body))).await
}

fn options(params: &mut Params) -> Result<ImportOptions, Problem> {
    let bad = |name: &str, why: &str| Problem::new(Code::BadQuery, format!("The parameter `{name}` {why}."));
    let columns: BTreeMap<String, Option<String>> = match params.text("columns")? {
        None => BTreeMap::new(),
        Some(columns) => serde_json::from_str(&columns)
            .map_err(|_| bad("columns", "must be a JSON object from names to names, or to null"))?,
    };
    let tags = params.text("tags")?.map(|tags| Tag::list(&tags)).transpose();
    let tags = tags.map_err(|why| bad("tags", &format!("must be tags with commas between them: {why}")))?;
    let state: Option<ConsentState> = params.read("consent", "granted, denied or unknown")?;
    let source = params.text("source")?;
    Ok(ImportOptions {
        columns,
        tags: tags.unwrap_or_default(),
        consent: state.map(|state| ConsentChange { state, source, at: None }),
        encoding: params.read("encoding", "utf-8, latin-1, utf-16le or utf-16be")?,
        sheet: params.text("sheet")?,
        dry_run: params.flag("dryRun")?,
    })
}

/// Export contacts
///
/// As CSV, which imports as the same; all, or those whom `filter` and `segment` mean. No cell is a formula: one that would
/// be has an apostrophe in front.
#[utoipa::path(
    get, path = "/api/contacts/export", tag = "contacts", operation_id = "exportContacts",
    params(
        ("filter" = Option<String>, Query, description = "Whom a filter means"),
        ("segment" = Option<String>, Query, description = "Of this segment: its id or name"),
    ),
    responses((status = 200, description = "The contacts", content((String = "text/csv"))), schema::Errors),
)]
pub(crate) async fn export(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let chosen = chosen(&mut params)?;
    params.finish()?;
    files::export("contacts.csv", api.app.export_contacts(chosen).await?)
}
