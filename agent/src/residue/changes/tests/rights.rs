//! Owner, mode and the like: of what is compared by its content, and of what is compared by
//! these alone.

use std::fs::{Permissions, create_dir_all, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::super::snapshot::Snapshot;
use super::{findings, host, write};
use crate::test::Scratch;

fn chmod(root: &Path, path: &str, mode: u32) {
    set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
}

/// A host with more in it, every file closed.
fn closed(scratch: &Scratch) -> super::View {
    let root = scratch.path();
    let view = host(scratch);
    write(root, "etc/gshadow", "root:*::\n");
    write(root, "etc/shadow-", "root:*:1::::::\n");
    write(root, "etc/sudoers.d/local", "root ALL=(ALL) ALL\n");
    write(root, "etc/ssh/ssh_host_ed25519_key", "key\n");
    write(root, "etc/ld.so.preload", "");
    write(root, "srv/dots", "umask 022\n");
    write(root, "root/x", "");
    symlink("/srv/dots", root.join("root/.bashrc")).unwrap();
    create_dir_all(root.join("dev/bus")).unwrap();
    chmod(root, "usr/bin/tool", 0o755);
    for file in ["shadow", "shadow-", "gshadow"] {
        chmod(root, &format!("etc/{file}"), 0o640);
    }
    chmod(root, "root", 0o700);
    chmod(root, "home/ops", 0o750);
    view
}

#[test]
fn who_may_read_or_change_what_decides_over_a_host_is_compared_as_its_content_is() {
    let scratch = Scratch::new();
    let (root, view) = (scratch.path(), closed(&scratch));
    let before = view.take(&Snapshot::default()).unwrap();
    assert_eq!(findings(&view, &before, 0), [""; 0]);
    // The same bits again, and more in a directory: nothing changed.
    chmod(root, "etc/shadow", 0o640);
    write(root, "root/y", "");
    assert_eq!(findings(&view, &before, 0), [""; 0]);

    for (path, mode) in [
        ("etc/shadow", 0o666),
        ("etc/shadow-", 0o644),
        ("etc/gshadow", 0o604),
        ("etc/passwd", 0o666),
        ("root", 0o755),
        ("home/ops", 0o777),
        ("home/ops/.ssh", 0o777),
        ("home/ops/.ssh/authorized_keys", 0o666),
        ("etc", 0o777),
        ("etc/cron.d", 0o777),
        ("etc/cron.d/known", 0o666),
        ("etc/sudoers", 0o666),
        ("etc/sudoers.d", 0o777),
        ("etc/sudoers.d/local", 0o666),
        ("etc/ssh/ssh_host_ed25519_key", 0o666),
        ("etc/ld.so.preload", 0o666),
        ("srv/dots", 0o666),
        ("usr/bin", 0o777),
        ("usr/bin/tool", 0o777),
        ("state", 0o711),
    ] {
        chmod(root, path, mode);
    }
    let found = findings(&view, &before, 0);
    let expected = [
        "changed account /etc/shadow (mode 666, owner",
        "changed account /etc/shadow- (mode 644, owner",
        "changed group /etc/gshadow (mode 604, owner",
        "changed account /etc/passwd (mode 666, owner",
        "changed account /root (mode 755, owner",
        "changed account /home/ops (mode 777, owner",
        "changed account /home/ops/.ssh (mode 777, owner",
        "changed authorized key /home/ops/.ssh/authorized_keys (1 key, mode 666, owner",
        "changed privileged file /etc (mode 777, owner",
        "changed cron job /etc/cron.d (mode 777, owner",
        "changed cron job /etc/cron.d/known (mode 666, owner",
        "changed sudoers /etc/sudoers (mode 666, owner",
        "changed sudoers /etc/sudoers.d (mode 777, owner",
        "changed sudoers /etc/sudoers.d/local (mode 666, owner",
        "changed ssh /etc/ssh/ssh_host_ed25519_key (mode 666, owner",
        "changed preload /etc/ld.so.preload (mode 666, owner",
        "changed profile /root/.bashrc (a link to /srv/dots, mode 666, owner",
        "changed privileged file /usr/bin (mode 777, owner",
        "new privileged file /usr/bin/tool (mode 777, owner",
        "changed privileged file /state (mode 711, owner",
    ];
    for expected in expected {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_backup_that_is_kept_out_of_the_tools_way_or_made_like_its_file_is_no_finding_and_an_open_one_is() {
    let scratch = Scratch::new();
    let (root, view) = (scratch.path(), closed(&scratch));
    let before = view.take(&Snapshot::default()).unwrap();
    std::fs::rename(root.join("etc/shadow-"), root.join("etc/.shadow-.tidegate")).unwrap();
    std::fs::copy(root.join("etc/gshadow"), root.join("etc/gshadow-")).unwrap();
    assert_eq!(findings(&view, &before, 0), [""; 0]);
    chmod(root, "etc/gshadow-", 0o644);
    let found = findings(&view, &before, 0);
    assert!(found.len() == 1 && found[0].starts_with("changed group /etc/gshadow- (mode 644"), "{found:#?}");
}

#[test]
fn device_nodes_and_sockets_of_roots_that_others_may_use_are_found() {
    let scratch = Scratch::new();
    let (root, view) = (scratch.path(), closed(&scratch));
    if !nix::unistd::geteuid().is_root() {
        return println!("SKIPPED: device nodes are root's to make");
    }
    // The number of /dev/null, which may be made everywhere.
    let null = |path: &str, mode: u32| {
        let mode = Mode::from_bits_truncate(mode);
        mknod(&root.join(path), SFlag::S_IFCHR, mode, makedev(1, 3)).unwrap();
    };
    null("dev/mem", 0o640);
    create_dir_all(root.join("run")).unwrap();
    let _socket = UnixListener::bind(root.join("run/docker.sock")).unwrap();
    chmod(root, "run/docker.sock", 0o600);
    let before = view.take(&Snapshot::default()).unwrap();
    assert_eq!(findings(&view, &before, 0), [""; 0]);
    chmod(root, "dev/mem", 0o666);
    null("opt-null", 0o600);
    null("dev/bus/left", 0o600);
    chmod(root, "run/docker.sock", 0o666);
    let found = findings(&view, &before, 0);
    let expected = [
        "changed privileged file /dev/mem (character device 1:3, mode 666, owner 0",
        "new privileged file /opt-null (character device 1:3, mode 600, owner 0",
        "new privileged file /dev/bus/left (character device 1:3, mode 600, owner 0",
        "new privileged file /run/docker.sock (socket, mode 666, owner 0",
    ];
    for expected in expected {
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    chown(root.join("usr/bin/tool"), Some(7), None).unwrap();
    let found = findings(&view, &before, 0);
    let told = |line: &String| {
        line.starts_with("new privileged file /usr/bin/tool (mode") && line.contains("owner 7")
    };
    assert!(found.iter().any(told), "{found:#?}");
}

#[test]
fn access_control_lists_capabilities_and_what_cannot_be_changed_are_told_with_what_they_are_of() {
    let scratch = Scratch::new();
    let (root, view) = (scratch.path(), closed(&scratch));
    let before = view.take(&Snapshot::default()).unwrap();
    let ran = |program: &str, words: &[&str], path: &str| {
        let ran = Command::new(program).args(words).arg(root.join(path)).output();
        ran.is_ok_and(|ran| ran.status.success())
    };
    for (program, words, undo, path, told) in [
        ("setfacl", &["-m", "u:7:rw"][..], &["-b"][..], "etc/shadow", ", with an access control list)"),
        ("setfacl", &["-d", "-m", "u:7:rw"], &["-b"], "etc/cron.d", "what is made in it)"),
        ("setcap", &["cap_setuid+ep"], &["-r"], "etc/cron.d/known", ", with capabilities)"),
        ("chattr", &["+i"], &["-i"], "etc/sudoers", ", immutable)"),
        ("chattr", &["+a"], &["-a"], "etc/shadow", ", may only grow)"),
    ] {
        if !ran(program, words, path) {
            println!("SKIPPED: no {program}, or no right to use it here");
            continue;
        }
        let found = findings(&view, &before, 0);
        assert!(ran(program, undo, path));
        let line = found.iter().find(|line| line.contains(&format!("/{path} (")) && line.ends_with(told));
        assert!(line.is_some(), "{program} {words:?} {path}: {found:#?}");
    }
}
