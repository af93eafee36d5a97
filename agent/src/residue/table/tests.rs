use super::super::process::Manager;
use super::*;

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
