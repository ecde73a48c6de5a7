//! URLs as a tenant or a page writes them, and the addresses behind them: what the
//! guard lets through is held against the standard library's own idea of the inside.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use teamai::egress::fuzz;

fn inside_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_unspecified()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
}

fn inside_v6(ip: Ipv6Addr) -> bool {
    let first = ip.segments()[0];
    let embedded = ip.to_ipv4().or_else(|| {
        let s = ip.segments();
        let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
        match first {
            0x2002 => Some(v4(s[1], s[2])),
            0x64 if s[1] == 0xff9b => Some(v4(s[6], s[7])),
            _ => None,
        }
    });
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfe80
        || (first == 0x2001 && ip.segments()[1] == 0)
        || embedded.is_some_and(inside_v4)
}

fn inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => inside_v4(v4),
        IpAddr::V6(v6) => inside_v6(v6),
    }
}

fuzz_target!(|data: &[u8]| {
    if let Some(bytes) = data.first_chunk::<16>() {
        let v6 = Ipv6Addr::from(*bytes);
        assert!(!fuzz::is_public(v6.into()) || !inside_v6(v6), "{v6}");
    }
    if let Some(bytes) = data.first_chunk::<4>() {
        let v4 = Ipv4Addr::from(*bytes);
        assert!(!fuzz::is_public(v4.into()) || !inside_v4(v4), "{v4}");
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(ip) = fuzz::literal_let_through(text)
    {
        assert!(!inside(ip), "{text} reaches {ip}");
    }
});
