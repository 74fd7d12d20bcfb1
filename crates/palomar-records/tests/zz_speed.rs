use palomar_model::*;
use palomar_records::*;
#[tokio::test]
async fn speed() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path(), Timestamp::from_seconds(1)).unwrap();
    let ids = IdGenerator::new(3);
    let mut cursor = 0_u64;
    let mut facts = Vec::new();
    let ch: ChannelName = "demo".parse().unwrap();
    let n = 20_000;
    for i in 0..n {
        let t = Timestamp::from_millis(1_767_225_600_000 + i);
        let id = ids.message_id(t);
        let m = Outbound {
            id,
            channel: ch.clone(),
            to: Recipient::parse(&format!("+346{:08}", 1_000_0000 + i), None).unwrap(),
            content: Content::text("Hola, esto es un mensaje"),
            priority: Priority::Normal,
            scheduled_at: None,
            expires_at: None,
            campaign_id: Some("c".into()),
            reply_to: None,
            fallback: None,
            on_uncertain: None,
            metadata: Default::default(),
            accepted_at: t,
        };
        let pid = ProviderMessageId(format!("wamid.HBgLMzQ2MDAxMTEyMjIVAgARGBI{i}").into());
        let st = |s| {
            What::Reported(Box::new(StatusReport {
                provider_id: pid.clone(),
                status: Status::Known(s),
                at: t,
                tag: None,
                recipient: None,
                errors: vec![],
                pricing: None,
                conversation: None,
            }))
        };
        for (msg, what) in [
            (
                Some(id),
                What::Accepted {
                    message: Box::new(m),
                    scheduled: false,
                },
            ),
            (Some(id), What::Started { attempt: 1 }),
            (
                Some(id),
                What::Sent {
                    provider_id: pid.clone(),
                    alias: None,
                },
            ),
            (Some(id), What::Done),
            (None, st(ReportedStatus::Delivered)),
            (None, st(ReportedStatus::Read)),
        ] {
            cursor += 1;
            facts.push(RecordFact {
                cursor,
                at: t,
                channel: Some(ch.clone()),
                message: msg,
                what,
            });
        }
    }
    #[allow(clippy::disallowed_methods)]
    let start = std::time::Instant::now();
    let total = facts.len();
    let mut after = 0;
    for batch in facts.chunks(1000) {
        let through = batch.last().unwrap().cursor;
        records
            .apply(after, batch.to_vec(), through, Timestamp::from_seconds(1))
            .await
            .unwrap();
        after = through;
    }
    let took = start.elapsed();
    eprintln!(
        "{} facts in {took:?}: {:.0}/s",
        total,
        total as f64 / took.as_secs_f64()
    );
}
