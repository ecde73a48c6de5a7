//! The bells of the channels: one wakes an idle worker when tickets were pushed, one
//! tells of tasks to be cancelled. Neither is needed: both are polled for as well.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, channel::mpsc};
use redis::Client;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{CANCEL_CHANNEL, WAKE_CHANNEL};

const RECONNECT: Duration = Duration::from_millis(500);

/// Hands the rings of a Redis channel to everything in the process that asked for them.
#[derive(Debug, Clone)]
pub struct Wake {
    channel: &'static str,
    senders: Arc<Mutex<Vec<mpsc::Sender<()>>>>,
}

/// The bell of pushed tickets.
impl Default for Wake {
    fn default() -> Self {
        Self { channel: WAKE_CHANNEL, senders: Arc::default() }
    }
}

impl Wake {
    /// The bell of cancellations.
    #[must_use]
    pub fn on_cancel() -> Self {
        Self { channel: CANCEL_CHANNEL, ..Self::default() }
    }

    /// A stream that gives an item after each ring; rings that come while one
    /// waits are one.
    #[must_use]
    pub fn stream(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(0);
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Listens until cancelled. While Redis is away workers go on polling by interval.
    pub async fn listen(self, client: Client, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let lost = tokio::select! {
                () = stop.cancelled() => return,
                lost = self.subscribe(&client) => lost,
            };
            match lost {
                Ok(()) => debug!(channel = self.channel, "a channel was closed; subscribing again"),
                Err(error) => warn!(%error, channel = self.channel, "a channel is away; subscribing again"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT) => {}
            }
        }
    }

    async fn subscribe(&self, client: &Client) -> Result<(), redis::RedisError> {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(self.channel).await?;
        // Whatever was pushed before the subscription stood.
        self.ring();
        let mut rings = subscription.into_on_message();
        while rings.next().await.is_some() {
            self.ring();
        }
        Ok(())
    }

    fn ring(&self) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        // A full channel has a ring waiting already; a closed one lost its storage.
        senders.retain_mut(|sender| sender.try_send(()).is_ok() || !sender.is_closed());
    }
}
