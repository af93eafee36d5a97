//! Whom sshd lets in.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use tidegate_common::name::AccountName;

use super::Point;
use crate::paths::Paths;
use crate::sshd::{self, Lines, LogIn, Settings, lists, of_everybody};

const NAME: &str = "access";
const MEND: &str = "change that, then `systemctl reload ssh`";

/// What holds for every account.
pub fn of_all(settings: &Settings, lines: &Lines) -> Vec<Point> {
    let causes = of_everybody(settings, lines);
    let refused = causes
        .refuses
        .into_iter()
        .map(|why| Point::wrong(NAME, format!("no session can log in: {why}"), MEND));
    let altered = causes.alters.into_iter().map(|why| Point::warning(NAME, why, MEND));
    let mut points: Vec<Point> = refused.chain(altered).collect();
    let lists = lists(settings, lines);
    if points.is_empty() {
        points.push(match lists.is_empty() {
            true => Point::ok(NAME, "sshd keeps no account out by a list"),
            false => Point::ok(
                NAME,
                format!("sshd goes by {}; `doctor --account NAME` tells whom it lets in", lists.join(", ")),
            ),
        });
    }
    points
}

/// Whether sshd would let one in that the proxy logs in as.
pub fn of_one(paths: &Paths, account: &AccountName, proxy: &[IpAddr], port: u16) -> Vec<Point> {
    const NAME: &str = "account";
    let Some(from) = proxy.first().copied() else {
        let found = "where the proxy's connections come from is not known; its name resolves to nothing";
        return vec![Point::warning(NAME, found, "add --from ADDRESS")];
    };
    let to = towards(from).unwrap_or(from);
    let log_in =
        LogIn { account: account.clone(), from: SocketAddr::new(from, 0), to: SocketAddr::new(to, port) };
    let causes = log_in.examine(paths, &sshd::trust(paths));
    let refused = causes.refuses.into_iter();
    let refused =
        refused.map(|why| Point::wrong(NAME, format!("sshd does not let {account} in: {why}"), MEND));
    let altered = causes.alters.into_iter().map(|why| Point::warning(NAME, why, MEND));
    let points: Vec<Point> = refused.chain(altered).collect();
    match points.is_empty() {
        true => vec![Point::ok(NAME, format!("sshd lets {account} in from {from}"))],
        false => points,
    }
}

/// This host's address on the way to another; nothing is sent.
fn towards(other: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match other {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((other, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
