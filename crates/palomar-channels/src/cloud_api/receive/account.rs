//! What a webhook says beside messages and statuses: of the account, its numbers and templates, and of people. `None`
//! where the value is not what its field promises: it is then kept as it came, like a field that is not known.

use palomar_model::{
    Bsuid, ChannelEvent, ChannelNews, NewRecipients, PersonNews, Preference, Sender, Standing,
    TemplateChange, TemplateNews, Timestamp, Wish,
};
use serde_json::Value;

use super::fields::{described, field, instant, list, person, text};

/// Reads the value of a field.
pub(super) fn events(name: &str, value: &Value, received_at: Timestamp) -> Option<Vec<ChannelEvent>> {
    let channel = |what| vec![ChannelEvent::Channel { what: Box::new(what), raw: value.clone() }];
    match name {
        "account_update" => standing(value).map(channel),
        "account_alerts" => alert(value).map(channel),
        "security" => security(value).map(channel),
        "phone_number_quality_update" => quality(value).map(channel),
        "phone_number_name_update" => display_name(value).map(channel),
        "business_capability_update" => capability(value).map(channel),
        "user_preferences" => each(value, "/user_preferences", |item| preference(item, value, received_at)),
        "user_id_update" => each(value, "/user_id_update", |item| new_user_id(item, value, received_at)),
        name => template(name, value)
            .map(|what| vec![ChannelEvent::Template { what: Box::new(what), raw: value.clone() }]),
    }
}

/// All items or nothing: half of a list that was read would hide the other half.
fn each(
    value: &Value,
    pointer: &str,
    read: impl Fn(&Value) -> Option<ChannelEvent>,
) -> Option<Vec<ChannelEvent>> {
    let events: Option<Vec<_>> = list(value, pointer).iter().map(read).collect();
    events.filter(|events| !events.is_empty())
}

fn standing(value: &Value) -> Option<ChannelNews> {
    let event = field(value, "/event")?;
    let (standing, reason, date) = match event.as_str() {
        "DISABLED_UPDATE" => {
            let state = field(value, "/ban_info/waba_ban_state");
            let standing = match state.as_deref() {
                Some("DISABLE") => Standing::Banned,
                Some("SCHEDULE_FOR_DISABLE") => Standing::BanScheduled,
                Some("REINSTATE") => Standing::Restored,
                _ => Standing::Other,
            };
            (standing, state, field(value, "/ban_info/waba_ban_date"))
        }
        "ACCOUNT_RESTRICTION" => {
            let restrictions = list(value, "/restriction_info");
            let kinds: Vec<_> =
                restrictions.iter().filter_map(|one| field(one, "/restriction_type")).collect();
            let until = restrictions.iter().filter_map(|one| instant(one, "/expiration")).max();
            (Standing::Restricted, Some(kinds.join(", ")), until.map(|until| until.to_string()))
        }
        "ACCOUNT_VIOLATION" => (Standing::Warned, field(value, "/violation_info/violation_type"), None),
        "ACCOUNT_DELETED" | "PARTNER_REMOVED" | "ACCOUNT_OFFBOARDED" => (Standing::Gone, None, None),
        "ACCOUNT_RECONNECTED" => (Standing::Restored, None, None),
        _ => (Standing::Other, None, None),
    };
    Some(ChannelNews::Standing { standing, event, reason: reason.filter(|text| !text.is_empty()), date })
}

fn alert(value: &Value) -> Option<ChannelNews> {
    let info =
        |key: &str| field(value, &format!("/alert_info/{key}")).or_else(|| field(value, &format!("/{key}")));
    Some(ChannelNews::Alert {
        severity: info("alert_severity").unwrap_or_else(|| "UNKNOWN".to_owned()),
        title: info("alert_type")?,
        text: info("alert_description"),
    })
}

fn security(value: &Value) -> Option<ChannelNews> {
    Some(ChannelNews::Security { event: field(value, "/event")?, by: field(value, "/requester") })
}

fn quality(value: &Value) -> Option<ChannelNews> {
    Some(ChannelNews::Quality {
        event: field(value, "/event")?,
        rating: None,
        new_recipients: new_recipients(value)
            .or_else(|| NewRecipients::parse(&field(value, "/current_limit")?)),
    })
}

