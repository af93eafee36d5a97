//! Hosts whose files are not as ours are: bytes that are no text, rules of an administrator's
//! after those of sessions, a sudo that remembers.

use std::fs;

use serde_json::Value;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;

use crate::needs_devices;
use crate::scene::{Scene, Stand};

/// One Latin-1 byte in each of the files that decide.
const LATIN: &str = "set -e
printf 'm\\374ll:x:1700:1700:gr\\374n:/nonexistent:/usr/sbin/nologin\\n' >>/etc/passwd
printf 'm\\374ll:*:1::::::\\n' >>/etc/shadow
printf 'gr\\374n:x:1700:m\\374ll\\n' >>/etc/group
printf 'gr\\374n:!::m\\374ll\\n' >>/etc/gshadow
printf '# gr\\374n\\n' >>/etc/sudoers
printf '# gr\\374n\\n' >>/etc/ssh/sshd_config
printf '# gr\\374n\\n' >>/etc/login.defs
";

#[test]
fn a_host_with_bytes_that_are_no_text_is_granted_on_and_reported_on_and_keeps_every_byte() {
    needs_devices!();
    let stand = Stand::new("latin", 30);
    let device = &stand.device;
    device.ok(&["sh", "-c", LATIN]).unwrap();
    let scene = Scene::set(&stand.world, device, "latin-ops", "{}");
    scene.works_within(PATIENCE);
    let group = fs::read(device.path("/etc/group")).unwrap();
    assert!(group.windows(4).any(|four| four == b"gr\xfcn"));
    let report = device.ok(&["tidegate-agent", "report", "-o", "json"]).unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["unseen"], Value::Array(Vec::new()), "{report:#}");
    device.ok(&["sh", "-c", "printf 'm\\374ll ALL=(ALL) ALL\\n' >>/etc/sudoers"]).unwrap();
    let shown = device.ok(&["tidegate-agent", "report"]).unwrap().out();
    assert!(
        shown.lines().any(|line| line.starts_with("m\\xfcll ") && line.contains("ALL as ALL")),
        "{shown}"
    );
    // A second installation on such a host finds its way, too.
    let again = device.run(&["tidegate-agent", "install", "--dry-run"]).unwrap();
    assert!(again.success(), "{}", again.all());
}

#[test]
fn a_rule_of_the_administrators_loses_to_a_sessions_or_is_named_where_it_wins() {
    needs_devices!();
    let stand = Stand::new("later", 30);
    let device = &stand.device;
    let scene = Scene::set(&stand.world, device, "later-ops", "{}");
    for rule in ["later-ops ALL=(ALL) ALL", "later-ops ALL=(ALL) !ALL"] {
        let place =
            |name: &str| format!("echo '{rule}' >/etc/sudoers.d/{name}; chmod 440 /etc/sudoers.d/{name}");
        device.ok(&["sh", "-c", &place("zz-local")]).unwrap();
        let mut pty = scene.knock();
        pty.expect("$ ").unwrap();
        pty.send_line("sudo -n id -un").unwrap();
        pty.expect("root\r\n").unwrap();
        pty.expect("$ ").unwrap();
        pty.send_line("exit").unwrap();
        pty.end(PATIENCE).unwrap();
        device.ok(&["rm", "/etc/sudoers.d/zz-local"]).unwrap();
        scene.is_as_before_within(PATIENCE);

        device.ok(&["sh", "-c", &place("zzzz-local")]).unwrap();
        let mut pty = scene.knock();
        pty.expect("/etc/sudoers.d/zzzz-local").unwrap();
        pty.end(PATIENCE).unwrap();
        device.ok(&["rm", "/etc/sudoers.d/zzzz-local"]).unwrap();
        scene.is_as_before_within(PATIENCE);
    }
}

#[test]
fn a_password_that_one_session_gave_sudo_does_not_serve_the_next() {
    needs_devices!();
    let stand = Stand::new("rememberer", 30);
    let device = &stand.device;
    device.add_account("asked").unwrap();
    device.ok(&["sh", "-c", "echo asked:secret-of-asked | chpasswd"]).unwrap();
    let policy =
        "echo 'Defaults timestamp_type=global' >/etc/sudoers.d/global; chmod 440 /etc/sudoers.d/global";
    device.ok(&["sh", "-c", policy]).unwrap();
    let key = stand.world.client().public_key("olga").unwrap();
    let resources = format!(
        r#"
        [[user]]
        name = "olga"
        keys = ["{key}"]

        [[credential]]
        name = "asked@rememberer"
        privileges = [{{ kind = "sudo", tags = [] }}]

        [[access_group]]
        name = "all"
        users = ["olga"]
        criteria = {{ devices = ["rememberer"] }}
        session = {{}}
        "#
    );
    stand.world.apply(&resources).unwrap();
    let session = |command: &str| {
        stand.world.client().ssh("olga", "asked@rememberer", &[command]).unwrap().run().unwrap()
    };
    let gave = session("echo secret-of-asked | sudo -S -p '' id -un; sudo -n id -un");
    assert_eq!(gave.out(), "root\nroot\n", "it is remembered while the session lives: {}", gave.all());
    let next = session("sudo -n id -un");
    assert!(!next.success() && next.all().contains("a password is required"), "{}", next.all());
}
