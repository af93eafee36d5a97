//! The Debian packages, from install to purge, on a device that is gate and host at once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::depot::{DPKG, Depot, all_packages, is_root, packages};
use crate::needs_devices;
use crate::scene::leave;
use crate::support::{Scratch, base, repository};

/// What a session gets beside sudo.
const GROUP: &str = r#"{ kind = "groups", groups = ["adm"] }"#;

#[test]
fn an_upgrade_goes_on_under_a_live_session() {
    needs_devices!();
    let depot = Depot::new("depot");
    let older = packages(&depot.dir.path("older"), &[]);
    let newer = packages(&depot.dir.path("newer"), &["--deb-version", "99"]);
    let told = depot.unpack(&older).out();
    assert!(told.contains("tidegate-agent install --proxy"), "{told}");
    for unit in ["tidegate-agent.service", "tidegate-sweep.timer", "tidegate-proxy.service"] {
        depot.device.ok(&["systemd-analyze", "verify", "--man=no", unit]).unwrap();
    }
    let before = depot.accounts();
    depot.set_up(GROUP);
    let idle = depot.accounts();
    let (gate, agent) = (depot.process("tidegate-proxy"), depot.process("tidegate-agent"));
    let mut pty = depot.enter();

    let told = depot.unpack(&newer).all();
    is_root(&mut pty);
    assert!(told.contains("shows none: systemctl restart tidegate-proxy"), "{told}");
    assert_eq!(depot.process("tidegate-proxy"), (gate.0.clone(), true), "the gate goes on");
    let reload = depot.device.ok(&["systemctl", "show", "-P", "ExecReload", "tidegate-agent"]).unwrap().out();
    if reload.trim().is_empty() {
        // An agent that cannot hand its grants on stays what it is, and the upgrade says so.
        assert!(told.contains("systemctl restart tidegate-agent"), "{told}");
        assert_eq!(depot.process("tidegate-agent"), (agent.0, true));
    } else {
        assert!(!told.contains("systemctl restart tidegate-agent"), "{told}");
        wait::until_true("the new agent runs", PATIENCE, || !depot.process("tidegate-agent").1).unwrap();
        is_root(&mut pty);
    }
    leave(&mut pty);
    let over = || idle.difference(&depot.accounts()).is_empty();
    wait::until_true("the grant is gone", PATIENCE, over).unwrap();

    // Without a session the gate is restarted at once.
    wait::until_true("no session lives", PATIENCE, || !depot.has_sessions()).unwrap();
    depot.unpack(&newer);
    let (pid, replaced) = depot.process("tidegate-proxy");
    assert!(pid != gate.0 && !replaced, "{pid} {replaced}");
    depot.answers();

    // Recordings on a file system of their own outlive the purge.
    let recordings = "/var/lib/tidegate/recordings";
    depot.device.ok(&["mount", "-t", "tmpfs", "evidence", recordings]).unwrap();
    fs::write(depot.device.path(recordings).join("kept"), "").unwrap();
    let told = depot.dpkg(&["-P", "tidegate-proxy"]).all();
    assert!(told.contains("what is mounted below /var/lib/tidegate was kept"), "{told}");
    assert!(depot.device.path(recordings).join("kept").exists());
    assert!(!depot.device.path("/var/lib/tidegate/tidegate.db").exists());
    assert_ne!(before.difference(&idle), "", "the comparison must see what is set up");
}

