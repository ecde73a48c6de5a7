//! The locker: tenants' secrets under envelope encryption.
//!
//! The root key wraps a key for each agency, which seals its secrets. The root
//! key lives in the configuration alone, so a copy of the database opens nothing.

mod seal;
mod store;
mod value;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{PgConnection, PgPool};

pub use store::{get, list};
pub use value::{Invalid, KeyName, SecretValue};

use crate::{
    base::{
        AgencyId, SecretId, TeamId,
        cache::Cache,
        random::{self, NoRandomness},
    },
    config::SecretBytes,
    db,
};
use seal::{Key, Sealed};

/// How long a sealed value is believed: the longest that a change made through
/// another process goes unseen.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
const MAX_BELIEVED: usize = 20_000;
/// Unwrapped agency keys, wiped when dropped. They never change.
const KEYS_KEPT_FOR: Duration = Duration::from_mins(10);
const MAX_KEYS: usize = 10_000;
/// Tries to store a secret that others keep making and deleting meanwhile.
const PUT_ATTEMPTS: usize = 5;

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

#[derive(Debug, thiserror::Error)]
pub enum LockerError {
    #[error("no such team")]
    TeamUnknown,
    /// Changed outside the locker, or moved from another row.
    #[error("the stored value of a secret cannot be opened: it, or the agency's key, is not what the locker wrote")]
    Tampered,
    #[error("the agency's key was wrapped with root key {wrapped_with}, but {configured} is configured")]
    RootKey { wrapped_with: String, configured: String },
    #[error("the secret is being changed by others at this moment; try again")]
    Contended,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for LockerError {
    fn from(error: sqlx::Error) -> Self {
        match db::violated_constraint(&error) {
            Some("secret_locker_team_unknown") => Self::TeamUnknown,
            _ => Self::Database(error),
        }
    }
}

type SealedKey = (AgencyId, TeamId, Lookup, String);

/// Seals and opens secrets. One for a process.
pub struct Locker {
    root: SecretBytes,
    root_id: String,
    keys: Cache<(AgencyId, i32), Arc<Key>>,
    sealed: Cache<SealedKey, Option<Arc<store::Stored>>>,
}

impl std::fmt::Debug for Locker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locker").field("root_id", &self.root_id).finish_non_exhaustive()
    }
}

impl Locker {
    #[must_use]
    pub fn new(root: SecretBytes) -> Self {
        Self {
            root_id: seal::key_id(root.expose_secret()),
            root,
            keys: Cache::new(KEYS_KEPT_FOR, MAX_KEYS),
            sealed: Cache::new(BELIEVED_FOR, MAX_BELIEVED),
        }
    }

    /// Stores a value under a name: a new secret, or the next version of the one
    /// there. Says whether it is new.
    ///
    /// # Errors
    /// The team is not the agency's; the database is away.
    pub async fn put(
        &self,
        pool: &PgPool,
        agency: AgencyId,
        team: Option<TeamId>,
        name: &KeyName,
        value: &SecretValue,
        now: DateTime<Utc>,
    ) -> Result<(Secret, bool), LockerError> {
        let mut tx = db::tenant(pool, agency).await?;
        let (key_version, key) = self.current_key(&mut tx, agency).await?;
        for _ in 0..PUT_ATTEMPTS {
            let present = store::lock(&mut tx, team, name).await?;
            let (id, version) = present.map_or((SecretId::at(now), 1), |(id, version)| (id, version + 1));
            let sealed = seal::seal(&key, &aad(agency, id, version, key_version), value.bytes())?;
            let row = store::NewVersion { id, version, key_version, sealed: &sealed, last4: value.last4() };
            let written = match present {
                Some(_) => store::update(&mut tx, &row).await?,
                None => store::insert(&mut tx, agency, team, name, &row).await?,
            };
            if let Some(secret) = written {
                tx.commit().await?;
                self.forget(agency, name);
                return Ok((secret, present.is_none()));
            }
        }
        Err(LockerError::Contended)
    }

