//! An agent's conversation, kept piece by piece: each is durable before the next begins.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    base::{Usage, Usd},
    components::{ComponentError, Context, model::Bill},
    providers::{ToolCall, ToolResult, Turn},
};

/// What is kept. The keys are short: what looks like a secret is taken out of keys too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// The model asks for tools.
    Model { text: String, calls: Vec<ToolCall>, usage: Usage, cost: Option<Usd> },
    /// What the tools gave, in the order of the calls.
    Results { results: Vec<ToolResult> },
}

/// The pieces so far.
#[derive(Debug)]
pub struct Talk(Vec<Piece>);

impl Talk {
    /// Where an earlier attempt, on whichever worker, left off.
    pub async fn resume(context: &Context<'_>) -> Result<Self, ComponentError> {
        let kept = context.turns.kept().await?;
        kept.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Goes on with the piece as it was written, secrets taken out.
    pub async fn keep(&mut self, context: &Context<'_>, piece: Piece) -> Result<(), ComponentError> {
        let value = serde_json::to_value(&piece).map_err(|error| unreadable(&error))?;
        self.0.push(read(context.turns.keep(value).await?)?);
        Ok(())
    }

    /// The calls that have no results yet.
    pub fn pending(&self) -> Option<&[ToolCall]> {
        match self.0.last()? {
            Piece::Model { calls, .. } => Some(calls),
            Piece::Results { .. } => None,
        }
    }

    /// The model's messages so far.
    pub fn replies(&self) -> u64 {
        self.0.iter().filter(|piece| matches!(piece, Piece::Model { .. })).count() as u64
    }

    pub fn turns(&self) -> Vec<Turn> {
        let turn = |piece: &Piece| match piece.clone() {
            Piece::Model { text, calls, .. } => Turn::Model { content: text, calls },
            Piece::Results { results } => Turn::Tools(results),
        };
        self.0.iter().map(turn).collect()
    }

    pub fn bill(&self) -> Bill {
        let mut bill = Bill::default();
        for piece in &self.0 {
            if let Piece::Model { usage, cost, .. } = piece {
                bill.add(*usage, *cost);
            }
        }
        bill
    }

    /// Each call with its turn, from 1, and whether the tool could do it.
    pub fn calls(&self) -> Vec<Value> {
        let mut shown = Vec::new();
        for (turn, pair) in self.0.chunks(2).enumerate() {
            let [Piece::Model { calls, .. }, Piece::Results { results }] = pair else { continue };
            shown.extend(calls.iter().zip(results).map(|(call, result)| {
                json!({"turn": turn + 1, "tool": call.name, "arguments": call.arguments, "failed": result.is_error})
            }));
        }
        shown
    }
}

fn read(value: Value) -> Result<Piece, ComponentError> {
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> ComponentError {
    ComponentError::new("turn_unreadable", format!("a turn of the agent cannot be kept or read again: {error}"))
}
