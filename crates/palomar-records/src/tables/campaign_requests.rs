//! `campaign_requests`: requests with an idempotency key that made a campaign or a send job, so that one that is repeated makes
//! no other.

use palomar_model::Timestamp;

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Table, values};

pub(crate) const REQUESTS: Table = Table {
    name: "campaign_requests",
    columns: &[text("id"), int("body"), text("campaign"), int("at")],
    key: 1,
};

/// A request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignRequest {
    /// What tells it from others: of its caller, path and key.
    pub id: String,
    /// What tells its body from another.
    pub body: u64,
    /// Requests from before that are forgotten.
    pub forget_before: Timestamp,
}

/// What became of a request for something new.
#[derive(Clone, Debug, PartialEq)]
pub enum Created<T> {
    /// It was made.
    Now(Box<T>),
    /// The same request came before, and made what has this id.
    Before(String),
    /// Another request came before under the same key.
    Other,
}

impl<T> Created<T> {
    pub(crate) fn earlier((id, same): (String, bool)) -> Created<T> {
        if same { Created::Before(id) } else { Created::Other }
    }
}

/// The id of what the request made when it came first, and whether its body was the same.
pub(crate) fn earlier(db: Db<'_>, request: &CampaignRequest) -> Result<Option<(String, bool)>> {
    let text = "SELECT body, campaign FROM campaign_requests WHERE id = $1 AND at >= $2";
    db.row(text, &values![request.id.as_str(), request.forget_before], |row| {
        Ok((row.get("campaign")?, row.get::<i64>("body")? == body(request)))
    })
}

/// Notes that the request made what has this id, and forgets those that are over.
pub(crate) fn add(db: Db<'_>, request: &CampaignRequest, made: &str, at: Timestamp) -> Result<()> {
    db.execute("DELETE FROM campaign_requests WHERE at < $1", &values![request.forget_before])?;
    let text = "INSERT INTO campaign_requests (id, body, campaign, at) VALUES ($1, $2, $3, $4)";
    db.execute(text, &values![request.id.as_str(), body(request), made, at])?;
    Ok(())
}

/// The same bits, as a column takes them.
const fn body(request: &CampaignRequest) -> i64 {
    request.body.cast_signed()
}
