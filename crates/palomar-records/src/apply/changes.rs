//! What a batch of facts changes beside the messages themselves, and how all of it is written: one statement a table,
//! in one order, sorted by key.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::{Change, ChannelName, InboundMessage, MessageId, MessageState, Timestamp};

use super::exchanges::Exchanges;
use super::known::{Known, Row};
use crate::Partition;
use crate::error::Result;
use crate::store::Db;
use crate::tables::analytics::talks::Talks;
use crate::tables::campaign_counts::{self, Counted};
use crate::tables::contacts::{self, Identity, MatchKey};
use crate::tables::conversations::{self, Conversation, Effect, Pair, Standing, Turn};
use crate::tables::conversions;
use crate::tables::counters;
use crate::tables::early_statuses;
use crate::tables::failed_webhooks::{self, Came};
use crate::tables::inbound_seen::{self, Seen};
use crate::tables::journal::{self, Entry};
use crate::tables::media::{self, Told};
use crate::tables::message_changes;
use crate::tables::messages::{self, Head, NewMessage};
use crate::tables::provider_ids::{self, Named};
use crate::tables::provider_templates;
use crate::tables::suppressions::{self, Suppression};
use crate::tally::{Origin, Tally};

/// A contact that turned out to be another.
pub(super) struct Merged {
    pub(super) loser: String,
    /// The one that it is part of now.
    pub(super) winner: String,
    pub(super) at: Timestamp,
    /// How many of the batch's messages came before.
    pub(super) before: usize,
}

/// What is new.
#[derive(Default)]
pub(super) struct Changes<'f> {
    /// Inbound messages.
    pub(super) received: BTreeMap<MessageId, NewMessage>,
    /// Messages whose type is known now.
    pub(super) reread: BTreeMap<MessageId, &'f InboundMessage>,
    pub(super) names: BTreeMap<Named, MessageId>,
    /// Names whose waiting reports in the table have been applied.
    pub(super) taken: BTreeSet<Named>,
    pub(super) seen: BTreeMap<Seen, Timestamp>,
    pub(super) contacts: BTreeMap<String, Timestamp>,
    pub(super) identities: BTreeMap<MatchKey, (Identity, String)>,
    /// Identities that somebody else had.
    pub(super) reassigned: BTreeMap<MatchKey, (Identity, String)>,
    /// Contacts that turned out to be others; in order.
    pub(super) merged: Vec<Merged>,
    /// Contacts with their names.
    pub(super) renamed: BTreeMap<String, (String, Timestamp)>,
    pub(super) turns: Vec<Turn>,
    /// What was done to messages.
    pub(super) changed: BTreeMap<message_changes::Slot, (Change, Timestamp)>,
    /// Who wants to get no more, or again (none), where; in order.
    pub(super) wishes: Vec<(String, ChannelName, Option<Suppression>)>,
    pub(super) media: Vec<Told<'f>>,
    pub(super) templates: Vec<provider_templates::Told<'f>>,
    pub(super) webhooks: Vec<Came<'f>>,
    pub(super) counters: BTreeMap<(ChannelName, i64, &'static str), u64>,
    pub(super) journal: Vec<Entry>,
    /// Entries of earlier batches whose message is known now, by their numbers.
    pub(super) named_entries: BTreeMap<u64, MessageId>,
}

