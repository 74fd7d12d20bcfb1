//! What a campaign will do, before it does: what somebody would get, a message to try it with, and who gets what over all.
//! By the same functions that then make the messages: what is shown can't be something else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use palomar_model::{CampaignState, Content, Outbound, Recipient, Timestamp};
use palomar_records::{CampaignLane, CampaignRecipient, CampaignRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::contacts::as_recipient;
use super::definition::Definition;
use super::messages::{Drafts, Facts, LeftOut, facts};
use super::orders::{definition_of, gone};
use super::snapshot::Foreseen;
use crate::channels::Line;
use crate::identity::IdempotencyKey;
use crate::rates::{Bill, Cost, Pricing};
use crate::request::NewMessage;
use crate::{App, AppError, Caller};

/// Recipients that are looked at in one go.
const PAGE: usize = 500;
/// Recipients that one answer lists.
const MOST_LISTED: usize = 200;
/// Numbers that one trial goes to.
const MOST_TRIED: usize = 20;

/// What somebody would get.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignPreview {
    /// Who: a number or an id.
    pub recipient: String,
    /// The variant that they fall on.
    pub variant: Option<String>,
    /// The type of the content.
    #[serde(rename = "type")]
    pub kind: Option<&'static str>,
    /// The content.
    pub content: Option<Value>,
    /// When they would get it, where not at once.
    pub scheduled_at: Option<Timestamp>,
    /// Why they get nothing.
    pub left_out: Option<String>,
}

/// What a campaign would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// All recipients.
    pub contacts: u64,
    /// Contacts that were given a second time, and passed over.
    pub duplicates: u64,
    /// Recipients who would get a message.
    pub would_send: u64,
    /// Recipients who would get nothing, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Of those who would get one, how many get free text and did not write in the last 24 hours, where the provider asks
    /// for that.
    pub outside_window: u64,
    /// Recipients who would get a message, by variant.
    pub by_variant: BTreeMap<String, u64>,
    /// In milliseconds, how long it takes by the limits of its channel, its hours and its pace.
    pub estimated_time: u64,
    /// What it costs, if everybody who would get a message gets it.
    pub cost: Cost,
    /// When it would be done, if it began now or when it is scheduled.
    pub estimated_end: Option<Timestamp>,
    /// Why it can't begin as things stand, where that is known.
    pub refused: Option<String>,
    /// The first of its recipients, as far as they were asked for.
    pub recipients: Vec<DryRunRecipient>,
}

/// A recipient of a campaign that would begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRunRecipient {
    /// Who: a number or an id.
    pub recipient: String,
    /// The variant that they fall on.
    pub variant: Option<String>,
    /// When they would get it, where not at once.
    pub scheduled_at: Option<Timestamp>,
    /// Why they get nothing.
    pub left_out: Option<String>,
}

/// Whom a trial goes to.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestSend {
    /// Numbers or ids, 20 at most.
    pub to: Vec<String>,
    /// What the text may say of them; what is known of the campaign's first contact, where left out.
    #[serde(default)]
    pub fields: Option<Map<String, Value>>,
    /// The name of the variant; the first where left out.
    #[serde(default)]
    pub variant: Option<String>,
}

/// A campaign with all that its messages are made of.
struct Checked {
    campaign: CampaignRecord,
    definition: Definition,
    line: Arc<Line>,
    lanes: Vec<CampaignLane>,
    /// All its recipients, those too whom its audiences mean and who are not read yet.
    foreseen: u64,
}

impl Checked {
    /// Messages for people who may be in these zones.
    fn drafts(&self, zones: &str, before: u64, now: Timestamp) -> Result<Drafts<'_>, AppError> {
        Drafts::new(&self.campaign, &self.definition, &self.line, zones, (before, self.foreseen), now)
            .map_err(AppError::Unavailable)
    }

    fn variant(&self, n: u32) -> Option<String> {
        self.definition.variants.get(n as usize).map(|variant| variant.name.clone())
    }

    /// Whether free text to somebody is outside of what the provider asks for.
    fn is_outside(
        &self,
        content: &Content,
        has_fallback: bool,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        self.line.provider.has_windows()
            && !matches!(content, Content::Template(_))
            && !has_fallback
            && until.is_none_or(|until| until <= now)
    }
}

impl App {
    async fn checked(&self, id: &str, caller: &Caller) -> Result<Checked, AppError> {
        let campaign = self.campaign_of(id, caller).await?;
        let line = self.registry.first_of(&campaign.channel).ok_or_else(|| {
            AppError::wrong_state(format!(
                "the channel {} does not exist, or does not work",
                campaign.channel
            ))
        })?;
        let definition = definition_of(&campaign)?;
        let lanes = self.records.campaign_lanes(campaign.number).await?;
        let foreseen = campaign.recipients;
        Ok(Checked { campaign, definition, line, lanes, foreseen })
    }

