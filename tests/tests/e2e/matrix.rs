//! Who opens which kind of channel under which condition: every pair is tried with a
//! stock client and compared with the golden file beside this one. A kind or a
//! condition that the file lacks fails, so none is added without being decided.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tidegate_tests::client::run_of;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::wait;

use crate::needs_devices;
use crate::support::Scratch;
use crate::ways::{Street, street};

const GOLDEN: &str = include_str!("matrix.txt");

/// The conditions: what is said of user and group, and the target that is asked for.
const CONDITIONS: [(&str, &str, &str, &str); 10] = [
    ("allowed", "", "session = {}", "matrix@db01"),
    (
        "forwards",
        "",
        "session = {}\nconditions = { forwards = [\"local\", \"remote\", \"x11\", \"agent\"] }",
        "matrix@db01",
    ),
    ("forwards-local", "", "session = {}\nconditions = { forwards = [\"local\"] }", "matrix@db01"),
    ("other-account", "", "session = {}", "ops@db01"),
    ("unknown-device", "", "session = {}", "matrix@db99"),
    ("disabled-user", "enabled = false", "session = {}", "matrix@db01"),
    ("no-session", "", "password = {}", "matrix@db01"),
    ("past", "", "session = {}\nlimitation = { until = 2020-01-01 }", "matrix@db01"),
    ("no-justification", "", "session = { justification = true }", "matrix@db01"),
    (
        "no-approval",
        "",
        "session = { approval = { needed = 1 } }\napprovers = [{ user = \"matrix-approver\" }]",
        "matrix@db01",
    ),
];

/// The kinds of channel.
const KINDS: [&str; 14] = [
    "shell",
    "exec",
    "exec-terminal",
    "sftp",
    "scp",
    "scp-legacy",
    "jump-exec",
    "jump-sftp",
    "jump-other-port",
    "jump-forward",
    "forward-local",
    "forward-remote",
    "forward-agent",
    "forward-x11",
];

/// What a command says once it runs, which no echo of the command itself says.
const SAY: &str = "echo opened-$((40 + 2))";
const SAID: &str = "opened-42";

#[test]
fn every_kind_of_channel_opens_under_the_conditions_in_the_golden_file_only() {
    needs_devices!();
    let street = street();
    street.device.add_account("matrix").unwrap();
    let mut found = BTreeMap::new();
    std::thread::scope(|scope| {
        let tries: Vec<_> = CONDITIONS
            .iter()
            .map(|condition| (condition.0, scope.spawn(|| row(street, condition))))
            .collect();
        for (name, row) in tries {
            found.insert(name, row.join().unwrap());
        }
    });
    let mut table = String::new();
    for (condition, ..) in CONDITIONS {
        for (kind, opens) in KINDS.iter().zip(&found[condition]) {
            let _ = writeln!(table, "{condition:<18}{kind:<18}{}", if *opens { "opens" } else { "refused" });
        }
    }
    let golden: Vec<&str> =
        GOLDEN.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let differing: Vec<_> = table.lines().zip(&golden).filter(|(is, was)| is != *was).collect();
    assert!(differing.is_empty() && table.lines().count() == golden.len(), "{differing:#?}\n{table}");
}

fn row(street: &Street, (name, user, group, target): &(&str, &str, &str, &str)) -> Vec<bool> {
    let world = &street.world;
    let person = format!("matrix-{name}");
    let key = world.client().public_key(&person).unwrap();
    world
        .apply(&format!(
            "[[user]]\nname = \"matrix-approver\"\n\n\
             [[user]]\nname = \"{person}\"\nkeys = [\"{key}\"]\n{user}\n\n\
             [[credential]]\nname = \"matrix@db01\"\n\n\
             [[access_group]]\nname = \"{person}\"\nusers = [\"{person}\"]\n\
             criteria = {{ devices = [\"db01\"], accounts = [\"matrix\"] }}\n{group}\n"
        ))
        .unwrap();
    KINDS.iter().map(|kind| opens(street, &person, target, kind)).collect()
}

