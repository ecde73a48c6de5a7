//! Which addresses belong to the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Says why an address may not be dialled.
pub type Refusal = fn(IpAddr) -> Option<&'static str>;

/// Why an address may not be dialled, or `None` if it may.
///
/// IPv4 follows the IANA special-purpose registry. IPv6 is closed outside `2000::/3`,
/// the only space given out for global use, and has its own exceptions within.
#[must_use]
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    let known = match address {
        IpAddr::V4(v4) => v4_refusal(v4),
        IpAddr::V6(v6) => v6_refusal(v6),
    };
    known.or_else(|| is_own(address).then_some("an address of this machine"))
}

/// Network, prefix length, name.
const V4: [([u8; 4], u32, &str); 24] = [
    ([0, 0, 0, 0], 8, "an unspecified address"),
    ([10, 0, 0, 0], 8, "a private address"),
    ([100, 64, 0, 0], 10, "a carrier-grade NAT address"),
    ([127, 0, 0, 0], 8, "a loopback address"),
    ([169, 254, 0, 0], 16, "a link-local address"),
    ([172, 16, 0, 0], 12, "a private address"),
    ([192, 0, 0, 0], 24, "an address reserved for protocols"),
    ([192, 0, 2, 0], 24, "a documentation address"),
    ([192, 88, 99, 0], 24, "a 6to4 relay address"),
    ([192, 168, 0, 0], 16, "a private address"),
    ([198, 18, 0, 0], 15, "a benchmarking address"),
    ([198, 51, 100, 0], 24, "a documentation address"),
    ([203, 0, 113, 0], 24, "a documentation address"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    ([255, 255, 255, 255], 32, "the broadcast address"),
    ([240, 0, 0, 0], 4, "a reserved address"),
    // Public by number, and answered from within a provider's own network: Azure's wire
    // server and its credentials, IBM's service endpoints, Google's private API endpoints
    // and forwarders, Tencent's resolvers. The other providers' metadata services are
    // link-local, private or carrier-grade NAT.
    ([168, 63, 129, 16], 32, INSIDE_A_CLOUD),
    ([161, 26, 0, 0], 16, INSIDE_A_CLOUD),
    ([166, 8, 0, 0], 14, INSIDE_A_CLOUD),
    ([199, 36, 153, 4], 30, INSIDE_A_CLOUD),
    ([199, 36, 153, 8], 30, INSIDE_A_CLOUD),
    ([35, 199, 192, 0], 19, INSIDE_A_CLOUD),
    ([183, 60, 82, 98], 32, INSIDE_A_CLOUD),
    ([183, 60, 83, 19], 32, INSIDE_A_CLOUD),
];

const INSIDE_A_CLOUD: &str = "an address inside a cloud provider's network";

const V6: [([u16; 8], u32, &str); 21] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "an unspecified address"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "a loopback address"),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "an IPv4-mapped address"),
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "an IPv4-translated address"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, "an IPv4-compatible address"),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "a NAT64 address"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "a NAT64 address"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "a discard address"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "a private address"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "a link-local address"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "a site-local address"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "a multicast address"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "a Teredo address"),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "a benchmarking address"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "an address reserved for protocols"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "a documentation address"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "a 6to4 address"),
    ([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, "a withdrawn test address"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "a documentation address"),
    // Google's private API endpoints.
    ([0x2600, 0x2d00, 2, 0x1000, 0, 0, 0, 0], 64, INSIDE_A_CLOUD),
    ([0x2600, 0x2d00, 2, 0x2000, 0, 0, 0, 0], 64, INSIDE_A_CLOUD),
];

fn v4_refusal(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    V4.iter()
        .find(|(net, length, _)| (bits ^ u32::from_be_bytes(*net)).checked_shr(32 - length).unwrap_or(0) == 0)
        .map(|(_, _, name)| *name)
}

fn v6_refusal(address: Ipv6Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let listed = V6.iter().find(|(net, length, _)| {
        let net = Ipv6Addr::from(*net).to_bits();
        (bits ^ net).checked_shr(128 - length).unwrap_or(0) == 0
    });
    match listed {
        Some((_, _, name)) => Some(name),
        None if is_isatap(bits) => Some("an ISATAP address"),
        None if bits >> 125 == 0b001 => None,
        None => Some("an address outside the public space"),
    }
}

/// ISATAP hides an IPv4 address, which may be a private one, in an interface
/// identifier that stands behind any prefix.
fn is_isatap(bits: u128) -> bool {
    // The bit that says whether the IPv4 address is unique may be set or not.
    (bits >> 32) & 0xfdff_ffff == 0x0000_5efe
}

