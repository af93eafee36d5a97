//! Accounts that come and go, in a directory of the test's own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::*;
use crate::core::{Gone, Held, Unit};
use crate::elevate::{Elevator, aside};
use crate::test::Scratch;

const FILES_BEFORE: [(&str, &str); 4] = [
    ("passwd", "root:x:0:0::/root:/bin/sh\nops:x:1000:1000::/home/ops:/bin/sh"),
    ("shadow", "root:*:1::::::\nops:*:1::::::\n"),
    ("group", "root:x:0:\nadm:x:4:jane\n"),
    ("gshadow", "root:*::\nadm:*::jane\n"),
];

/// Files that take longer to remove than others wait for.
const MANY: usize = 20_000;

static TESTS: AtomicU32 = AtomicU32::new(0);

fn host() -> (Scratch, Elevator) {
    let scratch = Scratch::new();
    for (file, text) in FILES_BEFORE {
        std::fs::write(scratch.paths().etc.join(file), text).unwrap();
    }
    for directory in ["home", "tmp", "var/mail", "var/spool/cron/crontabs", "etc/skel/.config"] {
        std::fs::create_dir_all(scratch.path().join(directory)).unwrap();
    }
    std::fs::write(scratch.path().join("etc/skel/.profile"), "umask 022\n").unwrap();
    // User ids of its own: an undo ends every process on the machine that has one.
    let ids = 59_000 + 10 * TESTS.fetch_add(1, Ordering::Relaxed);
    std::fs::write(scratch.paths().last_uid(), ids.to_string()).unwrap();
    let elevator = Elevator::new(scratch.paths().clone());
    (scratch, elevator)
}

fn session() -> SessionId {
    SessionId::new(7, 7)
}

fn name() -> AccountName {
    AccountName::of_session(session())
}

fn granted(elevator: &mut Elevator) -> Vec<Held> {
    let account = name();
    let units = vec![
        Unit::Created { account: account.clone(), session: session(), shell: None, expires: None },
        Unit::Group { account, group: "adm".parse().unwrap() },
    ];
    given(elevator, session(), units)
}

fn given(elevator: &mut Elevator, session: SessionId, units: Vec<Unit>) -> Vec<Held> {
    let fresh = elevator.plan(session, units).unwrap();
    elevator.apply(&fresh, &[]).unwrap();
    held(fresh)
}

fn held(fresh: Vec<(Unit, Delta)>) -> Vec<Held> {
    let held =
        |(unit, delta)| Held { unit, delta, applied: true, holders: Default::default(), left_by: None };
    fresh.into_iter().map(held).collect()
}

fn uid(held: &[Held]) -> u32 {
    let Delta::Created { uid, .. } = held[0].delta else { panic!() };
    uid
}

fn as_before(scratch: &Scratch) {
    for (file, text) in FILES_BEFORE {
        assert_eq!(std::fs::read_to_string(scratch.paths().etc.join(file)).unwrap(), text, "{file}");
    }
}

/// Whether the test may give files away; says so when not.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("SKIPPED: giving files to another account needs root");
    }
    root
}

#[test]
fn an_account_comes_with_home_and_group_and_goes_with_its_files_and_processes() {
    if !is_root() {
        return;
    }
    let (scratch, mut elevator) = host();
    let held = granted(&mut elevator);
    let (uid, name) = (uid(&held), name());
    let home = scratch.path().join(format!("home/{name}"));
    assert!(home.join(".profile").is_file() && home.join(".config").is_dir());
    let group = std::fs::read_to_string(scratch.paths().etc.join("group")).unwrap();
    assert!(group.contains(&format!("adm:x:4:jane,{name}\n")), "{group}");
    // What a session leaves: files of root in its home, its own in shared places, a
    // link out of its home, a crontab, a process.
    std::fs::create_dir_all(home.join("a/b/c")).unwrap();
    std::fs::write(home.join("a/b/c/of-root"), "").unwrap();
    std::os::unix::fs::symlink(scratch.paths().etc.join("passwd"), home.join("link")).unwrap();
    let theirs = scratch.path().join("tmp/of-root");
    std::fs::create_dir(&theirs).unwrap();
    for file in ["tmp/mine", "tmp/of-root/mine", "var/mail/box", "var/spool/cron/crontabs/tab"] {
        std::fs::write(scratch.path().join(file), "").unwrap();
        std::os::unix::fs::chown(scratch.path().join(file), Some(uid), None).unwrap();
    }
    let mut command = std::process::Command::new("sleep");
    std::os::unix::process::CommandExt::uid(&mut command, uid);
    let mut left = command.arg("1000").current_dir("/").spawn().unwrap();
    let waiter = std::thread::spawn(move || left.wait());
    let gone = elevator.undo(held);
    assert!(gone.iter().all(|gone| gone.result == Ok(None)), "{gone:?}");
    let ended = |gone: &Gone| gone.ended.leftovers.iter().any(|leftover| leftover.comm == "sleep");
    assert!(gone.iter().any(ended), "{gone:?}");
    assert!(!waiter.join().unwrap().unwrap().success());
    as_before(&scratch);
    assert!(!home.exists());
    assert_eq!(std::fs::read_dir(&theirs).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(scratch.path().join("tmp")).unwrap().count(), 1);
    for place in ["var/mail", "var/spool/cron/crontabs"] {
        assert_eq!(std::fs::read_dir(scratch.path().join(place)).unwrap().count(), 0, "{place}");
    }
}

