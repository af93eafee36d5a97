//! What the kernel saw of a session, from the program that ran to the auditor's list: an
//! agent and an sshd on this machine itself, because the kernel's audit answers in its
//! initial namespaces only, and a gate before them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tidegate_tests::here::{Here, Logins};
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::audit::{Audit, EXIT, FIRST, never};
use crate::scene::text;
use crate::support::Scratch;

const ACCOUNT: &str = "tidegate-seen";
const USER: &str = "watched";
const DEVICE: &str = "here01";

/// The machine as a device whose kernel tells; none, said why, where it does not.
struct Watched {
    world: World,
    here: Here,
    audit: Audit,
    scratch: Scratch,
}

impl Watched {
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED {}: it needs root", module_path!());
            return None;
        }
        let pam = fs::read_to_string("/etc/pam.d/sshd").unwrap_or_default();
        if !pam.contains("pam_loginuid.so") {
            eprintln!("SKIPPED {}: this machine's sshd has no pam_loginuid", module_path!());
            return None;
        }
        let audit = Audit::take()?;
        let scratch = Scratch::new("seen");
        let dir = scratch.path("machine");
        fs::create_dir(&dir).unwrap();
        let mut here = Here::prepare(&dir, ACCOUNT, Logins::Pam).unwrap();
        let world = World::start(Options::default()).unwrap();
        let (key, sshd) = (world.client().public_key(USER).unwrap(), here.sshd());
        world
            .apply(&format!(
                r#"
                [[user]]
                name = "{USER}"
                keys = ["{key}"]

                [[device]]
                name = "{DEVICE}"
                address = "{}"
                port = {}

                [[credential]]
                name = "{ACCOUNT}@{DEVICE}"
                privileges = [{{ kind = "sudo" }}]

                [[access_group]]
                name = "{USER}"
                users = ["{USER}"]
                criteria = {{ devices = ["{DEVICE}"] }}
                session = {{}}
                "#,
                sshd.ip(),
                sshd.port()
            ))
            .unwrap();
        let token = world.token(DEVICE).unwrap();
        here.start_agent(&world, DEVICE, &token).unwrap();
        Some(Self { world, here, audit, scratch })
    }

    fn target(&self) -> String {
        format!("{ACCOUNT}@{DEVICE}")
    }

    /// The newest session, once all that its kernel saw is there and the file of it is whole.
    fn commands(&self) -> (String, Vec<Value>) {
        let sessions = self.world.json(&["session", "list"]).unwrap();
        let id = sessions.as_array().unwrap().iter().map(|session| text(session, "id")).max().unwrap();
        let told = wait::until("the last of what the kernel saw", PATIENCE, || {
            let told = self.world.json(&["session", "commands", &id, "--all"]).ok()?;
            (text(told.get("witness")?, "verdict") == "whole").then_some(told)
        });
        let told = told.unwrap_or_else(|error| panic!("{error}; the proxy's log:\n{}", self.world.log()));
        assert_eq!(told.get("lost"), Some(&Value::from(0)), "{told:#}");
        let said = self.world.admin(&["session", "verify", &id]).unwrap().ok().unwrap().out();
        assert!(said.contains("what the kernel saw in it is whole"), "{said}");
        (id, told.get("commands").and_then(Value::as_array).unwrap().clone())
    }
}

#[test]
fn a_command_that_only_the_kernel_saw_is_unexpected_and_what_a_shell_starts_with_is_not() {
    let Some(watched) = Watched::new() else { return };
    let before = watched.audit.state();
    let world = &watched.world;
    let key = world.client().public_key("olga").unwrap();
    world
        .apply(&format!(
            r#"
            [[user]]
            name = "olga"
            keys = ["{key}"]

            [[access_group]]
            name = "{USER}"
            users = ["{USER}"]
            approvers = ["olga"]
            criteria = {{ devices = ["{DEVICE}"] }}
            session = {{ change = true }}
            "#
        ))
        .unwrap();
    let console = |user: &str, words: &[&str]| world.client().console(user, words).unwrap().ok().unwrap();
    let plan =
        ["--title", "look", "--due", "+1h", "--group", USER, "--device", DEVICE, "--responsible", "olga"];
    let expected = ["--expect", "'stty -echo'", "--expect", "'/bin/echo *-planned'"];
    console(USER, &[&["change", "create", "CHG-1"], &plan[..], &expected].concat());
    console("olga", &["change", "approve", "CHG-1"]);

    let mut pty = world.client().terminal(USER, &watched.target(), &[], &[]).unwrap();
    pty.expect("1  CHG-1  look").unwrap();
    pty.expect("Change (number or ID): ").unwrap();
    pty.send_line("1").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("stty -echo").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("/bin/echo as-planned").unwrap();
    pty.expect("as-planned").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("/bin/echo never-planned").unwrap();
    pty.expect("never-planned").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("/bin/echo not-shown").unwrap();
    pty.expect("not-shown").unwrap();
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
    let report = wait::until("the report", PATIENCE, || {
        let report = world.json(&["change", "report", "CHG-1"]).ok()?;
        (report["sessions"][0]["complete"] == true).then_some(report)
    });
    let report = report.unwrap_or_else(|error| panic!("{error}; the proxy's log:\n{}", world.log()));
    let unexpected: Vec<_> = report["run_not_expected"].as_array().unwrap().iter().collect();
    let told: Vec<_> = unexpected.iter().map(|one| (text(one, "command"), text(one, "source"))).collect();
    assert_eq!(
        told,
        [("echo not-shown", "witness")].map(|(a, b)| (a.to_owned(), b.to_owned())),
        "{report:#}"
    );
    assert_eq!(report["percent"], 66, "{report:#}");

    let Watched { world, here, audit, scratch } = watched;
    here.take_back().unwrap();
    assert_eq!(audit.state(), before, "the kernel's audit");
    drop((world, scratch));
}

