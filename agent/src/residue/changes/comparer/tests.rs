//! What the thread tells of sessions, on a host of the test's own.

use std::sync::mpsc::channel;

use super::*;
use crate::core::{Delta, Record, Unit};
use crate::test::Scratch;

fn view(scratch: &Scratch, ledger: &Ledger) -> View {
    View::of(scratch.paths(), Grants::new(ledger.clone()), crate::elevate::without)
}

/// What is told of a session that began before, or after, the newest picture was taken;
/// a cron job came while it was.
fn told(before: bool) -> Vec<String> {
    let scratch = Scratch::new();
    let (tell, told) = channel();
    let tell = move |_, residue| tell.send(residue).is_ok();
    let mut comparer = Comparer::new(view(&scratch, &Ledger::default()), scratch.paths(), tell);
    comparer.report();
    let began = Clock::now();
    let jobs = scratch.path().join("etc/cron.d");
    std::fs::create_dir_all(&jobs).unwrap();
    std::fs::write(jobs.join("job"), "* * * * * root id\n").unwrap();
    comparer.report();
    let clock = if before { began } else { Clock::now() };
    let (session, quick) = (SessionId::new(1, 1), comparer.view.take_quick());
    comparer.take(Job::Begun { session, quick, clock });
    comparer.take(Job::Granted { session });
    comparer.take(Job::Over { session });
    comparer.report();
    comparer.tell_all();
    // The machine's own sockets come and go.
    let cron = |finding: &Finding| finding.kind == FindingKind::Cron;
    let residue = told.try_recv().unwrap();
    residue.findings.into_iter().filter(cron).map(|finding| finding.what).collect()
}

#[test]
fn what_a_session_changes_while_a_picture_is_taken_is_told_and_what_was_there_before_is_not() {
    assert_eq!(told(true), ["/etc/cron.d/job"]);
    assert_eq!(told(false), [""; 0]);
}

#[test]
fn an_agent_replaced_before_its_first_picture_leaves_what_it_knows_of_its_sessions() {
    let scratch = Scratch::new();
    let (tell, told) = channel();
    let tell = move |_, residue| tell.send(residue).is_ok();
    std::fs::create_dir_all(scratch.path().join("etc")).unwrap();
    std::fs::write(scratch.path().join("etc/group"), "adm:x:4:\n").unwrap();
    let ledger = Ledger::default();
    let mut comparer = Comparer::new(view(&scratch, &ledger), scratch.paths(), tell.clone());
    comparer.resume(&Beginning { ledger, without: crate::elevate::without, at_once: false });
    comparer.view.hurry().set(true);
    assert!(comparer.look().is_none());
    let (session, quick) = (SessionId::new(1, 1), comparer.view.take_quick());
    comparer.take(Job::Begun { session, quick, clock: Clock::now() });
    comparer.take(Job::Granted { session });
    let (done, settled) = channel();
    comparer.take(Job::Settle { done });
    assert!(settled.try_recv().is_ok() && !comparer.view.hurry().is_set());
    drop(comparer);

    let mut ledger = Ledger::default();
    let account: tidegate_common::name::AccountName = "ops".parse().unwrap();
    let unit = Unit::Group { account: account.clone(), group: "adm".parse().unwrap() };
    let fresh = vec![(unit, Delta::Group { group: true, gshadow: false })];
    ledger.take(Record::Granting { session, account, expires: None, gate: None, fresh, joined: Vec::new() });
    let mut comparer = Comparer::new(view(&scratch, &ledger), scratch.paths(), tell);
    comparer.resume(&Beginning { ledger, without: crate::elevate::without, at_once: true });
    assert!(comparer.wants, "nobody has looked yet");
    std::fs::write(scratch.path().join("etc/group"), "adm:x:4:ops\n").unwrap();
    comparer.take(Job::Over { session });
    comparer.report();
    comparer.tell_all();
    let residue = told.try_recv().unwrap();
    let groups = residue.findings.iter().filter(|finding| finding.kind == FindingKind::Group);
    assert_eq!(groups.count(), 0, "{residue:#?}");
    assert!(residue.unseen.iter().all(|what| !what.contains("before the agent's own start")), "{residue:#?}");
}
