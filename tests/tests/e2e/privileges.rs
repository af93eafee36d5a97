//! Accounts that are enabled or created and programs of the host's administrator: real
//! logins, and afterwards the device to the byte.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tidegate_tests::accounts::Accounts;
use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::Stand;

/// The lease of these worlds, in seconds, and what a machine under load takes to look.
const LEASE: u64 = 3;
const WITHIN: Duration = Duration::from_secs(LEASE + 15);

const PROGRAMS: [(&str, &str); 3] = [
    ("grant", "#!/bin/sh\necho \"$TIDEGATE_VALUE_ROLE\" > /var/lib/role-of-$TIDEGATE_ACCOUNT\n"),
    ("verify", "#!/bin/sh\ntest -e /var/lib/role-of-$TIDEGATE_ACCOUNT\n"),
    ("revoke", "#!/bin/sh\nrm -f /var/lib/role-of-$TIDEGATE_ACCOUNT\n"),
];

/// A stand with one credential of each kind, all for the same user.
pub struct Kinds {
    pub stand: Stand,
    before: Accounts,
}

impl Kinds {
    pub fn new(device: &str) -> Self {
        let stand = Stand::new(device, LEASE);
        let account = &stand.device;
        account.add_account("asleep").unwrap();
        account.ok(&["usermod", "-L", "-e", "1", "-s", "/usr/sbin/nologin", "asleep"]).unwrap();
        account.add_account("awake").unwrap();
        let place = account.path("/etc/tidegate-agent/custom/db-role");
        fs::create_dir_all(&place).unwrap();
        for (name, text) in PROGRAMS {
            fs::write(place.join(name), text).unwrap();
            fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(place.join("privilege.toml"), "[values.role]\none_of = [\"read\"]\n").unwrap();
        let key = |user: &str| stand.world.client().public_key(user).unwrap();
        let resources = format!(
            r#"
            [[user]]
            name = "olga"
            keys = ["{}"]

            [[user]]
            name = "anna"
            keys = ["{}"]

            [[credential]]
            name = "asleep@{device}"
            privileges = [{{ kind = "account-enable", shell = "/bin/sh" }}, {{ kind = "groups", groups = ["adm"] }}]

            [[credential]]
            name = "guest@{device}"
            privileges = [{{ kind = "account-create" }}, {{ kind = "sudo" }}, {{ kind = "groups", groups = ["adm"] }}]

            [[credential]]
            name = "awake@{device}"
            privileges = [{{ kind = "custom", name = "db-role", values = {{ role = "read" }} }}]

            [[access_group]]
            name = "all"
            users = ["olga"]
            approvers = [{{ user = "anna" }}]
            criteria = {{ devices = ["{device}"] }}
            session = {{}}
            "#,
            key("olga"),
            key("anna"),
        );
        stand.world.apply(&resources).unwrap();
        let before = Accounts::of(&stand.device, "asleep").unwrap();
        Self { stand, before }
    }

    /// One account more on the device, which belongs to what it was before.
    pub fn add_account(&mut self, name: &str) {
        self.stand.device.add_account(name).unwrap();
        self.before = Accounts::of(&self.stand.device, "asleep").unwrap();
    }

    pub fn ssh(&self, account: &str, command: &str) -> Run {
        let target = format!("{account}@{}", self.stand.device.name());
        self.stand.world.client().ssh("olga", &target, &[command]).unwrap()
    }

    fn difference(&self) -> String {
        let mut text = self.before.difference(&Accounts::of(&self.stand.device, "asleep").unwrap());
        for place in ["/home", "/tmp", "/var/tmp", "/dev/shm", "/var/lib"] {
            let entries = fs::read_dir(self.stand.device.path(place)).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            let ours = names.filter(|name| {
                name.starts_with("tg-") || name.starts_with("role-of") || name == ".tidegate-removed"
            });
            text.extend(ours.map(|name| format!("{place}/{name} is left\n")));
        }
        text
    }

    pub fn is_as_before(&self) {
        let same = wait::until_true("the device is what it was", WITHIN, || self.difference().is_empty());
        let journal = || self.stand.device.journal("tidegate-agent");
        assert!(same.is_ok(), "{}\nthe agent's journal:\n{}", self.difference(), journal());
    }

    fn said(&self, account: &str, command: &str) -> String {
        let done = self.ssh(account, command).run().unwrap();
        let journal = || self.stand.device.journal("tidegate-agent");
        assert!(done.success(), "{}\nthe agent's journal:\n{}", done.all(), journal());
        done.out()
    }
}

#[test]
fn a_created_account_logs_in_and_goes_with_its_home_files_and_processes() {
    needs_devices!();
    let kinds = Kinds::new("creator");
    let command = "id -un; id -nG; sudo -n id -un; pwd; echo x > ~/file; echo x > /tmp/tg-left; \
                   setsid nohup sleep 4242 >/dev/null 2>&1 < /dev/null & \
                   (trap '' TERM; exec sleep 4242) >/dev/null 2>&1 < /dev/null & sleep 0.4";
    let said = kinds.said("guest", command);
    let lines: Vec<&str> = said.lines().collect();
    let [name, groups, root, home] = lines.as_slice() else { panic!("{said}") };
    assert!(name.starts_with("tg-") && groups.contains("adm"), "{said}");
    assert_eq!((*root, *home), ("root", format!("/home/{name}").as_str()));
    kinds.is_as_before();
    let left = kinds.stand.device.run(&["pgrep", "-f", "sleep 4242"]).unwrap();
    assert!(!left.success(), "{}", left.all());
    let mounts = kinds.stand.device.ok(&["cat", "/proc/1/mounts"]).unwrap().out();
    assert!(!mounts.contains("/run/user/5"), "{mounts}");
    // Each session has its own.
    assert_ne!(kinds.said("guest", "id -un").trim(), *name);
    kinds.is_as_before();
}

#[test]
fn an_account_that_sleeps_is_enabled_for_the_session_only() {
    needs_devices!();
    let kinds = Kinds::new("waker");
    assert_eq!(kinds.said("asleep", "id -un; grep ^asleep: /etc/passwd").lines().next(), Some("asleep"));
    kinds.is_as_before();
    // Two at once: the first to leave takes nothing from the second.
    let stays = "echo in; until test -e /run/first-left; do sleep 0.1; done; id -nG";
    let two = kinds.ssh("asleep", stays).start().unwrap();
    wait::until_true("the second is in", PATIENCE, || two.stdout_so_far() == "in\n").unwrap();
    kinds.ssh("asleep", "cat").stdin("x").ok().unwrap();
    kinds.stand.device.ok(&["touch", "/run/first-left"]).unwrap();
    let done = two.done().unwrap();
    assert!(done.out().contains("adm"), "{}", done.all());
    kinds.is_as_before();
}

#[test]
fn an_administrators_programs_grant_and_revoke() {
    needs_devices!();
    let kinds = Kinds::new("scripted");
    assert_eq!(kinds.said("awake", "cat /var/lib/role-of-awake"), "read\n");
    kinds.is_as_before();
    let grant = kinds.stand.device.path("/etc/tidegate-agent/custom/db-role/grant");
    fs::set_permissions(&grant, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = kinds.ssh("awake", "id").run().unwrap();
    assert!(refused.err().contains("writable by nobody else"), "{}", refused.all());
    fs::set_permissions(&grant, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(kinds.ssh("awake", "id").run().unwrap().success());
    kinds.is_as_before();
}

#[test]
fn an_agent_killed_while_any_kind_is_granted_leaves_nothing() {
    needs_devices!();
    let kinds = Kinds::new("killed");
    for account in ["guest", "asleep", "awake"] {
        eprintln!("killed while {account} is in");
        let running = kinds.ssh(account, "echo in; sleep 600").start().unwrap();
        wait::until_true("the session runs", PATIENCE, || running.stdout_so_far().contains("in")).unwrap();
        assert_ne!(kinds.difference(), "", "the comparison must see what is granted");
        put_aside(&kinds.stand.device);
        let links = kinds.stand.world.links(&kinds.stand.device).unwrap();
        kinds.stand.device.ok(&["systemctl", "kill", "--signal=KILL", "tidegate-agent"]).unwrap();
        kinds.is_as_before();
        running.kill().unwrap();
        kinds.stand.world.await_agent_again(&kinds.stand.device, links).unwrap();
    }
    // What no sweep has taken up, the next agent does.
    let device = &kinds.stand.device;
    let sweeps = ["tidegate-sweep.timer", "tidegate-sweep.service"];
    device.ok(&[&["systemctl", "stop", "tidegate-agent"], sweeps.as_slice()].concat()).unwrap();
    put_aside(device);
    assert_eq!(kinds.difference(), "/home/.tidegate-removed is left\n");
    device.ok(&["systemctl", "start", "tidegate-agent"]).unwrap();
    kinds.is_as_before();
}

/// As an agent that is killed leaves a home of many files.
fn put_aside(device: &Device) {
    let home = device.path("/home/.tidegate-removed/tg-many/deep");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("file"), "").unwrap();
}

#[test]
fn an_administrator_who_changes_accounts_meanwhile_loses_nothing_and_neither_does_a_session() {
    needs_devices!();
    let kinds = Kinds::new("busy");
    let device = &kinds.stand.device;
    let work = "for i in $(seq 40); do useradd -M -N -c new own-$i && usermod -c \"own $i\" own-$i && \
                usermod -a -G adm,tty own-$i || exit 1; done";
    std::thread::scope(|scope| {
        let administrator = scope.spawn(|| device.ok(&["sh", "-c", work]));
        while !administrator.is_finished() {
            assert!(kinds.said("guest", "id -nG").contains("adm"));
            assert_eq!(kinds.said("asleep", "id -un"), "asleep\n");
        }
        administrator.join().unwrap().unwrap();
    });
    for number in 1..=40 {
        let account = format!("own-{number}");
        let entry = device.ok(&["getent", "passwd", &account]).unwrap().out();
        assert!(entry.contains(&format!(":own {number}:")), "{entry}");
        let groups = device.ok(&["id", "-nG", &account]).unwrap().out();
        assert!(groups.contains("adm") && groups.contains("tty"), "{account}: {groups}");
        device.ok(&["userdel", &account]).unwrap();
    }
    kinds.is_as_before();
    // What the agent had the host's tools do stands in the host's log, under their names.
    for (tool, said) in [
        ("useradd", "new user: name=tg-"),
        ("usermod", "change user 'asleep' shell from '/usr/sbin/nologin' to '/bin/sh'"),
        ("usermod", "add 'asleep' to group 'adm'"),
        ("usermod", "delete 'asleep' from group 'adm'"),
        ("usermod", "change user 'asleep' expiration from 'never' to '1970-01-02'"),
        ("userdel", "delete user 'tg-"),
    ] {
        let log = || device.ok(&["journalctl", "--no-pager", "-q", "-t", tool]).unwrap().out();
        wait::until_true("the host's log has it", PATIENCE, || log().contains(said))
            .unwrap_or_else(|error| panic!("{error}: {tool} did not log {said}:\n{}", log()));
    }
}

#[test]
fn an_end_does_not_wait_for_an_administrators_program_that_takes_its_time() {
    needs_devices!();
    let kinds = Kinds::new("patient");
    let device = &kinds.stand.device;
    let place = device.path("/etc/tidegate-agent/custom/db-role");
    let waits = format!("#!/bin/sh\nuntil test -e /run/go-on; do sleep 0.05; done\n{}", &PROGRAMS[2].1[10..]);
    fs::write(place.join("revoke"), waits).unwrap();
    fs::write(place.join("privilege.toml"), "deadline_seconds = 10\n[values.role]\none_of = [\"read\"]\n")
        .unwrap();
    let role = device.path("/var/lib/role-of-awake");
    let session = |account: &str| {
        let session = kinds.ssh(account, "echo in; sleep 600").start().unwrap();
        wait::until_true("the session is in", PATIENCE, || session.stdout_so_far().contains("in")).unwrap();
        session
    };
    // The slow one ends first: its program runs until it is let go on.
    let sessions = ["awake", "asleep"].map(session);
    assert!(role.exists() && !kinds.difference().is_empty());
    for session in sessions {
        session.kill().unwrap();
    }
    let left = || kinds.difference();
    let quick = || left().lines().all(|line| line.contains("role-of"));
    let gone = wait::until_true("what is quick is gone", WITHIN, quick);
    assert!(gone.is_ok() && role.exists(), "{}\n{}", left(), device.journal("tidegate-agent"));
    fs::write(device.path("/run/go-on"), "").unwrap();
    kinds.is_as_before();
}
