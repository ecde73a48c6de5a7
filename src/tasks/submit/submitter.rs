//! What takes tasks in: a recipe, its variant and checked inputs become a row.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    error::SubmitError,
    new_task::NewTask,
    push::PushFlush,
    recipes::Recipes,
    room::Room,
    submission::{Submission, SubmitFlush},
    variant::{Assigned, Variants},
};
use crate::{
    base::{Clock, TaskId, ids::uuid_at},
    catalog::{Published, inputs},
    db::lane::Lane,
    queue::{Admission, Tickets},
    tasks::{Task, TaskStatus, read::team_bound},
    tenancy::TenantScope,
};

/// Submissions in one statement.
const MAX_BATCH: usize = 200;
/// What a task may wait for its `run_at`.
const FARTHEST_DAYS: i64 = 366;

/// Takes tasks in; cheap to clone.
#[derive(Debug, Clone)]
pub struct Submitter(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub pool: PgPool,
    pub lane: Lane<SubmitFlush>,
    pub pushes: Lane<PushFlush>,
    pub admission: Admission,
    pub recipes: Recipes,
    pub variants: Variants,
    pub room: Room,
    pub clock: Arc<dyn Clock>,
}

impl Submitter {
    /// `most_open` is how many tasks an agency can have that have not ended. Must be called within
    /// a Tokio runtime.
    #[must_use]
    pub fn start(pool: PgPool, tickets: Tickets, clock: Arc<dyn Clock>, most_open: u32) -> Self {
        let lane = Lane::start(SubmitFlush::new(pool.clone()), MAX_BATCH);
        let push = PushFlush::new(tickets);
        let admission = push.admission();
        let pushes = Lane::start(push, MAX_BATCH);
        let recipes = Recipes::new(pool.clone());
        let variants = Variants::new(pool.clone(), Arc::clone(&clock));
        let room = Room::new(pool.clone(), most_open);
        Self(Arc::new(Inner { pool, lane, pushes, admission, recipes, variants, room, clock }))
    }

    /// Makes what was just published visible to the next submission.
    pub fn catalogue_changed(&self, scope: &TenantScope) {
        self.0.recipes.forget(scope);
    }

    /// Takes places in the queue for so many tasks that are about to be written.
    ///
    /// # Errors
    /// [`SubmitError::QueueFull`]; the database is unavailable.
    pub async fn take_places(&self, scope: &TenantScope, tasks: usize) -> Result<(), SubmitError> {
        self.0.room.take(scope, tasks).await
    }

    /// Resolves the recipe and its variant and checks the inputs: everything up to the write.
    ///
    /// # Errors
    /// As [`Submitter::submit_all`], but for what only the write finds out.
    pub async fn prepare(&self, scope: &TenantScope, new: &NewTask) -> Result<Prepared, SubmitError> {
        if new.run_at.is_some_and(|at| at > self.0.clock.now() + TimeDelta::days(FARTHEST_DAYS)) {
            return Err(SubmitError::TooFarAhead { days: FARTHEST_DAYS });
        }
        let named = self.0.recipes.resolve(scope, &new.recipe, new.version.as_deref()).await?;
        let assigned = self.0.variants.assign(&self.0.recipes, scope, new, named).await?;
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

    pub(super) fn submission(
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
            member_team_id: team_bound(scope),
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
    pub(super) published: Arc<Published>,
}

pub(super) fn as_submitted(s: Submission, team_id: Uuid, created_at: DateTime<Utc>) -> Task {
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
        status: TaskStatus::Queued.as_str().to_owned(),
        priority: s.priority,
        inputs: s.inputs.to_string().into(),
        output: None,
        values_left_out: false,
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
