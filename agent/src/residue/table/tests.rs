mod strays;

use super::*;
use crate::process::Manager;

fn mine() -> SessionId {
    SessionId::new(1, 1)
}

fn other() -> SessionId {
    SessionId::new(2, 2)
}

fn process(pid: u32, parent: u32, comm: &str, marker: Option<SessionId>) -> Process {
    let server = comm == "sshd" && pid == 100;
    let service = server.then(|| "ssh.service".to_owned());
    let start = u64::from(pid);
    let comm = comm.as_bytes().to_vec();
    let (scope, manager, cgroup, audit) = (None, None, None, None);
    let (group, kernels) = (pid, false);
    Process {
        pid,
        parent,
        group,
        start,
        comm,
        kernels,
        scope,
        manager,
        service,
        cgroup,
        audit,
        marker,
        server,
    }
}

fn table(processes: impl IntoIterator<Item = Process>) -> Table {
    let all = processes.into_iter().map(|process| (process.pid, process)).collect();
    Table { proc: "/nonexistent".into(), root: "/nonexistent".into(), all, ..Table::default() }
}

/// A session (202) with its login, another's (302), and a daemon (400).
fn host() -> Table {
    table([
        process(1, 0, "systemd", None),
        process(100, 1, "sshd", None),
        process(200, 100, "sshd", None),
        process(201, 200, "sshd", None),
        process(202, 201, "bash", Some(mine())),
        process(203, 202, "sudo", None),
        process(204, 203, "sh", None),
        process(300, 100, "sshd", None),
        process(301, 300, "sshd", None),
        process(302, 301, "bash", Some(other())),
        process(400, 1, "cron", None),
    ])
}

fn scope(uid: u32, number: u32) -> Option<String> {
    Some(format!("/user.slice/user-{uid}.slice/session-{number}.scope"))
}

fn found(table: &Table) -> BTreeSet<u32> {
    table.of_session(mine(), &Traces::default())
}

#[test]
fn a_login_is_found_with_its_sshd_and_its_children_and_nothing_else() {
    let mut table = host();
    assert_eq!(found(&table), BTreeSet::from([200, 201, 202, 203, 204]));
    let serving = table.all.values().filter(|process| table.serves_login(process));
    assert_eq!(serving.map(|process| process.pid).collect::<Vec<_>>(), [200, 201, 300, 301]);
    // One that left its parents is found by its scope, unless the listener is in it.
    for pid in [202, 400] {
        table.all.get_mut(&pid).unwrap().scope = scope(7, 1);
    }
    assert!(found(&table).contains(&400));
    table.all.get_mut(&100).unwrap().scope = scope(7, 1);
    assert!(!found(&table).contains(&400));
}

#[test]
fn a_process_that_calls_itself_sshd_is_ended_and_the_listener_is_not() {
    let mut table = host();
    let mut false_one = process(205, 1, "sshd", Some(mine()));
    false_one.scope = scope(7, 1);
    table.all.insert(205, false_one);
    table.all.get_mut(&202).unwrap().scope = scope(7, 1);
    let found = found(&table);
    assert!(found.contains(&205) && found.contains(&202), "{found:?}");
    assert!(!found.contains(&100));
}

#[test]
fn anothers_name_in_the_environment_saves_no_process_of_this_login() {
    let mut table = host();
    for pid in [202, 302] {
        table.all.get_mut(&pid).unwrap().scope = scope(7, pid);
    }
    let mut liar = process(206, 1, "sleep", Some(other()));
    liar.scope = scope(7, 202);
    table.all.insert(206, liar);
    let found = found(&table);
    assert!(found.contains(&206), "{found:?}");
    assert!(!found.contains(&302));
}

#[test]
fn what_the_accounts_systemd_started_goes_when_nobody_else_of_it_is_logged_in() {
    let mut table = host();
    table.all.get_mut(&202).unwrap().scope = scope(7, 1);
    let of = |pid: u32, uid: u32, itself: bool| {
        let manager = Some(Manager { uid, itself });
        Process { manager, ..process(pid, 1, "some", None) }
    };
    for one in [of(210, 7, true), of(211, 7, false), of(150, 7, false), of(212, 8, false)] {
        table.all.insert(one.pid, one);
    }
    let mine = found(&table);
    assert!(mine.contains(&211) && mine.contains(&210), "{mine:?}");
    assert!(!mine.contains(&150), "it is older than the session");
    assert!(!mine.contains(&212), "it is another account's");
    table.all.get_mut(&302).unwrap().scope = scope(7, 2);
    assert!(!found(&table).contains(&211), "the other login may have started it");
}

#[test]
fn an_idle_systemd_of_the_account_is_left_alone() {
    let mut table = host();
    table.all.get_mut(&202).unwrap().scope = scope(7, 1);
    let manager = Some(Manager { uid: 7, itself: true });
    table.all.insert(210, Process { manager, ..process(210, 1, "systemd", None) });
    assert!(!found(&table).contains(&210));
}

