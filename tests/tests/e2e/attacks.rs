//! Hostile peers on every side: clients that stall or flood, devices that do, agents
//! with somebody else's token. Each is told off within its deadline, and nobody else
//! notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_tests::client::run_of;
use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::scene::{Stand, journal_tells};
use crate::support::base;
use crate::ways::{USER, on_each_way, street};

/// Longer than any deadline of the gate for a peer that says nothing.
const DEADLINE: Duration = Duration::from_secs(120);

/// A world with devices that this test plays itself.
pub struct Pretended {
    pub world: World,
}

impl Pretended {
    /// A device `pretended` at this address, whose host key is pinned.
    fn new(address: SocketAddr) -> Self {
        Self::in_world(World::start(Options::default()).unwrap(), address)
    }

    /// The same in a world that is there.
    pub fn in_world(world: World, address: SocketAddr) -> Self {
        let key = world.client().public_key("visitor").unwrap();
        let pinned = world.client().public_key("host").unwrap();
        world
            .apply(&format!(
                "[[user]]\nname = \"visitor\"\nkeys = [\"{key}\"]\n\n\
                 [[device]]\nname = \"pretended\"\naddress = \"{}\"\nport = {}\nagent = false\n\
                 host_keys = [\"{pinned}\"]\n\n\
                 [[credential]]\nname = \"ops@pretended\"\n\n\
                 [[access_group]]\nname = \"visitors\"\nusers = [\"visitor\"]\n\
                 criteria = {{ devices = [\"pretended\"] }}\nsession = {{}}\n\
                 conditions = {{ forwards = [\"remote\"] }}\n",
                address.ip(),
                address.port()
            ))
            .unwrap();
        Self { world }
    }

    pub fn visit(&self) -> Done {
        self.visit_with(&[])
    }

    /// With options of ssh.
    pub fn visit_with(&self, options: &[&str]) -> Done {
        let ssh = self.world.client().ssh_with("visitor", "ops@pretended", options, &["id"]).unwrap();
        ssh.within(DEADLINE).run().unwrap()
    }
}

/// Serves every connection with `serve`, for as long as the test runs.
fn pretend(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn a_device_that_says_nothing_is_given_up_with_a_sentence() {
    let pretended = Pretended::new(pretend(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    }));
    let done = pretended.visit();
    assert!(!done.success());
    assert!(done.err().contains("pretended"), "{}", done.all());
}

#[test]
fn a_device_that_floods_before_its_version_is_given_up_with_a_sentence() {
    let pretended = Pretended::new(pretend(|mut stream| {
        let line = [b'x'; 1000];
        while stream.write_all(&line).is_ok() {}
    }));
    let done = pretended.visit();
    assert!(!done.success());
    assert!(done.err().contains("pretended"), "{}", done.all());
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = Pretended::new(address).visit();
    assert!(!done.success());
    assert!(done.err().contains("pretended"), "{}", done.all());
}

#[test]
fn a_device_with_another_host_key_is_refused_and_never_logged_in_to() {
    needs_devices!();
    let device = Device::boot(&base(), "impostor").unwrap();
    let pretended = Pretended::new(device.sshd());
    let done = pretended.visit();
    assert!(!done.success());
    assert!(done.err().contains("host key"), "{}", done.all());
    let logins = device.journal("ssh");
    assert!(!logins.contains("Accepted"), "{logins}");
}

#[test]
fn clients_that_stall_do_not_stop_others_and_are_cut_off() {
    needs_devices!();
    let gate = street().world.ssh().unwrap();
    let stalled: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(gate).unwrap()).collect();
    let mut half = TcpStream::connect(gate).unwrap();
    half.write_all(b"SSH-2.0-stall\r\n").unwrap();
    on_each_way(|way| assert_eq!(way.ssh(&[], "echo in").ok().unwrap().out(), "in\n"));
    for mut stream in stalled.into_iter().chain([half]) {
        stream.set_read_timeout(Some(DEADLINE * 3)).unwrap();
        let start = Instant::now();
        // Its version and key exchange, then the end: of file, or a reset.
        let _ = stream.read_to_end(&mut Vec::new());
        assert!(start.elapsed() < DEADLINE * 3, "a client that says nothing is still connected");
    }
}

