//! Peers that prove nothing, again and again: what the log keeps of them.

use tidegate_tests::client::GATE;
use tidegate_tests::programs::program;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::support::Scratch;

/// ssh with an agent that holds so many keys of nobody, and then `last`'s.
fn with_an_agent(world: &World, scratch: &Scratch, wrong: usize, last: &str) -> Done {
    let socket = scratch.path(&format!("agent-{wrong}-{last}"));
    let agent = Run::new("ssh-agent").args(["-D", "-a"]).arg(&socket).start().unwrap();
    wait::until_true("the agent listens", PATIENCE, || socket.exists()).unwrap();
    let names = (0..wrong).map(|number| format!("nobody{number}")).chain([last.to_owned()]);
    for name in names {
        let key = world.client().key(&name).unwrap();
        Run::new("ssh-add").env("SSH_AUTH_SOCK", &socket).args(["-q"]).arg(key).ok().unwrap();
    }
    let socket = format!("IdentityAgent={}", socket.display());
    let options = ["-o", "BatchMode=yes", "-o", "IdentitiesOnly=no", "-o", &socket, "-l", "erin"];
    let ssh = Run::new("ssh").arg("-F").arg(world.client().config()).args(options);
    let none = format!("IdentityFile={}", scratch.path("none").display());
    let done = ssh.args(["-o", &none, GATE, "access", "list"]).run().unwrap();
    agent.kill().unwrap();
    done
}

#[test]
fn the_sixth_key_of_an_agent_is_tried_and_no_seventh_is() {
    let (world, scratch) = (World::start(Options::default()).unwrap(), Scratch::new("agent"));
    let key = world.client().public_key("erin").unwrap();
    world.apply(&format!("[[user]]\nname = \"erin\"\nkeys = [\"{key}\"]\n")).unwrap();
    for wrong in [0, 5] {
        let let_in = with_an_agent(&world, &scratch, wrong, "erin");
        assert!(let_in.success(), "after {wrong}: {}", let_in.all());
    }
    let refused = with_an_agent(&world, &scratch, 5, "nobody");
    assert!(!refused.success() && refused.err().contains("Permission denied"), "{}", refused.all());
    let refused = with_an_agent(&world, &scratch, 6, "erin");
    let told = refused.err().contains("Too many authentication failures");
    assert!(!refused.success() && told, "{}", refused.all());
}

/// How often each is tried.
const TIMES: usize = 20;

#[test]
fn bogus_tokens_and_certificates_of_one_address_have_ten_records_and_one_sum() {
    let scratch = Scratch::new("unproved");
    let (ca, foreign) = (scratch.path("ca"), scratch.path("foreign"));
    for path in [&ca, &foreign] {
        Run::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).ok().unwrap();
    }
    let line = std::fs::read_to_string(ca.with_extension("pub")).unwrap();
    let more = format!("\n[ssh]\ntrusted_user_cas = [\"{}\"]\n", line.trim());
    let world = World::start(Options { more, ..Options::default() }).unwrap();
    world.apply("[[user]]\nname = \"carol\"\n\n[[device]]\nname = \"db01\"\n").unwrap();

    let state = scratch.path("state");
    let settings = format!(
        "proxy = \"127.0.0.1:{}\"\n[paths]\nstate = \"{}\"\nrun = \"{}\"\n",
        world.agents().unwrap().port(),
        state.display(),
        scratch.path("run").display()
    );
    let config = scratch.file("agent.toml", settings.as_bytes());
    let enrol = |token: &str| -> Done {
        let agent = Run::new(program("tidegate-agent").unwrap()).arg("--config").arg(&config);
        agent.args(["enrol", "--token", token]).run().unwrap()
    };
    let token = world.token("db01").unwrap();
    let (fingerprint, _) = token.rsplit_once('.').unwrap();
    for number in 0..TIMES {
        let refused = enrol(&format!("{fingerprint}.guess{number}"));
        assert!(
            !refused.success() && refused.all().contains("unknown, used or expired"),
            "{}",
            refused.all()
        );
    }
    let key = world.client().key("carol").unwrap();
    let sign = Run::new("ssh-keygen").args(["-q", "-I", "x", "-n", "carol", "-s"]).arg(&foreign);
    sign.arg(key.with_extension("key.pub")).ok().unwrap();
    for _ in 0..3 {
        let refused = world.client().console("carol", &["access", "list"]).unwrap().run().unwrap();
        assert!(!refused.success(), "{}", refused.all());
    }

    // The gate tells its sums after a minute, or when it stops.
    world.stop_proxy().unwrap();
    world.start_proxy().unwrap();
    let log = world.admin(&["audit", "tail", "-n", "200"]).unwrap().ok().unwrap().out();
    let told = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(told("token refused"), 10, "{log}");
    assert_eq!(told("more was refused from there"), 1, "{log}");
    assert_eq!(told("from 127.0.0.1: more was refused"), 1, "{log}");
    assert_eq!(told(&format!("{} × tokens", TIMES - 10)), 1, "{log}");
    assert_eq!(told("3 × log-ins"), 1, "{log}");
    assert_eq!(told("login of `carol` refused"), 0, "{log}");
    world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
    // Whoever has a token that is good is not kept out by it.
    enrol(&token).ok().unwrap();
}
