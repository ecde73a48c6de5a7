//! Secrets as they are shown, looked for and opened.

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::base::{SecretHost, SecretId, TeamId};

/// What may be shown of a secret: never its value.
#[derive(Debug, Clone)]
pub struct Secret {
    pub id: SecretId,
    pub key_name: String,
    /// `None` for the whole agency's.
    pub team_id: Option<TeamId>,
    /// 1, then one more with each new value.
    pub version: i32,
    /// The end of a value of 12 characters or more, else empty.
    pub last4: String,
    /// Where it may be sent: nowhere while there is none.
    pub hosts: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// To the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Where a secret is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The team's own, else the agency's.
    TeamThenAgency,
    TeamOnly,
}

/// A secret as a run may use it.
#[derive(Debug, Clone)]
pub struct Opened {
    pub value: SecretString,
    /// Where it may be sent: nowhere while there is none.
    pub hosts: Vec<SecretHost>,
}
