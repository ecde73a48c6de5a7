//! Serving: the parts of one process, from start to a stop in good order.

use std::net::SocketAddr;

use anyhow::Context;
use poem::{
    Route, Server, get, handler,
    listener::{Acceptor, Listener, TcpListener},
};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Which parts a process runs.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub api: bool,
    pub worker: bool,
}

/// Runs the parts until `shutdown`; calls `ready` once the port answers.
///
/// # Errors
/// A key is missing, or the port cannot be opened.
pub async fn run(
    config: Config,
    parts: Parts,
    shutdown: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    tracing::info!(api = parts.api, worker = parts.worker, "starting");
    config.root_key()?;
    config.signing_key()?;
    if !parts.api {
        shutdown.cancelled().await;
        return Ok(());
    }
    let bind = &config.http.bind;
    let acceptor = TcpListener::bind(bind).into_acceptor().await.with_context(|| format!("cannot listen on {bind}"))?;
    let address = acceptor.local_addr().into_iter().find_map(|address| address.as_socket_addr().copied());
    ready(address.context("the port has no address")?);
    let routes = Route::new().at("/healthz", get(healthz));
    Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(routes, shutdown.cancelled_owned(), None).await?;
    Ok(())
}

#[handler]
fn healthz() -> &'static str {
    "ok"
}
