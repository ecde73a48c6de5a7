//! People of an agency.

mod store;

use chrono::{DateTime, Utc};

pub use store::{change, find, get, insert, list};

use super::{Email, Name, Role};
use crate::base::{AgencyId, TeamId, UserId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum UserStatus {
    Active,
    Deactivated,
}

#[derive(Debug, Clone)]
pub struct User {
    pub id: UserId,
    pub agency_id: AgencyId,
    pub team_id: Option<TeamId>,
    /// In lower case.
    pub email: String,
    pub full_name: Option<String>,
    pub role: Role,
    pub status: UserStatus,
    pub created_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
}

/// A person to be added.
#[derive(Debug)]
pub struct NewUser<'a> {
    pub id: UserId,
    pub agency_id: AgencyId,
    pub email: &'a Email,
    /// A PHC string; `None` for who signs in through a provider.
    pub password_hash: Option<&'a str>,
    pub full_name: Option<&'a Name>,
    pub role: Role,
    pub team_id: Option<TeamId>,
}

/// What to change; `None` leaves as is, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct UserChange {
    pub role: Option<Role>,
    pub team_id: Option<Option<TeamId>>,
    pub status: Option<UserStatus>,
    pub full_name: Option<Option<Name>>,
}
