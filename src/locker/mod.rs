//! The locker: tenants' secrets under envelope encryption.
//!
//! The root key wraps a key for each agency, which seals its secrets. The root
//! key lives in the configuration alone, so a copy of the database opens nothing.

mod envelope;
mod error;
mod probe;
mod root;
mod rotate;
mod seal;
mod signing;
mod store;
mod value;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::{PgConnection, PgPool};
use zeroize::Zeroizing;

pub use envelope::Envelope;
pub use error::LockerError;
pub use probe::{CheckError, Checked, KeyProbe, Probed};
pub use rotate::{Rewrapped, Rotated, agencies_with_keys, root_keys_in_use};
pub use store::{get, list};
pub use value::{Invalid, KeyName, SecretValue};

use crate::{
    base::{AgencyId, RunScope, SecretId, TeamId, TenantScope, cache::Cache, random},
    config::SecretBytes,
    db,
};
use root::{RootKeys, WrappedKey};
use seal::Key;

/// How long a sealed value is believed: the longest that a change made through
/// another process goes unseen.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
const MAX_BELIEVED: usize = 20_000;
/// Unwrapped agency keys, wiped when dropped. They never change.
const KEYS_KEPT_FOR: Duration = Duration::from_mins(10);
const MAX_KEYS: usize = 10_000;
/// Tries to store a secret that others keep making, deleting and re-encrypting meanwhile.
const WRITE_ATTEMPTS: usize = 5;

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

/// A value on its way in.
#[derive(Clone, Copy)]
struct Write<'a> {
    scope: &'a TenantScope,
    team: Option<TeamId>,
    name: &'a KeyName,
    value: &'a SecretValue,
    /// The id of the secret if there is none yet; `None` writes only over one that is there.
    if_absent: Option<SecretId>,
}

type SealedKey = (AgencyId, TeamId, Lookup, String);

/// Seals and opens secrets. One for a process.
pub struct Locker {
    roots: RootKeys,
    keys: Cache<(AgencyId, i32), Arc<Key>>,
    sealed: Cache<SealedKey, Arc<store::Stored>>,
}

impl std::fmt::Debug for Locker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locker").field("root_key_ids", &self.roots.ids()).finish_non_exhaustive()
    }
}

impl Locker {
    #[must_use]
    pub fn new(root: SecretBytes) -> Self {
        Self::with_previous(root, &[])
    }

    /// `previous` are root keys that are read as well, while `root` takes their place.
    #[must_use]
    pub fn with_previous(root: SecretBytes, previous: &[SecretBytes]) -> Self {
        Self {
            roots: RootKeys::new(root, previous),
            keys: Cache::new(KEYS_KEPT_FOR, MAX_KEYS),
            sealed: Cache::new(BELIEVED_FOR, MAX_BELIEVED),
        }
    }

    /// The ids of the root keys that are configured, the wrapping one first. No secrets.
    #[must_use]
    pub fn root_key_ids(&self) -> String {
        self.roots.ids()
    }

    /// The id of the root key that wraps.
    #[must_use]
    pub fn current_root_key_id(&self) -> &str {
        self.roots.current_id()
    }

    #[must_use]
    pub fn knows_root_key(&self, id: &str) -> bool {
        self.roots.knows(id)
    }

    /// Stores a value under a name: a new secret, or the next version of the one
    /// there. Says whether it is new.
    ///
    /// # Errors
    /// The team is not the agency's; the database is away.
    pub async fn put(
        &self,
        scope: &TenantScope,
        pool: &PgPool,
        team: Option<TeamId>,
        name: &KeyName,
        value: &SecretValue,
        now: DateTime<Utc>,
    ) -> Result<(Secret, bool), LockerError> {
        let write = Write { scope, team, name, value, if_absent: Some(SecretId::at(now)) };
        self.write(pool, &write).await?.ok_or(LockerError::Contended)
    }

    /// The next version of a secret that is there. `None` if there is none.
    ///
    /// # Errors
    /// The database is away.
    pub async fn replace(
        &self,
        scope: &TenantScope,
        pool: &PgPool,
        team: Option<TeamId>,
        name: &KeyName,
        value: &SecretValue,
    ) -> Result<Option<Secret>, LockerError> {
        let write = Write { scope, team, name, value, if_absent: None };
        Ok(self.write(pool, &write).await?.map(|(secret, _)| secret))
    }