/// An exec of the kernel's, by its arguments.
fn exec<'a>(commands: &'a [Value], words: &[&str]) -> &'a Value {
    let of = |line: &&Value| {
        line.get("exec").and_then(|exec| exec.get("argv")) == Some(&Value::from(words.to_vec()))
    };
    let mut found = commands.iter().filter(of);
    let one = found.next().unwrap_or_else(|| panic!("{words:?} is not among {commands:#?}"));
    assert!(found.next().is_none(), "{words:?} more than once");
    one
}

fn marks(line: &Value) -> Vec<String> {
    let marks = line.get("marks").and_then(Value::as_array).unwrap();
    marks.iter().map(|mark| mark.as_str().unwrap().to_owned()).collect()
}

fn field<'a>(line: &'a Value, name: &str) -> &'a Value {
    line.get("exec").and_then(|exec| exec.get(name)).unwrap()
}

/// What a session does to go on under a login of its own making: `then` runs in it.
fn through_itself(port: u16, then: &str) -> String {
    format!(
        "mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/way && \
         cat ~/.ssh/way.pub >~/.ssh/authorized_keys && \
         ssh -q -i ~/.ssh/way -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p {port} 127.0.0.1 \
         \"{then}\"; rm -r ~/.ssh"
    )
}

#[test]
fn what_a_session_runs_in_a_login_on_its_own_device_is_in_its_list_and_ends_with_it() {
    let Some(watched) = Watched::new() else { return };
    let before = watched.audit.state();
    let port = watched.here.sshd().port();
    let left =
        "sudo -n setsid -f /bin/sleep 90533 </dev/null >/dev/null 2>&1; sudo -n /bin/echo as-root-there";
    let line = through_itself(port, left);
    let asked = watched.world.client().ssh(USER, &watched.target(), &[&line]).unwrap();
    let out = asked.ok().unwrap().out();
    assert!(out.contains("as-root-there"), "{out}");
    let (_, commands) = watched.commands();
    assert_eq!(field(exec(&commands, &["/bin/echo", "as-root-there"]), "uid"), &Value::from(0));
    exec(&commands, &["/bin/sleep", "90533"]);
    let runs = || Command::new("pgrep").args(["-f", "^/bin/sleep 90533$"]).status().unwrap().success();
    wait::until_true("the end of what it left", PATIENCE, || !runs()).unwrap();
    let Watched { world, here, audit, scratch } = watched;
    here.take_back().unwrap();
    assert_eq!(audit.state(), before, "the kernel's audit");
    drop((world, scratch));
}

#[test]
fn what_root_does_so_that_the_kernel_tells_nothing_is_on_the_sessions_page_and_in_its_list() {
    let Some(watched) = Watched::new() else { return };
    let before = watched.audit.state();
    let Watched { world, audit, .. } = &watched;
    let mut pty = world.client().terminal(USER, &watched.target(), &[], &[]).unwrap();
    pty.expect("$ ").unwrap();
    // As `auditctl -A never,exit -S all` does it, and taken back before anybody could look.
    audit.add(&never(EXIT | FIRST, None));
    audit.remove(&never(EXIT, None));
    pty.send_line("sudo -n sh -c 'echo 4294967295 >/proc/self/loginuid; /bin/echo un\"seen\"'").unwrap();
    pty.expect("unseen").unwrap();
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
    let sessions = world.json(&["session", "list"]).unwrap();
    let id = text(&sessions.as_array().unwrap()[0], "id");
    for (command, words) in [("show", "has GAPS"), ("commands", "records of the witness were LOST")] {
        for why in [words, "came and went", "took itself out of its login"] {
            wait::until_true(&format!("`session {command}` says: {why}"), PATIENCE, || {
                world.admin(&["session", command, &id]).unwrap().run().unwrap().all().contains(why)
            })
            .unwrap();
        }
    }
    let Watched { world, here, audit, scratch } = watched;
    here.take_back().unwrap();
    assert_eq!(audit.state(), before, "the kernel's audit");
    drop((world, scratch));
}

