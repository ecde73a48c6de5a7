//! Secrets, sealed.

#[derive(Debug)]
pub struct Locker;

#[derive(Debug, thiserror::Error)]
pub enum LockerError {
    #[error("no such team")]
    TeamUnknown,
    #[error("a sealed value, or its key, is not what was stored")]
    Tampered,
    #[error("root key")]
    RootKey,
    #[error(transparent)]
    Randomness(#[from] crate::base::random::NoRandomness),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
