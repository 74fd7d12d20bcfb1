//! What a start says: the address, a sign-in link, and one line that sends a first message.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use super::first::First;
use crate::cli::reachable;
use crate::config::Settings;
use crate::output::{Output, Tone};

/// What is to be said.
pub(super) struct Greeting<'a> {
    pub(super) settings: &'a Settings,
    pub(super) address: SocketAddr,
    /// Of the sign-in link.
    pub(super) token: &'a str,
    pub(super) dir: &'a Path,
    pub(super) first: First,
}

impl Greeting<'_> {
    /// Says it, on standard output: with `--json` as one document.
    pub(super) fn print(&self, out: Output) {
        let url = reachable(self.address);
        // After the first start a link is only for who sits in front of it, not for what keeps the output.
        let link = (self.first.first_start || std::io::stdout().is_terminal()).then(|| self.link(&url));
        if out.json {
            out.line(
                json!({"address": url, "signIn": link, "keyFile": self.first.key_file, "dataDir": self.dir}),
            );
            return;
        }
        if out.quiet {
            return;
        }
        out.line(format_args!("Palomar {} ({})", env!("CARGO_PKG_VERSION"), self.settings.environment));
        out.line("");
        let mut pairs = vec![("  Address", url.clone())];
        if let Some(link) = link {
            pairs.push(("  Sign in, once", link));
        }
        pairs.push(("  Data", self.dir.display().to_string()));
        if let Some(file) = &self.first.key_file {
            pairs.push(("  Admin key", file.display().to_string()));
        }
        out.pairs(&pairs);
        if let (Some(channel), Some(file)) = (&self.first.channel, &self.first.key_file) {
            out.line("");
            out.line(out.paint(
                Tone::Dim,
                format_args!("Send a first message on the channel {channel}, which is simulated:"),
            ));
            out.line("");
            out.line(curl(&url, file, channel));
            out.line("");
        }
    }

    fn link(&self, url: &str) -> String {
        let public = self.settings.server.public_url.trim_end_matches('/');
        let base = if public.is_empty() { url } else { public };
        format!("{base}/login?token={}", self.token)
    }
}

/// One line for a shell, to be typed as it is.
fn curl(url: &str, key_file: &Path, channel: &str) -> String {
    // Written out, so that it reads in the order in which one thinks of it. A channel's name needs no quoting.
    let body =
        format!(r#"{{"channel":"{channel}","to":"+34600111222","type":"text","content":{{"text":"Hola"}}}}"#);
    let file = quoted(&key_file.display().to_string());
    format!(
        "curl -H \"Authorization: Bearer $(cat {file})\" -H 'Content-Type: application/json' -d '{body}' {url}/api/messages"
    )
}

/// A word for a shell, as it is where nothing in it has a meaning.
fn quoted(word: &str) -> String {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | ',' | ':' | '@' | '%');
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('-') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_typed_as_it_is() {
        let line = curl("http://127.0.0.1:8080", Path::new("./palomar-data/admin.key"), "demo");
        assert!(
            line.starts_with("curl -H \"Authorization: Bearer $(cat ./palomar-data/admin.key)\" -H 'Content"),
            "{line}"
        );
        assert!(!line.contains('\n'));
        let body = line.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&body["channel"], &body["content"]["text"]), (&json!("demo"), &json!("Hola")));
        for (word, shell) in [
            ("a/b.key", "a/b.key"),
            ("my data/k", "'my data/k'"),
            ("it's", r"'it'\''s'"),
            ("$x", "'$x'"),
            ("-x", "'-x'"),
        ] {
            assert_eq!(quoted(word), shell);
        }
    }
}
