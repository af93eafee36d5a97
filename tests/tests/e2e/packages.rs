//! The Debian packages, from install to purge, on a device that is gate and host at once;
//! and what they bring beside the programs.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tidegate_tests::accounts::Accounts;
use tidegate_tests::client::Client;
use tidegate_tests::device::{ACCOUNT, Device};
use tidegate_tests::host::Host;
use tidegate_tests::programs::program;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::{Done, Run};
use tidegate_tests::wait;
use tidegate_tests::world::token_in;

use crate::needs_devices;
use crate::scene::text;
use crate::support::{Scratch, base};

/// What a session gets beside sudo.
const GROUP: &str = r#"{ kind = "groups", groups = ["adm"] }"#;

/// How long dpkg may take on a busy machine.
const DPKG: Duration = Duration::from_secs(120);

fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// Packages of the programs under test, of this version or of another; agent, then proxy.
fn packages(out: &Path, options: &[&str]) -> Vec<PathBuf> {
    let agent = program("tidegate-agent").unwrap();
    let quick = ["--fast", "-Z", "gz"];
    let made = Run::new(repository(".ci/deb"))
        .env("CARGO_TARGET_DIR", agent.parent().unwrap().parent().unwrap())
        .arg(agent.parent().unwrap())
        .arg(out)
        .args(quick.iter().chain(options))
        .within(DPKG)
        .ok()
        .unwrap();
    let files: Vec<PathBuf> = made.out().lines().map(PathBuf::from).collect();
    assert_eq!(files.len(), 2, "{}", made.all());
    files
}

/// A gate and the device behind it on one host, where the packages put them.
struct Depot {
    device: Device,
    client: Client,
    dir: Scratch,
}

impl Depot {
    /// A host without Tidegate, on which packages may start services.
    fn new(name: &str) -> Self {
        let device = Device::boot(&base(), name).unwrap();
        fs::remove_file(device.path("/usr/sbin/policy-rc.d")).ok();
        let dir = Scratch::new("depot");
        Self { client: Client::new(&dir.path("")), device, dir }
    }

    fn dpkg(&self, words: &[&str]) -> Done {
        self.try_dpkg(words).ok().unwrap()
    }

    fn try_dpkg(&self, words: &[&str]) -> Done {
        let words = [&["env", "DEBIAN_FRONTEND=noninteractive", "dpkg"], words].concat();
        self.device.command(&words).unwrap().within(DPKG).run().unwrap()
    }

    /// Installs packages, or upgrades to them.
    fn unpack(&self, packages: &[PathBuf]) -> Done {
        let mut words = vec!["-i".to_owned()];
        for package in packages {
            let there = format!("/root/{}", package.file_name().unwrap().to_string_lossy());
            fs::copy(package, self.device.path(&there)).unwrap();
            words.push(there);
        }
        let done = self.dpkg(&words.iter().map(String::as_str).collect::<Vec<_>>());
        words.iter().skip(1).for_each(|there| fs::remove_file(self.device.path(there)).unwrap());
        done
    }

    /// Does what the README tells to do after the packages are there. Sessions get sudo and
    /// this privilege.
    fn set_up(&self, privilege: &str) {
        self.answers();
        let state =
            |name: &str| fs::read_to_string(self.device.path("/var/lib/tidegate").join(name)).unwrap();
        let keys = [state("ssh_host_ed25519_key.pub"), state("ssh_host_rsa_key.pub")];
        let gate = SocketAddr::from((self.device.address(), 2222));
        self.client.trust(gate, &keys, &state("host_ca.pub"), "").unwrap();
        let resources = format!(
            r#"
            [[user]]
            name = "operator"
            keys = ["{key}"]

            [[device]]
            name = "depot"
            address = "127.0.0.1"

            [[credential]]
            name = "{ACCOUNT}@depot"
            privileges = [{{ kind = "sudo" }}, {privilege}]

            [[access_group]]
            name = "operators"
            users = ["operator"]
            criteria = {{ devices = ["depot"] }}
            session = {{}}
            "#,
            key = self.client.public_key("operator").unwrap(),
        );
        self.admin(&["apply", "-f", "-"], &resources).ok().unwrap();
        let token = token_in(&self.admin(&["agent", "token", "depot"], "").ok().unwrap().out()).unwrap();
        let install = ["tidegate-agent", "install", "--proxy", "127.0.0.1:7443", "--token", &token];
        self.device.ok(&install).unwrap();
        self.is_linked();
    }

    fn admin(&self, words: &[&str], input: &str) -> Done {
        let words = [&["tidegate-proxy", "admin"], words].concat();
        self.device.command(&words).unwrap().stdin(input).run().unwrap()
    }

    fn answers(&self) {
        wait::until_true("the console answers", PATIENCE, || self.admin(&["get", "users"], "").success())
            .unwrap_or_else(|error| panic!("{error}\n{}", self.device.journal("tidegate-proxy")));
    }

