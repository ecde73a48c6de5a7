//! What has arrived of an answer: enough to account for a call that is cut off.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::estimate;
use crate::base::Metered;

/// Written by the reader of an answer, read by whoever keeps the books, who may
/// have stopped waiting for the reader.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pieces: u64,
    /// Of the text so far, in sixths of a token.
    weight: u64,
    reported: Option<Metered>,
    request_id: Option<String>,
}

impl Heard {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The provider took the question.
    pub fn accepted(&self, request_id: Option<&str>) {
        self.inner().request_id = request_id.map(str::to_owned);
    }

    /// A sign of life; text in it is counted by [`Heard::text`].
    pub fn piece(&self) {
        self.inner().pieces += 1;
    }

    /// A piece of the answer: text, thought or a tool's arguments.
    pub fn text(&self, text: &str) {
        let mut inner = self.inner();
        inner.pieces += 1;
        inner.weight += estimate::weight(text);
    }

    /// The provider's own count so far; a later one takes its place.
    pub fn reported(&self, metered: &Metered) {
        self.inner().reported = Some(metered.clone());
    }

    /// Grows as long as the provider says something.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        self.inner().pieces
    }

    #[must_use]
    pub fn request_id(&self) -> Option<String> {
        self.inner().request_id.clone()
    }

    /// What the call used until now, counted from what arrived and never below what the
    /// provider reported; with the prompt's own estimate, in tokens, where the provider
    /// said nothing of it. `None` where nothing of an answer came.
    #[must_use]
    pub fn partial(&self, prompt_tokens: u64) -> Option<Metered> {
        let inner = self.inner();
        if inner.pieces == 0 && inner.reported.is_none() {
            return None;
        }
        // Half an answer has no total that it could be held against.
        let reported = inner.reported.clone().unwrap_or_default();
        let mut metered = Metered { mismatch: false, estimated: true, ..reported };
        let usage = &mut metered.usage;
        if usage.total() == usage.output + usage.reasoning {
            usage.input = prompt_tokens;
        }
        usage.output = usage.output.max(inner.weight.div_ceil(6).saturating_sub(usage.reasoning));
        Some(metered)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::Usage;

    #[test]
    fn nothing_heard_is_nothing_known() {
        let heard = Heard::default();
        heard.accepted(Some("r-1"));
        assert_eq!((heard.partial(7), heard.request_id().as_deref()), (None, Some("r-1")));
    }

    #[test]
    fn a_partial_answer_is_counted_and_never_below_what_was_reported() {
        let heard = Heard::default();
        heard.text("abcdef");
        let usage = heard.partial(7).unwrap().usage;
        assert_eq!((usage.input, usage.output), (7, 2));
        let told = Usage { input: 5, output: 1, ..Usage::default() };
        let report = |usage, raw| heard.reported(&Metered { usage, raw: Some(raw), ..Metered::default() });
        report(told, json!({"output_tokens": 1}));
        let partial = heard.partial(7).unwrap();
        assert_eq!((partial.usage.input, partial.usage.output), (5, 2), "the text is longer than was told");
        assert_eq!(partial.raw, Some(json!({"output_tokens": 1})));
        report(Usage { output: 40, ..told }, json!({}));
        assert_eq!(heard.partial(7).unwrap().usage.output, 40);
    }

    #[test]
    fn pieces_weigh_as_much_as_the_whole() {
        let (whole, cut) = (Heard::default(), Heard::default());
        whole.text("Grüße, 12!");
        "Grüße, 12!".chars().for_each(|c| cut.text(&c.to_string()));
        assert_eq!(whole.partial(0).unwrap(), cut.partial(0).unwrap());
    }
}
