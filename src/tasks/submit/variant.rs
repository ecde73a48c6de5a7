//! Which version a run under test is given.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;

use super::{error::SubmitError, new_task::NewTask, recipes::Recipes};
use crate::{
    base::{AgencyId, Clock, ExperimentId, RecipeId, cache::Cache, ids::uuid_at, random},
    catalog::{Published, model::AbTesting},
    experiments::{self, Declaration, Experiment, experiment},
    tenancy::TenantScope,
};

/// An experiment stopped through another process goes on here for this long.
const EXPERIMENT_BELIEVED_FOR: Duration = Duration::from_secs(2);
const MAX_EXPERIMENTS: usize = 10_000;

/// A recipe version, and the experiment that chose it, if one did.
#[derive(Debug)]
pub struct Assigned {
    pub published: Arc<Published>,
    pub experiment: Option<ExperimentId>,
}

/// Assigns variants; experiments are remembered for a moment.
#[derive(Debug)]
pub struct Variants {
    pool: PgPool,
    experiments: Cache<(AgencyId, RecipeId), Experiment>,
    clock: Arc<dyn Clock>,
}

impl Variants {
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, experiments: Cache::new(EXPERIMENT_BELIEVED_FOR, MAX_EXPERIMENTS), clock }
    }

    /// A request that names a version, or an id, gets what it names. Else the
    /// newest release's experiment assigns one of its published variants.
    pub async fn assign(
        &self,
        recipes: &Recipes,
        scope: &TenantScope,
        new: &NewTask,
        named: Arc<Published>,
    ) -> Result<Assigned, SubmitError> {
        let unassigned = |published| Ok(Assigned { published, experiment: None });
        let chosen_by_hand = new.version.is_some() || new.recipe.parse::<RecipeId>().is_ok();
        let Some(test) = named.recipe.ab_testing.clone().filter(|test| test.enabled && !chosen_by_hand) else {
            return unassigned(named);
        };
        let arms = arms(recipes, scope, &new.recipe, &test).await?;
        let experiment = self.experiment(scope, &named, &test).await?;
        let by_chance = uuid_at(self.clock.now()).to_string();
        let subject = new.subject.as_deref().unwrap_or(&by_chance);
        let Some(arm) = experiments::arm_of(experiment.salt, subject, arms.len()).filter(|_| experiment.running) else {
            return unassigned(named);
        };
        let Some(arm) = arms.into_iter().nth(arm) else { return unassigned(named) };
        let published = match &new.subject {
            None => arm,
            Some(subject) => self.keep(recipes, scope, experiment.id, subject, arm).await?,
        };
        Ok(Assigned { published, experiment: Some(experiment.id) })
    }

    async fn experiment(
        &self,
        scope: &TenantScope,
        named: &Published,
        test: &AbTesting,
    ) -> Result<Experiment, SubmitError> {
        let declaration = Declaration {
            declared_by: named.id,
            recipe_slug: named.recipe.id.as_str(),
            success_metric: test.success_metric.as_str(),
            sample_size: i32::try_from(test.sample_size).unwrap_or(i32::MAX),
        };
        let salt = random::bytes::<16>().map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
        let fresh = (ExperimentId::at(self.clock.now()), uuid::Uuid::from_bytes(salt));
        let key = (scope.agency_id(), named.id);
        let ticket = match self.experiments.get(&key) {
            Ok(experiment) => return Ok(experiment),
            Err(ticket) => ticket,
        };
        let experiment = experiment::ensure(scope, &self.pool, &declaration, fresh).await?;
        self.experiments.keep(ticket, key, experiment);
        Ok(experiment)
    }

    /// The first arm that a named subject was given stays its own.
    async fn keep(
        &self,
        recipes: &Recipes,
        scope: &TenantScope,
        experiment: ExperimentId,
        subject: &str,
        arm: Arc<Published>,
    ) -> Result<Arc<Published>, SubmitError> {
        let given = experiment::assign(scope, &self.pool, experiment, subject, arm.id).await?;
        if given == arm.id { Ok(arm) } else { recipes.resolve(scope, &given.to_string(), None).await }
    }
}

/// The variants that are published; the others wait.
async fn arms(
    recipes: &Recipes,
    scope: &TenantScope,
    slug: &str,
    test: &AbTesting,
) -> Result<Vec<Arc<Published>>, SubmitError> {
    let mut arms = Vec::with_capacity(test.variants.len());
    for variant in &test.variants {
        match recipes.resolve(scope, slug, Some(variant.version.as_str())).await {
            Ok(published) => arms.push(published),
            Err(SubmitError::VersionUnknown) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(arms)
}
