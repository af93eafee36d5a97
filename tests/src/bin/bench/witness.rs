//! What the kernel's witness costs, and whether it keeps up: an agent on this machine
//! itself, because audit answers in the initial namespaces only, and a proxy that does
//! nothing but note what it is told. Whatever the agent changes, it puts back.

#[path = "../../../../agent/tests/agent/proxy.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod proxy;

#[path = "../../../../agent/tests/agent/audit.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]
mod audit;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tidegate_common::id::SessionId;
use tidegate_common::wire::{FromAgent, FromProxy, GrantOrder, SESSION_VARIABLE, Sight};
use tidegate_tests::guardian::Guardian;
use tidegate_tests::programs::program;
use tidegate_tests::{say, wait};

use crate::report::Row;
use proxy::{Link, Proxy};

/// Execs of one storm, and how many storms of each kind each way.
const STORM: u32 = 10_000;
const STORMS: usize = 7;

/// Execs a second, and for how many seconds.
const RATE: u32 = 5_000;
const SECONDS: u32 = 10;

/// How long the agent may take to leave the kernel alone after a session.
const QUIET: Duration = Duration::from_secs(20);

const LEASE: Duration = Duration::from_secs(600);

/// A storm of nothing but fork, exec and wait.
const LOOP: &str = "i=0; while [ $i -lt STORM ]; do /bin/true $i; i=$((i+1)); done";

/// One as make(1) makes it on both processors: a shell, a compiler and the compiler proper
/// for each recipe. It writes no file, because what that costs differs from run to run.
const MAKE: &str = "printf 'int f(void) { return N; }\\n' >f.c; \
     printf 'ALL = $(shell seq 1 RECIPES)\\n.PHONY: $(ALL)\\nall: $(ALL)\\n\
     $(ALL): ; @cc -S -DN=$@ -o - f.c >/dev/null\\n' >Makefile; exec make -s -j2";
const RECIPES: u32 = STORM.div_ceil(3);

/// Execs at a steady pace. They fail at once, because what is measured is the way from
/// the kernel to the proxy, not this machine's fork.
const PACE: &str = "use Time::HiRes qw(time sleep); my $began = time; \
     for my $n (1 .. COUNT) { { no warnings; exec {'/nosuch'} \"n$n\"; } \
     my $ahead = $began + $n / RATE - time; sleep $ahead if $ahead > 0.002; } \
     print time - $began;";

/// The rows.
pub fn measure(quick: bool) -> Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(all(quick))
}

async fn all(quick: bool) -> Result<Vec<Row>> {
    let Some(audit) = audit::Audit::take() else { return Ok(Vec::new()) };
    let before = audit.state();
    let mut agent = Agent::start().await?;
    if let Sight::Blind { why } = &agent.sight {
        say::line(format_args!("SKIPPED the witness: {why}"));
        return Ok(Vec::new());
    }
    let directory = agent.directory.clone();
    let quiet = || wait::until_true("the agent's rules are gone", QUIET, || audit.state() == before);
    let storms = if quick { 2 } else { STORMS };
    let (mut bare, mut make) = (Storm::new(&directory, LOOP), Storm::new(&directory, MAKE));
    for number in 0..storms {
        for (kind, storm) in [&mut bare, &mut make].into_iter().enumerate() {
            quiet()?;
            let number = 4 * number as u64 + 2 * kind as u64 + 1;
            // In turns, so that what the machine does meanwhile hits both alike.
            if number % 8 < 4 {
                storm.without().await?;
                storm.with(&mut agent, number).await?;
            } else {
                storm.with(&mut agent, number).await?;
                quiet()?;
                storm.without().await?;
            }
        }
    }
    let session = agent.grant(4 * storms as u64 + 1).await?;
    let connection = agent.dial(session).await?;
    let took = agent.while_hearing(paced(&directory, connection)).await?;
    let heard = agent.revoke(session).await?;
    let sent = u64::from(RATE * SECONDS);
    let rate = f64::from(RATE * SECONDS) / took;
    drop(agent);
    ensure!(audit.state() == before, "the kernel's audit is not what it was");
    for (name, storm) in [("bare", &bare), ("make", &make)] {
        say::line(format_args!("storms, {name}: with {:.2?} s, without {:.2?} s", storm.with, storm.without));
    }
    say::line(format_args!(
        "paced: {sent} execs at {rate:.0}/s, {} seen, {} lost {:?}",
        heard.failed, heard.lost, heard.remarks
    ));
    let missing = sent.saturating_sub(heard.failed).max(heard.lost);
    Ok(vec![
        bare.row("10,000 execs, nothing else"),
        make.row("make -j2 of 10,000 execs"),
        Row::new("execs lost at 5,000/s", "of 50,000", missing as f64, None, None, 1),
    ])
}

