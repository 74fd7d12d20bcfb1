//! One message of a webhook: somebody's, or an echo of ours.

use palomar_model::{
    Author, Change, ChannelEvent, Echo, Forwarded, InboundContent, InboundMessage, MessageChange, PersonNews,
    Product, ProviderMessageId, Referral, Sender, SystemKind, SystemMessage, Timestamp,
};
use serde_json::Value;

use super::Item;
use super::content::content;
use super::fields::{described, error, field, flag, id, list, person, time};

/// Reads one of `messages`.
pub(super) fn message(
    value: &Value,
    contacts: &[Value],
    received_at: Timestamp,
) -> Result<Item, &'static str> {
    let mut reading = Reading::of(value, received_at)?;
    let (from, user) = (field(value, "/from"), field(value, "/from_user_id"));
    let (from, user) = (from.as_deref(), user.as_deref());
    let who = person(from, user, field(value, "/from_parent_user_id").as_deref());
    let who = described(who, from, user, contacts);
    if !who.is_known() {
        return Err("names no sender");
    }
    if let Some(change) = reading.change(Author::Person(who.clone()), who.clone())? {
        return Ok(reading.item(vec![ChannelEvent::Change(Box::new(change))]));
    }
    let message = reading.message(who);
    let moved = moved(&message);
    let events = std::iter::once(ChannelEvent::Message(Box::new(message)));
    let events = events.chain(moved.map(|news| ChannelEvent::Person(Box::new(news)))).collect();
    Ok(reading.item(events))
}

/// Reads one of `message_echoes`: what the business wrote in its phone's app.
pub(super) fn echo(value: &Value, contacts: &[Value], received_at: Timestamp) -> Result<Item, &'static str> {
    let mut reading = Reading::of(value, received_at)?;
    let (account, user) = (field(value, "/to"), field(value, "/to_user_id"));
    let (account, user) = (account.as_deref(), user.as_deref());
    let to = described(person(account, user, None), account, user, contacts);
    if !to.is_known() {
        return Err("names nobody it is for");
    }
    if let Some(change) = reading.change(Author::Business, to.clone())? {
        return Ok(reading.item(vec![ChannelEvent::Change(Box::new(change))]));
    }
    let message = reading.message(person(field(value, "/from").as_deref(), None, None));
    Ok(reading.item(vec![ChannelEvent::Echo(Box::new(Echo { to, message }))]))
}

/// One message being read.
struct Reading<'v> {
    value: &'v Value,
    id: ProviderMessageId,
    kind: String,
    at: Timestamp,
    doubts: Vec<&'static str>,
}

impl Reading<'_> {
    fn of(value: &Value, received_at: Timestamp) -> Result<Reading<'_>, &'static str> {
        if !value.is_object() {
            return Err("is not an object");
        }
        let mut doubts = Vec::new();
        let id = id(value, "/id").unwrap_or_else(|| {
            doubts.push("has no id: it can't be told from another that says the same");
            ProviderMessageId::none()
        });
        let kind = field(value, "/type").unwrap_or_else(|| {
            doubts.push("has no type");
            "unknown".to_owned()
        });
        let at = time(value, received_at, &mut doubts);
        Ok(Reading { value, id, kind, at, doubts })
    }

    fn item(self, events: Vec<ChannelEvent>) -> Item {
        Item { events, doubts: self.doubts }
    }

    /// What it does to an earlier message, where it is of a type that does.
    fn change(&mut self, by: Author, chat: Sender) -> Result<Option<MessageChange>, &'static str> {
        let original = "/original_message_id";
        let (of, change) = match self.kind.as_str() {
            "reaction" => {
                let emoji = field(self.value, "/reaction/emoji");
                (id(self.value, "/reaction/message_id"), Change::Reaction { emoji })
            }
            "edit" => {
                let edited = self.value.pointer("/edit/message").unwrap_or(&Value::Null);
                let kind = field(edited, "/type").unwrap_or_default();
                let content = Box::new(content(edited, &kind, &mut self.doubts));
                (id(self.value, &format!("/edit{original}")), Change::Edit { content })
            }
            "revoke" => (id(self.value, &format!("/revoke{original}")), Change::Deletion),
            _ => return Ok(None),
        };
        Ok(Some(MessageChange {
            provider_id: Some(self.id.clone()).filter(|id| !id.is_none()),
            of: of.ok_or("does not say which message it changes")?,
            by,
            chat: Some(chat),
            at: self.at,
            change,
            raw: self.value.clone(),
        }))
    }

    fn message(&mut self, from: Sender) -> InboundMessage {
        let value = self.value;
        let content = content(value, &self.kind, &mut self.doubts);
        let product = value.pointer("/context/referred_product").map(|product| {
            Box::new(Product {
                catalog_id: field(product, "/catalog_id"),
                product_id: field(product, "/product_retailer_id"),
                ..Product::default()
            })
        });
        InboundMessage {
            context_id: id(value, "/context/id"),
            context_from: field(value, "/context/from").or_else(|| field(value, "/context/from_user_id")),
            forwarded: forwarded(value),
            referral: value.get("referral").filter(|ad| ad.is_object()).map(|ad| Box::new(referral(ad))),
            product,
            group_id: field(value, "/group_id"),
            errors: list(value, "/errors").iter().map(error).collect(),
            ..InboundMessage::new(self.id.clone(), from, self.at, self.kind.clone(), content, value.clone())
        }
    }
}

fn forwarded(value: &Value) -> Forwarded {
    match (flag(value, "/context/frequently_forwarded"), flag(value, "/context/forwarded")) {
        (true, _) => Forwarded::Often,
        (false, true) => Forwarded::Once,
        (false, false) => Forwarded::No,
    }
}

fn referral(ad: &Value) -> Referral {
    Referral {
        source_url: field(ad, "/source_url"),
        source_id: field(ad, "/source_id"),
        source_type: field(ad, "/source_type"),
        headline: field(ad, "/headline"),
        body: field(ad, "/body"),
        media_type: field(ad, "/media_type"),
        media_url: field(ad, "/image_url").or_else(|| field(ad, "/video_url")),
        media_id: None,
        thumbnail_url: field(ad, "/thumbnail_url"),
        click_id: field(ad, "/ctwa_clid"),
        welcome_text: field(ad, "/welcome_message/text"),
    }
}

/// What a message of the system says of its sender's ids.
fn moved(message: &InboundMessage) -> Option<PersonNews> {
    let InboundContent::System(SystemMessage { kind, new_wa_id, new_bsuid, .. }) = &message.content else {
        return None;
    };
    let from = &message.from;
    let (who, formerly) = match kind {
        SystemKind::NumberChanged => {
            let now = person(Some(new_wa_id.as_deref()?), None, None);
            let formerly =
                Sender { phone: from.phone.clone(), wa_id: from.wa_id.clone(), ..Sender::default() };
            (now, formerly)
        }
        SystemKind::UserIdChanged => {
            let now = Sender { bsuid: Some(new_bsuid.clone()?), ..from.clone() };
            (now, Sender { bsuid: from.bsuid.clone(), ..Sender::default() })
        }
        SystemKind::IdentityChanged | SystemKind::Other(_) => return None,
    };
    let formerly = formerly.is_known().then_some(formerly);
    Some(PersonNews { who, formerly, at: message.at })
}