impl Changes<'_> {
    /// Says which message an entry of the journal is about.
    pub(super) fn name_entry(&mut self, seq: u64, message: MessageId) {
        match self.journal.binary_search_by_key(&seq, |entry| entry.seq) {
            Ok(place) => self.journal[place].message = Some(message),
            Err(_) => drop(self.named_entries.insert(seq, message)),
        }
    }

    /// Writes everything.
    pub(super) fn write(
        self,
        db: Db<'_>,
        known: &Known,
        partition: Partition,
        mut tally: Tally,
    ) -> Result<()> {
        let slots = || known.messages.iter().filter_map(|(id, slot)| Some((id, slot.as_ref()?)));
        let new = slots().filter_map(|(_, slot)| match &slot.row {
            Row::New(message) => Some((&**message, Some(&slot.head))),
            Row::Stored | Row::Changed => None,
        });
        let received = self.received.values().map(|message| (message, None));
        let changed = slots().filter(|(_, slot)| matches!(slot.row, Row::Changed));
        let mut early: Vec<_> = known
            .early
            .values()
            .flatten()
            .filter(|waiting| !waiting.stored)
            .map(|waiting| &waiting.early)
            .collect();
        early.sort_by(|one, other| (&one.of, one.seq).cmp(&(&other.of, other.seq)));
        db.write(vec![
            contacts::add(self.contacts.iter()),
            contacts::identify(self.identities.values().map(|(identity, contact)| (identity, contact))),
            contacts::reassign(self.reassigned.values().map(|(identity, contact)| (identity, contact))),
            contacts::rename(self.renamed.iter()),
        ])?;
        let exchanges = Exchanges::load(db, &self.turns, &self.merged)?;
        for Merged { loser, winner, at, .. } in &self.merged {
            contacts::merge(db, loser, winner, *at)?;
            conversations::merge(db, loser, winner, *at)?;
        }
        let mut talks = Talks::default();
        let turns = read_for_blocked(db, self.turns)?;
        let said = turns.iter().filter(|turn| turn.effect != Effect::Left);
        said.for_each(|turn| talks.note(&turn.pair, turn.direction, turn.noted));
        let standing = exchanges.run(&turns, &self.merged, &mut tally);
        let conversations = conversations(db, &turns, &standing)?;
        let raised = self.counters.iter();
        let moved = moved_in_campaigns(known);
        db.write(vec![
            messages::add(new.chain(received))?,
            messages::reread(self.reread.iter())?,
            messages::update(changed.map(|(id, slot)| (id, &slot.head))),
            provider_ids::add(self.names.iter()),
            early_statuses::taken(self.taken.iter()),
            early_statuses::add(early.into_iter())?,
            inbound_seen::add(self.seen.iter()),
            message_changes::put(self.changed.iter())?,
            media::tell(&self.media),
            conversations::put(conversations.iter()),
            journal::add(partition, &self.journal)?,
            journal::name_messages(self.named_entries.iter()),
            counters::add(raised.map(|((channel, day, kind), by)| (channel.as_str(), *day, *kind, *by))),
            failed_webhooks::add(&self.webhooks),
            campaign_counts::add(moved.into_iter()),
        ])?;
        conversions::attribute(db, new_messages(known))?;
        let mut measured = tally.writes(db, Origin::Messages)?;
        measured.push(talks.write());
        db.write(measured)?;
        for told in &self.templates {
            provider_templates::note(db, told)?;
        }
        // After the identities: a wish is meant under each of them.
        for (match_key, channel, wish) in &self.wishes {
            match wish {
                Some(suppression) => db.write(vec![suppressions::add(std::iter::once(suppression))])?,
                None => suppressions::lift(db, match_key, channel)?,
            }
        }
        Ok(())
    }
}

/// The messages of ours that were not known before.
fn new_messages(known: &Known) -> impl Iterator<Item = (&MessageId, &Head)> {
    let slots = known.messages.iter().filter_map(|(id, slot)| Some((id, slot.as_ref()?)));
    slots.filter(|(_, slot)| matches!(slot.row, Row::New(_))).map(|(id, slot)| (id, &slot.head))
}

/// How many more, or fewer, messages of campaigns stand where.
fn moved_in_campaigns(known: &Known) -> BTreeMap<Counted, i64> {
    let mut moved: BTreeMap<Counted, i64> = BTreeMap::new();
    for slot in known.messages.values().flatten() {
        let Some(place) = slot.head.place.filter(|_| slot.was != Some(slot.head.state)) else { continue };
        let mut by = |state: MessageState, by: i64| {
            *moved.entry(Counted::of(place, state.as_str())).or_default() += by;
        };
        by(slot.head.state, 1);
        if let Some(was) = slot.was {
            by(was, -1);
        }
    }
    moved.retain(|_, by| *by != 0);
    moved
}

/// Messages with what they do to conversations, now that it is known who is blocked.
fn read_for_blocked(db: Db<'_>, mut turns: Vec<Turn>) -> Result<Vec<Turn>> {
    let pairs: BTreeSet<_> = turns.iter().map(|turn| &turn.pair).collect();
    let blocked = suppressions::blocked(db, pairs.into_iter())?;
    for turn in turns.iter_mut().filter(|turn| blocked.contains(&turn.pair)) {
        turn.effect = match turn.effect {
            Effect::Written => Effect::Ignored { opens: true },
            Effect::Told => Effect::Ignored { opens: false },
            ours => ours,
        };
    }
    Ok(turns)
}

/// The conversations that get messages, as they stand then.
fn conversations(
    db: Db<'_>,
    turns: &[Turn],
    standing: &BTreeMap<Pair, Standing>,
) -> Result<BTreeMap<Pair, Conversation>> {
    let pairs: BTreeSet<_> = turns.iter().map(|turn| &turn.pair).collect();
    let mut conversations: BTreeMap<_, _> = conversations::find(db, pairs.into_iter())?.into_iter().collect();
    for turn in turns.iter().filter(|turn| turn.effect != Effect::Left) {
        conversations
            .entry(turn.pair.clone())
            .and_modify(|conversation: &mut Conversation| conversation.note(turn))
            .or_insert_with(|| Conversation::begun(turn));
    }
    for (pair, conversation) in &mut conversations {
        conversation.standing = standing.get(pair).copied().unwrap_or(conversation.standing);
    }
    Ok(conversations)
}
