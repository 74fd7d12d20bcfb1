//! What providers charge, and for which messages of campaigns they did.

use std::collections::BTreeMap;

use palomar_model::Timestamp;
use palomar_model::analytics::{Metric, Series, SeriesId, Tier};

use crate::error::Result;
use crate::store::Db;
use crate::tables::analytics::{counts, series};
use crate::tables::{messages, rates};
use crate::{AnalyticsQuery, Records};

pub use crate::tables::rates::Rate;

/// How many messages of a kind were delivered between each moment and the next.
pub type Delivered = Vec<(Series, Vec<u64>)>;

impl Records {
    /// All rates.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn rates(&self) -> Result<Vec<Rate>> {
        self.read(rates::all).await
    }

    /// Keeps rates, in place of all others, or beside them. No two are for the same from the same moment on.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn put_rates(&self, new: Vec<Rate>, replace: bool) -> Result<()> {
        let work = move |db: Db<'_>| {
            if replace {
                rates::clear(db)?;
            }
            rates::put(db, &new)
        };
        self.write(work).await
    }

    /// Messages of one campaign that were delivered between each of these moments and the next, by all that tells them
    /// apart: counted one by one, as long as they are kept.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn campaign_delivered(
        &self,
        id: &str,
        number: u64,
        edges: Vec<Timestamp>,
    ) -> Result<Delivered> {
        let id = id.to_owned();
        let work = move |db: Db<'_>| {
            let mut found: BTreeMap<Option<i64>, Vec<u64>> = BTreeMap::new();
            for (place, stretch) in edges.windows(2).enumerate() {
                for (of, count) in messages::delivered(db, &id, number, (stretch[0], stretch[1]))? {
                    let counts = found.entry(of).or_insert_with(|| vec![0; edges.len() - 1]);
                    counts[place] += count;
                }
            }
            let known: BTreeMap<_, _> = series::of_depth(db, 6)?.into_iter().collect();
            let named = |id: Option<i64>| id.and_then(|id| known.get(&SeriesId(id)).cloned());
            let unknown = || Series::full([""; 6]);
            Ok(found.into_iter().map(|(id, counts)| (named(id).unwrap_or_else(unknown), counts)).collect())
        };
        self.read(work).await
    }

    /// Messages that were delivered between each of these edges and the next, by all that tells them apart. The edges must
    /// begin quarters of an hour.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn analytics_delivered(
        &self,
        query: AnalyticsQuery,
        edges: Vec<Timestamp>,
    ) -> Result<Delivered> {
        self.read(move |db| delivered(db, &query, &edges)).await
    }
}

fn delivered(db: Db<'_>, query: &AnalyticsQuery, edges: &[Timestamp]) -> Result<Delivered> {
    let (Some(from), Some(to)) = (edges.first().copied(), edges.last().copied()) else {
        return Ok(Vec::new());
    };
    let of_campaigns =
        |series: &Series| !series.part(palomar_model::analytics::Dimension::Campaign).is_empty();
    let wanted: BTreeMap<SeriesId, Series> = series::of_depth(db, 6)?
        .into_iter()
        .filter(|(_, series)| of_campaigns(series) && query.means(series))
        .collect();
    let tier = Tier::Quarter;
    let mut found: BTreeMap<SeriesId, Vec<u64>> = BTreeMap::new();
    counts::each(db, tier, wanted.keys().copied(), tier.pages(from, to), |id, number, bytes| {
        let stretches = found.entry(id).or_insert_with(|| vec![0; edges.len() - 1]);
        counts::read(bytes, |slot, metric, count| {
            let at = tier.start(number, slot);
            let place = edges.partition_point(|edge| *edge <= at).checked_sub(1);
            if metric == Metric::Delivered as u64
                && let Some(sum) = place.and_then(|place| stretches.get_mut(place))
            {
                *sum += count;
            }
        })
    })?;
    Ok(found.into_iter().filter_map(|(id, counts)| Some((wanted.get(&id)?.clone(), counts))).collect())
}
