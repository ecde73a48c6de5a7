//! Trying a stored key on its provider, once, without showing it to whoever asked.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgPool;

use super::{
    KeyName, Locker, LockerError,
    store::{self, ForCheck},
};
use crate::base::{SecretHost, TeamId, TenantScope};

/// A secret is tried once in this many seconds at most, whoever asks.
const SECONDS_BETWEEN: u32 = 5;

/// Whoever can try a key. The locker hands the value to it and to no one else.
#[async_trait]
pub trait KeyProbe: Send + Sync + std::fmt::Debug {
    /// The provider whose key a secret of this name is: `openai` for `openai_api_key`.
    fn provider(&self, key_name: &str) -> Option<String>;

    /// Where the provider's keys go, and nowhere else; `None` for one that is in this process or not known.
    fn host(&self, provider: &str) -> Option<SecretHost>;

    /// The names of all secrets that can be tried.
    fn key_names(&self) -> Vec<String>;

    /// Asks the provider once for something that costs nothing.
    async fn probe(&self, provider: &str, key: &SecretString) -> Probed;
}

/// What a provider said to a key, with a sentence for a person. Never holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    Works(String),
    Refused(String),
    /// No answer, or one that tells nothing of the key.
    Untold(String),
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub works: bool,
    pub provider: String,
    pub checked_at: DateTime<Utc>,
    pub detail: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("is not the name of a provider's key; those that can be checked are {}", .known.join(", "))]
    NotAProvidersKey { known: Vec<String> },
    #[error("this secret was checked less than {seconds} seconds ago")]
    TooSoon { seconds: u32 },
    #[error("{0}")]
    Untold(String),
    #[error(transparent)]
    Locker(#[from] LockerError),
}

impl Locker {
    /// Tries exactly this secret: a team's own, or the agency's where `team` is
    /// `None`. `None` if there is none. Does not count as a use.
    ///
    /// # Errors
    /// See [`CheckError`].
    pub async fn check(
        &self,
        scope: &TenantScope,
        pool: &PgPool,
        team: Option<TeamId>,
        name: &KeyName,
        probe: &dyn KeyProbe,
        now: DateTime<Utc>,
    ) -> Result<Option<Checked>, CheckError> {
        let Some(provider) = probe.provider(name.as_str()) else {
            return Err(CheckError::NotAProvidersKey { known: probe.key_names() });
        };
        let stored = match store::begin_check(scope, pool, team, name, SECONDS_BETWEEN).await? {
            ForCheck::Missing => return Ok(None),
            ForCheck::TooSoon => return Err(CheckError::TooSoon { seconds: SECONDS_BETWEEN }),
            ForCheck::Due(stored) => stored,
        };
        let key = self.open(scope.agency_id(), &stored)?;
        let (works, detail) = match probe.probe(&provider, &key).await {
            Probed::Works(detail) => (true, detail),
            Probed::Refused(detail) => (false, detail),
            Probed::Untold(detail) => return Err(CheckError::Untold(detail)),
        };
        Ok(Some(Checked { works, provider, checked_at: now, detail }))
    }
}
