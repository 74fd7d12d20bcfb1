//! Counts again what is counted and measured of messages, from the journal and the messages themselves, and compares it
//! with what is stored (I12). How conversations are answered can't be counted again from there; of that it is checked that
//! the sums are those of their parts.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::Timestamp;
use palomar_model::analytics::{FailureReason, Metric, Page, Series, SeriesId, Stage, Tier, TimesPage};

use crate::error::Result;
use crate::measure::{Happened, in_flight};
use crate::store::Db;
use crate::tables::analytics::{counts, reasons, series, times, tracked};
use crate::tables::counters::day_start;
use crate::tables::journal::{self, Told};
use crate::tables::retained;
use crate::tally::{CountPages, Tally, TimesPages};

/// So many entries are read together.
const BATCH: usize = 5_000;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Recounted {
    pub(crate) problems: Vec<String>,
    pub(crate) compared: u64,
}

/// Compares what is stored of the days (UTC) from `from` on; up to `most` differences are told.
pub(crate) fn check(db: Db<'_>, from: i64, most: usize) -> Result<Recounted> {
    let mut tally = Tally::default();
    recount(db, &mut tally)?;
    tracked::recount(db, &mut tally)?;
    let names = Names { series: series::all(db)?.into_iter().collect(), reasons: reasons::all(db)? };
    let mut found = Recounted::default();
    counts_differ(db, from, &tally.count_pages(i64::MIN), &names, &mut found)?;
    times_differ(db, from, &tally.times_pages(), &names, &mut found)?;
    found.problems.truncate(most);
    Ok(found)
}

/// Goes through all messages that the journal speaks of.
fn recount(db: Db<'_>, tally: &mut Tally) -> Result<()> {
    let mut after = (String::new(), Timestamp::from_micros(i64::MIN), 0);
    let mut of_message: Vec<Told> = Vec::new();
    loop {
        let entries = journal::told(db, (&after.0, after.1, after.2), BATCH)?;
        let Some(last) = entries.last() else { break };
        after = (last.message.clone(), last.at, last.seq);
        for entry in entries {
            if of_message.first().is_some_and(|first| first.message != entry.message) {
                message(tally, std::mem::take(&mut of_message));
            }
            of_message.push(entry);
        }
    }
    message(tally, of_message);
    Ok(())
}

/// Counts what happened to a message.
fn message(tally: &mut Tally, mut entries: Vec<Told>) {
    entries.sort_by_key(|entry| entry.seq);
    let mut flying = None;
    for entry in &entries {
        let series = match entry.series {
            Some(id) => {
                tally.stored(SeriesId(id), &entry.channel, entry.campaign.as_deref().unwrap_or_default());
                SeriesId(id)
            }
            None => tally.open(&Series::of_channel(&entry.channel)),
        };
        let counted: Vec<&str> = entry.counted.split_whitespace().collect();
        let attempts = entry.detail["attempt"].as_u64().and_then(|number| u32::try_from(number).ok());
        let happened = Happened {
            kind: &entry.kind,
            at: entry.at,
            counted: &counted,
            due: entry.due,
            attempts: attempts.unwrap_or(0),
            in_flight: flying,
            sent_at: entry.sent_at,
            delivered_at: entry.delivered_at,
        };
        happened.metrics().for_each(|metric| tally.count(series, entry.at, metric));
        happened.times().for_each(|(stage, took)| tally.time(series, entry.at, stage, took));
        flying = in_flight(&entry.kind, entry.at, flying);
        if FailureReason::is_one(entry.measured) {
            tally.failed_as(series, entry.at, entry.measured);
        }
    }
}

/// What series and codes are called.
struct Names {
    series: BTreeMap<SeriesId, Series>,
    reasons: BTreeMap<u64, FailureReason>,
}

impl Names {
    fn series(&self, id: SeriesId) -> String {
        let Some(series) = self.series.get(&id) else { return format!("series {}", id.0) };
        let named = palomar_model::analytics::Dimension::ALL.into_iter().take(series.depth());
        let parts: Vec<_> = named
            .filter(|dimension| !series.part(*dimension).is_empty())
            .map(|dimension| format!("{dimension} {}", series.part(dimension)))
            .collect();
        if parts.is_empty() { format!("all (depth {})", series.depth()) } else { parts.join(", ") }
    }

    fn metric(&self, code: u64) -> String {
        let metric = Metric::ALL.into_iter().find(|metric| metric.code() == code);
        let reason =
            || self.reasons.get(&code).map(|reason| format!("failed ({} {})", reason.class, reason.code));
        metric.map(|metric| metric.to_string()).or_else(reason).unwrap_or_else(|| format!("metric {code}"))
    }
}

/// What the messages do not tell.
fn of_conversations(metric: u64) -> bool {
    [Metric::ConversationsNew, Metric::ConversationsAsked, Metric::ConversationsAnswered]
        .iter()
        .any(|of| of.code() == metric)
}

