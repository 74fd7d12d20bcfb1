//! The words of real time, and what an entry of the journal is in them. Functions of values.
//!
//! What always holds: which events an entry is, and their ids, follows from what the entry said when it was written.
//! Only what they tell of the message beside it is as of the reading.

use std::fmt;

use palomar_model::{ChannelName, MessageId, Timestamp};
use palomar_records::{
    ALERT_FIRING, ALERT_RESOLVED, CAMPAIGN_UPDATED, CONVERSATION_UPDATED, ConversationId, FeedEntry,
    MessageView, SESSION_UPDATED,
};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::{EventId, MAX_EVENT};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// A message was accepted.
    Accepted,
    /// It waits for its turn.
    Queued,
    /// An attempt started.
    Sending,
    /// The provider took it.
    Sent,
    /// It is on the device.
    Delivered,
    /// It was read.
    Read,
    /// There is no further attempt.
    Failed,
    /// What became of it is not known.
    Uncertain,
    /// It was called off.
    Cancelled,
    /// It was no longer worth sending.
    Expired,
    /// One attempt failed.
    AttemptFailed,
    /// It went out twice.
    Duplicate,
    /// Somebody wrote.
    Received,
    /// The business wrote elsewhere.
    Echoed,
    /// An emoji was put to a message, or taken away.
    Reaction,
    /// A message was edited.
    Edited,
    /// A message was deleted for everyone.
    Deleted,
    /// A poll was voted in.
    Vote,
    /// People said something of a conversation.
    ConversationUpdated,
    /// Somebody wants no more messages.
    OptedOut,
    /// Somebody wants messages again.
    OptedIn,
    /// Somebody said what they want to get.
    Preference,
    /// A channel was paused or resumed, or its breaker moved.
    ChannelState,
    /// The provider tells something of a channel.
    ChannelNews,
    /// The provider reports an error of a channel.
    ChannelError,
    /// A webhook could not be processed.
    WebhookFailed,
    /// A campaign came to another state, or how far it is.
    CampaignUpdated,
    /// Something was found to be wrong.
    AlertFiring,
    /// What was wrong is over.
    AlertResolved,
    /// A browser session stands another way, or shows another code.
    SessionUpdated,
}

use EventType::{
    Accepted, AlertFiring, AlertResolved, AttemptFailed, CampaignUpdated, Cancelled, ChannelError,
    ChannelNews, ChannelState, ConversationUpdated, Deleted, Delivered, Duplicate, Echoed, Edited, Expired,
    Failed, OptedIn, OptedOut, Preference, Queued, Reaction, Read, Received, Sending, Sent, SessionUpdated,
    Uncertain, Vote, WebhookFailed,
};

impl EventType {
    /// All there are.
    pub const ALL: [EventType; 30] = [
        Accepted,
        Queued,
        Sending,
        Sent,
        Delivered,
        Read,
        Failed,
        Uncertain,
        Cancelled,
        Expired,
        AttemptFailed,
        Duplicate,
        Received,
        Echoed,
        Reaction,
        Edited,
        Deleted,
        Vote,
        ConversationUpdated,
        OptedOut,
        OptedIn,
        Preference,
        ChannelState,
        ChannelNews,
        ChannelError,
        WebhookFailed,
        CampaignUpdated,
        AlertFiring,
        AlertResolved,
        SessionUpdated,
    ];