/// Whether the address is one of this machine's. The kernel picks the
/// destination itself as the source of a route to a local address; connecting a
/// datagram socket asks for that route and sends nothing.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind(SocketAddr::new(any, 0))
        .and_then(|socket| socket.connect(SocketAddr::new(address, 9)).and_then(|()| socket.local_addr()))
        .is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classifies_addresses() {
        let refused = [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.0.0.1", "private"),
            ("100.64.0.1", "carrier-grade"),
            ("100.127.255.255", "carrier-grade"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.169.254", "link-local"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.8", "reserved for protocols"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "6to4"),
            ("192.168.1.1", "private"),
            ("198.18.0.1", "benchmarking"),
            ("198.19.255.255", "benchmarking"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.9", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("::ffff:127.0.0.1", "IPv4-mapped"),
            ("::ffff:0:8.8.8.8", "IPv4-translated"),
            ("::8.8.8.8", "IPv4-compatible"),
            ("64:ff9b::808:808", "NAT64"),
            ("64:ff9b:1::1", "NAT64"),
            ("100::1", "discard"),
            ("fc00::1", "private"),
            ("fd12:3456::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("2001::1", "Teredo"),
            ("2001:2::1", "benchmarking"),
            ("2001:20::1", "reserved for protocols"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::1", "6to4"),
            ("3fff::1", "documentation"),
            ("2606:4700::5efe:10.0.0.1", "ISATAP"),
            ("2606:4700::200:5efe:8.8.8.8", "ISATAP"),
            ("64:ff9b::10.0.0.1", "NAT64"),
            ("64:ff9b:1:a00:0:100::", "NAT64"),
            ("4000::1", "outside the public space"),
            ("5f00::1", "outside the public space"),
        ];
        for (text, name) in refused {
            let reason = refusal(text.parse().unwrap()).unwrap_or("allowed");
            assert!(reason.contains(name), "{text}: expected {name}, got {reason}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "2606:4700::5efe",
            "2606:4700::5eff:10.0.0.1",
        ] {
            assert_eq!(refusal(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn what_is_public_by_number_and_inside_by_meaning_is_refused() {
        let inside = [
            "168.63.129.16",
            "161.26.0.10",
            "166.8.0.1",
            "166.11.255.255",
            "199.36.153.4",
            "199.36.153.11",
            "35.199.192.1",
            "35.199.223.255",
            "183.60.83.19",
            "183.60.82.98",
            "2600:2d00:2:1000::1",
            "2600:2d00:2:2000::1",
        ];
        for text in inside {
            assert_eq!(refusal(text.parse().unwrap()), Some(INSIDE_A_CLOUD), "{text}");
        }
        // Metadata services that a range refuses already: Alibaba, Oracle, AWS and Google by IPv6, the rest.
        for text in [
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "169.254.169.253",
            "169.254.170.2",
            "169.254.42.42",
            "169.254.0.23",
            "::ffff:168.63.129.16",
            "64:ff9b::a83f:8110",
            "2002:a83f:8110::1",
        ] {
            assert!(refusal(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "168.63.129.15",
            "168.63.129.17",
            "161.25.255.255",
            "161.27.0.0",
            "166.7.255.255",
            "166.12.0.0",
            "199.36.153.3",
            "199.36.153.12",
            "35.199.191.255",
            "35.199.224.0",
            "2600:2d00:2:3000::1",
        ] {
            assert_eq!(refusal(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn knows_its_own_addresses() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own(Ipv4Addr::new(8, 8, 8, 8).into()));
    }

    proptest! {
        /// The standard library's notions, where they are stable, never pass.
        #[test]
        fn agrees_with_the_standard_library_v4(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_unspecified()
                || address.is_documentation();
            prop_assert!(!special || v4_refusal(address).is_some());
        }

        /// No IPv4 address can be reached through an IPv6 form of it.
        #[test]
        fn no_way_round_through_v6(bits: u32) {
            let [a, b, c, d] = bits.to_be_bytes();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let v4 = Ipv4Addr::from_bits(bits);
            for v6 in [
                v4.to_ipv6_mapped(),
                v4.to_ipv6_compatible(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
                Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0x5efe, high, low),
                Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0x200, 0x5efe, high, low),
            ] {
                prop_assert!(v6_refusal(v6).is_some(), "{v6}");
            }
        }

        #[test]
        fn v6_is_closed_outside_global_unicast(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            prop_assert!(bits >> 125 == 1 || v6_refusal(address).is_some());
        }
    }
}
