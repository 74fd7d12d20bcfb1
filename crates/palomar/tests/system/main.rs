//! Whole-system tests: the real binary, a simulated provider over real HTTP, real signals.

mod crash;
mod first_minute;
mod harness;
mod limits;
mod provider;
