//! Secrets and signatures, by the Standard Webhooks specification 1.0.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::random::{self, NoRandomness};

const PREFIX: &str = "whsec_";

/// A signing secret in the form in which people hold it: `whsec_` and 32 bytes in base64.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, NoRandomness> {
        let bytes = Zeroizing::new(random::bytes::<32>()?);
        Ok(Self(format!("{PREFIX}{}", BASE64_STANDARD.encode(bytes.as_slice())).into()))
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<SecretString> for Secret {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

/// The header `webhook-signature`: one signature for each secret. `None` if a secret is not of ours.
#[must_use]
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let signatures: Option<Vec<String>> = secrets
        .iter()
        .map(|secret| {
            let key = Zeroizing::new(BASE64_STANDARD.decode(secret.expose().strip_prefix(PREFIX)?).ok()?);
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
        })
        .collect();
    signatures.map(|all| all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret(text.to_owned().into())
    }

    /// Made with the Python package `standardwebhooks` 1.1.0, an implementation by others.
    #[test]
    fn signatures_are_those_of_another_implementation() {
        let body =
            br#"{"data":{"task_id":"0197f3c0"},"timestamp":"2027-03-15T12:00:00.000000Z","type":"task.completed"}"#;
        let first = secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let second = secret("whsec_Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=");
        let signed = sign(&[first, second], "evt_42", 1_805_112_000, body).unwrap();
        assert_eq!(
            signed,
            "v1,evFdM65Wnv4Wc8h4z/tB9zH6eRJPseLJ/leOoiTiYKI= v1,tPm/Mtru98ln1rKj7948aHrh7QOlij2biO/dqOH7wl0="
        );
    }

    #[test]
    fn secrets_differ_and_are_never_printed() {
        let (a, b) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_ne!(a.expose(), b.expose());
        assert_eq!(a.expose().len(), PREFIX.len() + 44);
        assert!(!format!("{a:?}").contains(a.expose()));
        assert!(sign(&[secret("whsec_!")], "evt_1", 1, b"").is_none());
        assert!(sign(&[secret("no prefix")], "evt_1", 1, b"").is_none());
    }
}
