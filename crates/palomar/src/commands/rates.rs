//! `palomar rates`: what providers charge for a message, by which campaigns are priced.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::campaign_shown::items;
use super::{confirm, row};
use crate::cli::Context;
use crate::failure::Failure;

const PATH: &str = "/api/rates";
const COLUMNS: [&str; 6] = ["country", "category", "price", "currency", "validFrom", "channel"];

/// What can be done with the rate card.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the rate card.
    List,
    /// Read the rate card from a file, in place of the one that is there.
    Load {
        /// CSV with the columns country, category, price, currency, validFrom and channel (the last two may be missing), or
        /// JSON as `rates list --json` prints it.
        file: PathBuf,
        /// Keep what the file does not say.
        #[arg(long)]
        add: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Write one rate down. One for the same from the same moment on is replaced.
    Set {
        /// Two letters (ISO 3166), or `*` for all others.
        country: String,
        /// marketing, utility, authentication, service (what is no template), or `*` for all others.
        category: String,
        /// What a message costs.
        price: f64,
        /// In which currency (ISO 4217).
        currency: String,
        /// From when on: a day or a time (RFC 3339) [usual: always].
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Only of this channel [usual: all whose provider charges].
        #[arg(long)]
        channel: Option<String>,
    },
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let card = match verb {
        Verb::List => client.get(PATH, &[]).await?,
        Verb::Load { file, add, yes } => {
            let rates = json!({ "items": read(&file)? });
            if add {
                client.post(PATH, &[], &rates).await?
            } else {
                confirm(context, yes, "replace the whole rate card")?;
                client.put(PATH, &rates).await?
            }
        }
        Verb::Set { country, category, price, currency, from, channel } => {
            let rate = json!({
                "country": country, "category": category, "price": price, "currency": currency,
                "validFrom": from.as_deref().map(time), "channel": channel,
            });
            client.post(PATH, &[], &json!({ "items": [rate] })).await?
        }
    };
    let out = context.out;
    if out.json {
        return out.document(&card);
    }
    let rows: Vec<_> = items(&card).map(|rate| row(rate, &COLUMNS)).collect();
    out.table(&["country", "category", "price", "currency", "from", "channel"], &rows, "no rates");
    Ok(())
}

/// A time as the API reads it: a day begins at midnight, UTC.
fn time(text: &str) -> String {
    if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() }
}

fn read(file: &Path) -> Result<Vec<Value>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("can't read {}: {error}", file.display())))?;
    let text = text.trim_start_matches('\u{feff}');
    if !text.trim_start().starts_with(['{', '[']) {
        return from_csv(text).map_err(|error| Failure::wrong_use(format!("{}: {error}", file.display())));
    }
    let mut card: Value = serde_json::from_str(text)
        .map_err(|error| Failure::wrong_use(format!("{}: {error}", file.display())))?;
    let items = if card.is_array() { card.take() } else { card["items"].take() };
    match items {
        Value::Array(rates) => Ok(rates),
        _ => Err(Failure::wrong_use(format!("{} has no `items`", file.display()))),
    }
}

fn from_csv(text: &str) -> Result<Vec<Value>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let heads = reader.headers().map_err(|error| error.to_string())?.clone();
    for needed in &COLUMNS[..4] {
        if !heads.iter().any(|head| head == *needed) {
            return Err(format!("has no column `{needed}`"));
        }
    }
    if let Some(stranger) = heads.iter().find(|head| !COLUMNS.contains(head)) {
        return Err(format!("has a column `{stranger}`; there are {}", COLUMNS.join(", ")));
    }
    let rates = reader.records().map(|record| {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let said = heads.iter().zip(&record).filter(|(_, value)| !value.is_empty());
        let members = said.map(|(head, value)| {
            let value = match head {
                "price" => value
                    .parse::<f64>()
                    .map_err(|_| format!("line {line}: {value:?} is no price: write it as 0.0615"))?
                    .into(),
                "validFrom" => time(value).into(),
                _ => Value::from(value),
            };
            Ok((head.to_owned(), value))
        });
        Ok(Value::Object(members.collect::<Result<_, String>>()?))
    });
    rates.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_from_csv() {
        let card = "country,category,price,currency,validFrom,channel\nES,marketing,0.0615,EUR,2026-07-01,\n*,*,0.1,USD,,shop\n";
        assert_eq!(
            from_csv(card).expect("rates"),
            [
                json!({"country": "ES", "category": "marketing", "price": 0.0615, "currency": "EUR",
                    "validFrom": "2026-07-01T00:00:00Z"}),
                json!({"country": "*", "category": "*", "price": 0.1, "currency": "USD", "channel": "shop"}),
            ]
        );
        for (card, why) in [
            ("country,category,currency\n", "no column `price`"),
            ("country,category,price,currency,colour\n", "a column `colour`"),
            ("country,category,price,currency\nES,marketing,0;06,EUR\n", "line 2: \"0;06\" is no price"),
        ] {
            let error = from_csv(card).expect_err("refused");
            assert!(error.contains(why), "{error}");
        }
    }
}
