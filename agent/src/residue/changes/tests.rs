//! Pictures compared, and pictures of a host of the test's own.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tidegate_common::residue::{Change, Finding, FindingKind};

use super::gather::{Grants, View};
use super::snapshot::{Item, Key, Mark, Snapshot};
use crate::core::{Delta, Held, Ledger, Unit};
use crate::test::Scratch;

mod records;
mod rights;

fn key(kind: FindingKind, what: &str) -> Key {
    Key { kind, what: what.to_owned() }
}

fn item(content: u8, changed: i64) -> Item {
    let mark = Mark::Digest([content; 16]);
    Item { mark, changed: Some(changed), place: "/p".into(), detail: String::new(), stat: None }
}

fn group(members: &[&str]) -> Item {
    let members = members.iter().map(|member| (*member).to_owned()).collect();
    Item { mark: Mark::Group { members, rest: [0; 16] }, ..item(0, 100) }
}

fn snapshot(items: impl IntoIterator<Item = (Key, Item)>) -> Snapshot {
    let places = [(Arc::from("/p"), 100)].into();
    Snapshot { items: items.into_iter().collect(), places, unseen: BTreeSet::new() }
}

fn told(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn what_changed_before_the_session_is_not_the_sessions() {
    let before =
        snapshot([(key(FindingKind::Cron, "a"), item(1, 1)), (key(FindingKind::Cron, "b"), item(1, 1))]);
    let after =
        snapshot([(key(FindingKind::Cron, "a"), item(2, 49)), (key(FindingKind::Cron, "b"), item(2, 51))]);
    assert_eq!(told(&before.compare(&after, Some(50))), ["changed cron job b"]);
    assert_eq!(told(&before.compare(&after, None)), ["changed cron job a", "changed cron job b"]);
}

#[test]
fn a_job_that_is_gone_is_no_residue_and_a_rule_that_is_gone_is_told() {
    let before =
        snapshot([(key(FindingKind::At, "j"), item(1, 1)), (key(FindingKind::Sudoers, "r"), item(1, 1))]);
    let found = before.compare(&snapshot([]), Some(50));
    assert_eq!(told(&found), ["gone sudoers r"]);
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let kinds = prop::sample::select(vec![FindingKind::Cron, FindingKind::Setuid, FindingKind::Sudoers]);
    let one = (kinds, "[a-d]", 0u8..3, 0i64..100);
    prop::collection::vec(one, 0..12).prop_map(|all| {
        snapshot(all.into_iter().map(|(kind, what, content, at)| (key(kind, &what), item(content, at))))
    })
}

proptest! {
    #[test]
    fn nothing_is_found_where_nothing_changed(picture in any_snapshot(), began in prop::option::of(0i64..100)) {
        prop_assert!(picture.compare(&picture, began).is_empty());
    }

    #[test]
    fn without_a_beginning_every_difference_is_found_once(before in any_snapshot(), after in any_snapshot()) {
        let found = before.compare(&after, None);
        let keys: BTreeSet<&Key> = before.items.keys().chain(after.items.keys()).collect();
        for key in keys {
            let (old, new) = (before.items.get(key), after.items.get(key));
            let expected = match (old, new) {
                (None, Some(_)) => Some(Change::New),
                (Some(old), Some(new)) if old.mark != new.mark => Some(Change::Changed),
                (Some(_), None) if key.kind != FindingKind::Setuid => Some(Change::Gone),
                _ => None,
            };
            let told: Vec<Change> = found
                .iter()
                .filter(|finding| finding.kind == key.kind && finding.what == key.what)
                .map(|finding| finding.change)
                .collect();
            prop_assert_eq!(told, Vec::from_iter(expected));
        }
    }

    #[test]
    fn a_picture_on_disk_is_the_one_that_was_taken(picture in any_snapshot(), members in prop::collection::vec("[a-z]", 0..3)) {
        let mut picture = picture;
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        picture.items.insert(key(FindingKind::Group, "adm"), group(&members));
        let text = serde_json::to_string(&picture).unwrap();
        let read: Snapshot = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read.shared(), &picture);
    }

    #[test]
    fn a_beginning_only_leaves_out(before in any_snapshot(), after in any_snapshot(), began in 0i64..100) {
        let all = before.compare(&after, None);
        let some = before.compare(&after, Some(began));
        prop_assert!(some.iter().all(|finding| all.contains(finding)));
        for finding in some.iter().filter(|finding| finding.change != Change::Gone) {
            let at = after.items[&key(finding.kind, &finding.what)].changed;
            prop_assert!(at.is_some_and(|at| at >= began));
        }
    }
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// A host below the scratch directory.
fn host(scratch: &Scratch) -> View {
    let root = scratch.path();
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\nops:x:7:7::/home/ops:/bin/sh\n");
    write(root, "etc/shadow", "root:*:1::::::\nops:*:1::::::\n");
    write(root, "etc/group", "root:x:0:\nsudo:x:27:\n");
    write(root, "etc/sudoers", "root ALL=(ALL) ALL\n");
    write(root, "etc/cron.d/known", "# nothing\n");
    write(root, "home/ops/.ssh/authorized_keys", "ssh-ed25519 AAAA one\n");
    write(root, "usr/bin/tool", "#!/bin/sh\n");
    view(scratch, Ledger::default())
}

fn view(scratch: &Scratch, ledger: Ledger) -> View {
    View::of(scratch.paths(), Grants::new(ledger), crate::elevate::without)
}

fn findings(view: &View, before: &Snapshot, began: i64) -> Vec<String> {
    let mut found = before.compare(&view.take(before).unwrap(), Some(began));
    // The machine's own sockets come and go.
    found.retain(|finding| finding.kind != FindingKind::Socket);
    told(&found)
}

#[test]
fn each_kind_of_change_is_found_and_none_where_nothing_changed() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let (root, view) = (scratch.path(), host(&scratch));
    let before = view.take(&Snapshot::default()).unwrap();
    assert_eq!(findings(&view, &before, 0), [""; 0]);
    // Written again with the same content: nothing changed.
    write(root, "etc/sudoers", "root ALL=(ALL) ALL\n");
    assert_eq!(findings(&view, &before, 0), [""; 0]);

    write(root, "etc/cron.d/known", "* * * * * root id\n");
    write(root, "var/spool/cron/crontabs/ops", "* * * * * id\n");
    write(root, "var/spool/cron/atjobs/a0001", "id\n");
    write(root, "etc/systemd/system/x.service", "[Service]\n");
    write(root, "home/ops/.config/systemd/user/y.service", "[Service]\n");
    write(root, "var/lib/systemd/linger/ops", "");
    write(root, "home/ops/.ssh/authorized_keys", "ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n");
    write(root, "etc/sudoers.d/z", "ops ALL=(ALL) ALL\n");
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\nops:x:0:7::/home/ops:/bin/sh\n");
    write(root, "etc/shadow", "root:*:1::::::\nops:$y$x:1::::::\n");
    write(root, "etc/group", "root:x:0:\nsudo:x:27:ops\n");
    write(root, "etc/ld.so.preload", "/tmp/x.so\n");
    write(root, "etc/profile.d/p.sh", "id\n");
    write(root, "etc/pam.d/sshd", "auth sufficient pam_permit.so\n");
    write(root, "etc/ssh/sshd_config.d/q.conf", "PermitRootLogin yes\n");
    std::fs::set_permissions(root.join("usr/bin/tool"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    let found = findings(&view, &before, 0);
    for expected in [
        "changed cron job /etc/cron.d/known",
        "new cron job /var/spool/cron/crontabs/ops",
        "new at job /var/spool/cron/atjobs/a0001",
        "new unit /etc/systemd/system/x.service",
        "new unit /home/ops/.config/systemd/user/y.service",
        "new unit /var/lib/systemd/linger/ops",
        "changed authorized key /home/ops/.ssh/authorized_keys (2 keys)",
        "new sudoers /etc/sudoers.d/z",
        "changed account ops (uid 0, home /home/ops, shell /bin/sh)",
        "changed account ops's password (/etc/shadow)",
        "changed group sudo (members +ops)",
        "new preload /etc/ld.so.preload",
        "new profile /etc/profile.d/p.sh",
        "new PAM /etc/pam.d/sshd",
        "new ssh /etc/ssh/sshd_config.d/q.conf",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected}: {found:#?}");
    }
    let setuid = format!("new privileged file /usr/bin/tool (mode 4755, owner {}", nix::unistd::geteuid());
    assert!(found.iter().any(|line| line.starts_with(&setuid)), "{found:#?}");
    assert_eq!(found.len(), 16, "{found:#?}");
}

#[test]
fn ways_back_in_that_need_no_new_account_and_no_new_rule_are_found() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new();
    let root = scratch.path();
    host(&scratch);
    let passwd = "root:x:0:0:root:/root:/bin/bash\nops:x:7:7::/home/ops:/bin/sh\nwww:x:33:33::/srv/www:/usr/sbin/nologin\n";
    write(root, "etc/passwd", passwd);
    write(root, "home/dots/bashrc", "umask 022\n");
    symlink("../dots/bashrc", root.join("home/ops/.bashrc")).unwrap();
    std::fs::create_dir_all(root.join("home/dots/config")).unwrap();
    symlink("/home/dots/config", root.join("home/ops/.config")).unwrap();
    let view = view(&scratch, Ledger::default());
    let before = view.take(&Snapshot::default()).unwrap();
    assert_eq!(findings(&view, &before, 0), [""; 0]);

    write(root, "home/dots/bashrc", "id\n");
    write(root, "home/dots/config/systemd/user/a.service", "[Service]\n");
    write(root, "home/ops/.ssh/rc", "id\n");
    write(root, "home/ops/.local/bin/sudo", "id\n");
    write(root, "root/.profile", "id\n");
    write(root, "srv/www/.ssh/authorized_keys", "ssh-ed25519 AAAA x\n");
    write(root, "run/sudoers.d/x", "ops ALL=(ALL) ALL\n");
    write(root, "state/user_ca.pub", "ssh-ed25519 AAAA x\n");
    write(root, "etc/tidegate-agent/custom/role/grant", "id\n");
    write(root, "etc/tidegate/agent.toml", "proxy = \"evil:1\"\n");
    write(root, "etc/udev/rules.d/x.rules", "RUN+=\"id\"\n");
    write(root, "etc/modprobe.d/x.conf", "install x id\n");
    write(root, "etc/apt/apt.conf.d/x", "id\n");
    write(root, "etc/default/ssh", "SSHD_OPTS=x\n");
    let odd = std::ffi::OsStr::from_bytes(b"etc/sudoers.d/gr\xfcn");
    std::fs::create_dir_all(root.join("etc/sudoers.d")).unwrap();
    std::fs::write(root.join(odd), "ops ALL=(ALL) ALL\n").unwrap();
    let found = findings(&view, &before, 0);
    let expected = [
        "changed profile /home/ops/.bashrc (a link to ../dots/bashrc)",
        "new unit /home/dots/config/systemd/user/a.service",
        "new ssh /home/ops/.ssh/rc",
        "new profile /home/ops/.local/bin/sudo",
        "new profile /root/.profile",
        "new authorized key /srv/www/.ssh/authorized_keys (1 key)",
        "new sudoers /run/sudoers.d/x",
        "new ssh /state/user_ca.pub",
        "new unit /etc/tidegate-agent/custom/role/grant",
        "new unit /etc/tidegate/agent.toml",
        "new unit /etc/udev/rules.d/x.rules",
        "new preload /etc/modprobe.d/x.conf",
        "new unit /etc/apt/apt.conf.d/x",
        "new unit /etc/default/ssh",
        "new sudoers /etc/sudoers.d/gr\\xfcn",
    ];
    for expected in expected {
        assert!(found.iter().any(|line| line == expected), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_setuid_file_in_a_directory_whose_name_is_no_text_and_capabilities_are_found() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let (root, view) = (scratch.path(), host(&scratch));
    let before = view.take(&Snapshot::default()).unwrap();
    let odd = root.join(std::ffi::OsStr::from_bytes(b"opt/gr\xfcn"));
    std::fs::create_dir_all(&odd).unwrap();
    std::fs::write(odd.join("sh"), "").unwrap();
    std::fs::set_permissions(odd.join("sh"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    let found = findings(&view, &before, 0);
    assert!(found[0].starts_with("new privileged file /opt/gr\\xfcn/sh (mode 4755"), "{found:#?}");
    let tool = root.join("usr/bin/tool");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let set = std::process::Command::new("setcap").arg("cap_setuid+ep").arg(&tool).status();
    if set.is_ok_and(|set| set.success()) {
        let found = findings(&view, &before, 0);
        let told =
            |line: &String| line.contains("/usr/bin/tool") && line.ends_with("capabilities cap_setuid)");
        assert!(found.iter().any(told), "{found:#?}");
    } else {
        println!("SKIPPED: no setcap, or no right to use it");
    }
}

/// A ledger with these held.
fn ledger(held: impl IntoIterator<Item = (Unit, Delta)>) -> Ledger {
    let held = held.into_iter().map(|(unit, delta)| Held {
        unit,
        delta,
        applied: true,
        holders: BTreeSet::default(),
        left_by: None,
    });
    Ledger { held: held.collect(), ..Ledger::default() }
}

#[test]
fn what_is_granted_is_no_residue_and_what_somebody_did_with_it_is() {
    let scratch = Scratch::new();
    let root = scratch.path();
    host(&scratch);
    write(root, "etc/shadow", "root:*:1::::::\nops:!x:1::::::\n");
    let rule = "ops ALL=(root) NOPASSWD: ALL\n";
    let units = [
        (
            Unit::Group { account: "ops".parse().unwrap(), group: "sudo".parse().unwrap() },
            Delta::Group { group: true, gshadow: false },
        ),
        (
            Unit::Enabled { account: "ops".parse().unwrap() },
            Delta::Enabled { password: Some(crate::core::Lifted { marks: 1 }), expires: None },
        ),
        (
            Unit::Sudo {
                account: "ops".parse().unwrap(),
                rule: serde_json::from_str("{}").unwrap(),
                not_after: None,
            },
            Delta::Sudo {
                file: "1-0".to_owned(),
                blake3: blake3::hash(rule.as_bytes()).to_hex().to_string(),
            },
        ),
    ];
    let view = view(&scratch, ledger(units));
    let before = view.take(&Snapshot::default()).unwrap();
    write(root, "etc/group", "root:x:0:\nsudo:x:27:ops\n");
    write(root, "etc/shadow", "root:*:1::::::\nops:*x:1::::::\n");
    write(root, "run/sudoers.d/1-0", rule);
    assert_eq!(findings(&view, &before, 0), [""; 0]);

    write(root, "etc/group", "root:x:0:\nsudo:x:27:ops,ops\n");
    write(root, "etc/shadow", "root:*:1::::::\nops:x:1::::::\n");
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\nops:x:0:7::/home/ops:/bin/sh\n");
    write(root, "run/sudoers.d/1-0", "ops ALL=(ALL) ALL\n");
    let found = findings(&view, &before, 0);
    let expected = [
        "new sudoers /run/sudoers.d/1-0",
        "changed account ops (uid 0, home /home/ops, shell /bin/sh)",
        "changed account ops's password (/etc/shadow)",
        "changed group sudo (members +ops)",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_large_account_file_is_compared_and_its_roots_are_told_and_one_that_cannot_be_read_is_named() {
    let scratch = Scratch::new();
    let (root, view) = (scratch.path(), host(&scratch));
    let many: String = (1000..30_000).map(|id| format!("u{id}:x:{id}:{id}::/h/u{id}:/bin/false\n")).collect();
    assert!(many.len() > 1024 * 1024);
    write(root, "etc/passwd", &format!("root:x:0:0::/root:/bin/sh\n{many}"));
    let before = view.take(&Snapshot::default()).unwrap();
    assert!(before.unseen.iter().any(|what| what.starts_with("homes of more than")), "{:?}", before.unseen);
    write(root, "etc/passwd", &format!("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n{many}"));
    let found = findings(&view, &before, 0);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.contains(&"new account toor (uid 0, home /, shell /bin/sh)".to_owned()), "{found:#?}");
    assert!(found[1].starts_with("changed account lines of /etc/passwd (more than"), "{found:#?}");
    std::fs::remove_file(root.join("etc/passwd")).unwrap();
    std::fs::create_dir(root.join("etc/passwd")).unwrap();
    let unseen = view.take(&before).unwrap().unseen;
    assert!(unseen.iter().any(|what| what.starts_with("/etc/passwd: ")), "{unseen:?}");
}

#[test]
fn a_pipe_in_the_place_of_a_file_stops_nobody() {
    let scratch = Scratch::new();
    let view = host(&scratch);
    let path = scratch.path().join("home/ops/.ssh/authorized_keys");
    let before = view.take(&Snapshot::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    let found = findings(&view, &before, 0);
    assert_eq!(found, ["changed authorized key /home/ops/.ssh/authorized_keys"]);
}
