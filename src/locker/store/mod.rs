//! SQL for secrets.

mod bind;
mod keys;
mod rotation;
mod signing;

pub use bind::*;
pub use keys::*;
pub use rotation::*;
pub use signing::*;
use sqlx::{PgConnection, PgPool};

use super::{KeyName, LockerError, Lookup, Secret, root::WrappedKey, seal::Sealed};
use crate::{
    base::{AgencyId, Page, Paged, RunScope, SecretId, TeamId, TenantScope},
    db,
};

/// The agency's secrets, or one team's, newest first.
pub async fn list(
    scope: &TenantScope,
    pool: &PgPool,
    team: Option<TeamId>,
    page: Page,
) -> Result<Paged<Secret>, LockerError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        Secret,
        r#"select id as "id: SecretId", key_name, team_id as "team_id: TeamId", version, last4, hosts, created_at,
                  updated_at, last_used_at
             from secret_locker
            where webhook_id is null and ($1::uuid is null or team_id = $1) and ($2::uuid is null or id < $2)
            order by id desc limit $3"#,
        team.map(|id| id.0),
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |secret| secret.id.0))
}

/// What may be shown of a team's secret, or of the agency's where `team` is `None`.
pub async fn get(
    scope: &TenantScope,
    pool: &PgPool,
    team: Option<TeamId>,
    name: &KeyName,
) -> Result<Option<Secret>, LockerError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let secret = sqlx::query_as!(
        Secret,
        r#"select id as "id: SecretId", key_name, team_id as "team_id: TeamId", version, last4, hosts, created_at,
                  updated_at, last_used_at
             from secret_locker where key_name = $1 and team_id is not distinct from $2 and webhook_id is null"#,
        name.as_str(),
        team.map(|id| id.0),
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(secret)
}

pub async fn delete(
    scope: &TenantScope,
    pool: &PgPool,
    team: Option<TeamId>,
    name: &KeyName,
) -> Result<bool, LockerError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let deleted = sqlx::query!(
        "delete from secret_locker where key_name = $1 and team_id is not distinct from $2 and webhook_id is null",
        name.as_str(),
        team.map(|id| id.0),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}

/// Locks the secret against other writers; gives its id, version and hosts.
pub async fn lock(
    connection: &mut PgConnection,
    team: Option<TeamId>,
    name: &KeyName,
) -> Result<Option<(SecretId, i32, Vec<String>)>, LockerError> {
    let row = sqlx::query!(
        r#"select id as "id: SecretId", version, hosts from secret_locker
            where key_name = $1 and team_id is not distinct from $2 and webhook_id is null for update"#,
        name.as_str(),
        team.map(|id| id.0),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.id, row.version, row.hosts)))
}

pub struct NewVersion<'a> {
    pub id: SecretId,
    pub version: i32,
    pub key_version: i32,
    pub sealed: &'a Sealed,
    pub last4: String,
    pub hosts: Vec<String>,
}

/// `None` if another request made the secret first.
pub async fn insert(
    connection: &mut PgConnection,
    agency: AgencyId,
    team: Option<TeamId>,
    name: &KeyName,
    new: &NewVersion<'_>,
) -> Result<Option<Secret>, LockerError> {
    let secret = sqlx::query_as!(
        Secret,
        r#"insert into secret_locker (id, agency_id, team_id, key_name, version, key_version, nonce, ciphertext, last4, hosts)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           on conflict on constraint secret_locker_name_key do nothing
           returning id as "id: SecretId", key_name, team_id as "team_id: TeamId", version, last4, hosts, created_at,
                     updated_at, last_used_at"#,
        new.id.0,
        agency.0,
        team.map(|id| id.0),
        name.as_str(),
        new.version,
        new.key_version,
        new.sealed.nonce,
        new.sealed.ciphertext,
        new.last4,
        &new.hosts,
    )
    .fetch_optional(connection)
    .await?;
    Ok(secret)
}

/// The row is locked, and at the version before this one.
pub async fn update(connection: &mut PgConnection, new: &NewVersion<'_>) -> Result<Option<Secret>, LockerError> {
    let secret = sqlx::query_as!(
        Secret,
        r#"update secret_locker
              set version = $2, key_version = $3, nonce = $4, ciphertext = $5, last4 = $6, hosts = $7,
                  updated_at = clock_timestamp()
            where id = $1 and version = $2 - 1
           returning id as "id: SecretId", key_name, team_id as "team_id: TeamId", version, last4, hosts, created_at,
                     updated_at, last_used_at"#,
        new.id.0,
        new.version,
        new.key_version,
        new.sealed.nonce,
        new.sealed.ciphertext,
        new.last4,
        &new.hosts,
    )
    .fetch_optional(connection)
    .await?;
    Ok(secret)
}

