//! What a connection is waited for at this moment.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// From the connection, or the first byte of a later request, to the end of its head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Between two requests; and without a byte taken of an answer.
pub(super) const IDLE_FOR: Duration = Duration::from_secs(75);

/// Set from beneath by bytes, from above by requests.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests whose answer is not yet given in full.
    answering: usize,
    /// Whether a head has begun that has not yet become a request.
    begun: bool,
    /// When it began, or when the last answer ended.
    since: Instant,
}

impl Pace {
    /// The first head is waited for from the beginning.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { answering: 0, begun: true, since: Instant::now() }))
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        let mut state = self.lock();
        if state.answering == 0 && !state.begun {
            state.begun = true;
            state.since = Instant::now();
        }
    }

    /// A head has come in full.
    pub(super) fn begin(&self) {
        self.lock().answering += 1;
    }

    /// An answer was given, or given up.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.answering -= 1;
        state.begun = false;
        state.since = Instant::now();
    }

    /// Until when the client has to send something; `None` while it waits for us.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        let within = if state.begun { HEAD_WITHIN } else { IDLE_FOR };
        (state.answering == 0).then(|| state.since + within)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
