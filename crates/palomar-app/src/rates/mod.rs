//! The rate card: what providers charge for a message, as people write it down, and what campaigns cost by it.
//!
//! Always: a message is charged when it is delivered, at the rate of that moment.

mod card;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use palomar_model::analytics::Dimension;
use palomar_model::{ChannelName, FieldError, Timestamp};
use palomar_records::{Delivered, ProviderTemplate, Rate};
use serde::{Deserialize, Serialize};

use crate::{App, AppError, Caller};

pub use card::{Amount, Cost, CostLine};
pub(crate) use card::{Bill, Charged, RateCard};

use card::{ANY, shown};

/// Rates that a card has.
const MOST_RATES: usize = 20_000;
/// A price is kept in millionths; larger ones are a mistake.
const MOST_PRICE: f64 = 1e6;
/// What messages are called that are no template.
pub(crate) const SERVICE: &str = "service";
/// What templates are called of which nothing is known.
const UNKNOWN: &str = "unknown";
/// Prices change at quarters of an hour, which is what counts are cut at.
const QUARTER: Duration = Duration::from_secs(900);

/// A rate as it is written and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateView {
    /// Only of this channel; of all whose provider charges (`cloud_api`, `twilio`) where left out.
    #[serde(default)]
    pub channel: Option<ChannelName>,
    /// Two letters (ISO 3166), or `*` for all others.
    pub country: String,
    /// `marketing`, `utility`, `authentication`, `service` (what is no template), another word, or `*` for all others.
    pub category: String,
    /// What a message costs.
    pub price: f64,
    /// In which currency: three letters (ISO 4217).
    pub currency: String,
    /// From when on; always where left out.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
}

impl From<Rate> for RateView {
    fn from(rate: Rate) -> RateView {
        RateView {
            channel: rate.channel,
            country: rate.country,
            category: rate.category,
            price: shown(i128::from(rate.price)),
            currency: rate.currency,
            valid_from: Some(rate.valid_from).filter(|from| *from != Timestamp::EPOCH),
        }
    }
}

impl RateView {
    fn read(self, n: usize, errors: &mut Vec<FieldError>) -> Rate {
        let mut wrong =
            |member: &str, detail: &str| errors.push(FieldError::new(format!("/items/{n}/{member}"), detail));
        let letters =
            |text: &str, many: usize| text.len() == many && text.bytes().all(|c| c.is_ascii_alphabetic());
        if self.country != ANY && !letters(&self.country, 2) {
            wrong("country", "must be two letters (ISO 3166), or *");
        }
        let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        let category = self.category.to_ascii_lowercase();
        if category != ANY && !((1..=40).contains(&category.len()) && category.bytes().all(word)) {
            wrong("category", "must be marketing, utility, authentication, service, another word, or *");
        }
        if !letters(&self.currency, 3) {
            wrong("currency", "must be three letters (ISO 4217)");
        }
        let millionths = self.price * 1e6;
        if !(0.0..=MOST_PRICE).contains(&self.price) || (millionths - millionths.round()).abs() > 1e-3 {
            wrong("price", "must be from 0 to 1,000,000, with six digits behind the point at most");
        }
        let valid_from = self.valid_from.unwrap_or(Timestamp::EPOCH);
        if u128::from(valid_from.micros().unsigned_abs()) % QUARTER.as_micros() != 0 {
            wrong("validFrom", "must be the beginning of a quarter of an hour");
        }
        Rate {
            channel: self.channel,
            country: self.country.to_ascii_uppercase(),
            category,
            valid_from,
            price: millionths.round() as i64,
            currency: self.currency.to_ascii_uppercase(),
        }
    }
}

/// What templates are, as their providers last told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Categories(HashMap<(String, String), String>);

impl Categories {
    fn of(templates: Vec<ProviderTemplate>) -> Categories {
        // Of a name in several languages, which are one category with providers.
        let named = templates
            .into_iter()
            .map(|one| ((one.channel.as_str().to_owned(), one.name), one.category.to_ascii_lowercase()));
        Categories(named.filter(|(_, category)| !category.is_empty()).collect())
    }

