//! The end of a run: the task's status, its execution line, the last write.

use std::time::Duration;

use serde_json::{Value, json};
use tracing::warn;

use super::{
    StopReason,
    accept::Outputs,
    node_end::error_json,
    parts::Parts,
    plans::LoadError,
    record::{FinishWrite, LineWrite, PauseWrite, Record, RecordError},
    rest::come_back,
    room::{LIGHT, RUN_TOO_LARGE, Short},
    run::Run,
};
use crate::{
    base::{Usd, weight},
    catalog::template::Scope,
    components::{ComponentError, Retry},
    db::JsonText,
    tasks::{TaskStatus, lease::Claimed},
};

/// So that what a task waits for is over when it is woken up.
const WAKE_LATER: Duration = Duration::from_millis(100);

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// The task has reached this terminal status.
    Finished(TaskStatus),
    /// It waits, and nobody holds it.
    Waiting,
    /// Stopped on the way. Cancelled tasks are finished; the others go on elsewhere.
    Stopped(StopReason),
    /// The database did not take what was to be written. The lease runs out, and
    /// the next claim goes on from the last checkpoint.
    Unwritten(RecordError),
}

/// How the walk ended.
pub enum WalkEnd {
    Completed {
        scope: Scope,
        outputs: Outputs,
    },
    Failed {
        node_id: Option<String>,
        error: ComponentError,
    },
    /// Nothing can go on before somebody answers, another task ends, or this time is over.
    Waiting(Duration),
    Unwritten(RecordError),
    Stopped(StopReason),
}

impl Run<'_> {
    /// `record` is what of the nodes was not written yet.
    pub(super) async fn finish(&self, end: WalkEnd, mut record: Record) -> Outcome {
        record.lines.extend(self.cut_off());
        // Of all copies of a large output, until it is written.
        let large = !self.room.is_light() && matches!(end, WalkEnd::Completed { .. });
        let _turn = if large { self.room.large_turn(usize::MAX).await } else { None };
        let finish = match end {
            WalkEnd::Completed { scope, outputs } => match self.completed(scope, outputs).await {
                Ok(finish) => finish,
                Err(error) if error.retry == Retry::Stop => return self.pause(come_back(), record).await,
                Err(error) => self.failed(None, &error),
            },
            WalkEnd::Failed { node_id, error } => self.failed(node_id.as_deref(), &error),
            WalkEnd::Waiting(left_alone) => return self.pause(left_alone, record).await,
            WalkEnd::Stopped(StopReason::Cancelled) => self.end(TaskStatus::Cancelled, None, None),
            WalkEnd::Stopped(StopReason::Shutdown) => return self.handed_back(record).await,
            WalkEnd::Stopped(StopReason::LeaseLost) | WalkEnd::Unwritten(RecordError::LeaseLost) => {
                return Outcome::Stopped(StopReason::LeaseLost);
            }
            WalkEnd::Unwritten(error) => return Outcome::Unwritten(error),
        };
        let status = finish.status.parse().unwrap_or(TaskStatus::Failed);
        record.finish = Some(finish);
        let price = Usd(self.runnable.plan.recipe().compliance.cost_per_unit.get());
        record.lines.push(execution_line(self.parts, self.claimed, status, price));
        outcome(self.write(record).await, status)
    }

    async fn completed(&self, scope: Scope, outputs: Outputs) -> Result<FinishWrite, ComponentError> {
        let quality_score = self.quality_score(&outputs);
        let output = self.output(&scope, &outputs).await?;
        // What it was made of makes room for it.
        drop((scope, outputs));
        let bytes = weight::of(&output.value);
        let _held = self.room.hold(bytes)?;
        let unreadable = |error| ComponentError::new("output_unreadable", format!("the output is not JSON: {error}"));
        let work = move || JsonText::of(&output).map_err(unreadable);
        let output = if bytes > LIGHT { self.apart(work).await? } else { work()? };
        Ok(FinishWrite { quality_score, ..self.end(TaskStatus::Completed, Some(output), None) })
    }

    fn failed(&self, node_id: Option<&str>, error: &ComponentError) -> FinishWrite {
        let mut kept = error_json(error);
        if let (Some(fields), Some(node_id)) = (kept.as_object_mut(), node_id) {
            fields.insert("node_id".to_owned(), node_id.into());
        }
        self.end(TaskStatus::Failed, None, Some(kept))
    }

    fn end(&self, status: TaskStatus, output: Option<JsonText>, error: Option<Value>) -> FinishWrite {
        FinishWrite {
            task_id: self.claimed.id,
            epoch: self.claimed.epoch,
            status: status.as_str().to_owned(),
            output,
            error,
            quality_score: None,
        }
    }

    /// Lets go of the task: it is queued again when there is news, or after `at_most`.
    async fn pause(&self, at_most: Duration, record: Record) -> Outcome {
        pause(self.parts, self.claimed, at_most, record).await
    }

    /// Writes what was done and what was in flight, so that the next claim need not guess.
    async fn handed_back(&self, record: Record) -> Outcome {
        if (record.step.is_some() || !record.lines.is_empty())
            && let Err(error) = self.write(record).await
        {
            warn!(%error, "the calls that were cut off could not be written; the next claim marks them unknown");
        }
        Outcome::Stopped(StopReason::Shutdown)
    }
}

