//! TCP's listening sockets by sock_diag(7). /proc/net/tcp walks every connection's place
//! in the kernel's table, which takes milliseconds on an idle host, and a grant waits
//! beside it; a dump of one state walks the listeners only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

use super::{Listening, MOST};

/// linux/netlink.h and linux/sock_diag.h
const ERROR: u16 = 2;
const DONE: u16 = 3;
const BY_FAMILY: u16 = 20;
const DUMP: u16 = 0x301;
const HEADER: usize = 16;

/// struct inet_diag_req_v2 and struct inet_diag_msg, in bytes
const REQUEST: usize = 56;
const ANSWER: usize = 72;

/// The state that waits for others, as a bit.
const LISTEN: u32 = 1 << 10;

/// All of the network namespace that this thread is in.
///
/// # Errors
/// When the kernel has no such dump, or not for us.
pub fn listening() -> io::Result<Vec<Listening>> {
    let mut all = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        dump(u8::try_from(family).unwrap_or_default(), &mut all)?;
    }
    Ok(all)
}

fn dump(family: u8, all: &mut Vec<Listening>) -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(1, 0))?;
    let mut ask = Vec::with_capacity(HEADER + REQUEST);
    ask.extend(u32::try_from(HEADER + REQUEST).unwrap_or_default().to_ne_bytes());
    ask.extend([BY_FAMILY.to_ne_bytes(), DUMP.to_ne_bytes()].concat());
    ask.extend([0; 8]);
    ask.extend([family, u8::try_from(libc::IPPROTO_TCP).unwrap_or_default(), 0, 0]);
    ask.extend(LISTEN.to_ne_bytes());
    ask.resize(HEADER + REQUEST, 0);
    sendto(socket.as_raw_fd(), &ask, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let count = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..count).unwrap_or_default();
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => {
                    let code = body.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                _ => all.extend(read(body).filter(|_| all.len() < MOST)),
            }
            rest = after;
        }
    }
}

/// The first message: its kind, its body and what comes after it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, after))
}

fn read(body: &[u8]) -> Option<Listening> {
    let body = body.get(..ANSWER)?;
    let word = |place: usize| Some(u32::from_ne_bytes(*body.get(place..)?.first_chunk()?));
    let port = u16::from_be_bytes(*body.get(4..)?.first_chunk()?);
    let address: IpAddr = match i32::from(*body.first()?) {
        libc::AF_INET => Ipv4Addr::from(*body.get(8..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*body.get(8..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(Listening {
        protocol: "tcp",
        address: SocketAddr::new(address, port),
        uid: word(64)?,
        inode: word(68)?.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_as_proc_has_it_and_a_connection_is_none() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at) else {
                println!("SKIPPED: {at} cannot be listened on here");
                continue;
            };
            let address = listener.local_addr().unwrap();
            let client = std::net::TcpStream::connect(address).unwrap();
            let all = listening().unwrap();
            let of = |address| all.iter().filter(|one| one.address == address).cloned().collect::<Vec<_>>();
            let found = of(address);
            let file = if address.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
            let table = super::super::parse("tcp", &std::fs::read_to_string(file).unwrap());
            let expected: Vec<_> = table.into_iter().filter(|one| one.address == address).collect();
            assert_eq!(found, expected);
            assert_eq!((found.len(), of(client.local_addr().unwrap()).len()), (1, 0));
        }
    }

    #[test]
    fn bytes_that_are_cut_or_none_of_the_kernels_are_left_out() {
        assert!(
            message(&[]).is_none() && message(&[8, 0, 0, 0, 20, 0]).is_none() && read(&[2; 71]).is_none()
        );
        assert!(message(&[255; 64]).is_none() && read(&[9; 72]).is_none());
    }
}
