//! One task's events from a place on, to its end.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, future::BoxFuture, stream};
use sqlx::PgPool;
use tokio::time::Instant;
use tracing::debug;

use super::{Event, Watching, event};
use crate::base::TenantScope;

/// How soon a caller who may not any more sees no more.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Events that a stream holds at once: a reader who is slow makes it read less often.
const PAGE: u16 = 100;
/// After a read that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks whether the caller may still follow, and as whom; `None` ends the stream.
pub type StillMay = Arc<dyn Fn() -> BoxFuture<'static, Option<TenantScope>> + Send + Sync>;

/// A stream about to begin.
pub struct Follower {
    pub pool: PgPool,
    pub scope: TenantScope,
    pub watching: Watching,
    /// Only events after this one.
    pub after: i64,
    pub still_may: StillMay,
}

struct State {
    follower: Follower,
    read: VecDeque<Event>,
    /// Up to where events were read.
    read_to: i64,
    at_the_end: bool,
    ask_at: Instant,
    /// There may be something to read.
    news: bool,
}

/// The task's events. Ends with the task, with the caller's right to see it, and with the process.
pub fn follow(follower: Follower) -> impl Stream<Item = Event> + Send + 'static {
    let state = State {
        read: VecDeque::new(),
        read_to: follower.after,
        at_the_end: false,
        ask_at: Instant::now() + ASK_AGAIN_AFTER,
        news: true,
        follower,
    };
    stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        Some((event, state))
    })
}

impl State {
    async fn next(&mut self) -> Option<Event> {
        loop {
            // Before anything is given, also to a reader who let much time pass.
            if Instant::now() >= self.ask_at {
                self.ask().await?;
            }
            if let Some(event) = self.read.pop_front() {
                return Some(event);
            }
            if self.at_the_end || self.follower.watching.is_stopping() {
                return None;
            }
            if self.news {
                self.read_more().await?;
            } else {
                let Follower { watching, .. } = &mut self.follower;
                tokio::select! {
                    _ = watching.news_after(self.read_to) => self.news = true,
                    () = tokio::time::sleep_until(self.ask_at) => {}
                }
            }
        }
    }

    async fn ask(&mut self) -> Option<()> {
        let scope = (self.follower.still_may)().await?;
        // Moved to another team, say: the next read tells whether the task is still to be seen.
        self.news |= scope != self.follower.scope;
        self.follower.scope = scope;
        self.ask_at = Instant::now() + ASK_AGAIN_AFTER;
        Some(())
    }

    async fn read_more(&mut self) -> Option<()> {
        let Follower { pool, scope, watching, .. } = &self.follower;
        match event::after(scope, pool, watching.task(), self.read_to, PAGE).await {
            Ok(found) => {
                let found = found?;
                self.read_to = found.items.last().map_or(self.read_to, |event| event.seq);
                self.news = found.items.len() == usize::from(PAGE);
                self.at_the_end = found.at_the_end;
                self.read = found.items.into();
            }
            Err(error) => {
                debug!(%error, "a stream could not read on");
                tokio::time::sleep(PAUSE).await;
            }
        }
        Some(())
    }
}