async fn pause(parts: &Parts, claimed: &Claimed, at_most: Duration, mut record: Record) -> Outcome {
    let (task_id, epoch) = (claimed.id, claimed.epoch);
    let delay_ms = i64::try_from((at_most + WAKE_LATER).as_millis()).unwrap_or(i64::MAX);
    record.pause = Some(PauseWrite { task_id, epoch, delay_ms });
    match parts.recorder.write((task_id, epoch), record).await {
        Ok(()) => Outcome::Waiting,
        Err(RecordError::LeaseLost) => Outcome::Stopped(StopReason::LeaseLost),
        Err(error) => Outcome::Unwritten(error),
    }
}

/// A task whose recipe could not be made ready. A database that is away leaves it to the next claim.
pub(super) async fn unprepared(parts: &Parts, claimed: &Claimed, error: LoadError) -> Outcome {
    let code = match &error {
        LoadError::Database(error) if crate::db::is_unavailable(error) => {
            return Outcome::Unwritten(RecordError::Lane(crate::db::lane::LaneError::Unavailable));
        }
        LoadError::Room(Short::Process) => return pause(parts, claimed, come_back(), Record::default()).await,
        LoadError::Room(Short::Run) => RUN_TOO_LARGE,
        LoadError::Gone => "recipe_gone",
        LoadError::Plan(_) => "recipe_invalid",
        LoadError::Database(_) => "recipe_unreadable",
    };
    warn!(%error, "the recipe could not be made ready");
    let finish = FinishWrite {
        task_id: claimed.id,
        epoch: claimed.epoch,
        status: TaskStatus::Failed.as_str().to_owned(),
        output: None,
        error: Some(json!({"code": code, "message": error.to_string()})),
        quality_score: None,
    };
    let line = execution_line(parts, claimed, TaskStatus::Failed, Usd::ZERO);
    let record = Record { finish: Some(finish), lines: vec![line], ..Record::default() };
    outcome(parts.recorder.write((claimed.id, claimed.epoch), record).await, TaskStatus::Failed)
}

/// One line for each task that ends, with the recipe's own price if it completed.
fn execution_line(parts: &Parts, claimed: &Claimed, status: TaskStatus, price: Usd) -> LineWrite {
    let now = parts.clock.now();
    let completed = status == TaskStatus::Completed;
    LineWrite {
        kind: "execution".to_owned(),
        status: if completed { "success" } else { "failed" }.to_owned(),
        cost_usd: Some(Usd::ZERO.0),
        billed_usd: if completed { price } else { Usd::ZERO }.to_ledger().0,
        execution_time_ms: (now - claimed.started_at).num_milliseconds().max(0),
        ..LineWrite::new(claimed.id, claimed.epoch, now)
    }
}

/// What the last write's answer means for the run.
fn outcome(written: Result<(), RecordError>, status: TaskStatus) -> Outcome {
    match written {
        Ok(()) => Outcome::Finished(status),
        Err(RecordError::LeaseLost) => Outcome::Stopped(StopReason::LeaseLost),
        Err(error) => Outcome::Unwritten(error),
    }
}
