//! Messages that people answer by tapping.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::Media;
use crate::ContentKind;
use crate::field::Checks;

/// A message with buttons, a list, a link or a form: `{type, header?, body, footer?, action}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interactive {
    /// What stands above the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// The words; most kinds need them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Words>,
    /// Small print below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<Words>,
    /// What can be tapped.
    #[serde(flatten)]
    pub action: InteractiveAction,
}

/// A text that may be given as `"text"` or as `{"text": "text"}`; written as the former.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Words {
    /// The text.
    pub text: String,
}

/// What stands above the body of an [`Interactive`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Header {
    /// Words.
    Text {
        /// The words.
        text: String,
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
}

/// What can be tapped, by `type`, with its parameters in `action`.
///
/// The last six are handed to the provider as they are: they exist at one provider, or in some countries only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "action", rename_all = "snake_case")]
pub enum InteractiveAction {
    /// One to three answers as buttons.
    Button(ButtonAction),
    /// A menu that opens.
    List(ListAction),
    /// A button that opens a web page.
    CtaUrl(CtaUrlAction),
    /// A button that opens a form.
    Flow(FlowAction),
    /// Asks for the place where the person is.
    LocationRequestMessage,
    /// Asks a person without a visible phone number for it.
    RequestContactInfo,
    /// Asks whether the business may call.
    CallPermissionRequest,
    /// Asks for a postal address.
    AddressMessage(Map<String, Value>),
    /// One product.
    Product(Map<String, Value>),
    /// Several products.
    ProductList(Map<String, Value>),
    /// The catalogue.
    CatalogMessage(Map<String, Value>),
    /// An order to pay.
    OrderDetails(Map<String, Value>),
    /// News of an order.
    OrderStatus(Map<String, Value>),
}

/// One to three answers as buttons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ButtonAction {
    /// The buttons.
    pub buttons: Vec<Button>,
}

/// A button that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// What comes back when it is tapped.
    pub id: String,
    /// What stands on it.
    pub title: String,
}

/// A menu that opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListAction {
    /// What stands on the button that opens it.
    pub button: String,
    /// Its sections.
    pub sections: Vec<Section>,
}

/// A part of a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its heading; needed when there is more than one section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What can be chosen.
    pub rows: Vec<Row>,
}

/// A choice in a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What comes back when it is chosen.
    pub id: String,
    /// Its name.
    pub title: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A button that opens a web page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CtaUrlAction {
    /// What stands on it.
    #[serde(alias = "display_text")]
    pub display_text: String,
    /// What it opens.
    pub url: String,
}

/// A button that opens a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowAction {
    /// The form, by id …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// … or by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_name: Option<String>,
    /// What stands on the button.
    pub flow_cta: String,
    /// Comes back with the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_token: Option<String>,
    /// Whether a draft of the form is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FlowMode>,
    /// `navigate` or `data_exchange`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_action: Option<String>,
    /// The first screen and its data, `{screen, data?}`; with `navigate` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_action_payload: Option<Map<String, Value>>,
    /// The version of flow messages; `3` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_message_version: Option<String>,
}

/// Which state of a form is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowMode {
    /// The draft, for tests.
    Draft,
    /// What is published.
    Published,
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a text, or an object with `text`")]
        enum Form {
            Plain(String),
            Object { text: String },
        }
        let (Form::Plain(text) | Form::Object { text }) = Form::deserialize(deserializer)?;
        Ok(Words { text })
    }
}

impl From<&str> for Words {
    fn from(text: &str) -> Words {
        Words { text: text.to_owned() }
    }
}

impl InteractiveAction {
    /// The word for its kind, as in the JSON key `type`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            InteractiveAction::Button(_) => "button",
            InteractiveAction::List(_) => "list",
            InteractiveAction::CtaUrl(_) => "cta_url",
            InteractiveAction::Flow(_) => "flow",
            InteractiveAction::LocationRequestMessage => "location_request_message",
            InteractiveAction::RequestContactInfo => "request_contact_info",
            InteractiveAction::CallPermissionRequest => "call_permission_request",
            InteractiveAction::AddressMessage(_) => "address_message",
            InteractiveAction::Product(_) => "product",
            InteractiveAction::ProductList(_) => "product_list",
            InteractiveAction::CatalogMessage(_) => "catalog_message",
            InteractiveAction::OrderDetails(_) => "order_details",
            InteractiveAction::OrderStatus(_) => "order_status",
        }
    }
}

impl Header {
    /// The media in it, with its type.
    #[must_use]
    pub const fn media(&self) -> Option<(ContentKind, &Media)> {
        match self {
            Header::Text { .. } => None,
            Header::Image { image } => Some((ContentKind::Image, image)),
            Header::Video { video } => Some((ContentKind::Video, video)),
            Header::Document { document } => Some((ContentKind::Document, document)),
        }
    }
}

impl Interactive {
    pub(crate) fn check(&self, checks: &mut Checks) {
        // One product alone, and a request for contact data, speak for themselves.
        let silent =
            matches!(self.action, InteractiveAction::Product(_) | InteractiveAction::RequestContactInfo);
        let body = self.body.as_ref().is_some_and(|body| !body.text.trim().is_empty());
        checks.require(body || (silent && self.body.is_none()), "/content/body", "must not be empty");
        if let Some((kind, media)) = self.header.as_ref().and_then(Header::media) {
            media.check(kind, checks, &format!("/content/header/{kind}"));
        }
        match &self.action {
            InteractiveAction::Button(action) => {
                checks.require(
                    !action.buttons.is_empty(),
                    "/content/action/buttons",
                    "must have at least one button",
                );
            }
            InteractiveAction::List(action) => {
                let rows = action.sections.iter().map(|section| section.rows.len()).sum::<usize>();
                checks.require(rows > 0, "/content/action/sections", "must have at least one row");
            }
            InteractiveAction::CtaUrl(action) => {
                let address = super::media::is_web_address(&action.url);
                checks.require(address, "/content/action/url", "must be an http(s) URL");
            }
            InteractiveAction::Flow(action) => {
                let one = action.flow_id.is_some() != action.flow_name.is_some();
                checks.require(one, "/content/action", "needs one of flowId and flowName");
            }
            _ => {}
        }
    }
}
