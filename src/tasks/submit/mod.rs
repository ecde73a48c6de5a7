//! From a request to a durable row and a ticket.

mod batch;
mod push;
mod recipes;
mod retry;
pub mod store;
mod variant;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgPool;
use uuid::Uuid;

use super::Task;
use crate::{
    base::{AgencyId, AgentId, Clock, RecipeId, TaskId, cache::Cache, ids::uuid_at},
    catalog::{Problem, Published, inputs},
    db::lane::Lane,
    experiments::Experiment,
    queue::{Admission, Tickets},
    tenancy::TenantScope,
};
use push::PushFlush;
use recipes::Recipes;
pub use retry::RetryError;
use store::{Submission, SubmitFlush};
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
    #[error(
        "the cookbook {cookbook} allows {limit} executions a month, and this would be more; the next month begins {}",
        .resets_at.format("%Y-%m-%dT%H:%M:%SZ")
    )]
    OverMonthlyLimit { cookbook: String, limit: u32, resets_at: DateTime<Utc> },
    /// Of a batch, by its place in it; none of it was written.
    #[error("{} of the tasks cannot be taken, so none was", .0.len())]
    Batch(Vec<(usize, SubmitError)>),
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
    pushes: Lane<PushFlush>,
    admission: Admission,
    recipes: Recipes,
    experiments: Cache<(AgencyId, RecipeId), Experiment>,
    clock: Arc<dyn Clock>,
}

impl Submitter {
    /// `pool` is the API's. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(pool: PgPool, tickets: Tickets, clock: Arc<dyn Clock>) -> Self {
        let lane = Lane::start(SubmitFlush::new(pool.clone()), MAX_BATCH);
        let push = PushFlush::new(tickets);
        let admission = push.admission();
        let pushes = Lane::start(push, MAX_BATCH);
        let recipes = Recipes::new(pool.clone());
        let experiments = Cache::new(EXPERIMENT_BELIEVED_FOR, MAX_EXPERIMENTS);
        Self(Arc::new(Inner { pool, lane, pushes, admission, recipes, experiments, clock }))
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
        match self.submit_all(scope, vec![new]).await {
            Ok(mut tasks) => tasks.pop().ok_or(SubmitError::Unavailable),
            Err(SubmitError::Batch(mut errors)) => {
                Err(errors.pop().map_or(SubmitError::Unavailable, |(_, error)| error))
            }
            Err(error) => Err(error),
        }
    }

    /// Resolves the recipe and its variant and checks the inputs: everything up to the write.
    ///
    /// # Errors
    /// As [`Submitter::submit`], but for what only the write finds out.
    pub async fn prepare(&self, scope: &TenantScope, new: &NewTask) -> Result<Prepared, SubmitError> {
        let named = self.0.recipes.resolve(scope, &new.recipe, new.version.as_deref()).await?;
        let assigned = self.assign(scope, new, named).await?;
        let inputs = inputs::check(&assigned.published.recipe.inputs, Value::Object(new.inputs.clone()))
            .map_err(SubmitError::Inputs)?;
        let submission = self.submission(scope, new, &assigned, inputs);
        Ok(Prepared { submission, published: assigned.published })
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
        let Published { id, recipe, cookbook, .. } = assigned.published.as_ref();
        let task = TaskId::at(now).0;
        let monthly = cookbook.as_ref().and_then(|cookbook| cookbook.limits.max_executions_per_month);
        Submission {
            id: task,
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
            dispatch_id: self.0.admission.take().then(|| uuid_at(now)),
            idempotency_key: new.idempotency_key.clone(),
            request_hash: None,
            group_id: task,
            cookbook_id: cookbook.as_ref().map(|cookbook| cookbook.id.0),
            monthly_limit: monthly.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)),
        }
    }
}

/// A submission, and the recipe that it was checked against.
#[derive(Debug)]
pub struct Prepared {
    pub submission: Submission,
    published: Arc<Published>,
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
        parent_task_id: None,
        retry_of: None,
    }
}
