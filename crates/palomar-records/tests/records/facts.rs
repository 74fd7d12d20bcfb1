//! Facts as tests tell them: messages, reports, and what people write.

use std::time::Duration;

use palomar_model::{
    ChannelName, Content, InboundContent, InboundMessage, InboundWords, MessageId, Outbound, Priority,
    ProviderMessageId, Recipient, ReportedStatus, Sender, Status, StatusReport, Tag, Timestamp,
};
use palomar_records::{Partition, RecordFact, What};

pub(crate) const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// A log that is not divided.
pub(crate) const LOG: Partition = Partition::WHOLE;

pub(crate) fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

pub(crate) fn channel() -> ChannelName {
    "demo".parse().expect("a name")
}

pub(crate) fn id(n: u128) -> MessageId {
    MessageId(uuid::Uuid::from_u128(n))
}

pub(crate) fn provider_id(n: u128) -> ProviderMessageId {
    ProviderMessageId(format!("wamid.{n}").into())
}

pub(crate) fn outbound(n: u128) -> Outbound {
    Outbound {
        id: id(n),
        channel: channel(),
        to: Recipient::parse(&format!("+346001{:05}", 10_000 + n % 80_000), None).expect("a number"),
        content: Content::text(format!("Hola {n}%")),
        priority: Priority::Normal,
        scheduled_at: None,
        expires_at: None,
        campaign_id: n.is_multiple_of(2).then(|| "verano".to_owned()),
        campaign_place: None,
        hours: None,
        reply_to: None,
        fallback: None,
        on_uncertain: None,
        metadata: serde_json::Map::new(),
        accepted_at: START,
    }
}

pub(crate) fn report(n: u128, status: ReportedStatus, tag: bool) -> What {
    What::Reported(Box::new(StatusReport {
        tag: tag.then(|| Tag { message: id(n), attempt: 1 }),
        ..StatusReport::new(provider_id(n), Status::Known(status), at(50))
    }))
}

pub(crate) fn written(n: u128) -> What {
    What::Inbound {
        id: id(n),
        message: Box::new(InboundMessage::new(
            provider_id(n),
            Sender {
                phone: Some(palomar_model::Phone::parse("+34600111222", None).expect("a number")),
                name: Some("Lucía".to_owned()),
                ..Sender::default()
            },
            at(40),
            "text",
            InboundContent::Text(InboundWords { text: "ok".to_owned() }),
            serde_json::json!({}),
        )),
    }
}

/// Numbers facts from `first` on, a second apart.
pub(crate) fn log(first: u64, facts: Vec<(Option<MessageId>, What)>) -> Vec<RecordFact> {
    (first..)
        .zip(facts)
        .map(|(cursor, (message, what))| RecordFact {
            cursor,
            at: at(cursor),
            channel: Some(channel()),
            message,
            trace: None,
            once: None,
            what,
        })
        .collect()
}

pub(crate) fn sent(n: u128) -> Vec<(Option<MessageId>, What)> {
    vec![
        (Some(id(n)), What::Accepted { message: Box::new(outbound(n)), scheduled: false }),
        (Some(id(n)), What::Started { attempt: 1 }),
        (Some(id(n)), What::Sent { provider_id: provider_id(n), alias: None }),
        (Some(id(n)), What::Done),
    ]
}
