//! To whom an address belongs, as far as it can be told.

use std::net::{IpAddr, Ipv6Addr};

/// What one IPv6 subscriber gets at the least: it has every address of it.
const SUBSCRIBER_BITS: u32 = 64;
/// What a site, such as a customer of a hoster, gets without asking: 65,536 of those.
const SITE_BITS: u32 = 48;

/// The address of a client, or an IPv6 client's network.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    masked(address, SUBSCRIBER_BITS)
}

/// The address of a client, or its IPv6 site: for places that are few.
#[must_use]
pub fn site(address: IpAddr) -> IpAddr {
    masked(address, SITE_BITS)
}

fn masked(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - bits))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_known_by_its_network() {
        for (address, of_subscriber, of_site) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::"),
            ("::1", "::", "::"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(subscriber(address).to_string(), of_subscriber);
            assert_eq!(site(address).to_string(), of_site);
        }
    }
}
