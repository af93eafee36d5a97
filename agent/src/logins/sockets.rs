//! Both ends of a connection on this host: the sockets of a process, and the processes
//! that hold the socket at the other end, in whichever network namespace.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{SockaddrStorage, UnixAddr, getpeername, getsockname, getsockopt, sockopt};

use super::origin::is_socket;
use crate::sys;

/// Descriptors of one process that are looked at.
const MOST_DESCRIPTORS: usize = 64;
const MOST_OF_A_CLIENT: usize = 4096;

/// Network namespaces that are searched beside our own, and clients of one connection.
const MOST_SPACES: usize = 32;
const MOST_CLIENTS: usize = 16;

/// Connections of one namespace that are looked at.
const MOST_CONNECTIONS: usize = 262_144;

/// The kernel's number for a socket that waits for others (`TCP_LISTEN`).
const LISTEN: &str = "0A";

/// What a process is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Network {
        peer: SocketAddr,
        own: SocketAddr,
    },
    /// A socket of this host, on which it was called; by whom, if that process is known.
    Local {
        pid: Option<u32>,
    },
}

impl Ends {
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Network { peer, .. } => Some(*peer),
            Self::Local { .. } => None,
        }
    }
}

/// The connections of a process that it was called on or made over the network.
pub fn of_process(proc: &Path, pid: u32) -> Vec<Ends> {
    let directory = proc.join(pid.to_string());
    let Ok(descriptors) = fs::read_dir(directory.join("fd")) else { return Vec::new() };
    let links = descriptors.flatten().take(MOST_DESCRIPTORS);
    let links = links.filter_map(|entry| Some((entry.file_name(), fs::read_link(entry.path()).ok()?)));
    let sockets: Vec<(OsString, PathBuf)> = links.filter(|(_, to)| is_socket(to)).collect();
    let copies: Option<Vec<OwnedFd>> = sys::open_process(pid).ok().and_then(|process| {
        let copy = |name: &OsString| sys::copy_descriptor(&process, name.to_str()?.parse().ok()?).ok();
        sockets.iter().map(|(name, _)| copy(name)).collect()
    });
    if let Some(copies) = copies {
        return copies.iter().filter_map(ends).collect();
    }
    // A container may not copy them: the table has those of the network.
    let inodes: BTreeSet<u64> = sockets.iter().filter_map(|(_, to)| inode_of(to)).collect();
    let table = table(&directory.join("net"));
    let own = table.into_iter().filter(|(.., inode)| inodes.contains(inode));
    own.map(|(own, peer, _)| Ends::Network { peer, own }).collect()
}

fn ends(socket: &OwnedFd) -> Option<Ends> {
    let peer: SockaddrStorage = getpeername(socket.as_raw_fd()).ok()?;
    if let (Some(peer), Ok(own)) = (network(&peer), getsockname::<SockaddrStorage>(socket.as_raw_fd())) {
        return Some(Ends::Network { peer, own: network(&own)? });
    }
    // One with a name of its own was called; those of the log and the bus have none.
    let own: UnixAddr = getsockname(socket.as_raw_fd()).ok()?;
    own.path().or_else(|| own.as_abstract().map(|_| Path::new("")))?;
    let who = getsockopt(socket, sockopt::PeerCredentials).ok()?;
    Some(Ends::Local { pid: u32::try_from(who.pid()).ok().filter(|pid| *pid > 0) })
}

/// What /proc/PID/fd says of a socket: `socket:[4711]`.
fn inode_of(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn network(address: &SockaddrStorage) -> Option<SocketAddr> {
    let four = address.as_sockaddr_in().map(|four| SocketAddr::from((four.ip(), four.port())));
    four.or_else(|| address.as_sockaddr_in6().map(|six| (six.ip().to_canonical(), six.port()).into()))
}

/// Processes of this host that hold the other end of a connection: whose own address is
/// `peer`, and which may have called another address than the one that answered.
pub fn clients(proc: &Path, peer: SocketAddr, own: SocketAddr) -> BTreeSet<u32> {
    for space in spaces(proc) {
        let inodes = inodes(&space, peer, own);
        if !inodes.is_empty() {
            return holders(proc, &inodes);
        }
    }
    BTreeSet::new()
}

/// A process's view of each network namespace; ours first.
fn spaces(proc: &Path) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let ours = proc.join("self");
    seen.extend(fs::read_link(ours.join("ns/net")));
    let mut spaces = vec![ours.join("net")];
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    for process in processes.filter(|entry| entry.file_name().to_str().is_some_and(is_number)) {
        let Ok(space) = fs::read_link(process.path().join("ns/net")) else { continue };
        if seen.insert(space) && spaces.len() <= MOST_SPACES {
            spaces.push(process.path().join("net"));
        }
    }
    spaces
}

