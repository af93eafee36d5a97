//! Who comes from outside: with a remote access, and from a place that their user group allows.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use tidegate_tests::client::run_of;
use tidegate_tests::mmdb::{database, flat, nested};
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::{Done, Run};
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::scene::text;
use crate::support::Scratch;

const INSIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SAO_PAULO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const BERLIN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const NOWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

fn places(first: serde_json::Value) -> Vec<u8> {
    database(&[("127.0.0.2/32", first), ("127.0.0.3/32", flat("DE", "Berlin"))])
}

/// Another file in the place of the old one, as a download is put there.
fn put(path: &Path, bytes: &[u8]) {
    let new: PathBuf = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn world(geoip: &Path, more: &str) -> World {
    let settings =
        format!("\n[remote_access]\ninside = [\"{INSIDE}\"]\ngeoip = \"{}\"\n{more}", geoip.display());
    let world = World::start(Options { more: settings, ..Options::default() }).unwrap();
    let key = |name: &str| world.client().public_key(name).unwrap();
    let resources = format!(
        "[[user]]\nname = \"olga\"\nroles = [\"auditor\"]\nemail = \"olga@example.org\"\nkeys = [\"{}\"]\n\
         [[user]]\nname = \"adam\"\nemail = \"adam@example.org\"\nkeys = [\"{}\"]\n\
         [[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n\
         [[access_group]]\nname = \"dba\"\nusers = [\"olga\"]\ncriteria = {{ devices = [\"*\"] }}\nsession = {{}}\n\
         [[user_group]]\nname = \"field\"\nusers = [\"olga\", \"adam\"]\n[user_group.location]\nallowed = [\"BR-SP\"]\n",
        key("olga"),
        key("adam")
    );
    world.apply(&resources).unwrap();
    world
}

fn ssh(world: &World, user: &str, from: Ipv4Addr, command: &[&str]) -> Run {
    let from = from.to_string();
    let words = world.client().words("ssh", user, &["-o", "BatchMode=yes", "-b", &from]).unwrap();
    run_of(&words).args(["-l", user, "gate"]).args(command)
}

fn visit(world: &World, user: &str, from: Ipv4Addr) -> Done {
    ssh(world, user, from, &["access", "list"]).run().unwrap()
}

/// What the log has of one kind of record, in this field, oldest first.
fn logged(world: &World, kind: &str, field: &str) -> Vec<String> {
    let log = world.json(&["audit", "tail", "-n", "1000"]).unwrap();
    let of_kind = log.as_array().unwrap().iter().filter(|record| text(&record["event"], "type") == kind);
    of_kind.map(|record| text(&record["event"], field)).collect()
}

fn refused(done: &Done, says: &str) {
    assert!(!done.success() && done.all().contains(says), "{}", done.all());
}

#[test]
fn from_outside_comes_who_has_a_remote_access_and_from_an_allowed_place_and_goes_with_either() {
    let scratch = Scratch::new("places");
    let geoip = scratch.file("places.mmdb", &places(nested("BR", "SP", "Sao Paulo")));
    let world = world(&geoip, "");
    let read = || !logged(&world, "locations-read", "file").is_empty();
    wait::until_true("the database is read", PATIENCE, read).unwrap();

    assert!(visit(&world, "olga", INSIDE).success());
    refused(&visit(&world, "olga", SAO_PAULO), "you come from outside (127.0.0.2) and have no remote access");
    let request = ["remote-access", "batch", "field", "-j", "on site", "--duration", "2h"];
    let made = world.admin(&request).unwrap().ok().unwrap().out();
    assert!(
        made.contains("2 remote accesses are saved; `remote-access list --batch 1` shows them"),
        "{made}"
    );
    assert!(visit(&world, "olga", SAO_PAULO).success());
    refused(
        &visit(&world, "olga", BERLIN),
        "127.0.0.3 is taken for DE-Berlin, and user group `field` lets its users in from BR-SP only",
    );
    refused(&visit(&world, "olga", NOWHERE), "a place that the GeoIP database does not know");
    let why = logged(&world, "login-refused", "why");
    assert_eq!(why.len(), 3, "{why:?}");

    let explain = |from: &str| {
        let words = ["access", "explain", "olga", "ops@db01", "--from", from];
        world.admin(&words).unwrap().ok().unwrap().out()
    };
    let (here, there, inside) = (explain("127.0.0.2"), explain("127.0.0.3"), explain("127.0.0.1"));
    assert!(
        here.contains("is outside, and is taken for BR-SP (Sao Paulo)") && here.contains("permitted"),
        "{here}"
    );
    assert!(
        there.contains("taken for DE-Berlin") && there.contains("refused: 127.0.0.3 is taken for"),
        "{there}"
    );
    assert!(
        inside.contains("127.0.0.1 is inside") && inside.contains("permitted by access group `dba`"),
        "{inside}"
    );

    let listed = world.json(&["remote-access", "list", "--state", "active", "--group", "field"]).unwrap();
    let users: Vec<_> = listed.as_array().unwrap().iter().map(|one| text(one, "user")).collect();
    assert_eq!(users, ["adam", "olga"]);
    let shown = world.admin(&["remote-access", "list", "--user", "adam"]).unwrap().ok().unwrap().out();
    assert!(shown.contains("USER GROUP") && shown.contains("adam") && !shown.contains("olga"), "{shown}");

    // What lives ends with the place: a file that is none changes nothing, another does.
    let watching = || ssh(&world, "olga", SAO_PAULO, &["audit", "tail", "-f"]).start().unwrap();
    let shows = |live: &mut tidegate_tests::run::Running| {
        wait::until_true("it shows", PATIENCE, || live.stdout_so_far().contains("logged in")).unwrap();
    };
    let mut live = watching();
    shows(&mut live);
    let whole = places(nested("AR", "C", "Buenos Aires"));
    put(&geoip, &whole[..whole.len() / 2]);
    let told = || !logged(&world, "locations-refused", "why").is_empty();
    wait::until_true("it is told", PATIENCE, told).unwrap();
    assert!(visit(&world, "olga", SAO_PAULO).success() && live.is_running());
    put(&geoip, &whole);
    wait::until_true("it ends with the place", PATIENCE, || !live.is_running()).unwrap();
    refused(&live.done().unwrap(), "127.0.0.2 is taken for AR-C (Buenos Aires)");
    put(&geoip, &places(nested("BR", "SP", "Sao Paulo")));
    wait::until_true("the place is allowed again", PATIENCE, || visit(&world, "olga", SAO_PAULO).success())
        .unwrap();

    // And with the access.
    let mut live = watching();
    shows(&mut live);
    let cancel = ["remote-access", "cancel", "1", "-m", "the work is done"];
    world.admin(&cancel).unwrap().ok().unwrap();
    wait::until_true("it ends with the access", PATIENCE, || !live.is_running()).unwrap();
    refused(&live.done().unwrap(), "remote access 1 was cancelled by an administrator: the work is done");
    assert!(visit(&world, "olga", INSIDE).success());
}

#[test]
fn what_is_only_reported_lets_everybody_in_and_tells_whom_it_would_not() {
    let scratch = Scratch::new("places");
    let geoip = scratch.path("missing.mmdb");
    let world = world(&geoip, "report_only = true\n");
    assert!(visit(&world, "olga", SAO_PAULO).success());
    let why = logged(&world, "entry-reported", "why");
    assert_eq!(
        why,
        ["you come from outside (127.0.0.2) and have no remote access; ask an administrator for one"]
    );
    let request = ["remote-access", "request", "field", "olga", "-j", "on site", "--duration", "2h"];
    world.admin(&request).unwrap().ok().unwrap();
    assert!(visit(&world, "olga", SAO_PAULO).success());
    let why = logged(&world, "entry-reported", "why");
    assert!(why[1].contains("an unknown place, because the gate has no GeoIP database"), "{why:?}");
    assert!(logged(&world, "login-refused", "why").is_empty());
}

/// The code that was sent last: it waits in the outbox, as no mail server answers.
fn code(world: &World) -> String {
    let ask = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT secret FROM notification \
               WHERE secret IS NOT NULL ORDER BY id DESC').fetchone()[0])";
    let file = world.state().join("tidegate.db").display().to_string();
    Run::new("python3").args(["-c", ask, &file]).ok().unwrap().out().trim().to_owned()
}

/// `adam`, who has no key, on a terminal from outside.
fn asks(world: &World, command: &[&str]) -> Pty {
    let from = SAO_PAULO.to_string();
    let words = world.client().words("ssh", "adam", &["-o", "PubkeyAuthentication=no", "-b", &from]).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["-l", "adam", "gate"]).collect();
    let mut pty = Pty::start(&[&words, command].concat()).unwrap();
    pty.expect("Access code: ").unwrap();
    pty
}

