//! SQL for teams.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::Team;
use crate::{
    base::{Page, Paged, TeamId},
    db,
    tenancy::{Name, TenancyError, TenantScope},
};

/// The teams that the person sees, newest first.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<Team>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        Team,
        r#"select id as "id: TeamId", name, created_at, updated_at from teams
            where ($1 or id = $2) and ($3::uuid is null or id < $3)
            order by id desc limit $4"#,
        scope.is_admin(),
        scope.team_id().map(|id| id.0),
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |team| team.id.0))
}

/// `None` if there is no such team, or the person does not see it.
pub async fn get(scope: &TenantScope, pool: &PgPool, id: TeamId) -> Result<Option<Team>, TenancyError> {
    if !scope.sees_team(id) {
        return Ok(None);
    }
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let team = sqlx::query_as!(
        Team,
        r#"select id as "id: TeamId", name, created_at, updated_at from teams where id = $1"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(team)
}

pub async fn create(scope: &TenantScope, pool: &PgPool, name: &Name, now: DateTime<Utc>) -> Result<Team, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let team = sqlx::query_as!(
        Team,
        r#"insert into teams (id, agency_id, name) values ($1, $2, $3)
           returning id as "id: TeamId", name, created_at, updated_at"#,
        TeamId::at(now).0,
        scope.agency_id().0,
        name.as_str(),
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(team)
}

pub async fn rename(scope: &TenantScope, pool: &PgPool, id: TeamId, name: &Name) -> Result<Option<Team>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let team = sqlx::query_as!(
        Team,
        r#"update teams set name = $2 where id = $1
           returning id as "id: TeamId", name, created_at, updated_at"#,
        id.0,
        name.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(team)
}

/// Whether there was such a team. Its people stay in the agency, without a team.
pub async fn delete(scope: &TenantScope, pool: &PgPool, id: TeamId) -> Result<bool, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let deleted = sqlx::query!("delete from teams where id = $1", id.0).execute(&mut *tx).await.map_err(|error| {
        match error.as_database_error() {
            Some(e) if e.is_foreign_key_violation() => TenancyError::TeamInUse,
            _ => TenancyError::Database(error),
        }
    })?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}
