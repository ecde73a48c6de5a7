//! SQL for agency keys.

use sqlx::PgConnection;

use super::{LockerError, Sealed, WrappedKey};
use crate::base::AgencyId;

pub async fn newest_key(connection: &mut PgConnection, agency: AgencyId) -> Result<Option<WrappedKey>, LockerError> {
    let row = sqlx::query!(
        "select version, root_key_id, nonce, wrapped_key from agency_keys
          where agency_id = $1 order by version desc limit 1",
        agency.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| WrappedKey {
        version: row.version,
        root_key_id: row.root_key_id,
        wrapped: Sealed { nonce: row.nonce, ciphertext: row.wrapped_key },
    }))
}

/// Whether it was written: not if the version is there already.
pub async fn insert_key(
    connection: &mut PgConnection,
    agency: AgencyId,
    key: &WrappedKey,
) -> Result<bool, LockerError> {
    let written = sqlx::query!(
        "insert into agency_keys (agency_id, version, root_key_id, nonce, wrapped_key) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        agency.0,
        key.version,
        key.root_key_id,
        key.wrapped.nonce,
        key.wrapped.ciphertext,
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

pub async fn key_of_version(
    connection: &mut PgConnection,
    agency: AgencyId,
    version: i32,
) -> Result<Option<WrappedKey>, LockerError> {
    let row = sqlx::query!(
        "select version, root_key_id, nonce, wrapped_key from agency_keys where agency_id = $1 and version = $2",
        agency.0,
        version,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| WrappedKey {
        version: row.version,
        root_key_id: row.root_key_id,
        wrapped: Sealed { nonce: row.nonce, ciphertext: row.wrapped_key },
    }))
}
