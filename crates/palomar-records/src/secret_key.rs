//! The key that credentials are encrypted with: a file beside the database, made at the first start, readable by its
//! owner only. A copy of the database without the file tells no secrets.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::error::{RecordsError, Result};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// The key, and where it was read.
pub(crate) struct SecretKey {
    path: PathBuf,
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SecretKey {
    /// Reads the file, or makes it.
    pub(crate) fn open_or_create(path: &Path) -> Result<SecretKey> {
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                create(path).map_err(|error| RecordsError::io(path, error))?
            }
            Err(error) => return Err(RecordsError::io(path, error)),
        };
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes)
            .map_err(|_| RecordsError::WrongKey { path: path.to_owned() })?;
        Ok(SecretKey { path: path.to_owned(), cipher })
    }

    /// Encrypts `plain`; it can be decrypted for the same `owner` only.
    pub(crate) fn seal(&self, plain: &[u8], owner: &str) -> Result<Vec<u8>> {
        let mut nonce = [0_u8; NONCE_BYTES];
        random(&mut nonce).map_err(|error| RecordsError::io(&self.path, error))?;
        let payload = Payload { msg: plain, aad: owner.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| RecordsError::damaged("channels", "credentials too long to encrypt"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what [`SecretKey::seal`] made for the same `owner`.
    pub(crate) fn open(&self, sealed: &[u8], owner: &str) -> Result<Zeroizing<Vec<u8>>> {
        let wrong = || RecordsError::WrongKey { path: self.path.clone() };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(wrong)?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| wrong())
    }
}

/// Fills `bytes` from the system's randomness.
pub(crate) fn random(bytes: &mut [u8]) -> std::io::Result<()> {
    getrandom::fill(bytes).map_err(|error| std::io::Error::other(error.to_string()))
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES));
    File::open(path)?.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn create(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0_u8; KEY_BYTES]);
    random(&mut bytes)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    // The name must last as long as what is encrypted with the key.
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn seals_for_one_owner_with_one_key() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret.key");
        let key = SecretKey::open_or_create(&path).expect("a key");
        let sealed = key.seal(b"token", "demo").expect("sealed");
        assert!(!sealed.windows(5).any(|window| window == b"token"));
        let again = SecretKey::open_or_create(&path).expect("the same key");
        assert_eq!(&**again.open(&sealed, "demo").expect("opened"), b"token");
        assert!(matches!(again.open(&sealed, "other"), Err(RecordsError::WrongKey { .. })));
        let other = SecretKey::open_or_create(&dir.path().join("other.key")).expect("another key");
        assert!(matches!(other.open(&sealed, "demo"), Err(RecordsError::WrongKey { .. })));
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_file_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret.key");
        std::fs::write(&path, b"short").expect("written");
        assert!(matches!(SecretKey::open_or_create(&path), Err(RecordsError::WrongKey { .. })));
    }
}
