//! Why a webhook could not be made or changed.

use crate::{db, locker::LockerError};

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("no such team")]
    TeamUnknown,
    #[error("the agency has as many webhooks as it may have")]
    TooMany,
    #[error("the webhook is switched off; switch it on with PATCH /webhooks/{{id}} and {{\"enabled\": true}} first")]
    SwitchedOff,
    #[error(transparent)]
    Locker(#[from] LockerError),
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for WebhookError {
    fn from(error: sqlx::Error) -> Self {
        match db::violated_constraint(&error) {
            Some("webhooks_team_unknown") => Self::TeamUnknown,
            _ => Self::Database(error),
        }
    }
}
