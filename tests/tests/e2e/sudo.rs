//! Hosts whose sudo does other than its rules say, by its settings, or has nobody to ask for names.

use std::fs;

use serde_json::Value;
use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, Stand, leave, restart_agent, text};

/// What somebody sets, what it is said to do, and a command of the session with what it then says, or
/// that the session is refused.
type Setting = (&'static str, &'static str, Option<(&'static str, &'static str)>);

const SETTINGS: [Setting; 6] = [
    ("Defaults requiretty", "sudo refuses whoever has no terminal", Some(("sudo -n id -un", "root"))),
    ("Defaults:settled runcwd=/tmp", "its commands begin in /tmp", Some(("sudo -n pwd", "/tmp"))),
    (
        "Defaults>root command_timeout=30",
        "its commands are ended after 30 s",
        Some(("sudo -n id -un", "root")),
    ),
    ("Defaults noexec", "its commands cannot start others", Some(("sudo -n id -un", "root"))),
    ("Defaults:settled runchroot=/srv/jail", "its commands would run in another root, /srv/jail", None),
    ("Defaults !root_sudo", "sudo does not answer root", None),
];

const FILE: &str = "/etc/sudoers.d/local-settings";

fn set(device: &Device, line: &str) {
    let command = format!("echo '{line}' >{FILE}; chmod 440 {FILE}");
    device.ok(&["sh", "-c", &command]).unwrap();
}

fn doctor(device: &Device) -> Value {
    let done = device.run(&["tidegate-agent", "doctor", "-o", "json"]).unwrap();
    let points: Vec<Value> =
        serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", done.all()));
    let point = points.iter().find(|point| text(point, "point") == "sudo settings");
    point.unwrap_or_else(|| panic!("{points:#?}")).clone()
}

#[test]
fn a_setting_by_which_sudo_does_other_than_granted_is_named_before_and_the_grant_works_or_says_why_not() {
    needs_devices!();
    let stand = Stand::new("settings", 30);
    let device = &stand.device;
    let scene = Scene::set(&stand.world, device, "settled", ASKS_AND_WAITS);
    assert_eq!(text(&doctor(device), "verdict"), "ok");
    for (line, said, works) in SETTINGS {
        set(device, line);
        let place = format!("line 1 of {FILE}");
        let told = doctor(device);
        let found = text(&told, "found");
        assert_ne!(text(&told, "verdict"), "ok", "{line}: {told}");
        assert!(found.contains(&place) && found.contains(line), "{line}: {told}");

        let (mut pty, number) = scene.wait_for_yes();
        let show = scene.world.client().console(&scene.approver, &["request", "show", &number.to_string()]);
        let shown = show.unwrap().ok().unwrap().out();
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(said) && words.contains(&place), "{line}:\n{shown}");
        assert_eq!(words.contains("cannot be granted"), works.is_none(), "{line}:\n{shown}");
        scene.approver_says("approve", number).ok().unwrap();
        match works {
            Some((command, answer)) => {
                pty.expect("$ ").unwrap();
                pty.send_line(&format!("{command}; echo it-\"is\"-over")).unwrap();
                pty.expect(&format!("{answer}\r\nit-is-over")).unwrap();
                leave(&mut pty);
            }
            None => {
                pty.expect(FILE).unwrap();
                pty.end(PATIENCE).unwrap();
            }
        }
        device.ok(&["rm", FILE]).unwrap();
        scene.is_as_before_within(PATIENCE);
        // The next asks anew.
        scene.approver_says("revoke", number).ok().unwrap();
    }
}

#[test]
fn a_rule_that_asks_for_a_password_asks_though_a_setting_says_that_none_is_needed() {
    needs_devices!();
    let stand = Stand::new("unasked", 30);
    stand.device.add_account("asked").unwrap();
    set(&stand.device, "Defaults:asked !authenticate");
    let key = stand.world.client().public_key("olga").unwrap();
    let resources = |tags: &str| {
        format!(
            r#"
            [[user]]
            name = "olga"
            keys = ["{key}"]

            [[credential]]
            name = "asked@unasked"
            privileges = [{{ kind = "sudo", tags = [{tags}] }}]

            [[access_group]]
            name = "all"
            users = ["olga"]
            criteria = {{ devices = ["unasked"] }}
            session = {{}}
            "#
        )
    };
    let said = |tags: &str| {
        stand.world.apply(&resources(tags)).unwrap();
        let session = stand.world.client().ssh("olga", "asked@unasked", &["sudo -n id -un"]).unwrap();
        session.run().unwrap().all()
    };
    let asked = said("");
    assert!(asked.contains("a password is required"), "{asked}");
    let unasked = said("\"NOPASSWD\"");
    assert!(unasked.contains("root"), "{unasked}");
}

/// A server of names that takes questions and never answers.
const SILENT: &str =
    "use Socket; socket(S, PF_INET, SOCK_DGRAM, 17); bind(S, sockaddr_in(53, INADDR_ANY)) or die; sleep 600";

#[test]
fn an_agent_that_starts_while_no_server_of_names_answers_grants_sudo_all_the_same() {
    needs_devices!();
    let stand = Stand::new("nameless", 30);
    let device = &stand.device;
    let scene = Scene::set(&stand.world, device, "unnamed", "{}");
    let names = ["/etc/hosts", "/etc/nsswitch.conf"].map(|name| device.path(name));
    let before = names.each_ref().map(|name| fs::read(name).unwrap());
    device.ok(&["systemd-run", "--quiet", "--unit=silent", "perl", "-e", SILENT]).unwrap();
    let bound = || device.run(&["grep", "-q", ":0035 ", "/proc/net/udp"]).unwrap().success();
    wait::until_true("the server of names is there", PATIENCE, bound).unwrap();
    fs::write(device.path("/etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    fs::write(
        device.path("/etc/nsswitch.conf"),
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    )
    .unwrap();
    fs::write(device.path("/etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    let waits = device.run(&["timeout", "4", "getent", "hosts", "nameless"]).unwrap();
    assert_eq!(waits.code(), Some(124), "names must have nobody to answer for them: {}", waits.all());
    restart_agent(&stand.world, device);
    let done = scene.world.client().ssh(&scene.operator, &scene.target(), &["sudo -n id -un"]).unwrap();
    let done = done.run().unwrap();
    assert!(done.out().contains("root"), "{}\n{}", done.all(), device.journal("tidegate-agent"));
    // What sudo says is compared as well.
    names.iter().zip(before).for_each(|(name, text)| fs::write(name, text).unwrap());
    scene.is_as_before_within(PATIENCE);
}
