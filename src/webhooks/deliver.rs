//! The loop of a worker: takes what is due, a few of each webhook, and sends it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{
    attempt,
    deliverer::Deliverer,
    due::{self, Due, Outcome},
};
use crate::db;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a look that failed.
const PAUSE: Duration = Duration::from_secs(2);
/// Requests under way in a process.
const MAX_REQUESTS: usize = 256;
/// Of one webhook.
const EACH: i32 = 8;
/// A delivery whose worker was killed is taken again after this: longer than an attempt can take.
const HOLD: Duration = Duration::from_mins(1);

impl Deliverer {
    /// Sends until `stop`, then lets requests that are under way finish, at most so long.
    /// What is cut off is sent again by whoever finds it due.
    pub async fn run(self, finish_within: Duration, stop: CancellationToken) {
        let deliverer = Arc::new(self);
        let mut under_way = UnderWay::default();
        while !stop.is_cancelled() {
            let pause = deliverer.send_due(&mut under_way).await;
            tokio::select! {
                () = stop.cancelled() => {}
                // Somebody's turn may have come.
                true = under_way.one_is_free() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        if tokio::time::timeout(finish_within, under_way.all_done()).await.is_err() {
            warn!("deliveries were cut off; they will be sent again");
        }
    }

    async fn send_due(self: &Arc<Self>, under_way: &mut UnderWay) -> Duration {
        let room = MAX_REQUESTS.saturating_sub(under_way.requests.len());
        if room == 0 {
            return LOOK_EVERY;
        }
        let busy: Vec<Uuid> = under_way.webhooks.keys().copied().collect();
        let room = i32::try_from(room).unwrap_or(EACH);
        let claimed = db::bounded(db::ANSWER_WITHIN, due::claim(&self.pool, room, EACH, &busy, HOLD));
        let due = match claimed.await {
            Ok(due) => due,
            Err(error) => {
                warn!(%error, "could not look for deliveries that are due");
                return PAUSE;
            }
        };
        for delivery in due {
            let deliverer = Arc::clone(self);
            under_way.begin(delivery.webhook_id.0, async move { deliverer.send(&delivery).await });
        }
        LOOK_EVERY
    }

    async fn send(&self, due: &Due) {
        let end = attempt::attempt(self, due).await;
        debug!(delivery_id = %due.id, webhook_id = %due.webhook_id, attempt = due.attempts, ?end, "delivery attempted");
        let result = match end.outcome {
            Outcome::Delivered => "delivered",
            Outcome::Again(_) => "again",
            Outcome::Failed => "failed",
        };
        metrics::counter!("webhook_attempts_total", "result" => result).increment(1);
        match due::finish(&self.pool, due, &end).await {
            Ok(true) => {}
            Ok(false) => debug!(delivery_id = %due.id, "the delivery was taken again meanwhile"),
            Err(error) => warn!(%error, delivery_id = %due.id, "what came of a delivery could not be written"),
        }
    }
}

/// Requests under way, and how many of each webhook.
#[derive(Default)]
struct UnderWay {
    requests: JoinSet<Uuid>,
    webhooks: HashMap<Uuid, usize>,
}

impl UnderWay {
    fn begin(&mut self, webhook: Uuid, sending: impl Future<Output = ()> + Send + 'static) {
        *self.webhooks.entry(webhook).or_default() += 1;
        self.requests.spawn(async move {
            sending.await;
            webhook
        });
    }

    /// Waits until a webhook has nothing under way any more. False, at once, if nothing is.
    async fn one_is_free(&mut self) -> bool {
        while let Some(done) = self.requests.join_next().await {
            // A request that panicked told nobody whose it was: all are asked for again.
            let Ok(webhook) = done else {
                self.webhooks.clear();
                return true;
            };
            let left = self.webhooks.get(&webhook).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                self.webhooks.remove(&webhook);
                return true;
            }
            self.webhooks.insert(webhook, left);
        }
        false
    }

    async fn all_done(&mut self) {
        while self.requests.join_next().await.is_some() {}
    }
}
