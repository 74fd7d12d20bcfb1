//! A message that appeared in a chat: somebody's, ours, or what was done to an earlier one.

use palomar_model::{
    Author, Change, ChannelEvent, Echo, Forwarded, InboundMessage, MessageChange, ProviderMessageId,
    Referral, Sender, Timestamp,
};
use serde_json::Value;

use super::content::{Unwrapped, content, kind_of, unwrap};
use super::fields::{count, field, flag, id, instant, jids, list, person};
use super::{Item, other};
use crate::evolution::jid::{self, Jid};

/// From here on WhatsApp says "forwarded many times".
const OFTEN: u32 = 4;

/// A message of a chat, whoever wrote it.
pub(super) fn upsert(data: &Value, received_at: Timestamp) -> Result<Item, &'static str> {
    let mut reading = Reading::of(data, received_at)?;
    if reading.chat == Jid::Stories {
        return Ok(other("story", data).into());
    }
    if reading.ours {
        return reading.echo();
    }
    let from = reading.author();
    if !from.is_known() {
        return Err("names no sender");
    }
    let event = match reading.change(Author::Person(from.clone())) {
        Some(event) => event,
        None => ChannelEvent::Message(Box::new(reading.message(from))),
    };
    Ok(reading.item(event))
}

/// What Evolution calls an edit: any message about another one. It is an edit where it says what stands there now, a
/// deletion where it revokes; the rest is kept. Its key is seen from either side: nobody is named by it.
pub(super) fn edited(data: &Value, received_at: Timestamp) -> Result<Item, &'static str> {
    if !data.is_object() {
        return Err("is not an object");
    }
    let mut doubts = Vec::new();
    let event = protocol(data, Author::Unknown, None, received_at, data, &mut doubts);
    Ok(Item { events: vec![event.unwrap_or_else(|| other("messages.edited", data))], doubts })
}

/// A message that is gone: its key, bare or inside of what is known of it.
pub(super) fn deleted(data: &Value, received_at: Timestamp) -> Result<Item, &'static str> {
    let key = data.get("key").filter(|key| key.is_object()).unwrap_or(data);
    let of = id(key, "/id").ok_or("has no id")?;
    let chat = person(jids(key, &["/remoteJid", "/remoteJidAlt"]));
    let change = MessageChange {
        provider_id: None,
        of,
        by: Author::Unknown,
        chat: chat.is_known().then_some(chat),
        at: received_at,
        change: Change::Deletion,
        raw: data.clone(),
    };
    Ok(ChannelEvent::Change(Box::new(change)).into())
}

/// The change that a message about another one makes, where it makes one that is known.
fn protocol(
    message: &Value,
    by: Author,
    chat: Option<Sender>,
    received_at: Timestamp,
    raw: &Value,
    doubts: &mut Vec<&'static str>,
) -> Option<ChannelEvent> {
    let of = id(message, "/key/id")?;
    let revoked = matches!(message.get("type"), Some(kind) if kind == "REVOKE" || kind == 0);
    let change = match message.get("editedMessage").filter(|edited| edited.is_object()) {
        Some(edited) => {
            let edited = unwrap(kind_of(edited), edited);
            Change::Edit { content: Box::new(content(&edited, doubts)) }
        }
        None if revoked => Change::Deletion,
        None => return None,
    };
    let at = instant(message, "/timestampMs", received_at).unwrap_or(received_at);
    // The same edit may come in two events: it is told by what it does.
    let change = MessageChange { provider_id: None, of, by, chat, at, change, raw: raw.clone() };
    Some(ChannelEvent::Change(Box::new(change)))
}

/// One message being read.
struct Reading<'v> {
    data: &'v Value,
    id: ProviderMessageId,
    chat: Jid<'v>,
    ours: bool,
    it: Unwrapped<'v>,
    received_at: Timestamp,
    at: Timestamp,
    doubts: Vec<&'static str>,
}

impl<'v> Reading<'v> {
    fn of(data: &'v Value, received_at: Timestamp) -> Result<Reading<'v>, &'static str> {
        if !data.is_object() {
            return Err("is not an object");
        }
        let id = id(data, "/key/id").ok_or("has no id")?;
        let mut doubts = Vec::new();
        let at = instant(data, "/messageTimestamp", received_at).unwrap_or_else(|| {
            doubts.push("has no time that makes sense: the time of receipt stands in");
            received_at
        });
        let message = data.get("message").unwrap_or(&Value::Null);
        let kind = data.get("messageType").and_then(Value::as_str).filter(|kind| !kind.is_empty());
        let jid = data.pointer("/key/remoteJid").and_then(Value::as_str).unwrap_or_default();
        Ok(Reading {
            data,
            id,
            chat: jid::read(jid),
            ours: flag(data, "/key/fromMe"),
            it: unwrap(kind.unwrap_or_else(|| kind_of(message)), message),
            received_at,
            at,
            doubts,
        })
    }

    fn item(self, event: ChannelEvent) -> Item {
        Item { events: vec![event], doubts: self.doubts }
    }

