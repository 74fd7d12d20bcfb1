//! Messages that a provider approves beforehand, as it tells of them.

use palomar_model::SendFailure;
use serde_json::Value;

use crate::channel::BoxFuture;

/// What tells of templates.
pub trait TemplateSource: Send + Sync {
    /// Asks for all of them. Changes nothing at the provider.
    fn pull(&self) -> BoxFuture<'_, Result<Vec<KnownTemplate>, SendFailure>>;
}

/// A template in one language, as its provider tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownTemplate {
    /// The provider's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its language, for example `es`.
    pub language: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    pub category: String,
    /// The provider's word: `APPROVED`, `PENDING`, `REJECTED`, `PAUSED`, `DISABLED`, …
    pub status: String,
    /// How people take it: `GREEN`, `YELLOW`, `RED`.
    pub quality: Option<String>,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// Its parts, as the provider says them.
    pub components: Value,
}
