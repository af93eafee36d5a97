//! What is refused, how it is said, and the twin that is not.

use std::fs;
use std::time::Duration;

use tidegate_common::model::Resources;
use tidegate_tests::client::run_of;
use tidegate_tests::device::ACCOUNT;
use tidegate_tests::programs::program;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::wait;
use tidegate_tests::world::Options;

use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, Stand, text};
use crate::support::Scratch;
use crate::ways::{USER, street};

fn ssh(user: &str, target: &str, options: &[&str], command: &str) -> Done {
    street().world.client().ssh_with(user, target, options, &[command]).unwrap().run().unwrap()
}

#[test]
fn unknown_and_forbidden_answer_alike() {
    needs_devices!();
    let scene = Scene::share(street(), "alike", "{}");
    let forbidden = ssh(USER, "alike@db01", &[], "id");
    let unknown_account = ssh(USER, "nobody9@db01", &[], "id");
    let unknown_device = ssh(USER, "alike@db99", &[], "id");
    let said = |done: &Done, target: &str| (done.code(), done.out(), done.err().replace(target, "TARGET"));
    assert!(!forbidden.success());
    assert_eq!(said(&forbidden, "alike@db01"), said(&unknown_account, "nobody9@db01"));
    assert_eq!(said(&forbidden, "alike@db01"), said(&unknown_device, "alike@db99"));
    // The twin that differs in who asks.
    assert!(ssh(&scene.operator, "alike@db01", &[], "id").success());
}

#[test]
fn a_user_who_is_not_known_is_told_no_more_than_one_with_a_wrong_key() {
    needs_devices!();
    let client = street().world.client();
    let wrong_key = client.words("ssh", "stranger", &["-o", "BatchMode=yes", "-l", USER, "gate", "whoami"]);
    let unknown =
        client.words("ssh", "stranger", &["-o", "BatchMode=yes", "-l", "stranger", "gate", "whoami"]);
    let wrong_key = run_of(&wrong_key.unwrap()).run().unwrap();
    let unknown = run_of(&unknown.unwrap()).run().unwrap();
    assert!(!wrong_key.success() && !unknown.success());
    assert_eq!(wrong_key.err().replace(USER, "USER"), unknown.err().replace("stranger", "USER"));
}

#[test]
fn without_a_terminal_the_answer_names_the_command_that_asks() {
    needs_devices!();
    let scene = Scene::share(street(), "batch", ASKS_AND_WAITS);
    let words = scene.world.client().words("ssh", &scene.operator, &["-T", "-l"]).unwrap();
    // In a session of its own, ssh has no terminal to ask on.
    let words = [vec!["setsid".to_owned(), "--wait".to_owned()], words].concat();
    let login = format!("{}[{}]", scene.operator, scene.target());
    let done = run_of(&words).args([&login, "gate", "id"]).run().unwrap();
    assert!(!done.success());
    assert!(done.err().contains("request create"), "{}", done.all());
    // As it is advised. ssh joins its arguments, so the gate sees no quotes.
    let target = scene.target();
    let ask = ["request", "create", &target, "--justification", "restore of db 1", "-o", "json"];
    let made = scene.world.client().console(&scene.operator, &ask).unwrap().ok().unwrap();
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made.as_array().map(Vec::len), Some(1), "{made}");
    assert_eq!(made[0]["justification"], "restore of db 1", "{made}");
}

#[test]
fn no_forward_is_opened_unless_the_group_allows_it() {
    needs_devices!();
    let target = format!("{ACCOUNT}@db01");
    let client = street().world.client();
    let words = ["-o", "BatchMode=yes", "-l", &format!("{USER}[{target}]"), "-W", "127.0.0.1:22", "gate"];
    let through = run_of(&client.words("ssh", USER, &words).unwrap()).run().unwrap();
    assert!(!through.success() && !through.out().contains("SSH-2.0"), "{}", through.all());

    let words = ["-o", "BatchMode=yes", "-l", USER, "-W", "127.0.0.1:80", "gate"];
    let other_port = run_of(&client.words("ssh", USER, &words).unwrap()).run().unwrap();
    assert!(!other_port.success(), "{}", other_port.all());

    let agent = ssh(USER, &target, &["-A"], "echo \"[$SSH_AUTH_SOCK]\"");
    assert_eq!(agent.out(), "[]\n", "{}", agent.all());
    let remote = ssh(USER, &target, &["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9"], "id");
    assert!(!remote.success(), "{}", remote.all());
    // The twin without a forward.
    assert!(ssh(USER, &target, &[], "id").success());
}

#[test]
fn mosh_is_refused_with_the_reason() {
    needs_devices!();
    // As mosh(1) asks for it.
    let done = ssh(USER, &format!("{ACCOUNT}@db01"), &[], "mosh-server new -s -c 256 -l LANG=C.UTF-8");
    assert!(!done.success() && done.err().contains("past the gate"), "{}", done.all());
}

#[test]
fn a_typo_in_resources_is_refused_with_its_place_and_nothing_is_applied() {
    needs_devices!();
    let world = &street().world;
    let typo =
        "[[user]]\nname = \"typo-victim\"\n\n[[device]]\nname = \"typo-device\"\nadress = \"192.0.2.1\"\n";
    let done = world.admin(&["apply", "-f", "-"]).unwrap().stdin(typo).run().unwrap();
    assert!(!done.success());
    assert!(done.err().contains("adress") && done.err().contains('6'), "{}", done.all());
    let users = world.admin(&["get", "user"]).unwrap().ok().unwrap().out();
    assert!(!users.contains("typo-victim"), "{users}");
}

