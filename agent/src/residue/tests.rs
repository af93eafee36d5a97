//! Real processes of the test's own.

use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};

use std::collections::BTreeSet;

use super::*;
use tidegate_common::grant::Leftover;
use tidegate_common::wire::SESSION_VARIABLE;

/// What these tests start is in no unit.
const NO_UNIT: Systemd = Systemd { stop: |_| (), show: |_| None };

fn end(paths: &Paths, session: SessionId, known: Traces, grace: Duration) -> Vec<Leftover> {
    let leaving = Leaving { session: Some(session), known, ..Leaving::default() };
    end_all(paths, [leaving], grace, NO_UNIT).into_iter().flat_map(|(_, reaped)| reaped.leftovers).collect()
}

fn reaper<T: Fn(crate::core::Event)>(grace: Duration, tell: T) -> Reaper<T> {
    let logins = crate::logins::Logins::default();
    Reaper { paths: Paths::default(), grace, systemd: NO_UNIT, logins, tell }
}

fn start(session: SessionId, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env(SESSION_VARIABLE, session.to_string()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It says when its script runs: from then on its environment is its own.
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    child
}

#[test]
fn a_process_of_the_session_is_ended_and_one_of_another_lives() {
    let (mine, other) = (SessionId::new(10, 1), SessionId::new(10, 2));
    let mut ending = start(mine, "echo x; exec sleep 1000");
    let mut staying = start(other, "echo x; exec sleep 1000");
    let left = end(&Paths::default(), mine, Traces::default(), Duration::from_secs(10));
    assert_eq!(
        left.iter().map(|leftover| (leftover.pid, leftover.killed)).collect::<Vec<_>>(),
        [(ending.id(), false)]
    );
    assert_eq!(left[0].comm, "sleep");
    ending.wait().unwrap();
    assert!(staying.try_wait().unwrap().is_none(), "the other session's process was ended");
    staying.kill().unwrap();
    staying.wait().unwrap();
}

#[test]
fn a_process_whose_name_is_no_text_is_ended_and_told_byte_by_byte() {
    let session = SessionId::new(16, 1);
    let scratch = crate::test::Scratch::new();
    let program = scratch.path().join(std::ffi::OsStr::from_bytes(b"y\xff"));
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut command = Command::new(&program);
    let mut child = command.arg("905").env(SESSION_VARIABLE, session.to_string()).spawn().unwrap();
    let left = end(&Paths::default(), session, Traces::default(), Duration::from_secs(10));
    child.wait().unwrap();
    let [left] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!((left.pid, left.comm.as_str(), left.killed), (child.id(), "y\\xff", false));
    assert!(left.command.ends_with("/y\\xff 905"), "{left:?}");
}

/// Each lives for so many microseconds and makes the next; for twenty seconds, so that a test
/// that fails leaves nothing.
const HOPPER: &str = r#"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int signals = 1; signals < 32; signals++) signal(signals, SIG_IGN);
    for (int left = 20000000 / atoi(argv[1]); left > 0; left--) {
        if (fork()) _exit(0);
        if (argc > 2) setsid();
        usleep(atoi(argv[1]));
    }
}
"#;

#[test]
fn a_process_that_hops_from_one_to_the_next_is_caught_and_what_is_not_certain_is_told() {
    let scratch = crate::test::Scratch::new();
    let source = scratch.path().join("hopper.c");
    std::fs::write(&source, HOPPER).unwrap();
    let program = scratch.path().join("hopper");
    assert!(Command::new("cc").arg("-o").args([&program, &source]).status().unwrap().success());
    for (number, (micros, alone)) in (0..).zip([("500", false), ("1000", false), ("2000", true)]) {
        let session = SessionId::new(17, number);
        let mut command = Command::new(&program);
        command.arg(micros).args(alone.then_some("setsid")).env(SESSION_VARIABLE, session.to_string());
        command.spawn().unwrap().wait().unwrap();
        let leaving = Leaving { session: Some(session), ..Leaving::default() };
        let began = Instant::now();
        let [(_, reaped)] =
            end_all(&Paths::default(), [leaving], Duration::from_secs(2), NO_UNIT).try_into().unwrap();
        eprintln!(
            "{micros} us: {:?}, {} listed, {} more",
            began.elapsed(),
            reaped.leftovers.len(),
            reaped.more
        );
        assert!(reaped.leftovers.iter().any(|one| one.comm == "hopper"), "{reaped:?}");
        let mut table = Table::read(&Paths::default());
        table.settle(|_| ());
        let here = table.of_session(session, &Traces::default());
        assert!(here.is_empty() || !reaped.unseen.is_empty(), "{here:?} live on, and nobody was told");
        // On a host where others come and go at each look, that it may not be over is told.
        let doubt = |told: &String| told.starts_with("whether none of its processes is left");
        assert!(reaped.unseen.iter().all(doubt), "{:?}", reaped.unseen);
    }
}

