//! A streamed answer: bytes to events, events to the fold of their protocol.

mod sse;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{
    heard::Heard,
    protocol::{Fold, Protocol},
};
use sse::Sse;

/// A stream on its way in.
#[derive(Debug)]
pub struct Reading<'a> {
    sse: Sse,
    fold: Box<dyn Fold>,
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

impl<'a> Reading<'a> {
    pub fn new(protocol: &dyn Protocol, heard: &'a Heard) -> Self {
        Self { sse: Sse::default(), fold: protocol.fold(), heard }
    }

    /// Takes in what has come, however it was cut.
    ///
    /// # Errors
    /// [`Broken::Malformed`] or [`Broken::Failed`]; the stream is then of no more use.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Self { sse, fold, heard } = self;
        sse.feed(bytes, &mut |data| take(fold.as_mut(), data, heard))
    }

    /// Nothing that matters follows, even if the connection stays open.
    pub fn is_over(&self) -> bool {
        self.fold.is_over()
    }

    /// The answer put together, once the stream has ended.
    ///
    /// # Errors
    /// [`Broken::Short`].
    pub fn finish(self) -> Result<Box<dyn Fold>, Broken> {
        if self.fold.is_whole() { Ok(self.fold) } else { Err(Broken::Short) }
    }
}

fn take(fold: &mut dyn Fold, data: &[u8], heard: &Heard) -> Result<(), Broken> {
    if data.trim_ascii() == b"[DONE]" {
        fold.done();
        return Ok(());
    }
    let event: Value = serde_json::from_slice(data)
        .map_err(|error| Broken::Malformed(format!("sent an event that is not valid JSON ({error})")))?;
    if event.get("error").is_some_and(|error| !error.is_null()) {
        return Err(Broken::Failed(event));
    }
    fold.take(event, heard);
    Ok(())
}
