//! What messages cost, by what people wrote down. Functions of values.
//!
//! Always: amounts are whole millionths of a currency, and of different currencies they are never added up; a message that
//! no rate is for is counted as such and not as free.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::Timestamp;
use palomar_records::Rate;
use serde::Serialize;

/// What stands for every country, and for every category.
pub(super) const ANY: &str = "*";

/// A message that costs something, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Charged<'a> {
    /// Its channel.
    pub(crate) channel: &'a str,
    /// Whether the provider of the channel charges: rates that name no channel are for those.
    pub(crate) by_provider: bool,
    /// The country that it goes to; empty where that is not known.
    pub(crate) country: &'a str,
    /// Its category.
    pub(crate) category: &'a str,
}

/// All rates.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateCard(Vec<Rate>);

/// What some messages cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// What all of them cost, a currency after another.
    pub total: Vec<Amount>,
    /// Messages that no rate is for: what they cost is not known.
    pub unpriced: u64,
    /// By country and category.
    pub lines: Vec<CostLine>,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Amount {
    /// The currency (ISO 4217).
    pub currency: String,
    /// How much.
    pub amount: f64,
}

/// Messages of one kind to one country.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostLine {
    /// The country; none where a number does not tell.
    pub country: Option<String>,
    /// `marketing`, `utility`, `authentication`, `service`, or `unknown` for a template of which nothing is known.
    pub category: String,
    /// How many.
    pub messages: u64,
    /// What one costs; none where no rate is for them.
    pub price: Option<f64>,
    /// In which currency.
    pub currency: Option<String>,
    /// What they cost together.
    pub amount: Option<f64>,
}

/// Messages of one kind, country and rate.
type LineKey = (String, String, Option<(String, i64)>);

/// What messages cost, while they are counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill(BTreeMap<LineKey, u64>);

impl RateCard {
    pub(crate) const fn new(rates: Vec<Rate>) -> RateCard {
        RateCard(rates)
    }

    /// The rate for a message that is delivered at a time: that of its channel before others, of its country before `*`, of
    /// its category before `*`; of those for the same, the last that is valid.
    fn rate(&self, message: Charged<'_>, at: Timestamp) -> Option<&Rate> {
        let fits = |said: &str, real: &str| said == real || said == ANY;
        let meant = self.0.iter().filter(|rate| {
            let channel =
                rate.channel.as_ref().map_or(message.by_provider, |own| own.as_str() == message.channel);
            channel
                && fits(&rate.country, message.country)
                && fits(&rate.category, message.category)
                && rate.valid_from <= at
        });
        meant.max_by_key(|rate| {
            (rate.channel.is_some(), rate.country != ANY, rate.category != ANY, rate.valid_from)
        })
    }

