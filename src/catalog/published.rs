//! Published recipes, as they are read. Row-level security shows the platform's rows and the agency's own.

use std::sync::Arc;

use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::model::{Cookbook, Recipe, SubscriptionLimits};
use crate::base::{AgencyId, AgentRoleId, CookbookId, RecipeId};

/// One version of one recipe. It never changes: it may be kept by its id.
#[derive(Debug, Clone)]
pub struct Published {
    pub id: RecipeId,
    /// `None` for the platform's own.
    pub agency_id: Option<AgencyId>,
    pub slug: String,
    pub version: String,
    pub recipe: Arc<Recipe>,
    pub cookbook: Option<CookbookFacts>,
}

impl Published {
    /// The cookbook's limits, or none at all.
    #[must_use]
    pub fn limits(&self) -> SubscriptionLimits {
        self.cookbook.as_ref().map(|cookbook| cookbook.limits.clone()).unwrap_or_default()
    }
}

/// What a run needs to know of the recipe's cookbook. Unlike the recipe, it may change.
#[derive(Debug, Clone)]
pub struct CookbookFacts {
    pub id: CookbookId,
    pub slug: String,
    pub agent_role_id: AgentRoleId,
    pub limits: SubscriptionLimits,
}

/// A version of a slug that can be given to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantHead {
    pub id: RecipeId,
    pub version: String,
}

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
