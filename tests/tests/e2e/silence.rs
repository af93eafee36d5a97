//! Peers that have fallen silent: each side is asked whether it lives, and given up when
//! it does not answer. What is asked of us is answered.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;
use tidegate_tests::world::Options;

use crate::needs_devices;
use crate::scene::{Scene, Stand};

/// Three questions without an answer, one a second, and what a machine under load takes.
const WITHIN: Duration = Duration::from_secs(30);

fn stand(device: &str) -> Stand {
    let more = "\n[ssh]\nkeepalive = \"1s\"\naccept_env = [\"TIDE_*\"]\n".to_owned();
    Stand::with(device, Options { more, ..Options::default() })
}

#[test]
fn a_client_that_no_longer_answers_is_given_up_and_its_privileges_go() {
    needs_devices!();
    let stand = stand("silent-client");
    let scene = Scene::set(&stand.world, &stand.device, "mute", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    kill(Pid::from_raw(pty.pid()), Signal::SIGSTOP).unwrap();
    scene.is_as_before_within(WITHIN);
    pty.kill().unwrap();
    // The twin, which answers, and asks as often: longer than a silent one may stay.
    let asks = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3"];
    let waits = ["sleep 6; echo lives"];
    let lives = stand.world.client().ssh_with(&scene.operator, &scene.target(), &asks, &waits).unwrap();
    assert_eq!(lives.ok().unwrap().out(), "lives\n");
}

#[test]
fn a_device_that_no_longer_answers_is_given_up_and_the_user_is_told() {
    needs_devices!();
    let stand = stand("silent-device");
    let scene = Scene::set(&stand.world, &stand.device, "mute", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    stand.device.ok(&["pkill", "-STOP", "-f", "^sshd: mute"]).unwrap();
    pty.expect_within("tidegate: the device closed the connection", WITHIN).unwrap();
    pty.end(PATIENCE).unwrap();
    scene.is_as_before_within(WITHIN);
}

#[test]
fn who_waits_for_a_slow_device_is_told_so_and_gets_in_when_it_answers() {
    needs_devices!();
    let stand = stand("slow-device");
    let scene = Scene::set(&stand.world, &stand.device, "slow", "{}");
    stand.device.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=STOP", "ssh"]).unwrap();
    let mut pty = scene.knock();
    pty.expect(&format!("tidegate: still waiting for {} and its agent\r\n", stand.device.name())).unwrap();
    stand.device.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=CONT", "ssh"]).unwrap();
    scene.at_the_prompt(&mut pty);
    pty.kill().unwrap();
}

#[test]
fn ctrl_c_leaves_a_device_that_hangs_at_once_and_all_else_that_is_typed_waits_for_it() {
    needs_devices!();
    let stand = stand("hung-device");
    let scene = Scene::set(&stand.world, &stand.device, "hung", "{}");
    let sshd = |signal: &str| {
        let signal = format!("--signal={signal}");
        stand.device.ok(&["systemctl", "kill", "--kill-whom=main", &signal, "ssh"]).unwrap();
    };
    sshd("STOP");
    let mut pty = scene.knock();
    pty.expect("tidegate: still waiting for ").unwrap();
    pty.send("ls -l\x03").unwrap();
    // Sooner than the device is given up.
    let within = Duration::from_secs(12);
    pty.expect_within("\r\ntidegate: Ctrl-C came before the device had answered", within).unwrap();
    assert_eq!(pty.end(within).unwrap().code(), Some(255));
    scene.is_as_before_within(WITHIN);
    let mut pty = scene.knock();
    pty.expect("tidegate: still waiting for ").unwrap();
    pty.send_line("echo typed-\"ahead\"").unwrap();
    sshd("CONT");
    pty.expect("typed-ahead\r\n").unwrap();
    // From there on Ctrl-C is the program's.
    pty.expect("$ ").unwrap();
    pty.send_line("echo it-\"sleeps\"; sleep 600").unwrap();
    pty.expect("it-sleeps\r\n").unwrap();
    pty.interrupt().unwrap();
    pty.send_line("echo still-\"here\"").unwrap();
    pty.expect("still-here\r\n").unwrap();
    pty.kill().unwrap();
}

#[test]
fn a_grant_is_in_the_log_while_its_device_lets_nobody_in_yet_and_so_is_its_end() {
    needs_devices!();
    let stand = stand("deaf-device");
    let scene = Scene::set(&stand.world, &stand.device, "deaf", "{}");
    stand.device.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=STOP", "ssh"]).unwrap();
    let mut pty = scene.knock();
    let told = |expected: &[&str]| {
        wait::until_true(&format!("the log has {expected:?}"), WITHIN, || {
            let log = stand.world.json(&["audit", "tail", "-n", "100"]).unwrap();
            let types =
                log.as_array().unwrap().iter().map(|record| record["event"]["type"].as_str().unwrap());
            types.filter(|kind| kind.starts_with("grant-")).eq(expected.iter().copied())
        })
        .unwrap();
    };
    told(&["grant-ordered", "grant-applied"]);
    pty.kill().unwrap();
    told(&["grant-ordered", "grant-applied", "grant-ended"]);
    scene.is_as_before_within(WITHIN);
    stand.device.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=CONT", "ssh"]).unwrap();
}

#[test]
fn only_the_variables_on_the_gates_list_reach_a_device_that_takes_them_all() {
    needs_devices!();
    let stand = stand("takes-all");
    let scene = Scene::set(&stand.world, &stand.device, "env", "{}");
    let all = "echo 'AcceptEnv *' >/etc/ssh/sshd_config.d/env.conf && systemctl restart ssh";
    stand.device.ok(&["sh", "-c", all]).unwrap();
    let sets = ["-o", "SetEnv TIDE_IN=1 EBB=1"];
    let shown = stand.world.client().ssh_with(&scene.operator, &scene.target(), &sets, &["env"]).unwrap();
    let shown = shown.ok().unwrap().out();
    assert!(shown.contains("TIDE_IN=1") && !shown.contains("EBB=1"), "{shown}");
}
