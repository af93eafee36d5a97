//! Root on one device wants the gate to log in to another under the policy of its own.

use std::time::Duration;

use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::scene::restart_agent;
use crate::support::base;

const DROP_IN: &str = "/etc/ssh/sshd_config.d/tidegate.conf";

/// Longer than an agent takes to link again.
const RELINKED: Duration = Duration::from_secs(60);

/// A gate for these devices, each with an account `ops` that a visitor may use.
fn world(devices: &[&Device]) -> World {
    let world = World::start(Options::default()).unwrap();
    let key = world.client().public_key("visitor").unwrap();
    let mut resources = format!("[[user]]\nname = \"visitor\"\nkeys = [\"{key}\"]\n");
    for device in devices {
        resources += &resource(device.name(), device);
        resources += &format!("[[credential]]\nname = \"ops@{}\"\n", device.name());
    }
    let own = devices[0].name();
    resources += &format!(
        "[[access_group]]\nname = \"visitors\"\nusers = [\"visitor\"]\ncriteria = {{ devices = [\"{own}\"] }}\n\
         session = {{}}\n"
    );
    world.apply(&resources).unwrap();
    for device in devices {
        world.enrol(device).unwrap();
    }
    world
}

/// The device of this name, at the address of `at`.
fn resource(name: &str, at: &Device) -> String {
    format!("[[device]]\nname = \"{name}\"\naddress = \"{}\"\n", at.address())
}

fn visit(world: &World, device: &Device) -> Done {
    let ssh = world.client().ssh("visitor", &format!("ops@{}", device.name()), &["hostname"]).unwrap();
    ssh.within(RELINKED * 3).run().unwrap()
}

fn agent(world: &World, device: &Device) -> serde_json::Value {
    let agents = world.json(&["agent", "list"]).unwrap();
    agents.as_array().unwrap().iter().find(|agent| agent["device"] == device.name()).unwrap().clone()
}

fn logins(device: &Device) -> usize {
    device.journal("ssh").matches("Accepted").count()
}

#[test]
fn root_that_vouches_for_anothers_key_and_moves_there_is_refused_before_a_login() {
    needs_devices!();
    let (own, other) = (Device::boot(&base(), "cross1").unwrap(), Device::boot(&base(), "cross2").unwrap());
    let world = world(&[&own, &other]);
    assert_eq!(visit(&world, &own).ok().unwrap().out(), "cross1\n");
    let foreign = agent(&world, &own)["foreign_keys"].as_array().unwrap().len();
    assert_eq!(foreign, 0);

    // The address alone: the other shows a key that nobody vouches for here.
    world.apply(&resource("cross1", &other)).unwrap();
    let moved = visit(&world, &own);
    assert!(!moved.success() && moved.err().contains("does not vouch for"), "{}", moved.all());

    // With the other's public key vouched for, beside its own and alone.
    let forge = |keys: &str| {
        let forged = format!("{keys}{}\n", other.host_key().unwrap());
        std::fs::write(own.path("/etc/ssh/ssh_host_other_key.pub"), forged).unwrap();
        restart_agent(&world, &own);
        let told = || !agent(&world, &own)["foreign_keys"].as_array().unwrap().is_empty();
        wait::until_true("the gate has been told of the key", RELINKED, told)
            .unwrap_or_else(|error| panic!("{error}\n{}", world.log()));
    };
    forge("");
    let beside = visit(&world, &own);
    assert!(!beside.success() && beside.err().contains("does not vouch for"), "{}", beside.all());
    own.ok(&["rm", "/etc/ssh/ssh_host_ed25519_key.pub"]).unwrap();
    forge("");
    let alone = visit(&world, &own);
    assert!(!alone.success() && alone.err().contains("which is cross2's"), "{}", alone.all());
    assert_eq!(logins(&other), 0, "{}", other.journal("ssh"));

    // It is told: in the log, and to whoever lists the agents. The other is not touched by it.
    let log = world.admin(&["audit", "tail", "-n", "200"]).unwrap().ok().unwrap().out();
    assert!(log.contains("agent of cross1 vouches for host keys of OTHER devices"), "{log}");
    let list = world.admin(&["agent", "list"]).unwrap().ok().unwrap().all();
    assert!(list.contains("cross1: its agent vouches for the host key SHA256:"), "{list}");
    assert!(agent(&world, &other)["foreign_keys"].as_array().unwrap().is_empty());
}

