//! `palomar key`: API keys. A key's secret is shown once, when it is made.

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::{confirm, row, segment, short_time, text};
use crate::cli::Context;
use crate::failure::Failure;

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a key and print its secret, once.
    Create {
        /// Whom it is for.
        name: String,
        /// What it may do.
        #[arg(long)]
        role: Role,
        /// Only on this channel; may be said several times.
        #[arg(long)]
        channel: Vec<String>,
        /// Not after (RFC 3339).
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List keys, without their secrets.
    List,
    /// End a key, at once and for good.
    Revoke {
        /// The key's id.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// What a key may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Look.
    Viewer,
    /// Look and send.
    Operator,
    /// Everything.
    Admin,
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let client = context.client()?;
    let out = context.out;
    match verb {
        Verb::Create { name, role, channel, expires_at } => {
            let role = match role {
                Role::Viewer => "viewer",
                Role::Operator => "operator",
                Role::Admin => "admin",
            };
            let mut body = json!({"name": name, "role": role});
            if !channel.is_empty() {
                body["channels"] = json!(channel);
            }
            if let Some(time) = expires_at {
                body["expiresAt"] = json!(time);
            }
            let created = client.post("/api/keys", &[], &body).await?;
            if out.json {
                return out.document(&created);
            }
            out.talk(format_args!("The key {} ({role}); it is not shown again:", text(&created, "id")));
            out.line(text(&created, "secret"));
        }
        Verb::List => {
            let keys = client.list("/api/keys", &[], usize::MAX).await?;
            if out.json {
                return out.document(&keys);
            }
            let rows: Vec<_> = keys
                .iter()
                .map(|key| {
                    let mut cells = row(key, &["id", "name", "role"]);
                    let channels = key["channels"].as_array().map_or(&[][..], Vec::as_slice);
                    let channels: Vec<&str> = channels.iter().filter_map(|name| name.as_str()).collect();
                    cells.push(if channels.is_empty() { "all".to_owned() } else { channels.join(" ") });
                    cells.extend(
                        ["createdAt", "lastUsedAt", "expiresAt", "revokedAt"].map(|at| short_time(key, at)),
                    );
                    cells
                })
                .collect();
            let heads = ["id", "name", "role", "channels", "created", "last used", "expires", "revoked"];
            out.table(&heads, &rows, "no keys");
        }
        Verb::Revoke { id, yes } => {
            confirm(context, yes, &format!("revoke the key {id}"))?;
            client.delete(&format!("/api/keys/{}", segment(&id)), &[]).await?;
            out.talk(format_args!("{id} is revoked"));
        }
    }
    Ok(())
}
