//! Messages that the provider approved beforehand, with values put in.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Location, Media};
use crate::ContentKind;
use crate::field::Checks;

/// An approved message and the values to put in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// Its name at the provider.
    pub name: String,
    /// Its language, for example `es` or `en_US`; `{"code": "es"}` is read too.
    #[serde(deserialize_with = "language")]
    pub language: String,
    /// The values, by the part of the template that they go to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
}

/// The values for one part of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// The part.
    #[serde(rename = "type")]
    pub kind: ComponentKind,
    /// With buttons: `quick_reply`, `url`, `copy_code`, `flow`, …
    #[serde(default, alias = "sub_type", skip_serializing_if = "Option::is_none")]
    pub sub_type: Option<String>,
    /// With buttons: which one, from 0. Read from a number or a text.
    #[serde(default, deserialize_with = "index", skip_serializing_if = "Option::is_none")]
    pub index: Option<u8>,
    /// The values; positional ones in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
}

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "WhatsApp's own words")]
pub enum ComponentKind {
    #[serde(alias = "HEADER")]
    Header,
    #[serde(alias = "BODY")]
    Body,
    #[serde(alias = "BUTTON")]
    Button,
    #[serde(alias = "LIMITED_TIME_OFFER")]
    LimitedTimeOffer,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Parameter {
    /// Words.
    Text {
        /// The words: one line, not empty.
        text: String,
        /// The name of the place, with named templates.
        #[serde(default, alias = "parameter_name", skip_serializing_if = "Option::is_none")]
        parameter_name: Option<String>,
    },
    /// An amount of money.
    Currency {
        /// The amount.
        currency: Currency,
        /// The name of the place, with named templates.
        #[serde(default, alias = "parameter_name", skip_serializing_if = "Option::is_none")]
        parameter_name: Option<String>,
    },
    /// A time.
    DateTime {
        /// The time.
        #[serde(alias = "date_time")]
        date_time: DateTime,
        /// The name of the place, with named templates.
        #[serde(default, alias = "parameter_name", skip_serializing_if = "Option::is_none")]
        parameter_name: Option<String>,
    },
    /// A picture.
    Image {
        /// The picture.
        image: Media,
    },
    /// A film.
    Video {
        /// The film.
        video: Media,
    },
    /// A file.
    Document {
        /// The file.
        document: Media,
    },
    /// A place.
    Location {
        /// The place.
        location: Location,
    },
    /// What comes back when a quick-reply button is tapped.
    Payload {
        /// The text that comes back.
        payload: String,
    },
    /// What a flow or catalogue button carries; handed to the provider as it is.
    Action {
        /// The provider's object.
        action: Value,
    },
    /// The code that a button copies.
    CouponCode {
        /// The code.
        #[serde(alias = "coupon_code")]
        coupon_code: String,
    },
    /// The end of an offer; handed to the provider as it is.
    LimitedTimeOffer {
        /// The provider's object.
        #[serde(alias = "limited_time_offer")]
        limited_time_offer: Value,
    },
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Currency {
    /// What is shown where the phone cannot format it.
    #[serde(alias = "fallback_value")]
    pub fallback_value: String,
    /// ISO 4217, for example `EUR`.
    pub code: String,
    /// The amount times 1000.
    #[serde(rename = "amount1000", alias = "amount_1000")]
    pub amount_1000: i64,
}

/// A time as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DateTime {
    /// What is shown.
    #[serde(alias = "fallback_value")]
    pub fallback_value: String,
}

fn language<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a language code, or an object with `code`")]
    enum Form {
        Plain(String),
        Object { code: String },
    }
    let (Form::Plain(code) | Form::Object { code }) = Form::deserialize(deserializer)?;
    Ok(code)
}

fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a small number")]
    enum Form {
        Number(u8),
        Text(String),
    }
    match Option::<Form>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Form::Number(index)) => Ok(Some(index)),
        Some(Form::Text(text)) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl Template {
    pub(crate) fn check(&self, checks: &mut Checks, at: &str) {
        checks.require(!self.name.trim().is_empty(), format!("{at}/name"), "must not be empty");
        checks.require(!self.language.trim().is_empty(), format!("{at}/language"), "must not be empty");
        for (n, component) in self.components.iter().enumerate() {
            let at = format!("{at}/components/{n}");
            let is_button = component.kind == ComponentKind::Button;
            let complete = component.sub_type.is_some() && component.index.is_some();
            checks.require(!is_button || complete, at.as_str(), "a button needs subType and index");
            for (m, parameter) in component.parameters.iter().enumerate() {
                parameter.check(checks, &format!("{at}/parameters/{m}"));
            }
        }
    }
}

impl Parameter {
    /// The name of the place it goes to, with named templates.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Parameter::Text { parameter_name, .. }
            | Parameter::Currency { parameter_name, .. }
            | Parameter::DateTime { parameter_name, .. } => parameter_name.as_deref(),
            _ => None,
        }
    }

    fn check(&self, checks: &mut Checks, at: &str) {
        match self {
            Parameter::Text { text, .. } => {
                checks.require(!text.trim().is_empty(), format!("{at}/text"), "must not be empty");
            }
            Parameter::Image { image } => image.check(ContentKind::Image, checks, &format!("{at}/image")),
            Parameter::Video { video } => video.check(ContentKind::Video, checks, &format!("{at}/video")),
            Parameter::Document { document } => {
                document.check(ContentKind::Document, checks, &format!("{at}/document"));
            }
            Parameter::Location { location } => location.check(checks, &format!("{at}/location")),
            _ => {}
        }
    }
}
