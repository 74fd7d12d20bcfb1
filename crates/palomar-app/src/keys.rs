//! Who calls, and what they may: API keys.
//!
//! A key's secret is shown once and kept as its SHA-256. All keys are in memory, so that proving one waits for nothing;
//! the table is read at the start and after every change, whichever node made it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use palomar_model::{ChannelName, FieldError, Timestamp, TraceId};
use palomar_records::{KeyRecord, random_bytes};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{App, AppError};

/// A key's use is written down at most so often.
const USE_RESOLUTION: Duration = Duration::from_secs(60);
const MAX_NAME: usize = 100;
/// What secrets begin with, so that scanners of repositories know them.
const PREFIX: &str = "plk_";

/// What a caller may do, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and sends.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's id.
    pub key_id: Arc<str>,
    /// The key's name.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// On which channels; on all where `None`.
    pub channels: Option<Arc<[ChannelName]>>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// The trace that their request names.
    pub trace: Option<TraceId>,
}

impl Caller {
    /// The engine itself: everything, everywhere.
    #[must_use]
    pub fn system() -> Caller {
        Caller {
            key_id: "system".into(),
            name: "system".into(),
            role: Role::Admin,
            channels: None,
            expires_at: None,
            trace: None,
        }
    }

    /// Refuses callers below a role.
    ///
    /// # Errors
    /// [`AppError::Forbidden`].
    pub fn require(&self, least: Role) -> Result<(), AppError> {
        if self.role >= least {
            Ok(())
        } else {
            Err(AppError::Forbidden("this key's role does not allow it"))
        }
    }

    /// Whether they may use a channel.
    #[must_use]
    pub fn may_use(&self, channel: &ChannelName) -> bool {
        self.channels.as_ref().is_none_or(|channels| channels.contains(channel))
    }

    /// Leaves of the channels that a list is asked for those that they may use; all of these where none is named. Whether
    /// anything is left to ask for.
    pub(crate) fn narrow(&self, asked: &mut Vec<ChannelName>) -> bool {
        let Some(own) = &self.channels else { return true };
        if asked.is_empty() {
            *asked = own.to_vec();
        }
        asked.retain(|name| own.contains(name));
        !asked.is_empty()
    }
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// On which channels; on all where none are named.
    #[serde(default)]
    pub channels: Option<Vec<ChannelName>>,
    /// Until when; for ever where not said.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A key as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// On which channels; on all where `None`.
    pub channels: Option<Vec<ChannelName>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to about a minute.
    pub last_used_at: Option<Timestamp>,
}

/// A key that was just made: the only time that its secret is shown.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    /// The key.
    #[serde(flatten)]
    pub key: KeyView,
    /// What its owner sends.
    pub secret: String,
}

/// Why a secret proves nothing. Who holds a key may be told that it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefused {
    /// There is no such key.
    Unknown,
    /// It is past its end.
    Expired,
    /// It was revoked.
    Revoked,
}

/// A key in memory.
#[derive(Debug)]
struct Known {
    caller: Caller,
    revoked: bool,
    /// When a use of it was last written down, in microseconds.
    noted: AtomicI64,
}

/// The keys in memory, by the hash of their secrets.
#[derive(Debug, Default)]
pub(crate) struct KeyRing {
    by_hash: RwLock<HashMap<String, Arc<Known>>>,
}

impl KeyRing {
    /// Knows these keys and no others.
    pub(crate) fn replace(&self, records: &[KeyRecord]) {
        let mut keys = self.by_hash.write().unwrap_or_else(PoisonError::into_inner);
        let known = |key: &KeyRecord| {
            let known = Known::of(key);
            // One that did not change goes on as it is: when its use was noted last is known of it.
            let before = keys.get(&key.hash).filter(|before| before.is_as(&known)).cloned();
            (key.hash.clone(), before.unwrap_or_else(|| Arc::new(known)))
        };
        let newest = records.iter().map(known).collect();
        *keys = newest;
    }

    /// Adds a key, or takes in that it was revoked.
    fn put(&self, key: &KeyRecord) {
        let mut keys = self.by_hash.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.hash.clone(), Arc::new(Known::of(key)));
    }

    /// Whether a key, by its id, still proves something.
    pub(crate) fn is_good(&self, id: &str, now: Timestamp) -> bool {
        let keys = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let known = keys.values().find(|known| *known.caller.key_id == *id);
        known.is_some_and(|known| !known.revoked && known.caller.expires_at.is_none_or(|end| end > now))
    }

    fn find(&self, secret: &str, now: Timestamp) -> Result<Arc<Known>, KeyRefused> {
        let hash = hash_of(secret);
        // The hash of a guess tells nothing about the hash of a secret: the look-up needs no constant time.
        let keys = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let known = keys.get(&hash).ok_or(KeyRefused::Unknown)?;
        if known.revoked {
            return Err(KeyRefused::Revoked);
        }
        if known.caller.expires_at.is_some_and(|end| end <= now) {
            return Err(KeyRefused::Expired);
        }
        Ok(Arc::clone(known))
    }
}

