//! `/agents`: roles hired for a team.

use chrono::{DateTime, Utc};
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use uuid::Uuid;

use super::{
    Admin, Member, Problem, Result,
    http::{
        body::Body,
        check::{Check, checked},
        json_object::JsonObject,
        page::{Listing, page},
        problem::FieldError,
        tags::Tag,
    },
    need,
};
use crate::{
    base::{AgentId, AgentRoleId, TeamId},
    tenancy::{
        Name,
        agents::{self, AgentChange, Configuration, Filter, NewAgent},
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum AgentStatus {
    Active,
    /// Takes no new tasks, and keeps its seat.
    Paused,
    /// Gone for good; its runs and their costs stay.
    Retired,
}

/// Statuses that a PATCH can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum Availability {
    Active,
    Paused,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct NewAgentBody {
    /// Of GET /agent-roles; there must be a free seat for it.
    agent_role_id: Uuid,
    team_id: Uuid,
    #[oai(validator(max_length = 200))]
    custom_name: String,
    #[oai(validator(max_length = 200))]
    avatar_icon: Option<String>,
    /// At most 16 KiB. `provider`, `model`, `temperature` (0 to 2) and `max_tokens` have a meaning.
    configuration: Option<JsonObject>,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct AgentChangeBody {
    team_id: Option<Uuid>,
    #[oai(validator(max_length = 200))]
    custom_name: Option<String>,
    /// Null clears it.
    #[oai(validator(max_length = 200))]
    avatar_icon: MaybeUndefined<String>,
    /// Replaces the whole configuration. At most 16 KiB.
    configuration: Option<JsonObject>,
    status: Option<Availability>,
}

#[derive(Debug, Object)]
#[expect(clippy::struct_field_names, reason = "names of the API")]
struct Agent {
    id: Uuid,
    team_id: Uuid,
    agent_role_id: Uuid,
    custom_name: String,
    avatar_icon: Option<String>,
    configuration: JsonObject,
    status: AgentStatus,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<agents::Agent> for Agent {
    fn from(agent: agents::Agent) -> Self {
        Self {
            id: agent.id.0,
            team_id: agent.team_id.0,
            agent_role_id: agent.agent_role_id.0,
            custom_name: agent.custom_name,
            avatar_icon: agent.avatar_icon,
            configuration: JsonObject(agent.configuration),
            status: match agent.status {
                agents::AgentStatus::Active => AgentStatus::Active,
                agents::AgentStatus::Paused => AgentStatus::Paused,
                agents::AgentStatus::Retired => AgentStatus::Retired,
            },
            created_at: agent.created_at,
            updated_at: agent.updated_at,
        }
    }
}

#[derive(ApiResponse)]
enum Hired {
    #[oai(status = 201)]
    Agent(Json<Agent>),
}

#[derive(ApiResponse)]
enum Retired {
    #[oai(status = 204)]
    Done,
}

#[derive(Clone)]
pub struct AgentsApi;

#[OpenApi(prefix_path = "/agents", tag = "Tag::Agents")]
impl AgentsApi {
    /// List the agents that you see; without `status` all but the retired ones.
    #[oai(path = "/", method = "get", operation_id = "list_agents")]
    async fn list_agents(
        &self,
        member: Member<need::AgentsRead>,
        team_id: Query<Option<Uuid>>,
        agent_role_id: Query<Option<Uuid>>,
        status: Query<Option<AgentStatus>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Agent>>> {
        let filter = Filter {
            team_id: team_id.0.map(TeamId),
            agent_role_id: agent_role_id.0.map(AgentRoleId),
            status: status.0.map(|status| match status {
                AgentStatus::Active => agents::AgentStatus::Active,
                AgentStatus::Paused => agents::AgentStatus::Paused,
                AgentStatus::Retired => agents::AgentStatus::Retired,
            }),
        };
        let found = agents::list(member.scope(), &member.state.pool, filter, page(limit, cursor)?).await?;
        Ok(Json(Listing::of(found)))
    }

    /// Hire an agent for a team. Takes a seat, else 402.
    #[oai(path = "/", method = "post", operation_id = "hire_agent")]
    async fn hire_agent(&self, admin: Admin<need::AgentsWrite>, body: Body<NewAgentBody>) -> Result<Hired> {
        let new = new_agent(body.0)?;
        let agent = agents::hire(admin.scope(), &admin.state.pool, &new, admin.state.clock.now()).await?;
        Ok(Hired::Agent(Json(agent.into())))
    }

    /// Get an agent, retired or not.
    #[oai(path = "/:id", method = "get", operation_id = "get_agent")]
    async fn get_agent(&self, member: Member<need::AgentsRead>, id: Path<Uuid>) -> Result<Json<Agent>> {
        let agent = agents::get(member.scope(), &member.state.pool, AgentId(id.0)).await?;
        agent.map(|agent| Json(agent.into())).ok_or_else(Problem::not_found)
    }

    /// Change an agent. What is left out stays as it is.
    #[oai(path = "/:id", method = "patch", operation_id = "change_agent")]
    async fn change_agent(
        &self,
        admin: Admin<need::AgentsWrite>,
        id: Path<Uuid>,
        body: Body<AgentChangeBody>,
    ) -> Result<Json<Agent>> {
        let change = change(body.0)?;
        let agent = agents::change(admin.scope(), &admin.state.pool, AgentId(id.0), &change).await?;
        agent.map(|agent| Json(agent.into())).ok_or_else(Problem::not_found)
    }

    /// Retire an agent for good and free its seat. Its runs and their costs stay.
    #[oai(path = "/:id", method = "delete", operation_id = "retire_agent")]
    async fn retire_agent(&self, admin: Admin<need::AgentsWrite>, id: Path<Uuid>) -> Result<Retired> {
        let retired = agents::retire(admin.scope(), &admin.state.pool, AgentId(id.0)).await?;
        if retired { Ok(Retired::Done) } else { Err(Problem::not_found()) }
    }
}

fn new_agent(body: NewAgentBody) -> Result<NewAgent> {
    let mut check = Check::default();
    let custom_name = check.field("custom_name", Name::parse(&body.custom_name));
    let avatar_icon = check.optional("avatar_icon", body.avatar_icon.as_ref(), Name::parse);
    let configuration = configuration(&mut check, body.configuration);
    check.finish()?;
    Ok(NewAgent {
        agent_role_id: AgentRoleId(body.agent_role_id),
        team_id: TeamId(body.team_id),
        custom_name: checked(custom_name)?,
        avatar_icon,
        configuration: configuration.unwrap_or_default(),
    })
}

fn change(body: AgentChangeBody) -> Result<AgentChange> {
    let mut check = Check::default();
    let change = AgentChange {
        team_id: body.team_id.map(TeamId),
        custom_name: check.optional("custom_name", body.custom_name.as_ref(), Name::parse),
        avatar_icon: check.change("avatar_icon", &body.avatar_icon, Name::parse),
        configuration: configuration(&mut check, body.configuration),
        status: body.status.map(|status| match status {
            Availability::Active => agents::AgentStatus::Active,
            Availability::Paused => agents::AgentStatus::Paused,
        }),
    };
    check.finish()?;
    Ok(change)
}

fn configuration(check: &mut Check, given: Option<JsonObject>) -> Option<Configuration> {
    let parsed =
        Configuration::parse(given?.0).map_err(|(path, error)| FieldError::new(format!("configuration{path}"), error));
    check.noted(parsed)
}
