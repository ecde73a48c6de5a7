//! People of an agency.
//!
//! Functions without a scope are for sign-in, which has none yet; their transaction is in the
//! agency's context.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{Email, Name, Role, TenancyError, TenantScope};
use crate::{
    base::{AgencyId, Page, Paged, TeamId, UserId},
    db,
};

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

/// The agency's people, newest first.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<User>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        User,
        r#"select id as "id: UserId", agency_id as "agency_id: AgencyId", team_id as "team_id: TeamId", email,
                  full_name, role as "role: Role", status as "status: UserStatus", created_at, last_login_at
             from users where $1::uuid is null or id < $1 order by id desc limit $2"#,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |user| user.id.0))
}

pub async fn get(scope: &TenantScope, pool: &PgPool, id: UserId) -> Result<Option<User>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let user = find(&mut tx, id).await?;
    tx.commit().await?;
    Ok(user)
}

pub async fn find(connection: &mut PgConnection, id: UserId) -> Result<Option<User>, TenancyError> {
    let user = sqlx::query_as!(
        User,
        r#"select id as "id: UserId", agency_id as "agency_id: AgencyId", team_id as "team_id: TeamId", email,
                  full_name, role as "role: Role", status as "status: UserStatus", created_at, last_login_at
             from users where id = $1"#,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(user)
}

pub async fn insert(connection: &mut PgConnection, new: &NewUser<'_>) -> Result<(), TenancyError> {
    sqlx::query!(
        "insert into users (id, agency_id, team_id, email, password_hash, full_name, role)
         values ($1, $2, $3, $4, $5, $6, $7)",
        new.id.0,
        new.agency_id.0,
        new.team_id.map(|id| id.0),
        new.email.as_str(),
        new.password_hash,
        new.full_name.map(super::Name::as_str),
        new.role as Role,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// `None` if there is no such user. Somebody who is deactivated is signed out
/// everywhere; the pending invites of somebody who is no active admin any more end.
///
/// # Errors
/// [`TenancyError::LastAdmin`]; there is no such team.
pub async fn change(
    scope: &TenantScope,
    pool: &PgPool,
    id: UserId,
    change: &UserChange,
    now: DateTime<Utc>,
) -> Result<Option<User>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let ends_an_admin =
        change.role.is_some_and(|role| role != Role::AgencyAdmin) || change.status == Some(UserStatus::Deactivated);
    if ends_an_admin {
        // Changes of one agency's admins wait for each other: of two who demote
        // each other at once, the second is refused.
        sqlx::query_scalar!("select id from agencies where id = $1 for no key update", scope.agency_id().0)
            .fetch_optional(&mut *tx)
            .await?;
    }
    let changed = update(&mut tx, id, change).await?;
    if ends_an_admin && changed.is_some() {
        if !has_admin(&mut tx).await? {
            return Err(TenancyError::LastAdmin);
        }
        end_what_they_began(&mut tx, id, change.status == Some(UserStatus::Deactivated), now).await?;
    }
    tx.commit().await?;
    Ok(changed)
}

async fn update(connection: &mut PgConnection, id: UserId, change: &UserChange) -> Result<Option<User>, TenancyError> {
    let full_name = change.full_name.as_ref().and_then(|name| name.as_ref().map(super::Name::as_str));
    let user = sqlx::query_as!(
        User,
        r#"update users set
             role = coalesce($2, role),
             status = coalesce($3, status),
             team_id = case when $4 then $5 else team_id end,
             full_name = case when $6 then $7 else full_name end
           where id = $1
           returning id as "id: UserId", agency_id as "agency_id: AgencyId", team_id as "team_id: TeamId", email,
                     full_name, role as "role: Role", status as "status: UserStatus", created_at, last_login_at"#,
        id.0,
        change.role as Option<Role>,
        change.status as Option<UserStatus>,
        change.team_id.is_some(),
        change.team_id.flatten().map(|id| id.0),
        change.full_name.is_some(),
        full_name,
    )
    .fetch_optional(connection)
    .await?;
    Ok(user)
}

async fn has_admin(connection: &mut PgConnection) -> Result<bool, TenancyError> {
    let admin = sqlx::query_scalar!(
        r#"select true as "is!" from users where role = 'agency_admin' and status = 'active' limit 1"#
    );
    Ok(admin.fetch_optional(connection).await?.is_some())
}

/// With the user's status, in one commit: an account that is activated again is to
/// start anew.
async fn end_what_they_began(
    connection: &mut PgConnection,
    user: UserId,
    deactivated: bool,
    now: DateTime<Utc>,
) -> Result<(), TenancyError> {
    sqlx::query!(
        "update invites set revoked_at = $2 where invited_by = $1 and accepted_at is null and revoked_at is null",
        user.0,
        now,
    )
    .execute(&mut *connection)
    .await?;
    if deactivated {
        sqlx::query!("update sessions set revoked_at = $2 where user_id = $1 and revoked_at is null", user.0, now)
            .execute(connection)
            .await?;
    }
    Ok(())
}