    /// Whether there was such a secret.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete(
        &self,
        pool: &PgPool,
        agency: AgencyId,
        team: Option<TeamId>,
        name: &KeyName,
    ) -> Result<bool, LockerError> {
        let deleted = store::delete(pool, agency, team, name).await?;
        self.forget(agency, name);
        Ok(deleted)
    }

    /// Opens a secret for a run. `None` if there is none of this name.
    ///
    /// # Errors
    /// The stored value is not what the locker wrote; another root key is
    /// configured; the database is away.
    pub async fn resolve(
        &self,
        pool: &PgPool,
        agency: AgencyId,
        team: TeamId,
        name: &str,
        lookup: Lookup,
    ) -> Result<Option<SecretString>, LockerError> {
        let cache_key = (agency, team, lookup, name.to_owned());
        let stored = match self.sealed.get(&cache_key) {
            Ok(stored) => stored,
            Err(ticket) => {
                let stored = store::find_and_touch(pool, agency, team, name, lookup).await?.map(Arc::new);
                self.sealed.keep(ticket, cache_key, stored.clone());
                stored
            }
        };
        stored.map(|stored| self.open(agency, &stored)).transpose()
    }

    fn open(&self, agency: AgencyId, stored: &store::Stored) -> Result<SecretString, LockerError> {
        let key = self.unwrap(agency, stored.key_version, &stored.root_key_id, &stored.wrapped_key)?;
        let aad = aad(agency, stored.id, stored.version, stored.key_version);
        let value = seal::open(&key, &aad, &stored.sealed)?;
        let text = std::str::from_utf8(&value).map_err(|_| LockerError::Tampered)?;
        Ok(SecretString::from(text))
    }

    /// The agency's newest key, made if it has none yet.
    async fn current_key(&self, tx: &mut PgConnection, agency: AgencyId) -> Result<(i32, Arc<Key>), LockerError> {
        let mut row = store::newest_key(tx, agency).await?;
        if row.is_none() {
            let key = Key::new(random::bytes()?);
            let wrapped = seal::seal(&self.root_key(), &key_aad(agency, 1, &self.root_id), key.bytes())?;
            // Another request may make it at this moment: the first one stands for both.
            store::insert_key(tx, agency, 1, &self.root_id, &wrapped).await?;
            row = store::newest_key(tx, agency).await?;
        }
        let row = row.ok_or(LockerError::Contended)?;
        let key = self.unwrap(agency, row.version, &row.root_key_id, &row.wrapped)?;
        Ok((row.version, key))
    }

    fn unwrap(&self, agency: AgencyId, version: i32, root_id: &str, wrapped: &Sealed) -> Result<Arc<Key>, LockerError> {
        let ticket = match self.keys.get(&(agency, version)) {
            Ok(key) => return Ok(key),
            Err(ticket) => ticket,
        };
        if root_id != self.root_id {
            return Err(LockerError::RootKey { wrapped_with: root_id.to_owned(), configured: self.root_id.clone() });
        }
        let bytes = seal::open(&self.root_key(), &key_aad(agency, version, root_id), wrapped)?;
        let key = Arc::new(Key::new(bytes.as_slice().try_into().map_err(|_| LockerError::Tampered)?));
        self.keys.keep(ticket, (agency, version), Arc::clone(&key));
        Ok(key)
    }

    fn root_key(&self) -> Key {
        Key::new(*self.root.expose_secret())
    }

    fn forget(&self, agency: AgencyId, name: &KeyName) {
        self.sealed.forget(|(of, _, _, known), _| *of == agency && known == name.as_str());
    }
}

/// Binds a sealed value to its row, so that a row swapped or rolled back does not open.
fn aad(agency: AgencyId, id: SecretId, version: i32, key_version: i32) -> Vec<u8> {
    let mut aad = b"teamai secret".to_vec();
    aad.extend_from_slice(agency.0.as_bytes());
    aad.extend_from_slice(id.0.as_bytes());
    aad.extend_from_slice(&version.to_be_bytes());
    aad.extend_from_slice(&key_version.to_be_bytes());
    aad
}

fn key_aad(agency: AgencyId, version: i32, root_id: &str) -> Vec<u8> {
    let mut aad = b"teamai agency key".to_vec();
    aad.extend_from_slice(agency.0.as_bytes());
    aad.extend_from_slice(&version.to_be_bytes());
    aad.extend_from_slice(root_id.as_bytes());
    aad
}

#[cfg(test)]
mod tests;