#[test]
fn what_is_removed_takes_its_grants_along_and_what_is_purged_leaves_nothing() {
    needs_devices!();
    let depot = Depot::new("depot");
    let debs = packages(&depot.dir.path("debs"), &[]);
    let (accounts, files) = (depot.accounts(), listing(&depot.device));
    depot.unpack(&debs);
    let unpacked = depot.accounts();
    depot.set_up(GROUP);
    let pty = depot.enter();

    depot.dpkg(&["-r", "tidegate-agent"]);
    assert_eq!(unpacked.difference(&depot.accounts()), "");
    drop(pty);
    assert!(depot.device.path("/etc/tidegate/agent.toml").exists());
    let enabled = depot.device.run(&["systemctl", "is-enabled", "tidegate-sweep.timer"]).unwrap();
    assert!(!enabled.success(), "{}", enabled.all());

    // It comes back without a token.
    depot.unpack(&debs[..1]);
    depot.is_linked();
    let pty = depot.enter();

    depot.dpkg(&["-P", "tidegate-agent", "tidegate-proxy"]);
    drop(pty);
    assert_eq!(accounts.difference(&depot.accounts()), "");
    let left = difference(&files, &listing(&depot.device));
    assert!(left.is_empty(), "{left:#?}");
    let places = ["/etc", "/usr", "/var", "/run"];
    let named = [&["find"], &places[..], &["-xdev", "-name", "*tidegate*"]].concat();
    assert_eq!(depot.device.ok(&named).unwrap().out(), "");
    assert!(!depot.device.run(&["pgrep", "-x", "tidegate-.*"]).unwrap().success());
    let known = depot.device.run(&["dpkg-query", "-W", "tidegate-*"]).unwrap();
    assert!(!known.success(), "{}", known.all());
}

