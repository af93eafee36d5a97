//! Forwards of ports, sockets, windows and agents: what a group allows opens, carries
//! every byte, is told to the log and marked in the recording, and ends with its session.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use serde_json::Value;
use tidegate_common::digest::Digest;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Run, Running};
use tidegate_tests::wait;

use crate::needs_devices;
use crate::pier::Pier;
use crate::scene::text;
use crate::support::{Scratch, random_bytes};

const MUCH: usize = 8 * 1024 * 1024;

/// On the device: sends its standard input to a port and prints what comes back.
const SEND: &str = r#"
use IO::Socket::INET; my $to = IO::Socket::INET->new("127.0.0.1:" . shift) or die "refused: $@";
unless (fork) {
    while (sysread(STDIN, my $bytes, 65536)) {
        while (length $bytes) { my $n = syswrite($to, $bytes) // exit 1; substr($bytes, 0, $n) = ""; }
    }
    shutdown($to, 1); exit 0;
}
while (sysread($to, my $bytes, 65536)) { syswrite(STDOUT, $bytes); }
"#;

/// A port of this machine that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn connect(port: u16) -> TcpStream {
    let stream = wait::until("the client listens", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).ok());
    let stream = stream.unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends all and reads to the end.
pub fn exchange(mut stream: TcpStream, sent: &[u8]) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    let bytes = sent.to_vec();
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    back
}

/// Sends back what each connection sends, for as long as the test runs.
fn echo_here() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut &stream));
        }
    });
    port
}

#[test]
fn a_local_forward_carries_every_byte_both_ways_and_is_logged_and_marked_in_the_recording() {
    needs_devices!();
    let pier = Pier::new("pier-local", "\"local\"");
    let (service, port) = pier.echo(&[]);
    let to = format!("127.0.0.1:{port}");
    let sent = random_bytes(MUCH);
    for through in [pier.ssh(&["-W", &to], &[]), pier.jump(&["-W", &to], &[])] {
        let done = through.stdin(sent.clone()).ok().unwrap();
        assert!(done.stdout == sent, "{} bytes came back: {}", done.stdout.len(), done.err());
        pier.logged("direct-tcpip", "forward-opened", &to);
        let closed = pier.logged("direct-tcpip", "forward-closed", &to);
        let bytes = |field| closed.get(field).and_then(Value::as_u64).unwrap();
        assert_eq!((bytes("bytes_in"), bytes("bytes_out")), (MUCH as u64, MUCH as u64), "{closed}");
        let recording = pier.recording();
        assert!(recording.contains(&format!("direct-tcpip to {to} from ")), "{recording}");
        assert_eq!(recording.matches(&Digest::of(&sent).to_string()).count(), 2, "{recording}");
        assert!(recording.len() < 64 * 1024, "the content is not kept");
    }
    service.kill().unwrap();
}

#[test]
fn a_local_port_leads_to_a_port_or_a_socket_of_the_device() {
    needs_devices!();
    let pier = Pier::new("pier-ports", "\"local\"");
    let path = format!("/tmp/pier-{}", std::process::id());
    let (to_port, port) = pier.echo(&[]);
    let (to_socket, _) = pier.echo(&[&path]);
    let (one, two, three) = (free_port(), free_port(), free_port());
    let mut ssh = pier
        .ssh(
            &[
                "-N",
                "-L",
                &format!("127.0.0.1:{one}:127.0.0.1:{port}"),
                "-L",
                &format!("127.0.0.1:{two}:{path}"),
                "-L",
                &format!("127.0.0.1:{three}:127.0.0.1:1"),
            ],
            &[],
        )
        .start()
        .unwrap();
    let sent = random_bytes(1_000_001);
    assert!(exchange(connect(one), &sent) == sent);
    assert!(exchange(connect(two), &sent) == sent);
    // Several at once, each with its own bytes.
    let many: Vec<_> = (0..6)
        .map(|_| {
            thread::spawn(move || {
                let sent = random_bytes(300_000);
                exchange(connect(one), &sent) == sent
            })
        })
        .collect();
    assert!(many.into_iter().all(|one| one.join().unwrap()));
    // Where nobody listens the client is told, and the forward stays.
    assert!(exchange(connect(three), b"").is_empty());
    wait::until_true("ssh says why", PATIENCE, || ssh.stderr_so_far().contains("nothing answers there"))
        .unwrap();
    assert!(exchange(connect(one), &sent) == sent && ssh.is_running());
    pier.logged("direct-streamlocal", "forward-closed", &path);
    for running in [ssh, to_port, to_socket] {
        running.kill().unwrap();
    }
}

