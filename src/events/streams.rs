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

use super::event::{self, Followed};
use crate::base::{
    AgencyId, TaskId, TenantScope,
    shares::{Full, Place, Shares},
};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After a look that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Of one process.
const MAX_STREAMS: usize = 2_000;
/// Of one agency, whoever follows, in one process.
const MAX_STREAMS_AGENCY: usize = 250;
/// Of one person or API key, in one process.
const MAX_STREAMS_EACH: usize = 50;

/// Why nobody more can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    #[error("You follow {MAX_STREAMS_EACH} tasks already; close a stream first, or read GET /tasks/{{id}}.")]
    OfYours,
    #[error("Your agency has {MAX_STREAMS_AGENCY} streams here already; close one first, or read GET /tasks/{{id}}.")]
    OfAgency,
    #[error("This server streams to as many as it can; try again shortly, or read GET /tasks/{{id}}.")]
    OfAll,
}

/// The streams of a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tasks: Mutex<HashMap<TaskId, Task>>,
    callers: Arc<Shares<Uuid>>,
    agencies: Arc<Shares<AgencyId>>,
    opened: Notify,
    stop: CancellationToken,
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
    newest: watch::Receiver<i64>,
    _places: (Place<Uuid>, Place<AgencyId>),
}

impl Streams {
    /// Starts the look for news, which ends with `stop`, as all streams do.
    #[must_use]
    pub fn start(pool: PgPool, stop: CancellationToken) -> Self {
        let streams = Self(Arc::new(Inner {
            tasks: Mutex::default(),
            callers: Shares::new(MAX_STREAMS, MAX_STREAMS_EACH),
            agencies: Shares::new(MAX_STREAMS, MAX_STREAMS_AGENCY),
            opened: Notify::new(),
            stop,
        }));
        tokio::spawn(streams.clone().look(pool));
        streams
    }

    /// Takes a place for following a task.
    ///
    /// # Errors
    /// There are too many of the caller's, of its agency's, or of all.
    pub fn watch(&self, scope: &TenantScope, task: TaskId, created_at: DateTime<Utc>) -> Result<Watching, TooMany> {
        let of_caller = self.0.callers.take(Some(scope.actor().id())).map_err(|full| match full {
            Full::Share => TooMany::OfYours,
            Full::All => TooMany::OfAll,
        })?;
        let of_agency = self.0.agencies.take(Some(scope.agency_id())).map_err(|full| match full {
            Full::Share => TooMany::OfAgency,
            Full::All => TooMany::OfAll,
        })?;
        let mut tasks = self.lock();
        let watched = tasks.entry(task).or_insert_with(|| Task {
            agency: scope.agency_id(),
            created_at,
            newest: watch::Sender::new(0),
            streams: 0,
        });
        watched.streams += 1;
        let newest = watched.newest.subscribe();
        drop(tasks);
        self.0.opened.notify_one();
        Ok(Watching { streams: self.clone(), task, newest, _places: (of_caller, of_agency) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Task>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(self, pool: PgPool) {
        loop {
            let followed = self.followed();
            let nobody = followed.is_empty();
            let mut pause = LOOK_EVERY;
            if !nobody {
                match event::newest(&pool, followed).await {
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
        self.lock().iter().map(of).collect()
    }

    fn tell(&self, newest: &[(TaskId, i64)]) {
        let tasks = self.lock();
        for (id, seq) in newest {
            if let Some(task) = tasks.get(id) {
                task.newest.send_if_modified(|known| std::mem::replace(known, *seq) < *seq);
            }
        }
    }

    fn give_up(&self, task: TaskId) {
        let mut tasks = self.lock();
        if let Entry::Occupied(mut watched) = tasks.entry(task) {
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
        self.streams.give_up(self.task);
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::base::{Actor, Role, UserId};

    fn scope_in(agency: u128, user: u128) -> TenantScope {
        let user = Actor::Person(UserId(Uuid::from_u128(user)));
        TenantScope::verified(AgencyId(Uuid::from_u128(agency)), user, Role::AgencyAdmin, None)
    }

    fn scope(user: u128) -> TenantScope {
        scope_in(1, user)
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
        assert!(streams.0.callers.taken() == 0 && streams.0.agencies.taken() == 0 && streams.lock().is_empty());
    }

    #[tokio::test]
    async fn an_agency_with_many_keys_holds_no_more_than_its_share() {
        let (streams, task, at) = (nowhere(), TaskId(Uuid::from_u128(7)), DateTime::UNIX_EPOCH);
        let mut held = Vec::new();
        let refused = (0..40).find_map(|user| {
            let more = std::iter::repeat_with(|| streams.watch(&scope_in(1, user), task, at));
            let more: Result<Vec<_>, _> = more.take(MAX_STREAMS_EACH).collect();
            more.map(|more| held.extend(more)).err()
        });
        assert_eq!(refused, Some(TooMany::OfAgency));
        assert!(held.len() <= MAX_STREAMS_AGENCY && MAX_STREAMS_AGENCY * 4 <= MAX_STREAMS, "{} held", held.len());
        assert!(streams.watch(&scope_in(2, 99), task, at).is_ok(), "another agency's place");
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