    /// Who is at the other end; of a group nobody.
    fn other_side(&self) -> Sender {
        let jids = jids(self.data, &["/key/remoteJid", "/key/remoteJidAlt", "/key/senderPn"]);
        Sender { name: field(self.data, "/pushName").filter(|_| !self.ours), ..person(jids) }
    }

    /// Who wrote it: in a group, its member.
    fn author(&self) -> Sender {
        if self.chat != Jid::Group {
            return self.other_side();
        }
        let member = jids(self.data, &["/key/participant", "/key/participantAlt", "/key/participantPn"]);
        Sender { name: field(self.data, "/pushName"), ..person(member) }
    }

    fn group_id(&self) -> Option<String> {
        field(self.data, "/key/remoteJid").filter(|_| self.chat == Jid::Group)
    }

    /// What the business wrote.
    fn echo(mut self) -> Result<Item, &'static str> {
        let to = self.other_side();
        if !to.is_known() && self.chat != Jid::Group {
            return Err("names nobody it is for");
        }
        let event = match self.change(Author::Business) {
            Some(event) => event,
            None => {
                let message = self.message(Sender::default());
                ChannelEvent::Echo(Box::new(Echo { to, message }))
            }
        };
        Ok(self.item(event))
    }

    /// What it does to an earlier message, where it is of a type that does.
    fn change(&mut self, by: Author) -> Option<ChannelEvent> {
        let message = self.it.message;
        let chat = Some(self.other_side()).filter(Sender::is_known);
        let (of, change) = match self.it.kind {
            "reactionMessage" => {
                let emoji = field(message, "/reactionMessage/text");
                (id(message, "/reactionMessage/key/id"), Change::Reaction { emoji })
            }
            // Which options they are is encrypted.
            "pollUpdateMessage" => {
                let of = id(message, "/pollUpdateMessage/pollCreationMessageKey/id");
                (of, Change::Vote { options: Vec::new() })
            }
            "protocolMessage" | "editedMessage" => {
                let inner = message.pointer("/editedMessage/message/protocolMessage");
                let inner = inner.or_else(|| message.get("protocolMessage")).unwrap_or(&Value::Null);
                let event = protocol(inner, by, chat, self.received_at, self.data, &mut self.doubts);
                return Some(event.unwrap_or_else(|| other("messages.upsert", self.data)));
            }
            _ => return None,
        };
        let Some(of) = of else {
            return Some(other("messages.upsert", self.data));
        };
        let (provider_id, at, raw) = (Some(self.id.clone()), self.at, self.data.clone());
        let change = MessageChange { provider_id, of, by, chat, at, change, raw };
        Some(ChannelEvent::Change(Box::new(change)))
    }

    fn message(&mut self, from: Sender) -> InboundMessage {
        let mut said = content(&self.it, &mut self.doubts);
        if let Some(media) = media_of(&mut said) {
            // By it Evolution decrypts what it has not sent along.
            media.id = Some(self.id.0.to_string());
        }
        let inside = self.it.message.get(self.it.kind).and_then(|part| part.get("contextInfo"));
        let context = self.data.get("contextInfo").filter(|context| context.is_object()).or(inside);
        let context = context.unwrap_or(&Value::Null);
        let named = |jid: &Value| jid.as_str().map(|jid| jid::account(jid).to_owned());
        InboundMessage {
            context_id: id(context, "/stanzaId"),
            context_from: context.get("participant").and_then(named),
            forwarded: forwarded(context),
            referral: context
                .get("externalAdReply")
                .filter(|ad| ad.is_object())
                .map(|ad| Box::new(referral(ad))),
            mentions: list(context, "/mentionedJid").iter().filter_map(named).collect(),
            group_id: self.group_id(),
            ..InboundMessage::new(self.id.clone(), from, self.at, self.it.kind, said, self.data.clone())
        }
    }
}

fn media_of(content: &mut palomar_model::InboundContent) -> Option<&mut palomar_model::InboundMedia> {
    use palomar_model::InboundContent::{Audio, Document, Image, Sticker, Video};
    match content {
        Image(media) | Video(media) | Audio(media) | Document(media) | Sticker(media) => Some(media),
        _ => None,
    }
}

fn forwarded(context: &Value) -> Forwarded {
    let times: u32 = count(context, "/forwardingScore").unwrap_or(0);
    match (times, flag(context, "/isForwarded")) {
        (OFTEN.., _) => Forwarded::Often,
        (1.., _) | (_, true) => Forwarded::Once,
        _ => Forwarded::No,
    }
}

fn referral(ad: &Value) -> Referral {
    Referral {
        source_url: field(ad, "/sourceUrl"),
        source_id: field(ad, "/sourceId"),
        source_type: field(ad, "/sourceType"),
        headline: field(ad, "/title"),
        body: field(ad, "/body"),
        media_url: field(ad, "/mediaUrl"),
        thumbnail_url: field(ad, "/thumbnailUrl"),
        click_id: field(ad, "/ctwaClid"),
        ..Referral::default()
    }
}
