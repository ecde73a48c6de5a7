//! Several tasks, taken together or not at all.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::{
    NewTask, Prepared, SubmitError, Submitter,
    push::News,
    submission::{self, Submission, Written},
    submitter::as_submitted,
};
use crate::{
    catalog::Published,
    db::lane::LaneError,
    tasks::{Task, TaskStatus, read::many},
    tenancy::{TenantScope, seats},
};

/// Wrong tasks that a refusal names.
const MAX_ERRORS: usize = 100;

impl Submitter {
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

    /// Answers once all tasks are durable, in their order. The first one's
    /// idempotency key is the whole batch's.
    ///
    /// # Errors
    /// [`SubmitError::Batch`] with what is wrong by place, or another of [`SubmitError`];
    /// nothing is written then.
    pub async fn submit_all(&self, scope: &TenantScope, new: Vec<NewTask>) -> Result<Vec<Task>, SubmitError> {
        let prepared = self.prepare_all(scope, &new).await?;
        let hash = request_hash(&new);
        if let Err(refusal) = self.take_places(scope, new.len()).await {
            // What was taken before is answered as it was then.
            return if self.was_taken(scope, &new).await? { self.replay(scope, new, hash).await } else { Err(refusal) };
        }
        let group = group(&prepared, hash.as_deref());
        let written = match self.0.lane.write(group.clone()).await {
            Ok(written) => written,
            Err(LaneError::Unavailable) => return Err(SubmitError::Unavailable),
            Err(LaneError::Refused(error)) => {
                return Err(SubmitError::Database(sqlx::Error::Protocol(error.to_string())));
            }
        };
        if written.contains(&Written::KeyTaken) {
            return self.replay(scope, new, hash).await;
        }
        let errors = self.refusals(&prepared, &written);
        if !errors.is_empty() {
            return Err(SubmitError::Batch(errors));
        }
        self.tell(News::of(&group, &written)).await;
        let created = group.into_iter().zip(written);
        Ok(created
            .filter_map(|(submission, written)| match written {
                Written::Created { team_id, created_at } => Some(as_submitted(submission, team_id.0, created_at)),
                _ => None,
            })
            .collect())
    }

    /// Returns once Redis was told, or could not be.
    pub(super) async fn tell(&self, news: News) {
        if !news.is_empty() && self.0.pushes.write(news).await.is_err() {
            warn!("the push lane has ended; the dispatcher will push the tickets");
        }
    }

    /// Every task is looked at, so that all mistakes are reported at once.
    async fn prepare_all(&self, scope: &TenantScope, new: &[NewTask]) -> Result<Vec<Prepared>, SubmitError> {
        let mut prepared = Vec::with_capacity(new.len());
        let mut errors = Vec::new();
        for (place, new) in new.iter().enumerate() {
            match self.prepare(scope, new).await {
                Ok(one) => prepared.push(one),
                Err(error @ (SubmitError::Database(_) | SubmitError::Unavailable)) => return Err(error),
                Err(error) if errors.len() < MAX_ERRORS => errors.push((place, error)),
                Err(_) => {}
            }
        }
        if errors.is_empty() { Ok(prepared) } else { Err(SubmitError::Batch(errors)) }
    }

    fn refusals(&self, prepared: &[Prepared], written: &[Written]) -> Vec<(usize, SubmitError)> {
        let error = |prepared: &Prepared, written: &Written| match written {
            Written::AgentUnknown => Some(SubmitError::AgentUnknown),
            Written::RecipeUnknown => Some(SubmitError::RecipeUnknown),
            Written::OverMonthlyLimit => Some(self.over_monthly_limit(&prepared.published)),
            Written::Created { .. } | Written::RefusedWithGroup | Written::KeyTaken => None,
        };
        let places = prepared.iter().zip(written).enumerate();
        places
            .filter_map(|(place, (prepared, written))| Some((place, error(prepared, written)?)))
            .take(MAX_ERRORS)
            .collect()
    }

    pub(super) fn over_monthly_limit(&self, published: &Published) -> SubmitError {
        let (_, resets_on) = seats::month_of(self.0.clock.now());
        SubmitError::OverMonthlyLimit {
            cookbook: published.cookbook.as_ref().map(|cookbook| cookbook.slug.clone()).unwrap_or_default(),
            limit: published.limits().max_executions_per_month.unwrap_or_default(),
            resets_at: resets_on.and_time(chrono::NaiveTime::MIN).and_utc(),
        }
    }

    /// Whether the request's key has been used.
    async fn was_taken(&self, scope: &TenantScope, new: &[NewTask]) -> Result<bool, SubmitError> {
        let Some(key) = new.first().and_then(|first| first.idempotency_key.as_ref()) else { return Ok(false) };
        Ok(submission::key_holder(scope, &self.0.pool, key).await?.is_some())
    }

    /// The tasks that the key was first used for, as they were answered then.
    async fn replay(
        &self,
        scope: &TenantScope,
        new: Vec<NewTask>,
        request_hash: Option<Vec<u8>>,
    ) -> Result<Vec<Task>, SubmitError> {
        let key = new.into_iter().next().and_then(|first| first.idempotency_key).unwrap_or_default();
        let holder = submission::key_holder(scope, &self.0.pool, &key).await?.ok_or(SubmitError::Unavailable)?;
        if Some(holder.request_hash) != request_hash {
            return Err(SubmitError::KeyReused);
        }
        let tasks = many(scope, &self.0.pool, &holder.tasks, i64::MAX).await?;
        if tasks.len() != holder.tasks.len() {
            return Err(SubmitError::KeyReused);
        }
        Ok(tasks.into_iter().map(as_first_answered).collect())
    }
}

fn as_first_answered(task: Task) -> Task {
    Task {
        status: TaskStatus::Queued.as_str().to_owned(),
        output: None,
        error: None,
        attempt: 0,
        tokens_used: 0,
        cost_usd: Decimal::ZERO,
        steps_done: 0,
        started_at: None,
        finished_at: None,
        ..task
    }
}

/// The submissions as one group, named by its first task.
fn group(prepared: &[Prepared], request_hash: Option<&[u8]>) -> Vec<Submission> {
    let Some(first) = prepared.first() else { return Vec::new() };
    let group_id = first.submission.id;
    prepared
        .iter()
        .map(|one| Submission { group_id, request_hash: request_hash.map(<[u8]>::to_vec), ..one.submission.clone() })
        .collect()
}

/// What makes two requests the same one; `None` without a key. Object keys are
/// sorted by `serde_json`.
fn request_hash(new: &[NewTask]) -> Option<Vec<u8>> {
    new.first()?.idempotency_key.as_ref()?;
    let parts = |new: &NewTask| -> Value {
        json!([
            new.agent_instance_id,
            new.recipe,
            new.version,
            new.inputs,
            new.priority,
            new.run_at,
            new.subject,
            new.tags,
        ])
    };
    // One task by itself is hashed as it always was: keys outlive an upgrade.
    let request = match new {
        [one] => parts(one),
        many => many.iter().map(parts).collect(),
    };
    Some(Sha256::digest(request.to_string().as_bytes()).to_vec())
}
