//! An installation that cannot be, and what it leaves: nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::programs::program;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Done;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::packages::{difference, listing};
use crate::scene::{Scene, Stand, leave};
use crate::support::base;

const AGENT: &str = "/root/tidegate-agent";

fn world(device: &Device) -> World {
    let world = World::start(Options::default()).unwrap();
    let resource = format!("[[device]]\nname = \"{}\"\naddress = \"{}\"\n", device.name(), device.address());
    world.apply(&resource).unwrap();
    world
}

fn install(device: &Device, proxy: &str, more: &[&str]) -> Done {
    device.run(&[&[AGENT, "install", "--proxy", proxy], more].concat()).unwrap()
}

/// A gate that goes away once it has proved who it is, and before it answers: where agents
/// reach it for that once.
fn goes_away(gate: SocketAddr, here: Ipv4Addr) -> SocketAddr {
    let listener = TcpListener::bind((here, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut agent, _) = listener.accept().unwrap();
        let mut gate = TcpStream::connect((Ipv4Addr::LOCALHOST, gate.port())).unwrap();
        let (mut to_agent, mut from_gate) = (agent.try_clone().unwrap(), gate.try_clone().unwrap());
        let proof = thread::spawn(move || std::io::copy(&mut from_gate, &mut to_agent));
        let mut buffer = [0; 16 * 1024];
        // The client's hello; what comes next can only be sent once the gate's proof was taken.
        let hello = agent.read(&mut buffer).unwrap();
        gate.write_all(&buffer[..hello]).unwrap();
        assert!(agent.read(&mut buffer).unwrap() > 0);
        let _ = gate.shutdown(Shutdown::Both);
        let _ = agent.shutdown(Shutdown::Both);
        let _ = proof.join();
    });
    address
}

#[test]
fn a_wrong_token_or_address_leaves_the_host_as_it_was() {
    needs_devices!();
    let device = Device::boot(&base(), "refuser").unwrap();
    let (world, other) = (world(&device), world(&device));
    device.install(&program("tidegate-agent").unwrap(), AGENT).unwrap();
    let before = listing(&device);
    let here = device.host_address();
    let gate = SocketAddr::from((here, world.agents().unwrap().port()));
    let (token, of_other) = (world.token("refuser").unwrap(), other.token("refuser").unwrap());
    let wrong = format!("{}x", token);
    let closed = TcpListener::bind((here, 0)).unwrap().local_addr().unwrap().to_string();
    let away = goes_away(world.agents().unwrap(), here).to_string();
    let reached = gate.to_string();
    for (what, proxy, token, said) in [
        ("a wrong token", reached.as_str(), wrong.as_str(), "the proxy says: "),
        ("a token of another gate", &reached, &of_other, "is not the gate that made this token"),
        ("a port where nobody listens", &closed, &token, "cannot be reached"),
        ("an sshd", "127.0.0.1:22", &token, "127.0.0.1:22 is an ssh port; agents reach the gate at another"),
        ("a name that is none", "gate.invalid:7443", &token, "gate.invalid:7443 cannot be reached"),
        ("a gate that goes away", &away, &token, "the link"),
    ] {
        let done = install(&device, proxy, &["--token", token]);
        assert!(!done.success() && done.err().contains(said), "{what}: {}", done.all());
        let changed = difference(&before, &listing(&device));
        assert!(changed.is_empty(), "{what}: {changed:#?}");
    }

    // What the host itself refuses later is taken back as well; who it is enrolled as stays.
    let policy = device.path("/etc/sudoers.d/broken");
    fs::write(&policy, "nonsense\n").unwrap();
    let done = install(&device, &reached, &["--token", &token]);
    fs::remove_file(&policy).unwrap();
    assert!(!done.success() && done.err().contains("the same without --token"), "{}", done.all());
    let mut changed = difference(&before, &listing(&device));
    changed.retain(|line| !line.starts_with("/var/lib/tidegate-agent"));
    assert!(changed.is_empty(), "{changed:#?}");

    // The twins with nothing wrong, and then an address that is.
    assert!(install(&device, &reached, &[]).success());
    world.await_agent(&device).unwrap();
    let config = || fs::read_to_string(device.path("/etc/tidegate/agent.toml")).unwrap();
    let installed = config();
    assert!(installed.contains(&reached), "{installed}");
    for (proxy, said) in [(closed.as_str(), "cannot be reached"), ("127.0.0.1:22", "is an ssh port")] {
        let done = install(&device, proxy, &[]);
        assert!(!done.success() && done.err().contains(said), "{}", done.all());
        assert!(done.err().contains("nothing was changed"), "{}", done.all());
        assert_eq!(config(), installed);
    }
    let again = install(&device, &reached, &[]);
    assert!(again.success() && again.out().ends_with("nothing to do\n"), "{}", again.all());
}

