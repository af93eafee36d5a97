//! The three ways that are compared, to the same sshd on the same device: straight,
//! with `ssh -J` through a plain sshd, and through Tidegate with its recording on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_tests::device::{ACCOUNT, Device};
use tidegate_tests::host::Host;
use tidegate_tests::postgres::Server;
use tidegate_tests::run::{Run, Running};
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::cpu::Gauge;

/// The user that the bench logs in as.
const USER: &str = "bench";

/// The account whose sessions are given sudo and a group.
const GRANTED: &str = "granted";

/// One of the three ways, and what lies on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Direct,
    Jump,
    Tidegate,
}

/// All, in the order in which they take turns.
pub const ALL: [Way; 3] = [Way::Direct, Way::Jump, Way::Tidegate];

impl Way {
    /// Its host in the ssh_config.
    pub fn host(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Jump => "jump",
            Self::Tidegate => "tidegate",
        }
    }
}

/// Everything the bench runs against.
pub struct Course {
    pub world: World,
    pub device: Device,
    jump: Running,
    config: PathBuf,
    _server: Option<Server>,
}

impl Course {
    /// Boots the device, starts the plain sshd and the gate.
    pub fn open(base: &Path) -> Result<Self> {
        Self::open_with(base, String::new())
    }

    /// As [`Self::open`], with lines for the end of the gate's configuration.
    pub fn open_with(base: &Path, more: String) -> Result<Self> {
        let device = Device::boot(base, "bench01")?;
        device.add_account(GRANTED)?;
        keep_manager(&device, GRANTED)?;
        let server = match std::env::var_os("BENCH_POSTGRES") {
            Some(_) => Some(Server::durable()?),
            None => None,
        };
        let store = server.as_ref().map(Server::database).transpose()?;
        let world = World::start(Options { store, more, ..Options::default() })?;
        let client = world.client();
        let key = client.public_key(USER)?;
        device.authorize(ACCOUNT, &key)?;
        let resources = format!(
            r#"
            [[user]]
            name = "{USER}"
            keys = ["{key}"]

            [[device]]
            name = "bench01"
            address = "{}"

            [[credential]]
            name = "{ACCOUNT}@bench01"

            [[credential]]
            name = "{GRANTED}@bench01"
            privileges = [{{ kind = "sudo" }}, {{ kind = "groups", groups = ["adm"] }}]

            [[credential]]
            name = "guest@bench01"
            privileges = [{{ kind = "account-create" }}]

            [[access_group]]
            name = "bench"
            users = ["{USER}"]
            criteria = {{ devices = ["bench01"] }}
            session = {{}}
            conditions = {{ forwards = ["local"] }}
            "#,
            device.address()
        );
        world.apply(&resources)?;
        world.enrol(&device)?;
        let (jump, port) = plain_sshd(world.dir(), &key)?;
        let hosts = hosts(&world, &device, port)?;
        world.trust(&hosts)?;
        let config = client.config();
        Ok(Self { world, device, jump, config, _server: server })
    }

    /// The words of ssh on this way. The `setting` of ssh_config(5) holds for every hop,
    /// as an option of the command would not.
    pub fn ssh(&self, way: Way, setting: &str, options: &[&str], command: &str) -> Result<Vec<String>> {
        self.ssh_to(way.host(), setting, options, command)
    }

    /// The words of ssh through Tidegate to the account that is given privileges.
    pub fn ssh_granted(&self, setting: &str, command: &str) -> Result<Vec<String>> {
        self.ssh_to("granted", setting, &[], command)
    }

    /// The same to an account that is made for the session.
    pub fn ssh_guest(&self, command: &str) -> Result<Vec<String>> {
        self.ssh_to("guest", "", &[], command)
    }

    fn ssh_to(&self, host: &str, setting: &str, options: &[&str], command: &str) -> Result<Vec<String>> {
        let name: String = setting.chars().filter(char::is_ascii_alphanumeric).collect();
        let config = self.config.with_file_name(format!("ssh_config-{name}"));
        if !config.exists() {
            fs::write(&config, format!("{setting}\n{}", fs::read_to_string(&self.config)?))?;
        }
        let config = config.display().to_string();
        let words = [&["ssh", "-F", &config, "-o", "BatchMode=yes"], options, &[host, command]].concat();
        Ok(words.into_iter().map(str::to_owned).collect())
    }

