//! What began meanwhile outside of the session's login, as it is told.

use super::super::super::{Systemd, asleep};
use super::*;

/// What systemd says there: it runs a restarted daemon (401), a getty (402), a login that it was
/// asked for (500), and a service that was started while the session lived and put two daemons
/// into the background.
fn show(_: &[&str]) -> Option<String> {
    let unit = |id: &str, main: u32, from: u64, until: u64| {
        format!(
            "MainPID={main}\nControlPID=0\nId={id}\nInactiveExitTimestampMonotonic={from}\n\
             ActiveEnterTimestampMonotonic={until}\n"
        )
    };
    let units = [
        unit("daemon.service", 401, 1, 1),
        unit("getty@tty1.service", 402, 1, 1),
        unit("container-shell@1.service", 500, 1, 1),
        unit("old.service", 400, 1, 1),
        // In microseconds.
        unit("pair.service", 0, 4_100_000, 4_110_000),
    ];
    Some(units.join("\n"))
}

/// [`host`] with another's login as the kernel and logind know it, and these; what of it a disk
/// shows is below `scratch`.
fn with(scratch: &crate::test::Scratch, more: impl IntoIterator<Item = Process>) -> Table {
    let root = scratch.path();
    for place in ["etc/systemd/system", "run/systemd/system", "run/systemd/transient", "run/systemd/sessions"]
    {
        std::fs::create_dir_all(root.join(place)).unwrap();
    }
    for unit in ["daemon", "getty@", "pair", "old"] {
        std::fs::write(root.join(format!("etc/systemd/system/{unit}.service")), "").unwrap();
    }
    std::fs::write(root.join("run/systemd/transient/container-shell@1.service"), "").unwrap();
    let mut host = host();
    for (pid, uid, ses) in [(202, 7, 1), (302, 8, 2)] {
        let process = host.all.get_mut(&pid).unwrap();
        (process.scope, process.audit) = (scope(uid, ses), Some(ses));
        std::fs::write(root.join(format!("run/systemd/sessions/{ses}")), format!("LEADER={pid}\n")).unwrap();
    }
    host.all.extend(more.into_iter().map(|process| (process.pid, process)));
    let services = Services::new(Systemd { stop: |_| (), show });
    Table { root: root.to_owned(), ..host }.asking(&services)
}

fn in_group(pid: u32, group: &str) -> Process {
    let service = group.rsplit('/').next().filter(|name| name.ends_with(".service")).map(str::to_owned);
    // Systemd's times leave out what the clock of processes has.
    let start = u64::from(pid) + asleep();
    Process { cgroup: Some(group.as_bytes().to_vec()), service, start, ..process(pid, 1, "some", None) }
}

fn told(table: &Table, powers: bool) -> Vec<u32> {
    let told = table.unclear(&leaving(powers));
    let number = |line: &String| line.strip_prefix("who asked for process ")?.split(' ').next()?.parse().ok();
    let mut told: Vec<u32> = told.iter().filter_map(number).collect();
    told.sort_unstable();
    told
}

