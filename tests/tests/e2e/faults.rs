//! Whatever dies first, at whichever step of the story: the device returns to exactly
//! what it was, within the lease.

use std::time::Duration;

use tidegate_tests::host::Host;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, Stand, text};

/// The lease of these worlds, in seconds.
const LEASE: u64 = 3;

/// The lease, and what a machine under load takes to look.
const WITHIN: Duration = Duration::from_secs(LEASE + 15);

/// How far the story has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Operator is asked why.
    Asked,
    /// Operator waits for the yes.
    Waiting,
    /// The yes has just been said; the grant is on its way.
    Admitted,
    /// Operator is root.
    Inside,
    /// Operator has just said `exit`.
    Leaving,
}

const STEPS: [Step; 5] = [Step::Asked, Step::Waiting, Step::Admitted, Step::Inside, Step::Leaving];

/// Plays the story up to the step.
fn play(scene: &Scene<'_>, step: Step) -> Pty {
    if step == Step::Asked {
        let mut pty = scene.knock();
        pty.expect("Justification: ").unwrap();
        return pty;
    }
    let (mut pty, number) = scene.wait_for_yes();
    if step == Step::Waiting {
        return pty;
    }
    scene.approver_says("approve", number).ok().unwrap();
    if step == Step::Admitted {
        return pty;
    }
    scene.at_the_prompt(&mut pty);
    if step == Step::Leaving {
        pty.send_line("exit").unwrap();
    }
    pty
}

#[test]
fn a_client_killed_at_any_step_leaves_nothing() {
    needs_devices!();
    let stand = Stand::new("dead-client", LEASE);
    for step in STEPS {
        eprintln!("killed when {step:?}");
        let account = format!("{step:?}").to_lowercase();
        let scene = Scene::set(&stand.world, &stand.device, &account, ASKS_AND_WAITS);
        let mut pty = play(&scene, step);
        pty.kill().unwrap();
        scene.is_as_before_within(WITHIN);
        sudo_is_refused(&scene);
    }
}

#[test]
fn a_proxy_killed_at_any_step_leaves_nothing_on_the_device() {
    needs_devices!();
    let stand = Stand::new("dead-proxy", LEASE);
    for step in STEPS {
        eprintln!("killed when {step:?}");
        let account = format!("{step:?}").to_lowercase();
        let scene = Scene::set(&stand.world, &stand.device, &account, ASKS_AND_WAITS);
        let pty = play(&scene, step);
        let inside = step == Step::Inside;
        if inside {
            // What was shown is durable within a second; this asks for a machine under load.
            let [session] = scene.sessions().try_into().unwrap();
            let id = text(&session, "id");
            let has_it = || stand.world.unpack(&id).unwrap().run().unwrap().out().contains("adm");
            wait::until_true("the recording has it", PATIENCE, has_it).unwrap();
        }
        stand.world.kill_proxy().unwrap();
        scene.is_as_before_within(WITHIN);
        sudo_is_refused(&scene);
        drop(pty);
        stand.world.start_proxy().unwrap();
        stand.world.await_agent(&stand.device).unwrap();
        if inside {
            let [session] = scene.sessions().try_into().unwrap();
            let id = text(&session, "id");
            let verdict = stand.world.admin(&["session", "verify", &id]).unwrap().run().unwrap();
            assert!(verdict.all().contains("incomplete"), "{}", verdict.all());
            let played =
                stand.world.admin(&["session", "play", &id, "--speed", "1000"]).unwrap().run().unwrap();
            assert!(played.out().contains("adm"), "{}", played.all());
        }
    }
    stand.world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
}

#[test]
fn an_agent_killed_at_any_step_leaves_nothing_and_works_again() {
    needs_devices!();
    let stand = Stand::new("dead-agent", LEASE);
    for step in STEPS {
        eprintln!("killed when {step:?}");
        let account = format!("{step:?}").to_lowercase();
        let scene = Scene::set(&stand.world, &stand.device, &account, ASKS_AND_WAITS);
        let mut pty = play(&scene, step);
        let links = stand.world.links(&stand.device).unwrap();
        stand.device.ok(&["systemctl", "kill", "--signal=KILL", "tidegate-agent"]).unwrap();
        if step != Step::Inside {
            pty.kill().unwrap();
        }
        scene.is_as_before_within(WITHIN);
        sudo_is_refused(&scene);
        drop(pty);
        stand.world.await_agent_again(&stand.device, links).unwrap();
    }
}

#[test]
fn a_device_whose_power_is_cut_comes_back_without_the_privilege() {
    needs_devices!();
    let stand = Stand::new("dead-device", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "power", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    stand.device.cut_power().unwrap();
    stand.device.power_on().unwrap();
    // sshd answers now: nobody could have logged in with the privilege.
    assert_eq!(scene.difference(), "");
    sudo_is_refused(&scene);
    pty.end(PATIENCE).unwrap();
}

#[test]
fn a_cut_network_ends_the_grant_within_the_lease() {
    needs_devices!();
    let stand = Stand::new("cut-off", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "cut", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    run::ok(&["ip", "link", "set", stand.device.link(), "down"]).unwrap();
    scene.is_as_before_within(WITHIN);
    run::ok(&["ip", "link", "set", stand.device.link(), "up"]).unwrap();
    stand.world.await_agent(&stand.device).unwrap();
    sudo_is_refused(&scene);
}

#[test]
fn without_its_agent_a_device_grants_nothing_and_the_user_is_told() {
    needs_devices!();
    let stand = Stand::new("no-agent", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "away", "{}");
    stand.device.ok(&["systemctl", "stop", "tidegate-agent"]).unwrap();
    wait::until_true("the link is gone", PATIENCE, || !stand.world.agent_is_connected("no-agent")).unwrap();
    let refused = stand.world.client().ssh(&scene.operator, &scene.target(), &["id"]).unwrap().run().unwrap();
    assert!(!refused.success());
    assert!(refused.err().contains("agent"), "{}", refused.all());
    assert_eq!(scene.difference(), "");
    // The twin that differs in the agent alone.
    stand.device.ok(&["systemctl", "start", "tidegate-agent"]).unwrap();
    stand.world.await_agent(&stand.device).unwrap();
    let done =
        stand.world.client().ssh(&scene.operator, &scene.target(), &["sudo", "-n", "id", "-un"]).unwrap();
    assert_eq!(done.ok().unwrap().out(), "root\n");
}

fn sudo_is_refused(scene: &Scene<'_>) {
    let done = scene.device.run_as(&scene.account, &["sudo", "-n", "id"]).unwrap();
    assert!(!done.success(), "{}", done.all());
}