    fn is_linked(&self) {
        let linked = || {
            let agents = self.admin(&["agent", "list", "-o", "json"], "");
            let agents: Value = serde_json::from_slice(&agents.stdout).unwrap_or_default();
            agents
                .as_array()
                .is_some_and(|agents| agents.iter().any(|agent| text(agent, "state") == "linked"))
        };
        wait::until_true("the agent is linked", PATIENCE, linked)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.device.journal("tidegate-agent")));
    }

    /// Operator is in, and root.
    fn enter(&self) -> Pty {
        let mut pty = self.client.terminal("operator", &format!("{ACCOUNT}@depot"), &[], &[]).unwrap();
        pty.expect("$ ").unwrap_or_else(|error| panic!("{error}\n{}", self.device.journal("tidegate-proxy")));
        is_root(&mut pty);
        pty
    }

    fn accounts(&self) -> Accounts {
        Accounts::of(&self.device, ACCOUNT).unwrap()
    }

    /// The service's process, and whether it still runs a file that an upgrade replaced.
    fn process(&self, unit: &str) -> (String, bool) {
        let pid = self.device.ok(&["systemctl", "show", "-P", "MainPID", unit]).unwrap().out();
        let program = self.device.ok(&["readlink", &format!("/proc/{}/exe", pid.trim())]).unwrap().out();
        (pid, program.contains("(deleted)"))
    }
}

fn is_root(pty: &mut Pty) {
    pty.send_line("sudo -n id -un").unwrap();
    pty.expect("root\r\n").unwrap();
    pty.expect("$ ").unwrap();
}

fn leave(mut pty: Pty) {
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
}

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
    leave(pty);
    let over = || idle.difference(&depot.accounts()).is_empty();
    wait::until_true("the grant is gone", PATIENCE, over).unwrap();

    // Without a session the gate is restarted at once.
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
fn listing(device: &Device) -> BTreeMap<String, String> {
    const SCRIPT: &str = r"
        find /etc /usr /var /run -xdev -type d -printf '%p %y %m %U %G\n'
        find /usr -xdev ! -type d -printf '%p %y %m %U %G %s %T@ %l\n'
        find /etc /var /run -xdev ! -type d -printf '%p %y %m %U %G %l\n'
        find /etc /var -xdev -type f -size -1024k -printf '%p\0' | xargs -0 sha256sum | sed 's/\(.*\)  \(.*\)/\2 is \1/'
    ";
    let shown = device.ok(&["sh", "-c", SCRIPT]).unwrap().out();
    let own = shown.lines().filter(|line| !BOOKS.iter().any(|book| line.starts_with(book)));
    let mut files = BTreeMap::new();
    for line in own {
        let (path, what) = line.split_once(' ').unwrap();
        files.entry(path.to_owned()).or_insert_with(String::new).push_str(what);
    }
    files
}

/// What is not the same in both.
fn difference(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    changed.map(|name| format!("{name}: {:?} and now {:?}", before.get(name), after.get(name))).collect()
}

#[test]
fn lintian_finds_no_fault_with_the_packages() {
    let scratch = Scratch::new("lintian");
    let debs = packages(&scratch.path("debs"), &[]);
    for (package, deb) in ["tidegate-agent", "tidegate-proxy"].iter().zip(&debs) {
        let says = |field: &str| Run::new("dpkg-deb").arg("-f").arg(deb).arg(field).ok().unwrap().out();
        assert_eq!(says("Package").trim(), *package);
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

#[test]
fn the_manual_tells_every_command_and_every_key() {
    let scratch = Scratch::new("manual");
    Run::new(program("pages").unwrap()).arg(scratch.path("")).ok().unwrap();
    let page = |name: &str| fs::read_to_string(scratch.path("man").join(name)).unwrap().replace('\\', "");
    for (name, told) in [
        ("tidegate-agent.8", ["tidegate-agent uninstall [OPTIONS]", "--keep", "/etc/tidegate/agent.toml"]),
        ("tidegate-proxy.8", ["tidegate-proxy check-config", "--config", "tidegate-proxy.toml(5)"]),
        (
            "tidegate-proxy-admin.8",
            ["tidegate-proxy admin request approve", "--comment", "request approve 12"],
        ),
    ] {
        told.iter().for_each(|told| assert!(page(name).contains(told), "{name} lacks {told}"));
    }
    for program in ["agent", "proxy"] {
        let settings = fs::read_to_string(repository(&format!("config/{program}.toml"))).unwrap();
        let page = page(&format!("tidegate-{program}.toml.5"));
        let is_key = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_lowercase());
        let keys: Vec<&str> = settings.lines().filter(is_key).collect();
        assert!(keys.len() > 4, "{keys:?}");
        for key in keys {
            let key = key.split('=').next().unwrap();
            assert!(page.contains(&format!("fB{key}=")), "the page lacks {key}: {page}");
        }
    }
}

#[test]
fn bash_completes_the_commands() {
    let scratch = Scratch::new("completion");
    Run::new(program("pages").unwrap()).arg(scratch.path("")).ok().unwrap();
    let complete = |program: &str, words: &[&str]| {
        let script = format!(
            "source {}/completion/{program}.bash\nCOMP_WORDS=({program} {}) COMP_CWORD={}\n\
             function=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
             $function {program} \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
             echo \"${{COMPREPLY[@]}}\"",
            scratch.path("").display(),
            words.join(" "),
            words.len(),
        );
        Run::new("bash").args(["--norc", "-c", &script]).ok().unwrap().out()
    };
    assert_eq!(complete("tidegate-agent", &["uni"]), "uninstall\n");
    assert_eq!(complete("tidegate-agent", &["install", "--pr"]), "--proxy\n");
    assert_eq!(complete("tidegate-proxy", &["admin", "request", "app"]), "approve\n");
    assert_eq!(complete("tidegate-proxy", &["admin", "request", "list", "--state", "rej"]), "rejected\n");
}
