//! Whom a provider vouches for.

use chrono::{DateTime, Utc};

use crate::{
    base::IdentityId,
    tenancy::{Email, Name},
};

/// Whom a provider vouches for.
#[derive(Debug)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    /// Verified by the provider.
    pub email: Email,
    pub full_name: Option<Name>,
}

/// An account at a provider that signs its user in.
#[derive(Debug, Clone)]
pub struct LinkedIdentity {
    pub id: IdentityId,
    /// As the provider writes itself.
    pub issuer: String,
    /// What the provider calls the account.
    pub subject: String,
    pub created_at: DateTime<Utc>,
}
