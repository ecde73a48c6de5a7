//! From a request to a durable row and a ticket.

mod recipes;
mod retry;
pub mod store;
mod variant;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::Task;
use crate::{
    base::{AgencyId, AgentId, Clock, RecipeId, TaskId, cache::Cache, ids::uuid_at},
    catalog::{Problem, Published, inputs},
    db::lane::{Lane, LaneError},
    experiments::Experiment,
    queue::Tickets,
    tenancy::TenantScope,
};
use recipes::Recipes;
pub use retry::RetryError;
use store::{Submission, SubmitFlush, Written};
use variant::Assigned;

/// Submissions in one statement.
const MAX_BATCH: usize = 200;
/// An experiment stopped through another process goes on here for this long.
const EXPERIMENT_BELIEVED_FOR: Duration = Duration::from_secs(2);
const MAX_EXPERIMENTS: usize = 10_000;

/// A task as it is asked for, its parts checked for form.
#[derive(Debug, Clone)]
pub struct NewTask {
    pub agent_instance_id: AgentId,
    /// An id or a slug.
    pub recipe: String,
    pub version: Option<String>,
    pub inputs: Map<String, Value>,
    /// 0 to 9.
    pub priority: i16,
    pub run_at: Option<DateTime<Utc>>,
    /// Whom an experiment's arm is given to; each run by itself without one.
    pub subject: Option<String>,
    pub tags: Vec<String>,
    pub idempotency_key: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error("there is no such recipe: GET /recipes lists what this agency can run")]
    RecipeUnknown,
    #[error("the recipe has no such version: GET /recipes lists them")]
    VersionUnknown,
    #[error("there is no such agent, or it is not active: GET /agents lists them")]
    AgentUnknown,
    #[error("the inputs do not fit the recipe")]
    Inputs(Vec<Problem>),
    #[error("the Idempotency-Key was used for another request in the last 24 hours")]
    KeyReused,
    #[error("the database is away")]
    Unavailable,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Takes tasks in; cheap to clone.
#[derive(Debug, Clone)]
pub struct Submitter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    lane: Lane<SubmitFlush>,
    tickets: Tickets,
    recipes: Recipes,
    experiments: Cache<(AgencyId, RecipeId), Experiment>,
    clock: Arc<dyn Clock>,
}

