//! Which recipe a name means, remembered for a moment: a submission should not
//! cost a look-up each time.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;

use super::error::SubmitError;
use crate::{
    base::{AgencyId, TenantScope, cache::Cache},
    catalog::{self, Published, RecipeRef},
};

/// A version published by another process is seen after this at the latest; one
/// published through this process at once.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
const MAX_BELIEVED: usize = 10_000;

type Name = (AgencyId, String, Option<String>);

#[derive(Debug)]
pub struct Recipes {
    pool: PgPool,
    known: Cache<Name, Arc<Published>>,
}

impl Recipes {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, known: Cache::new(BELIEVED_FOR, MAX_BELIEVED) }
    }

    /// The recipe of an id or a slug; without a version the newest release.
    pub async fn resolve(
        &self,
        scope: &TenantScope,
        recipe: &str,
        version: Option<&str>,
    ) -> Result<Arc<Published>, SubmitError> {
        let name = (scope.agency_id(), recipe.to_owned(), version.map(str::to_owned));
        let ticket = match self.known.get(&name) {
            Ok(published) => return Ok(published),
            Err(ticket) => ticket,
        };
        let found = match RecipeRef::parse(recipe) {
            Some(named) => catalog::resolve(scope, &self.pool, &named, version).await?,
            None => None,
        };
        let Some(published) = found.map(Arc::new) else {
            return Err(if version.is_some() { SubmitError::VersionUnknown } else { SubmitError::RecipeUnknown });
        };
        self.known.keep(ticket, name, Arc::clone(&published));
        Ok(published)
    }

    pub fn forget(&self, scope: &TenantScope) {
        self.known.forget(|(owner, ..), _| *owner == scope.agency_id());
    }
}
