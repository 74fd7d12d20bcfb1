//! Series as they are drawn: one metric, a value a stretch, of the groups that have most of it.
//!
//! Always: groups are weighed first, and only those that are drawn are laid out, so that the memory of an answer is bounded
//! by groups × stretches however many groups there are.

use std::collections::BTreeMap;

use palomar_model::Timestamp;
use palomar_model::analytics::{Histogram, Metric, SeriesId, Stage, Tier, TimesPage};

use super::{AnalyticsQuery, Cuts, parts};
use crate::Records;
use crate::error::Result;
use crate::store::Db;
use crate::tables::analytics::{counts, times};

/// Groups, the largest first, each with a value a stretch.
pub type Drawn<T> = Vec<(String, Vec<T>)>;

impl Records {
    /// How often something happened between each of these edges and the next, of the `most` groups where it happened most.
    /// The edges must begin slots of the tier.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn drawn_counts(
        &self,
        query: AnalyticsQuery,
        (metric, tier): (Metric, Tier),
        edges: Vec<Timestamp>,
        most: usize,
    ) -> Result<Drawn<u64>> {
        self.read(move |db| drawn_counts(db, &query, (metric, tier), &edges, most)).await
    }

    /// How long something took between each of these edges (quarters of an hour) and the next, of the `most` groups where it
    /// was measured most; each stretch as `read` tells it.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn drawn_times<T, F>(
        &self,
        query: AnalyticsQuery,
        stage: Stage,
        edges: Vec<Timestamp>,
        most: usize,
        read: F,
    ) -> Result<Drawn<T>>
    where
        T: Send + 'static,
        F: Fn(&Histogram) -> T + Send + 'static,
    {
        self.read(move |db| drawn_times(db, &query, stage, &edges, most, &read)).await
    }
}

/// The groups with the largest sums, the largest first.
fn largest(sums: BTreeMap<String, u64>, most: usize) -> Vec<String> {
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|(one, of_one), (other, of_other)| of_other.cmp(of_one).then(one.cmp(other)));
    sums.truncate(most);
    sums.into_iter().map(|(group, _)| group).collect()
}

fn drawn_counts(
    db: Db<'_>,
    query: &AnalyticsQuery,
    (metric, tier): (Metric, Tier),
    edges: &[Timestamp],
    most: usize,
) -> Result<Drawn<u64>> {
    let (Some(from), Some(to)) = (edges.first(), edges.last()) else { return Ok(Vec::new()) };
    let (series, pages) = (query.series(db)?, tier.pages(*from, *to));
    let each = |ids: &mut dyn Iterator<Item = SeriesId>, add: &mut dyn FnMut(&str, usize, u64)| {
        let mut cuts = Cuts { edges, last: 0 };
        counts::each(db, tier, ids, pages, |id, number, bytes| {
            let Some(group) = series.get(&id) else { return Ok(()) };
            counts::read(bytes, |slot, of, count| {
                if let Some(place) = cuts.of(tier.start(number, slot)) {
                    add(group, place, if of == metric.code() { count } else { 0 });
                }
            })
        })
    };
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    each(&mut series.keys().copied(), &mut |group, _, count| match sums.get_mut(group) {
        Some(sum) => *sum += count,
        None => drop(sums.insert(group.to_owned(), count)),
    })?;
    let groups = largest(sums, most);
    let mut drawn: BTreeMap<&str, Vec<u64>> =
        groups.iter().map(|group| (group.as_str(), vec![0; edges.len() - 1])).collect();
    let of_drawn = |(id, group): (&SeriesId, &String)| groups.contains(group).then_some(*id);
    each(&mut series.iter().filter_map(of_drawn), &mut |group, place, count| {
        if let Some(sum) = drawn.get_mut(group).and_then(|stretches| stretches.get_mut(place)) {
            *sum += count;
        }
    })?;
    let shown = |group: &String| (group.clone(), drawn.remove(group.as_str()).unwrap_or_default());
    Ok(groups.iter().map(shown).collect())
}

fn drawn_times<T>(
    db: Db<'_>,
    query: &AnalyticsQuery,
    stage: Stage,
    edges: &[Timestamp],
    most: usize,
    read: &impl Fn(&Histogram) -> T,
) -> Result<Drawn<T>> {
    let series = query.series(db)?;
    let each = |ids: &[SeriesId], add: &mut dyn FnMut(SeriesId, usize, &Histogram)| -> Result<()> {
        let mut cuts = Cuts { edges, last: 0 };
        for (tier, first, last) in parts(edges) {
            let ids = ids.iter().copied();
            times::each(db, (tier, stage), ids, (first, last), |id, number, page: TimesPage| {
                for (slot, histogram) in page.iter() {
                    if let Some(place) = cuts.of(tier.start(number, slot)) {
                        add(id, place, histogram);
                    }
                }
            })?;
        }
        Ok(())
    };
    let mut groups: BTreeMap<&str, Vec<SeriesId>> = BTreeMap::new();
    series.iter().for_each(|(id, group)| groups.entry(group).or_default().push(*id));
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let all: Vec<_> = series.keys().copied().collect();
    each(&all, &mut |id, _, histogram| {
        let Some(group) = series.get(&id) else { return };
        *sums.entry(group.clone()).or_default() += histogram.count();
    })?;
    // One group at a time: histograms are large, what is told of them is not.
    let mut drawn = Vec::new();
    for group in largest(sums, most) {
        let mut stretches = vec![Histogram::default(); edges.len().saturating_sub(1)];
        let ids = groups.get(group.as_str()).map(Vec::as_slice).unwrap_or_default();
        each(ids, &mut |_, place, histogram| {
            if let Some(sum) = stretches.get_mut(place) {
                sum.merge(histogram);
            }
        })?;
        drawn.push((group, stretches.iter().map(read).collect()));
    }
    Ok(drawn)
}
