//! Slows down guessing: failures are counted for an address, whether an account has it or not.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use sqlx::PgPool;
use zeroize::Zeroizing;

use super::{AuthError, failures};
use crate::tenancy::Email;

type HmacSha256 = Hmac<Sha256>;

/// Counts by an HMAC of the address, so that the table tells nobody who signs in.
pub struct Throttle {
    key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Throttle")
    }
}

impl Throttle {
    /// The key is derived from the signing key, the same in every process of an installation.
    pub fn new(signing_key: &SecretString) -> Result<Self, AuthError> {
        let derived = mac(signing_key.expose_secret().as_bytes(), b"teamai login throttle")?;
        Ok(Self { key: Zeroizing::new(derived) })
    }

    pub fn key_of(&self, email: &Email) -> Result<Vec<u8>, AuthError> {
        mac(&self.key, email.as_str().as_bytes())
    }

    /// Refuses while the address has to wait.
    pub async fn check(&self, pool: &PgPool, key: &[u8], now: DateTime<Utc>) -> Result<(), AuthError> {
        match failures::blocked_until(pool, key).await? {
            Some(until) if until > now => Err(AuthError::Throttled { seconds: seconds_between(now, until) }),
            _ => Ok(()),
        }
    }
}

fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    let millis = u64::try_from((to - from).num_milliseconds()).unwrap_or(0);
    millis.div_ceil(1000).max(1)
}

fn mac(key: &[u8], message: &[u8]) -> Result<Vec<u8>, AuthError> {
    let mut mac = HmacSha256::new_from_slice(key).map_err(|error| AuthError::Internal(error.to_string()))?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().to_vec())
}
