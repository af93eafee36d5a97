//! Sockets that listen, from /proc/net (proc(5)), those of TCP from sock_diag(7).

mod diag;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tidegate_common::residue::FindingKind;

use super::snapshot::{Item, Key, Mark, Snapshot};

/// The kernel's numbers for the states that wait for others: `TCP_LISTEN`, and an
/// unconnected UDP socket's `TCP_CLOSE`.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// Sockets looked at in one of the tables.
const MOST: usize = 4096;

/// One that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    pub protocol: &'static str,
    pub address: SocketAddr,
    pub uid: u32,
    pub inode: u64,
}

/// Those of a table's text.
pub fn parse(protocol: &'static str, text: &str) -> Vec<Listening> {
    let state = if protocol == "tcp" { LISTEN } else { UNCONNECTED };
    let lines = text.lines().skip(1).take(MOST);
    lines.filter_map(|line| parse_line(protocol, state, line)).collect()
}

fn parse_line(protocol: &'static str, state: &str, line: &str) -> Option<Listening> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    let _remote = fields.next()?;
    if fields.next()? != state {
        return None;
    }
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    let address = SocketAddr::new(parse_address(address)?, u16::from_str_radix(port, 16).ok()?);
    Some(Listening { protocol, address, uid, inode })
}

/// Words of 32 bits, each in the host's own order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |place: usize| u32::from_str_radix(text.get(place * 8..place * 8 + 8)?, 16).ok();
    let bytes = |place: usize| word(place).map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(bytes(0)?).into()),
        32 => {
            let mut all = [0u8; 16];
            for (place, chunk) in all.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&bytes(place)?);
            }
            Some(Ipv6Addr::from(all).into())
        }
        _ => None,
    }
}

/// Adds the host's to a picture. A UDP socket on an ephemeral port is how a program
/// asks somebody else, and is left out.
pub fn gather(proc: &Path, snapshot: &mut Snapshot) {
    let place: Arc<str> = "/proc/net".into();
    let ephemeral =
        std::fs::read_to_string(proc.join("sys/net/ipv4/ip_local_port_range")).unwrap_or_default();
    let lowest = ephemeral.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32768u16);
    let table = |protocol, file: &str| {
        parse(protocol, &std::fs::read_to_string(proc.join("net").join(file)).unwrap_or_default())
    };
    let quick = if proc == Path::new("/proc") { diag::listening().ok() } else { None };
    let tcp = quick.unwrap_or_else(|| [table("tcp", "tcp"), table("tcp", "tcp6")].concat());
    for listening in [tcp, table("udp", "udp"), table("udp", "udp6")] {
        for one in listening {
            let protocol = one.protocol;
            if protocol == "udp" && one.address.port() >= lowest {
                continue;
            }
            let mut digest = [0; 16];
            digest.iter_mut().zip(one.uid.to_le_bytes()).for_each(|(to, from)| *to = from);
            let key = Key { kind: FindingKind::Socket, what: format!("{protocol} {}", one.address) };
            let detail = format!("socket:[{}]", one.inode);
            let mark = Mark::Digest(digest);
            snapshot
                .items
                .insert(key, Item { mark, changed: None, place: Arc::clone(&place), detail, stat: None });
        }
    }
}

/// Who has the socket that a finding's detail names: `sshd, process 4711`.
pub fn owner(proc: &Path, socket: &str) -> String {
    let processes = std::fs::read_dir(proc).into_iter().flatten().flatten();
    for process in processes {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let open = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        if open.take(4096).any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == Path::new(socket))) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let mut owner = String::new();
            let _ = write!(owner, "{}, process {pid}", name.trim());
            return owner;
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_that_listen_are_read_and_others_are_not() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 x\n   \
            1: 0100007F:0016 0200007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 x\n";
        let address = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(parse("tcp", text), [Listening { protocol: "tcp", address, uid: 1000, inode: 4711 }]);
        let six = "h\n 0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 5 2";
        assert_eq!(parse("udp", six)[0].address, "[::1]:53".parse().unwrap());
    }

    #[test]
    fn a_listener_of_our_own_is_found_with_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut snapshot = Snapshot::default();
        gather(Path::new("/proc"), &mut snapshot);
        let what = format!("tcp {}", listener.local_addr().unwrap());
        let item = snapshot.items.get(&Key { kind: FindingKind::Socket, what }).unwrap();
        let owner = owner(Path::new("/proc"), &item.detail);
        assert!(owner.ends_with(&format!("process {}", std::process::id())), "{owner}");
    }
}
