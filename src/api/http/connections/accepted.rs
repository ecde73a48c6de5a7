//! Connections as an acceptor brings them, as far as there is place.

use std::time::Duration;

use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};

use super::{open::Connections, watched::Watched};

/// After a connection could not be accepted, for want of files.
const PAUSE: Duration = Duration::from_millis(50);

impl Connections {
    /// Those that an acceptor brings, as far as there is place.
    #[must_use]
    pub fn accepted_by<A: Acceptor>(&self, acceptor: A) -> Accepted<A> {
        Accepted { connections: self.clone(), acceptor }
    }
}

/// An acceptor that closes what is too many, and watches what it gives.
#[derive(Debug)]
pub struct Accepted<A> {
    connections: Connections,
    acceptor: A,
}

impl<A: Acceptor> Acceptor for Accepted<A> {
    type Io = Watched<A::Io>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> std::io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        loop {
            let (io, local, remote, scheme) = match self.acceptor.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The framework tries again at once, which would take a whole core.
                    tokio::time::sleep(PAUSE).await;
                    return Err(error);
                }
            };
            let Some(peer) = remote.as_socket_addr().copied() else { continue };
            match self.connections.open(peer) {
                Some(open) => return Ok((Watched::new(io, open), local, remote, scheme)),
                None => metrics::counter!("http_connections_refused_total").increment(1),
            }
        }
    }
}