#[test]
fn a_unit_that_cannot_be_started_is_taken_back_with_the_rest() {
    needs_devices!();
    let device = Device::boot(&base(), "stopper").unwrap();
    let world = world(&device);
    device.install(&program("tidegate-agent").unwrap(), AGENT).unwrap();
    let reached = SocketAddr::from((device.host_address(), world.agents().unwrap().port())).to_string();
    // The agent cannot lock what is no file.
    fs::create_dir_all(device.path("/var/lib/tidegate-agent/journal")).unwrap();
    let before = listing(&device);
    let done = install(&device, &reached, &["--token", &world.token("stopper").unwrap()]);
    assert!(!done.success() && done.err().contains("was taken back"), "{}", done.all());
    let mut changed = difference(&before, &listing(&device));
    changed.retain(|line| !line.starts_with("/var/lib/tidegate-agent"));
    assert!(changed.is_empty(), "{changed:#?}");
    for unit in ["tidegate-agent.service", "tidegate-sweep.timer"] {
        assert!(!device.run(&["systemctl", "is-active", unit]).unwrap().success(), "{unit}");
    }
    fs::remove_dir(device.path("/var/lib/tidegate-agent/journal")).unwrap();
    assert!(install(&device, &reached, &[]).success());
    world.await_agent(&device).unwrap();
    tidegate_tests::wait::until_true("the timer runs", PATIENCE, || {
        device.run(&["systemctl", "is-active", "tidegate-sweep.timer"]).unwrap().success()
    })
    .unwrap();
}

#[test]
fn an_installation_that_the_agent_refuses_ends_no_session_and_is_taken_back() {
    needs_devices!();
    let stand = Stand::new("keeper", 30);
    let device = &stand.device;
    let scene = Scene::set(&stand.world, device, "busy", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    // Another version, and settings that it does not take.
    device.install(&program("tidegate-agent").unwrap(), AGENT).unwrap();
    fs::OpenOptions::new().append(true).open(device.path(AGENT)).unwrap().write_all(b"newer").unwrap();
    let (config, installed) =
        (device.path("/etc/tidegate/agent.toml"), device.path("/usr/local/bin/tidegate-agent"));
    let right = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("nonsense = 1\n{right}")).unwrap();
    let before = fs::read(&installed).unwrap();
    let reached = SocketAddr::from((device.host_address(), stand.world.agents().unwrap().port())).to_string();
    let done = install(device, &reached, &[]);
    assert!(!done.success() && done.err().ends_with("what was changed was taken back\n"), "{}", done.all());
    assert!(fs::read(&installed).unwrap() == before, "another program is there");
    scene.is_root(&mut pty);
    // The twin with settings that are right.
    fs::write(&config, right).unwrap();
    let done = install(device, &reached, &[]);
    assert!(done.success() && done.out().contains("no grant ends by it"), "{}", done.all());
    scene.is_root(&mut pty);
    leave(&mut pty);
    scene.is_as_before_within(PATIENCE);
}
