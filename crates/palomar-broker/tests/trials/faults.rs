//! x
pub(crate) fn child() {}
