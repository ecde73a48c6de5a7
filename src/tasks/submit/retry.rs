//! A finished task once more: a new one that has the finished steps for nothing.

use std::{collections::BTreeSet, slice, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    NewTask, SubmitError, Submitter,
    push::News,
    submission::{Submission, Written},
    submitter::as_submitted,
    variant::Assigned,
};
use crate::{
    base::{TaskId, TenantScope},
    catalog::model::Recipe,
    db,
    tasks::{self, Task, TaskStatus},
};

#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no such task")]
    TaskUnknown,
    #[error("the task is {0} and has not ended; cancel it first, or wait")]
    NotFinished(String),
    #[error("the task completed and no node of it failed: name the node to run again in from_node")]
    NothingToRetry,
    #[error("the recipe has no node of this name; it has {}", .0.join(", "))]
    NodeUnknown(Vec<String>),
    #[error("the recipe's version is not published any more")]
    RecipeGone,
    #[error("the task's agent is not there any more, or not active")]
    AgentGone,
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl From<sqlx::Error> for RetryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Submit(error.into())
    }
}

impl Submitter {
    /// A new task with the recipe version and the inputs of a finished one. It goes on
    /// after the finished steps; failed nodes, and with `from_node` that one, run again,
    /// as does all that comes after them. What they had of tries, turns, questions and
    /// sub-recipes stays with the finished task. It is in no experiment: a run whose steps were
    /// paid for elsewhere is no measure of a variant.
    ///
    /// # Errors
    /// See [`RetryError`]; nothing is written then.
    pub async fn retry(&self, scope: &TenantScope, of: TaskId, from_node: Option<&str>) -> Result<Task, RetryError> {
        let task = tasks::read::get(scope, &self.0.pool, of, 0).await?.ok_or(RetryError::TaskUnknown)?;
        let status = task.status.parse::<TaskStatus>().ok().filter(|status| status.is_terminal());
        let Some(status) = status else { return Err(RetryError::NotFinished(task.status)) };
        let published = match self.0.recipes.resolve(scope, &task.recipe_id.to_string(), None).await {
            Ok(published) => published,
            Err(SubmitError::RecipeUnknown) => return Err(RetryError::RecipeGone),
            Err(error) => return Err(error.into()),
        };
        let steps = step_states(scope, &self.0.pool, of).await?;
        // Only its own price would be charged again.
        if status == TaskStatus::Completed && from_node.is_none() && steps.iter().all(|(_, failed)| !failed) {
            return Err(RetryError::NothingToRetry);
        }
        let keep = kept(&published.recipe, &steps, from_node)?;
        self.take_places(scope, 1).await?;
        let inputs = tasks::read::inputs(scope, &self.0.pool, of).await?;
        let submission = self.submission(
            scope,
            &again(task, inputs.clone()),
            &Assigned { published: Arc::clone(&published), experiment: None },
            inputs,
        );
        let made = match retry(scope, &self.0.pool, of, &submission, &keep).await? {
            Ok(made) => made,
            Err(outcome) if outcome == "over_monthly_limit" => return Err(self.over_monthly_limit(&published).into()),
            Err(outcome) => return Err(refused(&outcome)),
        };
        let written = Written::Created { team_id: made.team_id.into(), created_at: made.created_at };
        self.tell(News::of(slice::from_ref(&submission), slice::from_ref(&written))).await;
        let task = as_submitted(submission, made.team_id, made.created_at);
        Ok(Task { retry_of: Some(of.0), steps_done: made.steps_done, ..task })
    }
}

fn again(task: Task, inputs: Map<String, Value>) -> NewTask {
    NewTask {
        agent_instance_id: task.agent_instance_id.into(),
        recipe: task.recipe_id.to_string(),
        version: None,
        inputs,
        priority: task.priority,
        run_at: None,
        subject: task.subject,
        tags: task.tags,
        idempotency_key: None,
    }
}

fn refused(outcome: &str) -> RetryError {
    match outcome {
        "agent_unknown" => RetryError::AgentGone,
        "recipe_unknown" => RetryError::RecipeGone,
        // Put back into the queue, or pruned, since it was read.
        "not_finished" => RetryError::NotFinished("not finished any more".to_owned()),
        other => SubmitError::Database(sqlx::Error::Protocol(format!("a retry was answered with {other}"))).into(),
    }
}

