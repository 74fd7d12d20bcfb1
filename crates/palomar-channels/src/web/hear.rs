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
    let Message { id, phone, title, kind, text, at } = message;
    let raw = json!({ "id": id, "from": phone, "chat": title, "type": kind, "text": text });
    // The page gives the digits of a number that exists.
    let known = phone.as_deref().and_then(|digits| Phone::from_wa_id(digits).ok());
    let is_number = title.starts_with('+');
    let from = Sender {
        phone: known,
        wa_id: phone,
        name: (!is_number && !title.is_empty()).then_some(title),
        ..Sender::default()
    };
    let content = if kind == "text" {
        InboundContent::Text(InboundWords { text: text.clone() })
    } else {
        InboundContent::Unsupported(Unsupported::default())
    };
    let words = (!text.is_empty()).then_some(text);
    let inbound = InboundMessage::new(ProviderMessageId(id.into()), from, at, kind, content, raw);
    InboundMessage { text: inbound.text.clone().or(words), ..inbound }
}
