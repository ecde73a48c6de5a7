//! Turns every error into a problem: the domain's, and those of the framework.

use poem::{
    Error,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
    http::StatusCode,
};
use poem_openapi::error::{AuthorizationError, ContentTypeError, ParseParamError, ParsePathError};

use super::problem::{FieldError, Problem};
use crate::{
    auth::{AuthError, oidc::OidcError},
    locker::{CheckError, LockerError},
    tenancy::TenancyError,
};

/// For what the framework refused before a handler saw it.
pub fn from_framework(error: &Error) -> Problem {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return problem.clone();
    }
    if error.is::<AuthorizationError>() {
        return Problem::unauthorized(
            "not_signed_in",
            "Send an access token or an API key: Authorization: Bearer TOKEN. POST /auth/login gives one.",
        );
    }
    // An id that cannot be one is the id of nothing.
    if error.is::<ParsePathError>() {
        return Problem::not_found();
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return Problem::validation(vec![FieldError::new(error.name, error.reason.as_str())]);
    }
    if error.is::<NotFoundError>() {
        return Problem::new(StatusCode::NOT_FOUND, "unknown_route", "There is nothing at this address; see /docs.");
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not support this method; see /docs.",
        );
    }
    if error.is::<ContentTypeError>() {
        return Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", error.to_string());
    }
    if let Some(ReadBodyError::PayloadTooLarge) = error.downcast_ref() {
        return Problem::too_large("The body is too large.");
    }
    from_status(error)
}

fn from_status(error: &Error) -> Problem {
    match error.status() {
        StatusCode::BAD_REQUEST => Problem::invalid("", error.to_string()),
        status if status.is_client_error() => Problem::new(status, "invalid_request", error.to_string()),
        _ => Problem::internal(error),
    }
}

impl From<TenancyError> for Problem {
    fn from(error: TenancyError) -> Self {
        let detail = sentence(&error);
        match error {
            TenancyError::EmailTaken => Self::conflict("email_taken", detail),
            TenancyError::AlreadyHere => Self::conflict("already_here", detail),
            TenancyError::InvitePending => Self::conflict("invite_pending", detail),
            TenancyError::LastAdmin => Self::conflict("last_admin", detail),
            TenancyError::TeamNameTaken => Self::conflict("team_name_taken", detail),
            TenancyError::TeamInUse => Self::conflict("team_in_use", detail),
            TenancyError::TeamUnknown => Self::no_such("team_id", "team"),
            TenancyError::RoleUnknown => Self::no_such("agent_role_id", "agent role"),
            TenancyError::RoleUnavailable { .. } => Self::conflict("role_not_available", detail),
            TenancyError::SeatsExhausted { .. } => Self::payment_required("seats_exhausted", detail),
            TenancyError::SeatsInUse { .. } => Self::conflict("seats_in_use", detail),
            TenancyError::AgentRetired => Self::conflict("agent_retired", detail),
            TenancyError::Randomness(error) => Self::internal(&error),
            TenancyError::Database(error) => error.into(),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let detail = sentence(&error);
        match error {
            AuthError::InvalidToken(_) => Self::unauthorized("invalid_token", detail),
            AuthError::InvalidCredentials => Self::unauthorized("invalid_credentials", detail),
            AuthError::InvalidRefreshToken => Self::unauthorized("invalid_refresh_token", detail),
            AuthError::RefreshTokenReused => Self::unauthorized("refresh_token_reused", detail),
            AuthError::InvalidInvite => Self::unauthorized("invalid_invite", detail),
            AuthError::PasswordRefused(error) => Self::invalid("password", error),
            AuthError::Unavailable => Self::unavailable("database_unavailable", detail),
            AuthError::Throttled { seconds } => Self::too_many_requests("too_many_failures", detail, seconds),
            AuthError::Busy => Self::unavailable("busy", detail),
            AuthError::BusyAddress => Self::too_many_requests("busy", detail, 1),
            AuthError::Deactivated => Self::forbidden("account_deactivated", detail),
            AuthError::Suspended => Self::forbidden("agency_suspended", detail),
            AuthError::Tenancy(error) => error.into(),
            AuthError::Database(error) => error.into(),
            AuthError::SigningKey(_) | AuthError::Internal(_) | AuthError::Randomness(_) => Self::internal(&error),
        }
    }
}

/// How long a browser is told to wait for a provider that is away, in seconds.
const PROVIDER_RETRY: u64 = 10;

impl From<OidcError> for Problem {
    fn from(error: OidcError) -> Self {
        let detail = sentence(&error);
        match error {
            OidcError::UnknownProvider => Self::not_found(),
            OidcError::ReturnTo(error) => Self::invalid("return_to", error),
            OidcError::NotBegun => Self::unauthorized("sign_in_not_begun", detail),
            OidcError::Denied => Self::forbidden("provider_denied", detail),
            OidcError::Refused => Self::unauthorized("provider_answer_refused", detail),
            OidcError::IssuerAway => Self::unavailable("provider_unavailable", detail).retry_after(PROVIDER_RETRY),
            OidcError::EmailNotVerified => Self::forbidden("email_not_verified", detail),
            OidcError::InvitationRequired => Self::forbidden("invitation_required", detail),
            OidcError::SeveralInvitations => Self::conflict("several_invitations", detail),
            OidcError::LinkRequired => Self::conflict("link_required", detail),
            OidcError::IdentityTaken => Self::conflict("identity_taken", detail),
            OidcError::AlreadyLinked => Self::conflict("already_linked", detail),
            OidcError::LastWayIn => Self::conflict("last_way_in", detail),
            OidcError::InvalidCode => Self::unauthorized("invalid_code", detail),
            OidcError::Auth(error) => error.into(),
        }
    }
}

impl From<LockerError> for Problem {
    fn from(error: LockerError) -> Self {
        match error {
            LockerError::TeamUnknown => Self::no_such("team_id", "team"),
            LockerError::Database(error) => error.into(),
            LockerError::Contended => Self::unavailable("busy", sentence(&error)),
            LockerError::Tampered | LockerError::RootKey { .. } | LockerError::Randomness(_) => Self::internal(&error),
        }
    }
}

impl From<CheckError> for Problem {
    fn from(error: CheckError) -> Self {
        let detail = sentence(&error);
        match error {
            CheckError::NotAProvidersKey { .. } => Self::invalid("key_name", error.to_string()),
            CheckError::TooSoon { seconds } => Self::too_many_requests("checked_lately", detail, seconds.into()),
            CheckError::Untold(why) => {
                Self::unavailable("key_not_checked", format!("It is not known whether the key works: {why}"))
            }
            CheckError::Locker(error) => error.into(),
        }
    }
}

/// An error's text as a sentence.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
}
