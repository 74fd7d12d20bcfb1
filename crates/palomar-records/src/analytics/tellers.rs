//! Whoever tells events shares a transaction with whoever tells at the same time: what comes while one is written goes with
//! the next, so that a page of counts is read and written once for many.
//!
//! Always: a caller is answered after the commit that holds all that they told, and a group is written while no other is.
//! Where something stored can't be read, each of a group is written alone: who did not touch it is not refused with it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use palomar_model::Timestamp;
use tokio::sync::oneshot;

use super::track::{TrackedEvent, track};
use crate::error::{RecordsError, Result};
use crate::store::{Db, Flush, Patience, Store};

/// More events do not go in one transaction, where they are not of one caller: others wait for it.
const MOST: usize = 4_000;

/// Callers who wait for the next transaction; none at all while nobody writes.
#[derive(Debug, Default)]
pub(crate) struct Tellers(Mutex<Option<Vec<Teller>>>);

/// A caller.
#[derive(Debug)]
struct Teller {
    events: Vec<TrackedEvent>,
    now: Timestamp,
    answer: oneshot::Sender<Result<Vec<bool>>>,
}

impl Tellers {
    /// Has events written, with those of others; of each whether it is new.
    pub(crate) async fn tell(
        self: &Arc<Tellers>,
        store: &Arc<Store>,
        events: Vec<TrackedEvent>,
        now: Timestamp,
    ) -> Result<Vec<bool>> {
        let (answer, answered) = oneshot::channel();
        if self.wait(Teller { events, now, answer }) {
            // A task of its own: a caller who goes away takes nobody's answer along.
            tokio::spawn(Arc::clone(self).write(Arc::clone(store)));
        }
        answered.await.map_err(|_| RecordsError::Closed)?
    }

    /// Waits with the others; whether nobody writes, and somebody must.
    fn wait(&self, teller: Teller) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = waiting.is_none();
        waiting.get_or_insert_default().push(teller);
        idle
    }

    /// Writes what waits until nothing does.
    async fn write(self: Arc<Tellers>, store: Arc<Store>) {
        while let Some(group) = self.next() {
            write(&store, group).await;
        }
    }

    /// The next group, in the order in which they came; none where nobody waits.
    fn next(&self) -> Option<Vec<Teller>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tellers = waiting.as_mut().filter(|tellers| !tellers.is_empty());
        let Some(tellers) = tellers else {
            *waiting = None;
            return None;
        };
        let mut events = 0;
        let fits = |teller: &&Teller| {
            events += teller.events.len();
            events <= MOST
        };
        let group = tellers.iter().take_while(fits).count().max(1);
        Some(tellers.drain(..group).collect())
    }
}

/// Writes a group and answers.
async fn write(store: &Store, group: Vec<Teller>) {
    let now = group.iter().map(|teller| teller.now).max().unwrap_or(Timestamp::EPOCH);
    let (told, answers): (Vec<_>, Vec<_>) =
        group.into_iter().map(|teller| (teller.events, teller.answer)).unzip();
    let told: Arc<[Vec<TrackedEvent>]> = told.into();
    let commit = async |which: Range<usize>| {
        let told = Arc::clone(&told);
        let work = move |db: Db<'_>| track(db, told.get(which).into_iter().flatten().flatten(), now);
        store.write(Patience::Request, Flush::Now, work).await
    };
    let together = commit(0..told.len()).await;
    let apart = matches!(together, Err(RecordsError::Damaged { .. })) && answers.len() > 1;
    let mut from = 0;
    for (place, answer) in answers.into_iter().enumerate() {
        let count = told.get(place).map_or(0, Vec::len);
        let own = match &together {
            Err(_) if apart => commit(place..place + 1).await,
            Err(error) => Err(error.clone()),
            Ok(new) => Ok(new.get(from..from + count).unwrap_or_default().to_vec()),
        };
        from += count;
        // Who does not listen any more has told all the same.
        let _ = answer.send(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teller(events: usize) -> Teller {
        let event = TrackedEvent {
            id: String::new(),
            at: Timestamp::EPOCH,
            metric: palomar_model::analytics::Metric::Sent,
            series: palomar_model::analytics::Series::of_channel("crm"),
            reason: None,
            took: None,
        };
        let (answer, _) = oneshot::channel();
        Teller { events: vec![event; events], now: Timestamp::EPOCH, answer }
    }

    #[test]
    fn one_writes_for_all_who_wait_and_no_group_is_too_large() {
        let tellers = Tellers::default();
        assert!(tellers.wait(teller(1)), "nobody writes");
        for events in [2, MOST - 3, 1, MOST + 1, MOST, 5] {
            assert!(!tellers.wait(teller(events)), "somebody does");
        }
        let sizes = |group: Vec<Teller>| group.iter().map(|teller| teller.events.len()).collect::<Vec<_>>();
        let next = || tellers.next().map(sizes);
        assert_eq!(next(), Some(vec![1, 2, MOST - 3]));
        assert_eq!(next(), Some(vec![1]));
        assert_eq!(next(), Some(vec![MOST + 1]), "more than that of one caller");
        assert_eq!(next(), Some(vec![MOST]));
        assert!(!tellers.wait(teller(7)), "still");
        assert_eq!(next(), Some(vec![5, 7]));
        assert_eq!(next(), None);
        assert!(tellers.wait(teller(1)), "nobody writes any more");
    }
}
