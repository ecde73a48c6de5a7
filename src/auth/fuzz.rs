//! The door of the fuzz target `token`, compiled for it alone.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};

use super::{
    AuthError, keys,
    token::{Claims, Signer, Subject},
};
use crate::{
    base::{AgencyId, SessionId, UserId},
    tenancy::Role,
};

/// A signer, and a token of its own.
pub struct Door {
    signer: Signer,
    token: String,
    now: DateTime<Utc>,
}

impl Door {
    /// # Errors
    /// No random bytes could be had.
    pub fn new() -> Result<Self, AuthError> {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
        let signer = Signer::new(&keys::generate_pem()?)?;
        let subject = Subject {
            user_id: UserId::at(now),
            email: "admin@example.com",
            role: Role::AgencyAdmin,
            agency_id: AgencyId::at(now),
            team_id: None,
            session_id: SessionId::at(now),
        };
        let token = signer.sign(&Claims::new(&subject, now))?;
        Ok(Self { signer, token, now })
    }

    /// Whether the token is believed.
    #[must_use]
    pub fn opens(&self, token: &str) -> bool {
        self.signer.verify(token, self.now).is_ok()
    }

    /// Whether our own token is believed under another header.
    #[must_use]
    pub fn opens_with_header(&self, header: &str) -> bool {
        let rest = self.token.split_once('.').map_or("", |(_, rest)| rest);
        let header = URL_SAFE_NO_PAD.encode(header);
        self.opens(&format!("{header}.{rest}"))
    }
}
