//! 50 000 damaged forms; `SEED` chooses which.

use super::tests::{NOW, read};
use super::*;
use crate::testing::{Dice, files};

/// Whatever is done to a form and to the query: no panic, no event without an id, no time but that of receipt, no NUL.
#[test]
fn damaged_forms() {
    const PIECES: [&[u8]; 10] = [
        b"%00",
        b"%",
        b"%F0%9F",
        b"&",
        b"=",
        b"&MessageSid=",
        b"&MessageStatus=",
        b"&NumMedia=99999999999999999999",
        b"&MediaUrl0=x",
        b"&From=whatsapp%3AES.1",
    ];
    let mut dice = Dice::from_env();
    let corpus: Vec<_> =
        ["twilio/inbound", "twilio/status"].into_iter().flat_map(files).map(|(_, body)| body).collect();
    let mut events = 0;
    for _ in 0..50_000 {
        let mut body = corpus[dice.below(corpus.len())].clone();
        if dice.below(2) == 0 {
            let at = dice.below(body.len());
            body.splice(at..at, PIECES[dice.below(PIECES.len())].iter().copied());
        } else {
            dice.damage(&mut body);
        }
        let mut query = b"tag=palomar%3A01890a5d-ac96-774b-bcce-b302099a8057%3A2".to_vec();
        dice.damage(&mut query);
        let parsed = read(&body, &String::from_utf8_lossy(&query));
        assert!(parsed.events.len() <= 1, "{parsed:?}");
        assert!(
            !parsed.events.is_empty() || parsed.problems.iter().any(|problem| !problem.kept),
            "{parsed:?}"
        );
        for received in &parsed.events {
            let (id, at, words) = match &received.event {
                ChannelEvent::Message(message) => {
                    assert!(message.from.is_known());
                    (&message.provider_id, message.at, serde_json::to_string(message))
                }
                ChannelEvent::Status(report) => {
                    (&report.provider_id, report.at, serde_json::to_string(report))
                }
                ChannelEvent::Other { .. } => continue,
                _ => panic!("{parsed:?}"),
            };
            assert!(!id.0.is_empty() && at == NOW);
            // A backslash that somebody wrote is escaped itself.
            let words = words.expect("json").replace("\\\\", "");
            assert!(!words.contains("\\u0000"), "{words}");
            events += 1;
        }
    }
    assert!(events > 10_000, "the damage leaves too little to read ({events})");
}
