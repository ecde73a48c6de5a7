//! The turns of one Agent node, kept under the claim's fence.

mod store;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    clean::weight_of_output,
    meter::{self, NodeMeter, Unsettled},
    parts::Parts,
    record::RecordError,
    room::{Held, Room},
};
use crate::{
    base::{TaskId, weight},
    components::{ComponentError, Retry, Turns},
    db,
    tasks::lease::Claimed,
};

pub use store::{TurnFlush, TurnWrite, lane};

/// A piece is here, in the agent's talk, and in its next question.
const COPIES: usize = 3;

/// What one occurrence of a node has kept; lives as long as its attempts.
pub struct NodeTurns<'a> {
    parts: &'a Parts,
    claimed: &'a Claimed,
    node_id: &'a str,
    occurrence: i32,
    meter: &'a NodeMeter,
    room: &'a Arc<Room>,
    /// `None` until it was asked for.
    kept: Mutex<Option<Kept>>,
}

/// The pieces, and the room for them.
#[derive(Default)]
struct Kept {
    pieces: Vec<Value>,
    held: Vec<Held>,
}

impl<'a> NodeTurns<'a> {
    pub fn new(
        parts: &'a Parts,
        claimed: &'a Claimed,
        room: &'a Arc<Room>,
        node_id: &'a str,
        occurrence: i32,
        meter: &'a NodeMeter,
    ) -> Self {
        Self { parts, claimed, room, node_id, occurrence, meter, kept: Mutex::default() }
    }

    async fn load(&self) -> Result<Vec<Value>, ComponentError> {
        // The first claim finds nothing.
        if self.claimed.epoch <= 1 {
            return Ok(Vec::new());
        }
        let (scope, task) = (self.claimed.scope(), TaskId(self.claimed.id));
        let asked = store::kept(&scope, &self.parts.pool, task, self.node_id, self.occurrence);
        db::bounded(db::ANSWER_WITHIN, asked).await.map_err(|error| {
            let message = format!("the agent's earlier turns cannot be read: {error}");
            ComponentError::new("turns_unreadable", message).retry(Retry::May { after: None })
        })
    }
}

#[async_trait]
impl Turns for NodeTurns<'_> {
    async fn kept(&self) -> Result<Vec<Value>, ComponentError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref() {
            return Ok(kept.pieces.clone());
        }
        let pieces = self.load().await?;
        let held = self.room.hold(COPIES * pieces.iter().map(weight::of).sum::<usize>())?;
        *kept = Some(Kept { pieces: pieces.clone(), held: vec![held] });
        Ok(pieces)
    }

    async fn keep(&self, piece: Value) -> Result<Value, ComponentError> {
        let mut kept = self.kept.lock().await;
        let kept = kept.get_or_insert_default();
        let held = self.room.hold(COPIES * weight_of_output(&piece)?)?;
        let piece = self.meter.redactor().cleaned(piece);
        let turn = TurnWrite {
            task_id: self.claimed.id,
            epoch: self.claimed.epoch,
            node_id: self.node_id.to_owned(),
            occurrence: self.occurrence,
            nth: i32::try_from(kept.pieces.len()).unwrap_or(i32::MAX),
            piece: piece.clone(),
        };
        // Kept from here on: the lane writes it even if this wait is cut off, and a
        // write that fails ends the run.
        kept.pieces.push(piece.clone());
        kept.held.push(held);
        let lines = self.meter.take_lines(Unsettled::Go);
        match self.parts.turns.write((lines, turn)).await {
            Ok(true) => Ok(piece),
            Ok(false) => Err(meter::stop(&RecordError::LeaseLost)),
            Err(error) => Err(meter::stop(&RecordError::Lane(error))),
        }
    }
}
