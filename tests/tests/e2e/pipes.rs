//! Whoever reads what a program of ours says may leave: nothing dies of it in the middle
//! of its work, and nothing hangs.

use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate_tests::host::Host;
use tidegate_tests::programs::program;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Run;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::ways::street;

/// For bash(1): the command's status when its reader leaves at once, and what it complained of.
const READER_LEAVES: &str = r#""$@" 2>&1 >&3 3>&- | cat >&2; exit ${PIPESTATUS[0]}"#;

/// Runs the words with a standard output that nobody reads.
fn unread(words: &[String]) -> (Option<i32>, String) {
    let line = format!("exec 3> >(exec true); wait $!; {READER_LEAVES}");
    let done = Run::new("bash").args(["-c", &line, "bash"]).args(words).run().unwrap();
    (done.code(), done.err())
}

#[test]
fn a_command_whose_reader_left_ends_quietly() {
    let world = World::start(Options::default()).unwrap();
    for command in [vec!["audit", "tail", "-n", "100"], vec!["help"], vec!["get", "user", "-o", "json"]] {
        let words = [world.admin_words().unwrap(), command.into_iter().map(str::to_owned).collect()].concat();
        let (status, complaint) = unread(&words);
        assert!(matches!(status, Some(0 | 141)), "{words:?}: {status:?} {complaint}");
        assert_eq!(complaint, "", "{words:?}");
    }
    let config = world.config().display().to_string();
    let proxy = program("tidegate-proxy").unwrap().display().to_string();
    let check = [proxy, "check-config".to_owned(), "--config".to_owned(), config];
    assert_eq!(unread(&check), (Some(0), String::new()));
}

#[test]
fn an_agents_command_whose_reader_left_ends_quietly() {
    needs_devices!();
    for command in ["doctor", "report", "check-config"] {
        let line = format!("exec 3> >(exec true); wait $!; set -- tidegate-agent {command}; {READER_LEAVES}");
        let done = street().device.run(&["bash", "-c", &line]).unwrap();
        assert!(matches!(done.code(), Some(0..=2 | 141)), "{command}: {:?} {}", done.code(), done.all());
        assert_eq!(done.err(), "", "{command}");
    }
}

#[test]
fn a_gate_whose_log_nobody_reads_serves_on_and_stops_in_order() {
    let world = World::start(Options::default()).unwrap();
    world.stop_proxy().unwrap();
    let mut gate = Command::new(program("tidegate-proxy").unwrap())
        .args(["serve", "--config"])
        .arg(world.config())
        .env("TIDEGATE_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((gate.stdout.take(), gate.stderr.take()));
    let answers = || world.admin(&["get", "user"]).unwrap().run().unwrap().success();
    wait::until_true("the console answers", PATIENCE, answers).unwrap();
    world.apply("[[user]]\nname = \"unread\"\n").unwrap();
    assert!(gate.try_wait().unwrap().is_none());
    kill(Pid::from_raw(i32::try_from(gate.id()).unwrap()), Signal::SIGTERM).unwrap();
    let ended = wait::until("the gate stops", PATIENCE, || gate.try_wait().unwrap());
    assert!(ended.unwrap().success());
}

#[test]
fn what_cannot_be_written_to_a_full_disk_is_no_success_and_says_so() {
    let world = World::start(Options::default()).unwrap();
    let config = world.config().display().to_string();
    let [proxy, agent] =
        ["tidegate-proxy", "tidegate-agent"].map(|name| program(name).unwrap().display().to_string());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let admin = |command: &[&str]| [world.admin_words().unwrap(), words(command)].concat();
    for words in [
        admin(&["get", "user", "-o", "json"]),
        admin(&["audit", "tail"]),
        admin(&["--help"]),
        words(&[&proxy, "--help"]),
        words(&[&proxy, "--version"]),
        words(&[&proxy, "check-config", "--config", &config]),
        words(&[&agent, "--help"]),
        words(&[&agent, "report", "--help"]),
    ] {
        let full = Run::new("sh").args(["-c", "exec \"$@\" >/dev/full", "sh"]).args(&words).run().unwrap();
        assert_eq!(full.code(), Some(1), "{words:?}: {}", full.all());
        assert!(
            full.err().contains("standard output") && !full.err().contains("broke off"),
            "{}",
            full.err()
        );
        Run::new(&words[0]).args(&words[1..]).ok().unwrap();
    }
}

#[test]
fn a_command_that_follows_the_log_ends_when_its_reader_leaves_and_not_at_the_next_record() {
    let world = World::start(Options::default()).unwrap();
    world.apply("[[user]]\nname = \"one\"\n").unwrap();
    let mut words = world.admin_words().unwrap();
    words.extend(["audit", "tail", "-f"].map(str::to_owned));
    // Nothing is logged meanwhile.
    let line = r#""$@" | head -n 1; exit ${PIPESTATUS[0]}"#;
    let done = Run::new("bash").args(["-c", line, "bash"]).args(&words).within(PATIENCE).run().unwrap();
    assert_eq!((done.code(), done.out().lines().count()), (Some(141), 1), "{}", done.all());
}
