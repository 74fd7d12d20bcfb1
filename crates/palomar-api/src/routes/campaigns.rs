//! Campaigns: written, looked at beforehand, started, held in the hand while they run, and read afterwards.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use palomar_app::{
    AudienceInput, Caller, CampaignFilter, CampaignPatch, MadeCampaign, NewCampaign, NewResend, Page,
    TestSend, fingerprint,
};
use palomar_model::CampaignState;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::page;
use crate::access::unbound;
use crate::body::JsonBytes;
use crate::idempotency::{self, created};
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::state::{Answer, Named, Shared, no_content, ok};
use crate::{files, schema};

const CAMPAIGNS: &str = "/api/campaigns";

/// List campaigns
///
/// The newest first.
#[utoipa::path(
    get, path = CAMPAIGNS, tag = "campaigns", operation_id = "listCampaigns",
    params(
        ("status" = Option<String>, Query, description = "In one of these states, a comma between two"),
        ("channel" = Option<String>, Query, description = "Of this channel"),
        ("name" = Option<String>, Query, description = "Called so"),
        schema::PageParams,
    ),
    responses((status = 200, description = "A page", body = schema::Page<schema::Campaign>), schema::Errors),
)]
pub(crate) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    let states = params.text("status")?.unwrap_or_default();
    let states: Vec<String> =
        states.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if let Some(stranger) = states.iter().find(|word| !CampaignState::WORDS.contains(&word.as_str())) {
        let known = CampaignState::WORDS.join(", ");
        let hint = if stranger.len() < 20 { "" } else { " one word a state;" };
        return Err(Problem::new(Code::BadQuery, format!("The parameter `status` takes{hint} {known}.")));
    }
    let channels = params.read("channel", "a channel's name")?.into_iter().collect();
    let name = params.text("name")?;
    params.finish()?;
    let filter = CampaignFilter { states, channels, name };
    page(&uri, &api.app.campaigns(filter, cursor.as_deref(), limit, &caller).await?)
}

/// Create a campaign
///
/// A draft; with `scheduledAt` it begins by itself.
#[utoipa::path(
    post, path = CAMPAIGNS, tag = "campaigns", operation_id = "createCampaign",
    params(schema::IdempotencyKey),
    request_body = schema::NewCampaign,
    responses((status = 201, description = "Created", body = schema::Campaign), schema::Errors),
)]
pub(crate) async fn create(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: JsonBytes,
) -> Answer {
    let key = idempotency::key(&headers, CAMPAIGNS)?;
    let new: NewCampaign = body.typed()?;
    let request = key.as_ref().map(|key| (key, fingerprint(&body.0)));
    answer_made(&api.app.create_campaign(new, request, &caller).await?)
}

fn answer_made(made: &MadeCampaign) -> Answer {
    created(&made.campaign, made.replayed)
}

/// Send to the failed of a campaign
///
/// Makes a campaign, a draft, that goes to those of an ended one whose message failed; who they are is read when it begins.
/// Until it has ended, repeating this answers the same one; after that, another goes to those who failed and got none of the
/// first. Those of whom it is not known whether they got it are left out, unless `uncertain` says that they may get it twice.
#[utoipa::path(
    post, path = "/api/campaigns/{id}/resend", tag = "campaigns", operation_id = "resendCampaign",
    params(("id" = String, Path, description = "The campaign whose failed ones are meant"), schema::IdempotencyKey),
    request_body(content = Option<schema::CampaignResend>),
    responses((status = 201, description = "The campaign that goes to them", body = schema::Campaign), schema::Errors),
)]
pub(crate) async fn resend(Named { api, caller, id }: Named, headers: HeaderMap, body: JsonBytes) -> Answer {
    let key = idempotency::key(&headers, &format!("{CAMPAIGNS}/{id}/resend"))?;
    let request = key.as_ref().map(|key| (key, fingerprint(&body.0)));
    let wanted: NewResend = body.typed_or_default()?;
    answer_made(&api.app.resend_campaign(&id, wanted, request, &caller).await?)
}

/// Show a campaign
#[utoipa::path(
    get, path = "/api/campaigns/{id}", tag = "campaigns", operation_id = "getCampaign",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 200, description = "The campaign", body = schema::Campaign), schema::Errors),
)]
pub(crate) async fn show(Named { api, caller, id }: Named, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.campaign(&id, &caller).await?)
}

/// Change a campaign
///
/// What is left out stays. Of one that has begun, only `name` and `autoPause` may be changed.
#[utoipa::path(
    patch, path = "/api/campaigns/{id}", tag = "campaigns", operation_id = "updateCampaign",
    params(("id" = String, Path, description = "The campaign")),
    request_body = schema::CampaignPatch,
    responses((status = 200, description = "As it is now", body = schema::Campaign), schema::Errors),
)]
pub(crate) async fn update(Named { api, caller, id }: Named, body: JsonBytes) -> Answer {
    let patch: CampaignPatch = body.typed()?;
    ok(&api.app.update_campaign(&id, patch, &caller).await?)
}

