//! What the confined part can still do: nothing with files, networks and programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};
use std::time::Instant;

use nix::libc::{SIGKILL, SIGXCPU};
use nix::sys::resource::{Resource, getrlimit};

const INSIDE: &str = "TIDEGATE_TEST_CONFINED";

/// Runs a test once more in a process of its own, where it goes on: what it does is for good.
fn inside(test: &str) -> Output {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap()
}

#[test]
fn what_takes_more_than_its_time_is_ended() {
    if std::env::var_os(INSIDE).is_none() {
        let output = inside("what_takes_more_than_its_time_is_ended");
        let signal = output.status.signal();
        assert!([Some(SIGKILL), Some(SIGXCPU)].contains(&signal), "{:?}", output.status);
        return;
    }
    tidegate_video::confine::bound_time(1).unwrap();
    let began = Instant::now();
    while began.elapsed().as_secs() < 60 {}
}

#[test]
fn what_is_confined_opens_no_file_and_no_socket() {
    if std::env::var_os(INSIDE).is_none() {
        let output = inside("what_is_confined_opens_no_file_and_no_socket");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert!(std::fs::File::open("/etc/hostname").is_ok() && std::net::TcpStream::connect(address).is_ok());
    tidegate_video::confine::confine().unwrap();
    // Refused as if the kernel had no such call.
    let refused = |error: std::io::Error| {
        assert!(matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied), "{error}");
    };
    refused(std::fs::File::open("/etc/hostname").unwrap_err());
    refused(std::fs::write("/tmp/tidegate-confined", "x").unwrap_err());
    refused(std::net::TcpStream::connect(address).unwrap_err());
    refused(std::os::unix::net::UnixListener::bind("/tmp/tidegate-confined").unwrap_err());
    refused(std::net::UdpSocket::bind("127.0.0.1:0").unwrap_err());
    assert!(Command::new("/bin/true").spawn().is_err());
    // 2 GiB of memory, and no core dump of what a recording showed.
    assert_eq!(getrlimit(Resource::RLIMIT_AS).unwrap(), (2 << 30, 2 << 30));
    assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    // What it needs: memory, threads, clocks.
    let sum = std::thread::spawn(|| vec![1_u64; 1 << 20].iter().sum::<u64>());
    assert_eq!(sum.join().unwrap(), 1 << 20);
    assert!(Instant::now().elapsed().as_secs() < 60);
}