fn capability(value: &Value) -> Option<ChannelNews> {
    let event = "CAPABILITY_UPDATE".to_owned();
    Some(ChannelNews::Quality { event, rating: None, new_recipients: Some(new_recipients(value)?) })
}

fn new_recipients(value: &Value) -> Option<NewRecipients> {
    let number = field(value, "/max_daily_conversations_per_business");
    NewRecipients::parse(&number.or_else(|| field(value, "/max_daily_conversation_per_phone"))?)
}

fn display_name(value: &Value) -> Option<ChannelNews> {
    Some(ChannelNews::Name {
        name: field(value, "/requested_verified_name")?,
        decision: field(value, "/decision")?,
        reason: field(value, "/rejection_reason").filter(|reason| reason != "NONE"),
    })
}

fn template(name: &str, value: &Value) -> Option<TemplateNews> {
    let change = match name {
        "message_template_status_update" => template_status(value)?,
        "message_template_quality_update" => TemplateChange::Quality {
            from: field(value, "/previous_quality_score"),
            to: field(value, "/new_quality_score")?,
        },
        "template_category_update" => category(value)?,
        "message_template_components_update" => TemplateChange::Components,
        _ => return None,
    };
    Some(TemplateNews {
        id: field(value, "/message_template_id"),
        name: field(value, "/message_template_name")?,
        language: field(value, "/message_template_language"),
        change,
    })
}

fn template_status(value: &Value) -> Option<TemplateChange> {
    let status = field(value, "/event")?;
    let usable = match status.as_str() {
        "APPROVED" | "REINSTATED" | "FLAGGED" | "UNARCHIVED" => Some(true),
        "REJECTED" | "PENDING" | "PAUSED" | "DISABLED" | "IN_APPEAL" | "LIMIT_EXCEEDED" | "LOCKED"
        | "DELETED" | "PENDING_DELETION" | "ARCHIVED" => Some(false),
        _ => None,
    };
    let reason = field(value, "/rejection_info/reason")
        .or_else(|| field(value, "/other_info/title"))
        .or_else(|| field(value, "/reason").filter(|reason| reason != "NONE"));
    Some(TemplateChange::Status { status, usable, reason })
}

/// While a change is announced, `new_category` is the one that holds until then.
fn category(value: &Value) -> Option<TemplateChange> {
    let new = field(value, "/new_category")?;
    Some(match field(value, "/correct_category") {
        Some(correct) => TemplateChange::Category {
            from: Some(new),
            to: correct,
            announced_for: instant(value, "/category_update_timestamp"),
        },
        None => TemplateChange::Category {
            from: field(value, "/previous_category"),
            to: new,
            announced_for: None,
        },
    })
}

/// Whom an item of a list is about.
fn subject(item: &Value, value: &Value, user: Option<&str>) -> Sender {
    let account = field(item, "/wa_id");
    let who = person(account.as_deref(), user, field(item, "/parent_user_id").as_deref());
    described(who, account.as_deref(), user, list(value, "/contacts"))
}

fn preference(item: &Value, value: &Value, received_at: Timestamp) -> Option<ChannelEvent> {
    let who = subject(item, value, field(item, "/user_id").as_deref());
    let wish = match field(item, "/value")?.as_str() {
        "stop" => Wish::Stop,
        "resume" | "signup" => Wish::Resume,
        other => Wish::Other(other.to_owned()),
    };
    let category = field(item, "/category").unwrap_or_else(|| "marketing_messages".to_owned());
    let at = instant(item, "/timestamp").unwrap_or(received_at);
    who.is_known().then(|| ChannelEvent::Preference(Box::new(Preference { who, category, wish, at })))
}

fn new_user_id(item: &Value, value: &Value, received_at: Timestamp) -> Option<ChannelEvent> {
    let ids = item.get("user_id")?;
    let who = subject(item, value, ids.get("current").and_then(text).as_deref());
    who.bsuid.as_ref()?;
    let previous = ids.get("previous").and_then(text).as_deref().and_then(Bsuid::parse);
    let formerly = previous.map(|bsuid| Sender { bsuid: Some(bsuid), ..Sender::default() });
    let at = instant(item, "/timestamp").unwrap_or(received_at);
    Some(ChannelEvent::Person(Box::new(PersonNews { who, formerly, at })))
}
