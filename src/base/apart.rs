//! Threads apart, for the work of strangers' programs: templates, schemas, recipes that are
//! checked. What they write holds up nobody's heartbeats, cancels or answers.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    runtime::{self, Runtime},
    sync::Semaphore,
};

use super::{AgencyId, agency_semaphores::AgencySemaphores};

/// Pieces of work at once, of all agencies.
const THREADS: usize = 16;
/// Of these, for one agency.
const SHARE: usize = 2;
/// Bytes. What an expression may have of links and nesting needs about a tenth of it.
const STACK: usize = 32 * 1024 * 1024;
/// Of one piece of work, by the clock on the wall. A thread cannot be ended from outside: one
/// that is late keeps its agency's place until it is through, and nobody waits for it.
pub const END: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 2 });
/// Work that looks at the clock by itself has ended by then, and says where it was.
const GRACE: Duration = Duration::from_millis(500);

/// A pool of threads, with a share for each agency.
pub struct Apart {
    /// Only its blocking threads are used. None while it is dropped.
    runtime: Option<Runtime>,
    places: Arc<Semaphore>,
    shares: AgencySemaphores,
}

/// Why work gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    #[error("it takes more than {} s", END.as_secs())]
    Late,
    #[error("it broke the program; write it in another way")]
    Broken,
    #[error("the process is stopping")]
    Stopping,
}

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apart").field("free", &self.places.available_permits()).finish_non_exhaustive()
    }
}

impl Apart {
    /// # Errors
    /// The operating system gives no event queue.
    pub fn start() -> std::io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(THREADS)
            .thread_stack_size(STACK)
            .thread_name("apart")
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            places: Arc::new(Semaphore::new(THREADS)),
            shares: AgencySemaphores::new(SHARE),
        })
    }

    /// Does the work on one of the pool's threads. It waits as long as the agency has its
    /// share of them in use; the end by the clock counts from when it has a place.
    ///
    /// # Errors
    /// See [`Unfinished`].
    pub async fn run<T: Send + 'static>(
        &self,
        agency: AgencyId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let share = self.shares.semaphore_of(agency);
        let (Ok(own), Ok(place)) = (share.acquire_owned().await, Arc::clone(&self.places).acquire_owned().await) else {
            return Err(Unfinished::Stopping);
        };
        let Some(runtime) = &self.runtime else { return Err(Unfinished::Stopping) };
        let ended = runtime.spawn_blocking(move || {
            // Given back when the work is really over, however long nobody has waited for it.
            let _held = (own, place);
            work()
        });
        match tokio::time::timeout(END + GRACE, ended).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(Unfinished::Broken),
            Err(_) => Err(Unfinished::Late),
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // A runtime that is dropped where futures run would wait for its threads, and must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError, mpsc};

    use super::*;

    /// One agency's work that does not end takes its own share and nobody else's.
    #[tokio::test]
    async fn what_does_not_end_holds_up_its_own_agency_alone() {
        let apart = Arc::new(Apart::start().unwrap());
        let (hostile, other) = (AgencyId(uuid::Uuid::from_u128(1)), AgencyId(uuid::Uuid::from_u128(2)));
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let (release, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for _ in 0..SHARE + 3 {
            let (apart, wait, begun) = (Arc::clone(&apart), Arc::clone(&wait), begun.clone());
            tokio::spawn(async move {
                let work = move || {
                    begun.send(()).ok();
                    wait.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
                };
                apart.run(hostile, work).await
            });
        }
        for _ in 0..SHARE {
            has_begun.recv().await.unwrap();
        }
        assert_eq!(apart.places.available_permits(), THREADS - SHARE);
        let answer = tokio::time::timeout(Duration::from_secs(5), apart.run(other, || 7)).await;
        assert_eq!(answer.unwrap(), Ok(7));
        assert!(has_begun.try_recv().is_err(), "more than its share is at work");
        drop(release);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_does_not_wait_for_what_is_late() {
        let apart = Apart::start().unwrap();
        let (release, wait) = mpsc::channel::<()>();
        let late = apart.run(AgencyId(uuid::Uuid::from_u128(1)), move || {
            wait.recv().ok();
        });
        assert_eq!(late.await, Err(Unfinished::Late));
        assert_eq!(apart.places.available_permits(), THREADS - 1);
        drop(release);
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_of_its_run() {
        let apart = Apart::start().unwrap();
        let broken = apart.run::<()>(AgencyId(uuid::Uuid::from_u128(1)), || panic!("out of bounds"));
        assert_eq!(broken.await, Err(Unfinished::Broken));
        assert_eq!(apart.run(AgencyId(uuid::Uuid::from_u128(1)), || 1).await, Ok(1));
    }
}