#[test]
fn an_account_that_is_no_longer_the_one_that_was_made_stands_and_is_not_touched() {
    if !is_root() {
        return;
    }
    let (scratch, mut elevator) = host();
    let held = granted(&mut elevator);
    let passwd = scratch.paths().etc.join("passwd");
    let before = std::fs::read_to_string(&passwd).unwrap();
    std::fs::write(&passwd, before.replace("Tidegate session", "Kim")).unwrap();
    let gone = elevator.undo(held.clone());
    let failure = gone.iter().find_map(|gone| gone.result.clone().err()).unwrap();
    assert!(failure.why.contains("no longer the account that was created"), "{failure}");
    assert!(scratch.path().join(format!("home/{}", name())).exists());
    // The twin with the mark in its place.
    std::fs::write(&passwd, before).unwrap();
    let created = held.into_iter().take(1).collect();
    assert!(elevator.undo(created).iter().all(|gone| gone.result == Ok(None)));
    as_before(&scratch);
}

#[test]
fn a_home_of_many_files_goes_later_and_no_end_waits_for_it() {
    if !is_root() {
        return;
    }
    let (scratch, mut elevator) = host();
    let held = granted(&mut elevator);
    let ops = Unit::Group { account: "ops".parse().unwrap(), group: "adm".parse().unwrap() };
    let of_another = given(&mut elevator, SessionId::new(7, 8), vec![ops]);
    let home = scratch.path().join(format!("home/{}", name()));
    (0..MANY).for_each(|number| std::fs::write(home.join(number.to_string()), "").unwrap());
    let background = aside::hold();
    let gone = elevator.undo(held);
    assert!(gone.iter().all(|gone| gone.result == Ok(None)), "{gone:?}");
    let put_aside = scratch.path().join("home/.tidegate-removed");
    assert!(!home.exists() && put_aside.join(name().as_str()).exists(), "its end waited until all was gone");
    // Another's end, while nothing of it goes.
    let gone = elevator.undo(of_another);
    assert!(gone.iter().all(|gone| gone.result == Ok(None)), "{gone:?}");
    as_before(&scratch);
    assert!(put_aside.exists());
    drop(background);
    let started = Instant::now();
    while put_aside.exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "it never went");
        std::thread::yield_now();
    }
}

#[test]
fn a_search_that_runs_out_of_time_is_told_and_keeps_nothing_of_the_account() {
    if !is_root() {
        return;
    }
    let (scratch, mut elevator) = host();
    let [created, group] = <[Held; 2]>::try_from(granted(&mut elevator)).unwrap();
    let uid = uid(std::slice::from_ref(&created));
    elevator.undo(vec![group]);
    let (tmp, home) = (scratch.path().join("tmp"), scratch.path().join(format!("home/{}", name())));
    std::fs::write(tmp.join("mine"), "").unwrap();
    std::os::unix::fs::chown(tmp.join("mine"), Some(uid), None).unwrap();
    let undo = |applied, searched| {
        let mut ended = Reaped::default();
        undo(scratch.paths(), &elevator.accounts, &name(), &created.delta, applied, &mut ended, searched)
    };
    let told = undo(true, Duration::ZERO).unwrap().unwrap();
    assert!(told.starts_with(&format!("files of `{}` (user id {uid}) may be left", name())), "{told}");
    assert!(told.contains(&format!("{}: more than can be searched in 0 s", tmp.display())), "{told}");
    as_before(&scratch);
    assert!(!home.exists() && tmp.join("mine").exists());
    // The twin that has the time.
    assert_eq!(undo(false, belongings::SEARCHED), Ok(None));
    assert!(!tmp.join("mine").exists());
}

