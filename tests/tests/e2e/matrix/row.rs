//! One person of the matrix, and how they try to open each kind.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tidegate_tests::client::run_of;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::{Done, Run, Running};
use tidegate_tests::wait;
use tidegate_tests::world::World;

use crate::forwards::free_port;
use crate::support::Scratch;
use crate::ways::ELSEWHERE;

/// What a command says once it runs, which no echo of the command itself says.
const SAY: &str = "echo opened-$((40 + 2))";
const SAID: &str = "opened-42";

/// One person who tries each kind.
pub struct Row<'a> {
    pub world: &'a World,
    pub person: String,
    pub target: &'a str,
    pub scratch: Scratch,
}

impl Row<'_> {
    /// What is ruled or was begun beside user and group; the session that is held open where there is one.
    pub fn rule(&self, name: &str) -> Option<Running> {
        let world = self.world;
        let panic = |scope: &str| {
            let words = ["panic", scope, &self.person, "--justification", "a drill"];
            world.admin(&words).unwrap().ok().unwrap();
        };
        match name {
            "panic-user" => panic("user"),
            "panic-group" => panic("access-group"),
            "wrong-place" => {
                let group = format!(
                    "[[user_group]]\nname = \"{0}\"\nusers = [\"{0}\"]\n[user_group.location]\nallowed = [\"PT\"]\n",
                    self.person
                );
                world.apply(&group).unwrap();
                let words = ["remote-access", "batch", &self.person, "-j", "x", "--duration", "2h"];
                world.admin(&words).unwrap().ok().unwrap();
                let read = || {
                    let log = world.json(&["audit", "tail", "-n", "10000"]).unwrap();
                    let mut all = log.as_array().unwrap().iter();
                    all.any(|record| record["event"]["type"] == "locations-read")
                };
                wait::until_true("the GeoIP database is read", PATIENCE, read).unwrap();
            }
            "sessions-used-up" => {
                self.approved(&["--sessions", "1"]);
                let only = world.client().ssh(&self.person, self.target, &[SAY]).unwrap().ok().unwrap();
                assert!(only.out().contains(SAID), "{}", only.all());
            }
            "rejected" => {
                let number = self.requested(&[]);
                self.decided(&["reject", &number]);
            }
            "expired" => {
                let number = self.requested(&[]);
                self.decided(&["approve", &number, "--duration", "1s"]);
                let over = || world.json(&["request", "show", &number]).unwrap()["state"] == "over";
                wait::until_true("its window is over", PATIENCE, over).unwrap();
            }
            "outside-days" => {
                let days = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(3 * 24);
                let day = days.strftime("%a").to_string();
                self.approved(&["--duration", "7d", "--days", &day]);
            }
            "sessions-at-once" => {
                let config = self.config();
                let user = format!("User={}[{}]", self.person, self.target);
                let held = run_of(
                    &["ssh", "-F", &config, "-o", &user, "-T", "gate", "echo held; sleep 1000"]
                        .map(str::to_owned),
                )
                .within(Duration::from_secs(600));
                let held = held.start().unwrap();
                wait::until_true("a session is held", PATIENCE, || held.stdout_so_far().contains("held"))
                    .unwrap();
                return Some(held);
            }
            _ => {}
        }
        None
    }

    /// What became of it: it opens, or the sentence that the person reads; where stock clients
    /// show them none, the one that is in the audit log.
    pub fn became(&self, kind: &str) -> String {
        let before = self.logged().len();
        let (opens, said) = self.try_to_open(kind);
        if opens {
            return "opens".to_owned();
        }
        let sentence = sentence(kind, &said).or_else(|| {
            let new = || self.logged().get(before..).and_then(|new| new.last().cloned());
            wait::until("the log tells why", PATIENCE, new).ok()
        });
        let sentence = sentence.unwrap_or_else(|| panic!("{} {kind}: nothing says why: {said}", self.person));
        let port = format!("-p {} ", self.world.ssh().unwrap().port());
        // Ports, numbers and days are others each time.
        let sentence = sentence.replace(&self.person, "USER").replace(&port, "-p PORT ");
        let sentence = match sentence.split_once("request ").and_then(|(_, rest)| rest.split_once(' ')) {
            Some((number, _)) if number.parse::<u64>().is_ok() => {
                sentence.replacen(&format!("request {number}"), "request N", 1)
            }
            _ => sentence,
        };
        if let Some((said, _)) = sentence.split_once("is only for ") {
            return format!("{said}is only for DAYS");
        }
        match (sentence.split_once(": matrix@db01 since "), sentence.rsplit_once("; ")) {
            (Some((before, _)), Some((_, after))) => format!("{before}: one since then; {after}"),
            _ => sentence,
        }
    }

    /// A request of this person's that is approved.
    fn approved(&self, more: &[&str]) {
        let number = self.requested(more);
        self.decided(&["approve", &number]);
    }

    /// The number of a new request of this person's.
    fn requested(&self, more: &[&str]) -> String {
        let client = self.world.client();
        let words = [&["request", "create", self.target, "-o", "json"], more].concat();
        let made = client.console(&self.person, &words).unwrap().ok().unwrap();
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        made[0]["id"].to_string()
    }

    /// What the approver says of it.
    fn decided(&self, words: &[&str]) {
        let words = [&["request"], words].concat();
        let client = self.world.client();
        client.console("matrix-approver", &words).unwrap().ok().unwrap();
    }

    /// Every reason that the log has for a refusal of this person.
    fn logged(&self) -> Vec<String> {
        let log = self.world.json(&["audit", "tail", "-n", "10000"]).unwrap();
        let own =
            log.as_array().unwrap().iter().filter(|record| record["actor"]["user"] == self.person.as_str());
        own.filter_map(|record| record["event"]["why"].as_str().map(str::to_owned)).collect()
    }

    /// Where the stock client finds its keys, and answers that it gives without a terminal.
    fn config(&self) -> String {
        let client = self.world.client();
        let from = if self.person == "matrix-wrong-place" {
            format!(" BindAddress {ELSEWHERE}\n")
        } else {
            String::new()
        };
        let lines = format!(
            "Host *\n IdentityFile {}\n{from}Include {}\n",
            client.key(&self.person).unwrap().display(),
            client.config().display()
        );
        // The hop takes its key from the configuration, where there is one for each person.
        self.scratch.file("config", lines.as_bytes()).display().to_string()
    }

    fn run(&self, program: &str, options: &[&str], rest: &[&str], stdin: &str) -> Done {
        let config = self.config();
        let words = ["setsid", "--wait", program, "-F", &config];
        let words: Vec<String> =
            words.iter().chain(options).chain(rest).map(|word| (*word).to_owned()).collect();
        // With a display, ssh asks by a program; where that is missing, it takes its own hop with it.
        let run = run_of(&words).env("DISPLAY", ":99").env("SSH_ASKPASS", "/usr/bin/true");
        ends_or_waits(run.stdin(stdin))
    }

    /// Whether it opened, and all that was said.
    fn try_to_open(&self, kind: &str) -> (bool, String) {
        let Self { person, target, scratch, .. } = self;
        let user = format!("User={person}[{target}]");
        let (account, device) = target.split_once('@').unwrap();
        let hop = format!("ProxyJump={person}@gate");
        let through = ["-o", user.as_str()];
        let jump =
            ["-o", hop.as_str(), "-o", &format!("User={account}"), "-o", &format!("HostName={device}")];
        let own = format!("User={person}");
        let says = |done: Done| (done.out().contains(SAID), done.all());
        let succeeds = |done: Done| (done.success(), done.all());
        let reaches_sshd = |done: Done| (done.out().contains("SSH-2.0"), done.all());
        let copy = scratch.path("copy").display().to_string();
        match kind {
            "shell" => says(self.run("ssh", &through, &["-tt", "gate"], &format!("{SAY}; exit\n"))),
            "exec" => says(self.run("ssh", &through, &["-T", "gate", SAY], "")),
            "exec-terminal" => says(self.run("ssh", &through, &["-tt", "gate", SAY], "")),
            "menu" => self.menu(),
            "emergency" => says(self.emergency(&through)),
            "sftp" => succeeds(self.run("sftp", &through, &["-b", "-", "gate"], "pwd\n")),
            "scp" => succeeds(self.run("scp", &through, &["-s", "gate:/etc/hostname", &copy], "")),
            "scp-legacy" => succeeds(self.run("scp", &through, &["-O", "gate:/etc/hostname", &copy], "")),
            "jump-exec" => says(self.run("ssh", &jump, &["-T", "there", SAY], "")),
            "jump-sftp" => succeeds(self.run("sftp", &jump, &["-b", "-", "there"], "pwd\n")),
            "jump-other-port" => {
                succeeds(self.run("ssh", &["-o", &own], &["-W", &format!("{device}:80"), "gate"], ""))
            }
            "jump-forward" => reaches_sshd(self.run("ssh", &jump, &["-W", "127.0.0.1:22", "there"], "")),
            "forward-local" => reaches_sshd(self.run("ssh", &through, &["-W", "127.0.0.1:22", "gate"], "")),
            "forward-socket" => self.socket(&through),
            "forward-remote" => {
                let options = ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9", "gate", SAY];
                says(self.run("ssh", &through, &options, ""))
            }
            "forward-remote-socket" => {
                let to = format!("/tmp/{person}-{}:127.0.0.1:9", std::process::id());
                let options = ["-o", "ExitOnForwardFailure=yes", "-R", &to, "gate", SAY];
                says(self.run("ssh", &through, &options, ""))
            }
            "forward-agent" => {
                // Without an agent of its own, ssh would not ask.
                let socket = scratch.path("agent").display().to_string();
                let agent = Run::new("ssh-agent").args(["-D", "-a", &socket]).start().unwrap();
                wait::until_true("the agent is there", PATIENCE, || scratch.path("agent").exists()).unwrap();
                let from = format!("IdentityAgent={socket}");
                let command = format!("test -S \"$SSH_AUTH_SOCK\" && {SAY}");
                let done = self.run("ssh", &through, &["-o", &from, "-A", "gate", &command], "");
                agent.kill().unwrap();
                says(done)
            }
            "forward-x11" => {
                let done = self.run("ssh", &through, &["-Y", "gate", SAY], "");
                let refused = done.err().contains("X11 forwarding request failed");
                (done.out().contains(SAID) && !refused, done.all())
            }
            other => panic!("nobody knows how to open `{other}`"),
        }
    }

    /// By the menu of a login without a target.
    fn menu(&self) -> (bool, String) {
        let config = self.config();
        let mut pty = Pty::start(&["ssh", "-F", &config, "-l", &self.person, "gate"]).unwrap();
        let shown = |pty: &Pty| pty.screen().contains("leaves): ");
        wait::until_true("a menu, or an end", PATIENCE, || shown(&pty) || !pty.is_running()).unwrap();
        if shown(&pty) {
            pty.send_line(self.target).unwrap();
            let told = |pty: &mut Pty| {
                let screen = pty.screen().replace("tidegate: still waiting", "");
                ["$ ", "tidegate: ", "wants a ", WAITS, "press Enter"]
                    .iter()
                    .any(|word| screen.contains(word))
            };
            wait::until_true("an answer", PATIENCE, || told(&mut pty)).unwrap();
        }
        let opens = pty.screen().contains("$ ") && {
            pty.send_line(SAY).unwrap();
            pty.expect(SAID).is_ok()
        };
        if shown(&pty) {
            pty.kill().unwrap();
        } else {
            pty.end(PATIENCE).unwrap();
        }
        (opens, pty.screen())
    }

    /// Says that it is an emergency to whoever asks, and nothing else.
    fn emergency(&self, through: &[&str]) -> Done {
        let answers = "#!/bin/sh\ncase \"$1\" in *Emergency,*) echo the shop is down;; *) echo;; esac\n";
        let askpass = self.scratch.file("askpass", answers.as_bytes());
        fs::set_permissions(&askpass, Permissions::from_mode(0o700)).unwrap();
        let config = self.config();
        let words = [&["setsid", "--wait", "ssh", "-F", &config][..], through, &["-T", "gate", SAY]].concat();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let run = run_of(&words).env("SSH_ASKPASS", &askpass).env("SSH_ASKPASS_REQUIRE", "force");
        ends_or_waits(run.env("DISPLAY", ":99"))
    }

    /// A connection to a socket of the device.
    fn socket(&self, through: &[&str]) -> (bool, String) {
        let here = free_port();
        let config = self.config();
        let to = format!("127.0.0.1:{here}:/run/dbus/system_bus_socket");
        let words =
            [&["setsid", "--wait", "ssh", "-F", &config][..], through, &["-N", "-L", &to, "gate"]].concat();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut ssh = run_of(&words).start().unwrap();
        let mut stream = None;
        wait::until_true("the client listens, waits or leaves", PATIENCE, || {
            stream = TcpStream::connect(("127.0.0.1", here)).ok();
            stream.is_some() || !ssh.is_running() || ssh.stderr_so_far().contains(WAITS)
        })
        .unwrap();
        // Who is refused is closed at once, and told; the bus answers who asks how to prove themselves.
        let opens = stream.is_some_and(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = stream.write_all(b"\0AUTH\r\n");
            matches!(stream.read(&mut [0]), Ok(1))
        });
        let done = if ssh.is_running() { ssh.kill().unwrap() } else { ssh.done().unwrap() };
        (opens, done.all())
    }
}