impl Known {
    fn of(key: &KeyRecord) -> Known {
        Known {
            caller: Caller {
                key_id: key.id.as_str().into(),
                name: key.name.as_str().into(),
                role: role_of(key),
                channels: key.channels.as_deref().map(Arc::from),
                expires_at: key.expires_at,
                trace: None,
            },
            revoked: key.revoked_at.is_some(),
            noted: AtomicI64::new(i64::MIN),
        }
    }

    fn is_as(&self, other: &Known) -> bool {
        self.caller == other.caller && self.revoked == other.revoked
    }

    /// Notes a use; whether it is to be written down.
    fn note_use(&self, now: Timestamp) -> bool {
        let last = self.noted.load(Ordering::Relaxed);
        let due = last == i64::MIN || now.since(Timestamp::from_micros(last)) >= USE_RESOLUTION;
        // Of those who come at once, one writes.
        due && self.noted.compare_exchange(last, now.micros(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl App {
    /// Who has this secret.
    ///
    /// # Errors
    /// [`KeyRefused`].
    pub fn authenticate(&self, secret: &str) -> Result<Caller, KeyRefused> {
        let now = self.now();
        let known = self.keys.find(secret, now)?;
        if known.note_use(now) {
            let (records, id) = (self.records.clone(), known.caller.key_id.to_string());
            // Not worth waiting for; without a runtime (in tests) not worth having.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    if let Err(error) = records.keys_used(vec![(id, now)]).await {
                        tracing::debug!(%error, "a key's use was not written down");
                    }
                });
            }
        }
        Ok(known.caller.clone())
    }

    /// Whether there is any key that was not revoked. There is none at the first start.
    pub fn has_keys(&self) -> bool {
        let keys = self.keys.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().any(|known| !known.revoked)
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a name that is none and for an end that has passed.
    pub async fn create_key(&self, new: NewKey) -> Result<CreatedKey, AppError> {
        let now = self.now();
        check_key(&new, now)?;
        let random: [u8; 32] = random_bytes().map_err(|error| AppError::Unavailable(error.to_string()))?;
        let secret = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&random));
        let key = KeyRecord {
            id: self.ids.uuid(now).to_string(),
            hash: hash_of(&secret),
            name: new.name,
            role: new.role.as_str().to_owned(),
            channels: new.channels,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        let _change = self.setup.change().await;
        self.records.create_key(key.clone()).await?;
        self.keys.put(&key);
        Ok(CreatedKey { key: view(key), secret })
    }

    /// All keys, in the order in which they were made.
    ///
    /// # Errors
    /// Where records can't be read.
    pub async fn keys(&self) -> Result<Vec<KeyView>, AppError> {
        Ok(self.records.keys().await?.into_iter().map(view).collect())
    }

    /// Revokes a key: from now on it proves nothing.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn revoke_key(&self, id: &str) -> Result<KeyView, AppError> {
        let _change = self.setup.change().await;
        let key = self.records.revoke_key(id, self.now()).await?;
        self.keys.put(&key);
        Ok(view(key))
    }
}

fn check_key(new: &NewKey, now: Timestamp) -> Result<(), AppError> {
    let mut errors = Vec::new();
    if new.name.trim().is_empty() || new.name.chars().count() > MAX_NAME {
        errors.push(FieldError::new("/name", format!("must have 1 to {MAX_NAME} characters")));
    }
    if new.expires_at.is_some_and(|end| end <= now) {
        errors.push(FieldError::new("/expiresAt", "must be in the future"));
    }
    if new.channels.as_ref().is_some_and(Vec::is_empty) {
        errors.push(FieldError::new("/channels", "must name a channel, or be left out for all"));
    }
    if errors.is_empty() { Ok(()) } else { Err(AppError::Invalid(errors)) }
}

fn hash_of(secret: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}

/// A role that is not known (a newer version's) allows the least.
fn role_of(key: &KeyRecord) -> Role {
    Role::ALL.into_iter().find(|role| role.as_str() == key.role).unwrap_or(Role::Viewer)
}

fn view(key: KeyRecord) -> KeyView {
    let role = role_of(&key);
    KeyView {
        id: key.id,
        name: key.name,
        role,
        channels: key.channels,
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        last_used_at: key.last_used_at,
    }
}
