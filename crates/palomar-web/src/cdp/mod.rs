//! The DevTools protocol, as far as it is needed: calls and events over two pipes to one browser.
//!
//! No port is open, and the end of the browser is the end of the pipe: known at once. What always holds: every call has
//! a deadline; when the pipe ends, every call that waits is told; what a page can make arbitrarily much of is bounded.

mod link;
mod wire;

pub(crate) use link::{CallError, Link};
pub(crate) use wire::Event;
