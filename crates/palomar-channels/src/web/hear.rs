//! What a page shows → the events that any provider's webhooks become. The conversion is pure.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use palomar_model::{
    ChannelEvent, InboundContent, InboundMessage, InboundWords, Phone, ProviderMessageId, Received,
    ReportedStatus, Sender, Status, StatusReport, Unsupported,
};
use palomar_web::{Heard, Message, Sink, Tick};
use serde_json::json;

use crate::sandbox::SandboxSink;

/// Hands on what a session hears.
pub(super) struct Events {
    sink: Arc<dyn SandboxSink>,
}

impl Events {
    pub(super) fn new(sink: Arc<dyn SandboxSink>) -> Events {
        Events { sink }
    }
}

impl Sink for Events {
    fn take(&self, heard: Heard) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move { self.sink.take(Received::on(None, event(heard))).await })
    }
}

fn event(heard: Heard) -> ChannelEvent {
    match heard {
        Heard::Message(message) => ChannelEvent::Message(Box::new(inbound(message))),
        Heard::Tick { id, tick, at } => {
            let status = match tick {
                Tick::Sent => ReportedStatus::Sent,
                Tick::Delivered => ReportedStatus::Delivered,
                Tick::Read => ReportedStatus::Read,
            };
            let id = ProviderMessageId(id.into());
            ChannelEvent::Status(Box::new(StatusReport::new(id, Status::Known(status), at)))
        }
    }
}

fn inbound(message: Message) -> InboundMessage {
    let Message { id, phone, title, group, kind, text, at } = message;
    let raw = json!({ "id": id, "from": phone, "chat": title, "group": group, "type": kind, "text": text });
    // The page gives the digits of a number that exists.
    let known = phone.as_deref().and_then(|digits| Phone::from_wa_id(digits).ok());
    // A group's title is no person's name. Of whoever is not known the chat's is the only one that there is.
    let is_name = group.is_none() && !title.starts_with('+') && !title.is_empty();
    let from = Sender { phone: known, wa_id: phone, name: is_name.then_some(title), ..Sender::default() };
    let content = if kind == "text" {
        InboundContent::Text(InboundWords { text: text.clone() })
    } else {
        InboundContent::Unsupported(Unsupported::default())
    };
    let words = (!text.is_empty()).then_some(text);
    let inbound = InboundMessage::new(ProviderMessageId(id.into()), from, at, kind, content, raw);
    InboundMessage { text: inbound.text.clone().or(words), group_id: group, ..inbound }
}

#[cfg(test)]
mod tests {
    use palomar_model::Timestamp;

    use super::*;

    fn said(phone: Option<&str>, group: Option<&str>, title: &str) -> InboundMessage {
        inbound(Message {
            id: "3A01".to_owned(),
            phone: phone.map(str::to_owned),
            title: title.to_owned(),
            group: group.map(str::to_owned),
            kind: "text".to_owned(),
            text: "BAJA".to_owned(),
            at: Timestamp::EPOCH,
        })
    }

    #[test]
    fn who_wrote_is_who_is_told_and_a_title_is_no_number() {
        let known = said(Some("34600111222"), None, "Lucía");
        assert_eq!(known.from.phone.as_ref().map(Phone::digits), Some("34600111222"));
        assert_eq!((known.from.name.as_deref(), known.group_id), (Some("Lucía"), None));
        // Nobody is made up: it is kept, with the chat that it came in.
        let unknown = said(None, None, "+34 600 11 12 22");
        assert!(!unknown.from.is_known() && unknown.from.name.is_none());
        assert_eq!(unknown.raw["chat"], "+34 600 11 12 22");
        let group = said(Some("34600111222"), Some("120363000000000001@g.us"), "Familia");
        assert_eq!((group.from.name, group.group_id.as_deref()), (None, Some("120363000000000001@g.us")));
    }
}
