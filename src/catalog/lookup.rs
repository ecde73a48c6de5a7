//! Finds the published version of a recipe that a task means.

use sqlx::PgPool;

use super::{
    model::{Slug, Version},
    published::{self, Published, VariantHead},
};
use crate::{
    base::{AgencyId, RecipeId, RunScope, TenantScope},
    db,
};

/// How a task names its recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipeRef {
    Id(RecipeId),
    Slug(Slug),
}

impl RecipeRef {
    /// An id if it looks like one, else a slug; `None` if it can be neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self::Id).ok().or_else(|| Slug::parse(text).map(Self::Slug).ok())
    }
}

/// The published recipe. Without a version: the newest that is no pre-release, or
/// the newest pre-release if there is nothing else. The agency's own recipe comes
/// before the platform's of the same slug.
///
/// # Errors
/// The database is unavailable.
pub async fn resolve(
    scope: &TenantScope,
    pool: &PgPool,
    recipe: &RecipeRef,
    version: Option<&str>,
) -> Result<Option<Published>, sqlx::Error> {
    resolve_for(scope.agency_id(), pool, recipe, version).await
}

/// As [`resolve`], for a recipe that a running task names.
///
/// # Errors
/// The database is unavailable.
pub async fn resolve_in_run(
    run: &RunScope,
    pool: &PgPool,
    recipe: &RecipeRef,
    version: Option<&str>,
) -> Result<Option<Published>, sqlx::Error> {
    resolve_for(run.agency_id(), pool, recipe, version).await
}

async fn resolve_for(
    agency: AgencyId,
    pool: &PgPool,
    recipe: &RecipeRef,
    version: Option<&str>,
) -> Result<Option<Published>, sqlx::Error> {
    let key = match version.map(Version::parse) {
        None => None,
        Some(Ok(version)) => Some(version.sort_key()),
        // What is no version has not been published.
        Some(Err(_)) => return Ok(None),
    };
    let mut tx = db::tenant(pool, agency).await?;
    let found = match recipe {
        RecipeRef::Id(id) => published::by_id(&mut tx, *id, key.as_deref()).await?,
        RecipeRef::Slug(slug) => published::by_slug(&mut tx, slug.as_str(), key.as_deref()).await?,
    };
    tx.commit().await?;
    Ok(found)
}

/// The recipe of a task, retired since or not.
///
/// # Errors
/// The database is unavailable.
pub async fn get(run: &RunScope, pool: &PgPool, id: RecipeId) -> Result<Option<Published>, sqlx::Error> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let found = published::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(found)
}

/// Every published version of a slug, newest first; the agency's own where both
/// it and the platform have one.
///
/// # Errors
/// The database is unavailable.
pub async fn variants(scope: &TenantScope, pool: &PgPool, slug: &str) -> Result<Vec<VariantHead>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let found = published::variants(&mut tx, slug).await?;
    tx.commit().await?;
    Ok(found)
}
