//! A node's output is taken in: its text to be written, what the run keeps of it, and the room for both.

use std::sync::Arc;

use serde_json::Value;

use super::{
    clean::weight_of_output,
    past::Checkpoint,
    room::{Held, LIGHT, LargeTurn, Passing, Short},
    run::Run,
};
use crate::{
    base::weight,
    catalog::template::Kept,
    components::{ComponentError, Nodes},
    db::JsonText,
};

/// A finished node's output, and the room that it takes up.
#[derive(Debug)]
pub struct Output {
    pub kept: Kept,
    pub held: Held,
}

/// Outputs of the finished nodes, in the order in which they finished.
pub type Outputs = indexmap::IndexMap<String, Arc<Output>>;

/// Whether it is a node's whole output, or one of many that are seldom looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    Item,
}

/// An output that is to be written.
pub struct Accepted {
    pub text: JsonText,
    /// `None` where others have the room: it is written, and read again when the task comes back.
    pub output: Option<Output>,
    pub writing: Writing,
}

/// What an output has until it is written: its turn if it is large, and the room of the work that
/// it comes from where it has none of its own.
pub struct Writing {
    pub turn: Option<LargeTurn>,
    _room: Passing,
}

impl Run<'_> {
    /// `room` is that of the work: of a value that waits for its turn as well, somebody has to
    /// have the room.
    ///
    /// # Errors
    /// It is too large, or the run would hold more than it may.
    pub(super) async fn accept(
        &self,
        mut value: Value,
        mut room: Passing,
        part: Part,
    ) -> Result<Accepted, ComponentError> {
        let bytes = weight_of_output(&value)?;
        let held = match room.keep(bytes) {
            Err(Short::Run) => return Err(Short::Run.into()),
            held => held.ok(),
        };
        // From here on there are up to three of it.
        let writing = Writing { turn: self.room.large_turn(bytes).await, _room: room };
        let redactor = Arc::clone(&self.secrets.redactor);
        let mut work = move || {
            let bytes = if redactor.value(&mut value) { weight::of(&value) } else { bytes };
            written(&value, bytes, part)
        };
        let made = if bytes > LIGHT {
            let apart = self.parts.apart.run(self.claimed.scope().agency_id(), work).await;
            apart.map_err(|why| why.to_string()).flatten()
        } else {
            work()
        };
        let (text, kept, bytes) =
            made.map_err(|why| ComponentError::new("output_unreadable", format!("the output cannot be kept: {why}")))?;
        let output = held.map(|mut held| {
            held.shrink(bytes);
            Output { kept, held }
        });
        Ok(Accepted { text, output, writing })
    }

    /// What an older claim committed.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) async fn restore(&self, checkpoint: Checkpoint, part: Part) -> Result<Output, Short> {
        let text = checkpoint.output.unwrap_or_else(|| JsonText::from("null".to_owned()));
        let bytes = text.as_str().len();
        let _turn = self.room.large_turn(bytes).await;
        let work = move || {
            let value: Value = serde_json::from_str(text.as_str()).unwrap_or_default();
            (keep(text.as_str(), &value, part), weigh(text.as_str(), weight::of(&value), part))
        };
        let (kept, bytes) = if bytes > LIGHT {
            // Where it does not end in time it is tried again later, as without room.
            let agency = self.claimed.scope().agency_id();
            self.parts.apart.run(agency, work).await.map_err(|_| Short::Process)?
        } else {
            work()
        };
        Ok(Output { kept, held: self.room.hold(bytes)? })
    }

    /// Takes in what the engine itself says in a node's place.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn say(&self, value: &Value) -> Result<Output, Short> {
        let held = self.room.hold(weight::of(value))?;
        Ok(Output { kept: Kept::of(value), held })
    }
}

/// The text of an output that holds so many `bytes`, what is kept of it, and what that holds.
fn written(value: &Value, bytes: usize, part: Part) -> Result<(JsonText, Kept, usize), String> {
    // As long as the text is at most, escapes aside: a text that grows is copied.
    let mut text = Vec::with_capacity(if bytes > LIGHT { bytes } else { 128 });
    serde_json::to_writer(&mut text, value).map_err(|error| error.to_string())?;
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    let (kept, bytes) = (keep(&text, value, part), weigh(&text, bytes, part));
    Ok((text.into(), kept, bytes))
}

/// What is kept of an output that holds so many `bytes` as a value.
fn weigh(text: &str, bytes: usize, part: Part) -> usize {
    match part {
        Part::Whole => bytes,
        Part::Item => Kept::item_weight(text, bytes),
    }
}

fn keep(text: &str, value: &Value, part: Part) -> Kept {
    match part {
        Part::Whole => Kept::of(value),
        Part::Item => Kept::item(text, value),
    }
}

impl Nodes for Outputs {
    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }

    fn output(&self, name: &str, most: usize) -> Option<Option<Value>> {
        self.get(name).map(|output| output.kept.json(most))
    }
}
