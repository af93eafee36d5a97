//! A throwaway device: a copy-on-write view of the machine's own root, booted with
//! systemd-nspawn, with a systemd, an sshd and a sudo of its own. It shares no
//! account file, key, log or socket with the machine: what it changes lives in its
//! [`Slot`]'s tmpfs and goes with it.

pub mod disk;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::host::{ENVIRONMENT, Host};
use crate::run::{self, Run};
use crate::slot::{self, Slot};
use crate::wait;

/// The account of every device: no password, no groups, no sudo.
pub const ACCOUNT: &str = "ops";

/// How long a boot may take before it counts as failed.
const BOOT: Duration = Duration::from_secs(180);

/// How long somebody else may keep the account files locked.
const BUSY: Duration = Duration::from_secs(60);

/// What of the machine a device does not see, and how each starts out there.
const HIDDEN: [(&str, u32); 9] = [
    ("root", 0o700),
    ("home", 0o755),
    ("var/tmp", 0o1777),
    ("var/log", 0o755),
    ("var/lib/systemd", 0o755),
    ("etc/ssh", 0o755),
    ("etc/systemd/system", 0o755),
    ("etc/systemd/network", 0o755),
    ("etc/sudoers.d", 0o750),
];

/// Units and generators that a device does not need.
const MASKED: [&str; 9] = [
    "system/getty.target",
    "system/getty-static.service",
    "system/console-getty.service",
    "system/systemd-journal-flush.service",
    "system/sys-kernel-debug.mount",
    "system/dev-hugepages.mount",
    "system/sys-fs-fuse-connections.mount",
    "system-generators/systemd-sysv-generator",
    "system-generators/cloud-init-generator",
];

/// The shell line that joins the slot's control groups, then becomes systemd-nspawn.
const JOIN: &str =
    r#"for group in $GROUPS_OF_SLOT; do echo $$ >"$group/cgroup.procs" || exit 1; done; exec "$@""#;

/// A device, off or booted. Dropping it ends it and leaves nothing.
#[derive(Debug)]
pub struct Device {
    name: String,
    root: PathBuf,
    /// Where what it changes is kept: the slot's tmpfs, or a disk in it.
    layers: PathBuf,
    booted: Mutex<Option<Booted>>,
    slot: Slot,
}

#[derive(Debug)]
struct Booted {
    nspawn: Child,
    leader: i32,
}

impl Device {
    /// Makes a device named `name` below the directory `base` and boots it; returns
    /// when its sshd answers.
    pub fn boot(base: &Path, name: &str) -> Result<Self> {
        let device = Self::make(base, name)?;
        device.power_on()?;
        Ok(device)
    }

    /// Makes a device, not booted yet.
    pub fn make(base: &Path, name: &str) -> Result<Self> {
        possible()?;
        slot::reap_stale(base)?;
        let slot = Slot::take(base)?;
        let layers = slot.dir().to_owned();
        Self::made(slot, name, layers)
    }

    fn made(slot: Slot, name: &str, layers: PathBuf) -> Result<Self> {
        let root = slot.dir().join("root");
        let device = Self { name: name.to_owned(), root, layers, booted: Mutex::new(None), slot };
        device.mount().context("no copy-on-write view of / can be mounted here")?;
        device.furnish()?;
        Ok(device)
    }