#[test]
fn a_privilege_that_cannot_be_taken_away_keeps_the_package() {
    needs_devices!();
    let depot = Depot::new("depot");
    let debs = packages(&depot.dir.path("debs"), &[]);
    let programs = [
        ("grant", "touch /run/granted"),
        ("verify", "test -e /run/granted"),
        ("revoke", "test -e /run/mended && rm -f /run/granted"),
    ];
    let place = depot.device.path("/etc/tidegate-agent/custom/stuck");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("privilege.toml"), "").unwrap();
    for (name, line) in programs {
        fs::write(place.join(name), format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    depot.unpack(&debs);
    depot.set_up(r#"{ kind = "custom", name = "stuck" }"#);
    let pty = depot.enter();
    let granted = depot.device.path("/run/granted");
    assert!(granted.exists());

    let refused = depot.try_dpkg(&["-r", "tidegate-agent"]);
    assert!(!refused.success() && refused.all().contains("could not be taken away"), "{}", refused.all());
    drop(pty);
    // The agent is back, and tries again.
    depot.is_linked();
    fs::write(depot.device.path("/run/mended"), "").unwrap();
    wait::until_true("the agent took it away", DPKG, || !granted.exists()).unwrap();
    depot.dpkg(&["-r", "tidegate-agent"]);
}

#[test]
fn in_a_chroot_without_proc_and_systemd_the_packages_are_installed_and_purged() {
    needs_devices!();
    let device = Device::make(&base(), "image").unwrap();
    let dir = Scratch::new("image");
    let root = device.path("/");
    let chroot = |words: &[&str]| {
        let program = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"];
        Run::new("chroot").arg(&root).args(program).args(words).within(DPKG).run().unwrap()
    };
    // What dpkg itself needs, and no more.
    let null = root.join("dev/null");
    if !null.exists() {
        Run::new("mknod").args(["-m", "666"]).arg(null).args(["c", "1", "3"]).ok().unwrap();
    }
    assert!(!root.join("proc/self").exists() && !root.join("run/systemd/system").exists());
    let found = || list(|script| chroot(&["sh", "-c", script]).ok().unwrap().out());
    let before = found();
    for deb in packages(&dir.path("debs"), &[]) {
        let there = format!("/root/{}", deb.file_name().unwrap().to_string_lossy());
        fs::copy(&deb, device.path(&there)).unwrap();
        chroot(&["dpkg", "-i", &there]).ok().unwrap();
    }
    assert!(root.join("usr/bin/tidegate-agent").exists());
    // As on the image of a host that was enrolled.
    for (path, text) in [
        ("/var/lib/tidegate-agent/key.pem", "a key"),
        ("/var/lib/tidegate-agent/journal", ""),
        ("/etc/tidegate/agent.toml", "proxy = \"gate:7443\"\n"),
        ("/etc/ssh/sshd_config.d/tidegate.conf", "TrustedUserCAKeys /var/lib/tidegate-agent/user_ca.pub\n"),
        ("/etc/sudoers.d/zzz-tidegate", "@includedir /run/tidegate/sudoers.d\n"),
    ] {
        let path = device.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    chroot(&["dpkg", "-P", "tidegate-agent", "tidegate-proxy"]).ok().unwrap();
    let mut left = difference(&before, &found());
    // The machine's own, which shine through.
    left.retain(|line| !line.starts_with("/run/netns/"));
    assert!(left.is_empty(), "{left:#?}");
    assert!(!chroot(&["dpkg-query", "-W", "tidegate-*"]).success());
}

/// Books that the host keeps of everything that happens on it: dpkg's and systemd's state,
/// logs, caches, the copies that account tools make before each change, who is logged in.
const BOOKS: [&str; 15] = [
    "/etc/passwd- ",
    "/etc/group- ",
    "/etc/shadow- ",
    "/etc/gshadow- ",
    "/run/log/",
    "/run/needrestart",
    "/run/systemd/",
    "/run/user",
    "/run/utmp",
    "/run/motd",
    "/run/sudo",
    "/var/cache/",
    "/var/lib/dpkg/",
    "/var/lib/systemd/",
    "/var/log/",
];

/// Every file of the host with its kind, mode, owner and content: by digest where it is
/// small, by size and time of change elsewhere.
pub fn listing(device: &Device) -> BTreeMap<String, String> {
    list(|script| device.ok(&["sh", "-c", script]).unwrap().out())
}

/// The same, where a script is `run` in some other way.
fn list(run: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    const SCRIPT: &str = r"
        find /etc /usr /var /run -xdev -type d -printf '%p %y %m %U %G\n'
        find /usr -xdev ! -type d -printf '%p %y %m %U %G %s %T@ %l\n'
        find /etc /var /run -xdev ! -type d -printf '%p %y %m %U %G %l\n'
        find /etc /var -xdev -type f -size -1024k -printf '%p\0' | xargs -0 sha256sum | sed 's/\(.*\)  \(.*\)/\2 is \1/'
    ";
    let shown = run(SCRIPT);
    let own = shown.lines().filter(|line| !BOOKS.iter().any(|book| line.starts_with(book)));
    let mut files = BTreeMap::new();
    for line in own {
        let (path, what) = line.split_once(' ').unwrap();
        files.entry(path.to_owned()).or_insert_with(String::new).push_str(what);
    }
    files
}

/// What is not the same in both.
pub fn difference(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    changed.map(|name| format!("{name}: {:?} and now {:?}", before.get(name), after.get(name))).collect()
}

#[test]
fn lintian_finds_no_fault_with_the_packages() {
    let scratch = Scratch::new("lintian");
    let debs = all_packages(&scratch.path("debs"), &[]);
    for (package, deb) in ["tidegate-agent", "tidegate-proxy", "tidegate-video"].iter().zip(&debs) {
        let says = |field: &str| Run::new("dpkg-deb").arg("-f").arg(deb).arg(field).ok().unwrap().out();
        assert_eq!(says("Package").trim(), *package);
        // FFmpeg is linked by what makes videos, and by nothing that listens or is root.
        let depends = says("Depends");
        assert_eq!(depends.contains("libav"), *package == "tidegate-video", "{package}: {depends}");
        let newest = fs::read_to_string(repository(&format!("{}/debian/changelog", &package[9..]))).unwrap();
        let entry = format!("{package} ({}) ", says("Version").trim());
        assert!(newest.starts_with(&entry), "the changelog does not begin with `{entry}`");
    }
    if Run::new("lintian").arg("--version").run().is_err() {
        eprintln!("SKIPPED lintian: it is not installed, and too much for every test machine");
        return;
    }
    let options = ["--allow-root", "--fail-on", "error,warning"];
    let judged = Run::new("lintian").args(options).args(&debs).within(DPKG).run().unwrap();
    assert!(judged.success(), "{}", judged.all());
}
