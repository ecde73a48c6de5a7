//! Lists of what the catalogue offers an agency: the platform's and its own, newest first.
//! Row-level security chooses the rows.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgPool;

use crate::{
    base::{AgencyId, AgentRoleId, CookbookId, Page, Paged, RecipeId, TenantScope},
    db,
};

#[derive(Debug, Clone)]
pub struct AgentRole {
    pub id: AgentRoleId,
    /// `None` for the platform's own.
    pub agency_id: Option<AgencyId>,
    pub name: String,
    pub description: String,
    pub version: String,
    /// `available`, `upcoming` or `deprecated`.
    pub status: String,
    pub capabilities: Value,
    /// For each seat and month.
    pub base_price: Decimal,
    pub currency: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct CookbookRow {
    pub id: CookbookId,
    pub agency_id: Option<AgencyId>,
    pub agent_role_id: AgentRoleId,
    pub slug: String,
    pub name: String,
    pub version: String,
    /// The whole cookbook.
    pub document: Value,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct RecipeRow {
    pub id: RecipeId,
    pub agency_id: Option<AgencyId>,
    /// The cookbook's slug.
    pub cookbook: Option<String>,
    pub slug: String,
    pub name: String,
    pub description: Option<String>,
    pub version: String,
    /// `published` or `retired`.
    pub status: String,
    pub created_at: DateTime<Utc>,
    /// The whole recipe; only where one is asked for.
    pub document: Option<Value>,
}

/// Roles on offer. A status that does not exist finds nothing.
///
/// # Errors
/// The database is unavailable.
pub async fn agent_roles(
    scope: &TenantScope,
    pool: &PgPool,
    status: Option<&str>,
    page: Page,
) -> Result<Paged<AgentRole>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        AgentRole,
        r#"select id as "id: AgentRoleId", agency_id as "agency_id: AgencyId", name, description, version, status,
                  capabilities as "capabilities: Value", base_price, currency, created_at
             from agent_roles
            where ($1::text is null or status = $1) and ($2::uuid is null or id < $2)
            order by id desc limit $3"#,
        status,
        page.before,
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |row| row.id.0))
}

/// # Errors
/// The database is unavailable.
pub async fn agent_role(scope: &TenantScope, pool: &PgPool, id: AgentRoleId) -> Result<Option<AgentRole>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query_as!(
        AgentRole,
        r#"select id as "id: AgentRoleId", agency_id as "agency_id: AgencyId", name, description, version, status,
                  capabilities as "capabilities: Value", base_price, currency, created_at
             from agent_roles where id = $1"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row)
}

/// # Errors
/// The database is unavailable.
pub async fn cookbooks(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<CookbookRow>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        CookbookRow,
        r#"select id as "id: CookbookId", agency_id as "agency_id: AgencyId",
                  agent_role_id as "agent_role_id: AgentRoleId", slug, name, version,
                  document as "document: Value", created_at
             from cookbooks where $1::uuid is null or id < $1
            order by id desc limit $2"#,
        page.before,
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |row| row.id.0))
}

/// Every version of every recipe. `cookbook` is a cookbook's slug or id.
///
/// # Errors
/// The database is unavailable.
pub async fn recipes(
    scope: &TenantScope,
    pool: &PgPool,
    status: Option<&str>,
    cookbook: Option<&str>,
    page: Page,
) -> Result<Paged<RecipeRow>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        RecipeRow,
        r#"select r.id as "id: RecipeId", r.agency_id as "agency_id: AgencyId", c.slug as "cookbook?", r.slug, r.name,
                  r.document ->> 'description' as description, r.version, r.status, r.created_at,
                  null::jsonb as "document: Value"
             from recipes r left join cookbooks c on c.id = r.cookbook_id
            where ($1::text is null or r.status = $1) and ($2::text is null or c.slug = $2 or c.id::text = lower($2))
              and ($3::uuid is null or r.id < $3)
            order by r.id desc limit $4"#,
        status,
        cookbook,
        page.before,
        page.fetch()
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |row| row.id.0))
}

/// One version of a recipe, with its document.
///
/// # Errors
/// The database is unavailable.
pub async fn recipe(scope: &TenantScope, pool: &PgPool, id: RecipeId) -> Result<Option<RecipeRow>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query_as!(
        RecipeRow,
        r#"select r.id as "id: RecipeId", r.agency_id as "agency_id: AgencyId", c.slug as "cookbook?", r.slug, r.name,
                  r.document ->> 'description' as description, r.version, r.status, r.created_at,
                  r.document as "document: Value"
             from recipes r left join cookbooks c on c.id = r.cookbook_id
            where r.id = $1"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row)
}
