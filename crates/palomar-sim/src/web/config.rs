//! How the page behaves, and the span in which ticks come.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::span::InvalidSetting;

/// What the page does, and does wrong. `POST /_sim/faults` changes it while it runs: what is given replaces what was
/// set, an unknown field is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behaviour {
    /// `en` or `es`.
    pub language: Language,
    /// How long a QR is shown before the next one.
    pub qr_ms: u64,
    /// After so many QRs the page stops and offers a button; 0 for never.
    pub qr_refreshes: u32,
    /// From the page's begin to its first screen.
    pub load_ms: u64,
    /// From the scan to the chats.
    pub sync_ms: u64,
    /// How long "Starting chat" stays before a chat opens.
    pub open_ms: u64,
    /// From the send button to the server's tick.
    pub tick_ms: u64,
    /// From the server's tick to the second one, and from there to the blue ones; none where it is missing.
    pub delivered_ms: Option<u64>,
    /// See `delivered_ms`.
    pub read_ms: Option<u64>,
    /// How many messages of the open chat are rendered.
    pub rows: u32,
    /// How many rows of the list of chats are drawn at once, the others when it is scrolled; 0 for as many as there are.
    pub listed: u32,
    /// Rows carry the bare id, without the chat.
    pub bare_ids: bool,
    /// The family of names of ticks: `msg` or `ic`.
    pub icons: Icons,
    /// Elements that look another way than drivers know: `qr`, `chats`, `composer`, `send`, `tick`.
    pub changed: Vec<String>,
    /// Numbers that are not on WhatsApp, as digits; those that end in 9000001 never are.
    pub invalid: Vec<String>,
    /// Numbers that can't be written to; those that end in 9000002 never can.
    pub blocked: Vec<String>,
    /// The clock stays: the server is not told, and does not take it.
    pub never_ticks: bool,
    /// The server takes it, and its answer is lost: the clock stays.
    pub loses_answers: bool,
    /// The server refuses: a red mark.
    pub fails: bool,
    /// No send button appears, and Enter does nothing.
    pub no_send_button: bool,
    /// A dialog about nothing covers each chat.
    pub popup: bool,
    /// Chats never open.
    pub never_opens: bool,
    /// After the login the chats never come.
    pub never_loads: bool,
    /// The phone is away: a banner.
    pub offline: bool,
    /// The page refuses the browser.
    pub unsupported: bool,
}

/// What the page's words are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
}

/// The names of ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Icons {
    /// `msg-check` and its kin.
    #[default]
    Msg,
    /// `ic-done` and its kin.
    Ic,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            language: Language::En,
            qr_ms: 20_000,
            qr_refreshes: 5,
            load_ms: 50,
            sync_ms: 150,
            open_ms: 0,
            tick_ms: 20,
            delivered_ms: Some(100),
            read_ms: Some(200),
            rows: 50,
            listed: 0,
            bare_ids: false,
            icons: Icons::Msg,
            changed: Vec::new(),
            invalid: Vec::new(),
            blocked: Vec::new(),
            never_ticks: false,
            loses_answers: false,
            fails: false,
            no_send_button: false,
            popup: false,
            never_opens: false,
            never_loads: false,
            offline: false,
            unsupported: false,
        }
    }
}

impl Behaviour {
    /// The behaviour after a change in JSON.
    ///
    /// # Errors
    /// What is wrong with it; then nothing changes.
    pub fn after(&self, change: &Value) -> Result<Behaviour, InvalidSetting> {
        let Value::Object(change) = change else {
            return Err(InvalidSetting("must be an object".to_owned()));
        };
        let mut whole = serde_json::to_value(self).map_err(|error| InvalidSetting(error.to_string()))?;
        if let Value::Object(whole) = &mut whole {
            whole.extend(change.clone());
        }
        serde_json::from_value(whole).map_err(|error| InvalidSetting(error.to_string()))
    }

    pub(super) fn is_invalid(&self, phone: &str) -> bool {
        phone.len() < 7 || phone.ends_with("9000001") || self.invalid.iter().any(|other| other == phone)
    }

    pub(super) fn is_blocked(&self, phone: &str) -> bool {
        phone.ends_with("9000002") || self.blocked.iter().any(|other| other == phone)
    }
}
