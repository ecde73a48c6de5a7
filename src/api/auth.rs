//! `/auth`: registering, signing in and out.

use chrono::{DateTime, Utc};
use poem::http::HeaderMap;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi, payload::Json, types::Password};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    Open, Person, Problem, Result,
    agency::Agency,
    http::{
        body::{Body, SmallBody},
        check::{Check, checked},
        tags::Tag,
    },
};
use crate::{
    auth::{NewPassword, Registration, SignedIn},
    tenancy::{self, Email, Name, users},
};

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct RegisterBody {
    #[oai(validator(max_length = 200))]
    agency_name: String,
    #[oai(validator(max_length = 254))]
    billing_email: Option<String>,
    #[oai(validator(max_length = 254))]
    email: String,
    /// 12 to 128 characters, none of the common passwords.
    #[oai(validator(max_length = 128))]
    password: Password,
    #[oai(validator(max_length = 200))]
    full_name: Option<String>,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct LoginBody {
    #[oai(validator(max_length = 254))]
    email: String,
    #[oai(validator(max_length = 128))]
    password: Password,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct RefreshBody {
    #[oai(validator(max_length = 200))]
    refresh_token: String,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct PasswordBody {
    #[oai(validator(max_length = 128))]
    current_password: Password,
    /// 12 to 128 characters, none of the common passwords.
    #[oai(validator(max_length = 128))]
    new_password: Password,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Role {
    AgencyAdmin,
    TeamMember,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum UserStatus {
    Active,
    Deactivated,
}

impl From<tenancy::Role> for Role {
    fn from(role: tenancy::Role) -> Self {
        match role {
            tenancy::Role::AgencyAdmin => Self::AgencyAdmin,
            tenancy::Role::TeamMember => Self::TeamMember,
        }
    }
}

impl From<Role> for tenancy::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::AgencyAdmin => Self::AgencyAdmin,
            Role::TeamMember => Self::TeamMember,
        }
    }
}

/// A person.
#[derive(Debug, Object)]
pub struct User {
    id: Uuid,
    agency_id: Uuid,
    team_id: Option<Uuid>,
    email: String,
    full_name: Option<String>,
    role: Role,
    status: UserStatus,
    created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        Self {
            id: user.id.0,
            agency_id: user.agency_id.0,
            team_id: user.team_id.map(|id| id.0),
            email: user.email,
            full_name: user.full_name,
            role: user.role.into(),
            status: match user.status {
                users::UserStatus::Active => UserStatus::Active,
                users::UserStatus::Deactivated => UserStatus::Deactivated,
            },
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

/// Who signed in, and the tokens.
#[derive(Object)]
pub struct SignIn {
    user: User,
    agency: Agency,
    /// A JWT for `Authorization: Bearer`.
    access_token: String,
    /// For POST /auth/refresh, once.
    refresh_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// Seconds that the access token is good for.
    expires_in: i64,
}

impl From<SignedIn> for SignIn {
    fn from(signed_in: SignedIn) -> Self {
        let (access, refresh) = signed_in.tokens.expose();
        Self {
            access_token: access.to_owned(),
            refresh_token: refresh.to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: signed_in.tokens.expires_in,
            user: signed_in.user.into(),
            agency: signed_in.agency.into(),
        }
    }
}

#[derive(ApiResponse)]
pub enum Registered {
    #[oai(status = 201)]
    SignedIn(Json<SignIn>),
}

#[derive(ApiResponse)]
enum Done {
    #[oai(status = 204)]
    Done,
}

#[derive(Clone)]
pub struct AuthApi;

#[OpenApi(prefix_path = "/auth", tag = "Tag::Auth")]
impl AuthApi {
    /// Make an agency and its first admin, and sign in. The operator can close this: 403 then.
    #[oai(path = "/register", method = "post", operation_id = "register")]
    async fn register(&self, open: Open, headers: &HeaderMap, body: SmallBody<RegisterBody>) -> Result<Registered> {
        if !open.state.registration_open {
            let detail = "New agencies are made by the operator of this installation; ask there, or be invited.";
            return Err(Problem::forbidden("registration_closed", detail));
        }
        let registration = registration(&body.0)?;
        let signed_in = open.state.auth.register(&registration, open.client(headers)).await?;
        Ok(Registered::SignedIn(Json(signed_in.into())))
    }

    /// Sign in.
    #[oai(path = "/login", method = "post", operation_id = "login")]
    async fn login(&self, open: Open, headers: &HeaderMap, body: SmallBody<LoginBody>) -> Result<Json<SignIn>> {
        let email = Email::parse(&body.0.email).map_err(|error| Problem::invalid("email", error))?;
        let password = SecretString::from(body.0.password.0);
        Ok(Json(open.state.auth.login(&email, &password, open.client(headers)).await?.into()))
    }

    /// Get new tokens. The refresh token is used up; using it again ends the session.
    #[oai(path = "/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(&self, open: Open, body: SmallBody<RefreshBody>) -> Result<Json<SignIn>> {
        Ok(Json(open.state.auth.refresh(&body.0.refresh_token).await?.into()))
    }

    /// Sign out: ends the session, its access tokens included.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, open: Open, body: SmallBody<RefreshBody>) -> Result<Done> {
        open.state.auth.logout(&body.0.refresh_token).await?;
        Ok(Done::Done)
    }

    /// Who am I?
    #[oai(path = "/me", method = "get", operation_id = "me")]
    async fn me(&self, person: Person) -> Result<Json<User>> {
        Ok(Json(me(&person).await?.into()))
    }

    /// Change the password. All other sessions end.
    #[oai(path = "/password", method = "post", operation_id = "change_password")]
    async fn change_password(&self, person: Person, body: Body<PasswordBody>) -> Result<Done> {
        let user = me(&person).await?;
        let email = Email::parse(&user.email).map_err(|error| Problem::internal(&error))?;
        let new = NewPassword::parse(&body.0.new_password.0, &email)
            .map_err(|error| Problem::invalid("new_password", error))?;
        let current = SecretString::from(body.0.current_password.0);
        person.state.auth.change_password(person.session(), &email, &current, &new, person.address()).await?;
        Ok(Done::Done)
    }
}

async fn me(person: &Person) -> Result<users::User> {
    let session = person.session();
    users::get(session.scope(), &person.state.pool, session.user_id()).await?.ok_or_else(Problem::not_found)
}

fn registration(body: &RegisterBody) -> Result<Registration> {
    let mut check = Check::default();
    let agency_name = check.field("agency_name", Name::parse(&body.agency_name));
    let billing_email = check.optional("billing_email", body.billing_email.as_ref(), Email::parse);
    let email = check.field("email", Email::parse(&body.email));
    // Without an address there is nothing for the password to differ from.
    let known = email.clone().or_else(|| Email::parse("nobody@example.com").ok());
    let password = known.and_then(|email| check.field("password", NewPassword::parse(&body.password.0, &email)));
    let full_name = check.optional("full_name", body.full_name.as_ref(), Name::parse);
    check.finish()?;
    Ok(Registration {
        agency_name: checked(agency_name)?,
        billing_email,
        email: checked(email)?,
        password: checked(password)?,
        full_name,
    })
}
