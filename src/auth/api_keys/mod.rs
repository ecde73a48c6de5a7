//! API keys: credentials of machines, shown once.

mod store;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use store::{create, list, revoke};

use super::{AuthError, Scopes};
use crate::{
    base::{ApiKeyId, TeamId, UserId, random},
    tenancy::Name,
};

/// What every key begins with, so that one that was leaked is recognised.
pub const PREFIX: &str = "tak_";
const ID_CHARS: usize = 22;
const SECRET_CHARS: usize = 43;

/// What may be known of a key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// `None`: acts for the whole agency.
    pub team_id: Option<TeamId>,
    /// As stored, in the order of their definition.
    pub scopes: Vec<String>,
    pub created_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
pub struct NewApiKey {
    pub name: Name,
    pub scopes: Scopes,
    pub team_id: Option<TeamId>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// The two parts of a key: who says it is, and what proves it.
pub(super) struct Parts {
    pub id: ApiKeyId,
    pub secret_hash: [u8; 32],
}

/// `None` if the text is no key of ours.
pub(super) fn parse(text: &str) -> Option<Parts> {
    let body = text.strip_prefix(PREFIX).filter(|body| body.len() == ID_CHARS + SECRET_CHARS)?;
    let (id, secret) = body.split_at_checked(ID_CHARS)?;
    let id = Uuid::from_slice(&URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).ok()?);
    Some(Parts { id: ApiKeyId(id), secret_hash: Sha256::digest(secret.as_slice()).into() })
}

/// A new key, and what is kept of it.
fn generate(id: ApiKeyId) -> Result<(SecretString, [u8; 32]), AuthError> {
    let secret = Zeroizing::new(random::bytes::<32>()?);
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()));
    let key = format!("{PREFIX}{}{}", URL_SAFE_NO_PAD.encode(id.0.as_bytes()), *encoded);
    Ok((SecretString::from(key), Sha256::digest(secret.as_slice()).into()))
}

/// A key as its maker sees it, this once.
#[derive(Debug)]
pub struct MadeApiKey {
    pub key: ApiKey,
    secret: SecretString,
}

impl MadeApiKey {
    /// The whole key, to be sent to its maker.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_apart_as_it_was_made() {
        let id = ApiKeyId(Uuid::from_u128(7));
        let (key, hash) = generate(id).unwrap();
        let parts = parse(key.expose_secret()).unwrap();
        assert_eq!((parts.id, parts.secret_hash), (id, hash));
        assert_ne!(hash, generate(id).unwrap().1);
    }

    #[test]
    fn what_is_no_key_is_none() {
        let (key, _) = generate(ApiKeyId(Uuid::from_u128(7))).unwrap();
        let key = key.expose_secret();
        let cut = &key[..key.len() - 1];
        let umlauts = format!("{PREFIX}{}é{}", "A".repeat(ID_CHARS - 1), "A".repeat(SECRET_CHARS - 1));
        for text in ["", PREFIX, cut, &format!("{key}A"), &key.replace(PREFIX, "tok_"), &umlauts] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
