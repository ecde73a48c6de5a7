//! Whose requests are counted.

use std::net::IpAddr;

use uuid::Uuid;

/// Whose requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// A user or an API key.
    Caller(Uuid),
    Agency(Uuid),
    /// A client's address, or an IPv6 client's network.
    Address(IpAddr),
}

/// A bucket and what it holds, which comes back within a minute.
pub type Sized = (Bucket, u32);
