//! Texts that are no secrets of the agency's own, sealed with its key all the same:
//! what is kept for a while and may hold a credential that was shown once.

use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::{
    Locker, LockerError,
    seal::{self, Sealed},
    store,
};
use crate::base::AgencyId;

/// A sealed text as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Of the agency's key.
    pub key_version: i32,
    pub nonce: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

impl Locker {
    /// Seals a text in the agency's context; it opens for the same `context` alone.
    ///
    /// # Errors
    /// Another root key is configured; the database is unavailable.
    pub async fn seal(
        &self,
        tx: &mut PgConnection,
        agency: AgencyId,
        context: &[u8],
        text: &[u8],
    ) -> Result<Envelope, LockerError> {
        let (key_version, key) = self.current_key(tx, agency).await?;
        let Sealed { nonce, ciphertext } = seal::seal(&key, &aad(agency, context, key_version), text)?;
        Ok(Envelope { key_version, nonce, ciphertext })
    }

    /// Opens a text. `None` if the agency's key was replaced since and is gone.
    ///
    /// # Errors
    /// It is not what the locker wrote for this context; another root key is
    /// configured; the database is unavailable.
    pub async fn unseal(
        &self,
        tx: &mut PgConnection,
        agency: AgencyId,
        context: &[u8],
        envelope: &Envelope,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, LockerError> {
        let Envelope { key_version, nonce, ciphertext } = envelope.clone();
        let Some(wrapped) = store::key_of_version(tx, agency, key_version).await? else { return Ok(None) };
        let key = self.unwrap(agency, &wrapped)?;
        seal::open(&key, &aad(agency, context, key_version), &Sealed { nonce, ciphertext }).map(Some)
    }
}

fn aad(agency: AgencyId, context: &[u8], key_version: i32) -> Vec<u8> {
    let mut aad = b"teamai envelope".to_vec();
    aad.extend_from_slice(agency.0.as_bytes());
    aad.extend_from_slice(&key_version.to_be_bytes());
    aad.extend_from_slice(context);
    aad
}
