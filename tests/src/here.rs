//! The machine itself as a host: an account that exists for the while only, an sshd and an
//! agent of our own, and one line that lets sudo read the agent's rules. A guardian takes
//! all of it back, also when this program is killed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accounts::Accounts;
use crate::guardian::Guardian;
use crate::host::{ENVIRONMENT, Host};
use crate::programs::program;
use crate::run::{Done, Run, Running};
use crate::wait;
use crate::world::World;
use anyhow::{Context, Result, bail};

/// Ends sshd and agent, takes back what the agent granted, removes account and line.
/// `$1` is our directory, `$2` the agent's program, `$3` the account.
const CLEAN: &str = r#"
here=$1/here
end_of_directory "$here"
[ -e "$here/agent.toml" ] && "$2" --config "$here/agent.toml" sweep
# Only here: a device has accounts of the same number, which userdel takes for ours too.
pkill -KILL --ns $$ --nslist pid -u "$3"
userdel --force --remove "$3"
rm -f "/etc/sudoers.d/$3"
"#;

/// How long a program may take to start.
const READY: Duration = Duration::from_secs(60);

/// Who opens a login's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logins {
    /// sshd alone.
    Plain,
    /// The machine's own PAM stack for sshd, as a host has it.
    Pam,
}

/// The machine itself.
pub struct Here {
    dir: PathBuf,
    account: String,
    found: Accounts,
    sshd: (Running, u16),
    agent: Option<Running>,
    guardian: Guardian,
    lines: Vec<String>,
}

impl Here {
    /// Makes the account, which must not be there before, and starts an sshd for it; its
    /// files are in `dir`.
    pub fn prepare(dir: &Path, account: &str, logins: Logins) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            bail!("only root can make an account");
        }
        let include = include_of(account);
        if Run::new("id").arg(account).run()?.success() || include.exists() {
            bail!("there is an account {account} or a file {} already; remove both first", include.display());
        }
        let found = Accounts::of(&Machine, account)?;
        let (base, dir) = (dir.display().to_string(), dir.join("here"));
        fs::create_dir(&dir)?;
        let agent = program("tidegate-agent")?.display().to_string();
        let guardian = Guardian::new(CLEAN, &[&base, &agent, account], None)?;
        let add = Run::new("useradd").args(["-m", "-s", "/bin/bash", "-p", "*", account]);
        let mut lines = vec![add.line()];
        add.ok()?;
        let sshd = start_sshd(&dir, account, logins, &mut lines)?;
        Ok(Self { dir, account: account.to_owned(), found, sshd, agent: None, guardian, lines })
    }

    /// The commands that prepared it, as a person would type them.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Where our sshd listens.
    pub fn sshd(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.sshd.1))
    }

    /// Enrols the agent as that of `device` and starts it; it is no service here.
    pub fn start_agent(&mut self, world: &World, device: &str, token: &str) -> Result<(String, Done)> {
        let (config, agent) = (self.dir.join("agent.toml"), program("tidegate-agent")?);
        let (state, run) = (self.dir.join("agent"), self.dir.join("run"));
        for dir in [&state, &run.join("sudoers.d")] {
            fs::create_dir_all(dir)?;
        }
        let paths = format!("[paths]\nstate = \"{}\"\nrun = \"{}\"\n", state.display(), run.display());
        fs::write(&config, format!("proxy = \"{}\"\n\n{paths}", world.agents()?))?;
        let include = format!("@includedir {}/sudoers.d\n", run.display());
        let (checked, line) = (self.dir.join("include"), include.trim());
        fs::write(&checked, &include)?;
        Run::new("visudo").args(["-c", "-q", "-f"]).arg(&checked).ok()?;
        let place = include_of(&self.account);
        Run::new("install").args(["-m", "0440"]).arg(&checked).arg(&place).ok()?;
        let words = |more: &[&str]| Run::new(&agent).arg("--config").arg(&config).args(more).dir(&self.dir);
        let enrol = words(&["enrol", "--token", token]);
        let shown =
            format!("echo '{line}' >{}; {}; {}", place.display(), enrol.line(), words(&["run"]).line());
        let done = enrol.ok()?;
        self.agent = Some(words(&["run"]).within(Duration::from_secs(86_400)).start()?);
        let connected = wait::until_true("the agent connects", READY, || world.agent_is_connected(device));
        connected.with_context(|| self.agent.as_ref().map(Running::stderr_so_far).unwrap_or_default())?;
        Ok((shown, done))
    }

    /// Takes everything back and compares the machine with how it was found.
    pub fn take_back(self) -> Result<()> {
        let Self { found, guardian, account, .. } = self;
        drop(guardian);
        let difference = found.difference(&Accounts::of(&Machine, &account)?);
        if !difference.is_empty() {
            bail!("the machine is not what it was: {difference}");
        }
        Ok(())
    }
}

impl Host for Here {
    fn command(&self, args: &[&str]) -> Result<Run> {
        Machine.command(args)
    }

    fn path(&self, path: &str) -> PathBuf {
        Machine.path(path)
    }
}

/// The line for sudo, in a file of its own.
fn include_of(account: &str) -> PathBuf {
    Path::new("/etc/sudoers.d").join(account)
}

/// The machine, as a host.
struct Machine;

impl Host for Machine {
    fn command(&self, args: &[&str]) -> Result<Run> {
        let (first, rest) = ENVIRONMENT.split_first().context("no environment")?;
        Ok(Run::new(first).args(rest).args(args))
    }

    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(path)
    }
}

/// Starts an sshd on loopback that trusts the agent's user CA only, with the machine's
/// own host key, because that is the one its agent vouches for.
fn start_sshd(dir: &Path, account: &str, logins: Logins, lines: &mut Vec<String>) -> Result<(Running, u16)> {
    let key = "/etc/ssh/ssh_host_ed25519_key";
    if !Path::new(key).exists() {
        bail!("{key} is missing; `ssh-keygen -A` makes it");
    }
    // A port that was free a moment ago: sshd(8) can't take one that is open.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let pam = if logins == Logins::Pam { "yes" } else { "no" };
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile none\nUsePAM {pam}\n\
         TrustedUserCAKeys {dir}/agent/user_ca.pub\nAuthorizedKeysFile .ssh/authorized_keys\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nAcceptEnv LANG LC_* TIDEGATE_SESSION\nAllowUsers {account}\n\
         Subsystem sftp /usr/lib/openssh/sftp-server\n",
        dir = dir.display()
    );
    let file = dir.join("sshd_config");
    fs::write(&file, config)?;
    // sshd(8) separates its privileges in this directory, which boot scripts make.
    fs::create_dir_all("/run/sshd")?;
    let sshd = Run::new("/usr/sbin/sshd").arg("-D").arg("-e").arg("-f").arg(&file);
    lines.push(sshd.line());
    let mut sshd = sshd.dir(dir).within(Duration::from_secs(86_400)).start()?;
    let answers = wait::until_true("sshd answers", READY, || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() || !sshd.is_running()
    });
    answers.with_context(|| sshd.stderr_so_far())?;
    Ok((sshd, port))
}
