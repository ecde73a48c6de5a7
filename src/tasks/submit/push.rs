//! Pushes the tickets of what was just committed, for many submissions in one call.
//!
//! A lane of its own: while Redis is told of one batch, Postgres commits the next.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::warn;

use super::submission::{Submission, Written};
use crate::{
    db::lane::Flush,
    queue::{Admission, Ticket, Tickets},
};

/// A Redis that does not answer must not hold up the answers.
const TIMEOUT: Duration = Duration::from_millis(300);
/// After a push that failed, none is tried for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// What a submission leaves to be told to Redis.
#[derive(Debug, Default)]
pub struct News {
    /// Tickets of tasks that may run at once.
    tickets: Vec<Ticket>,
    /// Whether a task was left to the dispatcher, which is woken then.
    left: bool,
}

impl News {
    /// Of submissions and what became of them, in step with each other.
    pub fn of(submissions: &[Submission], written: &[Written]) -> Self {
        let mut news = Self::default();
        for (submission, written) in submissions.iter().zip(written) {
            match (written, submission.dispatch_id) {
                (Written::Created { created_at, .. }, _) if submission.run_at.is_some_and(|at| at > *created_at) => {}
                (Written::Created { .. }, Some(dispatch_id)) => {
                    news.tickets.push(Ticket { task_id: submission.id.into(), dispatch_id });
                }
                (Written::Created { .. }, None) => news.left = true,
                _ => {}
            }
        }
        news
    }

    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty() && !self.left
    }
}

/// The push lane's writer. Never fails: a failure is logged and no more, the rows are the outbox.
#[derive(Debug)]
pub struct PushFlush {
    tickets: Tickets,
    admission: Admission,
    not_before: Mutex<Option<Instant>>,
}

impl PushFlush {
    #[must_use]
    pub fn new(tickets: Tickets) -> Self {
        Self { tickets, admission: Admission::default(), not_before: Mutex::new(None) }
    }

    /// Whether a submission may come with a dispatch id.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.admission.clone()
    }

    /// Pushes tickets, wakes the dispatcher where tasks were left to it, and asks for room.
    async fn push(&self, tickets: &[Ticket], left: bool) {
        let now = Instant::now();
        if self.pause().is_some_and(|until| now < until) {
            return;
        }
        // One round trip: Redis takes them in this order.
        let pushed = async { tokio::try_join!(self.tickets.push(tickets), self.tickets.room(left)) };
        match tokio::time::timeout(TIMEOUT, pushed).await {
            Ok(Ok(((), room))) => return self.admission.set(room),
            Ok(Err(error)) => warn!(%error, tasks = tickets.len(), "tickets not pushed; the dispatcher will"),
            Err(_) => warn!(tasks = tickets.len(), "Redis did not answer; the dispatcher will push the tickets"),
        }
        self.admission.set(0);
        *self.pause() = Some(now + PAUSE);
    }

    fn pause(&self) -> MutexGuard<'_, Option<Instant>> {
        self.not_before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flush for PushFlush {
    type Op = News;
    type Answer = ();

    async fn flush(&self, batch: &[News]) -> Result<Vec<()>, sqlx::Error> {
        let tickets: Vec<Ticket> = batch.iter().flat_map(|news| &news.tickets).copied().collect();
        self.push(&tickets, batch.iter().any(|news| news.left)).await;
        Ok(vec![(); batch.len()])
    }
}
