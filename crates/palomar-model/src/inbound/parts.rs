//! The parts that inbound messages are made of, beside media. Whatever a provider may leave out is optional: a part
//! that is not whole is better than none.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InboundMedia, ProviderError};
use crate::{Bsuid, ContactCard, Timestamp};

/// Words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundWords {
    /// What was written.
    pub text: String,
}

/// A place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundLocation {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// What the place is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where somebody is, while they move.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
}

/// Address cards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedContacts {
    /// The cards, where they came as such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<SharedContact>,
    /// The file that they are in, where they came as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<InboundMedia>,
}

/// An address card; see [`SharedContact::from_vcard`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedContact {
    /// What is on it.
    pub card: ContactCard,
    /// The vCard that it came as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcard: Option<String>,
}

/// What somebody tapped or chose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The id that the business gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What was on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What stood below that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A form filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowReply {
    /// Which kind: `flow`, `address_message`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the chat shows for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The fields; a text where the provider sent something that is no JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub response: Value,
}

/// The answer to whether the business may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallPermission {
    /// `accept`, `reject`.
    pub response: String,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
}

/// Goods ordered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The order's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    /// Words with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What is ordered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<OrderItem>,
    /// The sum, as the provider says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// Of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// One kind of goods in an order. Numbers are texts, as they came: money is not for floating point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// The business's id of the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// The price of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Of the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// A product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// The catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    /// The business's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A question with answers to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundPoll {
    /// The question.
    pub question: String,
    /// The answers.
    pub options: Vec<String>,
    /// How many may be chosen; any number where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selectable_count: Option<u32>,
}

/// News of a person's account, told as a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemMessage {
    /// Of what kind.
    pub kind: SystemKind,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What they are called by the provider from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_wa_id: Option<String>,
    /// Their business-scoped id from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_bsuid: Option<Bsuid>,
}

/// What kind of news of a person's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemKind {
    /// They have another number.
    NumberChanged,
    /// They have another business-scoped id.
    UserIdChanged,
    /// Their keys are new: another phone, or another person.
    IdentityChanged,
    /// Another, in the provider's word.
    Other(String),
}

/// The provider says that there is something, and does not hand it over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unsupported {
    /// What it is, in the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ProviderError>,
}

/// The advertisement or post that a message came by (click to WhatsApp).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Referral {
    /// Its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// `ad`, `post`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_type: Option<String>,
    /// Its headline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// `image`, `video`; or the type of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Where its picture or film is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_url: Option<String>,
    /// The provider's id of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_id: Option<String>,
    /// A small picture of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// The id of the click (`ctwa_clid`), by which conversions are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_id: Option<String>,
    /// What the chat greeted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub welcome_text: Option<String>,
}

/// Those that are there and say something, `between` two of them.
fn joined<'a>(parts: impl IntoIterator<Item = Option<&'a str>>, between: &str) -> String {
    let said: Vec<_> = parts.into_iter().flatten().map(str::trim).filter(|part| !part.is_empty()).collect();
    said.join(between)
}

impl InboundLocation {
    /// Name, address and degrees in one line.
    pub(super) fn readable(&self) -> String {
        let place = joined([self.name.as_deref(), self.address.as_deref()], ", ");
        let degrees = format!("{}, {}", self.latitude, self.longitude);
        if place.is_empty() { degrees } else { format!("{place} ({degrees})") }
    }
}

impl SharedContacts {
    /// A line a card: the name, its numbers and addresses.
    pub(super) fn readable(&self) -> String {
        let lines: Vec<_> = self.contacts.iter().map(SharedContact::readable).collect();
        lines.join("\n")
    }
}

impl SharedContact {
    fn readable(&self) -> String {
        let ContactCard { name, phones, emails, org, .. } = &self.card;
        let company = org.as_ref().and_then(|org| org.company.as_deref());
        let known = [Some(name.formatted_name.as_str()), company].into_iter();
        let phones = phones.iter().map(|phone| Some(phone.phone.as_str()));
        let emails = emails.iter().map(|email| Some(email.email.as_str()));
        joined(known.chain(phones).chain(emails), ", ")
    }
}

impl Choice {
    /// What was on it; else the id.
    pub(super) fn readable(&self) -> String {
        self.title.clone().or_else(|| self.id.clone()).unwrap_or_default()
    }
}

impl Order {
    /// The words with it; else what is ordered.
    pub(super) fn readable(&self) -> String {
        if let Some(text) = self.text.as_ref().filter(|text| !text.is_empty()) {
            return text.clone();
        }
        let items = self.items.iter().map(|item| {
            let count = item.quantity.as_ref().map(|count| format!("{count} ×"));
            joined([count.as_deref(), item.product_id.as_deref()], " ")
        });
        items.collect::<Vec<_>>().join(", ")
    }
}
