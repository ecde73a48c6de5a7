//! Answers that are kept, by caller, operation and key.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    base::{AgencyId, TenantScope},
    db,
    locker::Envelope,
};

/// Whose request it is, and which.
#[derive(Debug, Clone)]
pub struct Place {
    pub scope: TenantScope,
    /// The person or the API key.
    pub caller: Uuid,
    pub operation: String,
    pub key: String,
}

impl Place {
    #[must_use]
    pub fn agency(&self) -> AgencyId {
        self.scope.agency_id()
    }
}

/// What a key was found to be.
#[derive(Debug)]
pub enum Found {
    /// New, or a day old: the caller's to use, under its claim.
    Free,
    /// Of another request.
    Reused,
    /// `minute_old`: whoever is at it has died, or is very slow.
    UnderWay {
        minute_old: bool,
    },
    Answered {
        status: i16,
        answer: Envelope,
    },
}

/// Takes the key for a request, or says what it is.
///
/// # Errors
/// The database is unavailable.
pub async fn take(pool: &PgPool, place: &Place, request_hash: &[u8], claim: Uuid) -> Result<Found, sqlx::Error> {
    let mut tx = db::tenant(pool, place.agency()).await?;
    let taken = sqlx::query!(
        "insert into stored_answers as held (agency_id, caller, operation, key, request_hash, claim)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (agency_id, caller, operation, key) do update
           set request_hash = excluded.request_hash, claim = excluded.claim, status = null, key_version = null,
               nonce = null, ciphertext = null, created_at = clock_timestamp()
           where held.created_at < clock_timestamp() - interval '24 hours'",
        place.agency().0,
        place.caller,
        place.operation,
        place.key,
        request_hash,
        claim,
    )
    .execute(&mut *tx)
    .await?;
    let found = if taken.rows_affected() == 1 { Found::Free } else { look(&mut tx, place, request_hash).await? };
    tx.commit().await?;
    Ok(found)
}

async fn look(tx: &mut PgConnection, place: &Place, request_hash: &[u8]) -> Result<Found, sqlx::Error> {
    let row = sqlx::query!(
        r#"select request_hash, status, key_version, nonce, ciphertext,
                  created_at < clock_timestamp() - interval '1 minute' as "minute_old!"
             from stored_answers where caller = $1 and operation = $2 and key = $3"#,
        place.caller,
        place.operation,
        place.key,
    )
    .fetch_optional(tx)
    .await?;
    // Given back between the two statements: for the client the same as under way.
    let Some(row) = row else { return Ok(Found::UnderWay { minute_old: false }) };
    if row.request_hash != request_hash {
        return Ok(Found::Reused);
    }
    Ok(match (row.status, row.key_version, row.nonce, row.ciphertext) {
        (Some(status), Some(key_version), Some(nonce), Some(ciphertext)) => {
            Found::Answered { status, answer: Envelope { key_version, nonce, ciphertext } }
        }
        _ => Found::UnderWay { minute_old: row.minute_old },
    })
}

/// Keeps the answer of the request that has the claim.
///
/// # Errors
/// The database is unavailable.
pub async fn keep(
    tx: &mut PgConnection,
    place: &Place,
    claim: Uuid,
    status: i16,
    answer: &Envelope,
) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query!(
        "update stored_answers set status = $5, key_version = $6, nonce = $7, ciphertext = $8
          where caller = $1 and operation = $2 and key = $3 and claim = $4 and status is null",
        place.caller,
        place.operation,
        place.key,
        claim,
        status,
        answer.key_version,
        answer.nonce,
        answer.ciphertext,
    )
    .execute(tx)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Gives the key back: its request did nothing.
///
/// # Errors
/// The database is unavailable.
pub async fn give_back(pool: &PgPool, place: &Place, claim: Uuid) -> Result<(), sqlx::Error> {
    let mut tx = db::tenant(pool, place.agency()).await?;
    sqlx::query!(
        "delete from stored_answers
          where caller = $1 and operation = $2 and key = $3 and claim = $4 and status is null",
        place.caller,
        place.operation,
        place.key,
        claim,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