#[test]
fn a_client_that_sends_nonsense_is_cut_off() {
    needs_devices!();
    let mut stream = TcpStream::connect(street().world.ssh().unwrap()).unwrap();
    let nonsense = crate::support::random_bytes(1 << 20);
    let _ = stream.write_all(b"SSH-2.0-nonsense\r\n").and_then(|()| stream.write_all(&nonsense));
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut said = Vec::new();
    let ended = stream.read_to_end(&mut said);
    assert!(
        !matches!(ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
        "still connected"
    );
    assert!(said.len() < 64 * 1024);
}

#[test]
fn keys_can_be_tried_only_so_often() {
    needs_devices!();
    let client = street().world.client();
    let mut words = client.words("ssh", "guess0", &["-v", "-o", "BatchMode=yes"]).unwrap();
    for number in 1..20 {
        words.extend(["-i".to_owned(), client.key(&format!("guess{number}")).unwrap().display().to_string()]);
    }
    words.extend(["-l", USER, "gate", "whoami"].map(str::to_owned));
    let done = run_of(&words).run().unwrap();
    assert!(!done.success());
    let tried = done.err().matches("Offering public key").count();
    assert!(tried < 20 && done.err().contains("Too many authentication"), "{tried} keys: {}", done.err());
}

#[test]
fn a_name_that_would_be_an_option_or_a_path_is_refused() {
    needs_devices!();
    let client = street().world.client();
    for login in
        ["-oProxyCommand=id[ops@db01]", "../worker[ops@db01]", "worker[-o@db01]", "worker[ops@../db01]"]
    {
        let words = ["-o", "BatchMode=yes", "-o", &format!("User={login}"), "gate", "id"];
        let done = run_of(&client.words("ssh", USER, &words).unwrap()).run().unwrap();
        assert!(!done.success() && !done.out().contains("uid="), "{login}: {}", done.all());
    }
}

#[test]
fn a_token_enrols_one_agent_once() {
    needs_devices!();
    let (one, two) = (Device::boot(&base(), "token1").unwrap(), Device::boot(&base(), "token2").unwrap());
    let world = World::start(Options::default()).unwrap();
    world.apply(&format!("[[device]]\nname = \"token1\"\naddress = \"{}\"\n", one.address())).unwrap();
    let token = world.token("token1").unwrap();
    world.install_agent(&one, &token).unwrap().1.ok().unwrap();
    world.await_agent(&one).unwrap();
    let (_, again) = world.install_agent(&two, &token).unwrap();
    assert!(!again.success() && again.all().contains("token"), "{}", again.all());
    assert!(world.agent_is_connected("token1"));
}

#[test]
fn a_revoked_agent_is_cut_off_and_stays_out() {
    needs_devices!();
    let Stand { device, world } = Stand::with("revoked", Options::default());
    world.admin(&["agent", "revoke", "revoked"]).unwrap().ok().unwrap();
    let gone = || !world.agent_is_connected("revoked");
    wait::until_true("the link ends", PATIENCE, gone).unwrap();
    device.run(&["systemctl", "restart", "tidegate-agent"]).unwrap();
    journal_tells(&device, "tidegate-agent", |line| line.contains("enrolment was revoked"));
    assert!(gone());
}

#[test]
fn the_agent_opens_no_port() {
    needs_devices!();
    let before = Device::boot(&base(), "ports").unwrap();
    let listening = |device: &Device| {
        let shown = device.ok(&["ss", "-Hltun"]).unwrap().out();
        let mut ports: Vec<String> =
            shown.lines().map(|line| line.split_whitespace().nth(4).unwrap_or_default().to_owned()).collect();
        ports.sort();
        ports
    };
    assert_eq!(listening(&before), listening(&street().device));
}

#[test]
fn the_gate_offers_no_weak_algorithm_and_tells_no_version() {
    needs_devices!();
    let gate = street().world.ssh().unwrap();
    let options = ["-vv", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"];
    let scan = Run::new("ssh").args(options).args(["-o", "UserKnownHostsFile=/dev/null"]);
    let said = scan.args(["-p", &gate.port().to_string(), "x@127.0.0.1"]).run().unwrap().err();
    let version = said.lines().find_map(|line| line.split("remote software version ").nth(1)).unwrap();
    assert!(!version.contains("russh") && !version.chars().any(|c| c.is_ascii_digit()), "{version}");
    let offered = said.split("peer server KEXINIT proposal").nth(1).unwrap();
    let offered: Vec<&str> = offered.lines().take(11).collect();
    assert!(offered.iter().any(|line| line.contains("kex-strict-s-v00@openssh.com")), "{offered:#?}");
    assert!(offered.iter().any(|line| line.contains("x25519")), "{offered:#?}");
    for weak in ["cbc", "sha1", "arcfour", "3des", "ssh-rsa", "ssh-dss", "md5"] {
        let mut names = offered.iter().flat_map(|line| line.split([' ', ',']));
        assert!(!names.any(|name| name.contains(weak)), "{weak} is offered: {offered:#?}");
    }
}
