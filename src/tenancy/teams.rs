//! Teams: the rooms in which an agency's people and agents work.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{Name, TasksAtOnce, TenancyError, TenantScope};
use crate::{
    base::{Page, Paged, TeamId},
    db,
};

#[derive(Debug, Clone)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
    /// Tasks of the team that may run at once; `None` is no limit of its own.
    pub max_concurrent_tasks: Option<i32>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What to change; `None` leaves as is, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct TeamChange {
    pub name: Option<Name>,
    pub max_concurrent_tasks: Option<Option<TasksAtOnce>>,
}

/// The teams that the person sees, newest first.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<Team>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        Team,
        r#"select id as "id: TeamId", name, max_concurrent_tasks, created_at, updated_at from teams
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
        r#"select id as "id: TeamId", name, max_concurrent_tasks, created_at, updated_at from teams where id = $1"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(team)
}

pub async fn create(
    scope: &TenantScope,
    pool: &PgPool,
    name: &Name,
    max_concurrent_tasks: Option<TasksAtOnce>,
    now: DateTime<Utc>,
) -> Result<Team, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let team = sqlx::query_as!(
        Team,
        r#"insert into teams (id, agency_id, name, max_concurrent_tasks) values ($1, $2, $3, $4)
           returning id as "id: TeamId", name, max_concurrent_tasks, created_at, updated_at"#,
        TeamId::at(now).0,
        scope.agency_id().0,
        name.as_str(),
        max_concurrent_tasks.map(TasksAtOnce::get),
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(team)
}

/// `None` if there is no such team.
pub async fn update(
    scope: &TenantScope,
    pool: &PgPool,
    id: TeamId,
    change: &TeamChange,
) -> Result<Option<Team>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let team = sqlx::query_as!(
        Team,
        r#"update teams set
             name = coalesce($2, name),
             max_concurrent_tasks = case when $3 then $4 else max_concurrent_tasks end
           where id = $1
           returning id as "id: TeamId", name, max_concurrent_tasks, created_at, updated_at"#,
        id.0,
        change.name.as_ref().map(Name::as_str),
        change.max_concurrent_tasks.is_some(),
        change.max_concurrent_tasks.flatten().map(TasksAtOnce::get),
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
