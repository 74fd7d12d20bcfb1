//! `campaign_fallbacks`: the templates that went in place of a text, of campaigns that are no more: what their messages cost is
//! asked for as long as they are counted.

use crate::error::Result;
use crate::store::table::text;
use crate::store::{Db, Table, values};

pub(crate) const FALLBACKS: Table =
    Table { name: "campaign_fallbacks", columns: &[text("campaign"), text("template")], key: 1 };

/// The template of a campaign that is no more.
pub(crate) fn get(db: Db<'_>, campaign: &str) -> Result<Option<String>> {
    let text = "SELECT template FROM campaign_fallbacks WHERE campaign = $1";
    db.row(text, &values![campaign], |row| row.get("template"))
}

/// Keeps that of a campaign, beyond it.
pub(crate) fn keep(db: Db<'_>, campaign: &str, template: &str) -> Result<()> {
    let text = "INSERT INTO campaign_fallbacks (campaign, template) VALUES ($1, $2)
         ON CONFLICT (campaign) DO UPDATE SET template = excluded.template";
    db.execute(text, &values![campaign, template])?;
    Ok(())
}
