//! New keys for old, while everything runs.
//!
//! Each step is a compare-and-set in a small transaction: a reader finds a row
//! either as it was or as it is, whole both times, and a writer who was quicker
//! wins. What a rotation that was cut off has done stands; the next one goes on.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::PgPool;
use uuid::Uuid;

use super::{
    Locker, LockerError, aad,
    root::WrappedKey,
    seal::{self, Key},
    store,
};
use crate::base::{AgencyId, SecretId, random};

pub use store::root_keys_in_use;

/// Rows in one transaction.
const BATCH: i64 = 100;
/// Looks for secrets that were stored under an older key while the others were re-encrypted.
const PASSES: usize = 10;
/// Ids compare as bytes: every one comes after this.
const FIRST: Uuid = Uuid::nil();

/// What a rotation of the root key did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Agency keys that are wrapped by the new root key since.
    pub rewrapped: u64,
    /// Agency keys by the root key that wraps them now.
    pub wrapped_by: BTreeMap<String, i64>,
    /// Agencies whose key could not be opened, with the reason; left as they were.
    pub failed: Vec<(AgencyId, String)>,
}

/// What a rotation of an agency's key did.
#[derive(Debug, PartialEq, Eq)]
pub struct Rotated {
    pub agency: AgencyId,
    pub key_version: i32,
    /// Secrets that are sealed with the new key since.
    pub resealed: u64,
    /// Secrets that cannot be opened: their row, or the key, is not what the
    /// locker wrote. Left as they were, with their key.
    pub unreadable: u64,
    pub keys_dropped: u64,
}

/// Agencies that have a key, in order, after one of them; at most a hundred.
///
/// # Errors
/// The database is unavailable, or the role cannot become the definer.
pub async fn agencies_with_keys(pool: &PgPool, after: Option<AgencyId>) -> Result<Vec<AgencyId>, LockerError> {
    let mut tx = store::definer(pool).await?;
    let agencies = store::agencies_with_keys(&mut tx, after.unwrap_or(AgencyId(FIRST)), BATCH).await?;
    tx.commit().await?;
    Ok(agencies)
}

impl Locker {
    /// Wraps every agency key with the current root key. `pool` signs in as the migrating role.
    ///
    /// # Errors
    /// The database is unavailable, or the role cannot become the definer. A key that
    /// cannot be opened is no error but in the report.
    pub async fn rewrap_agency_keys(&self, pool: &PgPool) -> Result<Rewrapped, LockerError> {
        let mut report = Rewrapped::default();
        let mut after = (AgencyId(FIRST), 0);
        loop {
            let mut tx = store::definer(pool).await?;
            let keys = store::wrapped_by_others(&mut tx, self.roots.current_id(), after, BATCH).await?;
            for (agency, old) in &keys {
                after = (*agency, old.version);
                match self.rewrapped(*agency, old) {
                    Ok(new) => report.rewrapped += u64::from(store::rewrap(&mut tx, *agency, old, &new).await?),
                    Err(error) => report.failed.push((*agency, error.to_string())),
                }
            }
            if keys.is_empty() {
                report.wrapped_by = store::keys_by_root(&mut tx).await?.into_iter().collect();
                tx.commit().await?;
                return Ok(report);
            }
            tx.commit().await?;
        }
    }

    fn rewrapped(&self, agency: AgencyId, old: &WrappedKey) -> Result<WrappedKey, LockerError> {
        self.roots.wrap(agency, old.version, &self.roots.unwrap(agency, old)?)
    }

    /// Gives the agency a new key and seals its secrets anew with it. `None` if it
    /// has no key, and so no secret. `pool` signs in as the migrating role.
    ///
    /// # Errors
    /// The database is unavailable, the role cannot become the definer, the agency's newest
    /// key is wrapped by a root key that is not configured, or writers never paused.
    pub async fn rotate_agency_key(&self, pool: &PgPool, agency: AgencyId) -> Result<Option<Rotated>, LockerError> {
        let Some((key_version, key)) = self.new_key(pool, agency).await? else { return Ok(None) };
        let mut report = Rotated { agency, key_version, resealed: 0, unreadable: 0, keys_dropped: 0 };
        for _ in 0..PASSES {
            report.unreadable = self.reseal_all(pool, agency, key_version, &key, &mut report.resealed).await?;
            let mut tx = store::definer(pool).await?;
            match store::drop_unused_keys(&mut tx, agency, key_version).await {
                Ok(dropped) => report.keys_dropped += dropped,
                Err(LockerError::Contended) => continue,
                Err(error) => return Err(error),
            }
            let left = store::count_older(&mut tx, agency, key_version).await?;
            tx.commit().await?;
            if u64::try_from(left).is_ok_and(|left| left <= report.unreadable) {
                return Ok(Some(report));
            }
        }
        Err(LockerError::Contended)
    }

    /// Of two rotations at once both go on with the newer key.
    async fn new_key(&self, pool: &PgPool, agency: AgencyId) -> Result<Option<(i32, Arc<Key>)>, LockerError> {
        let mut tx = store::definer(pool).await?;
        let Some(newest) = store::newest_key(&mut tx, agency).await? else { return Ok(None) };
        // Otherwise a process that was given a wrong root key would leave a key that no other can open.
        self.roots.unwrap(agency, &newest)?;
        let key = Key::new(random::bytes()?);
        store::insert_key(&mut tx, agency, &self.roots.wrap(agency, newest.version + 1, &key)?).await?;
        let made = store::newest_key(&mut tx, agency).await?.ok_or(LockerError::Contended)?;
        tx.commit().await?;
        Ok(Some((made.version, self.unwrap(agency, &made)?)))
    }

    /// One pass over the secrets under older keys; gives how many of them cannot be opened.
    async fn reseal_all(
        &self,
        pool: &PgPool,
        agency: AgencyId,
        key_version: i32,
        key: &Key,
        resealed: &mut u64,
    ) -> Result<u64, LockerError> {
        let (mut after, mut unreadable) = (SecretId(FIRST), 0);
        loop {
            let mut tx = store::definer(pool).await?;
            let batch = store::sealed_with_older(&mut tx, agency, key_version, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(unreadable) };
            after = last.id;
            for old in &batch {
                let Ok(value) = self.open_bytes(agency, old) else {
                    unreadable += 1;
                    continue;
                };
                let sealed = seal::seal(key, &aad(agency, old.id, old.version, key_version, &old.hosts), &value)?;
                *resealed += u64::from(store::reseal(&mut tx, old, key_version, &sealed).await?);
            }
            tx.commit().await?;
        }
    }
}
