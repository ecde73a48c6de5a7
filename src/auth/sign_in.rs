//! Signing in, refreshing, signing out, changing the password.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::{
    Auth, AuthError, Client, NewPassword, Session, credentials, failures,
    password::Verdict,
    refresh_tokens::{self, NewSession},
    token::{self, Claims, Subject},
};
use crate::{
    base::{AgencyId, SessionId, UserId, random},
    db,
    tenancy::{
        Email,
        agencies::{self, Agency, AgencyStatus},
        users::{self, User, UserStatus},
    },
};

/// A refresh token unused for this long is worthless.
const IDLE: TimeDelta = TimeDelta::days(7);
/// A session ends after this, however busy.
const SESSION: TimeDelta = TimeDelta::days(30);
const MAX_USER_AGENT_CHARS: usize = 400;

#[derive(Debug)]
pub struct Tokens {
    pub access: SecretString,
    pub refresh: SecretString,
    /// Seconds that the access token is good for.
    pub expires_in: i64,
}

#[derive(Debug)]
pub struct SignedIn {
    pub user: User,
    pub agency: Agency,
    pub tokens: Tokens,
}

impl Auth {
    /// # Errors
    /// Wrong address or password, told the same way; throttled; too busy;
    /// deactivated or suspended (only told to who knows the password).
    pub async fn login(
        &self,
        email: &Email,
        password: &SecretString,
        client: Client<'_>,
    ) -> Result<SignedIn, AuthError> {
        let key = self.throttle.key_of(email)?;
        // Tried again inside the turn: what queued while others failed is refused too.
        self.throttle.check(&self.pool, &key, self.clock.now()).await?;
        let turn = self.passwords.turn(client.address).await?;
        self.throttle.check(&self.pool, &key, self.clock.now()).await?;
        let known = credentials::credentials(&self.pool, email.as_str()).await?;
        let stored = known.as_ref().and_then(|known| known.password_hash.clone());
        let verdict = turn.verify(password, stored).await?;
        let now = self.clock.now();
        let Some(known) = known.filter(|_| verdict != Verdict::Wrong) else {
            failures::count_failure(&self.pool, &key, now).await?;
            return Err(AuthError::InvalidCredentials);
        };
        let new_hash = match verdict {
            Verdict::RightButOld => Some(turn.hash(password).await?),
            _ => None,
        };
        drop(turn);
        failures::forget_failures(&self.pool, &key).await?;
        if !known.active {
            return Err(AuthError::Deactivated);
        }
        let mut tx = db::tenant(&self.pool, known.agency_id).await?;
        credentials::note_sign_in(&mut tx, known.user_id, new_hash.as_deref(), now).await?;
        let signed_in = self.open(&mut tx, known.user_id, client.user_agent, now).await?;
        tx.commit().await?;
        Ok(signed_in)
    }

