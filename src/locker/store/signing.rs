//! SQL for the signing secrets of webhooks: rows of the locker that no name leads to.

use sqlx::{PgConnection, PgPool};

use super::{LockerError, NewVersion, Sealed, Stored, WrappedKey};
use crate::{
    base::{AgencyId, SecretId, WebhookId},
    db,
};

/// As a new row.
pub async fn insert_signing(
    connection: &mut PgConnection,
    agency: AgencyId,
    webhook: WebhookId,
    name: &str,
    new: &NewVersion<'_>,
) -> Result<(), LockerError> {
    sqlx::query!(
        "insert into secret_locker (id, agency_id, webhook_id, key_name, version, key_version, nonce, ciphertext, last4)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.id.0,
        agency.0,
        webhook.0,
        name,
        new.version,
        new.key_version,
        new.sealed.nonce,
        new.sealed.ciphertext,
        new.last4,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All but these of a webhook go.
pub async fn drop_other_signing(
    connection: &mut PgConnection,
    webhook: WebhookId,
    keep: &[String],
) -> Result<(), LockerError> {
    sqlx::query!("delete from secret_locker where webhook_id = $1 and key_name <> all ($2)", webhook.0, keep)
        .execute(connection)
        .await?;
    Ok(())
}

/// The secret of one name.
pub async fn find_signing(
    pool: &PgPool,
    agency: AgencyId,
    webhook: WebhookId,
    name: &str,
) -> Result<Option<Stored>, LockerError> {
    let mut tx = db::tenant(pool, agency).await?;
    let row = sqlx::query!(
        r#"select s.id as "id: SecretId", s.version, s.key_version, s.nonce, s.ciphertext, k.root_key_id,
                  k.nonce as key_nonce, k.wrapped_key
             from secret_locker s join agency_keys k on k.agency_id = s.agency_id and k.version = s.key_version
            where s.agency_id = $1 and s.webhook_id = $2 and s.key_name = $3"#,
        agency.0,
        webhook.0,
        name,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.map(|row| Stored {
        id: row.id,
        version: row.version,
        // It signs and is never sent.
        hosts: Vec::new(),
        sealed: Sealed { nonce: row.nonce, ciphertext: row.ciphertext },
        key: WrappedKey {
            version: row.key_version,
            root_key_id: row.root_key_id,
            wrapped: Sealed { nonce: row.key_nonce, ciphertext: row.wrapped_key },
        },
    }))
}