/// Delete a campaign
///
/// 409 while it runs, and while anything of one that was stopped still moves. Its messages stay.
#[utoipa::path(
    delete, path = "/api/campaigns/{id}", tag = "campaigns", operation_id = "deleteCampaign",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 204, description = "Deleted"), schema::Errors),
)]
pub(crate) async fn delete(Named { api, caller, id }: Named) -> Answer {
    api.app.delete_campaign(&id, &caller).await?;
    no_content()
}

/// Contacts that are added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoreContacts {
    /// As in a new campaign.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    contacts: Option<Vec<Value>>,
    /// In their place: contacts by what is known of them. Who they are is read when the campaign begins.
    #[serde(default)]
    #[schema(value_type = Option<schema::CampaignAudience>)]
    audience: Option<AudienceInput>,
}

/// Add contacts to a campaign
///
/// To one that has not begun. Those that it has already are passed over: repeating the request is safe.
#[utoipa::path(
    post, path = "/api/campaigns/{id}/contacts", tag = "campaigns", operation_id = "addCampaignContacts",
    params(("id" = String, Path, description = "The campaign")),
    request_body = MoreContacts,
    responses((status = 200, description = "What became of them", body = schema::ContactsAdded), schema::Errors),
)]
pub(crate) async fn contacts(Named { api, caller, id }: Named, body: JsonBytes) -> Answer {
    match body.typed::<MoreContacts>()? {
        MoreContacts { contacts: Some(contacts), audience: None } => {
            ok(&api.app.add_contacts(&id, contacts, &caller).await?)
        }
        MoreContacts { contacts: None, audience: Some(audience) } => {
            ok(&api.app.add_audience(&id, audience, &caller).await?)
        }
        _ => Err(Problem::invalid_at("", "needs either contacts or audience")),
    }
}

/// Start a campaign
///
/// Whom it goes to stands fast from now on. One that runs already is answered as it runs.
#[utoipa::path(
    post, path = "/api/campaigns/{id}/start", tag = "campaigns", operation_id = "startCampaign",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 200, description = "It runs", body = schema::CampaignStarted), schema::Errors),
)]
pub(crate) async fn start(Named { api, caller, id }: Named) -> Answer {
    ok(&api.app.start_campaign(&id, &caller).await?)
}

/// Show a campaign in the queues
#[utoipa::path(
    get, path = "/api/campaigns/{id}/queue-status", tag = "campaigns", operation_id = "campaignQueueStatus",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 200, description = "How far it is", body = schema::CampaignStatusAnswer), schema::Errors),
)]
pub(crate) async fn status(Named { api, caller, id }: Named, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&json!({"success": true, "status": api.app.campaign_status(&id, &caller).await?}))
}

/// Pause a campaign
///
/// When this has answered, none of its messages starts. The answer says how many are under way.
#[utoipa::path(
    post, path = "/api/campaigns/{id}/queue-pause", tag = "campaigns", operation_id = "pauseCampaign",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 200, description = "Paused", body = schema::CampaignOrdered), schema::Errors),
)]
pub(crate) async fn pause(Named { api, caller, id }: Named) -> Answer {
    ok(&api.app.pause_campaign(&id, &caller).await?)
}

/// Resume a campaign
#[utoipa::path(
    post, path = "/api/campaigns/{id}/queue-resume", tag = "campaigns", operation_id = "resumeCampaign",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 200, description = "Resumed", body = schema::CampaignOrdered), schema::Errors),
)]
pub(crate) async fn resume(Named { api, caller, id }: Named) -> Answer {
    ok(&api.app.resume_campaign(&id, &caller).await?)
}

/// Stop a campaign
///
/// For good: when this has answered, none of its messages starts; those that wait are called off.
#[utoipa::path(
    post, path = "/api/campaigns/{id}/queue-stop", tag = "campaigns", operation_id = "stopCampaign",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 200, description = "Stopped", body = schema::CampaignOrdered), schema::Errors),
)]
pub(crate) async fn stop(Named { api, caller, id }: Named) -> Answer {
    ok(&api.app.stop_campaign(&id, &caller).await?)
}

/// Whom a preview is for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewFor {
    /// As in a new campaign; the campaign's first contacts where there are none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    contacts: Vec<Value>,
    /// So many at most: 1 to 200, 10 by default.
    limit: Option<usize>,
}

