//! `/teams`

use chrono::{DateTime, Utc};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
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
        page::{Listing, page},
        tags::Tag,
    },
    need,
};
use crate::{
    base::TeamId,
    tenancy::{
        Name, TasksAtOnce,
        teams::{self, TeamChange},
    },
};

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct TeamBody {
    /// 1 to 200 characters, once in the agency.
    #[oai(validator(max_length = 200))]
    name: String,
    /// 1 to 100,000: its tasks that may run at once, others wait. No limit of its own unless given.
    #[oai(validator(minimum(value = "1"), maximum(value = "100000")))]
    max_concurrent_tasks: Option<i32>,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct TeamChangeBody {
    /// 1 to 200 characters, once in the agency.
    #[oai(validator(max_length = 200))]
    name: Option<String>,
    /// 1 to 100,000. Null clears it.
    #[oai(validator(minimum(value = "1"), maximum(value = "100000")))]
    max_concurrent_tasks: MaybeUndefined<i32>,
}

#[derive(Debug, Object)]
struct Team {
    id: Uuid,
    name: String,
    /// Its tasks that may run at once; null is no limit of its own.
    max_concurrent_tasks: Option<i32>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<teams::Team> for Team {
    fn from(team: teams::Team) -> Self {
        let teams::Team { id, name, max_concurrent_tasks, created_at, updated_at } = team;
        Self { id: id.0, name, max_concurrent_tasks, created_at, updated_at }
    }
}

#[derive(ApiResponse)]
enum Created {
    #[oai(status = 201)]
    Team(Json<Team>),
}

#[derive(ApiResponse)]
enum Deleted {
    #[oai(status = 204)]
    Done,
}

#[derive(Clone)]
pub struct TeamsApi;

#[OpenApi(prefix_path = "/teams", tag = "Tag::Agency")]
impl TeamsApi {
    /// List the teams that you see: an admin all, a member its own.
    #[oai(path = "/", method = "get", operation_id = "list_teams")]
    async fn list_teams(
        &self,
        member: Member<need::TeamsRead>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Team>>> {
        let found = teams::list(member.scope(), &member.state.pool, page(limit, cursor)?).await?;
        Ok(Json(Listing::of(found)))
    }

    /// Make a team.
    #[oai(path = "/", method = "post", operation_id = "create_team")]
    async fn create_team(&self, admin: Admin<need::TeamsWrite>, body: Body<TeamBody>) -> Result<Created> {
        let mut check = Check::default();
        let name = check.field("name", Name::parse(&body.0.name));
        let limit = body.0.max_concurrent_tasks.map(TasksAtOnce::parse);
        let limit = limit.and_then(|limit| check.field("max_concurrent_tasks", limit));
        check.finish()?;
        let now = admin.state.clock.now();
        let team = teams::create(admin.scope(), &admin.state.pool, &checked(name)?, limit, now).await?;
        Ok(Created::Team(Json(team.into())))
    }

    /// Get a team.
    #[oai(path = "/:id", method = "get", operation_id = "get_team")]
    async fn get_team(&self, member: Member<need::TeamsRead>, id: Path<Uuid>) -> Result<Json<Team>> {
        let team = teams::get(member.scope(), &member.state.pool, TeamId(id.0)).await?;
        team.map(|team| Json(team.into())).ok_or_else(Problem::not_found)
    }

    /// Change a team. What is left out stays as it is.
    #[oai(path = "/:id", method = "patch", operation_id = "change_team")]
    async fn change_team(
        &self,
        admin: Admin<need::TeamsWrite>,
        id: Path<Uuid>,
        body: Body<TeamChangeBody>,
    ) -> Result<Json<Team>> {
        let mut check = Check::default();
        let change = TeamChange {
            name: check.optional("name", body.0.name.as_ref(), Name::parse),
            max_concurrent_tasks: check.number(
                "max_concurrent_tasks",
                &body.0.max_concurrent_tasks,
                TasksAtOnce::parse,
            ),
        };
        check.finish()?;
        let team = teams::update(admin.scope(), &admin.state.pool, TeamId(id.0), &change).await?;
        team.map(|team| Json(team.into())).ok_or_else(Problem::not_found)
    }

    /// Delete a team that never had an agent. Its people stay in the agency.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_team")]
    async fn delete_team(&self, admin: Admin<need::TeamsWrite>, id: Path<Uuid>) -> Result<Deleted> {
        let deleted = teams::delete(admin.scope(), &admin.state.pool, TeamId(id.0)).await?;
        if deleted { Ok(Deleted::Done) } else { Err(Problem::not_found()) }
    }
}
