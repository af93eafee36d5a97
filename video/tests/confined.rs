//! What the confined part can still do: nothing with files, networks and programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::io::ErrorKind;
use std::process::Command;

const INSIDE: &str = "TIDEGATE_TEST_CONFINED";

#[test]
fn what_is_confined_opens_no_file_and_no_socket() {
    if std::env::var_os(INSIDE).is_none() {
        // In a process of its own, for it is for good; there this test goes on below.
        let name = "what_is_confined_opens_no_file_and_no_socket";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
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
    // What it needs: memory, threads, clocks.
    let sum = std::thread::spawn(|| vec![1_u64; 1 << 20].iter().sum::<u64>());
    assert_eq!(sum.join().unwrap(), 1 << 20);
    assert!(std::time::Instant::now().elapsed().as_secs() < 60);
}