/// cron (400) with two jobs, one of a line that was there before the session and one of a line
/// that was not, and at (410) with one; what of it /proc shows is below `scratch`.
fn timekeepers(scratch: &crate::test::Scratch) -> Table {
    use std::os::unix::fs::symlink;
    let root = scratch.path();
    let proc = root.join("proc");
    let by = |pid: u32, parent: u32, comm: &str, service: &str, audit: Option<u32>| {
        let service = Some(service.to_owned());
        // In clock ticks since boot: after all that is on a disk.
        let start = u64::MAX / 1000 + u64::from(pid);
        Process { service, audit, start, ..process(pid, parent, comm, None) }
    };
    let (cron, at) = ("cron.service", "atd.service");
    // The daemons are older than the session.
    let daemons = [by(400, 1, "cron", cron, None), by(410, 1, "atd", at, None)];
    let daemons = daemons.map(|daemon| Process { start: 2, ..daemon });
    let waiting = [
        by(401, 400, "cron", cron, Some(11)),
        by(403, 400, "cron", cron, Some(12)),
        by(411, 410, "atd", at, Some(13)),
    ];
    let jobs = [
        by(402, 401, "sh", cron, Some(11)),
        by(404, 403, "sleep", cron, Some(12)),
        by(412, 411, "sh", at, Some(13)),
    ];
    let line = |pid: u32| match pid {
        402 => "/bin/sh\0-c\0cd / && backup --all\0",
        404 => "sleep\x00905\0",
        _ => "sh\0",
    };
    let all = daemons.into_iter().chain(waiting).chain(jobs);
    let all: Vec<Process> = all.collect();
    for one in &all {
        let place = proc.join(one.pid.to_string());
        std::fs::create_dir_all(&place).unwrap();
        let program = String::from_utf8(one.comm.clone()).unwrap();
        symlink(format!("/usr/sbin/{program}"), place.join("exe")).unwrap();
        std::fs::write(place.join("loginuid"), "0").unwrap();
        std::fs::write(place.join("cmdline"), line(one.pid)).unwrap();
    }
    let tables = root.join("etc/cron.d");
    std::fs::create_dir_all(&tables).unwrap();
    let lines = "5 4 * * * root cd / && backup --all\n# * * * * * root sleep 905\n";
    std::fs::write(tables.join("old"), lines).unwrap();
    let mut host = host();
    host.all.remove(&400);
    host.all.extend(all.into_iter().map(|process| (process.pid, process)));
    // Another's login would leave it open who asked.
    [300, 301, 302].iter().for_each(|pid| drop(host.all.remove(pid)));
    host.all.get_mut(&202).unwrap().scope = scope(7, 1);
    Table { proc, root: root.to_owned(), ..host }
}

fn leaving(powers: bool) -> Leaving {
    Leaving { session: Some(mine()), powers, ..Leaving::default() }
}

#[test]
fn what_cron_begins_is_the_sessions_where_a_table_changed_and_no_old_line_says_it() {
    let scratch = crate::test::Scratch::new();
    let table = timekeepers(&scratch);
    let since =
        |table: &Table| table.of(&leaving(true)).into_iter().filter(|pid| *pid >= 400).collect::<Vec<_>>();
    // The session is as old as the boot, so all tables changed in it: nothing is the host's.
    assert_eq!(since(&table), [402, 404], "and nobody asked at for a job");
    std::fs::create_dir_all(scratch.path().join("var/spool/cron/atjobs")).unwrap();
    std::fs::write(scratch.path().join("var/spool/cron/atjobs/.SEQ"), "00001").unwrap();
    assert_eq!(since(&table), [402, 404, 412]);
    let of_accounts = table.of(&leaving(false));
    assert!(!of_accounts.contains(&412), "root's, and the session was given nothing: {of_accounts:?}");
}

#[test]
fn a_line_of_an_old_table_is_the_hosts_whatever_changes_beside_it() {
    let scratch = crate::test::Scratch::new();
    let table = timekeepers(&scratch);
    // By a clock on which the tables are from before the session.
    let since = u64::MAX / 1000;
    let due = |pid: u32| table.was_due(table.get(pid).unwrap(), since);
    assert!(due(402), "its line is there");
    assert!(!due(404), "its line is a comment");
}

#[test]
fn what_began_while_others_were_logged_in_goes_on_and_is_told() {
    let scratch = crate::test::Scratch::new();
    let mut table = timekeepers(&scratch);
    assert_eq!(table.unclear(&leaving(true)), BTreeSet::new());
    let other = Process { scope: scope(8, 2), audit: Some(2), ..process(302, 100, "bash", None) };
    table.all.insert(302, other);
    assert!(!table.of(&leaving(true)).contains(&404));
    let told = table.unclear(&leaving(true));
    assert!(told.iter().any(|told| told.contains("404 (sleep 905)")), "{told:?}");
    assert_eq!(table.unclear(&leaving(false)), BTreeSet::new(), "nothing that it could have asked for");
}
