//! The API and the worker, started and stopped apart, each as it is served.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::serve::{self, Parts},
    config::Config,
};

/// A part that serves in the background.
#[derive(Debug)]
pub struct Part {
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Part {
    /// Starts the API and waits for its address.
    ///
    /// # Errors
    /// The API does not come up.
    pub async fn api(config: &Config) -> anyhow::Result<(Self, SocketAddr)> {
        let (sender, ready) = oneshot::channel();
        let part = Self::start(config, Parts { api: true, worker: false }, move |address| _ = sender.send(address));
        match ready.await {
            Ok(address) => Ok((part, address)),
            Err(_) => Err(part.stop().await.err().unwrap_or_else(|| anyhow::anyhow!("the API ended at once"))),
        }
    }

    #[must_use]
    pub fn worker(config: &Config) -> Self {
        Self::start(config, Parts { api: false, worker: true }, drop)
    }

    fn start(config: &Config, parts: Parts, ready: impl FnOnce(SocketAddr) + Send + 'static) -> Self {
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve::run(config.clone(), parts, stop.clone(), ready));
        Self { stop, served }
    }

    /// # Errors
    /// It had ended before, or ends badly.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.served.await?.context("a part of the server did not stop in good order")
    }
}
