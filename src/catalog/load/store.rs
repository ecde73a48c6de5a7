//! SQL of loading the platform's catalogue, as the definer.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde_json::json;
use sqlx::{PgConnection, types::Json};

use crate::{
    base::{AgentRoleId, Clock, CookbookId, RecipeId},
    catalog::{
        check::CheckedCookbook,
        model::{Amount, Cookbook, Version},
        publish::store::Standing,
    },
};

/// The platform's rows are the definer's to write, until the transaction ends.
/// Two loads wait for each other.
pub async fn become_definer(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("set local role teamai_definer").execute(&mut *db).await?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('catalogue', 0))").execute(db).await?;
    Ok(())
}

/// Creates the cookbook's role or brings it up to date. Its status is left alone.
pub async fn upsert_role(
    db: &mut PgConnection,
    cookbook: &Cookbook,
    capabilities: &[String],
    clock: &dyn Clock,
) -> Result<AgentRoleId, sqlx::Error> {
    let price = cookbook.pricing.as_ref().map_or(Decimal::ZERO, |pricing| Amount::get(pricing.base_price));
    sqlx::query_scalar!(
        r#"insert into agent_roles (id, agency_id, name, description, version, capabilities, base_price)
           values ($1, null, $2, $3, $4, $5, $6)
           on conflict on constraint agent_roles_name_taken do update
              set description = excluded.description, version = excluded.version,
                  capabilities = excluded.capabilities, base_price = excluded.base_price
           returning id as "id: AgentRoleId""#,
        AgentRoleId::at(clock.now()).0,
        cookbook.role_name(),
        cookbook.description.as_deref().unwrap_or_default(),
        cookbook.version.as_str(),
        json!(capabilities),
        price
    )
    .fetch_one(db)
    .await
}

/// What an upsert did.
pub enum Change {
    Created,
    Updated,
    None,
}

pub async fn upsert_cookbook(
    db: &mut PgConnection,
    checked: &CheckedCookbook,
    role: AgentRoleId,
    clock: &dyn Clock,
) -> Result<Change, sqlx::Error> {
    let cookbook = &checked.cookbook;
    let created = sqlx::query_scalar!(
        r#"insert into cookbooks as c (id, agency_id, agent_role_id, slug, name, version, document, content_hash)
           values ($1, null, $2, $3, $4, $5, $6, $7)
           on conflict on constraint cookbooks_slug_taken do update
              set agent_role_id = excluded.agent_role_id, name = excluded.name, version = excluded.version,
                  document = excluded.document, content_hash = excluded.content_hash
            where c.content_hash <> excluded.content_hash
           returning id = $1 as "created!""#,
        CookbookId::at(clock.now()).0,
        role.0,
        cookbook.id.as_str(),
        cookbook.name.as_str(),
        cookbook.version.as_str(),
        Json(cookbook) as _,
        checked.content_hash.as_slice()
    )
    .fetch_optional(db)
    .await?;
    Ok(match created {
        Some(true) => Change::Created,
        Some(false) => Change::Updated,
        None => Change::None,
    })
}

/// The platform's cookbooks by slug.
pub async fn platform_cookbooks(db: &mut PgConnection) -> Result<HashMap<String, CookbookId>, sqlx::Error> {
    let rows = sqlx::query!(r#"select slug, id as "id: CookbookId" from cookbooks where agency_id is null"#)
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.slug, row.id)).collect())
}

/// The last version that was published from a file declaring this one.
pub async fn latest_of(db: &mut PgConnection, slug: &str, declared: &Version) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"select id as "id: RecipeId", version, content_hash from recipes
            where agency_id is null and slug = $1
              and coalesce(document ->> 'published_from', version) = $2
            order by version_key desc limit 1"#,
        slug,
        declared.as_str()
    )
    .fetch_optional(db)
    .await
}