    /// The same, with those whom its audiences mean now counted where that decides when who is due.
    async fn checked_ahead(&self, id: &str, caller: &Caller) -> Result<Checked, AppError> {
        let mut checked = self.checked(id, caller).await?;
        if checked.definition.spread_seconds.is_some() {
            checked.foreseen = self.foreseen(&checked.campaign, &checked.definition).await?;
        }
        Ok(checked)
    }

    /// What these contacts would get, or the campaign's first ones where none are given.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; what is wrong with the contacts.
    pub async fn preview_campaign(
        &self,
        id: &str,
        contacts: Vec<Value>,
        limit: usize,
        caller: &Caller,
    ) -> Result<Vec<CampaignPreview>, AppError> {
        let checked = self.checked_ahead(id, caller).await?;
        let limit = limit.clamp(1, MOST_LISTED);
        let now = self.now();
        let definition = &checked.definition;
        let recipients: Vec<(CampaignRecipient, String)> = if contacts.is_empty() {
            let mut foreseen = Foreseen::of(self, checked.campaign.number, definition).await?;
            let mut first = Vec::new();
            while let Some(page) = foreseen.next(definition, &checked.lanes, limit, now).await? {
                first = page.recipients;
                if !first.is_empty() {
                    break;
                }
            }
            first
        } else {
            let read = self.read_contacts(contacts, definition, caller).await?;
            let read = read.into_iter().take(limit).map(|new| (new.zones.clone(), new));
            read.map(|(zones, new)| (as_recipient(new), zones)).collect()
        };
        let (recipients, zones): (Vec<_>, Vec<_>) = recipients.into_iter().unzip();
        let known = facts(&self.records, &checked.line, definition, &recipients).await?;
        let previews = recipients.iter().zip(&zones).zip(&known).zip(0..);
        let previews = previews.map(|(((recipient, zones), facts), n)| {
            let drafts = checked.drafts(zones, 0, now)?;
            Ok(match outcome(&drafts, recipient, facts, n) {
                Ok(message) => CampaignPreview {
                    recipient: recipient.recipient.clone(),
                    variant: checked.variant(message.campaign_place.map_or(0, |place| place.variant)),
                    kind: Some(message.content.kind().as_str()),
                    content: serde_json::to_value(&message.content)
                        .ok()
                        .map(|mut whole| whole["content"].take()),
                    scheduled_at: message.scheduled_at,
                    left_out: None,
                },
                Err(reason) => CampaignPreview {
                    recipient: recipient.recipient.clone(),
                    variant: None,
                    kind: None,
                    content: None,
                    scheduled_at: None,
                    left_out: Some(reason),
                },
            })
        });
        previews.collect()
    }

    /// Sends a campaign's message to some numbers at once, as messages of their own.
    ///
    /// # Errors
    /// What is wrong with the numbers, or why the text can't be completed.
    pub async fn test_campaign(
        &self,
        id: &str,
        test: TestSend,
        body_hash: u64,
        caller: &Caller,
        key: Option<&IdempotencyKey>,
    ) -> Result<Vec<crate::RowResult>, AppError> {
        let checked = self.checked(id, caller).await?;
        if test.to.is_empty() || test.to.len() > MOST_TRIED {
            return Err(AppError::invalid("/to", format!("must be 1 to {MOST_TRIED} numbers")));
        }
        let variants = &checked.definition.variants;
        let n = match &test.variant {
            Some(name) => variants.iter().position(|variant| variant.name == *name),
            None => Some(0),
        };
        let n = n.ok_or_else(|| AppError::invalid("/variant", "there is no variant of this name"))?;
        let fields = match test.fields {
            Some(fields) => fields,
            None => {
                let first = self.records.campaign_recipients(checked.campaign.number, None, 1).await?;
                first.into_iter().next().map(|first| first.fields).unwrap_or_default()
            }
        };
        let forms = checked.definition.forms().map_err(|error| AppError::Unavailable(error.to_string()))?;
        let form = forms.get(n).ok_or(gone())?;
        let content =
            form.complete(&fields).map_err(|error| AppError::invalid("/fields", error.to_string()))?;
        let rows = test.to.iter().zip(0..).map(|(to, row)| {
            let recipient = Recipient::parse(to, self.default_region())
                .map_err(|error| AppError::invalid(format!("/to/{row}"), error.to_string()))?;
            let mut message = NewMessage::text(checked.campaign.channel.clone(), recipient, "");
            message.content = content.clone();
            message.metadata.insert("testOf".to_owned(), checked.campaign.id.clone().into());
            Ok(crate::RowInput { row, body_hash, message: Ok(message) })
        });
        let rows: Result<Vec<_>, AppError> = rows.collect();
        self.submit_batch(rows?, caller, key).await
    }

