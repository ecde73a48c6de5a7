//! `/users`: the agency's people, and where they are signed in.

use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use uuid::Uuid;

use super::{
    Admin, PersonAdmin, Problem, Result,
    auth::{Role, User, UserStatus},
    http::{
        body::Body,
        check::Check,
        page::{Listing, page},
        tags::Tag,
    },
    need,
    sessions::{Ended, Session, ended, shown},
};
use crate::{
    auth::sessions,
    base::{SessionId, TeamId, UserId},
    tenancy::{
        Name,
        users::{self, UserChange},
    },
};

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct UserBody {
    role: Option<Role>,
    /// Null takes the person out of its team.
    team_id: MaybeUndefined<Uuid>,
    /// A person who is deactivated is signed out everywhere at once.
    status: Option<UserStatus>,
    /// Null clears it.
    #[oai(validator(max_length = 200))]
    full_name: MaybeUndefined<String>,
}

#[derive(Clone)]
pub struct UsersApi;

#[OpenApi(prefix_path = "/users", tag = "Tag::Agency")]
impl UsersApi {
    /// List the agency's people.
    #[oai(path = "/", method = "get", operation_id = "list_users")]
    async fn list_users(
        &self,
        admin: Admin<need::PeopleRead>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<User>>> {
        Ok(Json(Listing::of(users::list(admin.scope(), &admin.state.pool, page(limit, cursor)?).await?)))
    }

    /// Get one of the agency's people.
    #[oai(path = "/:id", method = "get", operation_id = "get_user")]
    async fn get_user(&self, admin: Admin<need::PeopleRead>, id: Path<Uuid>) -> Result<Json<User>> {
        let user = users::get(admin.scope(), &admin.state.pool, UserId(id.0)).await?;
        user.map(|user| Json(user.into())).ok_or_else(Problem::not_found)
    }

    /// Change a person's role, team, status or name. What is left out stays as it is.
    ///
    /// It acts on the person's very next request. The agency's last active admin
    /// cannot be demoted or deactivated.
    #[oai(path = "/:id", method = "patch", operation_id = "change_user")]
    async fn change_user(&self, admin: PersonAdmin, id: Path<Uuid>, body: Body<UserBody>) -> Result<Json<User>> {
        let change = change(&body.0)?;
        let state = &admin.state;
        let user = users::change(admin.scope(), &state.pool, UserId(id.0), &change, state.clock.now()).await?;
        user.map(|user| Json(user.into())).ok_or_else(Problem::not_found)
    }

    /// List where a person is signed in.
    #[oai(path = "/:id/sessions", method = "get", operation_id = "list_sessions")]
    async fn list_sessions(
        &self,
        admin: PersonAdmin,
        id: Path<Uuid>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Session>>> {
        let (state, page) = (&admin.state, page(limit, cursor)?);
        let found = sessions::list(admin.scope(), &state.pool, UserId(id.0), page, state.clock.now()).await?;
        Ok(shown(found.ok_or_else(Problem::not_found)?, admin.session().id()))
    }

    /// Sign a person out somewhere: the session ends, its tokens included.
    #[oai(path = "/:id/sessions/:session_id", method = "delete", operation_id = "end_session")]
    async fn end_session(&self, admin: PersonAdmin, id: Path<Uuid>, session_id: Path<Uuid>) -> Result<Ended> {
        let (user, session, state) = (UserId(id.0), SessionId(session_id.0), &admin.state);
        ended(sessions::end(admin.scope(), &state.pool, user, session, state.clock.now()).await?)
    }
}

fn change(body: &UserBody) -> Result<UserChange> {
    let mut check = Check::default();
    let change = UserChange {
        role: body.role.map(Into::into),
        team_id: match body.team_id {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(id) => Some(Some(TeamId(id))),
        },
        status: body.status.map(|status| match status {
            UserStatus::Active => users::UserStatus::Active,
            UserStatus::Deactivated => users::UserStatus::Deactivated,
        }),
        full_name: check.change("full_name", &body.full_name, Name::parse),
    };
    check.finish()?;
    Ok(change)
}