#[test]
fn a_user_id_is_not_given_twice_in_a_row() {
    if !is_root() {
        return;
    }
    let (scratch, mut elevator) = host();
    let first = granted(&mut elevator);
    let one = uid(&first);
    elevator.undo(first);
    let second = granted(&mut elevator);
    assert_ne!(uid(&second), one);
    elevator.undo(second);
    // Nor after a boot, which leaves files where they are.
    std::fs::remove_dir_all(&scratch.paths().run).unwrap();
    std::fs::create_dir_all(&scratch.paths().run).unwrap();
    let third = granted(&mut elevator);
    assert_ne!(uid(&third), one);
    elevator.undo(third);
}

#[test]
fn an_undo_after_a_crash_before_the_account_was_made_finds_nothing_to_do() {
    let (scratch, mut elevator) = host();
    let unit = Unit::Created { account: name(), session: session(), shell: None, expires: None };
    let (unit, delta) = elevator.plan(session(), vec![unit]).unwrap().remove(0);
    let held = Held { unit, delta, applied: false, holders: Default::default(), left_by: None };
    assert!(elevator.undo(vec![held]).iter().all(|gone| gone.result == Ok(None)));
    as_before(&scratch);
}

#[test]
fn an_account_expires_later_with_its_session_unless_somebody_has_brought_that_forward() {
    if !is_root() {
        return;
    }
    let (scratch, mut elevator) = host();
    let at = |day: i64| jiff::Timestamp::from_second(day * SECONDS_OF_DAY + 60).unwrap();
    let (account, expires) = (name(), Some(at(30_000)));
    let created = Unit::Created { account, session: session(), shell: None, expires };
    let fresh = elevator.plan(session(), vec![created]).unwrap();
    elevator.apply(&fresh, &[]).unwrap();
    let held = held(fresh);
    let expires = || expiry(scratch.paths(), &name()).unwrap().unwrap();
    assert_eq!(expires(), "30001");
    // Never earlier.
    for (from, end, day) in [(30_000, 30_005, "30006"), (30_000, 30_002, "30006"), (30_005, 30_007, "30008")]
    {
        let before = expires();
        elevator.extend(at(from), at(end), &[], &[], &held).unwrap();
        assert_eq!(expires(), before, "the journal does not have the later end yet");
        elevator.expire_later(at(from), at(end), &held).unwrap();
        assert_eq!(expires(), day);
    }
    // Before the first end, and after it but before the one that it has.
    let shadow = scratch.paths().etc.join("shadow");
    let text = std::fs::read_to_string(&shadow).unwrap();
    for day in ["20000", "30003"] {
        std::fs::write(&shadow, text.replace(":30008:", &format!(":{day}:"))).unwrap();
        let refused = elevator.extend(at(30_007), at(30_009), &[], &[], &held).unwrap_err();
        assert!(refused.failure.why.contains("somebody else has"), "{refused:?}");
        let late = elevator.expire_later(at(30_007), at(30_009), &held).unwrap_err();
        assert_eq!(late, refused.failure);
        assert_eq!(expires(), day);
    }
    // As it was made: it was never moved.
    std::fs::write(&shadow, text.replace(":30008:", ":30001:")).unwrap();
    elevator.expire_later(at(30_007), at(30_009), &held).unwrap();
    assert_eq!(expires(), "30010");
    let gone = elevator.undo(held);
    assert!(gone.iter().all(|gone| gone.result == Ok(None)), "{gone:?}");
    as_before(&scratch);
    let refused = expire_later_gone(&mut elevator);
    assert!(refused.contains("is gone"), "{refused}");
}

/// What is said of an account that is not there.
fn expire_later_gone(elevator: &mut Elevator) -> String {
    let unit = Unit::Created { account: name(), session: session(), shell: None, expires: None };
    let fresh = elevator.plan(session(), vec![unit]).unwrap();
    elevator.let_go();
    let held = held(fresh);
    let (from, until) = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::MAX);
    elevator.extend(from, until, &[], &[], &held).unwrap_err().failure.why
}
