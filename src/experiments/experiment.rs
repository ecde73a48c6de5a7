//! Experiments and the assignments of named subjects.

use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{ExperimentId, RecipeId, TenantScope},
    db,
};

/// What a recipe's `ab_testing` declares.
#[derive(Debug, Clone)]
pub struct Declaration<'a> {
    /// The recipe version that declares it.
    pub declared_by: RecipeId,
    pub recipe_slug: &'a str,
    /// `quality_score`, `execution_time` or `token_cost`.
    pub success_metric: &'a str,
    pub sample_size: i32,
}

/// An agency's experiment with one recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experiment {
    pub id: ExperimentId,
    pub salt: Uuid,
    pub running: bool,
}

/// The agency's experiment for a declaration, made at its first use with `fresh`
/// as its id and salt.
///
/// # Errors
/// The database is unavailable.
pub async fn ensure(
    scope: &TenantScope,
    pool: &PgPool,
    declaration: &Declaration<'_>,
    fresh: (ExperimentId, Uuid),
) -> Result<Experiment, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    sqlx::query!(
        "insert into experiments (id, agency_id, recipe_slug, declared_by, salt, success_metric, sample_size)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (agency_id, declared_by) do nothing",
        fresh.0.0,
        scope.agency_id().0,
        declaration.recipe_slug,
        declaration.declared_by.0,
        fresh.1,
        declaration.success_metric,
        declaration.sample_size,
    )
    .execute(&mut *tx)
    .await?;
    let row =
        sqlx::query!("select id, salt, status from experiments where declared_by = $1", declaration.declared_by.0)
            .fetch_one(&mut *tx)
            .await?;
    tx.commit().await?;
    Ok(Experiment { id: row.id.into(), salt: row.salt, running: row.status == "running" })
}

/// The version that a subject has, or gets with this call. The first answer stays.
///
/// # Errors
/// The database is unavailable.
pub async fn assign(
    scope: &TenantScope,
    pool: &PgPool,
    experiment: ExperimentId,
    subject: &str,
    recipe: RecipeId,
) -> Result<RecipeId, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    sqlx::query!(
        "insert into experiment_assignments (agency_id, experiment_id, subject, recipe_id) values ($1, $2, $3, $4)
         on conflict do nothing",
        scope.agency_id().0,
        experiment.0,
        subject,
        recipe.0,
    )
    .execute(&mut *tx)
    .await?;
    let assigned = sqlx::query_scalar!(
        "select recipe_id from experiment_assignments where experiment_id = $1 and subject = $2",
        experiment.0,
        subject,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(assigned.into())
}
