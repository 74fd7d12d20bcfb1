//! The records of Palomar in SQL: messages with their journal, people, channels and keys.
//!
//! Records are a projection: everything about messages is written by [`Records::apply`] from facts of the broker's
//! event log, in one transaction with the place that was reached, so that rows can lag but never drift, and a replay
//! changes nothing. Channels and keys are the exception: people write them, here.
//!
//! They are kept in SQLite, or in PostgreSQL where several nodes share them: the same statements, the same folds, the same
//! tests. SQL is in one file a table (`tables/`), the ways to run it are in `store/`.

mod alerts;
mod analytics;
mod apply;
mod audience;
mod campaign_pace;
mod campaigns;
mod check;
mod error;
mod fact;
mod feed;
mod follow_ups;
mod inbox;
mod kept;
mod list;
mod measure;
mod media;
mod message;
mod place;
mod rates;
mod recount;
mod reports;
mod resends;
mod runs;
mod secret_key;
mod send_jobs;
mod store;
mod tables;
mod tally;
mod transfer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use palomar_model::{ChannelName, MessageId, Timestamp};

pub use alerts::{ALERT_FIRING, ALERT_RESOLVED, AlertChange, AlertRecord, ToTell};
pub use analytics::{AnalyticsQuery, Converted, Counts, Drawn, Grouped, TrackedEvent};
pub use apply::{Applied, Failed, Step};
pub use audience::{
    AudienceContact, AudiencePage, ConsentChange, ContactChange, ContactIds, ConversationFacts, NewContact,
    Put, SuppressedOn, Whom,
};
pub use campaign_pace::{AudiencePlace, DailyCap};
pub use campaigns::{
    AddedRecipients, BatchState, BatchTotals, CAMPAIGN_UPDATED, CampaignBatch, CampaignChange,
    CampaignCounts, CampaignFilter, CampaignLane, CampaignProgress, CampaignRecipient, CampaignRecord,
    CampaignRequest, CampaignTotals, Created, CreatedCampaign, FedBatch, Judged, NewRecipient,
};
pub use check::{RecordsCheck, RecordsInfo};
pub use error::RecordsError;
pub use fact::{Consent, FailedWebhook, RecordFact, What};
pub use feed::{CONVERSATION_UPDATED, ConversationNow, Feed, FeedEntry};
pub use follow_ups::{Decision, FollowTotals, SEND, Sending};
pub use inbox::{
    ContactFilter, ContactView, ConversationFilter, ConversationId, ConversationPatch, ConversationView,
    IdentityView, LastMessage, NoConversationId,
};
pub use kept::{KeptEvent, UnknownMessage};
pub use list::MessageFilter;
pub use message::{Direction, MessageStatus, MessageView, UnknownDirection, accepted_view};
pub use place::{Looked, RecordsPlace};
pub use rates::{Delivered, Rate};
pub use resends::{CreatedResend, MessageEnd, Resent};
pub use send_jobs::{CreatedSendJob, SendJobFilter, SendJobMessage, SendJobRecord};
pub use store::migrate::Schema;
pub use store::postgres::{LEAST_CONNECTIONS, NotPostgres, PostgresUrl};
pub use tables::analytics::talks::TopTalk;
pub use tables::api_keys::KeyRecord;
pub use tables::channels::ChannelRecord;
pub use tables::conversions::{Conversion, ConversionSum};
pub use tables::counters::Counter;
pub use tables::failed_webhooks::FailedWebhookView;
pub use tables::followers::Follower;
pub use tables::journal::TimelineEntry;
pub use tables::media::{MediaRecord, MediaState, MediaView, UnknownMediaState};
pub use tables::message_changes::{ChangesView, EditView, ReactionView};
pub use tables::nodes::{KnownNode, NodeRecord};
pub use tables::page::Page;
pub use tables::profiles::ContactConsent;
pub use tables::provider_templates::ProviderTemplate;
pub use tables::segments::Segment;
pub use tables::sessions::{SESSION_UPDATED, SessionRecord, SessionStanding, Wanted};
pub use tables::stored::StoredMessage;
pub use tables::suppressions::{Suppression, SuppressionReason};
pub use tables::versions::Versions;
pub use transfer::Moved;

use analytics::Tellers;
use secret_key::SecretKey;
use store::{Db, Flush, Patience, Store};
use tables::analytics::tracked;
use tables::{
    api_keys, channels, conversations, counters, cursors, early_statuses, failed_webhooks, followers,
};
use tables::{inbound_seen, journal, messages, nodes, provider_ids, sessions, stored, versions};

