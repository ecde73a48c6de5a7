//! The bells that wake an idle worker when tickets were pushed, and its dispatcher when
//! a task was left to it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, channel::mpsc};
use redis::Client;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{BACKLOG_CHANNEL, WAKE_CHANNEL};

const RECONNECT: Duration = Duration::from_millis(500);

/// Hands the rings of the Redis channels to every storage of the process, and to its
/// dispatcher.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    storages: Arc<Mutex<Vec<mpsc::Sender<()>>>>,
    backlog: Arc<Notify>,
}

impl Wake {
    /// A stream that gives an item after each ring; rings that come while one
    /// waits are one.
    #[must_use]
    pub fn stream(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(0);
        self.storages.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
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
                Ok(()) => debug!("the wake channel was closed; subscribing again"),
                Err(error) => warn!(%error, "the wake channel is away; subscribing again"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT) => {}
            }
        }
    }

    async fn subscribe(&self, client: &Client) -> Result<(), redis::RedisError> {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(&[WAKE_CHANNEL, BACKLOG_CHANNEL]).await?;
        // Whatever was pushed before the subscription stood.
        self.ring();
        self.backlog.notify_one();
        let mut rings = subscription.into_on_message();
        while let Some(ring) = rings.next().await {
            match ring.get_channel_name() {
                BACKLOG_CHANNEL => self.backlog.notify_one(),
                _ => self.ring(),
            }
        }
        Ok(())
    }

    fn ring(&self) {
        let mut senders = self.storages.lock().unwrap_or_else(PoisonError::into_inner);
        // A full channel has a ring waiting already; a closed one lost its storage.
        senders.retain_mut(|sender| sender.try_send(()).is_ok() || !sender.is_closed());
    }
}
