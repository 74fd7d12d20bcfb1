//! What a send job is to send: read, checked as a whole, and kept as requests for messages.

use palomar_model::{ChannelName, FieldError, SendJobState};
use palomar_records::{CreatedSendJob, SendJobRecord};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::PREFIX;
use super::view::SendJobView;
use crate::{App, AppError, Caller, IdempotencyKey, NewMessage, identity};

/// Messages of one job.
const MOST: usize = 10_000;
/// The longest pause between two: a day.
const LONGEST_DELAY: u64 = 86_400_000;

/// A send job to be made: `messages`, or one by `to` and `message`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSendJob {
    /// The channel that sends it, or the pool of channels.
    #[serde(alias = "browserContextId", alias = "instanceName")]
    pub channel: ChannelName,
    /// What is sent, in order: each `{to, message}`, or a request as for a message.
    #[serde(default)]
    pub messages: Option<Vec<Value>>,
    /// Whom a single message goes to.
    #[serde(default)]
    pub to: Option<Value>,
    /// Its words.
    #[serde(default)]
    pub message: Option<Value>,
    /// The pause between the end of one message and the next.
    #[serde(default, alias = "delay", alias = "delayBetweenMessages")]
    pub delay_ms: u64,
    /// What all messages have that do not say otherwise.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
}

/// A send job that a request made.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeSendJob {
    /// As it is now.
    pub job: SendJobView,
    /// Whether the same request had made it before.
    pub replayed: bool,
}

impl App {
    /// Makes a send job; where the same request came before, answers what that made, as it is now. When this has answered, it
    /// is durable.
    ///
    /// # Errors
    /// What is wrong with any of its messages, by place.
    pub async fn create_send_job(
        &self,
        new: NewSendJob,
        request: Option<(&IdempotencyKey, u64)>,
        caller: &Caller,
    ) -> Result<MadeSendJob, AppError> {
        let now = self.now();
        let request = request.map(|(key, body)| identity::of_campaign(caller, key, body, now));
        let (kind, messages) = messages_of(&new)?;
        if new.delay_ms > LONGEST_DELAY {
            return Err(AppError::invalid("/delayMs", "must be at most 86400000"));
        }
        let lines = self.lines_of(&new.channel);
        if lines.is_empty() {
            self.setup.take_in().await?;
        }
        let lines = self.lines_of(&new.channel);
        let Some(first) = lines.first().filter(|_| lines.iter().all(|line| caller.may_use(&line.name)))
        else {
            return Err(AppError::invalid(
                "/channel",
                "there is no such channel, or this key may not use it",
            ));
        };
        let mut errors = Vec::new();
        let mut bodies = Vec::with_capacity(messages.len());
        for (n, message) in messages.into_iter().enumerate() {
            let body = body_of(message, new.metadata.as_ref());
            let checked = NewMessage::from_json(&body, self.default_region()).and_then(|message| {
                let errors = first.channel.validate(&message.to, &message.content);
                if errors.is_empty() { Ok(()) } else { Err(errors) }
            });
            let place = if kind == "bulk" { format!("/messages/{n}") } else { String::new() };
            let placed = |error: FieldError| {
                FieldError::new(format!("{place}{}", error.pointer), error.detail.to_string())
            };
            errors.extend(checked.err().unwrap_or_default().into_iter().map(placed));
            bodies.push(body);
        }
        if !errors.is_empty() {
            errors.truncate(100);
            return Err(AppError::Invalid(errors));
        }
        let job = SendJobRecord {
            id: format!("{PREFIX}{}", self.ids.uuid(now).simple()),
            channel: new.channel,
            kind: kind.to_owned(),
            state: SendJobState::Pending,
            live: true,
            delay_ms: new.delay_ms,
            total: bodies.len() as u64,
            fed: 0,
            refused: 0,
            version: 0,
            created_at: now,
            updated_at: now,
            started_at: None,
            ended_at: None,
        };
        match self.records.create_send_job(job, bodies, request).await? {
            CreatedSendJob::Now(made) => {
                self.send_jobs.wake.notify_one();
                Ok(MadeSendJob { job: self.send_job_view(*made).await?, replayed: false })
            }
            CreatedSendJob::Before(id) => {
                let made = self.records.send_job(&id).await?;
                let made = made.ok_or_else(|| AppError::wrong_state("the send job it made was deleted"))?;
                Ok(MadeSendJob { job: self.send_job_view(made).await?, replayed: true })
            }
            CreatedSendJob::Other => Err(AppError::OtherBody),
        }
    }
}

/// What a job sends, and what kind it is.
fn messages_of(new: &NewSendJob) -> Result<(&'static str, Vec<Value>), AppError> {
    match (&new.messages, &new.to, &new.message) {
        (Some(messages), None, None) => match messages.len() {
            0 => Err(AppError::invalid("/messages", "must not be empty")),
            1..=MOST => Ok(("bulk", messages.clone())),
            _ => Err(AppError::invalid("/messages", "must be at most 10000; make several jobs")),
        },
        (None, Some(to), Some(message)) => Ok(("single", vec![json!({ "to": to, "message": message })])),
        _ => Err(AppError::invalid("/messages", "give either messages, or to and message")),
    }
}

/// The request for one message. `{to, message}` is a text.
fn body_of(message: Value, metadata: Option<&Map<String, Value>>) -> Value {
    let Value::Object(mut fields) = message else { return message };
    if let Some(words) = fields.remove("message") {
        fields.insert("type".to_owned(), "text".into());
        fields.insert("content".to_owned(), json!({ "text": words }));
    }
    if let Some(metadata) = metadata
        && !fields.contains_key("metadata")
    {
        fields.insert("metadata".to_owned(), metadata.clone().into());
    }
    // The job says through which channel, when and as whose part it goes.
    let own = ["id", "channel", "instanceName", "campaignId", "scheduledAt"];
    let foreign = own.into_iter().find(|name| fields.contains_key(*name));
    if let Some(name) = foreign {
        fields.insert(format!("{name} (the job says it)"), Value::Null);
    }
    fields.into()
}