/// The name of the projection that writes these records.
pub const PROJECTION: &str = "records";

/// The journal, early statuses and inbound identities are kept for so long at least: providers repeat for 7 days.
pub const LEAST_RETENTION: Duration = Duration::from_secs(8 * 24 * 3600);

/// The file of the database.
pub const FILE: &str = "records.db";
/// The file of the key that credentials are encrypted with.
pub const KEY_FILE: &str = "secret.key";

/// So many old rows go in one transaction, so that trimming never holds the writer for long.
const TRIM_BATCH: usize = 5_000;

/// A part of the event log, with cursors of its own. A log that is not divided is its part 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

impl Partition {
    /// All of a log that is not divided.
    pub const WHOLE: Partition = Partition(0);
}

type Result<T, E = RecordsError> = std::result::Result<T, E>;

/// The records. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Records {
    dir: Arc<Path>,
    store: Arc<Store>,
    key: Arc<SecretKey>,
    /// Whether there may be anybody to whom nothing is sent. Set before the first is written, by whoever writes; where
    /// others write too, it is always set.
    suppressing: Arc<AtomicBool>,
    /// Who tells events of others.
    tellers: Arc<Tellers>,
}

impl Records {
    // --- the projection ---

    /// Applies facts of a partition to the rows: those after `after`, where the caller believes the rows to stand, up to
    /// `through`. Facts that the rows hold already are passed over, whoever brought them.
    ///
    /// # Errors
    /// [`RecordsError::CursorMoved`] where the rows stand before `after`: facts would be lost.
    pub async fn apply(
        &self,
        partition: Partition,
        after: u64,
        facts: Vec<RecordFact>,
        through: u64,
        now: Timestamp,
    ) -> Result<Applied> {
        if facts.iter().any(|fact| matches!(fact.what, What::Consent(_))) {
            self.suppressing.store(true, Ordering::Release);
        }
        let work = move |db: Db<'_>| apply::apply(db, PROJECTION, partition, (after, through), &facts, now);
        self.store.write(Patience::Request, Flush::Later, work).await
    }