impl Submitter {
    /// `pool` is the API's. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(pool: PgPool, tickets: Tickets, clock: Arc<dyn Clock>) -> Self {
        let lane = Lane::start(SubmitFlush::new(pool.clone(), Some(tickets.clone())), MAX_BATCH);
        let recipes = Recipes::new(pool.clone());
        let experiments = Cache::new(EXPERIMENT_BELIEVED_FOR, MAX_EXPERIMENTS);
        Self(Arc::new(Inner { pool, lane, tickets, recipes, experiments, clock }))
    }

    /// Makes what was just published visible to the next submission.
    pub fn catalogue_changed(&self, scope: &TenantScope) {
        self.0.recipes.forget(scope);
    }

    /// Answers once the task is durable. A key used before for the same request
    /// gives the task of that time.
    ///
    /// # Errors
    /// See [`SubmitError`]; nothing is written then.
    pub async fn submit(&self, scope: &TenantScope, new: NewTask) -> Result<Task, SubmitError> {
        let request_hash = new.idempotency_key.as_ref().map(|_| request_hash(&new));
        let submission = Submission { request_hash: request_hash.clone(), ..self.prepare(scope, &new).await? };
        match self.0.lane.write(submission.clone()).await {
            Ok(Written::Created { team_id, created_at }) => Ok(as_submitted(submission, team_id.0, created_at)),
            Ok(Written::AgentUnknown) => Err(SubmitError::AgentUnknown),
            Ok(Written::RecipeUnknown) => Err(SubmitError::RecipeUnknown),
            Ok(Written::KeyTaken) => self.replay(scope, &new, request_hash).await,
            Err(LaneError::Unavailable) => Err(SubmitError::Unavailable),
            Err(LaneError::Refused(error)) => Err(SubmitError::Database(sqlx::Error::Protocol(error.to_string()))),
        }
    }

    /// Resolves the recipe and its variant and checks the inputs: everything up to the write.
    ///
    /// # Errors
    /// As [`Submitter::submit`], but for what only the write finds out.
    pub async fn prepare(&self, scope: &TenantScope, new: &NewTask) -> Result<Submission, SubmitError> {
        let named = self.0.recipes.resolve(scope, &new.recipe, new.version.as_deref()).await?;
        let assigned = self.assign(scope, new, named).await?;
        let inputs = inputs::check(&assigned.published.recipe.inputs, Value::Object(new.inputs.clone()))
            .map_err(SubmitError::Inputs)?;
        Ok(self.submission(scope, new, &assigned, inputs))
    }

    /// Whether the recipe is there and the inputs fit it. Writes and assigns nothing.
    ///
    /// # Errors
    /// As [`Submitter::prepare`].
    pub async fn check(&self, scope: &TenantScope, new: &NewTask) -> Result<(), SubmitError> {
        let named = self.0.recipes.resolve(scope, &new.recipe, new.version.as_deref()).await?;
        let given = Value::Object(new.inputs.clone());
        inputs::check(&named.recipe.inputs, given).map(drop).map_err(SubmitError::Inputs)
    }

    fn submission(
        &self,
        scope: &TenantScope,
        new: &NewTask,
        assigned: &Assigned,
        inputs: Map<String, Value>,
    ) -> Submission {
        let now = self.0.clock.now();
        let Published { id, recipe, .. } = assigned.published.as_ref();
        Submission {
            id: TaskId::at(now).0,
            agency_id: scope.agency_id().0,
            member_team_id: super::store::team_bound(scope),
            agent_instance_id: new.agent_instance_id.0,
            created_by: scope.user_id().map(|id| id.0),
            recipe_id: id.0,
            recipe_slug: recipe.id.to_string(),
            recipe_version: recipe.version.to_string(),
            experiment_id: assigned.experiment.map(|e| e.0),
            variant: assigned.experiment.map(|_| recipe.version.to_string()),
            subject: new.subject.clone(),
            priority: new.priority,
            inputs: Value::Object(inputs),
            budget_usd: recipe.budget.max_cost_usd.map(crate::catalog::model::Amount::get),
            steps_total: i32::try_from(recipe.workflow.nodes.len()).unwrap_or(i32::MAX),
            tags: new.tags.clone(),
            run_at: new.run_at,
            dispatch_id: uuid_at(now),
            idempotency_key: new.idempotency_key.clone(),
            request_hash: None,
        }
    }

    /// The task that the key was first used for, as it was answered then.
    async fn replay(
        &self,
        scope: &TenantScope,
        new: &NewTask,
        request_hash: Option<Vec<u8>>,
    ) -> Result<Task, SubmitError> {
        let key = new.idempotency_key.as_deref().unwrap_or_default();
        let holder = store::key_holder(scope, &self.0.pool, key).await?;
        let (hash, task) = holder.ok_or(SubmitError::Unavailable)?;
        if Some(hash) != request_hash {
            return Err(SubmitError::KeyReused);
        }
        let task = super::store::get(scope, &self.0.pool, task).await?.ok_or(SubmitError::KeyReused)?;
        Ok(Task {
            status: super::TaskStatus::Queued.as_str().to_owned(),
            output: None,
            error: None,
            attempt: 0,
            tokens_used: 0,
            cost_usd: rust_decimal::Decimal::ZERO,
            steps_done: 0,
            started_at: None,
            finished_at: None,
            ..task
        })
    }
}

fn as_submitted(s: Submission, team_id: Uuid, created_at: DateTime<Utc>) -> Task {
    Task {
        id: s.id,
        agency_id: s.agency_id,
        team_id,
        agent_instance_id: s.agent_instance_id,
        recipe_id: s.recipe_id,
        recipe: s.recipe_slug,
        recipe_version: s.recipe_version,
        experiment_id: s.experiment_id,
        variant: s.variant,
        subject: s.subject,
        status: super::TaskStatus::Queued.as_str().to_owned(),
        priority: s.priority,
        inputs: s.inputs,
        output: None,
        error: None,
        attempt: 0,
        tokens_used: 0,
        cost_usd: rust_decimal::Decimal::ZERO,
        budget_usd: s.budget_usd,
        steps_done: 0,
        steps_total: s.steps_total,
        tags: s.tags,
        created_at,
        run_at: s.run_at.unwrap_or(created_at),
        started_at: None,
        finished_at: None,
        retry_of: None,
    }
}

/// What makes two requests the same one. Object keys are sorted by `serde_json`.
fn request_hash(new: &NewTask) -> Vec<u8> {
    let request = serde_json::json!([
        new.agent_instance_id,
        new.recipe,
        new.version,
        new.inputs,
        new.priority,
        new.run_at,
        new.subject,
        new.tags,
    ]);
    Sha256::digest(request.to_string().as_bytes()).to_vec()
}
