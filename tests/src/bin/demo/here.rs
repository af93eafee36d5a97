//! The machine itself as the host of the story: an account that exists for the demo
//! only, an sshd and an agent of the demo's own, and one line that lets sudo read the
//! agent's rules. A guardian takes all of it back, also when the demo is killed.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tidegate_tests::accounts::Accounts;
use tidegate_tests::guardian::Guardian;
use tidegate_tests::host::{ENVIRONMENT, Host};
use tidegate_tests::programs::program;
use tidegate_tests::run::{Done, Run, Running};
use tidegate_tests::wait;
use tidegate_tests::world::World;

use crate::stage::Stage;

/// The account, which must not be there before.
const ACCOUNT: &str = "tidegate-demo";

/// The line for sudo, in a file of its own.
const INCLUDE: &str = "/etc/sudoers.d/tidegate-demo";

/// Ends sshd and agent, takes back what the agent granted, removes account and line.
/// `$1` is the demo's directory, `$2` the agent's program.
const CLEAN: &str = r#"
here=$1/here
pids=$(of_directory "$here")
[ -n "$pids" ] && kill -9 $pids 2>/dev/null
[ -e "$here/agent.toml" ] && "$2" --config "$here/agent.toml" sweep
pkill -KILL -u tidegate-demo
userdel --remove tidegate-demo
rm -f /etc/sudoers.d/tidegate-demo
"#;

/// How long a program may take to start.
const READY: Duration = Duration::from_secs(20);

/// The machine itself.
pub struct Here {
    dir: PathBuf,
    name: String,
    found: Accounts,
    sshd: (Running, u16),
    agent: Option<Running>,
    guardian: Guardian,
}

impl Here {
    /// Makes the account and starts an sshd for it.
    pub fn prepare(stage: &mut Stage, demo: &Path, name: &str) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            bail!("the demo needs root");
        }
        if Run::new("id").arg(ACCOUNT).run()?.success() || Path::new(INCLUDE).exists() {
            bail!("there is an account {ACCOUNT} or a file {INCLUDE} already; remove both first");
        }
        let found = Accounts::of(&Machine, ACCOUNT)?;
        let dir = demo.join("here");
        fs::create_dir(&dir)?;
        let args = [demo.display().to_string(), program("tidegate-agent")?.display().to_string()];
        let guardian = Guardian::new(CLEAN, &[&args[0], &args[1]], None)?;
        let account = Run::new("useradd").args(["-m", "-s", "/bin/bash", "-p", "*", ACCOUNT]);
        stage.command("machine", &account.line());
        account.ok()?;
        let sshd = start_sshd(stage, &dir)?;
        Ok(Self { dir, name: name.to_owned(), found, sshd, agent: None, guardian })
    }

    /// The account of the story.
    pub fn account(&self) -> &str {
        ACCOUNT
    }

    /// Where the demo's sshd listens.
    pub fn sshd(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.sshd.1))
    }

    /// Enrols and starts the agent; it is no service here.
    pub fn start_agent(&mut self, world: &World, token: &str) -> Result<(String, Done)> {
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
        Run::new("install").args(["-m", "0440"]).arg(&checked).arg(INCLUDE).ok()?;
        let words = |more: &[&str]| Run::new(&agent).arg("--config").arg(&config).args(more).dir(&self.dir);
        let enrol = words(&["enrol", "--token", token]);
        let shown = format!("echo '{line}' >{INCLUDE}; {}; {}", enrol.line(), words(&["run"]).line());
        let done = enrol.ok()?;
        self.agent = Some(words(&["run"]).within(Duration::from_secs(86_400)).start()?);
        let connected =
            wait::until_true("the agent connects", READY, || world.agent_is_connected(&self.name));
        connected.with_context(|| self.agent.as_ref().map(Running::stderr_so_far).unwrap_or_default())?;
        Ok((shown, done))
    }

    /// Takes everything back and compares the machine with how it was found.
    pub fn take_back(self, stage: &mut Stage) -> Result<()> {
        stage.note("The machine gets back what it lent: account, sshd, agent and the line for sudo go.");
        let Self { found, guardian, .. } = self;
        drop(guardian);
        let difference = found.difference(&Accounts::of(&Machine, ACCOUNT)?);
        if !difference.is_empty() {
            bail!("the machine is not what it was: {difference}");
        }
        stage.holds("the machine's account files and sudo's rules: byte for byte as found");
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
fn start_sshd(stage: &Stage, dir: &Path) -> Result<(Running, u16)> {
    let key = "/etc/ssh/ssh_host_ed25519_key";
    if !Path::new(key).exists() {
        bail!("{key} is missing; `ssh-keygen -A` makes it");
    }
    // A port that was free a moment ago: sshd(8) can't take one that is open.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile none\nUsePAM no\n\
         TrustedUserCAKeys {dir}/agent/user_ca.pub\nAuthorizedKeysFile none\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nAcceptEnv LANG LC_* TIDEGATE_SESSION\nAllowUsers {ACCOUNT}\n\
         Subsystem sftp /usr/lib/openssh/sftp-server\n",
        dir = dir.display()
    );
    let file = dir.join("sshd_config");
    fs::write(&file, config)?;
    // sshd(8) separates its privileges in this directory, which boot scripts make.
    fs::create_dir_all("/run/sshd")?;
    let sshd = Run::new("/usr/sbin/sshd").arg("-D").arg("-e").arg("-f").arg(&file);
    stage.command("machine", &sshd.line());
    let mut sshd = sshd.dir(dir).within(Duration::from_secs(86_400)).start()?;
    let answers = wait::until_true("sshd answers", READY, || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() || !sshd.is_running()
    });
    answers.with_context(|| sshd.stderr_so_far())?;
    Ok((sshd, port))
}
