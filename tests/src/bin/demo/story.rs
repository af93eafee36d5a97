//! The story itself, and after it the second one.

mod outside;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_tests::accounts::Accounts;
use tidegate_tests::device::ACCOUNT;
use tidegate_tests::host::Host;
use tidegate_tests::programs::program;
use tidegate_tests::pty::Pty;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::sinks::MailServer;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World, with_resources};

use crate::env::{self, Directory};
use crate::host::DemoHost;
use crate::stage::Stage;

/// How many steps both have.
pub const STEPS: usize = 20;

const OPERATOR: &str = "operator";
const APPROVER: &str = "approver";
const DEVICE: &str = "db01";
const WHY: &str = "Restore last night's backup, ticket 4711";

/// How long a person would wait for a program.
const PATIENCE: Duration = Duration::from_secs(60);
/// How soon a privilege is gone once its session is over, on a machine under load too; the bench
/// measures how soon on one that is idle.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What stands after the story, until it is dropped.
pub struct Story {
    world: World,
    host: DemoHost,
    mails: MailServer,
    dir: PathBuf,
    _directory: Directory,
}

/// Tells it; every step that does not hold is an error.
pub fn tell(stage: &mut Stage, directory: Directory) -> Result<Story> {
    let start = Instant::now();
    let dir = directory.path().to_owned();
    stage.title("Tidegate, end to end", "A person passes the gate to a privileged account, for one session.");
    let host = boot(stage, &dir)?;
    let mails = MailServer::start(&[])?;
    let world = start_gate(stage, &dir, &host, &mails)?;
    let mut story = Story { world, host, mails, dir, _directory: directory };
    story.install_agent(stage)?;
    let before = story.before(stage)?;
    let (mut operator, mut shown) = story.knock(stage)?;
    story.approve(stage)?;
    story.work(stage, &mut operator, &mut shown, &before)?;
    story.after(stage, &before)?;
    let session = story.recording(stage)?;
    story.audit(stage)?;
    let video = story.video(stage, &session)?;
    story.outside(stage)?;
    let seconds = start.elapsed().as_secs_f64();
    let below = format!("The session as a video: {}", video.display());
    stage.title(&format!("All {STEPS} steps held, in {seconds:.1} s."), &below);
    Ok(story)
}

fn boot(stage: &mut Stage, dir: &Path) -> Result<DemoHost> {
    stage.step("A throwaway device: this machine's own root, copy-on-write, booted with systemd");
    let host = DemoHost::prepare(stage, dir, DEVICE)?;
    let asked = format!("cat /proc/1/comm; sudo --version | head -1; id {}", host.account());
    stage.command("root@db01", &asked);
    stage.output(&host.run(&["sh", "-c", &asked])?.all());
    Ok(host)
}

fn start_gate(stage: &mut Stage, dir: &Path, host: &DemoHost, mails: &MailServer) -> Result<World> {
    stage.step("The gate starts on loopback and is told who may do what");
    let agents = host.host_address();
    let more = outside::settings(dir, mails.address())?;
    // What people are to type in answer to a mail.
    let environment = vec![("TIDEGATE__LISTEN__SSH_NAME".to_owned(), "127.0.0.1".to_owned())];
    let options = Options { agents, more, environment, ..Options::default() };
    let world = World::start_in(dir, options, false)?;
    stage.command("gate", &world.serve_line()?);
    stage.output(&world.said());
    let template = fs::read_to_string("config/demo.toml")?.replace(ACCOUNT, host.account());
    let resources = dir.join("resources.toml");
    fs::write(&resources, with_resources(&template, world.client(), &[(DEVICE, host.sshd())])?)?;
    stage.note("config/demo.toml, with the keys just made for both people and the device's address:");
    admin(stage, &world, &["apply", "-f", &resources.display().to_string()])?;
    let gate = world.ssh()?;
    let entry = |name: &str, host: &str, user: &str, person: &str, more: &str| -> Result<String> {
        let key = world.client().key(person)?;
        Ok(format!(
            "Host {name}\n    HostName {host}\n    User {user}\n    IdentityFile {}\n{more}\n",
            key.display()
        ))
    };
    let port = format!("    Port {}\n", gate.port());
    let ip = gate.ip().to_string();
    let config = [
        entry("gate", &ip, OPERATOR, OPERATOR, &port)?,
        entry("gate-approver", &ip, APPROVER, APPROVER, &port)?,
        entry("device", &ip, &format!("{OPERATOR}[{}@{DEVICE}]", host.account()), OPERATOR, &port)?,
        entry("device-jump", DEVICE, host.account(), OPERATOR, "    ProxyJump gate\n")?,
        outside::hosts(&world, host.account())?,
    ];
    world.trust(&config.concat())?;
    Ok(world)
}

