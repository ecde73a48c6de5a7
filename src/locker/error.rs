//! Why the locker gave nothing.

use crate::{base::random::NoRandomness, db};

#[derive(Debug, thiserror::Error)]
pub enum LockerError {
    #[error("no such team")]
    TeamUnknown,
    /// Changed outside the locker, or moved from another row.
    #[error("the stored value of a secret cannot be opened: it, or the agency's key, is not what the locker wrote")]
    Tampered,
    /// Both are ids of root keys, which tell nothing of the keys; `configured` may be several.
    #[error("the agency's key was wrapped with root key {wrapped_with}, but {configured} is configured")]
    RootKey { wrapped_with: String, configured: String },
    #[error("the secret is being changed by others at this moment; try again")]
    Contended,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for LockerError {
    fn from(error: sqlx::Error) -> Self {
        match db::violated_constraint(&error) {
            Some("secret_locker_team_unknown") => Self::TeamUnknown,
            // The key was rotated away between the look at it and the write.
            Some("secret_locker_key_unknown") => Self::Contended,
            _ => Self::Database(error),
        }
    }
}