    /// The word for it, when it happens, and what its `data` has.
    #[rustfmt::skip]
    pub const fn parts(self) -> (&'static str, &'static str, &'static str) {
        const PROGRESS: &str = "`status`, `contact`, `providerMessageId`";
        const ALERT: &str = "`id`, `rule`, `subject`, `severity`, `detail`, `firedAt`, `resolvedAt`";
        match self {
            Accepted => ("message.accepted", "a message was accepted, to go at once or later", MESSAGE),
            Queued => ("message.queued", "its time came, or it goes back to wait for another attempt", "`status`, `contact`, `providerMessageId`, `notBefore`"),
            Sending => ("message.sending", "an attempt starts", "`status`, `contact`, `providerMessageId`, `attempt`"),
            Sent => ("message.sent", "the provider took it: one tick", PROGRESS),
            Delivered => ("message.delivered", "it is on the device: two ticks", PROGRESS),
            Read => ("message.read", "it was read: two blue ticks", PROGRESS),
            Failed => ("message.failed", "no further attempt will be made, or the provider reports failure", "`status`, `contact`, `providerMessageId`, `code`, `reason`"),
            Uncertain => ("message.uncertain", "an attempt started, and its outcome is not known", PROGRESS),
            Cancelled => ("message.cancelled", "it was called off", PROGRESS),
            Expired => ("message.expired", "it was no longer worth sending", PROGRESS),
            AttemptFailed => ("message.attempt_failed", "one attempt failed; what follows from it is an event of its own", "`contact`, `attempt`, `class`, `code`, `title`"),
            Duplicate => ("message.duplicate", "it is known to have gone out twice", "`contact`, `providerMessageId`"),
            Received => ("message.received", "a person wrote", MESSAGE),
            Echoed => ("message.echoed", "the business wrote elsewhere, in its phone's app", MESSAGE),
            Reaction => ("message.reaction", "an emoji was put to a message, or taken away", "`of` (the provider's id of the message), `contact`, `reactions` (all that are on it)"),
            Edited => ("message.edited", "a message was edited", "`of`, `contact`, `edited`"),
            Deleted => ("message.deleted", "a message was deleted for everyone", "`of`, `contact`, `deletedAt`"),
            Vote => ("message.vote", "somebody voted in a poll", "`of`, `contact`, `votes` (as they stand)"),
            ConversationUpdated => ("conversation.updated", "people changed assignee or labels, or read it", "`unread`, `windowUntil`, `assignee`, `labels`"),
            OptedOut => ("contact.opted_out", "somebody wants to get no more messages", "`contact`, `detail` (the word they wrote)"),
            OptedIn => ("contact.opted_in", "somebody wants to get messages again", "`contact`, `detail`"),
            Preference => ("contact.preference", "somebody said which messages they want", "`contact`, `detail`"),
            ChannelState => ("channel.state", "a queue of a channel was paused or resumed, or its breaker opened or closed", "`state` (`queue_paused`, `queue_resumed`, `breaker_opened`, `breaker_closed`), `queue`, `reason`, `until`"),
            ChannelNews => ("channel.news", "the provider tells something of a channel: its account, number, templates", "`news` (of what), `detail` (as it came)"),
            ChannelError => ("channel.error", "the provider reports an error of a channel", "`code`, `title` and more, as it came"),
            WebhookFailed => ("webhook.failed", "a webhook could not be processed; it is kept among the failed ones", "`id`"),
            CampaignUpdated => ("campaign.updated", "a campaign came to another state, or came further", "`campaignId`, `name`, `status`, `pauseCause`, `pauseReason`, `progress` (`processed`, `total`, `success`, `failed`, `percentage`)"),
            AlertFiring => ("alert.firing", "something was found to be wrong; for keys that are not bound to channels", ALERT),
            AlertResolved => ("alert.resolved", "what was wrong is over", ALERT),
            SessionUpdated => ("session.updated", "a browser session stands another way, or shows another code", "`session`, `status`, `reason`, `detail`, `since`, `wanted`, `hasQr` (the code itself is asked for)"),
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.parts().0
    }
}

const MESSAGE: &str = "`status`, `direction`, `contact`, `type`, `content`, `providerMessageId`, `priority`, `campaignId`, `metadata`, `createdAt`, `scheduledAt`, `conversation` (`unread`, `windowUntil`, `assignee`, `labels`)";

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place.
    pub id: EventId,
    /// What happened.
    pub kind: EventType,
    /// On which channel.
    pub channel: Option<ChannelName>,
    /// In which conversation.
    pub conversation: Option<ConversationId>,
    /// All of it as JSON, [`MAX_EVENT`] at most.
    pub json: Box<str>,
}

/// What is written of an event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'e> {
    id: EventId,
    r#type: &'static str,
    time: Timestamp,
    channel: Option<&'e ChannelName>,
    conversation: Option<&'e ConversationId>,
    message_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'e str>,
    data: Map<String, Json>,
}

