//! The connections of a process: how many there may be, and how long each may take or be silent.
//!
//! The framework waits for a request as long as its client likes. So each connection is
//! watched from beneath, where its bytes come in, and from above, where its requests are answered.
//!
//! - [`pace`]: what a connection is waited for at this moment, and until when
//! - [`watched`]: the bytes of a connection, which end when it is over time
//! - [`paced`]: the requests of a connection, and the time that a body has

mod pace;
mod paced;
#[cfg(test)]
mod tests;
mod watched;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use poem::{
    Endpoint, Response,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};

use crate::base::{
    network,
    shares::{Full, Place, Shares},
};
use pace::Pace;
use paced::Paced;
pub use watched::Watched;

/// From the connection, or the first byte of a later request, to the end of its head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// From the end of the head to the end of the body.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Between two requests; and without a byte taken of an answer.
const IDLE_FOR: Duration = Duration::from_secs(75);
/// Of a process, if it may have so many files open.
const MOST: usize = 4_000;
/// Of one address, or of one IPv6 site. A proxy that is trusted speaks for many and has no share.
const MOST_EACH: usize = 256;
/// Bytes of one piece of a large answer, and what answers take up is counted in.
const PIECE: usize = 64 * 1024;
/// Of large answers that clients have not taken yet.
const UNREAD: usize = 96 * 1024 * 1024;
/// Of these, for one address or site. A larger answer is given where no other waits.
const UNREAD_EACH: usize = 32 * 1024 * 1024;
/// Files that are left to everything else: databases, Redis, providers, pages.
const OTHER_FILES: usize = 256;
/// After a connection could not be accepted, for want of files.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections of a process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shares: Arc<Shares<IpAddr>>,
    unread: Arc<Shares<IpAddr>>,
    trusted_proxies: Arc<[IpNet]>,
    open: Mutex<HashMap<SocketAddr, Arc<Pace>>>,
}

/// A connection's place, and its pace for as long as it is open.
#[derive(Debug)]
struct Open {
    connections: Connections,
    peer: SocketAddr,
    pace: Arc<Pace>,
    _place: Place<IpAddr>,
}

impl Connections {
    #[must_use]
    pub fn new(trusted_proxies: Arc<[IpNet]>) -> Self {
        let most = files().map_or(MOST, |files| MOST.min(files.saturating_sub(OTHER_FILES).max(files / 2)));
        Self::of(most, MOST_EACH, trusted_proxies)
    }

    fn of(most: usize, each: usize, trusted_proxies: Arc<[IpNet]>) -> Self {
        let (shares, unread) = (Shares::new(most, each), Shares::new(UNREAD / PIECE, UNREAD_EACH / PIECE));
        Self(Arc::new(Inner { shares, unread, trusted_proxies, open: Mutex::default() }))
    }

    /// Those that an acceptor brings, as far as there is place.
    #[must_use]
    pub fn accepted_by<A: Acceptor>(&self, acceptor: A) -> Accepted<A> {
        Accepted { connections: self.clone(), acceptor }
    }

    /// An endpoint whose requests come over these connections.
    #[must_use]
    pub fn answered_by<E: Endpoint<Output = Response>>(&self, endpoint: E) -> Paced<E> {
        Paced { connections: self.clone(), endpoint }
    }

    /// `None`: too many are open, from there or at all.
    fn open(&self, peer: SocketAddr) -> Option<Open> {
        let share = self.0.shares.take(self.holder(peer)).ok()?;
        let pace = Arc::new(Pace::new());
        self.paces(|paces| paces.insert(peer, Arc::clone(&pace)));
        Some(Open { connections: self.clone(), peer, pace, _place: share })
    }

    /// Who has a share; nobody where a trusted proxy speaks for many.
    fn holder(&self, peer: SocketAddr) -> Option<IpAddr> {
        let address = peer.ip().to_canonical();
        let is_proxy = self.0.trusted_proxies.iter().any(|network| network.contains(&address));
        (!is_proxy).then(|| network::site(address))
    }

    /// Room for an answer of so many bytes until it was sent; none is needed for small ones.
    fn unread(&self, peer: &RemoteAddr, bytes: u64) -> Result<Option<Place<IpAddr>>, Full> {
        let pieces = usize::try_from(bytes).unwrap_or(usize::MAX) / PIECE;
        let Some(peer) = peer.as_socket_addr().filter(|_| pieces > 1) else { return Ok(None) };
        self.0.unread.take_many(self.holder(*peer), pieces).map(Some)
    }

    fn pace_of(&self, peer: &RemoteAddr) -> Option<Arc<Pace>> {
        let peer = peer.as_socket_addr()?;
        self.paces(|paces| paces.get(peer).cloned())
    }

    fn paces<T>(&self, use_them: impl FnOnce(&mut HashMap<SocketAddr, Arc<Pace>>) -> T) -> T {
        use_them(&mut self.0.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.paces(|paces| {
            // The address may be in use again already.
            if paces.get(&self.peer).is_some_and(|pace| Arc::ptr_eq(pace, &self.pace)) {
                paces.remove(&self.peer);
            }
        });
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

/// How many files the process may have open, where the system says so.
fn files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
