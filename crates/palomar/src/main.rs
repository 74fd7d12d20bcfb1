//! Palomar.
fn main() {}