/// Execs as fast as they come, timed with the witness and without.
struct Storm {
    directory: PathBuf,
    script: String,
    with: Vec<f64>,
    without: Vec<f64>,
}

impl Storm {
    fn new(directory: &Path, script: &str) -> Self {
        let script = script.replace("STORM", &STORM.to_string()).replace("RECIPES", &RECIPES.to_string());
        Self { directory: directory.to_owned(), script, with: Vec::new(), without: Vec::new() }
    }

    async fn without(&mut self) -> Result<()> {
        self.without.push(self.blow(Connection::made()?).await?);
        Ok(())
    }

    async fn with(&mut self, agent: &mut Agent, number: u64) -> Result<()> {
        let session = agent.grant(number).await?;
        let connection = agent.dial(session).await?;
        self.with.push(agent.while_hearing(self.blow(connection)).await?);
        let heard = agent.revoke(session).await?;
        ensure!(heard.lost == 0, "{} lost in a storm: {:?}", heard.lost, heard.remarks);
        ensure!(heard.execs > u64::from(STORM), "{} of {STORM} were seen", heard.execs);
        Ok(())
    }

    /// A login as pam_loginuid(8) makes it, timed.
    async fn blow(&self, connection: Connection) -> Result<f64> {
        let began = Instant::now();
        login(&self.directory, connection, &["sh", "-c", &self.script]).await?;
        Ok(began.elapsed().as_secs_f64())
    }

    fn row(&self, name: &str) -> Row {
        Row::in_turns(name, "s", &self.with, &self.without, &[])
    }
}

async fn paced(directory: &Path, connection: Connection) -> Result<f64> {
    let script = PACE.replace("COUNT", &(RATE * SECONDS).to_string()).replace("RATE", &RATE.to_string());
    let said = login(directory, connection, &["perl", "-e", &script]).await?;
    said.trim().parse().with_context(|| format!("perl says {said:?}"))
}

/// What a login comes on, as sshd's: whose it is, its other end says.
struct Connection {
    from: SocketAddr,
    served: OwnedFd,
    _client: std::net::TcpStream,
}

impl Connection {
    fn made() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let client = std::net::TcpStream::connect(listener.local_addr()?)?;
        let (served, from) = listener.accept()?;
        Ok(Self { from, served: served.into(), _client: client })
    }
}

async fn login(directory: &Path, connection: Connection, words: &[&str]) -> Result<String> {
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "echo 0 >/proc/self/loginuid && exec \"$@\"", "sh"]).args(words);
    command.current_dir(directory).env_remove(SESSION_VARIABLE);
    let Connection { served, _client, .. } = connection;
    let done = command.stdin(served).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    ensure!(done.status.success(), "the login's command ended with {}", done.status);
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[derive(Default)]
struct Heard {
    execs: u64,
    /// Of these, those that failed.
    failed: u64,
    lost: u64,
    remarks: Vec<String>,
}

/// Ends the agent, takes back what it changed in the kernel, and removes its directory `$1`;
/// `$2` is its program.
const CLEAN: &str = r#"
end_of_directory "$1"
cd "$1" && "$2" --config "$1/agent.toml" sweep
rm -rf "$1"
"#;