    /// The category of a template of a channel; of what is none, where the name is empty.
    pub(crate) fn category(&self, channel: &str, template: &str) -> &str {
        if template.is_empty() {
            return SERVICE;
        }
        let key = (channel.to_owned(), template.to_owned());
        self.0.get(&key).map_or(UNKNOWN, String::as_str)
    }
}

/// What is needed to say what messages cost.
pub(crate) struct Pricing {
    pub(crate) card: RateCard,
    pub(crate) categories: Categories,
    /// Channels whose provider charges.
    charging: BTreeSet<String>,
}

impl Pricing {
    /// A message of a channel to a country; `template` is empty where it is none.
    pub(crate) fn charged<'a>(&'a self, channel: &'a str, country: &'a str, template: &str) -> Charged<'a> {
        let category = self.categories.category(channel, template);
        Charged { channel, by_provider: self.charging.contains(channel), country, category }
    }

    /// What was delivered between moments costs this. Free text of a campaign counts as the template that may have gone in
    /// its place, where there is one: which of the two went is not kept.
    pub(crate) fn bill(
        &self,
        delivered: &Delivered,
        edges: &[Timestamp],
        fallback: impl Fn(&str) -> Option<String>,
    ) -> BTreeMap<String, Bill> {
        let mut bills: BTreeMap<String, Bill> = BTreeMap::new();
        for (series, counts) in delivered {
            let campaign = series.part(Dimension::Campaign);
            let own = series.part(Dimension::Template);
            let instead = own.is_empty().then(|| fallback(campaign)).flatten();
            let (channel, country) = (series.part(Dimension::Channel), series.part(Dimension::Country));
            let message = self.charged(channel, country, instead.as_deref().unwrap_or(own));
            let bill = bills.entry(campaign.to_owned()).or_default();
            for (at, count) in edges.iter().zip(counts) {
                bill.add(&self.card, message, *at, *count);
            }
        }
        bills
    }
}

impl App {
    /// The rate card, as far as it is about channels that the caller may use.
    ///
    /// # Errors
    /// Where records can't be read.
    pub async fn rates(&self, caller: &Caller) -> Result<Vec<RateView>, AppError> {
        let mut rates = self.records.rates().await?;
        rates.retain(|rate| rate.channel.as_ref().is_none_or(|channel| caller.may_use(channel)));
        Ok(rates.into_iter().map(RateView::from).collect())
    }

    /// Writes rates down: in place of the whole card, or beside what is on it; then of two for the same from the same moment
    /// on the new one stands. The card as it is then.
    ///
    /// # Errors
    /// Each rate that is none, with its place.
    pub async fn put_rates(
        &self,
        rates: Vec<RateView>,
        replace: bool,
        caller: &Caller,
    ) -> Result<Vec<RateView>, AppError> {
        if rates.len() > MOST_RATES {
            return Err(AppError::invalid("/items", format!("may be {MOST_RATES} at most")));
        }
        let (mut errors, mut seen) = (Vec::new(), BTreeSet::new());
        let mut read = Vec::with_capacity(rates.len());
        for (n, rate) in rates.into_iter().enumerate() {
            let rate = rate.read(n, &mut errors);
            let key = (rate.channel.clone(), rate.country.clone(), rate.category.clone(), rate.valid_from);
            if !seen.insert(key) {
                errors.push(FieldError::new(format!("/items/{n}"), "is there twice"));
            }
            read.push(rate);
        }
        if !errors.is_empty() {
            return Err(AppError::Invalid(errors));
        }
        self.records.put_rates(read, replace).await?;
        self.rates(caller).await
    }

    /// What is needed to say what messages cost.
    pub(crate) async fn pricing(&self) -> Result<Pricing, AppError> {
        let known = self.registry.known();
        let charging = known.iter().filter(|channel| channel.provider.has_windows());
        Ok(Pricing {
            card: RateCard::new(self.records.rates().await?),
            categories: Categories::of(self.records.templates(None, None).await?),
            charging: charging.map(|channel| channel.name.as_str().to_owned()).collect(),
        })
    }
}