    /// Brings everything that was applied to the disk: what the log has up to there may be forgotten.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn flush(&self) -> Result<()> {
        match *self.store {
            Store::Sqlite(_) => self.write(|db| cursors::touch(db, PROJECTION)).await,
            Store::Postgres(_) => Ok(()),
        }
    }

    /// Where the rows stand in a partition of the log.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn cursor(&self, partition: Partition) -> Result<u64> {
        self.read(move |db| cursors::get(db, PROJECTION, partition)).await
    }

    /// Takes the right to follow the event log for `hold`, where no other node has it, or keeps it; and where the rows
    /// stand. In SQLite it is always one's own: its directory is.
    ///
    /// # Errors
    /// Where the database can't be read or written.
    pub async fn follow(&self, node: &str, hold: Duration) -> Result<(Follower, Vec<(Partition, u64)>)> {
        if matches!(*self.store, Store::Sqlite(_)) {
            let cursors = self.read(|db| cursors::all(db, PROJECTION)).await?;
            return Ok((Follower::This, cursors));
        }
        let node = node.to_owned();
        let work = move |db: Db<'_>| {
            Ok((followers::take(db, PROJECTION, &node, hold)?, cursors::all(db, PROJECTION)?))
        };
        self.write(work).await
    }

    /// Lets go of that right, so that another node follows at once.
    ///
    /// # Errors
    /// Where the database can't be written: the right ends by itself.
    pub async fn unfollow(&self, node: &str) -> Result<()> {
        if matches!(*self.store, Store::Sqlite(_)) {
            return Ok(());
        }
        let node = node.to_owned();
        self.write(move |db| followers::let_go(db, PROJECTION, &node)).await
    }

    /// Forgets what is past its retention ([`LEAST_RETENTION`] at least); how many rows it were. Messages stay.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn trim(&self, retention: Duration, now: Timestamp) -> Result<u64> {
        let before = now.before(retention.max(LEAST_RETENTION));
        let work = move |db: Db<'_>| {
            cursors::take_turn(db, PROJECTION, now)?;
            let seen = inbound_seen::forget_before(db, before)?;
            Ok(early_statuses::forget_before(db, before)? + seen)
        };
        let mut forgotten = self.write(work).await?;
        loop {
            let work = move |db: Db<'_>| {
                cursors::take_turn(db, PROJECTION, now)?;
                // What is counted again from the journal's days must still be there: a day more, for clocks that differ.
                tracked::forget_before(db, before.before(Duration::from_secs(24 * 3600)), TRIM_BATCH)
            };
            let some = self.write(work).await?;
            forgotten += some;
            if some < TRIM_BATCH as u64 {
                break;
            }
        }
        loop {
            let work = move |db: Db<'_>| {
                cursors::take_turn(db, PROJECTION, now)?;
                journal::forget_before(db, before, TRIM_BATCH)
            };
            let some = self.write(work).await?;
            forgotten += some;
            if some < TRIM_BATCH as u64 {
                return Ok(forgotten);
            }
        }
    }

    // --- messages ---

    /// One message.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn message(&self, id: MessageId) -> Result<Option<MessageView>> {
        self.read(move |db| messages::get(db, id)).await
    }

    /// Its facts, in order.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn timeline(&self, id: MessageId) -> Result<Vec<TimelineEntry>> {
        self.read(move |db| journal::timeline(db, id)).await
    }

    /// All facts after a number of the journal, in the order in which they were written.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn journal(&self, after: u64, limit: usize) -> Result<Vec<TimelineEntry>> {
        self.read(move |db| journal::after(db, after, limit)).await
    }

    /// A page of messages, the newest first.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn messages(
        &self,
        filter: MessageFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MessageView>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| list::messages(db, &filter, cursor.as_deref(), limit)).await
    }

    /// Those of these ids that belong to messages, each with the message as it was accepted; without one where it was
    /// received.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn stored(&self, ids: Vec<MessageId>) -> Result<Vec<(MessageId, Option<StoredMessage>)>> {
        self.read(move |db| stored::find(db, &ids)).await
    }

    /// The message that a provider calls so.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn by_provider_id(
        &self,
        channel: ChannelName,
        provider_id: palomar_model::ProviderMessageId,
    ) -> Result<Option<MessageId>> {
        let named = provider_ids::Named::of(&channel, &provider_id);
        let found = self.read(move |db| provider_ids::find(db, std::iter::once(&named))).await?;
        Ok(found.into_values().next())
    }

    /// Until when free text may be sent to a recipient, by [`palomar_model::Recipient::key`].
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn window_until(&self, channel: ChannelName, match_key: String) -> Result<Option<Timestamp>> {
        Ok(self.windows_until(vec![(channel, match_key)]).await?.pop().flatten())
    }

    /// As [`Records::window_until`], for many.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn windows_until(&self, whom: Vec<(ChannelName, String)>) -> Result<Vec<Option<Timestamp>>> {
        self.read(move |db| conversations::windows_until(db, &whom)).await
    }

    /// The counters of a day (UTC, counted from 1970-01-01) and all later ones.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn counters(&self, from_day: i64) -> Result<Vec<Counter>> {
        self.read(move |db| counters::since(db, from_day)).await
    }

    // --- failed webhooks ---

    /// A page of failed webhooks, the newest first.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn failed_webhooks(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<FailedWebhookView>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| failed_webhooks::list(db, cursor.as_deref(), limit)).await
    }

    /// How many failed webhooks are kept.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn failed_webhook_count(&self) -> Result<u64> {
        self.read(failed_webhooks::count).await
    }

    /// One failed webhook.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn failed_webhook(&self, id: &str) -> Result<Option<FailedWebhookView>> {
        let id = id.to_owned();
        self.read(move |db| failed_webhooks::get(db, &id)).await
    }

    /// Notes that a failed webhook was queued again.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn webhook_replayed(&self, id: &str, now: Timestamp) -> Result<()> {
        let id = id.to_owned();
        self.write(move |db| failed_webhooks::replayed(db, &id, now)).await
    }

    // --- nodes ---

    /// Gives a sign of life of a node; all nodes that there are.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn node_beat(&self, node: NodeRecord) -> Result<Vec<KnownNode>> {
        let work = move |db: Db<'_>| {
            nodes::beat(db, &node)?;
            nodes::list(db)
        };
        self.write(work).await
    }

    /// Forgets a node that ends.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn node_left(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.write(move |db| nodes::leave(db, &id)).await
    }

    // --- what people set up ---

    /// How often channels and keys have changed, whichever node changed them.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn versions(&self) -> Result<Versions> {
        self.read(versions::get).await
    }

    // --- channels ---

    /// All channels, by name, with their credentials.
    ///
    /// # Errors
    /// [`RecordsError::WrongKey`] where the key file is another than the one they were encrypted with.
    pub async fn channels(&self) -> Result<Vec<ChannelRecord>> {
        let key = Arc::clone(&self.key);
        self.read(move |db| channels::list(db, &key)).await
    }

    /// One channel, with its credentials.
    ///
    /// # Errors
    /// As [`Records::channels`].
    pub async fn channel(&self, name: ChannelName) -> Result<Option<ChannelRecord>> {
        let key = Arc::clone(&self.key);
        self.read(move |db| channels::get(db, &key, &name)).await
    }

    /// Keeps a new channel.
    ///
    /// # Errors
    /// [`RecordsError::Exists`] where there is one of that name.
    pub async fn create_channel(&self, channel: ChannelRecord) -> Result<()> {
        let key = Arc::clone(&self.key);
        self.write(move |db| channels::insert(db, &key, &channel)).await
    }

    /// Changes a channel, all but its name and provider.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] where there is none of that name.
    pub async fn update_channel(&self, channel: ChannelRecord) -> Result<()> {
        let key = Arc::clone(&self.key);
        self.write(move |db| channels::update(db, &key, &channel)).await
    }

    /// Forgets a channel. Its messages stay.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] where there is none of that name.
    pub async fn delete_channel(&self, name: ChannelName) -> Result<()> {
        self.write(move |db| channels::delete(db, &name)).await
    }

    // --- browser sessions ---

    /// All browser sessions, by their channel's name.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn sessions(&self) -> Result<Vec<SessionRecord>> {
        self.read(sessions::list).await
    }

    /// Keeps a browser session as it is now, and writes that into the journal.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn put_session(&self, session: SessionRecord, mut told: serde_json::Value) -> Result<()> {
        let work = move |db: Db<'_>| {
            let now = session.updated_at;
            let last = cursors::take_turn(db, PROJECTION, now)?;
            sessions::put(db, &session)?;
            told["wanted"] = session.wanted.as_str().into();
            campaigns::tell(db, (SESSION_UPDATED, &session.channel), told, last, now)
        };
        self.write(work).await
    }

    /// Notes how a browser session stands that is kept, and writes that into the journal; whether it is kept. What is
    /// wanted of it stays as it is.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn note_session(&self, standing: SessionStanding, mut told: serde_json::Value) -> Result<bool> {
        let work = move |db: Db<'_>| {
            let now = standing.at;
            let last = cursors::take_turn(db, PROJECTION, now)?;
            let Some(wanted) = sessions::note(db, &standing)? else { return Ok(false) };
            told["wanted"] = wanted.as_str().into();
            campaigns::tell(db, (SESSION_UPDATED, &standing.channel), told, last, now)?;
            Ok(true)
        };
        self.write(work).await
    }

    /// Forgets a browser session.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn delete_session(&self, channel: ChannelName) -> Result<()> {
        self.write(move |db| sessions::delete(db, &channel)).await
    }

    // --- keys ---

    /// All keys, in the order in which they were made.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>> {
        self.read(api_keys::list).await
    }

    /// Keeps a new key.
    ///
    /// # Errors
    /// [`RecordsError::Exists`] where its id or secret is known.
    pub async fn create_key(&self, key: KeyRecord) -> Result<()> {
        self.write(move |db| api_keys::insert(db, &key)).await
    }

    /// Revokes a key, for good.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] where there is none of that id.
    pub async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<KeyRecord> {
        let id = id.to_owned();
        self.write(move |db| api_keys::revoke(db, &id, now)).await
    }

    /// Notes when keys were used, by their ids.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn keys_used(&self, uses: Vec<(String, Timestamp)>) -> Result<()> {
        self.write(move |db| api_keys::used(db, &uses)).await
    }

    // --- the whole ---

    /// Whether the database can be written: a transaction that changes nothing, committed.
    ///
    /// # Errors
    /// Why it can't.
    pub async fn ping(&self) -> Result<()> {
        self.write(|_| Ok(())).await
    }

    /// Checks the database and what must hold in it.
    ///
    /// # Errors
    /// Where the database can't be read at all.
    pub async fn check(&self) -> Result<RecordsCheck> {
        self.store.read(Patience::Whole, check::check).await
    }

    /// The records in numbers.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn info(&self) -> Result<RecordsInfo> {
        self.store.read(Patience::Whole, |db| check::info(db, PROJECTION)).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        self.store.read(Patience::Request, work).await
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        self.store.write(Patience::Request, Flush::Now, work).await
    }
}

/// Random bytes from the system, for secrets.
///
/// # Errors
/// Where the system has none to give.
pub fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    secret_key::random(&mut bytes)?;
    Ok(bytes)
}
