//! What one session may hold open at once: 128 channels, 16 listeners.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::forwards::{connect, exchange, free_port};
use crate::needs_devices;
use crate::pier::Pier;
use crate::scene::text;
use crate::support::{Scratch, random_bytes};

const CHANNELS: usize = 128;
const LISTENERS: usize = 16;

/// Asks ssh's SOCKS for a port of the device (RFC 1928); `None` when the gate refuses it.
fn socks(at: u16, port: &str) -> Option<TcpStream> {
    let mut stream = connect(at);
    stream.write_all(&[5, 1, 0]).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
    let port: u16 = port.parse().unwrap();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1]).unwrap();
    stream.write_all(&port.to_be_bytes()).unwrap();
    stream.read_exact(&mut [0; 10]).ok().map(|()| stream)
}

/// Whether a byte comes back.
fn lives(stream: &mut TcpStream) -> bool {
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

#[test]
fn a_dynamic_forward_carries_every_byte_and_one_channel_over_the_bound_is_refused_and_logged() {
    needs_devices!();
    let pier = Pier::new("pier-socks", "\"local\"");
    let (service, port) = pier.echo(&[]);
    let here = free_port();
    let mut ssh = pier
        .ssh(&["-N", "-D", &format!("127.0.0.1:{here}")], &[])
        .within(Duration::from_secs(240))
        .start()
        .unwrap();
    let sent = random_bytes(3_000_001);
    let back = exchange(socks(here, &port).expect("the gate opens it"), &sent);
    assert!(back == sent, "{} bytes came back", back.len());
    let closed = pier.logged("direct-tcpip", "forward-closed", &port);
    assert_eq!(closed.get("bytes_in").and_then(serde_json::Value::as_u64), Some(3_000_001), "{closed}");

    let mut held: Vec<TcpStream> = Vec::new();
    for number in 1..=CHANNELS {
        let mut stream = socks(here, &port).unwrap_or_else(|| panic!("{number}: {}", ssh.stderr_so_far()));
        assert!(lives(&mut stream), "{number}");
        held.push(stream);
    }
    assert!(socks(here, &port).is_none_or(|mut stream| !lives(&mut stream)), "one over the bound is open");
    let why = "this session has 128 channels open, the most there may be; close one first";
    wait::until_true("ssh says why", PATIENCE, || ssh.stderr_so_far().contains(why)).unwrap();
    let refused = pier.logged("direct-tcpip", "forward-refused", &port);
    assert_eq!(text(&refused, "why"), why);
    assert!(held.iter_mut().all(lives), "the others stay");

    // One less, and one more fits again.
    held.pop();
    let again = wait::until("a channel is free", PATIENCE, || {
        socks(here, &port).filter(|stream| lives(&mut stream.try_clone().unwrap()))
    });
    held.push(again.unwrap());
    assert!(ssh.is_running() && held.iter_mut().all(lives));
    ssh.kill().unwrap();
    service.kill().unwrap();
}

#[test]
fn one_listener_over_the_bound_is_refused_and_logged_and_the_others_stay() {
    needs_devices!();
    let pier = Pier::new("pier-listeners", "\"remote\"");
    let scratch = Scratch::new("listeners");
    let control = format!("ControlPath={}", scratch.path("master").display());
    let master = pier.ssh(&["-N", "-M", "-o", &control], &[]).start().unwrap();
    wait::until_true("the master is up", PATIENCE, || scratch.path("master").exists()).unwrap();
    let ask = |word: &str, number: usize| {
        let from = format!("/tmp/{}-{number}:127.0.0.1:9", pier.name);
        pier.ssh(&["-o", &control, "-O", word, "-R", &from], &[]).run().unwrap()
    };
    for number in 1..=LISTENERS {
        let done = ask("forward", number);
        assert!(done.success(), "{number}: {}", done.all());
    }
    let over = ask("forward", LISTENERS + 1);
    assert!(!over.success(), "{}", over.all());
    let refused = pier.logged("streamlocal-forward", "forward-refused", &format!("-{}", LISTENERS + 1));
    assert_eq!(text(&refused, "why"), "the session has 16 listeners, the most there may be");
    // One less, and one more fits again.
    assert!(ask("cancel", 1).success());
    let again = ask("forward", LISTENERS + 2);
    assert!(again.success(), "{}", again.all());
    master.kill().unwrap();
}