#[test]
fn a_forward_that_the_group_does_not_allow_is_refused_with_the_reason_and_logged() {
    needs_devices!();
    let pier = Pier::new("pier-none", "");
    let local = pier.ssh(&["-W", "127.0.0.1:22"], &[]).run().unwrap();
    let why = "access group `pier-none` does not allow";
    assert!(!local.success() && local.out().is_empty(), "{}", local.all());
    assert!(local.err().contains("administratively prohibited"), "{}", local.all());
    assert!(local.err().contains(&format!("{why} local forwards")), "{}", local.all());
    let refused = pier.logged("direct-tcpip", "forward-refused", "127.0.0.1:22");
    assert_eq!(text(&refused, "why"), format!("{why} local forwards"));
    let remote = pier.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9"], &["id"]).run().unwrap();
    assert!(!remote.success() && !remote.out().contains("uid="), "{}", remote.all());
    pier.logged("tcpip-forward", "forward-refused", ":0");
    let windows = pier.ssh(&["-Y"], &["echo [$DISPLAY]"]).run().unwrap();
    assert_eq!(windows.out(), "[]\n", "{}", windows.all());
    assert!(windows.err().contains("X11 forwarding request failed"), "{}", windows.all());
    pier.logged("x11", "forward-refused", "display");
    // The twin: the same group, allowing it.
    pier.allow("\"local\"");
    assert!(pier.ssh(&["-W", "127.0.0.1:22"], &[]).run().unwrap().out().contains("SSH-2.0"));
}

#[test]
fn a_connection_that_the_device_can_not_make_is_asked_for_and_fails_in_the_log_and_never_opens() {
    needs_devices!();
    let pier = Pier::new("pier-shut", "\"local\"");
    // Nothing listens there.
    let to = "127.0.0.1:1";
    let shut = pier.ssh(&["-W", to], &[]).run().unwrap();
    assert!(!shut.success() && shut.out().is_empty(), "{}", shut.all());
    let session = text(&pier.logged("direct-tcpip", "forward-closed", to), "session");
    let log = pier.street.world.admin(&["audit", "tail", "-n", "10000"]).unwrap().ok().unwrap().out();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&session)).collect();
    let said = |what: &str| lines.iter().any(|line| line.contains(&format!("direct-tcpip to {to} {what}")));
    assert!(said("asked for, from: ") && said("failed: "), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("opened")), "{lines:#?}");
}

