//! Simulators of the providers: the demo, the tests and the benchmarks talk to them over real HTTP as they would to
//! the provider. They refuse what the provider refuses, fail as it fails, and keep a ledger of what they accepted.
//!
//! Beside them there is a [`proxy`] that does to connections what networks do, for tests of whatever speaks over TCP.
//!
//! No clock and no chance of their own: a [`Clock`](palomar_model::Clock) and a seed are given in.
//!
//! # The Cloud API: magic values
//!
//! What is not magic is accepted, delivered and read. Magic recipients go by the **last seven digits** (switched off
//! by [`cloud_api::Config::magic`]):
//!
//! | ends in | what happens |
//! |---|---|
//! | `9` and a code, e.g. `9131026` | the documented failure with that code, in the way it usually comes: 130429, 131000, 131005, 131016, 131021, 131030, 131031, 131037, 131045, 131056, 131057, 133010 are answered at once (not accepted); 130403, 130472, 130497, 131026, 131042, 131047, 131048, 131049, 131050, 131053, 132015, … are accepted and come as a `failed` status |
//! | `8` and a code, e.g. `8131026` | accepted; `sent`, then `failed` with that code |
//! | `9999999`, `8999999` | `failed` with 999999, a code in no table |
//! | `7000001` | only `sent` |
//! | `7000002` | `sent`, `delivered`, never `read` |
//! | `7000003` | `sent`, `read`, without a `delivered` |
//! | `7000004` | no status at all |
//! | `7000005` | accepted; the answer is a 200 with empty `contacts` and `messages`; statuses come |
//! | the business number itself | 131021 |
//!
//! A recipient without a plus gets the business number's country code in front, as at Meta. Brazilian, Mexican and
//! Argentinian mobile numbers get another `wa_id` than the number sent. A reaction gets only `sent`, a voice note
//! `played` too. For pricing, a template's category is `marketing` (name begins with `promo` or `marketing`),
//! `authentication` (`auth`, refused with 131062 for a user id) or `utility`; all else is `service`.
//!
//! Magic template names (the name itself, or it and `_…`):
//!
//! | name | what happens |
//! |---|---|
//! | `held` | accepted, `message_status` `held_for_quality_assessment` |
//! | `paused` | accepted, `message_status` `paused` |
//! | `unknown` | 132001 |
//! | `stopped` | 132015 |
//! | `disabled` | 132016 |
//! | `takes_N`, N a number | 132000 unless the body has N parameters |
//! | `takes_image` | 132012 unless the header is an image |
//!
//! # Twilio: magic values
//!
//! The same recipients, with Twilio's codes in six digits: `9063016` fails with 63016 in the way that code usually comes
//! (Twilio's own are answered at once, the channel's come as `undelivered`), `8063024` is sent first. `6063016` is answered
//! at once with 63016 whatever the code. `7000005` is answered with a 201 that names no message.
//!
//! # Evolution: magic recipients
//!
//! By the last seven digits as well; what is not magic is accepted, delivered and read.
//!
//! | ends in | what happens |
//! |---|---|
//! | `7000001` | only `SERVER_ACK` |
//! | `7000002` | `SERVER_ACK`, `DELIVERY_ACK`, never `READ` |
//! | `7000003` | `SERVER_ACK`, `READ`, without a `DELIVERY_ACK` |
//! | `7000004` | no status at all |
//! | `7000005` | accepted; the answer is `{"error":true,"message":"[object Object]"}`; statuses come |
//! | `8000001`, `8000002` | accepted; `ERROR` comes, in the latter case after `SERVER_ACK` |
//! | `9000001` | not on WhatsApp |
//! | `9000002` | `Error: Connection Closed` |
//! | `9000003` | accepted, and answered with `Error: Timed Out`; statuses come |
//! | `9000004` | `Error: Timed Out`, not accepted |
//! | `9000005` | another fault in words |
//! | `9000006` | 500 with Evolution's own document |
//! | `9000007` | `Owned media must be a url or base64` |
//! | `9000008` | 401 |
//! | `9000009` | 404, no such instance |

mod behaviour;
pub mod cloud_api;
pub mod control;
mod courier;
pub mod evolution;
mod fate;
mod faults;
mod ledger;
pub mod proxy;
mod rng;
pub mod s3;
mod server;
mod span;
mod spoil;
mod stats;
pub mod twilio;
pub mod web;
mod window;
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use ledger::{Duplicate, LedgerEntry};
pub use span::{InvalidSetting, Latency};
pub use window::Windows;

/// Locks; a thread that panicked while it held the lock left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