/// Preview a campaign
///
/// What contacts would get, each by their own words.
#[utoipa::path(
    post, path = "/api/campaigns/{id}/preview", tag = "campaigns", operation_id = "previewCampaign",
    params(("id" = String, Path, description = "The campaign")),
    request_body(content = Option<PreviewFor>),
    responses((status = 200, description = "What they would get", body = schema::CampaignPreviews), schema::Errors),
)]
pub(crate) async fn preview(Named { api, caller, id }: Named, body: JsonBytes) -> Answer {
    let PreviewFor { contacts, limit } = body.typed_or_default()?;
    let items = api.app.preview_campaign(&id, contacts, limit.unwrap_or(10), &caller).await?;
    ok(&json!({ "items": items }))
}

/// Try a campaign
///
/// Sends its message to some numbers at once, as messages of their own.
#[utoipa::path(
    post, path = "/api/campaigns/{id}/test", tag = "campaigns", operation_id = "testCampaign",
    params(("id" = String, Path, description = "The campaign"), schema::IdempotencyKey),
    request_body = schema::CampaignTest,
    responses((status = 200, description = "What became of each", body = schema::CampaignTested), schema::Errors),
)]
pub(crate) async fn test(Named { api, caller, id }: Named, headers: HeaderMap, body: JsonBytes) -> Answer {
    let key = idempotency::key(&headers, &format!("{CAMPAIGNS}/{id}/test"))?;
    let test: TestSend = body.typed()?;
    let to = test.to.clone();
    let sent = api.app.test_campaign(&id, test, fingerprint(&body.0), &caller, key.as_ref()).await?;
    let items = to.iter().zip(sent).map(|(to, row)| match row.result {
        Ok(sent) => json!({"to": to, "id": sent.id, "status": sent.status, "error": null}),
        Err(error) => json!({"to": to, "id": null, "status": null, "error": error.to_string()}),
    });
    ok(&json!({ "items": items.collect::<Vec<_>>() }))
}

/// Run a campaign dry
///
/// Who would get what and who nothing, and why; how long it would take. Changes nothing.
#[utoipa::path(
    post, path = "/api/campaigns/{id}/dry-run", tag = "campaigns", operation_id = "dryRunCampaign",
    params(
        ("id" = String, Path, description = "The campaign"),
        ("limit" = Option<u32>, Query, description = "So many contacts are listed: up to 200, 50 by default"),
    ),
    responses((status = 200, description = "What it would do", body = schema::CampaignDryRun), schema::Errors),
)]
pub(crate) async fn dry_run(Named { api, caller, id }: Named, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let listed = params.read::<usize>("limit", "a number")?.unwrap_or(crate::params::PAGE);
    params.finish()?;
    ok(&api.app.dry_run_campaign(&id, listed, &caller).await?)
}

/// Report on a campaign
#[utoipa::path(
    get, path = "/api/campaigns/{id}/report", tag = "campaigns", operation_id = "campaignReport",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 200, description = "What became of it", body = schema::CampaignReport), schema::Errors),
)]
pub(crate) async fn report(Named { api, caller, id }: Named, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.campaign_report(&id, &caller).await?)
}

/// List a campaign's contacts
///
/// Each with what became of it.
#[utoipa::path(
    get, path = "/api/campaigns/{id}/recipients", tag = "campaigns", operation_id = "campaignRecipients",
    params(("id" = String, Path, description = "The campaign"), schema::PageParams),
    responses((status = 200, description = "A page", body = schema::Page<schema::CampaignRecipient>), schema::Errors),
)]
pub(crate) async fn recipients(Named { api, caller, id }: Named, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (limit, cursor) = params.page()?;
    params.finish()?;
    let found = api.app.campaign_results(&id, cursor.as_deref(), limit, &caller).await?;
    page(&uri, &Page { items: found.items, next_cursor: found.next_cursor })
}

/// Export a campaign's contacts
///
/// Each with what became of it, as CSV. No cell is a formula: one that would be has an apostrophe in front.
#[utoipa::path(
    get, path = "/api/campaigns/{id}/recipients/export", tag = "campaigns", operation_id = "exportCampaignRecipients",
    params(("id" = String, Path, description = "The campaign")),
    responses((status = 200, description = "The contacts", content((String = "text/csv"))), schema::Errors),
)]
pub(crate) async fn export(Named { api, caller, id }: Named, uri: Uri) -> Answer {
    Params::none(&uri)?;
    let csv = Arc::clone(&api.app).export_campaign(&id, &caller).await?;
    files::export(&format!("{id}.csv"), csv)
}

/// Show all campaigns in the queues
#[utoipa::path(
    get, path = "/api/dashboard/campaign-queue-metrics", tag = "campaigns", operation_id = "campaignQueueMetrics",
    responses((status = 200, description = "In numbers", body = schema::CampaignQueueMetricsAnswer), schema::Errors),
)]
pub(crate) async fn metrics(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    Params::none(&uri)?;
    unbound(&caller)?;
    ok(&json!({"success": true, "metrics": api.app.campaign_metrics().await?}))
}