/// An agent of the bench's own, and its link. It is swept however the bench ends.
struct Agent {
    directory: PathBuf,
    child: Child,
    link: Link,
    sight: Sight,
    heard: Heard,
    _guardian: Guardian,
}

impl Agent {
    async fn start() -> Result<Self> {
        let directory = nix::unistd::mkdtemp(&std::env::temp_dir().join("tidegate-bench-witness-XXXXXX"))?;
        let (base, agent) = (directory.display().to_string(), program("tidegate-agent")?);
        let guardian = Guardian::new(CLEAN, &[&base, &agent.display().to_string()], None)?;
        for root in ["etc", "run"] {
            std::fs::create_dir_all(directory.join(root))?;
        }
        for file in ["passwd", "group"] {
            std::fs::write(directory.join("etc").join(file), "")?;
        }
        let proxy = Proxy::start().await;
        let token = proxy.token();
        let config = format!(
            "proxy = \"{}\"\n\n[log]\nlevel = \"warn\"\n\n\
             [paths]\netc = \"{base}/etc\"\nstate = \"{base}/state\"\nrun = \"{base}/run\"\n",
            proxy.address()
        );
        std::fs::write(directory.join("agent.toml"), config)?;
        let mut enrolling = command(&directory, &["enrol", "--token", &token])?.spawn()?;
        let mut link = proxy.accept().await?;
        let FromAgent::Enrol(enrol) = link.hear().await else { bail!("the agent does not enrol") };
        link.say(&FromProxy::Enrolled(proxy.issue(&enrol.csr))).await;
        ensure!(enrolling.wait()?.success(), "the agent did not enrol");
        let child = command(&directory, &["run"])?.spawn()?;
        let (link, hello) = proxy.welcome(LEASE).await;
        let (sight, heard) = (hello.witness, Heard::default());
        Ok(Self { directory, child, link, sight, heard, _guardian: guardian })
    }

    async fn grant(&mut self, number: u64) -> Result<SessionId> {
        let session = SessionId::new(number, 1);
        let order = GrantOrder {
            session,
            account: "root".parse()?,
            privileges: Vec::new(),
            expires: None,
            gate: None,
        };
        self.link.say(&FromProxy::Grant(order)).await;
        loop {
            match self.link.news().await {
                FromAgent::Granted { .. } => return Ok(session),
                FromAgent::Refused { failure, .. } => bail!("not granted: {failure}"),
                _ => {}
            }
        }
    }

    /// As the real proxy does it, which says where it dials from before it does.
    async fn dial(&mut self, session: SessionId) -> Result<Connection> {
        let connection = Connection::made()?;
        self.link.say(&FromProxy::Dialled { session, from: connection.from }).await;
        Ok(connection)
    }

    async fn while_hearing<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                said = self.link.hear_on() => { self.note(said).await; }
            }
        }
    }

    /// Answers a message; tells whether it was a session's last.
    async fn note(&mut self, said: FromAgent) -> bool {
        let FromAgent::Witnessed(said) = said else { return false };
        self.link.say(&FromProxy::Noted { number: said.number }).await;
        self.heard.execs += said.execs.len() as u64;
        self.heard.failed += said.execs.iter().filter(|exec| exec.exit < 0).count() as u64;
        self.heard.lost += said.lost;
        self.heard.remarks.extend(said.remarks.iter().map(ToString::to_string));
        said.last
    }

    async fn revoke(&mut self, session: SessionId) -> Result<Heard> {
        self.link.say(&FromProxy::Revoke { session }).await;
        loop {
            let said = self.link.hear().await;
            if self.note(said).await {
                return Ok(std::mem::take(&mut self.heard));
            }
        }
    }
}

impl Drop for Agent {
    /// The guardian sweeps after it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(directory: &Path, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("tidegate-agent")?);
    command.arg("--config").arg(directory.join("agent.toml")).args(words).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command)
}
