//! What the witness sees on this machine's own kernel. Every test puts the kernel's
//! audit back and says so by comparing.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tidegate_common::id::SessionId;
use tidegate_common::wire::{Exec, FromAgent, FromProxy, SESSION_VARIABLE, Sight};

use super::audit::Audit;
use super::handover::{relinked, reload};
use super::host::{Host, possible};
use super::proxy::{Link, Proxy, id};
use super::story::{enrolled, granted};

pub const LONG: Duration = Duration::from_secs(30);

/// A login as pam_loginuid(8) makes it, and what runs in it.
pub fn login(session: Option<SessionId>, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "echo 4000 >/proc/self/loginuid && exec sh -c \"$0\""]).arg(script);
    if let Some(session) = session {
        command.env(SESSION_VARIABLE, session.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

pub fn run(session: Option<SessionId>, script: &str) {
    assert!(login(session, script).wait().unwrap().success());
}

/// A login as sshd makes it: whoever logs in holds the connection as long as it lasts.
pub struct Served {
    pub login: Child,
    pub connection: TcpStream,
    said: ChildStdout,
}

impl Served {
    /// As the real proxy does it, which says where it dials from before it does.
    pub async fn dial(link: &mut Link, number: u64, script: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, from) = listener.accept().unwrap();
        link.say(&FromProxy::Dialled { session: id(number), from }).await;
        let mut command = Command::new("sh");
        command.args(["-c", "echo 4000 >/proc/self/loginuid; sh -c \"$0\"; echo over; cat >/dev/null"]);
        command.arg(script).env(SESSION_VARIABLE, id(number).to_string());
        command.stdin(OwnedFd::from(accepted)).stdout(Stdio::piped());
        let mut login = command.spawn().unwrap();
        let said = login.stdout.take().unwrap();
        Self { login, connection, said }
    }

    /// Its command is done; the connection still stands.
    pub fn await_command(&mut self) {
        let mut said = Vec::new();
        while !said.ends_with(b"over\n") {
            let mut byte = [0];
            self.said.read_exact(&mut byte).unwrap();
            said.extend(byte);
        }
    }

    /// However it ends: the agent ends what is left of a session.
    pub fn end(mut self) {
        drop(self.connection);
        self.login.wait().unwrap();
    }
}

pub struct Heard {
    pub execs: Vec<Exec>,
    pub lost: u64,
    pub remarks: Vec<String>,
}

/// Ends the session and hears everything about it; only what `answer` says is answered.
pub async fn the_rest(link: &mut Link, number: u64) -> Heard {
    link.say(&FromProxy::Revoke { session: id(number) }).await;
    let mut heard = Heard { execs: Vec::new(), lost: 0, remarks: Vec::new() };
    loop {
        if let FromAgent::Witnessed(said) = link.news().await {
            link.say(&FromProxy::Noted { number: said.number }).await;
            if said.session != id(number) {
                continue;
            }
            heard.execs.extend(said.execs);
            heard.lost += said.lost;
            heard.remarks.extend(said.remarks.iter().map(ToString::to_string));
            if said.last {
                return heard;
            }
        }
    }
}

impl Heard {
    pub fn commands(&self) -> Vec<String> {
        let line = |exec: &Exec| exec.argv.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" ");
        self.execs.iter().filter(|exec| exec.exit == 0).map(line).collect()
    }
}

/// A linked agent whose witness watches; `None`, said why, where there is nothing to see.
pub async fn watching() -> Option<(Audit, Proxy, Host)> {
    if !possible() {
        return None;
    }
    let audit = Audit::take()?;
    let (proxy, mut host) = enrolled().await;
    host.watch = "sessions";
    Some((audit, proxy, host))
}