#[test]
fn a_typo_in_the_proxys_configuration_is_refused_with_its_name() {
    let scratch = Scratch::new("typo");
    let config = "state_dir = \"/nonexistent\"\nrecordigns_dir = \"/nonexistent\"\n";
    let path = scratch.file("proxy.toml", config.as_bytes());
    let done = Run::new(program("tidegate-proxy").unwrap())
        .args(["check-config", "--config"])
        .arg(path)
        .run()
        .unwrap();
    assert!(!done.success());
    assert!(done.all().contains("recordigns_dir"), "{}", done.all());
}

#[test]
fn the_demos_resources_are_right_and_a_typo_in_them_is_told_with_its_place() {
    let demo = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo.toml")).unwrap();
    Resources::read(&demo).unwrap();
    let mistakes = Resources::read(&demo.replace("justification", "justificaton")).unwrap_err().to_string();
    let line = demo.lines().position(|line| line.contains("justification")).unwrap() + 1;
    assert!(mistakes.contains(&line.to_string()) && mistakes.contains("justificaton"), "{mistakes}");
}

#[test]
fn no_session_starts_without_room_for_its_recording() {
    needs_devices!();
    let options = Options { recordings_bytes: Some(4 << 20), free_floor: "1 MiB", ..Options::default() };
    let Stand { device, world } = Stand::with("full", options);
    let scene = Scene::set(&world, &device, "room", "{}");
    let ask = || world.client().ssh(&scene.operator, &scene.target(), &["id"]).unwrap().run().unwrap();
    // The twin with room comes first.
    assert!(ask().success(), "{}", world.log());
    fs::write(world.recordings().join("filler"), vec![1; 7 << 19]).unwrap();
    let refused = ask();
    assert!(!refused.success());
    assert!(refused.err().contains("record"), "{}", refused.all());
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn no_session_starts_without_room_for_the_log_also_where_recordings_have_a_disk_of_their_own() {
    needs_devices!();
    let (disk_bytes, recordings_bytes) = (Some(80 << 20), Some(300 << 20));
    let options = Options { disk_bytes, recordings_bytes, free_floor: "40 MiB", ..Options::default() };
    let Stand { device, world } = Stand::with("apart", options);
    let scene = Scene::set(&world, &device, "apart", "{}");
    let ask = || world.client().ssh(&scene.operator, &scene.target(), &["id"]).unwrap().run().unwrap();
    assert!(ask().success(), "{}", world.log());
    fs::write(world.dir().join("filler"), vec![1; 50 << 20]).unwrap();
    let refused = ask();
    let state = format!("{} has", world.state().display());
    assert!(!refused.success() && refused.err().contains(&state), "{}", refused.all());
    world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn on_a_disk_that_fills_up_the_session_that_fills_it_ends_and_the_console_and_others_go_on() {
    needs_devices!();
    let options = Options { disk_bytes: Some(160 << 20), free_floor: "100 MiB", ..Options::default() };
    let Stand { device, world } = Stand::with("crowded", options);
    let scene = Scene::set(&world, &device, "crowds", "{}");
    let free = || {
        let space = nix::sys::statvfs::statvfs(&world.state()).unwrap();
        space.blocks_available() * space.fragment_size()
    };
    let mut quiet = scene.knock();
    scene.at_the_prompt(&mut quiet);
    let live = text(&scene.sessions()[0], "id");
    let flood = ["base64 /dev/urandom"];
    let flood = world.client().ssh_with(&scene.operator, &scene.target(), &["-tt"], &flood).unwrap();
    let flood = flood.within(Duration::from_secs(180)).run().unwrap();
    assert!(flood.err().contains("fills up"), "{}", flood.err());
    // A quarter of the floor is the reserve, which no recording has touched.
    assert!(free() > 25 << 20, "{}", free());

    quiet.send_line("echo still-$((6*7))").unwrap();
    quiet.expect("still-42").unwrap();
    let refused = world.client().ssh(&scene.operator, &scene.target(), &["id"]).unwrap().run().unwrap();
    assert!(!refused.success() && refused.err().contains("no session can start"), "{}", refused.all());
    // Also when something else takes of the reserve.
    let filler = fs::File::create(world.state().join("filler")).unwrap();
    let more = i64::try_from(free().saturating_sub(20 << 20)).unwrap();
    nix::fcntl::fallocate(&filler, nix::fcntl::FallocateFlags::empty(), 0, more).unwrap();
    let full = || {
        let log = world.json(&["audit", "tail", "-n", "200"]).unwrap();
        let events = log.as_array().unwrap().iter().map(|record| record["event"].clone());
        events.filter(|event| event["cause"] == "full").collect::<Vec<_>>()
    };
    // The log hears of the end a moment after the client has left.
    wait::until_true("the end is logged", PATIENCE, || !full().is_empty()).unwrap();
    let ended = full();
    assert_eq!(ended.len(), 1, "{ended:#?}");
    // Unless something of its recording was still to be written: then that ended it.
    let killed = world.admin(&["session", "kill", &live]).unwrap().run().unwrap();
    assert!(killed.success() || killed.err().contains("does not live"), "{}", killed.all());
    quiet.end(PATIENCE).unwrap();
    world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
    let sealed = ended[0]["session"].as_str().unwrap();
    world.admin(&["session", "verify", sealed]).unwrap().ok().unwrap();
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn a_disk_that_fills_up_ends_the_session_and_its_grant() {
    needs_devices!();
    let options = Options { recordings_bytes: Some(4 << 20), free_floor: "64 KiB", ..Options::default() };
    let Stand { device, world } = Stand::with("filling", options);
    let scene = Scene::set(&world, &device, "fills", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    // Random text does not compress: the tmpfs is full soon.
    pty.send_line("head -c 40M /dev/urandom | base64").unwrap();
    pty.end(PATIENCE * 3).unwrap();
    scene.is_as_before_within(PATIENCE);
}
