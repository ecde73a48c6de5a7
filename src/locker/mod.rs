//! The locker: tenants' secrets under envelope encryption.
//!
//! The root key wraps a key for each agency, which seals its secrets. The root
//! key lives in the configuration alone, so a copy of the database opens nothing.

mod bind;
mod envelope;
mod error;
mod probe;
mod root;
mod rotate;
mod seal;
mod secret;
mod signing;
mod store;
mod value;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::{PgConnection, PgPool};
use zeroize::Zeroizing;

pub use bind::{Bindable, bindable};
pub use envelope::Envelope;
pub use error::LockerError;
pub use probe::{CheckError, Checked, KeyProbe, Probed};
pub use rotate::{Rewrapped, Rotated, agencies_with_keys, root_keys_in_use};
pub use secret::{Lookup, Opened, Secret};
pub use store::{get, list};
pub use value::{Invalid, KeyName, SecretValue};

use crate::{
    base::{AgencyId, RunScope, SecretHost, SecretId, TeamId, TenantScope, cache::Cache, random},
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

/// A value on its way in.
#[derive(Clone, Copy)]
struct Write<'a> {
    scope: &'a TenantScope,
    team: Option<TeamId>,
    name: &'a KeyName,
    value: &'a SecretValue,
    /// `None` leaves those that there are.
    hosts: Option<&'a [SecretHost]>,
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
    /// there. Says whether it is new. Without `hosts` those that there are stay: they are
    /// changed with the value alone, so that whoever does not know it cannot send it elsewhere.
    ///
    /// # Errors
    /// The team is not the agency's; the database is unavailable.
    pub async fn put(
        &self,
        scope: &TenantScope,
        pool: &PgPool,
        team: Option<TeamId>,
        name: &KeyName,
        (value, hosts): (&SecretValue, Option<&[SecretHost]>),
        now: DateTime<Utc>,
    ) -> Result<(Secret, bool), LockerError> {
        let write = Write { scope, team, name, value, hosts, if_absent: Some(SecretId::at(now)) };
        self.write(pool, &write).await?.ok_or(LockerError::Contended)
    }

    /// The next version of a secret that is there. `None` if there is none.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn replace(
        &self,
        scope: &TenantScope,
        pool: &PgPool,
        team: Option<TeamId>,
        name: &KeyName,
        value: &SecretValue,
    ) -> Result<Option<Secret>, LockerError> {
        let write = Write { scope, team, name, value, hosts: None, if_absent: None };
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
        let Write { scope, team, name, value, hosts, if_absent } = *write;
        let agency = scope.agency_id();
        let mut tx = db::tenant(pool, agency).await?;
        let present = store::lock(&mut tx, team, name).await?;
        let is_new = present.is_none();
        let next = present.map(|(id, version, hosts)| (id, version + 1, hosts));
        let Some((id, version, before)) = next.or(if_absent.map(|id| (id, 1, Vec::new()))) else { return Ok(None) };
        let hosts = hosts.map_or(before, written);
        let (key_version, key) = self.current_key(&mut tx, agency).await?;
        let sealed = seal::seal(&key, &aad(agency, id, version, key_version, &hosts), value.bytes())?;
        let row = store::NewVersion { id, version, key_version, sealed: &sealed, last4: value.last4(), hosts };
        let stored = if is_new {
            store::insert(&mut tx, agency, team, name, &row).await?
        } else {
            store::update(&mut tx, &row).await?
        };
        let secret = stored.ok_or(LockerError::Contended)?;
        tx.commit().await?;
        self.doubt(agency, name.as_str());
        Ok(Some((secret, is_new)))
    }

    /// Whether there was such a secret.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn delete(
        &self,
        scope: &TenantScope,
        pool: &PgPool,
        team: Option<TeamId>,
        name: &KeyName,
    ) -> Result<bool, LockerError> {
        let deleted = store::delete(scope, pool, team, name).await?;
        self.doubt(scope.agency_id(), name.as_str());
        Ok(deleted)
    }

    /// Opens a secret for a run. `None` if there is none of this name.
    ///
    /// # Errors
    /// The stored value is not what the locker wrote; another root key is
    /// configured; the database is unavailable.
    pub async fn resolve(
        &self,
        run: &RunScope,
        pool: &PgPool,
        name: &str,
        lookup: Lookup,
    ) -> Result<Option<Opened>, LockerError> {
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
        let value = self.open(run.agency_id(), &stored)?;
        // What is no host permits nothing.
        let hosts = stored.hosts.iter().filter_map(|host| SecretHost::parse(host).ok()).collect();
        Ok(Some(Opened { value, hosts }))
    }

    /// Forgets what is believed of the secrets of a name, so that the next look is at the database.
    pub fn doubt(&self, agency: AgencyId, name: &str) {
        self.sealed.forget(|(of, _, _, known), _| *of == agency && known == name);
    }

    fn open(&self, agency: AgencyId, stored: &store::Stored) -> Result<SecretString, LockerError> {
        let value = self.open_bytes(agency, stored)?;
        let text = std::str::from_utf8(&value).map_err(|_| LockerError::Tampered)?;
        Ok(SecretString::from(text))
    }

    fn open_bytes(&self, agency: AgencyId, stored: &store::Stored) -> Result<Zeroizing<Vec<u8>>, LockerError> {
        let key = self.unwrap(agency, &stored.key)?;
        let aad = aad(agency, stored.id, stored.version, stored.key.version, &stored.hosts);
        seal::open(&key, &aad, &stored.sealed)
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
}

/// Hosts as they are stored.
fn written(hosts: &[SecretHost]) -> Vec<String> {
    hosts.iter().map(ToString::to_string).collect()
}

/// Binds a sealed value to its row and its hosts, so that a row swapped or rolled back does
/// not open, nor one whose hosts were changed by somebody who has the database alone.
fn aad(agency: AgencyId, id: SecretId, version: i32, key_version: i32, hosts: &[String]) -> Vec<u8> {
    let mut aad = b"teamai secret".to_vec();
    aad.extend_from_slice(agency.0.as_bytes());
    aad.extend_from_slice(id.0.as_bytes());
    aad.extend_from_slice(&version.to_be_bytes());
    aad.extend_from_slice(&key_version.to_be_bytes());
    for host in hosts {
        // No host has a line break.
        aad.extend_from_slice(host.as_bytes());
        aad.push(b'\n');
    }
    aad
}

#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod tests;