#[test]
fn a_remote_forward_carries_every_byte_until_it_is_cancelled() {
    needs_devices!();
    let pier = Pier::new("pier-remote", "\"remote\"");
    let scratch = Scratch::new("remote");
    let control = format!("ControlPath={}", scratch.path("master").display());
    let here = format!("0:127.0.0.1:{}", echo_here());
    let master = pier
        .ssh(&["-N", "-M", "-o", &control, "-o", "ExitOnForwardFailure=yes", "-R", &here], &[])
        .start()
        .unwrap();
    let port = wait::until("the device's port is told", PATIENCE, || {
        let said = master.stderr_so_far();
        let rest = said.split("Allocated port ").nth(1)?;
        rest.split(' ').next().map(str::to_owned)
    })
    .unwrap_or_else(|error| panic!("{error}: {}\n{}", master.stderr_so_far(), pier.street.world.log()));
    let sent = random_bytes(MUCH);
    let send = || {
        let words = ["runuser", "-u", pier.name, "--", "perl", "-e", SEND, &port];
        pier.street.device.command(&words).unwrap().stdin(sent.clone()).run().unwrap()
    };
    let done = send();
    assert!(done.stdout == sent, "{} bytes came back: {}", done.stdout.len(), done.err());
    pier.logged("tcpip-forward", "forward-opened", ":0");
    let closed = pier.logged("forwarded-tcpip", "forward-closed", &format!(":{port}"));
    assert_eq!(closed.get("bytes_in").and_then(Value::as_u64), Some(MUCH as u64), "{closed}");

    pier.ssh(&["-o", &control, "-O", "cancel", "-R", &here], &[]).ok().unwrap();
    pier.logged("tcpip-forward", "forward-closed", &port);
    let done = send();
    assert!(!done.success() && done.err().contains("refused"), "{}", done.all());
    master.kill().unwrap();
}

/// On the device: as many connections to a port one after the other, each of which it closes
/// first; prints how many were answered.
const ROW: &str = r#"
use IO::Socket::INET; my ($port, $many) = @ARGV; my $right = 0;
for (1 .. $many) {
    my $to = IO::Socket::INET->new("127.0.0.1:$port") or next;
    syswrite($to, "ping"); sysread($to, my $back, 4); $right++ if $back eq "ping"; close($to);
}
print "$right\n";
"#;

#[test]
fn connections_that_the_device_closes_first_linger_nowhere_and_their_port_is_free_with_the_client() {
    needs_devices!();
    let pier = Pier::new("pier-back", "\"remote\"");
    let to = format!("18181:127.0.0.1:{}", echo_here());
    for _ in 0..3 {
        let command = format!("perl -e '{ROW}' 18181 100");
        let done = pier.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", &to], &[&command]).run().unwrap();
        assert_eq!(done.out(), "100\n", "{}", done.all());
    }
}

#[test]
fn a_socket_of_the_device_leads_to_the_client() {
    needs_devices!();
    let pier = Pier::new("pier-socket", "\"remote\"");
    let path = format!("/tmp/pier-remote-{}", std::process::id());
    let to = format!("{path}:127.0.0.1:{}", echo_here());
    let say = format!(
        "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => \"{path}\") or die; \
         print $s \"across\\n\"; shutdown($s, 1); print <$s>'"
    );
    let done = pier.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", &to], &[&say]).run().unwrap();
    assert_eq!(done.out(), "across\n", "{}", done.all());
    pier.logged("forwarded-streamlocal", "forward-closed", &path);
}

#[test]
fn a_program_asks_the_agent_of_its_user_when_the_group_allows_it() {
    needs_devices!();
    let pier = Pier::new("pier-agent", "\"agent\"");
    let scratch = Scratch::new("agent");
    let socket = scratch.path("agent").display().to_string();
    let agent = Run::new("ssh-agent").args(["-D", "-a", &socket]).start().unwrap();
    wait::until_true("the agent is there", PATIENCE, || scratch.path("agent").exists()).unwrap();
    let key = pier.street.world.client().key("pier-agent-own").unwrap();
    Run::new("ssh-add").arg(&key).env("SSH_AUTH_SOCK", &socket).ok().unwrap();
    let from = format!("IdentityAgent={socket}");
    let list =
        |options: &[&str]| pier.ssh(&[&["-o", &from], options].concat(), &["ssh-add -l"]).run().unwrap();
    let with = list(&["-A"]);
    assert!(with.success() && with.out().contains("pier-agent-own"), "{}", with.all());
    let asked = pier.logged("agent", "forward-closed", "agent");
    assert_eq!(text(&asked, "session"), text(&pier.logged("agent", "forward-opened", "agent"), "session"));
    let without = list(&[]);
    assert!(!without.success(), "{}", without.all());
    pier.allow("\"local\"");
    let forbidden = list(&["-A"]);
    assert!(!forbidden.success() && !forbidden.out().contains("pier-agent-own"), "{}", forbidden.all());
    agent.kill().unwrap();
}

