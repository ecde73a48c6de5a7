//! XChaCha20-Poly1305 with a random nonce.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::LockerError;
use crate::base::random;

pub const NONCE_BYTES: usize = 24;

/// 32 bytes, wiped when dropped and never printed.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

/// A value as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub nonce: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

pub fn seal(key: &Key, aad: &[u8], value: &[u8]) -> Result<Sealed, LockerError> {
    let nonce = random::bytes::<NONCE_BYTES>()?;
    let payload = Payload { msg: value, aad };
    let ciphertext = key.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| LockerError::Tampered)?;
    Ok(Sealed { nonce: nonce.to_vec(), ciphertext })
}

pub fn open(key: &Key, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, LockerError> {
    let nonce: [u8; NONCE_BYTES] = sealed.nonce.as_slice().try_into().map_err(|_| LockerError::Tampered)?;
    let payload = Payload { msg: &sealed.ciphertext, aad };
    key.cipher().decrypt(&XNonce::from(nonce), payload).map(Zeroizing::new).map_err(|_| LockerError::Tampered)
}

/// Names a root key without telling it.
pub fn key_id(key: &[u8; 32]) -> String {
    let digest = Sha256::new().chain_update(b"teamai root key").chain_update(key).finalize();
    hex::encode(&digest[..8])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_only_whole_and_with_its_key_and_context(
            value in proptest::collection::vec(any::<u8>(), 1..200), flip in any::<prop::sample::Index>()
        ) {
            let key = Key::new([7; 32]);
            let sealed = seal(&key, b"context", &value).unwrap();
            let opened = open(&key, b"context", &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), value.as_slice());
            prop_assert!(open(&Key::new([8; 32]), b"context", &sealed).is_err());
            prop_assert!(open(&key, b"another", &sealed).is_err());
            let mut changed = sealed.clone();
            let at = flip.index(changed.ciphertext.len());
            changed.ciphertext[at] ^= 1;
            prop_assert!(open(&key, b"context", &changed).is_err());
        }
    }

    #[test]
    fn nonces_differ_and_a_short_one_is_refused() {
        let key = Key::new([7; 32]);
        let (a, mut b) = (seal(&key, b"", b"x").unwrap(), seal(&key, b"", b"x").unwrap());
        assert_ne!(a, b);
        b.nonce.pop();
        assert!(matches!(open(&key, b"", &b), Err(LockerError::Tampered)));
    }
}
