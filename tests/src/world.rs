//! A world: a proxy on ports that were free, its state in a directory of its own, the
//! people who use it, and devices with an agent. Dropping it ends and removes all.

mod options;
mod resources;

pub use options::Options;
pub use resources::{token_in, with_resources};

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::client::Client;
use crate::device::Device;
use crate::guardian::Guardian;
use crate::host::Host;
use crate::programs::program;
use crate::run::{Done, Run, Running};
use crate::wait;

/// How long a program may take to say that it is ready.
const READY: Duration = Duration::from_secs(60);

/// Ends what belongs to the directory `$1`, then removes it.
const CLEAN: &str = r#"
dir=$1
end_of_directory "$dir"
mountpoint -q "$dir/recordings" && umount -l "$dir/recordings"
mountpoint -q "$dir" && umount -l "$dir"
rm -rf --one-file-system "$dir"
"#;

/// A proxy with what belongs to it.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    client: Client,
    options: Options,
    proxy: Mutex<Option<Proxy>>,
    _guardian: Option<Guardian>,
}

#[derive(Debug)]
struct Proxy {
    process: Running,
    ssh: SocketAddr,
    agents: SocketAddr,
}

impl World {
    /// Starts a proxy in a new directory below the system's temporary one.
    pub fn start(options: Options) -> Result<Self> {
        let dir = nix::unistd::mkdtemp(&std::env::temp_dir().join("tidegate-world-XXXXXX"))?;
        Self::start_in(&dir, options, true)
    }

    /// Starts a proxy in this directory, which goes at the end if `remove` says so.
    pub fn start_in(dir: &Path, options: Options, remove: bool) -> Result<Self> {
        let dir = dir.canonicalize()?;
        let guardian = match remove {
            true => Some(Guardian::new(CLEAN, &[&dir.display().to_string()], None)?),
            false => None,
        };
        let tmpfs = |bytes: u64, at: &Path| {
            let size = format!("size={bytes}");
            Run::new("mount").args(["-t", "tmpfs", "-o", &size, "tidegate"]).arg(at).ok()
        };
        if let Some(bytes) = options.disk_bytes {
            tmpfs(bytes, &dir)?;
        }
        fs::create_dir_all(dir.join("recordings"))?;
        fs::create_dir_all(dir.join("state"))?;
        if let Some(bytes) = options.recordings_bytes {
            tmpfs(bytes, &dir.join("recordings"))?;
        }
        let client = Client::new(&dir);
        let world = Self { dir, client, options, proxy: Mutex::new(None), _guardian: guardian };
        world.start_proxy()?;
        Ok(world)
    }

