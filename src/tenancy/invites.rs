//! Invites: an address that may make itself an account, with a role and a team.
//!
//! Functions without a scope are for whoever accepts one, and has no account yet; their transaction
//! is in the agency's context.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use zeroize::Zeroizing;

use super::{Email, TenancyError};
use crate::{
    base::{AgencyId, InviteId, Page, Paged, Role, TeamId, TenantScope, UserId, random},
    db,
};

/// An invite that is not accepted for this long is worthless.
pub const LIFETIME: TimeDelta = TimeDelta::days(7);

/// An invite that waits to be accepted; past `expires_at` it cannot be.
#[derive(Debug, Clone)]
pub struct Invite {
    pub id: InviteId,
    /// In lower case.
    pub email: String,
    pub role: Role,
    pub team_id: Option<TeamId>,
    pub invited_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug)]
pub struct NewInvite {
    pub email: Email,
    pub role: Role,
    pub team_id: Option<TeamId>,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub id: InviteId,
    pub agency_id: AgencyId,
    pub team_id: Option<TeamId>,
    pub email: Email,
    pub role: Role,
}

/// The secret that makes an account. Never printed; only its hash is stored.
#[derive(Debug, Clone)]
pub struct InviteToken(SecretString);

impl InviteToken {
    /// Any text: one that is no token is the token of nothing.
    #[must_use]
    pub fn of(text: String) -> Self {
        Self(SecretString::from(text))
    }

    fn generate() -> Result<Self, TenancyError> {
        let bytes = Zeroizing::new(random::bytes::<32>()?);
        Ok(Self(SecretString::from(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret().as_bytes()).into()
    }

    /// For whoever made the invite, once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Makes an invite and its token.
///
/// # Errors
/// The address is one of the agency's people, or waits for an answer already; no
/// such team. An account in another agency is not told: it fails when accepted.
pub async fn create(
    scope: &TenantScope,
    pool: &PgPool,
    new: &NewInvite,
    now: DateTime<Utc>,
) -> Result<(Invite, InviteToken), TenancyError> {
    let token = InviteToken::generate()?;
    let email = new.email.as_str();
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let known = sqlx::query_scalar!(r#"select true as "known!" from users where email = $1"#, email)
        .fetch_optional(&mut *tx)
        .await?;
    if known.is_some() {
        return Err(TenancyError::AlreadyHere);
    }
    // One that ran out makes room for the next.
    sqlx::query!(
        "update invites set revoked_at = $2
          where email = $1 and accepted_at is null and revoked_at is null and expires_at <= $2",
        email,
        now,
    )
    .execute(&mut *tx)
    .await?;
    let invite = sqlx::query_as!(
        Invite,
        r#"insert into invites (id, agency_id, team_id, email, role, token_hash, invited_by, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8)
           returning id as "id: InviteId", email, role as "role: Role", team_id as "team_id: TeamId",
                     invited_by as "invited_by: UserId", created_at, expires_at"#,
        InviteId::at(now).0,
        scope.agency_id().0,
        new.team_id.map(|id| id.0),
        email,
        new.role as Role,
        &token.hash(),
        scope.user_id().map(|id| id.0),
        now + LIFETIME,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((invite, token))
}

/// The agency's invites that were neither accepted nor revoked, newest first.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<Invite>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let invites = sqlx::query_as!(
        Invite,
        r#"select id as "id: InviteId", email, role as "role: Role", team_id as "team_id: TeamId",
                  invited_by as "invited_by: UserId", created_at, expires_at
             from invites
            where accepted_at is null and revoked_at is null and ($1::uuid is null or id < $1)
            order by id desc limit $2"#,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(invites, |invite| invite.id.0))
}

/// Whether there was such an invite, neither accepted nor revoked.
pub async fn revoke(
    scope: &TenantScope,
    pool: &PgPool,
    id: InviteId,
    now: DateTime<Utc>,
) -> Result<bool, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let revoked = sqlx::query!(
        "update invites set revoked_at = $2 where id = $1 and accepted_at is null and revoked_at is null",
        id.0,
        now,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(revoked.rows_affected() == 1)
}

/// What can be accepted with the token. Looks in all agencies: the token alone says for which one it is.
pub async fn by_token(
    pool: &PgPool,
    token: &InviteToken,
    now: DateTime<Utc>,
) -> Result<Option<Invitation>, TenancyError> {
    let row = sqlx::query!(
        r#"select id as "id!: InviteId", agency_id as "agency_id!: AgencyId", team_id as "team_id: TeamId",
                  email as "email!", role as "role!: Role"
             from app.pending_invite($1, $2)"#,
        &token.hash(),
        now,
    )
    .fetch_optional(pool)
    .await?;
    // An address was parsed when it was stored.
    Ok(row.and_then(|row| {
        let email = Email::parse(&row.email).ok()?;
        Some(Invitation { id: row.id, agency_id: row.agency_id, team_id: row.team_id, email, role: row.role })
    }))
}

/// What can be accepted by whoever owns the address: two at most, which is more than
/// one. Looks in all agencies: nobody knows yet for which one it is.
pub async fn pending_for(pool: &PgPool, email: &Email, now: DateTime<Utc>) -> Result<Vec<Invitation>, TenancyError> {
    let rows = sqlx::query!(
        r#"select id as "id!: InviteId", agency_id as "agency_id!: AgencyId", team_id as "team_id: TeamId",
                  role as "role!: Role"
             from app.pending_invites_by_email($1, $2)"#,
        email.as_str(),
        now,
    )
    .fetch_all(pool)
    .await?;
    let invitation = |(id, agency_id, team_id, role)| Invitation { id, agency_id, team_id, role, email: email.clone() };
    Ok(rows.into_iter().map(|row| invitation((row.id, row.agency_id, row.team_id, row.role))).collect())
}

/// Whether this call was the one to accept it.
pub async fn accept(connection: &mut PgConnection, id: InviteId, now: DateTime<Utc>) -> Result<bool, TenancyError> {
    let accepted = sqlx::query!(
        "update invites set accepted_at = $2
          where id = $1 and accepted_at is null and revoked_at is null and expires_at > $2",
        id.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(accepted.rows_affected() == 1)
}
