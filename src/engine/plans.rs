//! Compiled recipes, kept between runs. A published recipe never changes, so
//! that a plan is never out of date.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::PgPool;

use super::room::Short;
use crate::{
    base::{AgencyId, RecipeId, RunScope},
    catalog::{self, Plan, PlanError, model::SubscriptionLimits, template::Escape},
    components::{Escaping, Shared},
    db,
};

/// More recipes than this in use at once start over.
const KEPT: usize = 2_000;

/// A recipe ready to run, and its cookbook's limits.
#[derive(Debug)]
pub struct Runnable {
    pub plan: Plan,
    pub limits: SubscriptionLimits,
}

#[derive(Debug, Default)]
pub struct Plans(Mutex<HashMap<(AgencyId, RecipeId), Arc<Runnable>>>);

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the recipe is no longer there")]
    Gone,
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Room(#[from] Short),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Plans {
    /// The plan of a recipe that the agency may run.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn load(
        &self,
        pool: &PgPool,
        components: &BTreeMap<&'static str, Shared>,
        run: &RunScope,
        recipe: RecipeId,
    ) -> Result<Arc<Runnable>, LoadError> {
        // By agency too: row-level security decided once that it may see the recipe.
        let key = (run.agency_id(), recipe);
        if let Some(kept) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(kept));
        }
        let published =
            db::bounded(db::ANSWER_WITHIN, catalog::get(run, pool, recipe)).await?.ok_or(LoadError::Gone)?;
        let escape = |node: &crate::catalog::model::Node| match components.get(node.component.as_str()) {
            Some(component) if component.escaping(&node.config) == Escaping::Html => Escape::Html,
            _ => Escape::None,
        };
        let limits = published.limits();
        let plan = Plan::new(published.recipe, &escape)?;
        let runnable = Arc::new(Runnable { plan, limits });
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&runnable));
        Ok(runnable)
    }
}
