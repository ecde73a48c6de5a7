//! Whose account an identity belongs to: linked before, invited, or nobody's.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Postgres, Transaction};

use super::{codes, error::OidcError, flow::Link, identities, identity::Identity};
use crate::{
    auth::{Auth, AuthError, SESSION_ENDED, SignedIn, credentials, in_force::SessionProof, sign_in::active},
    base::UserId,
    db,
    tenancy::{
        invites,
        users::{self, NewUser},
    },
};

/// From the callback to the exchange.
pub(super) const CODE: TimeDelta = TimeDelta::seconds(60);

type Tx = Transaction<'static, Postgres>;

impl Auth {
    /// Finds or makes the identity's user, and keeps the hash of a code for them.
    /// All or nothing: an account or agency that is not in force gets neither.
    pub(super) async fn admit(&self, who: &Identity, code_hash: &[u8], now: DateTime<Utc>) -> Result<(), OidcError> {
        let (mut tx, user) = match identities::user_of(&self.pool, who).await? {
            Some((agency, user)) => (db::tenant(&self.pool, agency).await?, user),
            None => self.newcomer(who, now).await?,
        };
        let (user, agency) = active(&mut tx, user).await?;
        codes::add_code(&mut tx, agency.id, user.id, code_hash, now, now + CODE).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Links an identity that nobody has come with before.
    async fn newcomer(&self, who: &Identity, now: DateTime<Utc>) -> Result<(Tx, UserId), OidcError> {
        let Some(known) = credentials::credentials(&self.pool, who.email.as_str()).await? else {
            return self.invited(who, now).await;
        };
        let mut tx = db::tenant(&self.pool, known.agency_id).await?;
        active(&mut tx, known.user_id).await?;
        // Whoever registered may have written down any address. An admin who
        // invited one has said that the account is its owner's, unless another
        // agency says so too: then the owner tells which one, by the password.
        let elsewhere = invites::pending_for(&self.pool, &who.email, now).await?;
        if !elsewhere.is_empty() || !identities::came_by_invite(&mut tx, &who.email).await? {
            return Err(OidcError::LinkRequired);
        }
        match identities::add_identity(&mut tx, known.agency_id, known.user_id, who, now).await.map_err(OidcError::from)
        {
            Ok(()) => Ok((tx, known.user_id)),
            // The address went to somebody else at the provider.
            Err(OidcError::AlreadyLinked) => Err(OidcError::LinkRequired),
            Err(error) => Err(error),
        }
    }

    async fn invited(&self, who: &Identity, now: DateTime<Utc>) -> Result<(Tx, UserId), OidcError> {
        let invite = match invites::pending_for(&self.pool, &who.email, now).await?.as_slice() {
            [] => return Err(OidcError::InvitationRequired),
            [one] => one.clone(),
            _ => return Err(OidcError::SeveralInvitations),
        };
        let mut tx = db::tenant(&self.pool, invite.agency_id).await?;
        if !invites::accept(&mut tx, invite.id, now).await? {
            return Err(OidcError::InvitationRequired);
        }
        let user = NewUser {
            id: UserId::at(now),
            agency_id: invite.agency_id,
            email: &invite.email,
            password_hash: None,
            full_name: who.full_name.as_ref(),
            role: invite.role,
            team_id: invite.team_id,
        };
        users::insert(&mut tx, &user).await?;
        identities::add_identity(&mut tx, invite.agency_id, user.id, who, now).await?;
        Ok((tx, user.id))
    }

    /// Links an identity to the user of a session that is still in force.
    pub(super) async fn link(&self, who: &Identity, link: Link, now: DateTime<Utc>) -> Result<(), OidcError> {
        let Link { session, user, agency } = link;
        self.in_force.session(SessionProof { session, user, agency }).await?.ok_or(SESSION_ENDED)?;
        if identities::user_of(&self.pool, who).await? == Some((agency, user)) {
            return Ok(());
        }
        let mut tx = db::tenant(&self.pool, agency).await?;
        identities::add_identity(&mut tx, agency, user, who, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Opens a session for the code of this hash, which is thereby used up.
    pub(super) async fn exchange(&self, code_hash: &[u8], user_agent: Option<&str>) -> Result<SignedIn, OidcError> {
        let now = self.clock.now();
        let code = codes::code(&self.pool, code_hash).await?.ok_or(OidcError::InvalidCode)?;
        let mut tx = db::tenant(&self.pool, code.agency_id).await?;
        if !codes::use_code(&mut tx, code.id, now).await? {
            return Err(OidcError::InvalidCode);
        }
        credentials::note_sign_in(&mut tx, code.user_id, None, now).await?;
        let signed_in = self.open(&mut tx, code.user_id, user_agent, now).await?;
        tx.commit().await.map_err(AuthError::from)?;
        Ok(signed_in)
    }
}
