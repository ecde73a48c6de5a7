//! The end of a run: the task's output, its execution line, the last write.

use std::{sync::Arc, time::Duration};

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::{
    Outcome, Parts, StopReason,
    accept::Outputs,
    node_end::error_json,
    plans::LoadError,
    record::{FinishWrite, LineWrite, PauseWrite, Record, RecordError},
    rest::come_back,
    room::{LIGHT, RUN_TOO_LARGE, Short},
    run::Run,
};
use crate::{
    base::{Usd, weight},
    catalog::{
        Plan, Step,
        components::Gives,
        model::OutputFormat,
        template::{Scope, TemplateError, enter},
    },
    components::{ComponentError, Retry, harmless_html},
    db::JsonText,
    tasks::{TaskOutput, TaskStatus, lease::Claimed},
};

/// So that what a task waits for is over when it is woken up.
const WAKE_LATER: Duration = Duration::from_millis(100);
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

    /// The mean of what the judges gave; of a `for_each`, each entry is one.
    fn quality_score(&self, outputs: &Outputs) -> Option<Decimal> {
        let judges = self.runnable.plan.steps().iter().filter(|step| gives(step, Gives::Score));
        let given = judges.filter_map(|step| outputs.get(step.node.id.as_str())?.kept.json(weight::MOST));
        let scores: Vec<Decimal> = given
            .flat_map(|output| match output {
                Value::Array(each) => each,
                one => vec![one],
            })
            .filter_map(|judged| judged["quality_score"].to_string().parse().ok())
            .collect();
        let count = Decimal::from(scores.len());
        scores.iter().sum::<Decimal>().checked_div(count)
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

    /// What the recipe's `output` names; without one, what the nodes that nothing depends on gave.
    async fn output(&self, scope: &Scope, outputs: &Outputs) -> Result<TaskOutput, ComponentError> {
        let plan = &self.runnable.plan;
        let spec = plan.recipe().workflow.output.as_ref();
        let (value, filename) = if plan.output_only_copies() && self.room.is_light() {
            named_output(plan, scope, outputs)?
        } else {
            let (runnable, scope, outputs) = (Arc::clone(&self.runnable), scope.clone(), outputs.clone());
            self.apart(move || named_output(&runnable.plan, &scope, &outputs)).await?
        };
        let format = spec.and_then(|spec| spec.format);
        let report = self.report(outputs).filter(|_| value.is_string());
        let of_report = |key: &str| report.as_ref().and_then(|report| report.get(key)).and_then(Value::as_str);
        let content_type = of_report("content_type").unwrap_or_else(|| content_type(format, &value)).to_owned();
        let value = match value {
            Value::String(html) if content_type.starts_with("text/html") && of_report("output") != Some(&html) => {
                self.harmless(html).await?
            }
            value => value,
        };
        let of_recipe = || format!("{}.{}", plan.recipe().id.as_str(), extension(&content_type));
        let filename = filename.unwrap_or_else(|| of_report("filename").map_or_else(of_recipe, str::to_owned));
        Ok(TaskOutput { content_type, filename, value })
    }

    /// What the node that the output is taken from gave, if it is a report. What another
    /// component gave under the names of a report's fields, a page may have chosen.
    fn report(&self, outputs: &Outputs) -> Option<Value> {
        let spec = self.runnable.plan.recipe().workflow.output.as_ref()?;
        let source = spec.source.split('.').next()?;
        let mut steps = self.runnable.plan.steps().iter();
        steps.find(|step| step.node.id.as_str() == source && gives(step, Gives::Report))?;
        outputs.get(source)?.kept.json(weight::MOST)
    }

    /// HTML that a model or a page may have written. It takes a stranger's time, as templates do.
    async fn harmless(&self, html: String) -> Result<Value, ComponentError> {
        let failure = |message| TemplateError { node: String::new(), path: "output".to_owned(), message };
        let work = move || {
            enter("output");
            harmless_html(&html).map(Value::String).map_err(failure)
        };
        Ok(self.apart(work).await?)
    }
}

fn gives(step: &Step, what: Gives) -> bool {
    step.node.spec().is_some_and(|spec| spec.gives == what)
}

/// The output's value, and its file's name where the recipe gives one.
///
/// # Errors
/// A template fails; it is larger than an output may be.
fn named_output(plan: &Plan, scope: &Scope, outputs: &Outputs) -> Result<(Value, Option<String>), ComponentError> {
    let value = match plan.output(scope)? {
        Some(value) => value,
        None => last_outputs(plan.steps(), outputs)?,
    };
    Ok((value, plan.file_name(scope)?))
}

/// # Errors
/// They are larger together than an output may be.
fn last_outputs(steps: &[Arc<Step>], outputs: &Outputs) -> Result<Value, ComponentError> {
    let last = steps.iter().filter(|step| step.dependents.is_empty()).map(|step| step.node.id.as_str());
    let mut left = weight::MOST;
    let mut values = Map::new();
    for node in last {
        let value = match outputs.get(node) {
            Some(output) => output.kept.json(left).ok_or_else(too_large)?,
            None => Value::Null,
        };
        left = left.saturating_sub(weight::of(&value));
        values.insert(node.to_owned(), value);
    }
    if values.len() > 1 {
        return Ok(Value::Object(values));
    }
    Ok(values.into_iter().next().map_or(Value::Null, |(_, only)| only))
}

fn too_large() -> ComponentError {
    let message = format!(
        "what the last nodes gave holds more than {} MiB of memory together: name the one that counts under \
         workflow.output.source",
        weight::MOST >> 20
    );
    ComponentError::new("output_too_large", message).field("workflow.output")
}

fn content_type(format: Option<OutputFormat>, value: &Value) -> &'static str {
    match (format, value) {
        (Some(OutputFormat::Html), Value::String(_)) => "text/html; charset=utf-8",
        (Some(OutputFormat::Markdown), Value::String(_)) => "text/markdown; charset=utf-8",
        (Some(OutputFormat::Csv), Value::String(_)) => "text/csv; charset=utf-8",
        (Some(OutputFormat::Json), _) | (_, Value::Array(_) | Value::Object(_)) => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

fn extension(content_type: &str) -> &'static str {
    match content_type.split(';').next().unwrap_or_default() {
        "text/html" => "html",
        "text/markdown" => "md",
        "text/csv" => "csv",
        "application/json" => "json",
        _ => "txt",
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
