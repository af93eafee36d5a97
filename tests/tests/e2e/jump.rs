//! Clients that log in inside of a jump with a key, as they do on any host: paramiko, and
//! what is built upon it (ansible's `paramiko` connection), asks for no `none` first.

use tidegate_tests::device::ACCOUNT;
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::support::Scratch;
use crate::ways::street;

/// HOST PORT USER OUTER-KEY ACCOUNT DEVICE INNER COMMAND; INNER is a key's file, or
/// `interactive` for a client that begins to be asked.
const JUMP: &str = r#"
import sys, paramiko
host, port, user, outer_key, account, device, inner_key, command = sys.argv[1:]

def client():
    made = paramiko.SSHClient()
    made.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    return made

only = dict(allow_agent=False, look_for_keys=False)
outer = client()
outer.connect(host, int(port), user, key_filename=outer_key, **only)
way = outer.get_transport().open_channel("direct-tcpip", (device, 22), ("127.0.0.1", 0))
if inner_key == "interactive":
    transport = paramiko.Transport(way)
    transport.start_client(timeout=60)
    transport.auth_interactive(account, lambda title, instructions, prompts: [])
else:
    inner = client()
    inner.connect(device, username=account, sock=way, key_filename=inner_key, **only)
    transport = inner.get_transport()
channel = transport.open_session()
channel.exec_command(command)
for line in channel.makefile():
    print(line, end="", flush=True)
print(channel.makefile_stderr().read().decode(), file=sys.stderr, end="")
sys.exit(channel.recv_exit_status())
"#;

#[test]
fn paramiko_goes_through_a_jump_with_its_users_keys_and_with_nobody_elses() {
    needs_devices!();
    let (street, scratch) = (street(), Scratch::new("paramiko"));
    let (world, client) = (&street.world, street.world.client());
    let script = scratch.file("jump.py", JUMP.as_bytes());
    let user = |name: &str, keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|key| client.public_key(key).unwrap()).collect();
        format!("[[user]]\nname = \"{name}\"\nkeys = {keys:?}\n\n")
    };
    let group = format!(
        "[[access_group]]\nname = \"by-snake\"\nusers = [\"snake\"]\n\
         criteria = {{ devices = [\"{}\"], accounts = [\"{ACCOUNT}\"] }}\nsession = {{}}\n",
        street.device.name()
    );
    let both = user("snake", &["snake-outer", "snake-inner"]);
    world.apply(&(both + &user("badger", &["badger"]) + &group)).unwrap();
    let jump = |inner: &str, command: &str| {
        let gate = world.ssh().unwrap();
        let inner = match inner {
            "interactive" => inner.to_owned(),
            key => client.key(key).unwrap().display().to_string(),
        };
        Run::new("/usr/bin/python3")
            .arg(&script)
            .args([&gate.ip().to_string(), &gate.port().to_string(), "snake"])
            .arg(client.key("snake-outer").unwrap())
            .args([ACCOUNT, street.device.name(), &inner, command])
    };
    for inner in ["snake-outer", "snake-inner", "interactive"] {
        let done = jump(inner, "id -un").ok().unwrap_or_else(|error| panic!("{inner}: {error:#}"));
        assert_eq!(done.out(), format!("{ACCOUNT}\n"), "{inner}");
    }
    for inner in ["badger", "nobodys"] {
        let done = jump(inner, "id -un").run().unwrap();
        let refused = done.err().contains("AuthenticationException: Authentication failed");
        assert!(refused && done.out().is_empty(), "{inner}: {}", done.all());
    }
    // Whatever opened the inner log-in, the session rests on the outer one.
    let stays = jump("snake-inner", "echo in; exec sleep 600").start().unwrap();
    wait::until_true("it is in", tidegate_tests::pty::PATIENCE, || stays.stdout_so_far() == "in\n").unwrap();
    world.apply(&user("snake", &["snake-inner"])).unwrap();
    let ended = stays.done().unwrap();
    assert!(ended.err().contains("tidegate: ") && ended.err().contains("key"), "{}", ended.all());
}
