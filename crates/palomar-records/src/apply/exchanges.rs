//! Who waits for an answer, and who got one. Contacts that turn out to be one bring what they had, at that moment and no
//! earlier: however a log is cut into batches, the same is counted.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::ChannelName;
use palomar_model::analytics::{Metric, Series, Stage};

use super::changes::Merged;
use crate::error::Result;
use crate::store::Db;
use crate::tables::conversations::{self, Effect, Exchange, Pair, Standing, Turn};
use crate::tally::Tally;

/// Conversations as they stand before a batch.
pub(super) struct Exchanges(BTreeMap<Pair, Standing>);

impl Exchanges {
    /// Reads those that messages and people who turn out to be one may concern.
    pub(super) fn load(db: Db<'_>, turns: &[Turn], merged: &[Merged]) -> Result<Exchanges> {
        let mut pairs: BTreeSet<Pair> = turns.iter().map(then).collect();
        let channels: BTreeSet<_> = turns.iter().map(|turn| &turn.pair.channel).collect();
        for contact in merged.iter().flat_map(|merged| [&merged.loser, &merged.winner]) {
            let pair = |channel: &ChannelName| Pair { channel: channel.clone(), contact: contact.clone() };
            pairs.extend(channels.iter().map(|channel| pair(channel)));
        }
        let found = conversations::find(db, pairs.iter())?.into_iter();
        Ok(Exchanges(found.map(|(pair, conversation)| (pair, conversation.standing)).collect()))
    }

    /// Goes through the batch in its order, and counts; how conversations stand after it.
    pub(super) fn run(
        mut self,
        turns: &[Turn],
        merged: &[Merged],
        tally: &mut Tally,
    ) -> BTreeMap<Pair, Standing> {
        let mut merged = merged.iter().peekable();
        for (place, turn) in turns.iter().enumerate() {
            while let Some(Merged { loser, winner, .. }) = merged.next_if(|merged| merged.before <= place) {
                self.join(loser, winner);
            }
            self.turn(turn, tally);
        }
        merged.for_each(|Merged { loser, winner, .. }| self.join(loser, winner));
        self.0
    }

    fn join(&mut self, loser: &str, winner: &str) {
        let lost: Vec<_> = self.0.keys().filter(|pair| pair.contact == loser).cloned().collect();
        for pair in lost {
            let Some(standing) = self.0.remove(&pair) else { continue };
            let won = self.0.entry(Pair { contact: winner.to_owned(), ..pair }).or_default();
            *won = won.joined(&standing);
        }
    }

    fn turn(&mut self, turn: &Turn, tally: &mut Tally) {
        let series = tally.open(&Series::of_channel(turn.pair.channel.as_str()));
        if turn.effect == Effect::Left && !self.0.contains_key(&then(turn)) {
            return;
        }
        let standing = self.0.entry(then(turn)).or_insert_with(|| {
            tally.count(series, turn.noted, Metric::ConversationsNew);
            Standing::default()
        });
        match standing.note(turn) {
            None => {}
            Some(Exchange::Asked) => tally.count(series, turn.noted, Metric::ConversationsAsked),
            Some(Exchange::Answered { after, first }) => {
                tally.count(series, turn.noted, Metric::ConversationsAnswered);
                tally.time(series, turn.noted, Stage::Response, after);
                if first {
                    tally.time(series, turn.noted, Stage::FirstResponse, after);
                }
            }
        }
    }
}

/// The conversation that a message was in when it came.
fn then(turn: &Turn) -> Pair {
    Pair { channel: turn.pair.channel.clone(), contact: turn.contact_then.clone() }
}
