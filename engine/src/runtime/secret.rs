//! The shared secret of a run: what it may be, and proofs of knowing it that do not give it away.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Length of a proof and of a nonce, in bytes.
pub(crate) const PROOF_BYTES: usize = 32;
/// Shortest secret: whoever has seen a proof can try short ones at leisure.
const MIN_SECRET_BYTES: usize = 16;

/// A secret that is never displayed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Secret(bytes.into())
    }

    /// Reads a secret from a file; spaces and line ends around it are not part of it.
    ///
    /// # Errors
    /// The file can not be read, or the secret is too short.
    pub(crate) fn read(path: &str) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|error| Error::config(format!("can not read secret file {path}")).caused_by(error))?;
        let secret = Secret(bytes.trim_ascii().to_vec());
        secret.check(&format!("secret file {path}"))?;
        Ok(secret)
    }

    /// # Errors
    /// The secret is too short; the message begins with `what`.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        let found = self.0.len();
        match found < MIN_SECRET_BYTES {
            true => Err(Error::config(format!(
                "{what}: found {found} bytes, expected at least {MIN_SECRET_BYTES}; \
                 `openssl rand -hex 32` makes a good one"
            ))),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// 32 bytes that nobody can guess.
///
/// # Errors
/// The operating system gives none.
pub(crate) fn nonce() -> Result<[u8; PROOF_BYTES]> {
    let mut nonce = [0; PROOF_BYTES];
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::config("can not get random bytes from the system").caused_by(error))?;
    Ok(nonce)
}

/// What the processes of one run prove to each other that they know: the token of those that were started
/// together, and the shared secret.
#[derive(Clone)]
pub(crate) struct Key {
    mac: Hmac<Sha256>,
    has_secret: bool,
}

impl Key {
    /// The key of a run with this token (empty for processes that were started one by one) and this secret.
    pub(crate) fn new(token: &[u8], secret: Option<&Secret>) -> Result<Self> {
        let bytes = [token, secret.map_or(&[], |secret| &secret.0)].concat();
        // A keyed hash takes keys of any length; a length that it refuses is a mistake of ours.
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&bytes)
            .map_err(|error| Error::internal("the handshake key is refused").caused_by(error))?;
        Ok(Key { mac, has_secret: secret.is_some() })
    }

    /// Whether a secret that the user gave is part of the key.
    pub(crate) fn has_secret(&self) -> bool {
        self.has_secret
    }

    /// Proves knowledge of the key to somebody who has sent a part of `parts`.
    pub(crate) fn prove(&self, parts: &[&[u8]]) -> [u8; PROOF_BYTES] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `proof` is one over `parts`. Takes the same time whatever the difference is.
    pub(crate) fn verify(&self, parts: &[&[u8]], proof: &[u8]) -> bool {
        self.over(parts).verify_slice(proof).is_ok()
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("has_secret", &self.has_secret).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231, test case 2.
    #[test]
    fn proof_is_hmac_sha256() {
        let key = Key::new(b"", Some(&Secret::new("Jefe"))).unwrap();
        let proof = key.prove(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex(&proof), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(key.verify(&[b"what do ya want for nothing?"], &proof));
        assert!(!key.verify(&[b"what do ya want for nothing."], &proof));
        assert!(!key.verify(&[b"what do ya want for nothing?"], &proof[..31]));
    }

    #[test]
    fn secret_is_not_displayed_and_not_too_short() {
        let secret = Secret::new("0123456789abcdef");
        assert!(secret.check("secret").is_ok());
        assert!(!format!("{secret:?} {:?}", Key::new(b"", Some(&secret))).contains("0123"));
        let error = Secret::new("0123456789abcde").check("secret").unwrap_err();
        assert!(error.message().starts_with("secret: found 15 bytes, expected at least 16"), "{error}");
    }
}