fn counts_differ(
    db: Db<'_>,
    from: i64,
    recounted: &CountPages,
    names: &Names,
    found: &mut Recounted,
) -> Result<()> {
    let from = day_start(from);
    for tier in counts::TIERS {
        let (first, _) = tier.place(from);
        let first = if tier == Tier::Minute { first.max(retained::whole_minutes(db)?) } else { first };
        let mut stored: BTreeMap<(SeriesId, i64), Page> = BTreeMap::new();
        let ids = names.series.keys().copied();
        counts::each(db, tier, ids, (first, i64::MAX), |series, number, bytes| {
            match Page::decode(bytes) {
                Ok(page) => drop(stored.insert((series, number), page)),
                Err(error) => {
                    let at = tier.start(number, 0);
                    found.problems.push(format!("the counts of {} at {at}: {error}", names.series(series)));
                }
            }
            Ok(())
        })?;
        if !matches!(tier, Tier::Minute) {
            sums_differ(tier, &stored, names, found);
        }
        let of_tier = recounted.iter().filter(|((of, _, number), _)| *of == tier && *number >= first);
        let expected: BTreeMap<_, _> =
            of_tier.map(|((_, series, number), page)| ((*series, *number), page)).collect();
        let keys: BTreeSet<_> = match tier {
            // Minutes are forgotten before the journal is: what is there must be right.
            Tier::Minute => stored.keys().collect(),
            _ => stored.keys().chain(expected.keys()).collect(),
        };
        for key in keys {
            let (mut is, mut must) = (BTreeMap::new(), BTreeMap::new());
            stored.get(key).into_iter().flat_map(Page::iter).for_each(|(slot, metric, count)| {
                is.insert((slot, metric), count);
            });
            expected.get(key).into_iter().flat_map(|page| page.iter()).for_each(|(slot, metric, count)| {
                must.insert((slot, metric), count);
            });
            let slots: BTreeSet<_> = is.keys().chain(must.keys()).copied().collect();
            for (slot, metric) in slots.into_iter().filter(|(_, metric)| !of_conversations(*metric)) {
                found.compared += 1;
                let [is, must] = [&is, &must].map(|counts| counts.get(&(slot, metric)).copied().unwrap_or(0));
                if is != must {
                    let (series, metric) = (names.series(key.0), names.metric(metric));
                    let at = tier.start(key.1, slot);
                    found
                        .problems
                        .push(format!("{metric} of {series} at {at} is {is}, the journal has {must}"));
                }
            }
        }
    }
    Ok(())
}

/// Where a count of conversations is not the sum of those that it is made of.
fn sums_differ(tier: Tier, stored: &BTreeMap<(SeriesId, i64), Page>, names: &Names, found: &mut Recounted) {
    let [sums @ .., whole] = Series::DEPTHS;
    let (mut is, mut must) = (BTreeMap::new(), BTreeMap::new());
    for ((id, number), page) in stored {
        let Some(series) = names.series.get(id) else { continue };
        for (slot, metric, count) in page.iter().filter(|(_, metric, _)| of_conversations(*metric)) {
            if series.depth() != whole {
                *is.entry((*id, *number, slot, metric)).or_insert(0) += count;
                continue;
            }
            for depth in sums {
                let sum = series::id(&series.at(depth));
                *must.entry((sum, *number, slot, metric)).or_insert(0) += count;
            }
        }
    }
    let keys: BTreeSet<_> = is.keys().chain(must.keys()).copied().collect();
    for key in keys {
        found.compared += 1;
        let [is, must] = [&is, &must].map(|counts| counts.get(&key).copied().unwrap_or(0_u64));
        if is != must {
            let (id, number, slot, metric) = key;
            let (series, metric, at) = (names.series(id), names.metric(metric), tier.start(number, slot));
            found.problems.push(format!("{metric} of {series} at {at} is {is}, its parts add up to {must}"));
        }
    }
}

fn times_differ(
    db: Db<'_>,
    from: i64,
    recounted: &TimesPages,
    names: &Names,
    found: &mut Recounted,
) -> Result<()> {
    let from = day_start(from);
    let stages =
        Stage::ALL.into_iter().filter(|stage| !matches!(stage, Stage::FirstResponse | Stage::Response));
    for (tier, stage) in stages.flat_map(|stage| times::TIERS.map(|tier| (tier, stage))) {
        let (first, _) = tier.place(from);
        let mut stored: BTreeMap<(SeriesId, i64), TimesPage> = BTreeMap::new();
        let ids = names.series.keys().copied();
        times::each(db, (tier, stage), ids, (first, i64::MAX), |series, number, page| {
            stored.insert((series, number), page);
        })?;
        let mine = |key: &&times::Key| key.0 == tier && key.2 == stage && key.3 >= first;
        let expected: BTreeMap<_, _> = recounted
            .keys()
            .filter(mine)
            .filter_map(|key| Some(((key.1, key.3), recounted.get(key)?)))
            .collect();
        let keys: BTreeSet<_> = stored.keys().chain(expected.keys()).collect();
        for key in keys {
            found.compared += 1;
            if stored.get(key) != expected.get(key).copied() {
                let at = tier.start(key.1, 0);
                let count = |page: Option<&TimesPage>| {
                    page.into_iter().flat_map(TimesPage::iter).map(|(_, times)| times.count()).sum::<u64>()
                };
                let (is, must) = (count(stored.get(key)), count(expected.get(key).copied()));
                let series = names.series(key.0);
                found.problems.push(format!(
                    "{stage} of {series} from {at} on: {is} are stored that do not add up to the {must} of the journal"
                ));
            }
        }
    }
    Ok(())
}