#[test]
fn an_sshd_takes_a_certificate_for_an_account_of_its_own_device_only() {
    needs_devices!();
    let device = Device::boot(&base(), "crossed").unwrap();
    let world = world(&[&device]);
    let key = world.client().key("thief").unwrap();
    // As the gate signs, by hand.
    let enters = |principals: &str| {
        let sign = Run::new("ssh-keygen").args(["-q", "-I", "x", "-V", "-1m:+5m", "-n", principals, "-s"]);
        sign.arg(world.state().join("user_ca")).arg(key.with_extension("key.pub")).ok().unwrap();
        let options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "IdentityAgent=none"];
        let ssh = Run::new("ssh").args(["-F", "none"]).args(options);
        let ssh =
            ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i"]).arg(&key);
        ssh.args(["-l", "ops", &device.address().to_string(), "id", "-un"]).run().unwrap()
    };
    for others in ["ops", "ops@cross1", "root@crossed", "ops@crossed2", "@crossed"] {
        let refused = enters(others);
        assert!(
            !refused.success() && refused.err().contains("Permission denied"),
            "{others}: {}",
            refused.all()
        );
    }
    let own = enters("ops@crossed");
    assert_eq!(own.out(), "ops\n", "{}\n{}", own.all(), device.journal("ssh"));
    assert_eq!(visit(&world, &device).ok().unwrap().out(), "crossed\n");
}

#[test]
fn an_sshd_that_an_earlier_agent_set_up_is_logged_in_to_until_install_binds_it_for_good() {
    needs_devices!();
    let device = Device::boot(&base(), "before").unwrap();
    let world = world(&[&device]);
    let doctor = || device.run(&["tidegate-agent", "doctor"]).unwrap().out();
    // As it was, from its enrolment on.
    let unbind = || {
        device.ok(&["sed", "-i", "/^AuthorizedPrincipalsCommand/d", DROP_IN]).unwrap();
        device.ok(&["systemctl", "reload", "ssh"]).unwrap();
    };
    device.ok(&["systemctl", "stop", "tidegate-agent"]).unwrap();
    let token = world.token("before").unwrap();
    device.ok(&["tidegate-agent", "enrol", "--token", &token]).unwrap();
    unbind();
    let links = world.links(&device).unwrap();
    device.ok(&["systemctl", "start", "tidegate-agent"]).unwrap();
    world.await_agent_again(&device, links).unwrap();
    assert!(doctor().contains("account of the same name on any device"), "{}", doctor());
    assert_eq!(visit(&world, &device).ok().unwrap().out(), "before\n");

    let said = device.ok(&["tidegate-agent", "install"]).unwrap().out();
    assert!(said.contains(DROP_IN), "{said}");
    restart_agent(&world, &device);
    assert!(doctor().contains("for the accounts of this device that they name"), "{}", doctor());
    assert_eq!(visit(&world, &device).ok().unwrap().out(), "before\n");
    let again = device.ok(&["tidegate-agent", "install"]).unwrap().out();
    assert_eq!(again, "nothing to do\n");

    // What says now that it is of before gets no certificate that others would take.
    unbind();
    restart_agent(&world, &device);
    let refused = visit(&world, &device);
    let said = "sshd is not told `AuthorizedPrincipalsCommand` as the agent needs it";
    assert!(!refused.success() && refused.err().contains(said), "{}", refused.all());
}
