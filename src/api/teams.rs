//! `/teams`

use chrono::{DateTime, Utc};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    Admin, Member, Problem, Result,
    body::Body,
    check::{Check, checked},
    need,
    page::{Listing, page},
    tags::Tag,
};
use crate::{
    base::TeamId,
    tenancy::{Name, teams},
};

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct TeamBody {
    /// 1 to 200 characters, once in the agency.
    #[oai(validator(max_length = 200))]
    name: String,
}

#[derive(Debug, Object)]
struct Team {
    id: Uuid,
    name: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<teams::Team> for Team {
    fn from(team: teams::Team) -> Self {
        Self { id: team.id.0, name: team.name, created_at: team.created_at, updated_at: team.updated_at }
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
        let name = name(&body.0)?;
        let team = teams::create(admin.scope(), &admin.state.pool, &name, admin.state.clock.now()).await?;
        Ok(Created::Team(Json(team.into())))
    }

    /// Get a team.
    #[oai(path = "/:id", method = "get", operation_id = "get_team")]
    async fn get_team(&self, member: Member<need::TeamsRead>, id: Path<Uuid>) -> Result<Json<Team>> {
        let team = teams::get(member.scope(), &member.state.pool, TeamId(id.0)).await?;
        team.map(|team| Json(team.into())).ok_or_else(Problem::not_found)
    }

    /// Rename a team.
    #[oai(path = "/:id", method = "patch", operation_id = "rename_team")]
    async fn rename_team(
        &self,
        admin: Admin<need::TeamsWrite>,
        id: Path<Uuid>,
        body: Body<TeamBody>,
    ) -> Result<Json<Team>> {
        let name = name(&body.0)?;
        let team = teams::rename(admin.scope(), &admin.state.pool, TeamId(id.0), &name).await?;
        team.map(|team| Json(team.into())).ok_or_else(Problem::not_found)
    }

    /// Delete a team that never had an agent. Its people stay in the agency.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_team")]
    async fn delete_team(&self, admin: Admin<need::TeamsWrite>, id: Path<Uuid>) -> Result<Deleted> {
        let deleted = teams::delete(admin.scope(), &admin.state.pool, TeamId(id.0)).await?;
        if deleted { Ok(Deleted::Done) } else { Err(Problem::not_found()) }
    }
}

fn name(body: &TeamBody) -> Result<Name> {
    let mut check = Check::default();
    let name = check.field("name", Name::parse(&body.name));
    check.finish()?;
    checked(name)
}