/// The events that an entry of the journal is.
pub(crate) fn events_of(entry: &FeedEntry) -> Vec<Event> {
    let types = types(entry);
    types.into_iter().zip(0..).map(|(kind, part)| event(entry, kind, part)).collect()
}

/// What an entry says: what it is called for, where that is a thing of its own, then what it changed.
fn types(entry: &FeedEntry) -> Vec<EventType> {
    // A provider's report has its word, and says by what it changed whether that was news.
    let reported = ["status", "providerMessageId"].iter().all(|name| entry.detail.get(name).is_some());
    let own = match entry.kind.as_str() {
        _ if reported => None,
        "due" | "requeued" | "retried" => Some(Queued),
        "started" => Some(Sending),
        "attempt_failed" => Some(AttemptFailed),
        "duplicate" => Some(Duplicate),
        "reaction" => Some(Reaction),
        "edit" => Some(Edited),
        "deletion" => Some(Deleted),
        "vote" | "votes" => Some(Vote),
        CONVERSATION_UPDATED => Some(ConversationUpdated),
        "opted_out" => Some(OptedOut),
        "opted_in" => Some(OptedIn),
        "preference" => Some(Preference),
        "queue_paused" | "queue_resumed" | "breaker_opened" | "breaker_closed" => Some(ChannelState),
        "channel_news" | "template_news" | "channel_event" => Some(ChannelNews),
        "channel_error" => Some(ChannelError),
        "webhook_failed" => Some(WebhookFailed),
        CAMPAIGN_UPDATED => Some(CampaignUpdated),
        ALERT_FIRING => Some(AlertFiring),
        ALERT_RESOLVED => Some(AlertResolved),
        SESSION_UPDATED => Some(SessionUpdated),
        _ => None,
    };
    // What happens a second time is not counted: it is told by the entry's own word.
    let again = entry.detail["again"] == true;
    let words = entry.counted.iter().map(String::as_str).chain(again.then_some(entry.kind.as_str()));
    let changed = words.filter_map(|word| match word {
        "accepted" => Some(Accepted),
        "received" => Some(Received),
        "echoed" => Some(Echoed),
        "sent" => Some(Sent),
        "delivered" => Some(Delivered),
        "read" => Some(Read),
        "failed" => Some(Failed),
        "uncertain" => Some(Uncertain),
        "cancelled" => Some(Cancelled),
        "expired" => Some(Expired),
        // `recovered` and what consent counts are told by what goes with them.
        _ => None,
    });
    own.into_iter().chain(changed).collect()
}

fn event(entry: &FeedEntry, kind: EventType, part: u16) -> Event {
    let id = EventId { seq: entry.seq, part };
    let conversation = match kind {
        ConversationUpdated => entry.detail["id"].as_str().and_then(|id| id.parse().ok()),
        _ => entry.conversation.as_ref().map(|conversation| conversation.id.clone()),
    };
    let write = |data| {
        let told = Told {
            id,
            r#type: kind.as_str(),
            time: entry.at,
            channel: entry.channel.as_ref(),
            conversation: conversation.as_ref(),
            message_id: entry.message_id,
            trace: entry.detail["trace"].as_str(),
            data,
        };
        serde_json::to_string(&told).unwrap_or_default()
    };
    let mut data = data(entry, kind);
    data.remove("trace");
    data.retain(|_, value| !value.is_null());
    let mut json = write(data.clone());
    if json.len() > MAX_EVENT {
        data.retain(|name, _| matches!(name.as_str(), "status" | "direction" | "contact" | "type"));
        data.insert("truncated".to_owned(), true.into());
        json = write(data);
    }
    if json.len() > MAX_EVENT {
        json = write(Map::from_iter([("truncated".to_owned(), true.into())]));
    }
    Event { id, kind, channel: entry.channel.clone(), conversation, json: json.into() }
}

