//! Where a peer comes from. A listener on `[::]` takes IPv4 too and shows such peers as
//! `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2); every listener gives that form up at accept, so that
//! limits, lists, records and pages know one address by one name.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use tidegate_common::model::Network;

/// NAT64's well-known prefix (RFC 6052): the last 32 bits are an IPv4 host's.
const NAT64: u128 = 0x0064_ff9b << 96;

/// A peer's address as the rest of the program knows it.
pub fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// What counts as one source: an IPv4 address, also behind a translator, or an IPv6 host's
/// /64, which it has whole to come from.
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if u128::from(six) >> 32 == NAT64 >> 32 => six.into(),
        IpAddr::V6(six) => Ipv6Addr::from(u128::from(six) >> 64 << 64).into(),
        four @ IpAddr::V4(_) => four,
    }
}

/// Whether `address` is in a comma-separated list of addresses and CIDR networks
/// (OpenSSH's PROTOCOL.certkeys, `source-address`). As for sshd, a list with an entry that
/// can't be read holds nobody. An IPv4 network may be written as IPv6, `::ffff:10.0.0.0/104`;
/// a translator's address (NAT64) is never taken for the IPv4 address in it, which its
/// network could make up.
pub fn is_in(address: IpAddr, list: &str) -> bool {
    let networks: Option<Vec<Network>> = list.split(',').map(|one| one.trim().parse().ok()).collect();
    networks.is_some_and(|networks| networks.iter().any(|network| network.holds(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv4_peer_has_one_name_whichever_listener_took_it() {
        let peer: SocketAddr = "[::ffff:10.99.0.1]:4022".parse().unwrap();
        assert_eq!(canonical(peer).to_string(), "10.99.0.1:4022");
        for same in ["10.99.0.1:4022", "[2001:db8::1]:4022"] {
            assert_eq!(canonical(same.parse().unwrap()).to_string(), same);
        }
    }

    #[test]
    fn each_ipv4_host_is_a_source_of_its_own_and_each_slash_64_is_one() {
        for (one, other) in [
            ("::ffff:10.99.0.1", "::ffff:10.99.0.2"),
            ("10.99.0.1", "10.99.0.2"),
            ("64:ff9b::10.99.0.1", "64:ff9b::10.99.0.2"),
            ("2001:db8:0:1::1", "2001:db8:0:2::1"),
        ] {
            assert_ne!(source(ip(one)), source(ip(other)));
        }
        for (one, other) in [("::ffff:10.99.0.1", "10.99.0.1"), ("2001:db8::1", "2001:db8::ffff:1")] {
            assert_eq!(source(ip(one)), source(ip(other)));
        }
    }

    #[test]
    fn a_source_address_list_takes_addresses_and_networks() {
        for list in [
            "10.1.2.3",
            "192.0.2.1,10.0.0.0/8",
            "10.1.2.3/32",
            "0.0.0.0/0",
            "::ffff:10.1.2.3",
            "::ffff:10.0.0.0/104",
            "::ffff:0:0/96",
        ] {
            assert!(is_in(ip("10.1.2.3"), list), "{list}");
            assert!(is_in(ip("::ffff:10.1.2.3"), list), "{list}");
        }
        for list in [
            "",
            "10.1.2.4",
            "10.2.0.0/16",
            "10.1.2.3,garbage",
            "10.0.0.0/x",
            "10.1.2.3/33",
            "10.1.2.3/8",
            "::/0",
            "::ffff:10.0.0.0/64",
        ] {
            assert!(!is_in(ip("10.1.2.3"), list), "{list}");
        }
        for list in ["2001:db8::/32", "2001:db8::7", "::/0", "10.0.0.0/8,2001:db8::/32"] {
            assert!(is_in(ip("2001:db8::7"), list), "{list}");
        }
        for list in ["2001:db9::/32", "0.0.0.0/0", "2001:db8::7/129"] {
            assert!(!is_in(ip("2001:db8::7"), list), "{list}");
        }
        assert!(!is_in(ip("64:ff9b::10.1.2.3"), "10.0.0.0/8"));
    }
}