/// A secret as it is stored, with the key that seals it, itself wrapped.
#[derive(Debug)]
pub struct Stored {
    pub id: SecretId,
    pub version: i32,
    pub hosts: Vec<String>,
    pub sealed: Sealed,
    pub key: WrappedKey,
}

/// A row of `secret_locker` with its row of `agency_keys`.
pub struct Row {
    id: SecretId,
    version: i32,
    hosts: Vec<String>,
    key_version: i32,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
    root_key_id: String,
    key_nonce: Vec<u8>,
    wrapped_key: Vec<u8>,
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        let wrapped = Sealed { nonce: row.key_nonce, ciphertext: row.wrapped_key };
        Self {
            id: row.id,
            version: row.version,
            hosts: row.hosts,
            sealed: Sealed { nonce: row.nonce, ciphertext: row.ciphertext },
            key: WrappedKey { version: row.key_version, root_key_id: row.root_key_id, wrapped },
        }
    }
}

/// Finds a secret for a run and notes its use, at most once a minute.
pub async fn find_and_touch(
    run: &RunScope,
    pool: &PgPool,
    name: &str,
    lookup: Lookup,
) -> Result<Option<Stored>, LockerError> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let row = sqlx::query_as!(
        Row,
        r#"select s.id as "id: SecretId", s.version, s.hosts, s.key_version, s.nonce, s.ciphertext, k.root_key_id,
                  k.nonce as key_nonce, k.wrapped_key
             from secret_locker s
             join agency_keys k on k.agency_id = s.agency_id and k.version = s.key_version
            where s.key_name = $1 and s.webhook_id is null and (s.team_id = $2 or ($3 and s.team_id is null))
            order by s.team_id nulls last limit 1"#,
        name,
        run.team_id().0,
        lookup == Lookup::TeamThenAgency,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(row) = &row {
        // Whoever finds the row locked leaves it: another run is noting the same minute.
        sqlx::query!(
            "update secret_locker set last_used_at = clock_timestamp()
              where id = (select id from secret_locker
                           where id = $1 and coalesce(last_used_at < clock_timestamp() - interval '1 minute', true)
                             for update skip locked)",
            row.id.0,
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(row.map(Into::into))
}

/// What a look for a secret that is to be checked found.
#[derive(Debug)]
pub enum ForCheck {
    Missing,
    /// Another check began too lately.
    TooSoon,
    Due(Stored),
}

/// Finds exactly this secret, and notes that a check begins unless one began within `seconds`.
pub async fn begin_check(
    scope: &TenantScope,
    pool: &PgPool,
    team: Option<TeamId>,
    name: &KeyName,
    seconds: u32,
) -> Result<ForCheck, LockerError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    // The row is read after it was locked, so that of two checks at once one comes too soon.
    let due = sqlx::query_scalar!(
        r#"select coalesce(checked_at <= clock_timestamp() - make_interval(secs => $3), true) as "due!"
             from secret_locker where key_name = $1 and team_id is not distinct from $2 and webhook_id is null for update"#,
        name.as_str(),
        team.map(|id| id.0),
        f64::from(seconds),
    )
    .fetch_optional(&mut *tx)
    .await?;
    match due {
        None => return Ok(ForCheck::Missing),
        Some(false) => return Ok(ForCheck::TooSoon),
        Some(true) => {}
    }
    let row = sqlx::query_as!(
        Row,
        r#"update secret_locker s set checked_at = clock_timestamp()
             from agency_keys k
            where s.key_name = $1 and s.team_id is not distinct from $2 and s.webhook_id is null
              and k.agency_id = s.agency_id and k.version = s.key_version
           returning s.id as "id: SecretId", s.version, s.hosts, s.key_version, s.nonce, s.ciphertext, k.root_key_id,
                     k.nonce as key_nonce, k.wrapped_key"#,
        name.as_str(),
        team.map(|id| id.0),
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(ForCheck::Due(row.into()))
}
