//! Why a sign-in through a provider came to nothing.

use crate::{
    auth::AuthError,
    tenancy::{Invalid, TenancyError},
};

#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("there is no such provider; GET /auth/oidc lists them")]
    UnknownProvider,
    #[error("{0}")]
    ReturnTo(Invalid),
    /// The same for no cookie, another browser's, a wrong state, too late, and a second time.
    #[error(
        "this sign-in was not begun in this browser, took longer than ten minutes, or came back before; begin again"
    )]
    NotBegun,
    #[error("the provider did not sign anybody in; begin again, and give your consent there")]
    Denied,
    /// The reason is in the log: it would help nobody but a forger.
    #[error("the provider's answer could not be verified; begin again, and tell the operator if it stays so")]
    Refused,
    #[error("the provider does not answer as it should; try again shortly")]
    IssuerAway,
    #[error("the provider does not say that your e-mail address is verified; verify it there, and begin again")]
    EmailNotVerified,
    #[error("nobody invited this e-mail address; ask an admin of your agency for an invite")]
    InvitationRequired,
    #[error(
        "several agencies invited this e-mail address; accept the invite that you choose with its token, at POST /invites/accept"
    )]
    SeveralInvitations,
    #[error(
        "an account with this e-mail address exists; sign in with its password, and link it with POST /auth/oidc/{{provider}}/link"
    )]
    LinkRequired,
    #[error("this account of the provider belongs to another user here; use another one")]
    IdentityTaken,
    #[error("the user is linked to an account of this provider already")]
    AlreadyLinked,
    #[error(
        "without a password this account is your only way in; link another one first with POST /auth/oidc/{{provider}}/link"
    )]
    LastWayIn,
    /// The same for one that never was, is too old, was used, or is another browser's.
    #[error("the code is unknown, older than a minute, used, or another browser's; begin the sign-in again")]
    InvalidCode,
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl From<sqlx::Error> for OidcError {
    fn from(error: sqlx::Error) -> Self {
        match crate::db::violated_constraint(&error) {
            Some("oidc_identities_subject_taken") => Self::IdentityTaken,
            Some("oidc_identities_user_linked") => Self::AlreadyLinked,
            _ => Self::Auth(error.into()),
        }
    }
}

impl From<TenancyError> for OidcError {
    fn from(error: TenancyError) -> Self {
        Self::Auth(error.into())
    }
}
