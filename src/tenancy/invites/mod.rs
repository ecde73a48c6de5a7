//! Invites: an address that may make itself an account, with a role and a team.

mod store;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use store::{accept, by_token, create, list, pending_for, revoke};

use super::{Email, TenancyError};
use crate::base::{AgencyId, InviteId, Role, TeamId, UserId, random};

/// An invite that is not accepted for this long is worthless.
pub const LIFETIME: TimeDelta = TimeDelta::days(7);

/// An invite that waits to be accepted; past `expires_at` it cannot be.
#[derive(Debug, Clone)]
pub struct Invite {
    pub id: InviteId,
    /// In lower case.
    pub email: String,
    pub role: Role,
    pub team_id: Option<TeamId>,
    pub invited_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug)]
pub struct NewInvite {
    pub email: Email,
    pub role: Role,
    pub team_id: Option<TeamId>,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub id: InviteId,
    pub agency_id: AgencyId,
    pub team_id: Option<TeamId>,
    pub email: Email,
    pub role: Role,
}

/// The secret that makes an account. Never printed; only its hash is stored.
#[derive(Debug, Clone)]
pub struct InviteToken(SecretString);

impl InviteToken {
    /// Any text: one that is no token is the token of nothing.
    #[must_use]
    pub fn of(text: String) -> Self {
        Self(SecretString::from(text))
    }

    fn generate() -> Result<Self, TenancyError> {
        let bytes = Zeroizing::new(random::bytes::<32>()?);
        Ok(Self(SecretString::from(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }

    /// For whoever made the invite, once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}
