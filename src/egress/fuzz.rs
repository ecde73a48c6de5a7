//! The doors of the fuzz target `url`, compiled for it alone.

use std::net::IpAddr;

use url::Host;

use super::{Policy, address, parse_url};

/// Whether the address may be dialled.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    address::refusal(address).is_none()
}

/// The literal address of a URL that passes the guard without an operator's leave.
#[must_use]
pub fn literal_let_through(text: &str) -> Option<IpAddr> {
    let url = parse_url(text).ok()?;
    Policy::default().check(&url).ok()?;
    match url.host()? {
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
        Host::Domain(_) => None,
    }
}
