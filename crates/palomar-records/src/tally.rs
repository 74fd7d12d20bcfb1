//! Counts and times of many events, gathered in memory before they are written: a row a page, not a row an event.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use palomar_model::Timestamp;
use palomar_model::analytics::{
    FailureReason, Histogram, Metric, Page, Series, SeriesId, Stage, Tier, TimesPage,
};

use crate::error::Result;
use crate::store::{Db, Write};
use crate::tables::analytics::{counts, reasons, series, times};
use crate::tables::retained;

/// What is gathered.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// The series of all that was counted, with the sums that they are part of.
    lines: HashMap<SeriesId, [SeriesId; 4]>,
    /// Series that may be new.
    series: BTreeMap<SeriesId, Series>,
    reasons: BTreeMap<u64, FailureReason>,
    /// By series and minute.
    counts: BTreeMap<(SeriesId, i64), Vec<(u64, u64)>>,
    /// By series, stage and quarter of an hour.
    times: BTreeMap<(SeriesId, Stage, i64), Histogram>,
}

/// Whose events were gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Those of messages in the records: they stay, and so does what they are counted in.
    Messages,
    /// Those that are told of messages of others.
    Told,
}

/// Counts by page.
pub(crate) type CountPages = BTreeMap<counts::Key, Page>;
/// Times by page.
pub(crate) type TimesPages = BTreeMap<times::Key, TimesPage>;

impl Tally {
    /// Makes a series known that may be new; what it is stored under.
    pub(crate) fn open(&mut self, full: &Series) -> SeriesId {
        let id = series::id(full);
        if !self.lines.contains_key(&id) {
            let line = Series::DEPTHS.map(|depth| {
                let one = full.at(depth);
                let id = series::id(&one);
                self.series.insert(id, one);
                id
            });
            self.lines.insert(id, line);
        }
        id
    }

    /// Names the sums that a stored series is part of.
    pub(crate) fn stored(&mut self, id: SeriesId, channel: &str, campaign: &str) {
        self.lines.entry(id).or_insert_with(|| {
            let full = Series::full([channel, campaign, "", "", "", ""]);
            let [all, of_channel, of_campaign, _] = Series::DEPTHS;
            let [all, of_channel, of_campaign] =
                [all, of_channel, of_campaign].map(|depth| series::id(&full.at(depth)));
            [all, of_channel, of_campaign, id]
        });
    }

    /// Counts something once more.
    pub(crate) fn count(&mut self, series: SeriesId, at: Timestamp, metric: Metric) {
        self.raise(series, at, metric.code());
    }

    /// Counts why a message failed; the code of the reason.
    pub(crate) fn failed(&mut self, series: SeriesId, at: Timestamp, reason: FailureReason) -> u64 {
        let code = reasons::code(&reason);
        self.reasons.insert(code, reason);
        self.raise(series, at, code);
        code
    }

    /// The same, where the reason is known by its code.
    pub(crate) fn failed_as(&mut self, series: SeriesId, at: Timestamp, code: u64) {
        self.raise(series, at, code);
    }

    fn raise(&mut self, series: SeriesId, at: Timestamp, metric: u64) {
        let minute = at.micros().div_euclid(Tier::Minute.slot_micros());
        let counts = self.counts.entry((series, minute)).or_default();
        match counts.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, count)) => *count += 1,
            None => counts.push((metric, 1)),
        }
    }

    /// Adds how long something took.
    pub(crate) fn time(&mut self, series: SeriesId, at: Timestamp, stage: Stage, took: Duration) {
        let quarter = at.micros().div_euclid(Tier::QuarterHourly.slot_micros());
        self.times.entry((series, stage, quarter)).or_default().add(took);
    }

    /// The series that a series is part of, itself at the end.
    fn line(&self, series: SeriesId) -> impl Iterator<Item = SeriesId> {
        self.lines.get(&series).into_iter().flatten().copied()
    }

    /// The pages of counts, those of minutes from one on.
    pub(crate) fn count_pages(&self, minutes_from: i64) -> CountPages {
        let mut pages = CountPages::new();
        for ((series, minute), counted) in &self.counts {
            let at = Timestamp::from_micros(minute * Tier::Minute.slot_micros());
            for tier in counts::TIERS {
                let (number, slot) = tier.place(at);
                if tier == Tier::Minute && number < minutes_from {
                    continue;
                }
                for series in self.line(*series) {
                    let page = pages.entry((tier, series, number)).or_default();
                    counted.iter().for_each(|(metric, by)| page.add(slot, *metric, *by));
                }
            }
        }
        pages
    }

    /// The pages of times.
    pub(crate) fn times_pages(&self) -> TimesPages {
        let mut pages = TimesPages::new();
        for ((series, stage, quarter), histogram) in &self.times {
            let at = Timestamp::from_micros(quarter * Tier::QuarterHourly.slot_micros());
            for tier in times::TIERS {
                let (number, slot) = tier.place(at);
                for series in self.line(*series) {
                    pages.entry((tier, series, *stage, number)).or_default().slot(slot).merge(histogram);
                }
            }
        }
        pages
    }

    /// What adds all of it to what is stored.
    pub(crate) fn writes(&self, db: Db<'_>, origin: Origin) -> Result<Vec<Write>> {
        // Minutes that were forgotten already would only be forgotten again.
        let minutes_from = match origin {
            Origin::Messages => i64::MIN,
            Origin::Told => retained::whole_minutes(db)?,
        };
        Ok(vec![
            series::add(self.series.iter(), origin == Origin::Messages),
            reasons::add(self.reasons.iter()),
            counts::add(db, self.count_pages(minutes_from))?,
            times::add(db, self.times_pages())?,
        ])
    }
}
