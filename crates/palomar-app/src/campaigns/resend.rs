//! A campaign that goes to the failed of another: one order, which can be repeated.

use palomar_model::CampaignState;
use palomar_records::{CampaignRecord, CreatedResend};
use serde::Deserialize;

use super::input::is_name;
use super::orders::{definition_of, gone};
use super::sources::Resend;
use super::view::Tally;
use super::writing::{MadeCampaign, kept};
use crate::{App, AppError, Caller, IdempotencyKey, identity};

/// How the failed of a campaign are to be sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewResend {
    /// What people call the new campaign.
    #[serde(default)]
    pub name: Option<String>,
    /// Those too of whom it is not known whether they got it: they may get it twice.
    #[serde(default)]
    pub uncertain: bool,
}

impl App {
    /// Makes a campaign, a draft, that goes to the failed of one that has ended; the one that does already, until that has
    /// ended too. Who they are is read when it begins.
    ///
    /// # Errors
    /// One that still runs, or that nobody failed of.
    pub async fn resend_campaign(
        &self,
        id: &str,
        wanted: NewResend,
        request: Option<(&IdempotencyKey, u64)>,
        caller: &Caller,
    ) -> Result<MadeCampaign, AppError> {
        let now = self.now();
        let source = self.campaign_of(id, caller).await?;
        let request = request.map(|(key, body)| identity::of_campaign(caller, key, body, now));
        if let Some(request) = request.clone()
            && let Some(earlier) = self.records.created_before(request).await?
        {
            return self.made(earlier).await;
        }
        self.check_resend(&source, wanted.uncertain).await?;
        let name = wanted.name.unwrap_or_else(|| again(&source.name));
        if !is_name(&name) {
            return Err(AppError::invalid("/name", "must have 1 to 200 characters"));
        }
        let mut definition = definition_of(&source)?;
        definition.audiences.clear();
        (definition.repeat, definition.run_of) = (None, None);
        // Nobody of the failed is there to be compared with.
        definition.hold_out = 0.0;
        definition.resend = Some(Resend { campaign: source.id.clone(), uncertain: wanted.uncertain });
        let campaign = CampaignRecord {
            id: format!("campaign_{}", self.ids.uuid(now).simple()),
            name: name.trim().to_owned(),
            definition: kept(&definition)?,
            ..CampaignRecord::draft(source.channel, now)
        };
        let is_wanted = move |known: &CampaignRecord| {
            let resend = definition_of(known).ok().and_then(|definition| definition.resend);
            resend.is_some_and(|resend| resend.uncertain == wanted.uncertain)
        };
        match self.records.create_resend(source.number, campaign, request, is_wanted).await? {
            CreatedResend::Made(made) => self.made(made).await,
            CreatedResend::Unlike(id) => Err(AppError::wrong_state(format!(
                "{id} goes to the failed already, and says otherwise of those in doubt: start it, or delete it"
            ))),
        }
    }

    async fn check_resend(&self, source: &CampaignRecord, uncertain: bool) -> Result<(), AppError> {
        let over = matches!(source.state, CampaignState::Finished { .. })
            || (matches!(source.state, CampaignState::Stopped { .. }) && !source.live);
        if !over {
            return Err(AppError::wrong_state(format!(
                "the campaign is {}: who failed is known when it has ended",
                source.state.as_str()
            )));
        }
        let tally = Tally::of(&self.records.campaign_progress(&source.id).await?.ok_or_else(gone)?);
        if tally.failed == 0 && !(uncertain && tally.uncertain > 0) {
            return Err(AppError::wrong_state("none of the campaign's messages failed"));
        }
        Ok(())
    }
}

/// The name of a campaign, once more.
fn again(name: &str) -> String {
    const MARK: &str = " ↻";
    let short: String = name.chars().take(198).collect();
    if name.ends_with(MARK) { name.to_owned() } else { format!("{short}{MARK}") }
}