#[test]
fn the_code_of_a_link_lets_its_user_in_once_and_enrols_a_key_until_the_access_ends() {
    let scratch = Scratch::new("places");
    let geoip = scratch.file("places.mmdb", &places(nested("BR", "SP", "Sao Paulo")));
    let mail = "\n[notify.mail]\nserver = \"127.0.0.1:1\"\ntls = \"none\"\nfrom = \"gate@example.org\"\n";
    let world = world(&geoip, mail);
    let read = || !logged(&world, "locations-read", "file").is_empty();
    wait::until_true("the database is read", PATIENCE, read).unwrap();
    world.apply("[[user]]\nname = \"adam\"\nemail = \"adam@example.org\"\n").unwrap();
    refused(&visit(&world, "adam", SAO_PAULO), "Permission denied");
    let admin = |words: &[&str]| world.admin(words).unwrap().ok().unwrap().out();
    admin(&["remote-access", "request", "field", "adam", "-j", "on site", "--duration", "2h"]);
    let sent = admin(&["remote-access", "forward", "1"]);
    assert!(sent.contains("adam is sent a code by mail; it is good once, until "), "{sent}");

    let first = code(&world);
    let mut pty = asks(&world, &["remote-access", "list"]);
    pty.send_line("12345-67890").unwrap();
    pty.expect("that is no code of yours; copy it as it was sent to you").unwrap();
    pty.expect("Access code: ").unwrap();
    pty.send_line(&first).unwrap();
    pty.expect("USER GROUP").unwrap();
    pty.end(PATIENCE).unwrap();
    let mut pty = asks(&world, &["remote-access", "list"]);
    pty.send_line(&first).unwrap();
    pty.expect("that code was used already; ask an administrator to send another").unwrap();
    pty.kill().unwrap();
    assert!(
        !format!("{}{}", world.log(), world.json(&["audit", "tail", "-n", "1000"]).unwrap()).contains(&first)
    );

    admin(&["remote-access", "forward", "1"]);
    let key = world.client().public_key("adam").unwrap();
    let enrol = format!("remote-access enrol '{key}'");
    let mut pty = asks(&world, &[&enrol]);
    pty.send_line(&code(&world)).unwrap();
    pty.expect("that key logs you in until ").unwrap();
    pty.end(PATIENCE).unwrap();
    assert!(visit(&world, "adam", SAO_PAULO).success());
    admin(&["remote-access", "cancel", "1"]);
    refused(&visit(&world, "adam", SAO_PAULO), "Permission denied");
}
