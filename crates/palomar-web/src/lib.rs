//! WhatsApp Web in real Chromium: one supervised browser a session.
//!
//! A [`Pool`] keeps [`Session`]s. Each has a profile directory, which holds its login, and while it is open one browser,
//! spoken to over a pipe. What happens to it moves a state machine ([`state`]); what the page looks like is in a data file
//! ([`PageFile`]). Nothing here knows of queues or providers: a session writes one message at a time, says what became of
//! it, and tells what it hears.

mod browser;
mod cdp;
mod chats;
mod lines;
mod means;
mod notes;
mod page;
mod pool;
mod print;
mod process;
mod profile;
mod session;
mod sink;
pub mod state;
mod tab;

pub use browser::BrowserConfig;
pub use means::{Means, Sandbox};
pub use page::{PageFile, PageFileError, When};
pub use pool::{Pool, PoolConfig, PoolError, remove_login};
pub use print::{PrintError, print};
pub use process::Usage;
pub use session::{Attachment, Counts, Draft, Known, NOT_READY, Pace, Qr, Session, Taken, View};
pub use sink::{Heard, Message, Sink, Tick};
pub use state::{Command, Status};
