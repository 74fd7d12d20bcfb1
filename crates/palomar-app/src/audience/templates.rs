//! What campaigns say: templates of providers as they were last told of, and what a text or a template becomes for somebody.

use std::borrow::Cow;

use palomar_model::attribute::{AttributeName, AttributeValue};
use palomar_model::template::{Attributes, ContentRenderError, ContentTemplate, RenderError};
use palomar_model::{ChannelName, Content, FieldError};
use palomar_records::{AudienceContact, ProviderTemplate, Whom};
use serde::Serialize;

use crate::{App, AppError, Caller};

/// Whether a provider takes a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateStanding {
    /// It was approved when it was last told of.
    Usable {
        /// How people take it: `GREEN`, `YELLOW`, `RED`, where the provider says so.
        quality: Option<String>,
    },
    /// Nothing was told of it: it is new, or templates were not asked for.
    Unknown,
    /// The provider would refuse it.
    Refused {
        /// Its word: `PAUSED`, `REJECTED`, …
        status: String,
        /// Why, where it says so.
        reason: Option<String>,
    },
}

/// What a template becomes for somebody.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The content; none where it can't be given to them.
    pub content: Option<Content>,
    /// The variable that they have no value for.
    pub missing: Option<AttributeName>,
    /// Why it can't be given to them.
    pub problem: Option<String>,
    /// The variables of the template.
    pub variables: Vec<PreviewVariable>,
}

/// A variable of a template, and what somebody has for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewVariable {
    /// Its name.
    pub name: AttributeName,
    /// Whether somebody without it is left out.
    pub required: bool,
    /// Their value.
    pub value: Option<AttributeValue>,
}

/// Somebody's values, and over them those that are tried.
struct Tried<'a> {
    contact: Option<&'a AudienceContact>,
    values: &'a [(AttributeName, AttributeValue)],
}

impl Attributes for Tried<'_> {
    fn value(&self, name: &AttributeName) -> Option<Cow<'_, AttributeValue>> {
        let tried = self.values.iter().find(|(tried, _)| tried == name);
        tried.map(|(_, value)| Cow::Borrowed(value)).or_else(|| self.contact?.value(name))
    }
}

impl App {
    /// What content with variables becomes for a contact, with these values over theirs.
    ///
    /// # Errors
    /// Where a text is no template; [`AppError::NotFound`] where there is no such contact.
    pub async fn preview(
        &self,
        form: &serde_json::Value,
        contact: Option<String>,
        values: Vec<(AttributeName, AttributeValue)>,
    ) -> Result<Preview, AppError> {
        let template = ContentTemplate::parse(form).map_err(AppError::Invalid)?;
        let contact = match contact {
            Some(id) => {
                let whom = Whom::Ids([id].into_iter().collect());
                let page = self.records.audience(whom, None, 1, self.now()).await?;
                Some(page.contacts.into_iter().next().ok_or(AppError::NotFound("contact"))?)
            }
            None => None,
        };
        let whom = Tried { contact: contact.as_ref(), values: &values };
        let variable = |name: AttributeName, required| PreviewVariable {
            value: whom.value(&name).map(Cow::into_owned),
            name,
            required,
        };
        let variables =
            template.variables().into_iter().map(|one| variable(one.name, one.required)).collect();
        Ok(match template.render(&whom) {
            Ok(content) => Preview { content: Some(content), missing: None, problem: None, variables },
            Err(why) => {
                let problem = Some(why.to_string());
                let missing = match why {
                    ContentRenderError::Text { why: RenderError::Missing(name), .. } => Some(name),
                    ContentRenderError::Text { .. } | ContentRenderError::Content(_) => None,
                };
                Preview { content: None, missing, problem, variables }
            }
        })
    }

    /// Templates as their providers last told of them, of the caller's channels.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for a channel that is not the caller's.
    pub async fn templates(
        &self,
        channel: Option<ChannelName>,
        name: Option<String>,
        caller: &Caller,
    ) -> Result<Vec<ProviderTemplate>, AppError> {
        if channel.as_ref().is_some_and(|channel| !caller.may_use(channel)) {
            return Err(AppError::NotFound("channel"));
        }
        let mut found = self.records.templates(channel, name).await?;
        found.retain(|template| caller.may_use(&template.channel));
        Ok(found)
    }

    /// Asks the provider of a channel for its templates, and keeps what it tells.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; a provider that has none, or does not tell.
    pub async fn pull_templates(
        &self,
        channel: &ChannelName,
        caller: &Caller,
    ) -> Result<Vec<ProviderTemplate>, AppError> {
        let line = self.registry.get(channel).filter(|_| caller.may_use(channel));
        let line = line.ok_or(AppError::NotFound("channel"))?;
        let source = line.channel.templates().ok_or_else(|| AppError::Conflict {
            code: "no_templates",
            detail: format!("{} has no templates to be approved", line.provider.as_str()),
        })?;
        let told = source.pull().await.map_err(|failure| AppError::Conflict {
            code: "provider_refused",
            detail: format!("the provider does not tell its templates: {failure}"),
        })?;
        let now = self.now();
        let kept = told.into_iter().map(|told| ProviderTemplate {
            channel: channel.clone(),
            name: told.name,
            language: told.language,
            provider_id: told.id,
            category: told.category,
            status: told.status,
            quality: told.quality,
            reason: told.reason,
            components: told.components,
            pulled_at: now,
        });
        // Of one name and language the last counts, as at the provider.
        let kept: std::collections::BTreeMap<_, _> =
            kept.map(|one| ((one.name.clone(), one.language.clone()), one)).collect();
        let kept: Vec<_> = kept.into_values().collect();
        self.records.replace_templates(channel.clone(), kept.clone()).await?;
        Ok(kept)
    }

    /// Whether the provider of a channel takes a template, as far as it was told.
    ///
    /// # Errors
    /// Where records can't be read.
    pub async fn template_standing(
        &self,
        channel: &ChannelName,
        name: &str,
        language: &str,
    ) -> Result<TemplateStanding, AppError> {
        let found = self.records.templates(Some(channel.clone()), Some(name.to_owned())).await?;
        let Some(template) = found.into_iter().find(|template| template.language == language) else {
            return Ok(TemplateStanding::Unknown);
        };
        Ok(match template.status.as_str() {
            "APPROVED" | "REINSTATED" | "FLAGGED" | "UNARCHIVED" => {
                TemplateStanding::Usable { quality: template.quality }
            }
            "" => TemplateStanding::Unknown,
            _ => TemplateStanding::Refused { status: template.status, reason: template.reason },
        })
    }
}

/// Values to be tried, as a request says them.
///
/// # Errors
/// Each that is none, with its place.
pub fn read_values(
    said: serde_json::Map<String, serde_json::Value>,
) -> Result<Vec<(AttributeName, AttributeValue)>, Vec<FieldError>> {
    let mut values = Vec::with_capacity(said.len());
    for (name, value) in said {
        let at = format!("/values/{name}");
        let name = AttributeName::variable(&name)
            .map_err(|why| vec![FieldError::new(at.as_str(), why.to_string())])?;
        let value =
            serde_json::from_value(value).map_err(|why| vec![FieldError::new(at, why.to_string())])?;
        values.push((name, value));
    }
    Ok(values)
}