    /// Starts the proxy: at first on free ports, then on the same again.
    pub fn start_proxy(&self) -> Result<()> {
        let ports = match fs::read_to_string(self.dir.join("ports")) {
            Ok(text) => text,
            Err(_) => "0 0".to_owned(),
        };
        let (ssh, agents) = ports.trim().split_once(' ').context("a broken file of ports")?;
        fs::write(self.config(), self.configuration(ssh, agents))?;
        let mut process = self.serve()?.dir(&self.dir).within(Duration::from_secs(60)).start()?;
        let line = wait::until("the proxy says that it is ready", READY, || {
            let said = process.stdout_so_far();
            match said.lines().find(|line| line.starts_with("ready ")) {
                Some(line) if said.ends_with('\n') => Some(Ok(line.to_owned())),
                _ if !process.is_running() => Some(Err(anyhow!("it ended"))),
                _ => None,
            }
        });
        let line = line.and_then(|line| line).with_context(|| {
            format!(
                "the proxy did not start; it said:\n{}{}",
                process.stdout_so_far(),
                process.stderr_so_far()
            )
        })?;
        let address = |field: &str| -> Result<SocketAddr> {
            let word = line.split(' ').find_map(|word| word.strip_prefix(field));
            Ok(word.with_context(|| format!("no `{field}` in `{line}`"))?.parse()?)
        };
        // Who listens everywhere is reached at this machine's own address.
        let mut ssh = address("ssh=")?;
        if ssh.ip().is_unspecified() {
            ssh.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let proxy = Proxy { ssh, agents: address("agents=")?, process };
        fs::write(self.dir.join("ports"), format!("{} {}", proxy.ssh.port(), proxy.agents.port()))?;
        *self.lock() = Some(proxy);
        self.trust("")
    }

    /// Writes the ssh_config and the known_hosts of the people, with `more` hosts.
    pub fn trust(&self, more: &str) -> Result<()> {
        let state = self.state();
        let host_keys = ["ssh_host_ed25519_key.pub", "ssh_host_rsa_key.pub"]
            .iter()
            .map(|name| fs::read_to_string(state.join(name)))
            .collect::<Result<Vec<_>, _>>()
            .context("the proxy did not write its host keys to its state directory")?;
        let host_ca = fs::read_to_string(state.join("host_ca.pub"))?;
        self.client.trust(self.ssh()?, &host_keys, &host_ca, more)
    }

    fn configuration(&self, ssh: &str, agents: &str) -> String {
        let dir = self.dir.display();
        let file = || format!("sqlite:{dir}/state/tidegate.db");
        let store = self.options.store.clone().unwrap_or_else(file);
        let (people, of_agents) = match self.options.dual {
            true => ("[::]".to_owned(), "[::]".to_owned()),
            false => ("127.0.0.1".to_owned(), self.options.agents.to_string()),
        };
        format!(
            "state_dir = \"{dir}/state\"\nrecordings_dir = \"{dir}/recordings\"\n\n\
             [listen]\nssh = \"{people}:{ssh}\"\nagents = \"{of_agents}:{agents}\"\n\n\
             [store]\nurl = \"{store}\"\n\n[lease]\nmillis = {}\n\n\
             [recordings]\nfree_floor = \"{}\"\n\n[audit]\ndir = \"{dir}/audit\"\n{}",
            self.options.lease.as_millis(),
            self.options.free_floor,
            self.options.more
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Proxy>> {
        self.proxy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_proxy<T>(&self, question: impl FnOnce(&Proxy) -> T) -> Result<T> {
        self.lock().as_ref().map(question).context("the proxy does not run")
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The proxy's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("proxy.toml")
    }

    /// The proxy's state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Where recordings go.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.dir.join("recordings")
    }

    /// The people's side.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where the gate listens for people.
    pub fn ssh(&self) -> Result<SocketAddr> {
        self.of_proxy(|proxy| proxy.ssh)
    }

    /// Where the gate listens for agents.
    pub fn agents(&self) -> Result<SocketAddr> {
        self.of_proxy(|proxy| proxy.agents)
    }

    /// The proxy's process id.
    pub fn proxy_pid(&self) -> Result<i32> {
        self.of_proxy(|proxy| proxy.process.pid())
    }

    /// What the proxy has written to its standard output so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.of_proxy(|proxy| proxy.process.stdout_so_far()).unwrap_or_default()
    }

    /// What the proxy has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.of_proxy(|proxy| proxy.process.stderr_so_far()).unwrap_or_default()
    }

    /// Ends the proxy with SIGKILL.
    pub fn kill_proxy(&self) -> Result<()> {
        let proxy = self.lock().take().context("the proxy does not run")?;
        proxy.process.kill()?;
        Ok(())
    }

    /// Asks the proxy to end and waits for it.
    pub fn stop_proxy(&self) -> Result<Done> {
        let proxy = self.lock().take().context("the proxy does not run")?;
        let pid = nix::unistd::Pid::from_raw(proxy.process.pid());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM)?;
        proxy.process.done()
    }

    /// The command that starts the proxy, as a person would type it.
    pub fn serve_line(&self) -> Result<String> {
        Ok(self.serve()?.line())
    }

    fn serve(&self) -> Result<Run> {
        let mut run = Run::new(program("tidegate-proxy")?);
        for (name, value) in &self.options.environment {
            run = run.env(name, value);
        }
        Ok(run.args(["serve", "--config"]).arg(self.config()))
    }

    /// The words before a command of the local console.
    pub fn admin_words(&self) -> Result<Vec<String>> {
        let program = program("tidegate-proxy")?.display().to_string();
        Ok(vec![program, "--config".to_owned(), self.config().display().to_string(), "admin".to_owned()])
    }

    /// A command of the local console.
    pub fn admin(&self, command: &[&str]) -> Result<Run> {
        Ok(crate::client::run_of(&self.admin_words()?).args(command))
    }

