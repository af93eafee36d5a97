//! An address, or all that begin like it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::as_text::as_text;

/// An address or a CIDR network, with nothing behind its bits (RFC 4632): what OpenSSH takes
/// in a certificate's `source-address` (PROTOCOL.certkeys). An IPv4 network may be written as
/// IPv6, `::ffff:10.0.0.0/104`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(Bits);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bits {
    Four(Ipv4Addr, u32),
    Six(Ipv6Addr, u32),
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no IP address and no network like 192.0.2.0/24, with zeros behind its bits")]
pub struct NetworkError(String);

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.0, address.to_canonical()) {
            (Bits::Four(base, length), IpAddr::V4(address)) => {
                let apart = u32::from(base) ^ u32::from(address);
                apart.checked_shr(32 - length).unwrap_or(0) == 0
            }
            (Bits::Six(base, length), IpAddr::V6(address)) => {
                let apart = u128::from(base) ^ u128::from(address);
                apart.checked_shr(128 - length).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(Bits::Four(address, 32)),
            IpAddr::V6(address) => Self(Bits::Six(address, 128)),
        }
    }
}

fn read(text: &str) -> Option<Bits> {
    let (base, length) = match text.split_once('/') {
        Some((base, length)) => (base, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let base: IpAddr = base.parse().ok()?;
    let length = length.unwrap_or(if base.is_ipv4() { 32 } else { 128 });
    let (base, length) = match (base, base.to_canonical()) {
        (IpAddr::V6(_), four @ IpAddr::V4(_)) => (four, length.checked_sub(96)?),
        (base, _) => (base, length),
    };
    match base {
        IpAddr::V4(base) if length <= 32 => {
            let rest = u32::from(base).checked_shl(length).unwrap_or(0);
            (rest == 0).then_some(Bits::Four(base, length))
        }
        IpAddr::V6(base) if length <= 128 => {
            let rest = u128::from(base).checked_shl(length).unwrap_or(0);
            (rest == 0).then_some(Bits::Six(base, length))
        }
        _ => None,
    }
}

impl FromStr for Network {
    type Err = NetworkError;
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let shown = || crate::unseen::quoted(text, 64);
        read(text).map(Self).ok_or_else(|| NetworkError(shown()))
    }
}

as_text!(Network);

/// One of all bits is shown as the address that it is.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Bits::Four(base, 32) => write!(f, "{base}"),
            Bits::Six(base, 128) => write!(f, "{base}"),
            Bits::Four(base, length) => write!(f, "{base}/{length}"),
            Bits::Six(base, length) => write!(f, "{base}/{length}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_written_as_it_is_read_and_one_with_a_host_in_it_is_none() {
        for text in ["192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::7", "2001:db8::/32", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert_eq!("::ffff:10.0.0.0/104".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        for text in [
            "",
            "192.0.2.7/24",
            "192.0.2.0/33",
            "2001:db8::7/64",
            "::/129",
            "db01",
            "192.0.2.0/x",
            "!192.0.2.0",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn it_holds_what_begins_like_it() {
        let holds = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().holds(address.parse().unwrap())
        };
        assert!(holds("192.0.2.0/24", "192.0.2.255") && holds("192.0.2.0/24", "::ffff:192.0.2.1"));
        assert!(holds("0.0.0.0/0", "10.1.2.3") && holds("::/0", "2001:db8::1"));
        assert!(
            !holds("192.0.2.0/24", "192.0.3.0") && !holds("::/0", "10.1.2.3") && !holds("0.0.0.0/0", "::1")
        );
    }
}