#[test]
fn what_neither_a_login_nor_a_service_has_is_told_wherever_it_went_and_daemons_are_not() {
    let scratch = crate::test::Scratch::new();
    let slice = |name: &str| format!("/system.slice/{name}.service");
    let own_manager =
        |pid| Process { manager: Some(Manager { uid: 7, itself: true }), ..in_group(pid, "/x") };
    let hosts = [
        Process { start: 150, ..in_group(150, "/") },
        in_group(400, &slice("old")),
        in_group(401, &slice("daemon")),
        // The two of `pair.service`, and one of an administrator outside of the container.
        in_group(410, &slice("pair")),
        in_group(411, &slice("pair")),
        in_group(412, "/../.."),
        own_manager(413),
        // What another's login left behind there.
        Process { scope: scope(8, 2), audit: Some(2), ..in_group(414, "/x") },
        Process { parent: 401, ..in_group(415, &slice("daemon")) },
    ];
    let table = with(&scratch, hosts.clone());
    assert_eq!(told(&table, true), [0; 0], "{:?}", table.unclear(&leaving(true)));
    let strays = [
        in_group(601, "/"),
        in_group(602, &slice("daemon")),
        in_group(603, &slice("pair")),
        // In another's login without having logged in, and in a login that nobody made.
        Process { scope: scope(8, 2), ..in_group(604, "/x") },
        Process { scope: scope(9, 77), ..in_group(605, "/x") },
        // In a new audit session, and as what sshd's listener is called.
        Process { audit: Some(9), ..in_group(606, "/") },
        Process { comm: b"sshd".to_vec(), server: true, ..in_group(607, "/system.slice/ssh.service") },
        // Beside the account's own systemd.
        own_manager(608),
    ];
    let table = with(&scratch, hosts.into_iter().chain(strays));
    // Which of the two in the account's own systemd is that, systemd does not say here.
    let all = table.strays(&leaving(true), &BTreeSet::new()).unwrap();
    let all: Vec<u32> = all.iter().map(|process| process.pid).collect();
    assert_eq!(all, [413, 601, 602, 603, 604, 605, 606, 607, 608]);
    let lines = table.unclear(&leaving(true));
    assert_eq!(told(&table, true), [413, 601, 602, 603, 604, 605, 606, 607]);
    assert!(lines.contains("who asked for 1 more processes that began meanwhile"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("in /system.slice/daemon.service")), "{lines:?}");
    assert_eq!(told(&table, false), [0; 0], "nothing that it could have done");
    let silent = Services::new(Systemd { stop: |_| (), show: |_| None });
    let lines = table.asking(&silent).unclear(&leaving(true));
    assert!(lines.iter().any(|line| line.contains("systemd does not say what it runs")), "{lines:?}");
}

#[test]
fn a_login_that_systemd_was_asked_for_is_the_sessions_unless_a_person_was_there_and_is_none_itself() {
    let scratch = crate::test::Scratch::new();
    let login = |pid, ses| Process { scope: scope(0, ses), audit: Some(ses), ..in_group(pid, "/x") };
    let noted = |ses: u32, pid: u32| {
        std::fs::write(scratch.path().join(format!("run/systemd/sessions/{ses}")), format!("LEADER={pid}\n"))
            .unwrap();
    };
    let transient = |pid| in_group(pid, "/system.slice/asked.service");
    let mut table = with(&scratch, [login(500, 3), Process { parent: 500, ..login(501, 3) }, transient(510)]);
    noted(3, 500);
    // The other (302) was logged in before.
    assert_eq!(told(&table, true), [500, 501, 510]);
    [300, 301, 302].iter().for_each(|pid| drop(table.all.remove(pid)));
    let its = |table: &Table, powers| {
        let found = table.of(&leaving(powers));
        found.into_iter().filter(|pid| *pid >= 400).collect::<Vec<_>>()
    };
    assert_eq!(its(&table, true), [500, 501, 510], "it is nobody who could have asked for (510)");
    let units = table.services_of(&leaving(true), &table.of(&leaving(true)));
    let names = ["asked.service", "container-shell@1.service"].map(str::to_owned);
    assert_eq!(units, BTreeSet::from(names));
    assert_eq!(its(&table, false), [0; 0]);
    // At a console somebody is there: getty is a service of the host's.
    table.all.insert(402, login(402, 4));
    noted(4, 402);
    assert_eq!(its(&table, true), [0; 0]);
    table.all.remove(&402);
    // Who made it has gone: it is told, and still no person.
    noted(3, 499);
    assert_eq!((its(&table, true), told(&table, true)), (vec![510], vec![500]));
    // And one over a connection, of which only that is left, is a person's.
    table.connected = BTreeSet::from([3]);
    assert_eq!((its(&table, true), told(&table, true)), (vec![], vec![510]));
}
