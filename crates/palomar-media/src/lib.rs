//! Media as they are kept: what their bytes are, where they stand, how they are handed out.
//!
//! ```text
//! bytes ─> Incoming (a file beside the store, hashed on the way) ─> Store: files by their hash, or S3
//! ```
//!
//! What always holds: content is kept under its SHA-256, the same content once; what is in the store is whole and was
//! flushed; a type comes from the bytes, never from who sent them; nothing is handed out as something that acts.

mod blocking;
mod files;
mod hand_out;
mod hash;
mod incoming;
mod s3;
mod sniff;
mod store;

pub use files::Files;
pub use hand_out::{HandOut, file_name, hand_out};
pub use hash::Hash;
pub use incoming::{Incoming, Received};
pub use s3::{NotS3, S3, S3Config};
pub use sniff::{MediaKind, media_type};
pub use store::{Bytes, Part, Removed, Store, StoreError};