    /// What measures the middle of this way; there is none on the direct one.
    pub fn gauge(&self, way: Way) -> Result<Option<Gauge>> {
        Ok(match way {
            Way::Direct => None,
            Way::Jump => Some(Gauge::tree(self.jump.pid())),
            Way::Tidegate => Some(Gauge::process(self.world.proxy_pid()?)),
        })
    }

    /// Whether the device's `granted` account has anything of a grant now.
    pub fn is_granted(&self) -> bool {
        let group = fs::read_to_string(self.device.path("/etc/group")).unwrap_or_default();
        let member = group.lines().any(|line| line.starts_with("adm:") && line.contains(GRANTED));
        let rules = fs::read_dir(self.device.path("/run/tidegate/sudoers.d"));
        member || rules.is_ok_and(|mut rules| rules.next().is_some())
    }
}

/// Keeps an account's own systemd from before any grant. One that a login with a group
/// starts goes with it, and what the next login takes to start another is not the grant's:
/// a first login without one takes it too.
fn keep_manager(device: &Device, account: &str) -> Result<()> {
    device.ok(&["loginctl", "enable-linger", account])?;
    let uid = device.ok(&["id", "-u", account])?.out();
    let unit = format!("user@{}.service", uid.trim());
    wait::until_true("the account's systemd runs", Duration::from_secs(20), || {
        device.run(&["systemctl", "is-active", "--quiet", &unit]).is_ok_and(|asked| asked.success())
    })
}

/// Starts an sshd for jumps on loopback, with a configuration and a host key of its own.
fn plain_sshd(dir: &Path, key: &str) -> Result<(Running, u16)> {
    let own = dir.join("jump");
    fs::create_dir(&own)?;
    Run::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(own.join("host_key")).ok()?;
    fs::write(own.join("keys"), format!("{key}\n"))?;
    // A port that was free a moment ago: sshd(8) can't take one that is open.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {own}/host_key\nPidFile none\n\
         AuthorizedKeysFile {own}/keys\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         UseDNS no\nLogLevel ERROR\n",
        own = own.display()
    );
    fs::write(own.join("sshd_config"), config)?;
    // sshd(8) separates its privileges in this directory, which boot scripts make.
    fs::create_dir_all("/run/sshd").ok();
    let sshd = Run::new("/usr/sbin/sshd").arg("-D").arg("-e").arg("-f").arg(own.join("sshd_config"));
    let mut sshd = sshd.dir(dir).within(Duration::from_secs(86_400)).start()?;
    let answers = wait::until_true("the plain sshd answers", Duration::from_secs(10), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() || !sshd.is_running()
    });
    answers.with_context(|| sshd.stderr_so_far())?;
    Ok((sshd, port))
}

fn hosts(world: &World, device: &Device, jump: u16) -> Result<String> {
    let key = world.client().key(USER)?.display().to_string();
    let gate = world.ssh()?;
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid())?.context("this user has no name")?.name;
    let unchecked = "    StrictHostKeyChecking no\n    UserKnownHostsFile /dev/null\n";
    let device = device.address();
    Ok(format!(
        "Host hop\n    HostName 127.0.0.1\n    Port {jump}\n    User {me}\n{unchecked}\
         Host direct jump\n    HostName {device}\n    User {ACCOUNT}\n{unchecked}\
         Host jump\n    ProxyJump hop\n\
         Host tidegate\n    User {USER}[{ACCOUNT}@bench01]\n\
         Host granted\n    User {USER}[{GRANTED}@bench01]\n\
         Host guest\n    User {USER}[guest@bench01]\n\
         Host tidegate granted guest\n    HostName {}\n    Port {}\n\
         Host *\n    IdentityFile {key}\n",
        gate.ip(),
        gate.port()
    ))
}