/// The nodes whose finished steps are taken over, given each node with steps and whether
/// one of them failed. Of a node that failed these are the items that did not.
fn kept(recipe: &Recipe, steps: &[(String, bool)], from_node: Option<&str>) -> Result<Vec<String>, RetryError> {
    let nodes = &recipe.workflow.nodes;
    if from_node.is_some_and(|from| nodes.iter().all(|node| node.id.as_str() != from)) {
        return Err(RetryError::NodeUnknown(nodes.iter().map(|node| node.id.to_string()).collect()));
    }
    let failed = steps.iter().filter(|(_, failed)| *failed).map(|(node, _)| node.as_str());
    let mut dropped = after(recipe, failed.chain(from_node).collect());
    dropped.extend(from_node);
    Ok(steps.iter().map(|(node, _)| node).filter(|node| !dropped.contains(node.as_str())).cloned().collect())
}

/// All nodes that come after one of these.
fn after<'a>(recipe: &'a Recipe, of: Vec<&'a str>) -> BTreeSet<&'a str> {
    let workflow = &recipe.workflow;
    let depends =
        workflow.nodes.iter().flat_map(|node| node.depends_on.iter().map(|on| (on.as_str(), node.id.as_str())));
    let edges = workflow.edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str()));
    let arrows: Vec<(&str, &str)> = depends.chain(edges).collect();
    let (mut found, mut look) = (BTreeSet::new(), of);
    while let Some(node) = look.pop() {
        look.extend(arrows.iter().filter(|(from, to)| *from == node && found.insert(*to)).map(|(_, to)| *to));
    }
    found
}

/// Each node that has steps, and whether one of them failed.
///
/// # Errors
/// The database is unavailable.
pub async fn step_states(scope: &TenantScope, pool: &PgPool, of: TaskId) -> Result<Vec<(String, bool)>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query!(
        r#"select node_id, bool_or(status = 'failed') as "failed!" from task_steps where task_id = $1 group by node_id"#,
        of.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|row| (row.node_id, row.failed)).collect())
}

/// What the database decided of a new task.
#[derive(Debug)]
pub struct Made {
    pub team_id: Uuid,
    pub created_at: DateTime<Utc>,
    pub steps_done: i32,
}

/// Writes the new task with the steps it takes over, or gives the outcome that refused it.
///
/// # Errors
/// The database is unavailable.
pub async fn retry(
    scope: &TenantScope,
    pool: &PgPool,
    of: TaskId,
    task: &Submission,
    keep: &[String],
) -> Result<Result<Made, String>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query!(
        r#"select outcome as "outcome!", team_id, created_at, steps_done from app.retry_task($1, $2, $3)"#,
        of.0,
        task as &Submission,
        keep,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(match (row.outcome.as_str(), row.team_id, row.created_at) {
        ("created", Some(team_id), Some(created_at)) => {
            Ok(Made { team_id, created_at, steps_done: row.steps_done.unwrap_or_default() })
        }
        _ => Err(row.outcome),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// a -> b -> d, a -> c -> d, and e by itself.
    fn recipe() -> Recipe {
        let node = |id: &str, on: &[&str]| json!({"id": id, "component": "Transform", "depends_on": on});
        let nodes = [node("a", &[]), node("b", &["a"]), node("c", &[]), node("d", &["b", "c"]), node("e", &[])];
        let document = json!({"id": "r", "name": "R", "version": "1.0",
            "workflow": {"nodes": nodes, "edges": [{"from": "a", "to": "c"}]}});
        serde_json::from_value(document).unwrap()
    }

    fn kept_of(steps: &str, from: Option<&str>) -> String {
        let steps: Vec<_> =
            steps.split_whitespace().map(|s| (s.trim_end_matches('!').to_owned(), s.ends_with('!'))).collect();
        kept(&recipe(), &steps, from).unwrap().join(" ")
    }

    #[test]
    fn what_was_finished_before_the_node_is_kept() {
        assert_eq!(kept_of("a b c d e", None), "a b c d e");
        assert_eq!(kept_of("a b c d e", Some("b")), "a c e");
        assert_eq!(kept_of("a b c d e", Some("a")), "e");
        assert_eq!(kept_of("a b c d e", Some("d")), "a b c e");
        assert_eq!(kept_of("a e", Some("b")), "a e", "a node that never ran");
    }

    #[test]
    fn what_came_after_a_failure_runs_again_with_it() {
        assert_eq!(kept_of("a b c! e", None), "a b c e", "items of c that did not fail stay");
        assert_eq!(kept_of("a! b c d e", None), "a e", "a failure that was allowed");
        assert_eq!(kept_of("a b! c d e", Some("c")), "a b e");
        assert_eq!(kept_of("a b! c e", Some("b")), "a c e", "from the failed node, with all of its items");
    }

    #[test]
    fn a_node_that_is_none_is_refused_with_those_there_are() {
        let error = kept(&recipe(), &[], Some("x")).unwrap_err().to_string();
        assert!(error.contains("a, b, c, d, e"), "{error}");
    }
}
