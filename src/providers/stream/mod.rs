//! A streamed answer, folded into the one that would have come in one piece.

mod anthropic;
mod gemini;
mod openai;
mod sse;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{Heard, known::Protocol};
use sse::Sse;

/// A stream on its way in.
#[derive(Debug)]
pub struct Reading<'a> {
    sse: Sse,
    fold: Fold,
    heard: &'a Heard,
}

/// Why a stream is no answer.
#[derive(Debug, PartialEq)]
pub enum Broken {
    /// An event that cannot be read; the words continue a sentence about the provider.
    Malformed(String),
    /// The provider says in the stream that it failed: the event.
    Failed(Value),
    /// It ended before the answer did.
    Short,
}

#[derive(Debug)]
enum Fold {
    OpenAi(openai::Fold),
    Anthropic(anthropic::Fold),
    Gemini(gemini::Fold),
}

impl<'a> Reading<'a> {
    pub fn new(protocol: Protocol, heard: &'a Heard) -> Self {
        let fold = match protocol {
            Protocol::OpenAi(_) => Fold::OpenAi(openai::Fold::default()),
            Protocol::Anthropic => Fold::Anthropic(anthropic::Fold::default()),
            Protocol::Gemini => Fold::Gemini(gemini::Fold::default()),
        };
        Self { sse: Sse::default(), fold, heard }
    }

    /// Takes in what has come, however it was cut.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Self { sse, fold, heard } = self;
        sse.feed(bytes, &mut |data| fold.event(data, heard))
    }

    /// Nothing that matters follows, even if the connection stays open.
    pub fn ended(&self) -> bool {
        match &self.fold {
            Fold::OpenAi(fold) => fold.ended(),
            Fold::Anthropic(fold) => fold.ended(),
            Fold::Gemini(_) => false,
        }
    }

    /// The answer, once the stream has ended.
    pub fn finish(self) -> Result<Value, Broken> {
        let (whole, body) = match self.fold {
            Fold::OpenAi(fold) => (fold.whole(), fold.into_body()),
            Fold::Anthropic(fold) => (fold.whole(), fold.into_body()),
            Fold::Gemini(fold) => (fold.whole(), fold.into_body()),
        };
        if whole { Ok(body) } else { Err(Broken::Short) }
    }
}

impl Fold {
    fn event(&mut self, data: &[u8], heard: &Heard) -> Result<(), Broken> {
        if data.trim_ascii() == b"[DONE]" {
            if let Self::OpenAi(fold) = self {
                fold.done();
            }
            return Ok(());
        }
        let event: Value = serde_json::from_slice(data)
            .map_err(|error| Broken::Malformed(format!("sent an event that is not valid JSON ({error})")))?;
        if event.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Broken::Failed(event));
        }
        match self {
            Self::OpenAi(fold) => fold.take(event, heard),
            Self::Anthropic(fold) => fold.take(event, heard),
            Self::Gemini(fold) => fold.take(event, heard),
        }
        Ok(())
    }
}
