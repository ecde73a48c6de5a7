//! The health of one host. Failures in a row open the breaker: no call leaves until
//! one, by itself, has tried whether the host is back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failures in a row that a host is taken as dead for.
const FAILURES: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Set while the breaker is open.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    rest: Duration,
    /// One call is trying.
    probing: bool,
}

/// The right to call the host, and what is learned of it.
#[derive(Debug)]
pub struct Health {
    breaker: Arc<Breaker>,
    is_probe: bool,
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn rests(&self) -> bool {
        let state = self.state();
        state.failures == 0 && state.open.is_none()
    }

    /// # Errors
    /// How long the host is still left alone.
    pub fn check(&self) -> Result<(), Duration> {
        self.state().open.as_ref().map_or(Ok(()), Open::check)
    }

    /// # Errors
    /// As [`Breaker::check`].
    pub fn try_call(self: &Arc<Self>) -> Result<Health, Duration> {
        let mut state = self.state();
        let is_probe = match &mut state.open {
            None => false,
            Some(open) => {
                open.check()?;
                open.probing = true;
                true
            }
        };
        Ok(Health { breaker: Arc::clone(self), is_probe })
    }
}

impl Open {
    fn check(&self) -> Result<(), Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        match () {
            () if !left.is_zero() => Err(left),
            () if self.probing => Err(FIRST_REST),
            () => Ok(()),
        }
    }
}

impl Health {
    /// The host answered, whatever it said.
    pub fn alive(self) {
        *self.breaker.state() = State::default();
    }

    /// The host could not be reached, or said that it is out of order.
    pub fn dead(self) {
        let mut state = self.breaker.state();
        state.failures += 1;
        let rest = match &state.open {
            Some(open) if self.is_probe => (open.rest * 2).min(LONGEST_REST),
            // Left before the breaker opened.
            Some(_) => return,
            None if state.failures < FAILURES => return,
            None => FIRST_REST,
        };
        state.open = Some(Open { until: Instant::now() + rest, rest, probing: false });
    }
}

impl Drop for Health {
    /// A probe that learned nothing makes room for another.
    fn drop(&mut self) {
        if self.is_probe
            && let Some(open) = &mut self.breaker.state().open
        {
            open.probing = false;
        }
    }
}