impl Story {
    fn install_agent(&mut self, stage: &mut Stage) -> Result<()> {
        stage.step("The agent is installed on the device; it enrols with a one-time token");
        let token = admin(stage, &self.world, &["agent", "token", DEVICE])?;
        let (line, done) = self.host.install_agent(&self.world, &token.out())?;
        stage.command("root@db01", &line);
        stage.output(&done.all());
        admin(stage, &self.world, &["agent", "list"])?;
        self.write_env()?;
        stage.holds("the agent dialled out to the gate; it opened no port");
        Ok(())
    }

    fn write_env(&self) -> Result<()> {
        let gate = self.world.ssh()?;
        let path = |path: std::path::PathBuf| path.display().to_string();
        let client = self.world.client();
        let variables = [
            ("GATE_HOST", gate.ip().to_string()),
            ("GATE_PORT", gate.port().to_string()),
            ("OPERATOR_KEY", path(client.key(OPERATOR)?)),
            ("APPROVER_KEY", path(client.key(APPROVER)?)),
            ("ADMIN", self.world.admin_words()?.join(" ")),
            ("DEVICE", DEVICE.to_owned()),
            ("ACCOUNT", self.host.account().to_owned()),
            ("DEVICE_PID", self.host.leader()?.to_string()),
            ("RECORDINGS", path(self.world.recordings())),
            ("PROXY_PID", self.world.proxy_pid()?.to_string()),
            ("SSH_CONFIG", path(client.config())),
        ];
        env::write(&self.dir.join("env"), &variables)
    }

    fn before(&self, stage: &mut Stage) -> Result<Accounts> {
        stage.step("Before: the account may do nothing special on the device");
        self.sudo_is_refused(stage)?;
        let accounts = self.host.accounts()?;
        let names: Vec<&str> = accounts.names().collect();
        stage.note(&format!("kept to compare, {} bytes: {}", accounts.len(), names.join(", ")));
        Ok(accounts)
    }

    fn sudo_is_refused(&self, stage: &Stage) -> Result<()> {
        let account = self.host.account();
        stage.command(&format!("{account}@{DEVICE}"), "sudo -n id");
        // ssh returns in the moment in which the gate learns that the session is over.
        let refused = || self.host.run_as(account, &["sudo", "-n", "id"]).ok().filter(|done| !done.success());
        let Ok(done) = wait::until("sudo is refused", AT_ONCE, refused) else {
            bail!("sudo was not refused");
        };
        stage.output(&done.all());
        stage.holds("refused");
        Ok(())
    }

    fn knock(&self, stage: &mut Stage) -> Result<(Pty, Shown)> {
        stage.step("Operator knocks with stock ssh, is asked why, and waits");
        let words = ["ssh", "-F", ".demo/ssh_config", "device"];
        stage.command("operator", &words.join(" "));
        let mut pty = Pty::start(&words)?;
        let mut shown = Shown::default();
        pty.expect("Justification: ")?;
        pty.send_line(WHY)?;
        pty.expect("For how long [")?;
        pty.send_line("")?;
        wait::until_true("operator's request is there", PATIENCE, || !self.pending().is_empty())
            .with_context(|| format!("the terminal shows:\n{}", pty.screen()))?;
        pty.expect("approv")?;
        shown.show(stage, &pty, true);
        stage.holds("no channel is open yet; the request waits for somebody else's yes");
        Ok((pty, shown))
    }

    fn requests(&self) -> Vec<serde_json::Value> {
        let requests = self.world.json(&["request", "list"]).unwrap_or_default();
        requests.as_array().cloned().unwrap_or_default()
    }

    fn pending(&self) -> Vec<u64> {
        let all = self.requests();
        let is_pending = |request: &&serde_json::Value| {
            request.get("state").and_then(|state| state.as_str().or_else(|| state.get("state")?.as_str()))
                == Some("pending")
        };
        all.iter().filter(is_pending).filter_map(|request| request.get("id")?.as_u64()).collect()
    }

    fn approve(&self, stage: &mut Stage) -> Result<()> {
        stage.step("Approver, at another desk, looks and says yes with stock ssh");
        let [number] = self.pending().try_into().ok().context("not exactly one request is pending")?;
        let number: u64 = number;
        for command in [&["request", "list"] as &[&str], &["request", "approve", &number.to_string()]] {
            let words = [&["ssh", "-F", ".demo/ssh_config", "gate-approver"], command].concat();
            stage.command("approver", &words.join(" "));
            let done = Run::new("ssh").args(words.iter().skip(1)).run()?;
            stage.output(&done.all());
            done.ok()?;
        }
        Ok(())
    }

    fn work(&self, stage: &mut Stage, pty: &mut Pty, shown: &mut Shown, before: &Accounts) -> Result<()> {
        stage.step("Operator is in, and is root where the work needs it");
        pty.expect("$ ")?;
        for (typed, wanted) in [("id", "(adm)"), ("sudo id", "uid=0(root)")] {
            pty.send_line(typed)?;
            pty.expect(wanted)?;
            pty.expect("$ ")?;
        }
        let during = self.host.accounts()?;
        pty.send_line("exit")?;
        pty.end(PATIENCE)?;
        shown.show(stage, pty, true);
        if before.difference(&during).is_empty() {
            bail!("the comparison saw nothing of the grant, so it would prove nothing");
        }
        stage.holds("sudo and the group adm were granted for this session only; it has ended");
        Ok(())
    }

