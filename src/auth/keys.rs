//! The signing key: an Ed25519 private key in PEM.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::base::random::{self, NoRandomness};

/// What stands before the 32 bytes of a PKCS#8 Ed25519 key (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A new signing key, for `TEAMAI_AUTH__SIGNING_KEY`.
///
/// # Errors
/// The operating system gave no random bytes.
pub fn generate_pem() -> Result<SecretString, NoRandomness> {
    let seed = Zeroizing::new(random::bytes::<32>()?);
    let der = Zeroizing::new([PKCS8_PREFIX.as_slice(), seed.as_slice()].concat());
    let text = Zeroizing::new(STANDARD.encode(der.as_slice()));
    Ok(SecretString::from(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *text)))
}
