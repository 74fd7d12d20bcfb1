//! What can go wrong for a caller: one type for every operation, each with a code that stays.

use palomar_broker::{BrokerError, ControlError};
use palomar_model::{FieldError, MessageId};
use palomar_records::{RecordsError, SuppressionReason};

/// Why an operation was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppError {
    /// The input breaks rules; all of them that were found.
    #[error("{}", first_of(.0))]
    Invalid(Vec<FieldError>),
    /// It does not exist, or not for this caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// This caller may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// It does not fit how things stand.
    #[error("{detail}")]
    Conflict {
        /// The code.
        code: &'static str,
        /// What does not fit.
        detail: String,
    },
    /// Nothing is sent to this recipient.
    #[error("nothing is sent to this recipient: {}", .0.in_words())]
    Suppressed(SuppressionReason),
    /// The same idempotency key, or the same id, came before with another body.
    #[error("this request came before with another body")]
    IdempotencyMismatch {
        /// The message of the first request.
        of: MessageId,
    },
    /// The same idempotency key came before with another body, for something that is no message.
    #[error("this request came before with another body")]
    OtherBody,
    /// More than is taken at once.
    #[error("{0}")]
    TooLarge(&'static str),
    /// The disk is full.
    #[error("out of disk space: nothing more is accepted until there is room; what was accepted goes on")]
    Full,
    /// This process is stopping.
    #[error("this node is stopping: ask another, or again in a moment")]
    Draining,
    /// As many follow events as may.
    #[error("{most} clients follow events on this node already, which is as many as may")]
    Crowded {
        /// How many may.
        most: usize,
    },
    /// The queues can't be reached, and the spool is full.
    #[error(
        "the queues can't be reached, and the spool is full: nothing more is accepted until they are back"
    )]
    SpoolFull,
    /// A store does not answer. Whether the request took effect is not known; repeating it is safe.
    #[error("{0}")]
    Unavailable(String),
}

fn first_of(errors: &[FieldError]) -> String {
    match errors {
        [] => "the input breaks a rule".to_owned(),
        [one] => one.to_string(),
        [first, others @ ..] => format!("{first} (and {} more)", others.len()),
    }
}

impl AppError {
    /// The code, which stays the same in all versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            AppError::Invalid(_) => "invalid",
            AppError::NotFound(_) => "not_found",
            AppError::Forbidden(_) => "forbidden",
            AppError::Conflict { code, .. } => code,
            AppError::Suppressed(SuppressionReason::Blocked) => "recipient_blocked",
            AppError::Suppressed(_) => "recipient_suppressed",
            AppError::IdempotencyMismatch { .. } | AppError::OtherBody => "idempotency_mismatch",
            AppError::TooLarge(_) => "too_large",
            AppError::Full => "storage_full",
            AppError::Draining => "draining",
            AppError::Crowded { .. } => "too_many_clients",
            AppError::SpoolFull => "spool_full",
            AppError::Unavailable(_) => "unavailable",
        }
    }

    /// One rule that is broken at `pointer`.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> AppError {
        AppError::Invalid(vec![FieldError::new(pointer, detail)])
    }

    pub(crate) fn wrong_state(detail: impl Into<String>) -> AppError {
        AppError::Conflict { code: "wrong_state", detail: detail.into() }
    }
}

impl From<BrokerError> for AppError {
    fn from(error: BrokerError) -> AppError {
        match error {
            BrokerError::Full => AppError::Full,
            BrokerError::SpoolFull => AppError::SpoolFull,
            BrokerError::TooLarge(what) => AppError::TooLarge(what),
            other => AppError::Unavailable(other.to_string()),
        }
    }
}

impl From<ControlError> for AppError {
    fn from(error: ControlError) -> AppError {
        match &error {
            ControlError::NoQueue(_) => AppError::NotFound("queue"),
            ControlError::NoJob(_) => AppError::NotFound("message"),
            ControlError::WrongState(state) => {
                AppError::wrong_state(format!("it is {}, which does not allow this", state.as_str()))
            }
            ControlError::InSpool => AppError::Unavailable(
                "it waits in this node's spool until the queues have taken it: order it again in a moment"
                    .to_owned(),
            ),
            ControlError::NotEmpty(_) => AppError::Conflict { code: "not_empty", detail: error.to_string() },
            ControlError::Invalid(why) => AppError::invalid("/limits", why.as_ref()),
        }
    }
}

impl From<RecordsError> for AppError {
    fn from(error: RecordsError) -> AppError {
        match error {
            RecordsError::Full => AppError::Full,
            RecordsError::NotFound(what) => AppError::NotFound(what),
            RecordsError::Exists(_) => AppError::Conflict { code: "exists", detail: error.to_string() },
            RecordsError::BadCursor => AppError::invalid("/cursor", "is not a cursor of this list"),
            other => AppError::Unavailable(other.to_string()),
        }
    }
}
