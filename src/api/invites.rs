//! `/invites`: how people come into an agency.

use chrono::{DateTime, Utc};
use poem::http::HeaderMap;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Password,
};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    Admin, Open, PersonAdmin, Problem, Result,
    auth::{Registered, Role},
    http::{
        body::{Body, SmallBody},
        check::Check,
        page::{Listing, page},
        tags::Tag,
    },
    need,
};
use crate::{
    auth::Acceptance,
    base::{InviteId, TeamId},
    tenancy::{
        Email, Name,
        invites::{self, InviteToken, NewInvite},
    },
};

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct InviteBody {
    #[oai(validator(max_length = 320))]
    email: String,
    role: Role,
    /// The team that the person will belong to.
    team_id: Option<Uuid>,
}

/// An address that may make itself an account.
#[derive(Debug, Object)]
struct Invite {
    id: Uuid,
    email: String,
    role: Role,
    team_id: Option<Uuid>,
    /// Null once that person is gone.
    invited_by: Option<Uuid>,
    created_at: DateTime<Utc>,
    /// Seven days after it was made.
    expires_at: DateTime<Utc>,
}

impl From<invites::Invite> for Invite {
    fn from(invite: invites::Invite) -> Self {
        Self {
            id: invite.id.0,
            email: invite.email,
            role: invite.role.into(),
            team_id: invite.team_id.map(|id| id.0),
            invited_by: invite.invited_by.map(|id| id.0),
            created_at: invite.created_at,
            expires_at: invite.expires_at,
        }
    }
}

#[derive(Object)]
struct NewInviteShown {
    invite: Invite,
    /// For POST /invites/accept. Shown this once: send it to the person.
    token: String,
}

#[derive(ApiResponse)]
enum Invited {
    #[oai(status = 201)]
    New(Json<NewInviteShown>),
}

#[derive(ApiResponse)]
enum Revoked {
    #[oai(status = 204)]
    Done,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct AcceptBody {
    #[oai(validator(max_length = 200))]
    token: Password,
    /// 12 to 128 characters, none of the common passwords.
    #[oai(validator(max_length = 128))]
    password: Password,
    #[oai(validator(max_length = 200))]
    full_name: Option<String>,
}

#[derive(Clone)]
pub struct InvitesApi;

#[OpenApi(prefix_path = "/invites", tag = "Tag::Agency")]
impl InvitesApi {
    /// List the invites that were neither accepted nor revoked.
    #[oai(path = "/", method = "get", operation_id = "list_invites")]
    async fn list_invites(
        &self,
        admin: Admin<need::PeopleRead>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Invite>>> {
        Ok(Json(Listing::of(invites::list(admin.scope(), &admin.state.pool, page(limit, cursor)?).await?)))
    }

    /// Invite a person. The token is shown this once.
    #[oai(path = "/", method = "post", operation_id = "invite")]
    async fn invite(&self, admin: PersonAdmin, body: Body<InviteBody>) -> Result<Invited> {
        let email = Email::parse(&body.0.email).map_err(|error| Problem::invalid("email", error))?;
        let new = NewInvite { email, role: body.0.role.into(), team_id: body.0.team_id.map(TeamId) };
        let state = &admin.state;
        let (invite, token) = invites::create(admin.scope(), &state.pool, &new, state.clock.now()).await?;
        Ok(Invited::New(Json(NewInviteShown { invite: invite.into(), token: token.expose().to_owned() })))
    }

    /// Revoke an invite.
    #[oai(path = "/:id", method = "delete", operation_id = "revoke_invite")]
    async fn revoke_invite(&self, admin: PersonAdmin, id: Path<Uuid>) -> Result<Revoked> {
        let state = &admin.state;
        let revoked = invites::revoke(admin.scope(), &state.pool, InviteId(id.0), state.clock.now()).await?;
        if revoked { Ok(Revoked::Done) } else { Err(Problem::not_found()) }
    }

    /// Accept an invite: makes the account and signs in.
    #[oai(path = "/accept", method = "post", operation_id = "accept_invite")]
    async fn accept_invite(&self, open: Open, headers: &HeaderMap, body: SmallBody<AcceptBody>) -> Result<Registered> {
        let acceptance = acceptance(body.0)?;
        let signed_in = open.state.auth.accept(&acceptance, open.client(headers)).await?;
        Ok(Registered::SignedIn(Json(signed_in.into())))
    }
}

fn acceptance(body: AcceptBody) -> Result<Acceptance> {
    let mut check = Check::default();
    let full_name = check.optional("full_name", body.full_name.as_ref(), Name::parse);
    check.finish()?;
    Ok(Acceptance { token: InviteToken::of(body.token.0), password: SecretString::from(body.password.0), full_name })
}
