//! How people come in: with an agency of their own, or by an invite.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;

use super::{Auth, AuthError, Client, NewPassword, SignedIn, credentials, password::Passwords};
use crate::{
    base::{AgencyId, Role, UserId},
    db,
    tenancy::{
        Email, Name,
        agencies::{self, NewAgency},
        invites::{self, InviteToken},
        users::{self, NewUser},
    },
};

/// A new agency and its first admin.
#[derive(Debug)]
pub struct Registration {
    pub agency_name: Name,
    pub billing_email: Option<Email>,
    pub email: Email,
    pub password: NewPassword,
    pub full_name: Option<Name>,
}

/// An admin whom the operator adds.
#[derive(Debug)]
pub struct FirstAdmin {
    pub email: Email,
    pub password: NewPassword,
    pub full_name: Option<Name>,
}

/// An invite's token, and what it takes to become a user.
#[derive(Debug)]
pub struct Acceptance {
    pub token: InviteToken,
    /// As sent: what it must differ from is known with the invite.
    pub password: SecretString,
    pub full_name: Option<Name>,
}

impl Auth {
    /// Makes an agency and its admin, and signs the admin in.
    ///
    /// # Errors
    /// [`crate::tenancy::TenancyError::EmailTaken`]; too busy; the database is unavailable.
    pub async fn register(&self, new: &Registration, client: Client<'_>) -> Result<SignedIn, AuthError> {
        let hash = self.passwords.turn(client.address).await?.hash(new.password.secret()).await?;
        let now = self.clock.now();
        let agency = AgencyId::at(now);
        let mut tx = db::tenant(&self.pool, agency).await?;
        let user = found(&mut tx, agency, new, &hash, now).await?;
        credentials::note_sign_in(&mut tx, user, None, now).await?;
        let signed_in = self.open(&mut tx, user, client.user_agent, now).await?;
        tx.commit().await?;
        Ok(signed_in)
    }

    /// Makes the account that an invite allows, and signs it in.
    ///
    /// # Errors
    /// [`AuthError::InvalidInvite`] whatever is wrong with the token;
    /// [`crate::tenancy::TenancyError::EmailTaken`]; the password is refused; too busy.
    pub async fn accept(&self, acceptance: &Acceptance, client: Client<'_>) -> Result<SignedIn, AuthError> {
        let invite = invites::by_token(&self.pool, &acceptance.token, self.clock.now()).await?;
        let invite = invite.ok_or(AuthError::InvalidInvite)?;
        let password = NewPassword::parse(acceptance.password.expose_secret(), &invite.email)
            .map_err(AuthError::PasswordRefused)?;
        let hash = self.passwords.turn(client.address).await?.hash(password.secret()).await?;
        let now = self.clock.now();
        let mut tx = db::tenant(&self.pool, invite.agency_id).await?;
        if !invites::accept(&mut tx, invite.id, now).await? {
            return Err(AuthError::InvalidInvite);
        }
        let user = NewUser {
            id: UserId::at(now),
            agency_id: invite.agency_id,
            email: &invite.email,
            password_hash: Some(&hash),
            full_name: acceptance.full_name.as_ref(),
            role: invite.role,
            team_id: invite.team_id,
        };
        users::insert(&mut tx, &user).await?;
        credentials::note_sign_in(&mut tx, user.id, None, now).await?;
        let signed_in = self.open(&mut tx, user.id, client.user_agent, now).await?;
        tx.commit().await?;
        Ok(signed_in)
    }
}

/// For the operator: makes an agency and its admin. The connection must be allowed to.
///
/// # Errors
/// The address is taken; the database is unavailable.
pub async fn create_agency(
    connection: &mut PgConnection,
    new: &Registration,
    now: DateTime<Utc>,
) -> Result<(AgencyId, UserId), AuthError> {
    let hash = Passwords::new().turn(None).await?.hash(new.password.secret()).await?;
    let agency = AgencyId::at(now);
    let user = found(connection, agency, new, &hash, now).await?;
    Ok((agency, user))
}

/// For the operator: adds an admin to an agency. The connection must be allowed to.
///
/// # Errors
/// The address is taken; the database is unavailable.
pub async fn create_admin(
    connection: &mut PgConnection,
    agency: AgencyId,
    new: &FirstAdmin,
    now: DateTime<Utc>,
) -> Result<UserId, AuthError> {
    let hash = Passwords::new().turn(None).await?.hash(new.password.secret()).await?;
    let FirstAdmin { email, full_name, .. } = new;
    add_admin(connection, agency, (email, full_name.as_ref()), &hash, now).await
}

async fn found(
    connection: &mut PgConnection,
    agency: AgencyId,
    new: &Registration,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<UserId, AuthError> {
    let row = NewAgency { id: agency, name: &new.agency_name, billing_email: new.billing_email.as_ref() };
    agencies::insert(connection, &row).await?;
    add_admin(connection, agency, (&new.email, new.full_name.as_ref()), hash, now).await
}

async fn add_admin(
    connection: &mut PgConnection,
    agency_id: AgencyId,
    (email, full_name): (&Email, Option<&Name>),
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<UserId, AuthError> {
    let id = UserId::at(now);
    let role = Role::AgencyAdmin;
    users::insert(
        connection,
        &NewUser { id, agency_id, email, password_hash: Some(password_hash), full_name, role, team_id: None },
    )
    .await?;
    Ok(id)
}
