//! Signing secrets of webhooks. Sealed, rotated and rewrapped as all others are, but out
//! of the reach of names: nobody lists, replaces or opens one as a secret of theirs.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::{PgConnection, PgPool};

use super::{Locker, LockerError, SecretValue, aad, seal, store};
use crate::base::{AgencyId, SecretId, WebhookId};

fn name(generation: i32) -> String {
    format!("signing.{generation}")
}

impl Locker {
    /// Keeps the webhook's next secret, in the caller's transaction in the agency's
    /// context, and drops those that are older than the one before it.
    ///
    /// # Errors
    /// [`LockerError::Contended`] if the agency's key is being rotated; the database is unavailable.
    pub async fn keep_signing_secret(
        &self,
        tx: &mut PgConnection,
        agency: AgencyId,
        (webhook, generation): (WebhookId, i32),
        value: &SecretValue,
        now: DateTime<Utc>,
    ) -> Result<(), LockerError> {
        let (id, version) = (SecretId::at(now), 1);
        let (key_version, key) = self.current_key(tx, agency).await?;
        let sealed = seal::seal(&key, &aad(agency, id, version, key_version, &[]), value.bytes())?;
        // Of a secret of ours no character is shown.
        let row =
            store::NewVersion { id, version, key_version, sealed: &sealed, last4: String::new(), hosts: Vec::new() };
        store::insert_signing(tx, agency, webhook, &name(generation), &row).await?;
        store::drop_other_signing(tx, webhook, &[name(generation), name(generation - 1)]).await
    }

    /// `None` if there is none of this generation any more.
    ///
    /// # Errors
    /// As [`Locker::resolve`].
    pub async fn signing_secret(
        &self,
        pool: &PgPool,
        agency: AgencyId,
        webhook: WebhookId,
        generation: i32,
    ) -> Result<Option<SecretString>, LockerError> {
        let stored = store::find_signing(pool, agency, webhook, &name(generation)).await?;
        stored.map(|stored| self.open(agency, &stored)).transpose()
    }
}
