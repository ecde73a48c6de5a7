//! The connections that are open: a place for each, and its pace.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use ipnet::IpNet;
use poem::web::RemoteAddr;

use super::pace::Pace;
use crate::base::{
    network,
    shares::{Full, Place, Shares},
};

/// Of a process, if it may have so many files open.
const MOST: usize = 4_000;
/// Of one address, or of one IPv6 site. A proxy that is trusted speaks for many and has no share.
const MOST_EACH: usize = 256;
/// Bytes of one piece of a large answer, and what answers take up is counted in.
pub(super) const PIECE: usize = 64 * 1024;
/// Of large answers that clients have not taken yet.
const UNREAD: usize = 96 * 1024 * 1024;
/// Of these, for one address or site. A larger answer is given where no other waits.
const UNREAD_EACH: usize = 32 * 1024 * 1024;
/// Files that are left to everything else: databases, Redis, providers, pages.
const OTHER_FILES: usize = 256;

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
pub(super) struct Open {
    connections: Connections,
    peer: SocketAddr,
    pub(super) pace: Arc<Pace>,
    _place: Place<IpAddr>,
}

impl Connections {
    #[must_use]
    pub fn new(trusted_proxies: Arc<[IpNet]>) -> Self {
        let most = files().map_or(MOST, |files| MOST.min(files.saturating_sub(OTHER_FILES).max(files / 2)));
        Self::of(most, MOST_EACH, trusted_proxies)
    }

    pub(super) fn of(most: usize, each: usize, trusted_proxies: Arc<[IpNet]>) -> Self {
        let (shares, unread) = (Shares::new(most, each), Shares::new(UNREAD / PIECE, UNREAD_EACH / PIECE));
        Self(Arc::new(Inner { shares, unread, trusted_proxies, open: Mutex::default() }))
    }

    /// `None`: too many are open, from there or at all.
    pub(super) fn open(&self, peer: SocketAddr) -> Option<Open> {
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
    pub(super) fn unread(&self, peer: &RemoteAddr, bytes: u64) -> Result<Option<Place<IpAddr>>, Full> {
        let pieces = usize::try_from(bytes).unwrap_or(usize::MAX) / PIECE;
        let Some(peer) = peer.as_socket_addr().filter(|_| pieces > 1) else { return Ok(None) };
        self.0.unread.take_many(self.holder(*peer), pieces).map(Some)
    }

    pub(super) fn pace_of(&self, peer: &RemoteAddr) -> Option<Arc<Pace>> {
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

/// How many files the process may have open, where the system says so.
fn files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