    /// Tries until neither another writer nor a rotation of the agency's key is in the way.
    async fn write(&self, pool: &PgPool, write: &Write<'_>) -> Result<Option<(Secret, bool)>, LockerError> {
        for _ in 0..WRITE_ATTEMPTS {
            match self.try_write(pool, write).await {
                Err(LockerError::Contended) => {}
                done => return done,
            }
        }
        Err(LockerError::Contended)
    }

    async fn try_write(&self, pool: &PgPool, write: &Write<'_>) -> Result<Option<(Secret, bool)>, LockerError> {
        let Write { scope, team, name, value, if_absent } = *write;
        let agency = scope.agency_id();
        let mut tx = db::tenant(pool, agency).await?;
        let present = store::lock(&mut tx, team, name).await?;
        let Some((id, version)) = present.map(|(id, version)| (id, version + 1)).or(if_absent.map(|id| (id, 1))) else {
            return Ok(None);
        };
        let (key_version, key) = self.current_key(&mut tx, agency).await?;
        let sealed = seal::seal(&key, &aad(agency, id, version, key_version), value.bytes())?;
        let row = store::NewVersion { id, version, key_version, sealed: &sealed, last4: value.last4() };
        let written = match present {
            Some(_) => store::update(&mut tx, &row).await?,
            None => store::insert(&mut tx, agency, team, name, &row).await?,
        };
        let secret = written.ok_or(LockerError::Contended)?;
        tx.commit().await?;
        self.forget(agency, name);
        Ok(Some((secret, present.is_none())))
    }

    /// Whether there was such a secret.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete(
        &self,
        scope: &TenantScope,
        pool: &PgPool,
        team: Option<TeamId>,
        name: &KeyName,
    ) -> Result<bool, LockerError> {
        let deleted = store::delete(scope, pool, team, name).await?;
        self.forget(scope.agency_id(), name);
        Ok(deleted)
    }

    /// Opens a secret for a run. `None` if there is none of this name.
    ///
    /// # Errors
    /// The stored value is not what the locker wrote; another root key is
    /// configured; the database is away.
    pub async fn resolve(
        &self,
        run: &RunScope,
        pool: &PgPool,
        name: &str,
        lookup: Lookup,
    ) -> Result<Option<SecretString>, LockerError> {
        let cache_key = (run.agency_id(), run.team_id(), lookup, name.to_owned());
        let stored = match self.sealed.get(&cache_key) {
            Ok(stored) => stored,
            // One that is missing is not remembered: whoever has just stored it may run.
            Err(ticket) => match store::find_and_touch(run, pool, name, lookup).await?.map(Arc::new) {
                None => return Ok(None),
                Some(stored) => {
                    self.sealed.keep(ticket, cache_key, Arc::clone(&stored));
                    stored
                }
            },
        };
        self.open(run.agency_id(), &stored).map(Some)
    }

    fn open(&self, agency: AgencyId, stored: &store::Stored) -> Result<SecretString, LockerError> {
        let value = self.open_bytes(agency, stored)?;
        let text = std::str::from_utf8(&value).map_err(|_| LockerError::Tampered)?;
        Ok(SecretString::from(text))
    }

    fn open_bytes(&self, agency: AgencyId, stored: &store::Stored) -> Result<Zeroizing<Vec<u8>>, LockerError> {
        let key = self.unwrap(agency, &stored.key)?;
        seal::open(&key, &aad(agency, stored.id, stored.version, stored.key.version), &stored.sealed)
    }

    /// The agency's newest key, made if it has none yet.
    async fn current_key(&self, tx: &mut PgConnection, agency: AgencyId) -> Result<(i32, Arc<Key>), LockerError> {
        let mut newest = store::newest_key(tx, agency).await?;
        if newest.is_none() {
            let key = Key::new(random::bytes()?);
            // Another request may make it at this moment: the first one stands for both.
            store::insert_key(tx, agency, &self.roots.wrap(agency, 1, &key)?).await?;
            newest = store::newest_key(tx, agency).await?;
        }
        let newest = newest.ok_or(LockerError::Contended)?;
        Ok((newest.version, self.unwrap(agency, &newest)?))
    }

    fn unwrap(&self, agency: AgencyId, wrapped: &WrappedKey) -> Result<Arc<Key>, LockerError> {
        let ticket = match self.keys.get(&(agency, wrapped.version)) {
            Ok(key) => return Ok(key),
            Err(ticket) => ticket,
        };
        let key = Arc::new(self.roots.unwrap(agency, wrapped)?);
        self.keys.keep(ticket, (agency, wrapped.version), Arc::clone(&key));
        Ok(key)
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

#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod tests;
