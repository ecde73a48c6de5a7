//! Names to addresses, checked at the moment of dialling: what was checked is what is dialled.

use std::{fmt, io, net::IpAddr, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::Refusal;

/// Asks for the addresses of a host name.
#[async_trait]
pub trait Lookup: Send + Sync + fmt::Debug {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A resolver for the HTTP client. The connector dials only what this returns,
/// so that a name cannot change its address between the check and the call.
#[derive(Debug, Clone)]
pub struct Resolver {
    pub lookup: Arc<dyn Lookup>,
    /// None for hosts that the operator named.
    pub refusal: Option<Refusal>,
}

/// Why a name gave no address that may be dialled. Found again in the error chain of the HTTP client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unresolved {
    #[error("{0}")]
    Refused(&'static str),
    #[error("{0}")]
    NotFound(String),
}

impl Resolver {
    async fn resolve(&self, host: &str) -> Result<Vec<SocketAddr>, Unresolved> {
        let found = self.lookup.addresses(host).await.map_err(|error| Unresolved::NotFound(error.to_string()))?;
        if found.is_empty() {
            return Err(Unresolved::NotFound("no address".into()));
        }
        if let Some(refusal) = self.refusal {
            // One bad answer spoils all: a name with a private address is not a public name.
            if let Some(reason) = found.iter().find_map(|ip| refusal(*ip)) {
                return Err(Unresolved::Refused(reason));
            }
        }
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect())
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = Resolver::resolve(&resolver, name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