/// A login of somebody else, beside the session.
fn other_login() {
    let script = "echo 4242 >/proc/self/loginuid && exec /bin/echo foreign-to-the-session";
    assert!(Command::new("sh").args(["-c", script]).output().unwrap().status.success());
}

#[test]
fn what_the_kernel_saw_of_a_session_stands_beside_what_was_asked_and_typed() {
    let Some(watched) = Watched::new() else { return };
    let before = watched.audit.state();
    let Watched { world, scratch, .. } = &watched;
    let agents = world.json(&["agent", "list"]).unwrap();
    assert!(agents.to_string().contains("sees"), "{agents}");

    let script = scratch.file("job", b"#!/bin/sh\n/bin/echo of-the-script\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.display().to_string();
    let began = jiff::Timestamp::now();
    let line = format!(
        "cd /usr; /bin/echo 'a b'; printf L2Jpbi9lY2hvIGhpZGRlbgo= | base64 -d | sh; {script}; \
         /nosuch; sudo -n /bin/echo as-root; (setsid /bin/echo left-behind &); :"
    );
    let asked = world.client().ssh(USER, &watched.target(), &[&line]).unwrap();
    other_login();
    let out = asked.ok().unwrap().out();
    assert!(out.contains("hidden") && out.contains("as-root"), "{out}");
    let (id, commands) = watched.commands();
    let ended = jiff::Timestamp::now();

    let request = commands.iter().find(|line| text(line, "source") == "exec").unwrap();
    assert_eq!((text(request, "command"), marks(request)), (line.clone(), Vec::new()));
    let shell = exec(&commands, &["bash", "-c", &line]);
    assert_eq!(marks(shell), ["asked"]);
    let echo = exec(&commands, &["/bin/echo", "a b"]);
    assert_eq!((field(echo, "cwd"), field(echo, "exit")), (&Value::from("/usr"), &Value::from(0)));
    assert_eq!(field(echo, "ppid"), field(shell, "pid"), "the tree of processes");
    assert_eq!(marks(echo), [""; 0]);
    let at: jiff::Timestamp = text(echo, "at").parse().unwrap();
    let slack = Duration::from_secs(1);
    assert!(began - slack <= at && at <= ended + slack, "{began} {at} {ended}");
    assert_eq!(marks(exec(&commands, &["base64", "-d"])), [""; 0]);
    assert_eq!(marks(exec(&commands, &["sh"])), ["input"], "a shell that runs what base64 gave it");
    exec(&commands, &["/bin/echo", "hidden"]);
    assert_eq!(marks(exec(&commands, &["/bin/sh", &script])), ["script"]);
    exec(&commands, &["/bin/echo", "of-the-script"]);
    exec(&commands, &["/bin/echo", "left-behind"]);
    assert_eq!(field(exec(&commands, &["/bin/echo", "as-root"]), "uid"), &Value::from(0));
    let failed = commands.iter().find(|line| text(line, "command") == "/nosuch").unwrap();
    assert_eq!((field(failed, "exit"), marks(failed)), (&Value::from(-2), vec!["failed".to_owned()]));
    assert!(!Value::from(commands).to_string().contains("foreign"), "of another login");
    let kept = fs::read_to_string(world.kept(&id, "commands.jsonl").unwrap()).unwrap();
    assert!(kept.contains("of-the-script") && !kept.contains("foreign"));

    let mut pty = world.client().terminal(USER, &watched.target(), &[], &[]).unwrap();
    pty.expect("$ ").unwrap();
    let secret = "stty -echo; printf 'Sec''ret? '; read -r secret; stty echo";
    pty.send_line(secret).unwrap();
    pty.expect("Secret? ").unwrap();
    pty.send_line("tide-and-gate").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("cd /").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("/usr/bin/env /bin/ech\t of-the-prompt").unwrap();
    pty.expect("of-the-prompt").unwrap();
    pty.expect("of-the-prompt").unwrap();
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
    let (_, commands) = watched.commands();
    let typed: Vec<(String, Vec<String>)> = commands
        .iter()
        .filter(|line| text(line, "source") == "typed")
        .map(|line| (text(line, "command"), marks(line)))
        .collect();
    let unseen = vec!["unseen".to_owned()];
    let expected = [
        (secret, Vec::new()),
        ("cd /", unseen.clone()),
        ("/usr/bin/env /bin/echo  of-the-prompt", Vec::new()),
        ("exit", unseen),
    ];
    assert_eq!(typed, expected.map(|(line, marks)| (line.to_owned(), marks)));
    assert_eq!(marks(exec(&commands, &["-bash"])), ["login"]);
    assert_eq!(marks(exec(&commands, &["/bin/echo", "of-the-prompt"])), [""; 0]);
    assert!(!Value::from(commands).to_string().contains("tide-and-gate"), "what was not echoed");

    let Watched { world, here, audit, scratch } = watched;
    here.take_back().unwrap();
    assert_eq!(audit.state(), before, "the kernel's audit");
    drop((world, scratch));
}
