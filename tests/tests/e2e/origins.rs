//! From where people and agents come, on the listeners that the proxy has by itself.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use tidegate_tests::client::run_of;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::slot::Slot;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::attacks::Pretended;
use crate::certificates::new_ca;
use crate::needs_devices;
use crate::scene::text;
use crate::support::{Scratch, base};

const HOG: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// What one address may have open that has not logged in (config/proxy.toml), and of agents.
const PEOPLE: usize = 64;
const AGENTS: usize = 16;

fn dual() -> World {
    let world = World::start(Options { dual: true, ..Options::default() }).unwrap();
    let key = world.client().public_key("visitor").unwrap();
    world.apply(&format!("[[user]]\nname = \"visitor\"\nkeys = [\"{key}\"]\n")).unwrap();
    world
}

/// A connection from one of this machine's own addresses.
fn from(source: Ipv4Addr, port: u16) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((source, 0))).unwrap();
        socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether the other side answers anything before it closes.
fn answers(mut stream: &TcpStream, say: &[u8]) -> bool {
    let _ = stream.write_all(say);
    matches!(stream.read(&mut [0; 64]), Ok(1..))
}

fn visit(world: &World, options: &[&str]) -> Done {
    let words = world.client().words("ssh", "visitor", &[&["-o", "BatchMode=yes"], options].concat());
    run_of(&words.unwrap()).args(["-l", "visitor", "gate", "access", "list"]).run().unwrap()
}

/// From where the newest log-in came.
fn newest_login(world: &World) -> String {
    let log = world.json(&["audit", "tail", "-n", "200"]).unwrap();
    let logins = log.as_array().unwrap().iter().rev();
    let login = logins.into_iter().find(|record| text(&record["event"], "type") == "login-accepted");
    text(login.expect("somebody logged in"), "origin")
}

#[test]
fn an_ipv4_address_that_fills_its_places_leaves_those_of_others_on_the_default_listener() {
    let world = dual();
    let port = world.ssh().unwrap().port();
    let held: Vec<TcpStream> = (0..PEOPLE).map(|_| from(HOG, port)).collect();
    assert!(held.iter().all(|stream| answers(stream, b"")), "each is greeted");
    assert!(!answers(&from(HOG, port), b""), "one more from there is closed");
    let other = visit(&world, &["-b", &OTHER.to_string()]);
    assert!(other.success(), "{}\n{}", other.all(), world.log());
    assert_eq!(newest_login(&world), OTHER.to_string());
    let hog = visit(&world, &["-b", &HOG.to_string()]);
    assert!(!hog.success(), "{}", hog.all());
    // An IPv6 address is another one's too, and is shown as such.
    let six = ["-o", "HostName=::1", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
    let six = visit(&world, &six);
    assert!(six.success(), "{}", six.all());
    assert_eq!(newest_login(&world), "::1");
    // Their places come back with their end.
    drop(held);
    let again = || visit(&world, &["-b", &HOG.to_string()]).success();
    wait::until_true("the address gets in again", PATIENCE, again).unwrap();
}

#[test]
fn an_ipv4_address_that_fills_the_agents_places_leaves_those_of_others() {
    let world = dual();
    let port = world.agents().unwrap().port();
    let held: Vec<TcpStream> = (0..AGENTS).map(|_| from(HOG, port)).collect();
    // What is no TLS is answered with an alert, by who serves it at all.
    let nonsense = b"GET / HTTP/1.0\r\n\r\n";
    let closed = || !answers(&from(HOG, port), nonsense);
    wait::until_true("one more from there is closed", PATIENCE, closed).unwrap();
    assert!(answers(&from(OTHER, port), nonsense), "{}", world.log());
    assert!(held.iter().all(|stream| answers(stream, nonsense)), "those that were first are served");
}

#[test]
fn a_client_in_another_network_is_known_by_its_ipv4_address_on_the_default_listener() {
    needs_devices!();
    let slot = Slot::take(&base()).unwrap();
    let world = dual();
    let gate = SocketAddr::from((slot.host(), world.ssh().unwrap().port()));
    let port = gate.port().to_string();
    let words = world.client().words("ssh", "visitor", &["-o", "BatchMode=yes"]).unwrap();
    let there = ["ip", "netns", "exec", slot.name()].map(str::to_owned);
    let alias = format!("HostKeyAlias=[127.0.0.1]:{port}");
    let options = ["-o", &format!("HostName={}", gate.ip()), "-o", &alias, "-l", "visitor", "gate"];
    let done = run_of(&[there.to_vec(), words].concat()).args(options).args(["access", "list"]).run();
    let done = done.unwrap();
    assert!(done.success(), "{}\n{}", done.all(), world.log());
    assert_eq!(newest_login(&world), slot.guest().to_string());
}

#[test]
fn a_session_and_the_addresses_of_a_certificate_know_an_ipv4_client_on_the_default_listener() {
    let scratch = Scratch::new("origins");
    let ca = scratch.path("ca");
    let more = format!("\n[ssh]\ntrusted_user_cas = [\"{}\"]\n", new_ca(&ca));
    let world = World::start(Options { dual: true, more, ..Options::default() }).unwrap();
    // Nothing answers there, and the session was begun all the same.
    let device = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pretended = Pretended::in_world(world, device);
    let (world, other) = (&pretended.world, OTHER.to_string());
    assert!(!pretended.visit_with(&["-b", &other]).success());
    let sessions = world.json(&["session", "list"]).unwrap();
    assert_eq!(text(&sessions[0], "origin"), other, "{sessions:#}");

    // Nothing but a certificate lets this one in.
    world.apply("[[user]]\nname = \"carol\"\n").unwrap();
    let key = world.client().key("carol").unwrap();
    let enters = |from: Ipv4Addr| {
        let only = format!("source-address={from}/32");
        let sign = Run::new("ssh-keygen").args(["-q", "-s"]).arg(&ca).args(["-I", "a-test", "-n", "carol"]);
        sign.args(["-V", "-1m:+10m", "-O", &only]).arg(key.with_extension("key.pub")).ok().unwrap();
        let words = world.client().words("ssh", "carol", &["-o", "BatchMode=yes", "-b", &other]).unwrap();
        run_of(&words).args(["-l", "carol", "gate", "access", "list"]).run().unwrap()
    };
    let let_in = enters(OTHER);
    assert!(let_in.success(), "{}\n{}", let_in.all(), world.log());
    let refused = enters(HOG);
    assert!(!refused.success() && refused.err().contains("Permission denied"), "{}", refused.all());
}
