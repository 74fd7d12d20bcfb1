//! What a broker is told and what it answers: plain values, the same for every broker.

mod attempt;
mod control;
mod job;
mod limits;
mod log;
mod view;

pub use attempt::*;
pub use control::*;
pub use job::*;
pub use limits::*;
pub use log::*;
pub use view::*;
