//! A device that is gate and host at once, where the Debian packages put both; and the
//! packages, made of the programs under test.

use std::fs;
use std::net::SocketAddr;
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

use crate::scene::text;
use crate::support::{Scratch, base, repository};

/// How long dpkg may take on a busy machine.
pub const DPKG: Duration = Duration::from_secs(120);

/// Packages of agent and proxy under test, in this order, of this version or of another.
pub fn packages(out: &Path, options: &[&str]) -> Vec<PathBuf> {
    let mut files = all_packages(out, options);
    files.truncate(2);
    files
}

/// Those, and the one that makes videos.
pub fn all_packages(out: &Path, options: &[&str]) -> Vec<PathBuf> {
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
    assert_eq!(files.len(), 3, "{}", made.all());
    files
}

/// A gate and the device behind it on one host, where the packages put them.
pub struct Depot {
    pub device: Device,
    client: Client,
    pub dir: Scratch,
}

impl Depot {
    /// A host without Tidegate, on which packages may start services.
    pub fn new(name: &str) -> Self {
        let device = Device::boot(&base(), name).unwrap();
        fs::remove_file(device.path("/usr/sbin/policy-rc.d")).ok();
        let dir = Scratch::new("depot");
        Self { client: Client::new(&dir.path("")), device, dir }
    }

    pub fn dpkg(&self, words: &[&str]) -> Done {
        self.try_dpkg(words).ok().unwrap()
    }

    pub fn try_dpkg(&self, words: &[&str]) -> Done {
        let words = [&["env", "DEBIAN_FRONTEND=noninteractive", "dpkg"], words].concat();
        self.device.command(&words).unwrap().within(DPKG).run().unwrap()
    }

    /// Installs packages, or upgrades to them.
    pub fn unpack(&self, packages: &[PathBuf]) -> Done {
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
    pub fn set_up(&self, privilege: &str) {
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

    pub fn answers(&self) {
        wait::until_true("the console answers", PATIENCE, || self.admin(&["get", "users"], "").success())
            .unwrap_or_else(|error| panic!("{error}\n{}", self.device.journal("tidegate-proxy")));
    }

    pub fn is_linked(&self) {
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

    /// Whether sessions live in the gate.
    pub fn has_sessions(&self) -> bool {
        self.admin(&["session", "list", "--live", "-o", "json"], "").ok().unwrap().out().trim() != "[]"
    }

    /// Operator is in, and root.
    pub fn enter(&self) -> Pty {
        let mut pty = self.client.terminal("operator", &format!("{ACCOUNT}@depot"), &[], &[]).unwrap();
        pty.expect("$ ").unwrap_or_else(|error| panic!("{error}\n{}", self.device.journal("tidegate-proxy")));
        is_root(&mut pty);
        pty
    }

    pub fn accounts(&self) -> Accounts {
        Accounts::of(&self.device, ACCOUNT).unwrap()
    }

    /// The service's process, and whether it still runs a file that an upgrade replaced.
    pub fn process(&self, unit: &str) -> (String, bool) {
        let pid = self.device.ok(&["systemctl", "show", "-P", "MainPID", unit]).unwrap().out();
        let program = self.device.ok(&["readlink", &format!("/proc/{}/exe", pid.trim())]).unwrap().out();
        (pid, program.contains("(deleted)"))
    }
}

pub fn is_root(pty: &mut Pty) {
    pty.send_line("sudo -n id -un").unwrap();
    pty.expect("root\r\n").unwrap();
    pty.expect("$ ").unwrap();
}