/// On the device: shows its cookie to its display and prints what that answers.
const WINDOW: &str = r#"
use IO::Socket::INET; my ($n) = $ENV{DISPLAY} =~ /:(\d+)/;
my ($cookie) = `xauth list $ENV{DISPLAY}` =~ /MIT-MAGIC-COOKIE-1\s+(\w+)/;
my $to = IO::Socket::INET->new("127.0.0.1:" . (6000 + $n)) or die "no display";
syswrite($to, pack("a1 x v v v v x2 a18 x2 a16", "l", 11, 0, 18, 16, "MIT-MAGIC-COOKIE-1", pack("H*", $cookie)));
sysread($to, my $answer, 64); print $answer;
"#;

#[test]
fn a_program_opens_a_window_of_its_user_when_the_group_allows_it() {
    needs_devices!();
    let pier = Pier::new("pier-x11", "\"x11\"");
    // A display that answers whoever comes.
    let display = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = i32::from(display.local_addr().unwrap().port()) - 6000;
    thread::spawn(move || {
        for mut stream in display.incoming().flatten() {
            let mut hello = [0; 48];
            let _ = stream.read_exact(&mut hello).and_then(|()| stream.write_all(b"a window\n"));
        }
    });
    let open = || {
        let words = ["perl", "-e", &format!("'{WINDOW}'")].join(" ");
        pier.ssh(&["-Y"], &[&words]).env("DISPLAY", format!("127.0.0.1:{number}")).run().unwrap()
    };
    let done = open();
    assert_eq!(done.out(), "a window\n", "{}", done.all());
    pier.logged("x11", "forward-closed", "display");
    pier.allow("");
    let done = open();
    assert!(!done.success() && done.out().is_empty(), "{}", done.all());
}

/// An open local forward with a byte through it, and its ssh.
fn held(pier: &Pier, port: &str) -> (TcpStream, Running) {
    let here = free_port();
    let ssh = pier.ssh(&["-N", "-L", &format!("127.0.0.1:{here}:127.0.0.1:{port}")], &[]).start().unwrap();
    let mut stream = connect(here);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    (stream, ssh)
}

#[test]
fn the_end_of_a_session_closes_its_forwards_at_once() {
    needs_devices!();
    let pier = Pier::new("pier-kill", "\"local\"");
    let (service, port) = pier.echo(&[]);
    let (mut stream, ssh) = held(&pier, &port);
    let session = text(&pier.logged("direct-tcpip", "forward-opened", &port), "session");
    pier.street.world.admin(&["session", "kill", &session]).unwrap().ok().unwrap();
    let closed = pier.logged("direct-tcpip", "forward-closed", &port);
    assert_eq!(text(&closed, "why"), "the session is over");
    assert_eq!(stream.read(&mut [0]).unwrap_or_default(), 0);
    assert!(!ssh.done().unwrap().success());
    service.kill().unwrap();
}

#[test]
fn a_forward_that_the_group_no_longer_allows_closes_and_its_session_stays() {
    needs_devices!();
    let pier = Pier::new("pier-edit", "\"local\"");
    let (service, port) = pier.echo(&[]);
    let (mut stream, mut ssh) = held(&pier, &port);
    pier.allow("\"remote\"");
    let closed = pier.logged("direct-tcpip", "forward-closed", &port);
    assert_eq!(text(&closed, "why"), "access group `pier-edit` does not allow local forwards");
    assert_eq!(stream.read(&mut [0]).unwrap_or_default(), 0);
    assert!(ssh.is_running(), "{}", ssh.stderr_so_far());
    pier.allow(pier.forwards);
    ssh.kill().unwrap();
    service.kill().unwrap();
}