    fn after(&self, stage: &mut Stage, before: &Accounts) -> Result<()> {
        stage.step("At once the privilege is gone, and the device is what it was");
        self.sudo_is_refused(stage)?;
        // Each privilege goes for itself, and sudo's rule may go before the group.
        let same = || self.host.accounts().ok().filter(|now| before.difference(now).is_empty());
        if wait::until("the device is what it was", AT_ONCE, same).is_err() {
            bail!("the device is not what it was: {}", before.difference(&self.host.accounts()?));
        }
        stage.holds("account files, sudo's rules and sudo's answer: byte for byte what they were");
        Ok(())
    }

    /// Gives the session's id.
    fn recording(&self, stage: &mut Stage) -> Result<String> {
        stage.step("The recording is whole, signed, and shows what operator saw");
        admin(stage, &self.world, &["session", "list"])?;
        let sessions = self.world.json(&["session", "list"])?;
        let id = sessions.as_array().and_then(|all| all.first()).and_then(|one| one.get("id")?.as_str());
        let id = id.context("no session is listed")?.to_owned();
        admin(stage, &self.world, &["session", "verify", &id])?;
        let played = admin(stage, &self.world, &["session", "play", &id, "--speed", "1000"])?;
        if !played.out().contains("uid=0(root)") {
            bail!("the replay does not show that operator was root");
        }
        stage.holds("verified and replayed");
        Ok(id)
    }

    /// Where it is, beside the programs: it outlives the demo.
    fn video(&self, stage: &mut Stage, session: &str) -> Result<PathBuf> {
        stage.step("The recording is a video too, for who has no terminal");
        let program = program("tidegate-video")?;
        let video = program.with_file_name("demo.mp4");
        let recording = self.world.kept(session, "cast.zst")?;
        let key = self.world.state().join("recording_key.pub");
        let run =
            Run::new(&program).args(["--progress", "none", "--key"]).arg(&key).arg(&recording).arg(&video);
        stage.command("auditor", &run.line());
        stage.output(&run.within(PATIENCE).ok()?.all());
        let size = fs::metadata(&video)?.len();
        stage.holds(&format!("{} ({} KiB) plays everywhere", video.display(), size.div_ceil(1024)));
        Ok(video)
    }

    fn audit(&self, stage: &mut Stage) -> Result<()> {
        stage.step("The audit log tells the story, each record chained to the one before");
        admin(stage, &self.world, &["audit", "tail"])?;
        admin(stage, &self.world, &["audit", "verify"])?;
        Ok(())
    }

    /// Takes everything back.
    pub fn end(self, stage: &mut Stage) -> Result<()> {
        let Self { world, host, _directory: directory, .. } = self;
        drop(world);
        host.take_back(stage)?;
        drop(directory);
        Ok(())
    }

    /// The lines to try by hand.
    pub fn by_hand(&self, stage: &Stage) {
        let next = self.requests().iter().filter_map(|one| one.get("id")?.as_u64()).max().unwrap_or(0) + 1;
        let approve = format!("ssh -F .demo/ssh_config gate-approver request approve {next}");
        stage
            .say("\nThe gate and the device stay up until Ctrl-C. In another terminal, in this directory:\n");
        for (line, what) in [
            ("ssh -F .demo/ssh_config device", "as operator, through the gate to ops@db01"),
            ("ssh -F .demo/ssh_config device-jump", "the same by ssh -J"),
            ("ssh -F .demo/ssh_config gate-approver request list", "what waits for approver"),
            (approve.as_str(), "lets operator in"),
            (". .demo/env; $ADMIN session list", "the local console; --help tells the rest"),
            (". .demo/env; nsenter -t $DEVICE_PID -a bash", "a root shell on the device, past the gate"),
        ] {
            stage.say(&format!("    {line:<58} # {what}"));
        }
        stage.say("");
    }
}

/// How much of a terminal the reader has seen.
#[derive(Debug, Default)]
struct Shown(usize);

impl Shown {
    /// Shows what is new on the terminal: whole lines, or all of it.
    fn show(&mut self, stage: &Stage, pty: &Pty, all: bool) {
        let screen = pty.screen();
        let new = screen.get(self.0..).unwrap_or_default();
        let end = if all { new.len() } else { new.rfind('\n').map_or(0, |place| place + 1) };
        stage.output(new.get(..end).unwrap_or_default());
        self.0 += end;
    }
}

/// Runs a command of the local console for the reader; it must succeed.
fn admin(stage: &Stage, world: &World, command: &[&str]) -> Result<Done> {
    let run = world.admin(command)?;
    stage.command("admin", &run.line());
    let done = run.within(PATIENCE).run()?;
    stage.output(&done.all());
    done.ok()
}
