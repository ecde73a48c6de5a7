//! SQL for people. Functions without a scope are for sign-in, which has none yet;
//! their transaction is in the agency's context.

use sqlx::{PgConnection, PgPool};

use super::{NewUser, User, UserStatus};
use crate::{
    base::{AgencyId, Page, Paged, TeamId, UserId},
    db,
    tenancy::{Role, TenancyError, TenantScope},
};

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
