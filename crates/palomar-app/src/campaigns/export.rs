//! What became of each contact of a campaign, as CSV: what a spreadsheet opens as it stands, read a page at a time.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::results::RecipientResult;
use crate::audience::Body;
use crate::messages::MAX_PAGE;
use crate::sheet::Csv;
use crate::{App, AppError, Caller};

const COLUMNS: [&str; 9] = [
    "recipient",
    "status",
    "reason",
    "code",
    "message_id",
    "sent_at",
    "delivered_at",
    "read_at",
    "failed_at",
];

/// A file under way.
struct Export {
    app: Arc<App>,
    id: String,
    caller: Caller,
    place: Place,
}

enum Place {
    Head,
    After(Option<String>),
    End,
}

impl Export {
    /// The next rows; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, AppError> {
        let after = match &self.place {
            Place::End => return Ok(None),
            Place::Head => {
                self.place = Place::After(None);
                let mut csv = Csv::begin();
                csv.head(&COLUMNS);
                return Ok(Some(csv.into_bytes()));
            }
            Place::After(after) => after.clone(),
        };
        let page = self.app.campaign_results(&self.id, after.as_deref(), MAX_PAGE, &self.caller).await?;
        self.place = page.next_cursor.map_or(Place::End, |next| Place::After(Some(next)));
        let mut csv = Csv::default();
        page.items.iter().for_each(|one| row(&mut csv, one));
        Ok(Some(csv.into_bytes()))
    }
}

fn row(csv: &mut Csv, one: &RecipientResult) {
    csv.text(&one.recipient);
    csv.plain(&one.status);
    csv.text(one.reason.as_deref().unwrap_or_default());
    csv.text(one.code.as_deref().unwrap_or_default());
    csv.some(one.message_id);
    for at in [one.sent_at, one.delivered_at, one.read_at, one.failed_at] {
        csv.some(at);
    }
    csv.end();
}

impl App {
    /// What became of each contact of a campaign, as CSV.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn export_campaign(self: Arc<App>, id: &str, caller: &Caller) -> Result<Body, AppError> {
        self.campaign_of(id, caller).await?;
        let export = Export { app: self, id: id.to_owned(), caller: caller.clone(), place: Place::Head };
        Ok(Box::pin(stream::try_unfold(export, async |mut export| {
            Ok(export.next().await?.map(|piece| (piece, export)))
        })))
    }
}