fn inodes(space: &Path, peer: SocketAddr, own: SocketAddr) -> BTreeSet<u64> {
    let mut loose = BTreeSet::new();
    for (_, remote, inode) in table(space).into_iter().filter(|(local, ..)| *local == peer) {
        if remote == own {
            return BTreeSet::from([inode]);
        }
        loose.insert(inode);
    }
    loose
}

/// The connections of a network namespace.
fn table(space: &Path) -> Vec<(SocketAddr, SocketAddr, u64)> {
    let read_all = |file: &str| fs::read_to_string(space.join(file)).unwrap_or_default();
    let texts = ["tcp", "tcp6"].map(read_all);
    texts.iter().flat_map(|text| text.lines().skip(1).take(MOST_CONNECTIONS).filter_map(read)).collect()
}

/// A connection's own address, the other end's and its inode (proc(5)).
fn read(line: &str) -> Option<(SocketAddr, SocketAddr, u64)> {
    let mut fields = line.split_whitespace().skip(1);
    let (own, peer) = (address(fields.next()?)?, address(fields.next()?)?);
    if fields.next()? == LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok().filter(|inode| *inode != 0)?;
    Some((own, peer, inode))
}

/// Words of 32 bits, each in the host's own order, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |place: usize| u32::from_str_radix(address.get(place * 8..place * 8 + 8)?, 16).ok();
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?.to_ne_bytes()).into(),
        32 => {
            let mut all = [0u8; 16];
            for (place, chunk) in all.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(place)?.to_ne_bytes());
            }
            Ipv6Addr::from(all).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Who holds one of these sockets. The youngest are asked first: a client is no older than
/// its login.
fn holders(proc: &Path, inodes: &BTreeSet<u64>) -> BTreeSet<u32> {
    let links: BTreeSet<PathBuf> = inodes.iter().map(|inode| format!("socket:[{inode}]").into()).collect();
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable_by(|one, other| other.cmp(one));
    let holds = |pid: &u32| {
        let open = fs::read_dir(proc.join(pid.to_string()).join("fd")).into_iter().flatten().flatten();
        open.take(MOST_OF_A_CLIENT).any(|fd| fs::read_link(fd.path()).is_ok_and(|to| links.contains(&to)))
    };
    pids.into_iter().filter(holds).take(MOST_CLIENTS).collect()
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an address is one of this host's.
pub fn is_ours(peer: SocketAddr) -> bool {
    let addresses = getifaddrs().into_iter().flatten().filter_map(|one| one.address);
    peer.ip().is_loopback()
        || addresses.filter_map(|address| network(&address)).any(|address| address.ip() == peer.ip())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn proc() -> &'static Path {
        Path::new("/proc")
    }

    #[test]
    fn the_process_at_the_other_end_of_a_connection_is_found() {
        for at in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(at) else {
                println!("SKIPPED: {at} cannot be listened on here");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let to =
                if at.starts_with("[::1]") { format!("[::1]:{port}") } else { format!("127.0.0.1:{port}") };
            let client = TcpStream::connect(to).unwrap();
            let (served, _) = listener.accept().unwrap();
            let peer = client.local_addr().unwrap();
            let all = of_process(proc(), std::process::id());
            let ends = all.iter().find(|ends| matches!(ends, Ends::Network { peer: of, .. } if *of == peer));
            let Some(Ends::Network { own, .. }) = ends else { panic!("{peer} is not among {all:?}") };
            assert_eq!(clients(proc(), peer, *own), BTreeSet::from([std::process::id()]));
            assert!(is_ours(peer));
            drop((client, served));
        }
        assert!(!is_ours("192.0.2.1:22".parse().unwrap()));
        let (peer, own) = ("192.0.2.1:5".parse().unwrap(), "192.0.2.2:22".parse().unwrap());
        assert!(clients(proc(), peer, own).is_empty());
    }

    #[test]
    fn who_called_a_socket_of_the_host_is_known_and_who_only_calls_is_not_asked() {
        let scratch = crate::test::Scratch::new();
        let path = scratch.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let local = || {
            let all = of_process(proc(), std::process::id());
            all.into_iter().filter(|ends| matches!(ends, Ends::Local { .. })).collect::<Vec<_>>()
        };
        assert_eq!(local(), [], "the client's end has no name");
        let _served = listener.accept().unwrap();
        assert_eq!(local(), [Ends::Local { pid: Some(std::process::id()) }]);
        drop(client);
    }
}
