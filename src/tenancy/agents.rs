//! Agents: roles hired for a team, each on a seat.

mod configuration;

pub use configuration::Configuration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::{PgPool, types::Json};

use super::{Name, TenancyError, TenantScope, seats};
use crate::{
    base::{AgentId, AgentRoleId, Page, Paged, TeamId},
    db,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AgentStatus {
    Active,
    /// Takes no new tasks, and keeps its seat.
    Paused,
    /// Gone for good; its runs and their costs stay.
    Retired,
}

#[derive(Debug, Clone)]
pub struct Agent {
    pub id: AgentId,
    pub team_id: TeamId,
    pub agent_role_id: AgentRoleId,
    pub custom_name: String,
    pub avatar_icon: Option<String>,
    pub configuration: Map<String, Value>,
    pub status: AgentStatus,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug)]
pub struct NewAgent {
    pub agent_role_id: AgentRoleId,
    pub team_id: TeamId,
    pub custom_name: Name,
    pub avatar_icon: Option<Name>,
    pub configuration: Configuration,
}

/// What to change; `None` leaves as is, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct AgentChange {
    pub team_id: Option<TeamId>,
    pub custom_name: Option<Name>,
    pub avatar_icon: Option<Option<Name>>,
    pub configuration: Option<Configuration>,
    /// Never [`AgentStatus::Retired`]: that is [`retire`].
    pub status: Option<AgentStatus>,
}

/// Which agents to list; without a status all but the retired ones.
#[derive(Debug, Default, Clone, Copy)]
pub struct Filter {
    pub team_id: Option<TeamId>,
    pub agent_role_id: Option<AgentRoleId>,
    pub status: Option<AgentStatus>,
}

struct Row {
    id: AgentId,
    team_id: TeamId,
    agent_role_id: AgentRoleId,
    custom_name: String,
    avatar_icon: Option<String>,
    configuration: Json<Map<String, Value>>,
    status: AgentStatus,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Agent {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            team_id: row.team_id,
            agent_role_id: row.agent_role_id,
            custom_name: row.custom_name,
            avatar_icon: row.avatar_icon,
            configuration: row.configuration.0,
            status: row.status,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The agents that the person sees, newest first.
pub async fn list(
    scope: &TenantScope,
    pool: &PgPool,
    filter: Filter,
    page: Page,
) -> Result<Paged<Agent>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: AgentId", team_id as "team_id: TeamId", agent_role_id as "agent_role_id: AgentRoleId",
                  custom_name, avatar_icon, configuration as "configuration: Json<Map<String, Value>>",
                  status as "status: AgentStatus", created_at, updated_at
             from agent_instances
            where ($1 or team_id = $2) and ($3::uuid is null or team_id = $3)
              and ($4::uuid is null or agent_role_id = $4)
              and case when $5::text is null then status <> 'retired' else status = $5 end
              and ($6::uuid is null or id < $6)
            order by id desc limit $7"#,
        scope.is_admin(),
        scope.team_id().map(|id| id.0),
        filter.team_id.map(|id| id.0),
        filter.agent_role_id.map(|id| id.0),
        filter.status as Option<AgentStatus>,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |row| row.id.0).map(Agent::from))
}

/// `None` if there is no such agent, or the person does not see it. Retired ones are there.
pub async fn get(scope: &TenantScope, pool: &PgPool, id: AgentId) -> Result<Option<Agent>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: AgentId", team_id as "team_id: TeamId", agent_role_id as "agent_role_id: AgentRoleId",
                  custom_name, avatar_icon, configuration as "configuration: Json<Map<String, Value>>",
                  status as "status: AgentStatus", created_at, updated_at
             from agent_instances where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.filter(|row| scope.sees_team(row.team_id)).map(Agent::from))
}

/// Hires an agent: takes a seat and makes the agent, both or neither.
pub async fn hire(
    scope: &TenantScope,
    pool: &PgPool,
    new: &NewAgent,
    now: DateTime<Utc>,
) -> Result<Agent, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let role = seats::role(&mut tx, new.agent_role_id).await?.ok_or(TenancyError::RoleUnknown)?.available()?;
    let row = sqlx::query_as!(
        Row,
        r#"insert into agent_instances
             (id, agency_id, team_id, agent_role_id, custom_name, avatar_icon, configuration)
           values ($1, $2, $3, $4, $5, $6, $7)
           returning id as "id: AgentId", team_id as "team_id: TeamId",
                     agent_role_id as "agent_role_id: AgentRoleId", custom_name, avatar_icon,
                     configuration as "configuration: Json<Map<String, Value>>", status as "status: AgentStatus",
                     created_at, updated_at"#,
        AgentId::at(now).0,
        scope.agency_id().0,
        new.team_id.0,
        new.agent_role_id.0,
        new.custom_name.as_str(),
        new.avatar_icon.as_ref().map(Name::as_str),
        Json(new.configuration.as_map()) as _,
    )
    .fetch_one(&mut *tx)
    .await?;
    // Last, so that the row that others queue on is held for the shortest time.
    if !seats::take(&mut tx, new.agent_role_id).await? {
        return Err(TenancyError::SeatsExhausted { role: role.name });
    }
    tx.commit().await?;
    Ok(row.into())
}

/// `None` if there is no such agent.
pub async fn change(
    scope: &TenantScope,
    pool: &PgPool,
    id: AgentId,
    change: &AgentChange,
) -> Result<Option<Agent>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query_as!(
        Row,
        r#"update agent_instances set
             team_id = coalesce($2, team_id),
             custom_name = coalesce($3, custom_name),
             avatar_icon = case when $4 then $5 else avatar_icon end,
             configuration = coalesce($6, configuration),
             status = coalesce($7, status)
           where id = $1 and status <> 'retired'
           returning id as "id: AgentId", team_id as "team_id: TeamId",
                     agent_role_id as "agent_role_id: AgentRoleId", custom_name, avatar_icon,
                     configuration as "configuration: Json<Map<String, Value>>", status as "status: AgentStatus",
                     created_at, updated_at"#,
        id.0,
        change.team_id.map(|id| id.0),
        change.custom_name.as_ref().map(Name::as_str),
        change.avatar_icon.is_some(),
        change.avatar_icon.as_ref().and_then(|icon| icon.as_ref().map(Name::as_str)),
        change.configuration.as_ref().map(|configuration| Json(configuration.as_map())) as _,
        change.status as Option<AgentStatus>,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    match row {
        Some(row) => Ok(Some(row.into())),
        None if get(scope, pool, id).await?.is_some() => Err(TenancyError::AgentRetired),
        None => Ok(None),
    }
}

/// Retires an agent and frees its seat. Whether there was one to retire.
pub async fn retire(scope: &TenantScope, pool: &PgPool, id: AgentId) -> Result<bool, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let role = sqlx::query_scalar!(
        r#"update agent_instances set status = 'retired' where id = $1 and status <> 'retired'
           returning agent_role_id as "role: AgentRoleId""#,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(role) = role else { return Ok(false) };
    seats::release(&mut tx, role).await?;
    tx.commit().await?;
    Ok(true)
}
