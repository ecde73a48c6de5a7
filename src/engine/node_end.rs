//! How a node comes out, and what is written of it.

use std::sync::PoisonError;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    accept::{Output, Part},
    codes,
    record::{Record, RecordError, StepWrite},
    room::Short,
    run::Run,
};
use crate::{
    base::Usd,
    catalog::{Step, template::TemplateError},
    components::{ComponentError, Retry},
    db::JsonText,
};

/// How a node came out.
pub enum NodeEnd {
    /// `unwritten` is to go with the finish.
    Done {
        output: Output,
        unwritten: Option<Record>,
    },
    Skipped {
        unwritten: Option<Record>,
    },
    /// Its failure is committed.
    Failed(ComponentError),
    Unwritten(RecordError),
    /// Others have the room for its output; if it has one, it is committed.
    NoRoom,
    /// The run was told to stop.
    Stopped,
}

impl Run<'_> {
    /// What an older claim committed of an occurrence: it is not run again.
    pub(super) async fn committed_end(&self, step: &Step, occurrence: i32, part: Part) -> Option<NodeEnd> {
        let committed = self.past.take(&(step.node.id.to_string(), occurrence))?;
        Some(match committed.status.as_str() {
            "completed" => Self::taken(self.restore(committed, part).await),
            "skipped" => NodeEnd::Skipped { unwritten: None },
            _ => NodeEnd::Failed(committed_failure(committed.error.as_ref())),
        })
    }

    /// Whether the recipe goes on if the node fails. What is wrong with the whole run ends it.
    pub(super) fn allows(&self, step: &Step) -> bool {
        step.node.allow_failure && !self.room.is_over()
    }

    pub(super) fn failure_as_output(&self, error: &ComponentError) -> NodeEnd {
        Self::taken(self.say(&json!({"error": error_json(error)})))
    }

    fn taken(output: Result<Output, Short>) -> NodeEnd {
        match output {
            Ok(output) => NodeEnd::Done { output, unwritten: None },
            Err(Short::Process) => NodeEnd::NoRoom,
            Err(Short::Run) => NodeEnd::Failed(Short::Run.into()),
        }
    }

    /// Work that was stopped by a signal, or because others have the room that it needs.
    pub(super) fn stopped(&self) -> NodeEnd {
        if self.stop.reason().is_none() && self.room.is_short() { NodeEnd::NoRoom } else { NodeEnd::Stopped }
    }

    /// Makes known that the task will fail, so that it does not wait for the other items.
    pub(super) fn doom(&self, step: &Step, error: &ComponentError) {
        let mut doomed = self.doomed.lock().unwrap_or_else(PoisonError::into_inner);
        doomed.get_or_insert_with(|| (step.node.id.to_string(), error.clone()));
    }

    pub(super) async fn skip_with(&self, step: &Step, output: Option<Value>) -> NodeEnd {
        let now = self.parts.clock.now();
        let write = StepWrite {
            status: "skipped".to_owned(),
            attempts: 0,
            output: output.as_ref().and_then(|output| JsonText::of(output).ok()),
            ..self.blank_step(step, 0, now)
        };
        match self.write_unless_last(Record { step: Some(write), ..Record::default() }).await {
            Ok(unwritten) => match output {
                Some(output) => match Self::taken(self.say(&output)) {
                    NodeEnd::Done { output, .. } => NodeEnd::Done { output, unwritten },
                    end => end,
                },
                None => NodeEnd::Skipped { unwritten },
            },
            Err(error) => NodeEnd::Unwritten(error),
        }
    }

    /// A node that failed before it was tried.
    pub(super) async fn refuse(&self, step: &Step, error: ComponentError) -> NodeEnd {
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
    pub(super) async fn write_unless_last(&self, record: Record) -> Result<Option<Record>, RecordError> {
        if self.is_last() {
            return Ok(Some(record));
        }
        self.write(record).await.map(|()| None)
    }
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
