//! The published vectors, and 100 000 forgeries.

use serde::Deserialize;

use super::*;
use crate::testing::{Dice, files, fixture};
use crate::twilio::form;

const URL: &str = "https://engine.example.test/webhooks/line";

#[derive(Deserialize)]
struct Vector {
    name: String,
    auth_token: Secret,
    url: String,
    params: Vec<(String, String)>,
    json_body: Option<String>,
    body_file: Option<String>,
    header_value: String,
    valid: bool,
}

fn query_of(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}

#[test]
fn published_vectors() {
    let vectors = std::fs::read(fixture("signatures/twilio_x_twilio_signature.json")).expect("a file");
    let vectors: Vec<Vector> = serde_json::from_slice(&vectors).expect("vectors");
    assert_eq!(vectors.len(), 17);
    for vector in vectors {
        let Vector { name, auth_token, url, params, json_body, body_file, header_value, valid } = vector;
        let made = form_urlencoded::Serializer::new(String::new()).extend_pairs(&params).finish();
        let (kind, made) = match json_body {
            Some(json) => ("application/json", json),
            None => (form::CONTENT_TYPE, made),
        };
        let mut bodies = vec![made.into_bytes()];
        // What a forged one was made from is not what it was sent with.
        let as_sent = body_file.filter(|_| valid);
        bodies.extend(
            as_sent.map(|file| std::fs::read(fixture(file.trim_start_matches("../"))).expect("a body")),
        );
        for body in bodies {
            let header = Some(header_value.as_str());
            let signed = is_signed(&auth_token, &url, query_of(&url), Some(kind), &body, header);
            assert_eq!(signed, valid, "{name}");
        }
    }
}

#[test]
fn the_standard_port_may_be_said_or_not() {
    let token = Secret::from("token-1");
    let params = Params::read(b"Body=x").expect("a form");
    for (signed, called, accepted) in [
        ("https://a.test:443/w?x=1", "https://a.test/w?x=1", true),
        ("https://a.test/w?x=1", "https://a.test:443/w?x=1", true),
        ("http://a.test:80/w", "http://a.test/w", true),
        ("http://u:p@a.test/w", "http://u:p@a.test:80/w", true),
        ("http://[::1]/w", "http://[::1]:80/w", true),
        ("http://[::1]:80", "http://[::1]", true),
        ("https://a.test:80/w", "https://a.test/w", false),
        ("http://a.test/w", "https://a.test/w", false),
        ("https://a.test/w", "https://a.test/W", false),
        ("https://a.test/w", "https://a.test/w/", false),
        ("https://a.test/w?x=1", "https://a.test/w?x=2", false),
        ("https://a.test/w", "https://a.test.evil.test/w", false),
    ] {
        let header = sign(&token, signed, &params);
        let query = query_of(called);
        let proven = is_signed(&token, called, query, Some(form::CONTENT_TYPE), b"Body=x", Some(&header));
        assert_eq!(proven, accepted, "{signed} as {called}");
    }
}

/// A body that no signature covers is nobody's, whatever is signed beside it.
#[test]
fn no_byte_goes_unsigned() {
    let token = Secret::from("token-1");
    let bare = sign(&token, URL, &Params::default());
    let form = form::CONTENT_TYPE;
    for (content_type, body) in [
        (Some("application/json"), &b"{\"a\":1}"[..]),
        (Some("text/plain"), b"Body=x"),
        (Some("multipart/form-data; boundary=x"), b"--x"),
        (Some(""), b"Body=x"),
        (None, b"Body=x"),
        (Some(form), b"Body=x"),
    ] {
        assert!(!is_signed(&token, URL, "", content_type, body, Some(&bare)), "{content_type:?}");
    }
    assert!(is_signed(&token, URL, "", Some(form), b"", Some(&bare)));
    let params = Params::read(b"Body=x").expect("a form");
    let header = sign(&token, URL, &params);
    let with_charset = "Application/X-WWW-Form-Urlencoded; charset=utf-8";
    assert!(is_signed(&token, URL, "", Some(with_charset), b"Body=x", Some(&header)));
    assert!(!is_signed(
        &Secret::default(),
        URL,
        "",
        Some(form),
        b"",
        Some(&sign(&Secret::default(), URL, &Params::default()))
    ));
    let many = "a=1&".repeat(1001).into_bytes();
    assert!(!is_signed(&token, URL, "", Some(form), &many, Some(&bare)));
}

/// Wrong token, another address, damaged headers and bodies: none is accepted that says anything else.
#[test]
fn forgeries() {
    let mut dice = Dice::from_env();
    let token = Secret::from("0123456789abcdef0123456789abcdef");
    let corpus: Vec<_> =
        ["twilio/inbound", "twilio/status"].into_iter().flat_map(files).map(|(_, body)| body).collect();
    let accepted = |url: &str, body: &[u8], header: &str, token: &Secret| {
        is_signed(token, url, "", Some(form::CONTENT_TYPE), body, Some(header))
    };
    for n in 0..100_000 {
        let body = &corpus[dice.below(corpus.len())];
        let params = Params::read(body).expect("a form");
        let header = sign(&token, URL, &params);
        match n % 5 {
            0 => assert!(!accepted(URL, body, &sign(&Secret::from("other"), URL, &params), &token)),
            1 => assert!(!accepted("https://engine.example.test/webhooks/other", body, &header, &token)),
            2 => {
                let (mut bytes, cut) = (header.clone().into_bytes(), dice.below(header.len()));
                dice.damage(&mut bytes);
                let damaged = String::from_utf8_lossy(&bytes);
                assert_eq!(accepted(URL, body, &damaged, &token), damaged == header, "{damaged}");
                assert!(!accepted(URL, body, &header[..cut], &token));
            }
            3 => {
                let two = format!("{header}, {header}");
                let others = [two, header.to_lowercase(), format!(" {header}"), header.replace('=', "")];
                let other = &others[dice.below(others.len())];
                assert!(*other == header || !accepted(URL, body, other, &token), "{other}");
            }
            _ => {
                let mut damaged = body.clone();
                dice.damage(&mut damaged);
                // The scheme joins names and values without a mark between them: what reads the same signs the same.
                let joined = |params: &Params| params.sorted().flat_map(|(k, v)| [k, v]).collect::<String>();
                let same = !damaged.is_empty()
                    && Params::read(&damaged).is_some_and(|read| joined(&read) == joined(&params));
                assert_eq!(accepted(URL, &damaged, &header, &token), same);
            }
        }
    }
}