fn data(entry: &FeedEntry, kind: EventType) -> Map<String, Json> {
    let detail = &entry.detail;
    let message = entry.message.as_ref();
    let contact = message.map(|message| message.contact.as_str());
    let provider_id = message.and_then(|message| message.provider_message_id.as_deref());
    let progress =
        |status: &str| json!({ "status": status, "contact": contact, "providerMessageId": provider_id });
    let changes = |name: &str| {
        let changes = message.map(|message| serde_json::to_value(&message.changes).unwrap_or_default());
        json!({ "of": detail["of"], "contact": contact, name: changes.map(|mut changes| changes[name].take()) })
    };
    let with = |mut base: Json, more: &[(&str, Json)]| {
        for (name, value) in more {
            base[*name] = value.clone();
        }
        base
    };
    let data = match kind {
        Accepted => whole(entry, accepted_as(entry)),
        Received => whole(entry, "received"),
        Echoed => whole(entry, "sent"),
        Queued => with(progress("queued"), &[("notBefore", detail["at"].clone())]),
        Sending => with(progress("sending"), &[("attempt", detail["attempt"].clone())]),
        Sent => progress("sent"),
        Delivered => progress("delivered"),
        Read => progress("read"),
        Uncertain => progress("uncertain"),
        Cancelled => progress("cancelled"),
        Expired => progress("expired"),
        Failed => {
            let code = message.and_then(|message| message.code.clone());
            let reason = message.and_then(|message| message.reason.clone());
            with(progress("failed"), &[("code", code.into()), ("reason", reason.into())])
        }
        AttemptFailed => with(
            json!({ "contact": contact }),
            &["attempt", "class", "code", "title"].map(|name| (name, detail[name].clone())),
        ),
        Duplicate => json!({ "contact": contact, "providerMessageId": provider_id }),
        Reaction => changes("reactions"),
        Edited => changes("edited"),
        Deleted => changes("deletedAt"),
        Vote => changes("votes"),
        ConversationUpdated => json!({
            "unread": detail["unread"], "windowUntil": detail["windowUntil"], "assignee": detail["assignee"],
            "labels": detail["labels"],
        }),
        OptedOut | OptedIn | Preference => json!({ "contact": contact, "detail": detail["detail"] }),
        ChannelState => json!({
            "state": entry.kind, "queue": detail["queue"], "reason": detail["reason"], "until": detail["until"],
        }),
        ChannelNews => json!({ "news": entry.kind, "detail": as_it_came(detail) }),
        ChannelError | CampaignUpdated | AlertFiring | AlertResolved | SessionUpdated => detail.clone(),
        // Why it could not be read may quote it: that is for those who may look at it.
        WebhookFailed => json!({ "id": detail["id"] }),
    };
    match data {
        Json::Object(data) => data,
        other => Map::from_iter([("detail".to_owned(), other)]),
    }
}

/// What a provider told, without what the journal says of it.
fn as_it_came(detail: &Json) -> Json {
    let mut told = detail.clone();
    if let Json::Object(told) = &mut told {
        told.remove("trace");
    }
    told
}

/// Whether an accepted message waits for its time or for its turn.
fn accepted_as(entry: &FeedEntry) -> &'static str {
    let due = entry.message.as_ref().and_then(|message| message.scheduled_at);
    if due.is_some_and(|due| due > entry.at) { "scheduled" } else { "queued" }
}

/// A message as it was when it became known. The provider's own object stays in the records.
fn whole(entry: &FeedEntry, status: &str) -> Json {
    let Some(message) = &entry.message else { return json!({ "status": status }) };
    let MessageView { direction, contact, r#type, content, priority, campaign_id, metadata, .. } = message;
    let mut content = content.clone();
    if let Json::Object(content) = &mut content {
        content.remove("raw");
        content.retain(|_, value| !value.is_null());
    }
    // What the provider calls one of ours becomes known later.
    let provider_id = (status != "queued" && status != "scheduled").then_some(&message.provider_message_id);
    let conversation = entry.conversation.as_ref().map(|now| {
        json!({ "unread": now.unread, "windowUntil": now.window_until, "assignee": now.assignee, "labels": now.labels })
    });
    json!({
        "status": status, "direction": direction, "contact": contact, "type": r#type, "content": content,
        "providerMessageId": provider_id, "priority": priority, "campaignId": campaign_id, "metadata": metadata,
        "createdAt": message.created_at, "scheduledAt": message.scheduled_at, "conversation": conversation,
    })
}

#[cfg(test)]
#[path = "vocabulary_tests.rs"]
mod tests;