    /// The moments between these two at which a price changes, and these two.
    pub(crate) fn edges(&self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let within = self.0.iter().map(|rate| rate.valid_from).filter(|at| from < *at && *at < to);
        within.chain([from, to]).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Bill {
    /// Counts messages that were, or would be, delivered at a time.
    pub(crate) fn add(&mut self, card: &RateCard, message: Charged<'_>, at: Timestamp, count: u64) {
        if count == 0 {
            return;
        }
        let rate = card.rate(message, at).map(|rate| (rate.currency.clone(), rate.price));
        let key = (message.country.to_owned(), message.category.to_owned(), rate);
        *self.0.entry(key).or_default() += count;
    }

    /// What they cost by currency, in millionths; and messages that no rate is for.
    fn sums(&self) -> (BTreeMap<String, i128>, u64) {
        let (mut sums, mut unpriced) = (BTreeMap::new(), 0);
        for ((_, _, rate), count) in &self.0 {
            match rate {
                Some((currency, price)) => {
                    *sums.entry(currency.clone()).or_default() += i128::from(*price) * i128::from(*count);
                }
                None => unpriced += count,
            }
        }
        (sums, unpriced)
    }

    /// As it is shown.
    pub(crate) fn cost(&self) -> Cost {
        let (sums, unpriced) = self.sums();
        let lines = self.0.iter().map(|((country, category, rate), count)| CostLine {
            country: Some(country.clone()).filter(|country| !country.is_empty()),
            category: category.clone(),
            messages: *count,
            price: rate.as_ref().map(|(_, price)| shown(i128::from(*price))),
            currency: rate.as_ref().map(|(currency, _)| currency.clone()),
            amount: rate.as_ref().map(|(_, price)| shown(i128::from(*price) * i128::from(*count))),
        });
        let lines = lines.collect();
        let total = sums.into_iter().map(|(currency, sum)| Amount { currency, amount: shown(sum) });
        Cost { total: total.collect(), unpriced, lines }
    }

    /// What came back for each unit that was spent, less the unit: 0.5 is half as much again. None where that can't be said:
    /// nothing was spent, not all that was is known, or it was spent and earned in several currencies.
    pub(crate) fn roi(&self, revenue: &BTreeMap<String, i128>) -> Option<f64> {
        let (sums, unpriced) = self.sums();
        let mut spent = sums.iter().filter(|(_, sum)| **sum != 0);
        let (currency, cost) = spent.next()?;
        let others = revenue.iter().any(|(other, value)| other != currency && *value != 0);
        if unpriced > 0 || spent.next().is_some() || others {
            return None;
        }
        let earned = revenue.get(currency).copied().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a ratio, shown to four digits")]
        let share = (earned - cost) as f64 / *cost as f64;
        Some((share * 10_000.0).round() / 10_000.0)
    }
}

/// Millionths as an amount.
#[expect(clippy::cast_precision_loss, reason = "an amount as it is shown")]
pub(super) fn shown(millionths: i128) -> f64 {
    millionths as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const JULY: &str = "2026-07-01T00:00:00Z";
    const JANUARY: &str = "2026-01-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn rate(channel: &str, country: &str, category: &str, from: &str, price: i64, currency: &str) -> Rate {
        Rate {
            channel: (!channel.is_empty()).then(|| channel.parse().expect("a name")),
            country: country.to_owned(),
            category: category.to_owned(),
            valid_from: at(from),
            price,
            currency: currency.to_owned(),
        }
    }

    fn card() -> RateCard {
        RateCard::new(vec![
            rate("", "*", "marketing", JANUARY, 100_000, "USD"),
            rate("", "ES", "marketing", JANUARY, 61_500, "EUR"),
            rate("", "ES", "marketing", JULY, 70_000, "EUR"),
            rate("", "*", "service", JANUARY, 0, "EUR"),
            rate("shop", "*", "*", JANUARY, 1, "EUR"),
        ])
    }

    const fn to<'a>(channel: &'a str, country: &'a str, category: &'a str) -> Charged<'a> {
        Charged { channel, by_provider: true, country, category }
    }

    #[test]
    fn the_rate_that_says_most_holds() {
        let card = card();
        for (message, when, expected) in [
            (to("main", "ES", "marketing"), JANUARY, Some(61_500)),
            (to("main", "ES", "marketing"), "2026-06-30T23:59:59Z", Some(61_500)),
            (to("main", "ES", "marketing"), JULY, Some(70_000)),
            (to("main", "FR", "marketing"), JULY, Some(100_000)),
            (to("main", "", "marketing"), JULY, Some(100_000)),
            (to("main", "ES", "marketing"), "2025-12-31T23:59:59Z", None),
            (to("main", "ES", "utility"), JULY, None),
            (to("shop", "ES", "marketing"), JULY, Some(1)),
            // A browser session: nobody charges, unless a rate names the channel.
            (Charged { by_provider: false, ..to("main", "ES", "marketing") }, JULY, None),
            (Charged { by_provider: false, ..to("shop", "ES", "marketing") }, JULY, Some(1)),
        ] {
            let found = card.rate(message, at(when)).map(|rate| rate.price);
            assert_eq!(found, expected, "{message:?} at {when}");
        }
        assert_eq!(card.edges(at(JANUARY), at("2026-12-31T00:00:00Z")).len(), 3);
        assert_eq!(card.edges(at(JULY), at("2026-12-31T00:00:00Z")).len(), 2);
    }

    #[test]
    fn currencies_are_never_added_up() {
        let card = card();
        let mut bill = Bill::default();
        bill.add(&card, to("main", "ES", "marketing"), at(JANUARY), 1_000);
        bill.add(&card, to("main", "ES", "service"), at(JANUARY), 7);
        let earned = |euros: i128| BTreeMap::from([("EUR".to_owned(), euros * 1_000_000)]);
        assert_eq!(bill.roi(&earned(123)), Some(1.0));
        assert_eq!(bill.roi(&BTreeMap::new()), Some(-1.0));
        assert_eq!(bill.cost().total, [Amount { currency: "EUR".to_owned(), amount: 61.5 }]);
        let dollars = BTreeMap::from([("USD".to_owned(), 1)]);
        assert_eq!(bill.roi(&dollars), None, "earned in another currency");
        let mut both = bill.clone();
        both.add(&card, to("main", "FR", "marketing"), at(JANUARY), 10);
        let cost = both.cost();
        assert_eq!((cost.total.len(), cost.lines.len(), cost.unpriced), (2, 3, 0));
        assert_eq!(both.roi(&earned(123)), None, "spent in several");
        bill.add(&card, to("main", "ES", "utility"), at(JANUARY), 3);
        assert_eq!((bill.cost().unpriced, bill.roi(&earned(123))), (3, None), "not all is known");
        assert_eq!(Bill::default().roi(&earned(1)), None, "nothing was spent");
    }
}
