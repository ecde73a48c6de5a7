//! Why a sign-in or a token was refused.

use crate::{
    base::random::NoRandomness,
    tenancy::{Invalid, TenancyError},
};

#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Says no more than the client knows already.
    #[error("{0}")]
    InvalidToken(&'static str),
    /// The same for an unknown address and for a wrong password.
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    #[error("the refresh token is unknown or has expired; sign in again")]
    InvalidRefreshToken,
    #[error("the refresh token was used before, so its session was ended for safety; sign in again")]
    RefreshTokenReused,
    /// The same for one that never was, has expired, was revoked or was used.
    #[error("the invite is unknown, has expired, was revoked or was accepted already; ask for a new one")]
    InvalidInvite,
    #[error("the password {0}")]
    PasswordRefused(Invalid),
    #[error("too many failed sign-ins; try again in {seconds} seconds")]
    Throttled { seconds: u64 },
    #[error("too many sign-ins at this moment; try again shortly")]
    Busy,
    #[error("too many sign-ins from your address at this moment; try again shortly")]
    BusyAddress,
    /// Of the database, when a credential was to be checked.
    #[error("the database is unavailable; try again shortly")]
    Unavailable,
    #[error("this account is deactivated; ask an admin of your agency")]
    Deactivated,
    #[error("the agency is suspended; ask the operator of this installation")]
    Suspended,
    #[error("the signing key must be an Ed25519 private key in PEM (PKCS#8): {0}")]
    SigningKey(String),
    #[error("{0}")]
    Internal(String),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