    /// Who would get what, over all recipients, and how long it would take. Changes nothing.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; a channel that does not work.
    pub async fn dry_run_campaign(
        &self,
        id: &str,
        listed: usize,
        caller: &Caller,
    ) -> Result<DryRun, AppError> {
        let checked = self.checked_ahead(id, caller).await?;
        let now = match checked.campaign.state {
            CampaignState::Scheduled { at } => at.max(self.now()),
            _ => self.now(),
        };
        let mut run = DryRun {
            contacts: 0,
            duplicates: checked.campaign.duplicates,
            would_send: 0,
            left_out: BTreeMap::new(),
            outside_window: 0,
            by_variant: BTreeMap::new(),
            estimated_time: 0,
            cost: Cost::default(),
            estimated_end: None,
            refused: None,
            recipients: Vec::new(),
        };
        let mut foreseen = Foreseen::of(self, checked.campaign.number, &checked.definition).await?;
        let mut prices = (self.pricing().await?, Bill::default());
        while let Some(page) = foreseen.next(&checked.definition, &checked.lanes, PAGE, now).await? {
            run.duplicates += page.duplicates;
            let listed = listed.min(MOST_LISTED);
            self.dry_run_page(&checked, page.recipients, now, listed, &mut run, &mut prices).await?;
        }
        run.cost = prices.1.cost();
        let unfit = self.unfit_template(&checked.campaign.channel, &checked.definition).await?;
        run.refused = unfit.map(|why| why.detail);
        let progress = self.records.campaign_progress(&checked.campaign.id).await?.ok_or(gone())?;
        run.estimated_end = self.foresee_end(&progress).await?;
        let took = run.estimated_end.map(|end| end.since(now)).unwrap_or_default();
        run.estimated_time = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Ok(run)
    }

    async fn dry_run_page(
        &self,
        checked: &Checked,
        page: Vec<(CampaignRecipient, String)>,
        now: Timestamp,
        listed: usize,
        run: &mut DryRun,
        (pricing, bill): &mut (Pricing, Bill),
    ) -> Result<(), AppError> {
        let before = run.contacts;
        run.contacts += page.len() as u64;
        let (page, zones): (Vec<_>, Vec<_>) = page.into_iter().unzip();
        let known = facts(&self.records, &checked.line, &checked.definition, &page).await?;
        let whom = page.iter().map(|one| {
            let key = Recipient::parse(&one.recipient, None).map(|to| to.key()).unwrap_or_default();
            (checked.line.name.clone(), key)
        });
        let windows = self.records.windows_until(whom.collect()).await?;
        let mut drafts: BTreeMap<&str, Drafts<'_>> = BTreeMap::new();
        let each = page.iter().zip(&zones).zip(&known).zip(windows).zip(0..);
        for ((((recipient, zones), facts), until), n) in each {
            if let Entry::Vacant(place) = drafts.entry(zones) {
                place.insert(checked.drafts(zones, before, now)?);
            }
            let Some(drafts) = drafts.get(zones.as_str()) else { continue };
            let mut listed_as = DryRunRecipient {
                recipient: recipient.recipient.clone(),
                variant: None,
                scheduled_at: None,
                left_out: None,
            };
            match outcome(drafts, recipient, facts, n) {
                Ok(message) => {
                    let variant = checked.variant(message.campaign_place.map_or(0, |place| place.variant));
                    run.would_send += 1;
                    *run.by_variant.entry(variant.clone().unwrap_or_default()).or_default() += 1;
                    if checked.is_outside(&message.content, message.fallback.is_some(), until, now) {
                        run.outside_window += 1;
                    }
                    let country = message.to.country().unwrap_or_default();
                    let goes = message.scheduled_at.unwrap_or(now);
                    let template = template_of(&message, until.is_some_and(|until| until > goes));
                    let charged = pricing.charged(checked.line.name.as_str(), &country, template);
                    bill.add(&pricing.card, charged, goes, 1);
                    (listed_as.variant, listed_as.scheduled_at) = (variant, message.scheduled_at);
                }
                Err(reason) => {
                    *run.left_out.entry(reason.clone()).or_default() += 1;
                    listed_as.left_out = Some(reason);
                }
            }
            if run.recipients.len() < listed {
                run.recipients.push(listed_as);
            }
        }
        Ok(())
    }
}

/// The template that a message goes as; empty where it is none.
fn template_of(message: &Outbound, in_window: bool) -> &str {
    match (&message.content, &message.fallback) {
        (Content::Template(template), _) => &template.name,
        (_, Some(fallback)) if !in_window => &fallback.name,
        _ => "",
    }
}

/// The message for somebody, or the word for why there is none.
fn outcome(
    drafts: &Drafts<'_>,
    recipient: &CampaignRecipient,
    facts: &Facts,
    n: u64,
) -> Result<Outbound, String> {
    match &recipient.left_out {
        Some(reason) => Err(reason.clone()),
        None => drafts.message(recipient, facts, n).map_err(|reason: LeftOut| reason.as_str().to_owned()),
    }
}
