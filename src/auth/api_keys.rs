//! API keys: credentials of machines, shown once.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{AuthError, Scopes, Session};
use crate::{
    base::{ApiKeyId, Page, Paged, TeamId, TenantScope, UserId, random},
    db,
    tenancy::{Name, TenancyError},
};

/// What every key begins with, so that one that was leaked is recognised.
pub const PREFIX: &str = "tak_";
const ID_CHARS: usize = 22;
const SECRET_CHARS: usize = 43;

/// What may be known of a key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// `None`: acts for the whole agency.
    pub team_id: Option<TeamId>,
    /// As stored, in the order of their definition.
    pub scopes: Vec<String>,
    pub created_by: Option<UserId>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
pub struct NewApiKey {
    pub name: Name,
    pub scopes: Scopes,
    pub team_id: Option<TeamId>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// The two parts of a key: who says it is, and what proves it.
pub(super) struct Parts {
    pub id: ApiKeyId,
    pub secret_hash: [u8; 32],
}

/// `None` if the text is no key of ours.
pub(super) fn parse(text: &str) -> Option<Parts> {
    let body = text.strip_prefix(PREFIX).filter(|body| body.len() == ID_CHARS + SECRET_CHARS)?;
    let (id, secret) = body.split_at_checked(ID_CHARS)?;
    let id = Uuid::from_slice(&URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).ok()?);
    Some(Parts { id: ApiKeyId(id), secret_hash: Sha256::digest(secret.as_slice()).into() })
}

/// A new key, and what is kept of it.
fn generate(id: ApiKeyId) -> Result<(SecretString, [u8; 32]), AuthError> {
    let secret = Zeroizing::new(random::bytes::<32>()?);
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()));
    let key = format!("{PREFIX}{}{}", URL_SAFE_NO_PAD.encode(id.0.as_bytes()), *encoded);
    Ok((SecretString::from(key), Sha256::digest(secret.as_slice()).into()))
}

/// A key as its maker sees it, this once.
#[derive(Debug)]
pub struct MadeApiKey {
    pub key: ApiKey,
    secret: SecretString,
}

impl MadeApiKey {
    /// The whole key, to be sent to its maker.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

/// Only a person makes keys: a key that could would make itself one with more scopes.
///
/// # Errors
/// There is no such team; the database is unavailable.
pub async fn create(
    session: &Session,
    pool: &PgPool,
    new: &NewApiKey,
    now: DateTime<Utc>,
) -> Result<MadeApiKey, AuthError> {
    let id = ApiKeyId::at(now);
    let (secret, hash) = generate(id)?;
    let scopes: Vec<String> = new.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let agency = session.scope().agency_id();
    let mut tx = db::tenant(pool, agency).await?;
    let key = sqlx::query_as!(
        ApiKey,
        r#"insert into api_keys (id, agency_id, team_id, name, secret_hash, scopes, created_by, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8)
           returning id as "id: ApiKeyId", name, team_id as "team_id: TeamId", scopes, created_by as "created_by: UserId",
                     created_at, expires_at, last_used_at"#,
        id.0,
        agency.0,
        new.team_id.map(|id| id.0),
        new.name.as_str(),
        &hash,
        &scopes,
        session.user_id().0,
        new.expires_at,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(TenancyError::from)?;
    tx.commit().await?;
    Ok(MadeApiKey { key, secret })
}

/// The agency's keys that are not revoked, newest first; the expired ones too.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<ApiKey>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let keys = sqlx::query_as!(
        ApiKey,
        r#"select id as "id: ApiKeyId", name, team_id as "team_id: TeamId", scopes, created_by as "created_by: UserId",
                  created_at, expires_at, last_used_at
             from api_keys where revoked_at is null and ($1::uuid is null or id < $1)
            order by id desc limit $2"#,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(keys, |key| key.id.0))
}

/// Whether there was such a key, not yet revoked.
pub async fn revoke(scope: &TenantScope, pool: &PgPool, id: ApiKeyId, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let revoked = sqlx::query!("update api_keys set revoked_at = $2 where id = $1 and revoked_at is null", id.0, now)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(revoked.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_apart_as_it_was_made() {
        let id = ApiKeyId(Uuid::from_u128(7));
        let (key, hash) = generate(id).unwrap();
        let parts = parse(key.expose_secret()).unwrap();
        assert_eq!((parts.id, parts.secret_hash), (id, hash));
        assert_ne!(hash, generate(id).unwrap().1);
    }

    #[test]
    fn what_is_no_key_is_none() {
        let (key, _) = generate(ApiKeyId(Uuid::from_u128(7))).unwrap();
        let key = key.expose_secret();
        let cut = &key[..key.len() - 1];
        let umlauts = format!("{PREFIX}{}é{}", "A".repeat(ID_CHARS - 1), "A".repeat(SECRET_CHARS - 1));
        for text in ["", PREFIX, cut, &format!("{key}A"), &key.replace(PREFIX, "tok_"), &umlauts] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
