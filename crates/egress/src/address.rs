//! Which addresses a script may reach: the public ones, and what the operator
//! adds to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Whether the address is one of the public internet, or in `private`.
///
/// An IPv6 address that means an IPv4 address is judged as that one.
pub(crate) fn may_be_reached(address: IpAddr, private: &[IpNet]) -> bool {
    let address = address.to_canonical();
    let is_public = match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    };
    is_public || private.iter().any(|network| network.contains(&address))
}

/// By the registries of special-purpose addresses, RFC 6890 and its updates.
#[expect(clippy::unnested_or_patterns, reason = "a line per entry of the registry")]
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, ..)                // this network, private use, loopback
            | (100, 64..=127, _)          // shared by carriers
            | (169, 254, _)               // link-local, and clouds' metadata
            | (172, 16..=31, _)           // private use
            | (192, 0, 0 | 2)             // protocol assignments, documentation
            | (192, 88, 99)               // 6to4 relays
            | (192, 168, _)               // private use
            | (198, 18 | 19, _)           // benchmarking
            | (198, 51, 100)              // documentation
            | (203, 0, 113)               // documentation
            | (224.., ..) // multicast, reserved, broadcast
    )
}

/// Only global unicast, and of it nothing that leads on to an IPv4 address:
/// who may reach that can do so directly.
#[expect(clippy::unnested_or_patterns, reason = "a line per entry of the registry")]
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_global_unicast = a & 0xe000 == 0x2000;
    let is_special = matches!(
        (a, b),
        (0x2001, 0..=0x01ff)              // protocol assignments, Teredo among them
            | (0x2001, 0x0db8)            // documentation
            | (0x2002, _)                 // 6to4
            | (0x3fff, 0..=0x0fff) // documentation
    );
    is_global_unicast && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_internet_can_be_reached_and_nothing_else() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "169.253.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
        ] {
            assert!(may_be_reached(public.parse().unwrap(), &[]), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:7f00:1::",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!may_be_reached(special.parse().unwrap(), &[]), "{special}");
        }
    }

    #[test]
    fn the_operator_can_open_a_network() {
        let private = ["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for open in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1"] {
            assert!(may_be_reached(open.parse().unwrap(), &private), "{open}");
        }
        for closed in ["10.0.0.1", "::1", "fe80::1", "169.254.169.254"] {
            assert!(!may_be_reached(closed.parse().unwrap(), &private), "{closed}");
        }
    }
}