/// What a person reads who waits for approval.
const WAITS: &str = "You get in as soon as it is given";

/// Who waits for approval waits for ever; nothing may have opened by then.
fn ends_or_waits(run: Run) -> Done {
    let mut running = run.start().unwrap();
    let waits = |said: String| said.contains(WAITS);
    wait::until_true("it ends or waits", PATIENCE * 2, || {
        !running.is_running() || waits(running.stderr_so_far())
    })
    .unwrap();
    if running.is_running() { running.kill().unwrap() } else { running.done().unwrap() }
}

/// The gate's sentence among what a client said.
fn sentence(kind: &str, said: &str) -> Option<String> {
    let lines = || said.lines().map(str::trim).filter(|line| !line.starts_with("Connection to "));
    let after = |mark: &str| lines().find_map(|line| Some(line.split_once(mark)?.1.to_owned()));
    after("tidegate: ")
        .or_else(|| after("administratively prohibited: "))
        // Who is refused before anything opens.
        .or_else(|| {
            let line = lines().find(|line| line.starts_with("Received disconnect from "))?;
            Some(line.split_once(":11: ")?.1.to_owned())
        })
        .or_else(|| lines().find(|line| line.contains(WAITS)).map(|_| "waits for approval".to_owned()))
        .or_else(|| {
            lines().find(|line| line.contains("Permission denied")).map(|_| "Permission denied".to_owned())
        })
        // What the menu shows, where it goes no further; below a question may stand what to choose from.
        .or_else(|| {
            let asks = |line: &&str| line.starts_with("Access to ") && line.contains(" wants a ");
            lines().rfind(|line| kind == "menu" && asks(line)).map(str::to_owned)
        })
        .or_else(|| {
            lines()
                .rfind(|line| kind == "menu" && line.ends_with('.') && line.contains(' '))
                .map(str::to_owned)
        })
}