    /// New tokens for a refresh token, which is thereby used up.
    ///
    /// # Errors
    /// Unknown, expired or used before; the last ends the session.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SignedIn, AuthError> {
        let now = self.clock.now();
        let known = refresh_tokens::refresh_token(&self.pool, &digest(refresh_token)).await?;
        let known = known.ok_or(AuthError::InvalidRefreshToken)?;
        if known.used {
            self.end_session(known.agency_id, known.session_id).await?;
            return Err(AuthError::RefreshTokenReused);
        }
        if known.session_revoked || known.expires_at <= now || known.session_expires_at <= now {
            return Err(AuthError::InvalidRefreshToken);
        }
        let mut tx = db::tenant(&self.pool, known.agency_id).await?;
        if !refresh_tokens::use_refresh_token(&mut tx, known.id, now).await? {
            drop(tx);
            self.end_session(known.agency_id, known.session_id).await?;
            return Err(AuthError::RefreshTokenReused);
        }
        let (user, agency) = active(&mut tx, known.user_id).await?;
        let tokens = self.tokens(&mut tx, &user, known.session_id, known.session_expires_at, now).await?;
        tx.commit().await?;
        Ok(SignedIn { user, agency, tokens })
    }

    /// Ends the session of a refresh token, used or not.
    ///
    /// # Errors
    /// The token is unknown; the database is unavailable.
    pub async fn logout(&self, refresh_token: &str) -> Result<(), AuthError> {
        let known = refresh_tokens::refresh_token(&self.pool, &digest(refresh_token)).await?;
        let known = known.ok_or(AuthError::InvalidRefreshToken)?;
        self.end_session(known.agency_id, known.session_id).await
    }

    /// Sets a new password and ends the user's other sessions.
    ///
    /// # Errors
    /// The current password is wrong; throttled; too busy.
    pub async fn change_password(
        &self,
        session: &Session,
        email: &Email,
        current: &SecretString,
        new: &NewPassword,
        address: Option<IpAddr>,
    ) -> Result<(), AuthError> {
        let key = self.throttle.key_of(email)?;
        let turn = self.passwords.turn(address).await?;
        self.throttle.check(&self.pool, &key, self.clock.now()).await?;
        let known = credentials::credentials(&self.pool, email.as_str()).await?;
        let stored = known.and_then(|known| known.password_hash);
        let right = turn.verify(current, stored.clone()).await? != Verdict::Wrong;
        let now = self.clock.now();
        let (Some(old), true) = (stored, right) else {
            failures::count_failure(&self.pool, &key, now).await?;
            return Err(AuthError::InvalidCredentials);
        };
        let hash = turn.hash(new.secret()).await?;
        drop(turn);
        let user = session.user_id();
        let mut tx = db::tenant(&self.pool, session.scope().agency_id()).await?;
        if !credentials::change_password(&mut tx, user, session.id(), (&old, &hash), now).await? {
            return Err(AuthError::InvalidCredentials);
        }
        tx.commit().await?;
        failures::forget_failures(&self.pool, &key).await?;
        Ok(())
    }

    pub(super) async fn open(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        user_agent: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<SignedIn, AuthError> {
        let (user, agency) = active(tx, user).await?;
        let user_agent = user_agent.map(|text| text.chars().take(MAX_USER_AGENT_CHARS).collect::<String>());
        let session = NewSession {
            id: SessionId::at(now),
            agency_id: agency.id,
            user_id: user.id,
            user_agent: user_agent.as_deref(),
            expires_at: now + SESSION,
        };
        refresh_tokens::open_session(tx, &session, now).await?;
        let tokens = self.tokens(tx, &user, session.id, session.expires_at, now).await?;
        Ok(SignedIn { user, agency, tokens })
    }

    async fn tokens(
        &self,
        tx: &mut PgConnection,
        user: &User,
        session_id: SessionId,
        session_expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Tokens, AuthError> {
        let refresh = URL_SAFE_NO_PAD.encode(random::bytes::<32>()?);
        let expires_at = session_expires_at.min(now + IDLE);
        refresh_tokens::add_refresh_token(tx, user.agency_id, session_id, &digest(&refresh), now, expires_at).await?;
        let subject = Subject {
            user_id: user.id,
            email: &user.email,
            role: user.role,
            agency_id: user.agency_id,
            team_id: user.team_id,
            session_id,
        };
        let access = self.signer.sign(&Claims::new(&subject, now))?;
        Ok(Tokens {
            access: SecretString::from(access),
            refresh: SecretString::from(refresh),
            expires_in: token::LIFETIME.num_seconds(),
        })
    }

    async fn end_session(&self, agency: AgencyId, session: SessionId) -> Result<(), AuthError> {
        Ok(refresh_tokens::end_session(&self.pool, agency, session, self.clock.now()).await?)
    }
}

/// The user and agency of a transaction in the agency's context, if both are in force.
pub(super) async fn active(tx: &mut PgConnection, user: UserId) -> Result<(User, Agency), AuthError> {
    let user = users::find(tx, user).await?.ok_or(AuthError::InvalidCredentials)?;
    let agency = agencies::find(tx, user.agency_id).await?.ok_or(AuthError::InvalidCredentials)?;
    match (user.status, agency.status) {
        (UserStatus::Deactivated, _) => Err(AuthError::Deactivated),
        (_, AgencyStatus::Suspended) => Err(AuthError::Suspended),
        _ => Ok((user, agency)),
    }
}

/// What is kept of a refresh token.
fn digest(refresh_token: &str) -> [u8; 32] {
    Sha256::digest(refresh_token.as_bytes()).into()
}

impl Tokens {
    /// The access token and the refresh token, to be sent to their owner.
    #[must_use]
    pub fn expose(&self) -> (&str, &str) {
        (self.access.expose_secret(), self.refresh.expose_secret())
    }
}
