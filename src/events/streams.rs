//! Who follows which task in this process, and the look for news.
//!
//! One statement asks for the newest event of every task that is followed here, ten
//! times a second while there is one. Nothing is pushed and nothing is listened to: it
//! works behind a pooler, with Redis away, and costs what is followed and not what is
//! written. See `docs/decisions/0009-events.md`.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use super::store::{self, Followed};
use crate::base::{AgencyId, TaskId, TenantScope};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After a look that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Of one process.
const MAX_STREAMS: usize = 2_000;
/// Of one person or API key, in one process.
const MAX_STREAMS_EACH: usize = 50;

/// Why nobody more can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    #[error("You follow {MAX_STREAMS_EACH} tasks already; close a stream first, or read GET /tasks/{{id}}.")]
    OfYours,
    #[error("This server streams to as many as it can; try again shortly, or read GET /tasks/{{id}}.")]
    OfAll,
}

/// The streams of a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: Mutex<Open>,
    opened: Notify,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Open {
    tasks: HashMap<TaskId, Task>,
    callers: HashMap<Uuid, usize>,
    total: usize,
}

#[derive(Debug)]
struct Task {
    agency: AgencyId,
    created_at: DateTime<Utc>,
    newest: watch::Sender<i64>,
    streams: usize,
}

/// One stream's place among them; it is given up when this is dropped.
#[derive(Debug)]
pub struct Watching {
    streams: Streams,
    task: TaskId,
    caller: Uuid,
    newest: watch::Receiver<i64>,
}

impl Streams {
    /// Starts the look for news, which ends with `stop`, as all streams do.
    #[must_use]
    pub fn start(pool: PgPool, stop: CancellationToken) -> Self {
        let streams = Self(Arc::new(Inner { open: Mutex::default(), opened: Notify::new(), stop }));
        tokio::spawn(streams.clone().look(pool));
        streams
    }

    /// Takes a place for following a task.
    ///
    /// # Errors
    /// There are too many of the caller's, or of all.
    pub fn watch(&self, scope: &TenantScope, task: TaskId, created_at: DateTime<Utc>) -> Result<Watching, TooMany> {
        let caller = scope.actor().id();
        let mut open = self.lock();
        if open.total >= MAX_STREAMS {
            return Err(TooMany::OfAll);
        }
        let of_caller = open.callers.entry(caller).or_default();
        if *of_caller >= MAX_STREAMS_EACH {
            return Err(TooMany::OfYours);
        }
        *of_caller += 1;
        open.total += 1;
        let watched = open.tasks.entry(task).or_insert_with(|| Task {
            agency: scope.agency_id(),
            created_at,
            newest: watch::Sender::new(0),
            streams: 0,
        });
        watched.streams += 1;
        let newest = watched.newest.subscribe();
        drop(open);
        self.0.opened.notify_one();
        Ok(Watching { streams: self.clone(), task, caller, newest })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(self, pool: PgPool) {
        loop {
            let followed = self.followed();
            let nobody = followed.is_empty();
            let mut pause = LOOK_EVERY;
            if !nobody {
                match store::newest(&pool, followed).await {
                    Ok(newest) => self.tell(&newest),
                    Err(error) => {
                        warn!(%error, "could not look for new events");
                        pause = PAUSE;
                    }
                }
            }
            let next = async {
                if nobody {
                    self.0.opened.notified().await;
                } else {
                    tokio::time::sleep(pause).await;
                }
            };
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                () = next => {}
            }
        }
    }

    fn followed(&self) -> Vec<Followed> {
        let of =
            |(id, task): (&TaskId, &Task)| Followed { agency: task.agency, task: *id, created_at: task.created_at };
        self.lock().tasks.iter().map(of).collect()
    }

    fn tell(&self, newest: &[(TaskId, i64)]) {
        let open = self.lock();
        for (id, seq) in newest {
            if let Some(task) = open.tasks.get(id) {
                task.newest.send_if_modified(|known| std::mem::replace(known, *seq) < *seq);
            }
        }
    }

    fn give_up(&self, task: TaskId, caller: Uuid) {
        let mut open = self.lock();
        open.total -= 1;
        if let Entry::Occupied(mut of_caller) = open.callers.entry(caller) {
            *of_caller.get_mut() -= 1;
            if *of_caller.get() == 0 {
                of_caller.remove();
            }
        }
        if let Entry::Occupied(mut watched) = open.tasks.entry(task) {
            watched.get_mut().streams -= 1;
            if watched.get().streams == 0 {
                watched.remove();
            }
        }
    }
}

impl Watching {
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Waits until there is an event after this one, or the process stops. Says which: true for an event.
    pub async fn news_after(&mut self, seq: i64) -> bool {
        let streams = self.streams.clone();
        tokio::select! {
            () = streams.0.stop.cancelled() => false,
            found = self.newest.wait_for(|newest| *newest > seq) => found.is_ok(),
        }
    }

    /// Whether the process is stopping.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.streams.0.stop.is_cancelled()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.streams.give_up(self.task, self.caller);
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::base::{Actor, Role, UserId};

    fn scope(user: u128) -> TenantScope {
        let user = Actor::Person(UserId(Uuid::from_u128(user)));
        TenantScope::verified(AgencyId(Uuid::from_u128(1)), user, Role::AgencyAdmin, None)
    }

    fn nowhere() -> Streams {
        let pool = PgPoolOptions::new().connect_lazy("postgres://127.0.0.1:1/none").unwrap();
        Streams::start(pool, CancellationToken::new())
    }

    #[tokio::test]
    async fn places_are_bounded_for_each_and_given_back() {
        let (streams, task, at) = (nowhere(), TaskId(Uuid::from_u128(7)), DateTime::UNIX_EPOCH);
        let mut held: Vec<_> = (0..MAX_STREAMS_EACH).map(|_| streams.watch(&scope(1), task, at).unwrap()).collect();
        assert_eq!(streams.watch(&scope(1), task, at).unwrap_err(), TooMany::OfYours);
        assert!(streams.watch(&scope(2), task, at).is_ok(), "another's place");
        held.pop();
        held.push(streams.watch(&scope(1), task, at).unwrap());
        drop(held);
        let open = streams.lock();
        assert!(open.total == 0 && open.tasks.is_empty() && open.callers.is_empty(), "{open:?}");
    }

    #[tokio::test]
    async fn news_wakes_those_who_are_before_it_and_a_stop_wakes_all() {
        let streams = nowhere();
        let task = TaskId(Uuid::from_u128(7));
        let mut one = streams.watch(&scope(1), task, DateTime::UNIX_EPOCH).unwrap();
        streams.tell(&[(task, 5)]);
        assert!(one.news_after(4).await);
        let waiting = tokio::time::timeout(Duration::from_millis(50), one.news_after(5)).await;
        assert!(waiting.is_err(), "nothing came after 5");
        streams.0.stop.cancel();
        assert!(!one.news_after(5).await && one.is_stopping());
    }
}
