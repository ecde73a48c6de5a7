//! SQL of rotation, over all agencies: as the definer, which only the migrating role can become.

use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::{LockerError, Row, Sealed, Stored, WrappedKey};
use crate::base::{AgencyId, SecretId};

/// A transaction that sees every agency's rows.
pub async fn definer(pool: &PgPool) -> Result<Transaction<'static, Postgres>, LockerError> {
    let mut tx = pool.begin().await?;
    sqlx::query!("set local role teamai_definer").execute(&mut *tx).await?;
    Ok(tx)
}

/// Root key ids and how many agency keys each wraps. For any of the roles.
pub async fn root_keys_in_use(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select root_key_id as "root_key_id!", agency_keys as "agency_keys!" from app.root_keys_in_use()"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root_key_id, row.agency_keys)).collect())
}

/// The same, as the definer.
pub async fn keys_by_root(connection: &mut PgConnection) -> Result<Vec<(String, i64)>, LockerError> {
    let rows = sqlx::query!(
        r#"select root_key_id, count(*) as "agency_keys!" from agency_keys group by 1 order by 2 desc, 1"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root_key_id, row.agency_keys)).collect())
}

/// Keys that another root key wraps, after a place in the order of agency and version.
pub async fn wrapped_by_others(
    connection: &mut PgConnection,
    root_key_id: &str,
    after: (AgencyId, i32),
    limit: i64,
) -> Result<Vec<(AgencyId, WrappedKey)>, LockerError> {
    let rows = sqlx::query!(
        r#"select agency_id as "agency_id: AgencyId", version, root_key_id, nonce, wrapped_key from agency_keys
            where root_key_id <> $1 and (agency_id, version) > ($2, $3)
            order by agency_id, version limit $4"#,
        root_key_id,
        after.0.0,
        after.1,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let key = |version, root_key_id, nonce, ciphertext| WrappedKey {
        version,
        root_key_id,
        wrapped: Sealed { nonce, ciphertext },
    };
    Ok(rows.into_iter().map(|r| (r.agency_id, key(r.version, r.root_key_id, r.nonce, r.wrapped_key))).collect())
}

/// Puts the new wrapping in the place of the one that was read. `false` if that is gone.
pub async fn rewrap(
    connection: &mut PgConnection,
    agency: AgencyId,
    old: &WrappedKey,
    new: &WrappedKey,
) -> Result<bool, LockerError> {
    let done = sqlx::query!(
        "update agency_keys set root_key_id = $4, nonce = $5, wrapped_key = $6
          where agency_id = $1 and version = $2 and nonce = $3",
        agency.0,
        old.version,
        old.wrapped.nonce,
        new.root_key_id,
        new.wrapped.nonce,
        new.wrapped.ciphertext,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Agencies that have keys, after one of them.
pub async fn agencies_with_keys(
    connection: &mut PgConnection,
    after: AgencyId,
    limit: i64,
) -> Result<Vec<AgencyId>, LockerError> {
    let agencies = sqlx::query_scalar!(
        r#"select distinct agency_id as "id: AgencyId" from agency_keys where agency_id > $1 order by 1 limit $2"#,
        after.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(agencies)
}

/// The agency's secrets under older keys than `key_version`, after one of them.
pub async fn sealed_with_older(
    connection: &mut PgConnection,
    agency: AgencyId,
    key_version: i32,
    after: SecretId,
    limit: i64,
) -> Result<Vec<Stored>, LockerError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select s.id as "id: SecretId", s.version, s.hosts, s.key_version, s.nonce, s.ciphertext, k.root_key_id,
                  k.nonce as key_nonce, k.wrapped_key
             from secret_locker s join agency_keys k on k.agency_id = s.agency_id and k.version = s.key_version
            where s.agency_id = $1 and s.key_version < $2 and s.id > $3
            order by s.id limit $4"#,
        agency.0,
        key_version,
        after.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The same value under another key. `false` if the secret was changed, bound or deleted since it was read.
pub async fn reseal(
    connection: &mut PgConnection,
    old: &Stored,
    key_version: i32,
    sealed: &Sealed,
) -> Result<bool, LockerError> {
    let done = sqlx::query!(
        "update secret_locker set key_version = $4, nonce = $5, ciphertext = $6
          where id = $1 and version = $2 and key_version = $3 and hosts = $7",
        old.id.0,
        old.version,
        old.key.version,
        key_version,
        sealed.nonce,
        sealed.ciphertext,
        &old.hosts,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Drops the agency's older keys that no secret uses. A secret that is stored
/// under one of them at this moment makes the whole statement fail as contended.
pub async fn drop_unused_keys(
    connection: &mut PgConnection,
    agency: AgencyId,
    newest: i32,
) -> Result<u64, LockerError> {
    let done = sqlx::query!(
        "delete from agency_keys k
          where k.agency_id = $1 and k.version < $2
            and not exists (select from secret_locker s where s.agency_id = k.agency_id and s.key_version = k.version)",
        agency.0,
        newest,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// The agency's secrets under keys older than `newest`.
pub async fn count_older(connection: &mut PgConnection, agency: AgencyId, newest: i32) -> Result<i64, LockerError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from secret_locker where agency_id = $1 and key_version < $2"#,
        agency.0,
        newest,
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}