#[test]
fn a_process_deaf_to_term_is_killed_and_marked() {
    let session = SessionId::new(11, 1);
    let mut deaf = start(session, "trap '' TERM; echo x; while :; do sleep 1000; done");
    let left = end(&Paths::default(), session, Traces::default(), Duration::from_millis(50));
    assert!(left.iter().any(|leftover| leftover.pid == deaf.id() && leftover.killed), "{left:?}");
    deaf.wait().unwrap();
}

#[test]
fn a_process_that_cleaned_its_environment_is_found_when_it_was_seen_before() {
    let session = SessionId::new(12, 1);
    let mut child = start(session, "echo x; exec sleep 1000");
    let known = trace(&Table::read(&Paths::default()), session, Traces::default());
    let stranger = SessionId::new(12, 2);
    assert!(end(&Paths::default(), stranger, Traces::default(), Duration::ZERO).is_empty());
    let left = end(
        &Paths::default(),
        stranger,
        Traces { processes: known.processes, ..Traces::default() },
        Duration::from_secs(10),
    );
    // Known, but marked as another session's: the marker is believed.
    assert!(left.is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let mut clean = Command::new("env").args(["-i", "sleep", "1000"]).spawn().unwrap();
    while std::fs::read(format!("/proc/{}/environ", clean.id())).is_ok_and(|bytes| !bytes.is_empty()) {
        std::thread::yield_now();
    }
    let table = Table::read(&Paths::default());
    let start = table.get(clean.id()).unwrap().start;
    let known = Traces { processes: BTreeSet::from([(clean.id(), start)]), ..Traces::default() };
    let left = end(&Paths::default(), session, known, Duration::from_secs(10));
    assert_eq!(left.len(), 1);
    clean.wait().unwrap();
}

#[test]
fn many_sessions_end_within_one_grace() {
    let sessions: Vec<SessionId> = (0..8).map(|number| SessionId::new(13, number)).collect();
    let script = "trap '' TERM; echo x; while :; do sleep 1000; done";
    let mut deaf: Vec<Child> = sessions.iter().map(|session| start(*session, script)).collect();
    let (jobs, queue) = std::sync::mpsc::channel();
    let (told, said) = std::sync::mpsc::channel();
    let began = Instant::now();
    let grace = Duration::from_secs(2);
    let reaper = reaper(grace, move |event| told.send(event).unwrap());
    let thread = std::thread::spawn(move || reaper.work(&queue));
    for session in &sessions {
        jobs.send(Job::End { session: *session, known: Traces::default(), powers: false }).unwrap();
    }
    drop(jobs);
    thread.join().unwrap();
    assert!(began.elapsed() < grace * 4, "they waited for each other");
    let ended: Vec<_> = said
        .try_iter()
        .map(|event| match event {
            crate::core::Event::ProcessesEnded { session, reaped } => {
                assert!(reaped.leftovers.iter().any(|leftover| leftover.killed));
                session
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ended.len(), sessions.len());
    for child in &mut deaf {
        child.wait().unwrap();
    }
}

#[test]
fn a_process_that_comes_after_its_sessions_end_is_ended_too() {
    let session = SessionId::new(14, 1);
    let (jobs, queue) = std::sync::mpsc::channel();
    let (told, said) = std::sync::mpsc::channel();
    let grace = Duration::from_secs(10);
    let reaper = reaper(grace, move |event| told.send(event).unwrap());
    let thread = std::thread::spawn(move || reaper.work(&queue));
    jobs.send(Job::Late { session: Some(session), lost: BTreeSet::new() }).unwrap();
    jobs.send(Job::End { session, known: Traces::default(), powers: false }).unwrap();
    let crate::core::Event::ProcessesEnded { reaped, .. } = said.recv().unwrap() else { panic!() };
    assert_eq!(reaped, Reaped::default());
    let mut late = start(session, "echo x; exec sleep 1000");
    late.wait().unwrap();
    drop(jobs);
    thread.join().unwrap();
    assert!(said.try_iter().next().is_none(), "the session's end is told once");
}

#[test]
fn a_session_that_lives_is_looked_at_while_the_end_of_another_takes_its_time() {
    let (living, leaving) = (SessionId::new(15, 1), SessionId::new(15, 2));
    let mut stubborn = start(leaving, "trap 'echo y' TERM; echo x; while :; do sleep 1000; done");
    let (jobs, queue) = std::sync::mpsc::channel();
    let (told, said) = std::sync::mpsc::channel();
    let grace = Duration::from_secs(20);
    let reaper = reaper(grace, move |event| told.send(event).unwrap());
    let thread = std::thread::spawn(move || reaper.work(&queue));
    jobs.send(Job::Trace { session: living, known: Traces::default() }).unwrap();
    jobs.send(Job::End { session: leaving, known: Traces::default(), powers: false }).unwrap();
    // Once one is asked to end, both jobs have been seen to.
    std::io::Read::read_exact(stubborn.stdout.as_mut().unwrap(), &mut [0; 2]).unwrap();
    let mut child = start(living, "echo x; exec sleep 1000");
    let found = said.recv_timeout(grace / 2).expect("a look before the other's end is over");
    assert!(matches!(found, crate::core::Event::Traced { session, .. } if session == living), "{found:?}");
    for child in [&mut child, &mut stubborn] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    drop(jobs);
    thread.join().unwrap();
}
