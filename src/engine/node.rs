//! One node: whether it runs, over what, and its committed result.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use chrono::{DateTime, Utc};
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};

use super::{
    attempt::{AttemptEnd, Work},
    codes,
    record::{Record, RecordError, StepWrite},
    rest::Begun,
    run::{NodeEnd, Outputs, Run},
};
use crate::{
    base::Usd,
    catalog::{
        Step,
        template::{Scope, TemplateError},
    },
    components::{ComponentError, Retry},
};

/// Entries of a `for_each` in work at once, unless the node says otherwise.
const MAX_PARALLEL: u32 = 4;
/// Entries that a `for_each` may have.
const MAX_ITEMS: usize = 10_000;

impl Run<'_> {
    pub(super) async fn node(&self, index: usize, scope: &Scope, outputs: &Outputs) -> NodeEnd {
        let step = &self.runnable.plan.steps()[index];
        let begun = self.rest.begin();
        let end = match self.render(step, scope, Times::of).await {
            Ok(Times::None) => self.skip(step).await,
            Ok(Times::Once) => self.once(step, scope, outputs).await,
            Ok(Times::Each(items)) => self.each(step, scope, outputs, items, begun).await,
            Err(error) => self.refuse(step, ComponentError::from(error)).await,
        };
        self.left.fetch_sub(1, Ordering::AcqRel);
        match end {
            // The recipe goes on without it; templates find the failure under NODE.error.
            NodeEnd::Failed(error) if step.node.allow_failure => {
                NodeEnd::Done { output: json!({"error": error_json(&error)}), unwritten: None }
            }
            end => end,
        }
    }

    async fn once(&self, step: &Arc<Step>, scope: &Scope, outputs: &Outputs) -> NodeEnd {
        if let Some(end) = self.committed_end(step, 0) {
            return end;
        }
        match self.occurrence(&Work { step, scope, outputs, occurrence: 0 }, true).await {
            AttemptEnd::Done { output, record } => match self.write_unless_last(record).await {
                Ok(unwritten) => NodeEnd::Done { output, unwritten },
                Err(error) => NodeEnd::Unwritten(error),
            },
            AttemptEnd::Failed { error, record } => match self.write(record).await {
                Ok(()) => NodeEnd::Failed(error),
                Err(error) => NodeEnd::Unwritten(error),
            },
            AttemptEnd::Stopped => NodeEnd::Stopped,
        }
    }

    /// Runs the node once for each item, a few at a time. The node's output is the list of theirs.
    async fn each(
        &self,
        step: &Arc<Step>,
        scope: &Scope,
        outputs: &Outputs,
        items: Vec<Value>,
        begun: Begun<'_>,
    ) -> NodeEnd {
        if items.is_empty() {
            return self.skip_with(step, Some(json!([]))).await;
        }
        if items.len() > MAX_ITEMS {
            let message = format!("the list has {} entries and at most {MAX_ITEMS} are run", items.len());
            return self.refuse(step, ComponentError::new("too_many_items", message).field("for_each")).await;
        }
        let node_id = step.node.id.as_str();
        let is_committed = |n: &usize| self.past.committed.contains_key(&(node_id.to_owned(), index(*n)));
        let left = AtomicUsize::new((0..items.len()).filter(|n| !is_committed(n)).count());
        let parallel = step.node.max_parallel.unwrap_or(MAX_PARALLEL).max(1) as usize;
        let mut results = vec![Value::Null; items.len()];
        let mut failure = None;
        // After a failure no item starts; what runs may finish, and its result is kept.
        let failed = AtomicBool::new(false);
        let runs: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(n, item)| {
                let (scope, left, failed) = (scope.with_item(item, n), &left, &failed);
                async move {
                    if failed.load(Ordering::Acquire) {
                        return (n, NodeEnd::Skipped { unwritten: None });
                    }
                    (n, self.item(step, &scope, outputs, n, left).await)
                }
                .boxed()
            })
            .collect();
        let mut work = stream::iter(runs).buffer_unordered(parallel);
        // From here on its items are counted.
        drop(begun);
        while let Some((n, end)) = work.next().await {
            match end {
                NodeEnd::Done { output, .. } => results[n] = output,
                NodeEnd::Failed(error) if step.node.allow_failure => results[n] = json!({"error": error_json(&error)}),
                NodeEnd::Failed(error) => {
                    failed.store(true, Ordering::Release);
                    let error = ComponentError { message: format!("item {n}: {}", error.message), ..error };
                    self.doom(step, &error);
                    failure.get_or_insert(error);
                }
                NodeEnd::Skipped { .. } => {}
                end => return end,
            }
        }
        drop(work);
        match failure {
            Some(error) => NodeEnd::Failed(error),
            None => NodeEnd::Done { output: Value::Array(results), unwritten: None },
        }
    }

    async fn item(&self, step: &Arc<Step>, scope: &Scope, outputs: &Outputs, n: usize, left: &AtomicUsize) -> NodeEnd {
        if let Some(end) = self.committed_end(step, index(n)) {
            return end;
        }
        let _begun = self.rest.begin();
        let end = self.occurrence(&Work { step, scope, outputs, occurrence: index(n) }, false).await;
        let closes = left.fetch_sub(1, Ordering::AcqRel) == 1;
        let closing = |mut record: Record| {
            if let Some(step) = &mut record.step {
                step.closes_node = closes;
            }
            record
        };
        let (result, record) = match end {
            AttemptEnd::Done { output, record } => (NodeEnd::Done { output, unwritten: None }, record),
            AttemptEnd::Failed { error, record } => (NodeEnd::Failed(error), record),
            AttemptEnd::Stopped => return NodeEnd::Stopped,
        };
        match self.write(closing(record)).await {
            Ok(()) => result,
            Err(error) => NodeEnd::Unwritten(error),
        }
    }

    /// What an older claim committed of an occurrence: it is not run again.
    fn committed_end(&self, step: &Step, occurrence: i32) -> Option<NodeEnd> {
        let committed = self.past.committed.get(&(step.node.id.to_string(), occurrence))?;
        Some(match committed.status.as_str() {
            "completed" => NodeEnd::Done { output: committed.output.clone().unwrap_or_default(), unwritten: None },
            "skipped" => NodeEnd::Skipped { unwritten: None },
            _ => NodeEnd::Failed(committed_failure(committed.error.as_ref())),
        })
    }

    /// Makes known that the task will fail, so that it does not wait for the other items.
    fn doom(&self, step: &Step, error: &ComponentError) {
        let mut doomed = self.doomed.lock().unwrap_or_else(PoisonError::into_inner);
        doomed.get_or_insert_with(|| (step.node.id.to_string(), error.clone()));
    }

    async fn skip(&self, step: &Step) -> NodeEnd {
        self.skip_with(step, None).await
    }

    async fn skip_with(&self, step: &Step, output: Option<Value>) -> NodeEnd {
        let now = self.parts.clock.now();
        let write = StepWrite {
            status: "skipped".to_owned(),
            attempts: 0,
            output: output.clone(),
            ..self.blank_step(step, 0, now)
        };
        match self.write_unless_last(Record { step: Some(write), ..Record::default() }).await {
            Ok(unwritten) => match output {
                Some(output) => NodeEnd::Done { output, unwritten },
                None => NodeEnd::Skipped { unwritten },
            },
            Err(error) => NodeEnd::Unwritten(error),
        }
    }

    /// A node that failed before it was tried.
    async fn refuse(&self, step: &Step, error: ComponentError) -> NodeEnd {
        let error = self.secrets.redactor.error(error);
        let write = StepWrite {
            status: "failed".to_owned(),
            error: Some(error_json(&error)),
            ..self.blank_step(step, 0, self.parts.clock.now())
        };
        match self.write(Record { step: Some(write), ..Record::default() }).await {
            Ok(()) => NodeEnd::Failed(error),
            Err(error) => NodeEnd::Unwritten(error),
        }
    }

    pub(super) fn blank_step(&self, step: &Step, occurrence: i32, started_at: DateTime<Utc>) -> StepWrite {
        StepWrite {
            task_id: self.claimed.id,
            epoch: self.claimed.epoch,
            node_id: step.node.id.to_string(),
            occurrence,
            status: "completed".to_owned(),
            attempts: 1,
            output: None,
            error: None,
            tokens_used: 0,
            cost_usd: Usd::ZERO.0,
            started_at,
            finished_at: self.parts.clock.now(),
            closes_node: true,
            cached: false,
        }
    }

    pub(super) async fn write(&self, record: Record) -> Result<(), RecordError> {
        self.parts.recorder.write((self.claimed.id, self.claimed.epoch), record).await
    }

    /// The last node's result goes with the finish: one wait less.
    async fn write_unless_last(&self, record: Record) -> Result<Option<Record>, RecordError> {
        if self.is_last() {
            return Ok(Some(record));
        }
        self.write(record).await.map(|()| None)
    }
}

/// How often a node is carried out.
enum Times {
    None,
    Once,
    Each(Vec<Value>),
}

impl Times {
    fn of(step: &Step, scope: &Scope) -> Result<Self, TemplateError> {
        if !step.should_run(scope)? {
            return Ok(Self::None);
        }
        Ok(step.items(scope)?.map_or(Self::Once, Self::Each))
    }
}

fn index(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// What a step or a task keeps of a failure.
pub(super) fn error_json(error: &ComponentError) -> Value {
    json!({"code": error.code, "message": error.message, "field": error.field})
}

fn committed_failure(error: Option<&Value>) -> ComponentError {
    let text = |key: &str| error.and_then(|e| e.get(key)).and_then(Value::as_str).map(str::to_owned);
    ComponentError {
        code: error.and_then(|e| e.get("code")).and_then(Value::as_str).map_or("node_failed", codes::known),
        message: text("message").unwrap_or_else(|| "the node failed under an earlier claim".to_owned()),
        field: text("field"),
        retry: Retry::Never,
    }
}

impl From<TemplateError> for ComponentError {
    fn from(error: TemplateError) -> Self {
        Self::new("template", error.message).field(error.path)
    }
}
