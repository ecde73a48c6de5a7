//! The bells of the channels: one wakes an idle worker when tickets were pushed, one its
//! dispatcher when a task was left to it, one tells of tasks to be cancelled. None is
//! needed: what they tell of is polled for as well.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, channel::mpsc};
use redis::Client;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{BACKLOG_CHANNEL, CANCEL_CHANNEL, WAKE_CHANNEL};

const RECONNECT: Duration = Duration::from_millis(500);

/// Hands the rings of the Redis channels to every storage of the process, to its
/// dispatcher, and to who stops tasks.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    tickets: Bell,
    cancels: Bell,
    backlog: Arc<Notify>,
}

impl Wake {
    /// Gives an item after each ring for pushed tickets.
    #[must_use]
    pub fn stream(&self) -> mpsc::Receiver<()> {
        self.tickets.stream()
    }

    /// Gives an item after each ring for cancelled tasks.
    #[must_use]
    pub fn cancels(&self) -> mpsc::Receiver<()> {
        self.cancels.stream()
    }

    /// Notified after each ring for the dispatcher.
    #[must_use]
    pub fn backlog(&self) -> Arc<Notify> {
        Arc::clone(&self.backlog)
    }

    /// Listens until cancelled. While Redis is away workers go on polling by interval.
    pub async fn listen(self, client: Client, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let lost = tokio::select! {
                () = stop.cancelled() => return,
                lost = self.subscribe(&client) => lost,
            };
            match lost {
                Ok(()) => debug!("the channels were closed; subscribing again"),
                Err(error) => warn!(%error, "the channels are away; subscribing again"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT) => {}
            }
        }
    }

    async fn subscribe(&self, client: &Client) -> Result<(), redis::RedisError> {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(&[WAKE_CHANNEL, BACKLOG_CHANNEL, CANCEL_CHANNEL]).await?;
        // Whatever was rung for before the subscription stood.
        self.tickets.ring();
        self.cancels.ring();
        self.backlog.notify_one();
        let mut rings = subscription.into_on_message();
        while let Some(ring) = rings.next().await {
            match ring.get_channel_name() {
                BACKLOG_CHANNEL => self.backlog.notify_one(),
                CANCEL_CHANNEL => self.cancels.ring(),
                _ => self.tickets.ring(),
            }
        }
        Ok(())
    }
}

/// Rings in as many streams as were asked for; rings that come while one waits are one.
#[derive(Debug, Clone, Default)]
struct Bell(Arc<Mutex<Vec<mpsc::Sender<()>>>>);

impl Bell {
    fn stream(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(0);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    fn ring(&self) {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full channel has a ring waiting already; a closed one lost its listener.
        senders.retain_mut(|sender| sender.try_send(()).is_ok() || !sender.is_closed());
    }
}
