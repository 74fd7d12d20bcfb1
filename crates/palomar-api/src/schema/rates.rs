//! The rate card and what follows from it, as the document shows them.

use utoipa::ToSchema;

/// The rate card.
#[derive(ToSchema)]
#[schema(example = json!({"items": [{"country": "ES", "category": "marketing", "price": 0.0615, "currency": "EUR"},
    {"country": "*", "category": "service", "price": 0, "currency": "EUR"}]}))]
pub(crate) struct Rates {
    items: Vec<Rate>,
}

/// What a message costs that is delivered. The rate that says most holds: of its channel before others, of its country
/// before `*`, of its category before `*`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Rate {
    /// Only of this channel; of all whose provider charges (`cloud_api`, `twilio`) where left out.
    #[schema(required = false)]
    channel: Option<String>,
    /// Two letters (ISO 3166), or `*`.
    country: String,
    /// `marketing`, `utility`, `authentication`, `service` (what is no template), another word, or `*`.
    category: String,
    /// With six digits behind the point at most.
    price: f64,
    /// Three letters (ISO 4217).
    currency: String,
    /// The beginning of a quarter of an hour; always where left out.
    #[schema(required = false)]
    valid_from: Option<String>,
}

/// What messages cost.
#[derive(ToSchema)]
pub(crate) struct Cost {
    /// A currency after another: they are never added up.
    total: Vec<Amount>,
    /// Messages that no rate is for.
    unpriced: u64,
    lines: Vec<CostLine>,
}

/// An amount of money.
#[derive(ToSchema)]
pub(crate) struct Amount {
    currency: String,
    amount: f64,
}

/// Messages of one category to one country.
#[derive(ToSchema)]
pub(crate) struct CostLine {
    /// Null where a number does not tell.
    country: Option<String>,
    /// `unknown` for a template that was not pulled.
    category: String,
    messages: u64,
    /// Null where no rate is for them.
    price: Option<f64>,
    currency: Option<String>,
    amount: Option<f64>,
}
