//! SQL of recipe lookups. Row-level security shows the platform's rows and the agency's own.

use std::sync::Arc;

use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{CookbookFacts, Published, VariantHead};
use crate::{
    base::RecipeId,
    catalog::model::{Cookbook, Recipe},
};

struct Row {
    id: Uuid,
    agency_id: Option<Uuid>,
    slug: String,
    version: String,
    document: Json<Recipe>,
    cookbook_id: Option<Uuid>,
    cookbook_slug: Option<String>,
    agent_role_id: Option<Uuid>,
    cookbook: Option<Json<Cookbook>>,
}

impl From<Row> for Published {
    fn from(row: Row) -> Self {
        let cookbook = match (row.cookbook_id, row.cookbook_slug, row.agent_role_id, row.cookbook) {
            (Some(id), Some(slug), Some(role), Some(Json(cookbook))) => Some(CookbookFacts {
                id: id.into(),
                slug,
                agent_role_id: role.into(),
                limits: cookbook.subscription_limits,
            }),
            _ => None,
        };
        Self {
            id: row.id.into(),
            agency_id: row.agency_id.map(Into::into),
            slug: row.slug,
            version: row.version,
            recipe: Arc::new(row.document.0),
            cookbook,
        }
    }
}

pub async fn by_slug(
    db: &mut PgConnection,
    slug: &str,
    version_key: Option<&str>,
) -> Result<Option<Published>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select r.id, r.agency_id, r.slug, r.version, r.document as "document: Json<Recipe>",
                  c.id as "cookbook_id?", c.slug as "cookbook_slug?", c.agent_role_id as "agent_role_id?",
                  c.document as "cookbook?: Json<Cookbook>"
             from recipes r left join cookbooks c on c.id = r.cookbook_id
            where r.slug = $1 and r.status = 'published' and ($2::text is null or r.version_key = $2)
            order by r.agency_id is null, r.version_key like '%~' desc, r.version_key desc
            limit 1"#,
        slug,
        version_key
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Into::into))
}

pub async fn by_id(
    db: &mut PgConnection,
    id: RecipeId,
    version_key: Option<&str>,
) -> Result<Option<Published>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select r.id, r.agency_id, r.slug, r.version, r.document as "document: Json<Recipe>",
                  c.id as "cookbook_id?", c.slug as "cookbook_slug?", c.agent_role_id as "agent_role_id?",
                  c.document as "cookbook?: Json<Cookbook>"
             from recipes r left join cookbooks c on c.id = r.cookbook_id
            where r.id = $1 and r.status = 'published' and ($2::text is null or r.version_key = $2)"#,
        id.0,
        version_key
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Into::into))
}

pub async fn get(db: &mut PgConnection, id: RecipeId) -> Result<Option<Published>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select r.id, r.agency_id, r.slug, r.version, r.document as "document: Json<Recipe>",
                  c.id as "cookbook_id?", c.slug as "cookbook_slug?", c.agent_role_id as "agent_role_id?",
                  c.document as "cookbook?: Json<Cookbook>"
             from recipes r left join cookbooks c on c.id = r.cookbook_id
            where r.id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Into::into))
}

pub async fn variants(db: &mut PgConnection, slug: &str) -> Result<Vec<VariantHead>, sqlx::Error> {
    sqlx::query_as!(
        VariantHead,
        r#"select distinct on (version_key) id as "id: RecipeId", version
             from recipes where slug = $1 and status = 'published'
            order by version_key desc, agency_id is null"#,
        slug
    )
    .fetch_all(db)
    .await
}