    fn mount(&self) -> Result<()> {
        let path = |part: &str| self.layers.join(part);
        fs::create_dir(&self.root)?;
        for part in ["upper", "work"] {
            fs::create_dir(path(part))?;
        }
        for (hidden, _) in HIDDEN {
            let place = path("upper").join(hidden);
            if let Some(parent) = place.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
            }
            // A whiteout (overlayfs's documentation): what is below it is not there.
            mknod(&place, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))?;
        }
        self.mount_words().ok()?;
        for (hidden, mode) in HIDDEN {
            fs::create_dir(self.root.join(hidden))?;
            fs::set_permissions(self.root.join(hidden), fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    fn mount_words(&self) -> Run {
        let dir = self.layers.display();
        let layers = format!("lowerdir=/,upperdir={dir}/upper,workdir={dir}/work");
        Run::new("mount").args(["-t", "overlay", "-o", &layers, "overlay"]).arg(&self.root)
    }

    fn boot_words(&self) -> Vec<String> {
        let words = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"];
        let more = ["--link-journal=no", "--resolv-conf=off", "--timezone=off"];
        let own = [
            format!("--machine={}-{}", self.slot.name(), self.name),
            format!("--hostname={}", self.name),
            format!("--network-namespace-path=/run/netns/{}", self.slot.name()),
            format!("--directory={}", self.root.display()),
            "systemd.unit=multi-user.target".to_owned(),
        ];
        words.iter().chain(&more).map(|word| (*word).to_owned()).chain(own).collect()
    }

    /// The command that makes its root, as a person would type it.
    #[must_use]
    pub fn mount_line(&self) -> String {
        self.mount_words().line()
    }

    /// The command that boots it, as a person would type it.
    #[must_use]
    pub fn boot_line(&self) -> String {
        format!("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 {}", self.boot_words().join(" "))
    }

    fn furnish(&self) -> Result<()> {
        let etc = self.root.join("etc");
        let id: String = fs::read_to_string("/proc/sys/kernel/random/uuid")?
            .chars()
            .filter(char::is_ascii_hexdigit)
            .chain(['\n'])
            .collect();
        fs::write(etc.join("machine-id"), id)?;
        fs::write(etc.join("hostname"), format!("{}\n", self.name))?;
        fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n127.0.1.1 {}\n", self.name))?;
        fs::write(etc.join("fstab"), "")?;
        for masked in MASKED {
            let place = etc.join("systemd").join(masked);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            symlink("/dev/null", place)?;
        }
        let wants = etc.join("systemd/system/multi-user.target.wants");
        fs::create_dir(&wants)?;
        symlink("/lib/systemd/system/ssh.service", wants.join("ssh.service"))?;
        symlink("/lib/systemd/system/ssh.service", etc.join("systemd/system/sshd.service"))?;
        self.furnish_sshd(&etc.join("ssh"))?;
        self.add_account(ACCOUNT)
    }

    fn furnish_sshd(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir.join("sshd_config.d"))?;
        fs::copy("/usr/share/openssh/sshd_config", dir.join("sshd_config"))
            .context("Debian's openssh-server is not installed (`make deps` does that)")?;
        fs::copy("/etc/ssh/moduli", dir.join("moduli")).ok();
        fs::write(
            dir.join("sshd_config.d/device.conf"),
            "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\n",
        )?;
        let key = dir.join("ssh_host_ed25519_key");
        let comment = format!("root@{}", self.name);
        Run::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", &comment, "-f"]).arg(key).ok()?;
        Ok(())
    }

    /// Adds an account without password, groups or sudo.
    pub fn add_account(&self, account: &str) -> Result<()> {
        let root = self.root.display().to_string();
        let words = ["useradd", "--root", &root, "-m", "-s", "/bin/bash", "-p", "*", account];
        // While somebody else edits the account files, useradd(8) does not wait but gives up.
        wait::until("the account files are free to edit", BUSY, || match run::ok(&words) {
            Err(error) if error.to_string().contains("cannot lock") => None,
            other => Some(other.map(drop)),
        })?
    }

    /// Boots it and waits for its sshd.
    pub fn power_on(&self) -> Result<()> {
        let log = fs::File::create(self.slot.dir().join("console.log"))?;
        let groups: Vec<String> =
            self.slot.groups().iter().map(|group| group.display().to_string()).collect();
        let nspawn = Command::new("setsid")
            .args(["sh", "-c", JOIN, "join"])
            .args(self.boot_words())
            .env("GROUPS_OF_SLOT", groups.join(" "))
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start systemd-nspawn")?;
        let mut booted = Booted { nspawn, leader: 0 };
        let answer = wait::until("the device's sshd answers", BOOT, || {
            if let Ok(Some(status)) = booted.nspawn.try_wait() {
                return Some(Err(anyhow!("systemd-nspawn ended ({status})")));
            }
            self.sshd_answers().then_some(Ok(()))
        });
        answer.and_then(|answer| answer).with_context(|| {
            let console = fs::read_to_string(self.slot.dir().join("console.log")).unwrap_or_default();
            format!("the device {} did not boot; its console says:\n{console}", self.name)
        })?;
        booted.leader = self.find_leader(&booted)?;
        *self.booted.lock().unwrap_or_else(PoisonError::into_inner) = Some(booted);
        Ok(())
    }

    /// Whether sshd says its version now.
    #[must_use]
    pub fn sshd_answers(&self) -> bool {
        let Ok(stream) = TcpStream::connect_timeout(&self.sshd(), Duration::from_millis(200)) else {
            return false;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("SSH-2.0")
    }

    fn find_leader(&self, booted: &Booted) -> Result<i32> {
        let nspawn = booted.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children"))?;
        let leader = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        leader.with_context(|| format!("systemd-nspawn of the device {} has no child", self.name))
    }

    /// Cuts the power: everything in it ends at once, as by SIGKILL. What was written
    /// outside /run and /tmp is there after the next [`Device::power_on`].
    pub fn cut_power(&self) -> Result<()> {
        let booted = self.booted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut booted) = booted else { bail!("the device {} is off", self.name) };
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(booted.leader), nix::sys::signal::SIGKILL)?;
        booted.nspawn.wait()?;
        Ok(())
    }

    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.slot.guest()
    }

    /// Where its sshd listens.
    #[must_use]
    pub fn sshd(&self) -> SocketAddr {
        SocketAddr::from((self.address(), 22))
    }

    /// The machine's address, as the device reaches it.
    #[must_use]
    pub fn host_address(&self) -> Ipv4Addr {
        self.slot.host()
    }

    /// The machine's end of the veth pair; taking it down cuts the device off.
    #[must_use]
    pub fn link(&self) -> &str {
        self.slot.name()
    }

    /// The first process of the device, as the machine numbers it.
    pub fn leader(&self) -> Result<i32> {
        let booted = self.booted.lock().unwrap_or_else(PoisonError::into_inner);
        booted
            .as_ref()
            .map(|booted| booted.leader)
            .with_context(|| format!("the device {} is off", self.name))
    }

    /// Copies a program of the machine into the device.
    pub fn install(&self, program: &Path, path: &str) -> Result<()> {
        let there = self.path(path);
        // A running program cannot be written over, but its name can be given to another.
        fs::remove_file(&there).ok();
        fs::copy(program, &there)
            .with_context(|| format!("cannot copy {} to the device", program.display()))?;
        fs::set_permissions(there, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Lets the key (one OpenSSH line) log in to the account without Tidegate.
    pub fn authorize(&self, account: &str, key: &str) -> Result<()> {
        let passwd = fs::read_to_string(self.path("/etc/passwd"))?;
        let line = passwd.lines().find(|line| line.split(':').next() == Some(account));
        let fields: Vec<&str> = line.with_context(|| format!("no account {account}"))?.split(':').collect();
        let [_, _, uid, gid, _, home, _] = fields.as_slice() else { bail!("a broken line of passwd") };
        let (uid, gid) = (uid.parse()?, gid.parse()?);
        let dir = self.path(&format!("{home}/.ssh"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        chown(&dir, Some(uid), Some(gid))?;
        let file = dir.join("authorized_keys");
        let mut open = fs::OpenOptions::new().create(true).append(true).open(&file)?;
        writeln!(open, "{}", key.trim())?;
        chown(&file, Some(uid), Some(gid))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    /// Its public host key, one OpenSSH line without comment.
    pub fn host_key(&self) -> Result<String> {
        let line = fs::read_to_string(self.root.join("etc/ssh/ssh_host_ed25519_key.pub"))?;
        Ok(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    /// The last lines of its journal, for a message about what went wrong.
    #[must_use]
    pub fn journal(&self, unit: &str) -> String {
        let args = ["journalctl", "--no-pager", "-n", "60", "-u", unit];
        self.run(&args).map(|done| done.all()).unwrap_or_default()
    }
}

impl Host for Device {
    fn command(&self, args: &[&str]) -> Result<Run> {
        let leader = self.leader()?.to_string();
        Ok(Run::new("nsenter").args(["-t", &leader, "-a"]).args(ENVIRONMENT).args(args))
    }

    /// Whichever file system it is on there; of a device that is off, what its disk has.
    fn path(&self, path: &str) -> PathBuf {
        match self.leader() {
            Ok(leader) => PathBuf::from(format!("/proc/{leader}/root")).join(path.trim_start_matches('/')),
            Err(_) => self.root.join(path.trim_start_matches('/')),
        }
    }
}

/// Whether a device can be booted here; the error says in one sentence why not.
pub fn possible() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("devices need root");
    }
    for (program, package) in [
        ("systemd-nspawn", "systemd-container"),
        ("ip", "iproute2"),
        ("sshd", "openssh-server"),
        ("sudo", "sudo"),
        ("nsenter", "util-linux"),
        ("dbus-daemon", "dbus-daemon"),
    ] {
        let found = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
            .iter()
            .any(|dir| Path::new(dir).join(program).exists());
        if !found {
            bail!("{program} is missing; `apt-get install {package}` brings it");
        }
    }
    if slot::has_no_cgroup2() {
        bail!("no cgroup2 tree is mounted, which a booted systemd needs");
    }
    Ok(())
}