fn opens(street: &Street, person: &str, target: &str, kind: &str) -> bool {
    let client = street.world.client();
    let scratch = Scratch::new("matrix");
    let user = format!("User={person}[{target}]");
    let (account, device) = target.split_once('@').unwrap();
    let hop = format!("ProxyJump={person}@gate");
    // The hop takes its key from the configuration, where there is one for each person.
    let config = format!(
        "Host *\n IdentityFile {}\nInclude {}\n",
        client.key(person).unwrap().display(),
        client.config().display()
    );
    let config = scratch.file("config", config.as_bytes());
    let through = ["-o", user.as_str()];
    let jump = ["-o", hop.as_str(), "-o", &format!("User={account}"), "-o", &format!("HostName={device}")];
    let run = |program: &str, options: &[&str], rest: &[&str], stdin: &str| -> Done {
        let words = ["setsid", "--wait", program, "-F", config.to_str().unwrap()];
        let words: Vec<String> =
            words.iter().chain(options).chain(rest).map(|word| (*word).to_owned()).collect();
        let mut running = run_of(&words).env("DISPLAY", ":99").stdin(stdin).start().unwrap();
        // Who waits for approval waits for ever; nothing may have opened by then.
        let waits = |said: String| said.contains("You get in as soon as it is given");
        let within = Duration::from_secs(60);
        wait::until_true("", within, || !running.is_running() || waits(running.stderr_so_far())).unwrap();
        if running.is_running() { running.kill().unwrap() } else { running.done().unwrap() }
    };
    let says = |done: &Done| done.out().contains(SAID);
    let copy = scratch.path("copy").display().to_string();
    match kind {
        "shell" => says(&run("ssh", &through, &["-tt", "gate"], &format!("{SAY}; exit\n"))),
        "exec" => says(&run("ssh", &through, &["-T", "gate", SAY], "")),
        "exec-terminal" => says(&run("ssh", &through, &["-tt", "gate", SAY], "")),
        "sftp" => run("sftp", &through, &["-b", "-", "gate"], "pwd\n").success(),
        "scp" => run("scp", &through, &["-s", "gate:/etc/hostname", &copy], "").success(),
        "scp-legacy" => run("scp", &through, &["-O", "gate:/etc/hostname", &copy], "").success(),
        "jump-exec" => says(&run("ssh", &jump, &["-T", "there", SAY], "")),
        "jump-sftp" => run("sftp", &jump, &["-b", "-", "there"], "pwd\n").success(),
        "jump-other-port" => {
            let user = format!("User={person}");
            run("ssh", &["-o", &user], &["-W", &format!("{device}:80"), "gate"], "").success()
        }
        "jump-forward" => run("ssh", &jump, &["-W", "127.0.0.1:22", "there"], "").out().contains("SSH-2.0"),
        "forward-local" => {
            run("ssh", &through, &["-W", "127.0.0.1:22", "gate"], "").out().contains("SSH-2.0")
        }
        "forward-remote" => {
            let options = ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9", "gate", SAY];
            says(&run("ssh", &through, &options, ""))
        }
        "forward-agent" => {
            // Without an agent of its own, ssh would not ask.
            let socket = scratch.path("agent").display().to_string();
            let agent = Run::new("ssh-agent").args(["-D", "-a", &socket]).start().unwrap();
            wait::until_true("the agent is there", PATIENCE, || scratch.path("agent").exists()).unwrap();
            let from = format!("IdentityAgent={socket}");
            let command = format!("test -S \"$SSH_AUTH_SOCK\" && {SAY}");
            let done = run("ssh", &through, &["-o", &from, "-A", "gate", &command], "");
            agent.kill().unwrap();
            says(&done)
        }
        "forward-x11" => {
            let done = run("ssh", &through, &["-Y", "gate", SAY], "");
            says(&done) && !done.err().contains("X11 forwarding request failed")
        }
        other => panic!("nobody knows how to open `{other}`"),
    }
}
