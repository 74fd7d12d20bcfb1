//! Addresses that must not be called, in every form that one can be written in.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;
use crate::media::{FetchFailure, Step, Wanted};

/// A provider whose media may be anywhere, so that nothing but the guard is in the way.
struct Anywhere(Option<&'static str>);

impl MediaSource for Anywhere {
    fn own(&self) -> Option<Url> {
        self.0.map(|own| Url::parse(own).expect("an address"))
    }

    fn credentials(&self) -> Option<(HeaderName, HeaderValue)> {
        None
    }

    fn may_know(&self, host: &str) -> bool {
        host == "api.provider.example"
    }

    fn may_have(&self, host: &str, redirected: bool) -> bool {
        redirected || host != "elsewhere.example"
    }

    fn first(&self, _: &Wanted) -> Result<Step, FetchFailure> {
        unreachable!("nothing is fetched here")
    }
}

/// Hosts of private networks, of this machine and of clouds' metadata, each as somebody might write it.
const HOSTS: [&str; 74] = [
    // This machine.
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "0177.1",
    "127.000.000.001",
    "127.0.0.0x1",
    "127.255.255.254",
    "0",
    "0.0.0.0",
    "0x0",
    "00000000",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "localhost.localdomain",
    "a.localhost",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "１２７.0.0.1",
    "ⓛocalhost",
    "l%6fcalhost",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    // Clouds' metadata.
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[fd00:ec2::254]",
    "metadata.google.internal",
    "metadata",
    "instance-data",
    "100.100.100.200",
    "192.0.0.192",
    // Private and special networks.
    "10.0.0.1",
    "10.1",
    "167772161",
    "0xa000001",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.257",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "printer.local",
    "router.lan",
    "db",
    "redis.corp",
];

#[test]
fn no_form_of_a_blocked_host_is_called() {
    let mut forms = 0;
    for host in HOSTS {
        for form in [
            format!("https://{host}/x"),
            format!("https://{host}:443/x"),
            format!("HTTPS://{host}?a=b"),
            format!("https://{host}#x"),
            format!("https:////{host}/x"),
        ] {
            for redirected in [false, true] {
                let judged = judge(&form, &Anywhere(None), redirected);
                assert!(judged.is_err(), "{form} is called: {judged:?}");
            }
            forms += 1;
        }
    }
    assert!(forms >= 200, "{forms}");
}

#[test]
fn why_an_address_is_not_called() {
    let long = format!("https://media.example.com/{}", "a".repeat(5000));
    for (text, expected) in [
        ("", Blocked::NoAddress),
        ("media.example.com/x", Blocked::NoAddress),
        ("//media.example.com/x", Blocked::NoAddress),
        ("/etc/passwd", Blocked::NoAddress),
        ("https://", Blocked::NoAddress),
        ("https://exa mple.com/", Blocked::NoAddress),
        ("https://media.example.com/\r\nHost: x", Blocked::NoAddress),
        ("https://media.example.com/a\tb", Blocked::NoAddress),
        ("https:\\\\media.example.com\\x", Blocked::NoAddress),
        ("https://media.example.com\\@127.0.0.1/", Blocked::NoAddress),
        ("\u{0}https://media.example.com/", Blocked::NoAddress),
        (" https://media.example.com/", Blocked::NoAddress),
        ("https://[::1/", Blocked::NoAddress),
        ("https://media.example.com:99999/", Blocked::NoAddress),
        (&long, Blocked::NoAddress),
        ("https://user@media.example.com/", Blocked::User),
        ("https://user:word@media.example.com/", Blocked::User),
        ("https://@media.example.com/", Blocked::User),
        ("https://:@media.example.com/", Blocked::User),
        ("https://media.example.com@127.0.0.1/", Blocked::User),
        ("https://127.0.0.1@media.example.com/", Blocked::User),
        ("https://media.example.com%40127.0.0.1/", Blocked::NoAddress),
        ("http://media.example.com/", Blocked::Scheme),
        ("http://api.provider.example/", Blocked::Scheme),
        ("ftp://media.example.com/", Blocked::Scheme),
        ("file:///etc/passwd", Blocked::Scheme),
        ("file://media.example.com/etc/passwd", Blocked::Scheme),
        ("gopher://media.example.com/", Blocked::Scheme),
        ("data:text/plain,x", Blocked::Scheme),
        ("javascript:alert(1)", Blocked::Scheme),
        ("ws://media.example.com/", Blocked::Scheme),
        ("unix:/var/run/docker.sock", Blocked::Scheme),
        ("https://media.example.com:8443/", Blocked::Port),
        ("https://media.example.com:80/", Blocked::Port),
        ("https://media.example.com:22/", Blocked::Port),
        ("https://93.184.216.34/", Blocked::Number),
        ("https://[2606:2800:220:1::1]/", Blocked::Number),
        ("https://1572395042/", Blocked::Number),
        ("https://localhost/", Blocked::Internal),
        ("https://intranet/", Blocked::Internal),
        ("https://1.0.0.127.in-addr.arpa/", Blocked::Internal),
        ("https://elsewhere.example/", Blocked::Elsewhere),
    ] {
        assert_eq!(judge(text, &Anywhere(None), false).expect_err(text), expected, "{text}");
    }
}

#[test]
fn what_is_called_and_who_knows_the_credentials() {
    for (text, redirected, expected) in [
        ("https://api.provider.example/x", false, Whose::Provider),
        ("https://API.provider.example/x", false, Whose::Provider),
        ("https://api.provider.example.:443/x", false, Whose::Provider),
        ("https://api.provider.example.evil.com/x", false, Whose::Other),
        ("https://xapi.provider.example/x", false, Whose::Other),
        ("https://media.example.com/x?a=b@c", false, Whose::Other),
        ("https://elsewhere.example/", true, Whose::Other),
        ("https://bücher.example/", false, Whose::Other),
        ("http://127.0.0.1:9000/x", false, Whose::Own),
        ("http://127.1:9000/x", false, Whose::Own),
    ] {
        let (_, whose) = judge(text, &Anywhere(Some("http://127.0.0.1:9000/api")), redirected).expect(text);
        assert_eq!(whose, expected, "{text}");
    }
    // What is near the own origin is not it.
    for text in [
        "https://127.0.0.1:9000/x",
        "http://127.0.0.1:9001/x",
        "http://127.0.0.1/x",
        "http://127.0.0.2:9000/x",
        "http://localhost:9000/x",
        "http://user@127.0.0.1:9000/x",
        "http://[::ffff:127.0.0.1]:9000/x",
    ] {
        let judged = judge(text, &Anywhere(Some("http://127.0.0.1:9000/api")), true);
        assert!(judged.is_err(), "{text} is called: {judged:?}");
    }
}

#[test]
fn machines_of_the_public_internet() {
    for (ip, expected) in [
        ("93.184.216.34", true),
        ("1.1.1.1", true),
        ("172.15.255.255", true),
        ("172.32.0.0", true),
        ("100.63.255.255", true),
        ("100.128.0.0", true),
        ("223.255.255.255", true),
        ("2606:4700:4700::1111", true),
        ("2a00:1450:4003::1", true),
        ("0.0.0.0", false),
        ("10.255.255.255", false),
        ("100.64.0.0", false),
        ("100.127.255.255", false),
        ("127.0.0.1", false),
        ("169.254.169.254", false),
        ("172.16.0.0", false),
        ("172.31.255.255", false),
        ("192.0.0.8", false),
        ("192.0.2.1", false),
        ("192.88.99.1", false),
        ("192.168.1.1", false),
        ("198.18.0.1", false),
        ("198.19.255.255", false),
        ("198.51.100.1", false),
        ("203.0.113.1", false),
        ("224.0.0.1", false),
        ("240.0.0.1", false),
        ("255.255.255.255", false),
        ("::", false),
        ("::1", false),
        ("::ffff:93.184.216.34", false),
        ("::ffff:127.0.0.1", false),
        ("::127.0.0.1", false),
        ("64:ff9b::a00:1", false),
        ("64:ff9b:1::1", false),
        ("100::1", false),
        ("2001::1", false),
        ("2001:10::1", false),
        ("2001:20::1", false),
        ("2001:db8::1", false),
        ("2002:a00:1::", false),
        ("3fff::1", false),
        ("5f00::1", false),
        ("fc00::1", false),
        ("fd00:ec2::254", false),
        ("fe80::1", false),
        ("fec0::1", false),
        ("ff02::1", false),
    ] {
        assert_eq!(is_public(ip.parse().expect("an address")), expected, "{ip}");
    }
}
