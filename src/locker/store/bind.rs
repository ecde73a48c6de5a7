//! SQL for binding secrets to hosts.

use sqlx::PgConnection;

use super::{LockerError, Row, Sealed, Stored};
use crate::base::{SecretId, TeamId};

/// A secret's name and hosts.
pub struct Named {
    pub id: SecretId,
    pub key_name: String,
    pub team_id: Option<TeamId>,
    pub hosts: Vec<String>,
}

/// The secrets of these names, locked in one order.
pub async fn lock_named(connection: &mut PgConnection, names: &[String]) -> Result<Vec<Named>, LockerError> {
    let rows = sqlx::query_as!(
        Named,
        r#"select id as "id: SecretId", key_name, team_id as "team_id: TeamId", hosts
             from secret_locker where key_name = any ($1) and webhook_id is null
            order by key_name, id for update"#,
        names,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// One that was locked before.
pub async fn sealed(connection: &mut PgConnection, secret: SecretId) -> Result<Stored, LockerError> {
    let row = sqlx::query_as!(
        Row,
        r#"select s.id as "id: SecretId", s.version, s.hosts, s.key_version, s.nonce, s.ciphertext, k.root_key_id,
                  k.nonce as key_nonce, k.wrapped_key
             from secret_locker s join agency_keys k on k.agency_id = s.agency_id and k.version = s.key_version
            where s.id = $1"#,
        secret.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(row.into())
}

/// Its value, sealed with the hosts. One that has hosts keeps them.
pub async fn bind(
    connection: &mut PgConnection,
    old: &Stored,
    hosts: &[String],
    sealed: &Sealed,
) -> Result<(), LockerError> {
    sqlx::query!(
        "update secret_locker set hosts = $2, nonce = $3, ciphertext = $4, updated_at = clock_timestamp()
          where id = $1 and hosts = '{}'",
        old.id.0,
        hosts,
        sealed.nonce,
        sealed.ciphertext,
    )
    .execute(connection)
    .await?;
    Ok(())
}