    /// Applies resources.
    pub fn apply(&self, resources: &str) -> Result<Done> {
        self.admin(&["apply", "-f", "-"])?.stdin(resources).ok()
    }

    /// The answer of a console command in JSON.
    pub fn json(&self, command: &[&str]) -> Result<serde_json::Value> {
        let done = self.admin(&[command, &["-o", "json"]].concat())?.ok()?;
        serde_json::from_slice(&done.stdout)
            .with_context(|| format!("`{}` did not answer in JSON: {}", command.join(" "), done.out()))
    }

    /// Installs the agent on a device that was applied before, and waits for its link.
    pub fn enrol(&self, device: &Device) -> Result<Done> {
        let token = self.token(device.name())?;
        let (_, done) = self.install_agent(device, &token)?;
        self.await_agent(device)?;
        done.ok()
    }

    /// Installs the agent with this token; returns the command line and what it said.
    pub fn install_agent(&self, device: &Device, token: &str) -> Result<(String, Done)> {
        device.install(&program("tidegate-agent")?, "/usr/local/bin/tidegate-agent")?;
        let address = SocketAddr::from((device.host_address(), self.agents()?.port())).to_string();
        let words = ["tidegate-agent", "install", "--proxy", &address, "--token", token];
        Ok((words.join(" "), device.run(&words)?))
    }

    /// A token that enrols one agent once.
    pub fn token(&self, device: &str) -> Result<String> {
        token_in(&self.admin(&["agent", "token", device])?.ok()?.out())
    }

    /// Waits until the device's agent is connected.
    pub fn await_agent(&self, device: &Device) -> Result<()> {
        let connected =
            wait::until_true("the agent connects", READY, || self.agent_is_connected(device.name()));
        connected.with_context(|| {
            format!("its journal:\n{}\nthe proxy's log:\n{}", device.journal("tidegate-agent"), self.log())
        })
    }

    /// How often the device's agent has connected so far.
    pub fn links(&self, device: &Device) -> Result<usize> {
        let log = self.json(&["audit", "tail", "-n", "100000"])?;
        let text = |event: &serde_json::Value, field: &str| event.get(field)?.as_str().map(str::to_owned);
        let connects = |event: &&serde_json::Value| {
            text(event, "type").as_deref() == Some("agent-connected")
                && text(event, "device").as_deref() == Some(device.name())
        };
        let records = log.as_array().context("the log is no list")?.iter();
        Ok(records.filter_map(|record| record.get("event")).filter(connects).count())
    }

    /// Waits for the link of the agent after one that was killed; `before` is how many there were.
    /// (The gate may list the killed one's for a moment.)
    pub fn await_agent_again(&self, device: &Device, before: usize) -> Result<()> {
        let again = || self.links(device).is_ok_and(|links| links > before);
        wait::until_true("the agent connects again", READY, again)?;
        self.await_agent(device)
    }

    /// Whether the proxy has a link with the device's agent.
    #[must_use]
    pub fn agent_is_connected(&self, device: &str) -> bool {
        let Ok(agents) = self.json(&["agent", "list"]) else { return false };
        let Some(agents) = agents.as_array() else { return false };
        agents.iter().any(|agent| {
            let field = |name: &str| agent.get(name).and_then(serde_json::Value::as_str);
            field("device") == Some(device) && field("state") == Some("linked")
        })
    }

    /// The recordings there are, oldest first.
    pub fn recording_files(&self) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Vec::new();
        let mut dirs = vec![self.recordings()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.is_dir() { dirs.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        Ok(files)
    }

    /// The file of this ending that the gate keeps of a session, such as `commands.jsonl`.
    pub fn kept(&self, session: &str, ending: &str) -> Result<PathBuf> {
        let name = format!("{session}.{ending}");
        let file = self.recording_files()?.into_iter().find(|file| file.ends_with(&name));
        file.with_context(|| format!("there is no {name}"))
    }

    /// Stock zstd(1), to print a session's recording as far as it goes.
    pub fn unpack(&self, session: &str) -> Result<Run> {
        Ok(Run::new("zstd").arg("-dcq").arg(self.kept(session, "cast.zst")?))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(proxy) = self.lock().take() {
            let _ = proxy.process.kill();
        }
    }
}
