//! Conversations and the suppression list, for people.

use palomar_model::{ChannelName, Recipient, TraceId};
use palomar_records::{
    ConversationFilter, ConversationId, ConversationPatch, ConversationView, Direction, IdentityView,
    MessageView, Page, Suppression, SuppressionReason,
};

use crate::messages::MAX_PAGE;
use crate::{App, AppError, Caller};

/// What a reply answers is looked for among so many.
const NEWEST: usize = 20;
const MAX_LABELS: usize = 50;
const MAX_WORD: usize = 100;

/// Whom a reply goes to, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The channel.
    pub channel: ChannelName,
    /// The person, by the best of their ids.
    pub to: Recipient,
}

/// Somebody to whom nothing is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSuppression {
    /// Who.
    pub to: Recipient,
    /// On which channel; on all where not said.
    pub channel: Option<ChannelName>,
    /// Why.
    pub reason: SuppressionReason,
    /// More on why.
    pub detail: Option<String>,
}

impl App {
    /// A page of conversations, that with the newest message first; of the caller's channels only.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn conversations(
        &self,
        mut filter: ConversationFilter,
        cursor: Option<&str>,
        limit: usize,
        caller: &Caller,
    ) -> Result<Page<ConversationView>, AppError> {
        if !caller.narrow(&mut filter.channels) {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        Ok(self.records.conversations(filter, cursor, limit.clamp(1, MAX_PAGE)).await?)
    }

    /// One conversation.
    ///
    /// # Errors
    /// [`AppError::NotFound`], also where the caller may not use its channel.
    pub async fn conversation(
        &self,
        id: &ConversationId,
        caller: &Caller,
    ) -> Result<ConversationView, AppError> {
        let found = self.records.conversation(id.clone()).await?;
        found.filter(|found| caller.may_use(&found.channel)).ok_or(AppError::NotFound("conversation"))
    }

    /// A page of a conversation's messages, the newest first.
    ///
    /// # Errors
    /// As [`App::conversation`].
    pub async fn conversation_messages(
        &self,
        id: &ConversationId,
        cursor: Option<&str>,
        limit: usize,
        caller: &Caller,
    ) -> Result<Page<MessageView>, AppError> {
        let conversation = self.conversation(id, caller).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        Ok(self.records.conversation_messages(&conversation, cursor, limit).await?)
    }

    /// Keeps what people say of a conversation: who cares for it, its labels, that it was read.
    ///
    /// # Errors
    /// As [`App::conversation`]; labels and names that are empty, too long or too many.
    pub async fn update_conversation(
        &self,
        id: &ConversationId,
        mut patch: ConversationPatch,
        caller: &Caller,
    ) -> Result<ConversationView, AppError> {
        let found = self.conversation(id, caller).await?;
        if let Some(labels) = &mut patch.labels {
            labels.iter_mut().for_each(|label| *label = label.trim().to_owned());
            labels.sort();
            labels.dedup();
            if labels.len() > MAX_LABELS || !labels.iter().all(|label| is_word(label)) {
                return Err(AppError::invalid("/labels", "must be up to 50 texts of 1 to 100 characters"));
            }
        }
        if !patch.assignee.iter().flatten().all(|assignee| is_word(assignee)) {
            return Err(AppError::invalid("/assignee", "must be a text of 1 to 100 characters"));
        }
        self.records.update_conversation(found.id.clone(), patch, self.now()).await?;
        self.live.wake();
        self.conversation(&found.id, caller).await
    }

    /// Whom a reply in a conversation goes to.
    ///
    /// # Errors
    /// As [`App::conversation`]; a conversation with somebody to whom nothing can be sent.
    pub async fn reply_to(&self, id: &ConversationId, caller: &Caller) -> Result<ReplyTo, AppError> {
        let found = self.conversation(id, caller).await?;
        let known = |identity: &IdentityView| match identity.r#type.as_str() {
            "phone" | "bsuid" => Recipient::parse(&identity.value, None).ok(),
            "wa_id" => Recipient::parse(&format!("+{}", identity.value), None).ok(),
            _ => None,
        };
        let to = found.contact.identities.iter().find_map(known);
        let nobody = || AppError::Conflict {
            code: "no_recipient",
            detail: "nothing is known of this person that a message could be sent to".to_owned(),
        };
        Ok(ReplyTo { channel: found.channel, to: to.ok_or_else(nobody)? })
    }

    /// The trace of what was written last in a conversation: a reply belongs to it, unless its request says another.
    /// None where that is not known any more.
    pub async fn trace_to_answer(&self, id: &ConversationId, caller: &Caller) -> Option<TraceId> {
        let newest = self.conversation_messages(id, None, NEWEST, caller).await.ok()?.items;
        let written = newest.into_iter().find(|message| message.direction == Direction::Inbound)?;
        let timeline = self.records.timeline(written.id).await.ok()?;
        let received = timeline.into_iter().find(|entry| entry.kind == "received")?;
        received.detail["trace"].as_str()?.parse().ok()
    }

    /// A page of those to whom nothing is sent, the newest first.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn suppressions(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Suppression>, AppError> {
        Ok(self.records.suppressions(cursor, limit.clamp(1, MAX_PAGE)).await?)
    }

    /// Keeps that nothing is sent to somebody. One that stands already stays as it is, unless they had opted out by
    /// themselves and the business says more.
    ///
    /// # Errors
    /// Where records can't be written.
    pub async fn suppress(&self, new: NewSuppression) -> Result<Suppression, AppError> {
        let suppression = Suppression::of(&new.to, new.channel.clone(), new.reason, self.now());
        let suppression = Suppression { detail: new.detail, ..suppression };
        self.records.suppress(suppression.clone()).await?;
        Ok(suppression)
    }

    /// Takes a suppression back, whatever its reason.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn unsuppress(&self, to: &Recipient, channel: Option<ChannelName>) -> Result<(), AppError> {
        Ok(self.records.unsuppress(to.key(), channel, self.now()).await?)
    }
}

fn is_word(text: &str) -> bool {
    let length = text.chars().count();
    (1..=MAX_WORD).contains(&length) && !text.chars().any(|c| c.is_control() || c == '"' || c == '\\')
}
