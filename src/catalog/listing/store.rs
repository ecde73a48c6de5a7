//! SQL of the catalogue's lists. Row-level security chooses the rows.

use serde_json::Value;
use sqlx::PgConnection;

use super::{AgentRole, CookbookRow, RecipeRow};
use crate::base::{AgencyId, AgentRoleId, CookbookId, Page, RecipeId};

pub async fn agent_roles(
    db: &mut PgConnection,
    status: Option<&str>,
    page: Page,
) -> Result<Vec<AgentRole>, sqlx::Error> {
    sqlx::query_as!(
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
    .fetch_all(db)
    .await
}

pub async fn agent_role(db: &mut PgConnection, id: AgentRoleId) -> Result<Option<AgentRole>, sqlx::Error> {
    sqlx::query_as!(
        AgentRole,
        r#"select id as "id: AgentRoleId", agency_id as "agency_id: AgencyId", name, description, version, status,
                  capabilities as "capabilities: Value", base_price, currency, created_at
             from agent_roles where id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await
}

pub async fn cookbooks(db: &mut PgConnection, page: Page) -> Result<Vec<CookbookRow>, sqlx::Error> {
    sqlx::query_as!(
        CookbookRow,
        r#"select id as "id: CookbookId", agency_id as "agency_id: AgencyId",
                  agent_role_id as "agent_role_id: AgentRoleId", slug, name, version,
                  document as "document: Value", created_at
             from cookbooks where $1::uuid is null or id < $1
            order by id desc limit $2"#,
        page.before,
        page.fetch()
    )
    .fetch_all(db)
    .await
}

pub async fn recipes(
    db: &mut PgConnection,
    status: Option<&str>,
    cookbook: Option<&str>,
    page: Page,
) -> Result<Vec<RecipeRow>, sqlx::Error> {
    sqlx::query_as!(
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
    .fetch_all(db)
    .await
}

pub async fn recipe(db: &mut PgConnection, id: RecipeId) -> Result<Option<RecipeRow>, sqlx::Error> {
    sqlx::query_as!(
        RecipeRow,
        r#"select r.id as "id: RecipeId", r.agency_id as "agency_id: AgencyId", c.slug as "cookbook?", r.slug, r.name,
                  r.document ->> 'description' as description, r.version, r.status, r.created_at,
                  r.document as "document: Value"
             from recipes r left join cookbooks c on c.id = r.cookbook_id
            where r.id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await
}
