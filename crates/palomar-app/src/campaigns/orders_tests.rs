//! What an order makes of a campaign that others change meanwhile.

use std::time::Duration;

use palomar_records::{BatchState, CreatedCampaign, NewRecipient};
use serde_json::json;

use super::super::input::PlanInput;
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn definition(plan: serde_json::Value) -> serde_json::Value {
    let mut definition = Definition::default();
    let plan = serde_json::from_value::<PlanInput>(plan).expect("a plan");
    definition.change(plan).expect("a definition");
    serde_json::to_value(definition).expect("json")
}

fn recipient(n: u32) -> NewRecipient {
    NewRecipient {
        recipient: format!("+34600{n:06}"),
        match_key: format!("34600{n:06}"),
        fields: serde_json::Map::new(),
        zones: String::new(),
        left_out: None,
    }
}

async fn draft(records: &Records) -> CampaignRecord {
    let campaign = CampaignRecord {
        id: "campaign_1".to_owned(),
        number: 0,
        name: "Verano".to_owned(),
        channel: "demo".parse().expect("a name"),
        definition: definition(json!({"message": "Hola"})),
        state: CampaignState::Draft,
        live: false,
        recipients: 0,
        duplicates: 0,
        judged: palomar_records::Judged::default(),
        version: 0,
        created_at: NOW,
        updated_at: NOW,
        started_at: None,
        ended_at: None,
        held: Duration::ZERO,
    };
    let all = (0..60).map(recipient).collect();
    match records.create_campaign(campaign, all, None).await.expect("created") {
        CreatedCampaign::Now(made) => *made,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn batches_fit_the_day_of_the_version_that_begins() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = Records::open(dir.path(), NOW).expect("records");
    let mut seen = draft(&records).await;
    // Somebody gives its days a cap after it was looked at, and before it begins.
    let mut capped = seen.clone();
    capped.definition = definition(json!({"message": "Hola", "dailyCap": 20}));
    let capped = records.change_campaign(capped, CampaignChange::default(), NOW).await;
    assert!(capped.expect("written").is_some());
    let start = CampaignOrder::Start;
    let given = give_once(&records, &mut seen, &start, NOW, Some(50)).await.expect("an answer");
    assert_eq!((given, seen.version), (Given::NotYet, 2), "it is looked at again");
    let given = give_once(&records, &mut seen, &start, NOW, Some(50)).await.expect("an answer");
    assert_eq!(given, Given::Now);
    let batches = records.campaign_batches(seen.number, BatchState::Waiting, None, 99).await;
    let sizes: Vec<_> = batches.expect("read").iter().map(|batch| batch.size).collect();
    assert_eq!(sizes, [5; 12], "a day of 20 has room for them");
}
