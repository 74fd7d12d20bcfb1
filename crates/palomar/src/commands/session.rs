//! `palomar session`: browser sessions. The code that links a phone is drawn on the terminal.

use std::time::Duration;

use clap::{Args, Subcommand};
use qrcode::{EcLevel, QrCode};
use serde_json::{Value, json};

use super::{confirm, number, row, segment, short_time, text};
use crate::cli::Context;
use crate::client::Client;
use crate::failure::Failure;

const SESSIONS: &str = "/api/sessions";
/// While somebody waits for a code or for a login, it is asked for so often.
const LOOK: Duration = Duration::from_millis(500);

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Automating WhatsApp Web is against WhatsApp's terms and can cost the number. The official way is a channel of the Cloud
API: `palomar channel create --help`. Sessions need [web] enabled = true.")]
pub(crate) enum Verb {
    /// Make a session, and open its browser.
    Create(Create),
    /// List all sessions.
    List,
    /// Show one.
    Show {
        /// The session.
        name: String,
    },
    /// Draw the code that links a phone; with --wait, draw each new one until the phone is linked.
    Qr {
        /// The session.
        name: String,
        /// Until it is scanned.
        #[arg(long)]
        wait: bool,
    },
    /// Open a session that was closed.
    Open {
        /// The session.
        name: String,
    },
    /// End a session's browser; its login stays.
    Close {
        /// The session.
        name: String,
    },
    /// End a session's browser and start it again.
    Restart {
        /// The session.
        name: String,
    },
    /// Keep a picture of a session's page in a file; people's names and words are illegible in it.
    Picture {
        /// The session.
        name: String,
        /// The file.
        #[arg(long, value_name = "FILE")]
        out: std::path::PathBuf,
    },
    /// Remove a session, its login and its channel; its messages stay.
    Remove {
        /// The session.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// A session to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name, which is its channel's.
    name: String,
    /// The shortest pause between two messages, in milliseconds.
    #[arg(long, value_name = "MS")]
    delay_min_ms: Option<u32>,
    /// The longest.
    #[arg(long, value_name = "MS")]
    delay_max_ms: Option<u32>,
    /// Let writing take the time that it takes a person.
    #[arg(long)]
    typing: bool,
    /// Send from this time of the day on, until the other: 09:00.
    #[arg(long, value_name = "TIME", requires = "until")]
    from: Option<String>,
    /// See --from.
    #[arg(long, value_name = "TIME", requires = "from")]
    until: Option<String>,
    /// Whose clocks that is by: Europe/Madrid. Universal time where nothing is said.
    #[arg(long, value_name = "ZONE", requires = "from")]
    time_zone: Option<String>,
    /// The pool that it sends for: several sessions under one name.
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Do not open it yet.
    #[arg(long)]
    closed: bool,
}

fn path(name: &str) -> String {
    format!("{SESSIONS}/{}", segment(name))
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    match verb {
        Verb::Create(flags) => {
            let mut settings = json!({ "typing": flags.typing });
            if let (Some(from), Some(until)) = (&flags.from, &flags.until) {
                settings["hours"] = json!({ "from": from, "until": until });
            }
            if let Some(zone) = &flags.time_zone {
                settings["timeZone"] = json!(zone);
            }
            for (key, value) in [("delayMinMs", flags.delay_min_ms), ("delayMaxMs", flags.delay_max_ms)] {
                if let Some(value) = value {
                    settings[key] = value.into();
                }
            }
            if let Some(pool) = flags.pool {
                settings["pool"] = pool.into();
            }
            let body = json!({ "name": flags.name, "settings": settings, "open": !flags.closed });
            shown(context, &client.post(SESSIONS, &[], &body).await?)?;
            context.out.talk("Link a phone: palomar session qr NAME --wait");
            Ok(())
        }
        Verb::List => list(context, &client).await,
        Verb::Show { name } => shown(context, &client.get(&path(&name), &[]).await?),
        Verb::Qr { name, wait } => qr(context, &client, &name, wait).await,
        Verb::Open { name } => order(context, &client, &name, "open").await,
        Verb::Close { name } => order(context, &client, &name, "close").await,
        Verb::Restart { name } => order(context, &client, &name, "restart").await,
        Verb::Picture { name, out } => {
            let request = client.request(reqwest::Method::GET, &format!("{}/picture", path(&name)), &[])?;
            let picture = client.send(request).await?.bytes().await;
            let picture =
                picture.map_err(|error| Failure::new(format!("the picture did not come: {error}")))?;
            std::fs::write(&out, picture)
                .map_err(|error| Failure::new(format!("can't write {}: {error}", out.display())))?;
            context.out.talk(format_args!("{} is written", out.display()));
            Ok(())
        }
        Verb::Remove { name, yes } => {
            confirm(context, yes, &format!("remove the session {name} and its login"))?;
            client.delete(&path(&name), &[]).await?;
            context.out.talk(format_args!("{name} is removed"));
            Ok(())
        }
    }
}

async fn order(context: &Context, client: &Client, name: &str, what: &str) -> Result<(), Failure> {
    shown(context, &client.post(&format!("{}/{what}", path(name)), &[], &json!({})).await?)
}

async fn list(context: &Context, client: &Client) -> Result<(), Failure> {
    let sessions = client.list(SESSIONS, &[], usize::MAX).await?;
    if context.out.json {
        return context.out.document(&sessions);
    }
    let cells = |session: &Value| {
        let mut cells = row(session, &["name", "status", "reason"]);
        cells.push(short_time(session, "since"));
        cells
            .extend([number(&session["counts"], "sent"), number(session, "restarts")].map(|n| n.to_string()));
        cells.push(memory(session));
        cells
    };
    let rows: Vec<_> = sessions.iter().map(cells).collect();
    let heads = ["name", "status", "reason", "since", "sent", "restarts", "memory"];
    context.out.table(&heads, &rows, "no sessions");
    Ok(())
}

fn memory(session: &Value) -> String {
    session["memoryBytes"].as_u64().map_or(String::new(), |bytes| format!("{} MiB", bytes >> 20))
}

fn shown(context: &Context, session: &Value) -> Result<(), Failure> {
    if context.out.json {
        return context.out.document(session);
    }
    let keys = ["name", "status", "reason", "detail", "since", "wanted", "restarts", "pageVersion"];
    let mut pairs: Vec<_> = keys.map(|key| (key, text(session, key))).into();
    pairs.push(("memory", memory(session)));
    pairs.retain(|(_, value)| !value.is_empty());
    context.out.pairs(&pairs);
    Ok(())
}

/// Draws the code; the next one too where it is waited for.
async fn qr(context: &Context, client: &Client, name: &str, wait: bool) -> Result<(), Failure> {
    let out = context.out;
    let mut drawn = String::new();
    loop {
        let session = client.get(&path(name), &[]).await?;
        if wait && matches!(session["status"].as_str(), Some("available" | "busy")) {
            out.talk(format_args!("{name} is linked"));
            return Ok(());
        }
        if session["hasQr"] == true || !wait {
            let answer = client.get(&format!("{}/qr", path(name)), &[]).await;
            // Between the two questions the page may have gone on.
            let code = match answer {
                Err(_) if wait => Value::Null,
                answer => answer?,
            };
            let text = text(&code, "qr");
            if !text.is_empty() && text != drawn {
                if out.json {
                    out.document(&json!({ "qr": text, "expiresAt": code["expiresAt"] }))?;
                } else {
                    out.line(draw(&text)?);
                    out.talk("WhatsApp on the phone: Linked devices, Link a device. Whoever scans this code has the line.");
                }
                drawn = text;
            }
            if !wait {
                return Ok(());
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A code in half blocks, dark on light whatever the terminal's colours: two modules in each sign.
fn draw(text: &str) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|error| Failure::new(format!("the code can't be drawn: {error}")))?;
    let (width, colors) = (code.width(), code.to_colors());
    let quiet = 2;
    let side = width + 2 * quiet;
    let dark = |x: usize, y: usize| {
        let inside = (quiet..quiet + width).contains(&x) && (quiet..quiet + width).contains(&y);
        inside && colors[(y - quiet) * width + (x - quiet)] == qrcode::Color::Dark
    };
    let mut drawn = String::new();
    for y in (0..side).step_by(2) {
        for x in 0..side {
            // What is light is drawn: terminals are dark, and a code must be dark on light.
            drawn.push(match (dark(x, y), y + 1 >= side || dark(x, y + 1)) {
                (true, true) => ' ',
                (true, false) => '▄',
                (false, true) => '▀',
                (false, false) => '█',
            });
        }
        drawn.push('\n');
    }
    drawn.pop();
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_drawn_whole_with_its_quiet_zone() {
        let drawn = draw("2@abc,def,ghi,jkl,1").expect("drawn");
        let lines: Vec<&str> = drawn.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines[0].chars().all(|sign| sign == '█'), "{drawn}");
        // The eye in the corner: seven dark modules in a row.
        assert!(lines[1].starts_with("██ ▄▄▄▄▄ "), "{drawn}");
    }
}
