//! The simulator as an HTTP server.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use poem::{Server, endpoint::make, listener::TcpAcceptor};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    door::{self, Shared},
    keys::Rates,
    log::Log,
    script::Script,
};
use crate::base::SystemClock;

/// A simulator that answers until it is dropped.
#[derive(Debug)]
pub struct Simulator {
    pub addr: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

impl Simulator {
    /// The base URL for a provider that speaks OpenAI's protocol or Anthropic's.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Waits until the server ends, which it does by itself only in failure.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(mut self) -> io::Result<()> {
        (&mut self.server).await.map_err(io::Error::other)?
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Binds `addr` (port 0 for a free one) and answers there. Each request is one
/// JSON line in the file `log`, written before the answer leaves.
///
/// # Errors
/// The address is taken, or the file cannot be written.
pub async fn start(addr: &str, log: Option<&Path>) -> io::Result<Simulator> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let log = Log::open(log, SystemClock::shared())?;
    let shared = Arc::new(Shared { script: Script::default(), log, rates: Rates::default() });
    let endpoint = make(move |request| {
        let shared = Arc::clone(&shared);
        async move { door::handle(&shared, request).await }
    });
    let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?);
    Ok(Simulator { addr, server: tokio::spawn(server.run(endpoint)) })
}