#[tokio::test]
async fn every_command_of_a_session_is_told_once_and_none_of_others() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, hello) = proxy.welcome(LONG).await;
    assert_eq!(hello.witness, Sight::Sees);
    assert_eq!(audit.state(), before, "nothing is changed while no session lives");
    granted(&mut link, 1).await;
    run(None, "/bin/echo foreign");
    let script = "/bin/echo 'a b' ''; cd /usr; env -i /bin/echo cleaned; \
         (setsid nohup sh -c '/bin/echo reparented' 2>&1 &); /nosuch 2>&1; printf 'ZWNobw==' | base64 -d | sh";
    let mut served = Served::dial(&mut link, 1, script).await;
    served.await_command();
    let heard = the_rest(&mut link, 1).await;
    let commands = heard.commands();
    for expected in ["/bin/echo a b ", "/bin/echo cleaned", "base64 -d", "sh"] {
        let found = commands.iter().filter(|command| *command == expected).count();
        assert_eq!(found, 1, "{expected:?} in {commands:#?}");
    }
    assert!(!commands.iter().any(|command| command.contains("foreign")), "{commands:#?}");
    assert!(commands.iter().any(|command| command.starts_with("sh -c /bin/echo 'a b'")), "the login's shell");
    let failed = heard.execs.iter().find(|exec| exec.exit == -2 && exec.exe.as_str() == "/nosuch");
    assert!(failed.is_some_and(|exec| exec.cwd.as_str() == "/usr"), "{:#?}", heard.execs);
    assert_eq!(heard.lost, 0, "{:?}", heard.remarks);
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn what_ran_while_the_link_was_down_is_told_on_the_next_one() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    let mut served = Served::dial(&mut link, 1, "/bin/echo one; read line; /bin/echo two").await;
    // Told, but never answered.
    while !matches!(link.news().await, FromAgent::Witnessed(_)) {}
    drop(link);
    served.connection.write_all(b"\n").unwrap();
    served.await_command();
    host.until("the spool", |host| std::fs::read_dir(host.state("witness")).unwrap().count() > 1).await;
    let (mut link, hello) = proxy.welcome(LONG).await;
    assert_eq!(hello.live, [id(1)]);
    link.say(&FromProxy::Lease { gate: None, live: vec![id(1)] }).await;
    let heard = the_rest(&mut link, 1).await;
    let commands = heard.commands();
    for expected in ["/bin/echo one", "/bin/echo two"] {
        assert!(commands.iter().any(|command| command == expected), "{expected} in {commands:#?}");
    }
    host.until("the end of the spool", |host| std::fs::read_dir(host.state("witness")).unwrap().count() == 0)
        .await;
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn rules_that_somebody_removes_come_back_and_the_gap_is_told() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    if !before.rules.is_empty() {
        println!("SKIPPED: the machine has audit rules of its own");
        return;
    }
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    host.until("the agent's rules", |_| !audit.state().rules.is_empty()).await;
    let loaded = audit.state();
    assert_eq!(loaded.enabled, 1);
    audit.remove_rules();
    host.until("the agent's rules again", |_| audit.state() == loaded).await;
    let mut served = Served::dial(&mut link, 1, "/bin/echo after").await;
    served.await_command();
    let heard = the_rest(&mut link, 1).await;
    assert!(heard.commands().iter().any(|command| command == "/bin/echo after"));
    assert!(heard.lost > 0 && heard.remarks.iter().any(|why| why.contains("removed")), "{:?}", heard.remarks);
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn a_killed_agent_leaves_rules_that_the_sweep_takes_away() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    host.until("the agent's rules", |_| audit.state() != before).await;
    agent.kill();
    assert_ne!(audit.state(), before, "the kill itself put something back");
    assert!(host.agent(&["sweep"]).status.success());
    assert_eq!(audit.state(), before);
}

/// An audit daemon, ended when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of the test's own, with its log in `directory`.
fn start_daemon(directory: &Path) -> Option<Daemon> {
    let log = directory.join("audit.log");
    let config = format!(
        "local_events = yes\nwrite_logs = yes\nlog_file = {}\nlog_format = RAW\nflush = NONE\n\
         max_log_file = 8\nnum_logs = 2\nspace_left = 2\nadmin_space_left = 1\n",
        log.display()
    );
    std::fs::create_dir_all(directory.join("plugins.d")).unwrap();
    std::fs::write(directory.join("auditd.conf"), config).unwrap();
    let started = Command::new("auditd").arg("-n").arg("-c").arg(directory).spawn();
    started.map(Daemon).map_err(|error| println!("SKIPPED: auditd is not installed ({error})")).ok()
}

#[tokio::test]
async fn an_audit_daemon_beside_the_agent_keeps_what_it_has() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    if before.daemon != 0 {
        println!("SKIPPED: an audit daemon runs on this machine");
        return;
    }
    let directory = host.directory.join("auditd");
    let Some(mut daemon) = start_daemon(&directory) else { return };
    host.until("the daemon", |_| audit.state().daemon == daemon.0.id()).await;
    let beside = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    let mut served = Served::dial(&mut link, 1, "/bin/echo beside").await;
    served.await_command();
    let heard = the_rest(&mut link, 1).await;
    assert!(heard.commands().iter().any(|command| command == "/bin/echo beside"));
    assert_eq!(heard.lost, 0, "{:?}", heard.remarks);
    let logged = |_: &Host| {
        let log = std::fs::read_to_string(directory.join("audit.log")).unwrap_or_default();
        log.contains("a1=\"beside\"")
    };
    host.until("the daemon's log", logged).await;
    agent.stop();
    assert_eq!(audit.state(), beside, "the daemon stays the daemon, and audit stays on for it");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.0.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    daemon.0.wait().unwrap();
    audit.enable(before.enabled);
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn what_is_watched_follows_the_configuration_at_a_reload() {
    let Some((audit, proxy, mut host)) = watching().await else { return };
    let before = audit.state();
    let file = host.directory.join("agent.toml");
    let watch = |what: &str| std::fs::write(&file, format!("[witness]\nwatch = \"{what}\"\n")).unwrap();
    host.watch = "";
    watch("nothing");
    let mut agent = host.start_own(&["--config", file.to_str().unwrap(), "run"]);
    let (mut link, hello) = proxy.welcome(LONG).await;
    assert!(matches!(hello.witness, Sight::Blind { .. }), "{:?}", hello.witness);
    granted(&mut link, 1).await;
    assert_eq!(audit.state(), before);

    watch("sessions");
    assert!(reload(&host).await.status.success());
    let mut link = relinked(&proxy, link, &[id(1)]).await;
    host.until("the rules", |_| audit.state().rules.len() == before.rules.len() + 2).await;
    let _served = Served::dial(&mut link, 1, "/bin/echo seen").await;
    loop {
        if let FromAgent::Witnessed(said) = link.news().await {
            link.say(&FromProxy::Noted { number: said.number }).await;
            let seen = |exec: &Exec| exec.argv.iter().any(|word| word.as_str() == "seen");
            if said.execs.iter().any(seen) {
                break;
            }
        }
    }

    watch("nothing");
    assert!(reload(&host).await.status.success());
    let _link = relinked(&proxy, link, &[id(1)]).await;
    assert_eq!(audit.state(), before);
    agent.stop();
}
