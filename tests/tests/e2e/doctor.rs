//! The agent's own look at its host.

use std::fs;

use serde_json::Value;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, Stand, text};

/// What is broken, how it is mended, which point tells it, how it stands then, and a
/// part of the sentence. Where doctor says `install`, which has the agent begin anew, that
/// comes first.
const BREAKS: [(&str, &str, &str, &str, &str); 18] = [
    ("chmod 755 /var/lib/tidegate-agent", "chmod 700 /var/lib/tidegate-agent", "state", "wrong", "mode 755"),
    (
        "cp -p /var/lib/tidegate-agent/user_ca.pub /etc/kept; : >/var/lib/tidegate-agent/user_ca.pub",
        "cp -p /etc/kept /var/lib/tidegate-agent/user_ca.pub; rm /etc/kept",
        "CA keys",
        "warning",
        "no key came",
    ),
    (
        "cp -p /var/lib/tidegate-agent/user_ca.pub /etc/kept; sed -n 1p /etc/ssh/ssh_host_ed25519_key.pub \
         >>/var/lib/tidegate-agent/user_ca.pub",
        "cp -p /etc/kept /var/lib/tidegate-agent/user_ca.pub; rm /etc/kept",
        "CA keys",
        "wrong",
        "which is not the proxy's",
    ),
    // As if the proxy had been a thousand years back when it answered.
    (
        "cp -p /run/tidegate/link /run/kept; sed -i 's/\"proxy_time\":\"2/\"proxy_time\":\"1/' /run/tidegate/link",
        "mv /run/kept /run/tidegate/link",
        "proxy clock",
        "wrong",
        "s ahead of the proxy's; no session can log in",
    ),
    (
        "systemctl disable --now tidegate-sweep.timer",
        "systemctl enable --now tidegate-sweep.timer",
        "sweep",
        "wrong",
        "tidegate-sweep.timer is not active",
    ),
    (
        "systemctl disable tidegate-agent",
        "systemctl enable tidegate-agent",
        "service",
        "wrong",
        "not enabled",
    ),
    (
        "mv /etc/sudoers.d/zzz-tidegate /etc/kept",
        "mv /etc/kept /etc/sudoers.d/zzz-tidegate",
        "sudo",
        "wrong",
        "is missing",
    ),
    (
        "mv /etc/sudoers.d/zzz-tidegate /etc/sudoers.d/tidegate",
        "test ! -e /etc/sudoers.d/tidegate",
        "sudo",
        "warning",
        "before others that win",
    ),
    (
        "echo '%adm ALL=(ALL) ALL' >/etc/sudoers.d/zzzz; chmod 440 /etc/sudoers.d/zzzz",
        "rm /etc/sudoers.d/zzzz",
        "sudo order",
        "warning",
        "line 1 of /etc/sudoers.d/zzzz after the rules of live sessions",
    ),
    (
        "echo nonsense >/etc/sudoers.d/broken",
        "rm /etc/sudoers.d/broken",
        "sudoers",
        "wrong",
        "visudo refuses it",
    ),
    (
        "cp -p /etc/pam.d/sshd /etc/kept; sed -i 's/^session.*pam_loginuid/#&/' /etc/pam.d/sshd",
        "mv /etc/kept /etc/pam.d/sshd",
        "loginuid",
        "warning",
        "pam_loginuid.so is not in sshd's stack",
    ),
    (
        "mv /etc/ssh/sshd_config.d/tidegate.conf /etc/kept",
        "mv /etc/kept /etc/ssh/sshd_config.d/tidegate.conf",
        "user CA",
        "wrong",
        "not Tidegate's",
    ),
    (
        "cp -p /etc/ssh/sshd_config.d/tidegate.conf /etc/kept; \
         sed -i /^AcceptEnv/d /etc/ssh/sshd_config.d/tidegate.conf",
        "mv /etc/kept /etc/ssh/sshd_config.d/tidegate.conf",
        "AcceptEnv",
        "wrong",
        "does not accept TIDEGATE_SESSION",
    ),
    (
        "cp -p /etc/ssh/sshd_config.d/tidegate.conf /etc/kept; \
         sed -i s/%u@patient/%u@other/ /etc/ssh/sshd_config.d/tidegate.conf",
        "mv /etc/kept /etc/ssh/sshd_config.d/tidegate.conf",
        "keys",
        "wrong",
        "not for patient",
    ),
    (
        "cp -p /etc/ssh/sshd_config.d/tidegate.conf /etc/kept; \
         sed -i /^AuthorizedPrincipalsCommand/d /etc/ssh/sshd_config.d/tidegate.conf",
        "mv /etc/kept /etc/ssh/sshd_config.d/tidegate.conf",
        "keys",
        "warning",
        "on any device",
    ),
    (
        "systemctl disable tidegate-sweep.service",
        "systemctl enable tidegate-sweep.service",
        "boot",
        "wrong",
        "tidegate-sweep.service is not enabled",
    ),
    (
        "mv /var/lib/tidegate-agent/user_ca.pub /etc/kept",
        "mv /etc/kept /var/lib/tidegate-agent/user_ca.pub",
        "CA keys",
        "wrong",
        "user_ca.pub: No such file",
    ),
    ("systemctl stop tidegate-agent", "systemctl start tidegate-agent", "service", "wrong", "is not active"),
];

fn points(stand: &Stand) -> (i32, Vec<Value>) {
    let done = stand.device.run(&["tidegate-agent", "doctor", "-o", "json"]).unwrap();
    let points = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", done.all()));
    (done.code().unwrap(), points)
}

fn point(points: &[Value], name: &str) -> Value {
    points
        .iter()
        .find(|point| text(point, "point") == name)
        .unwrap_or_else(|| panic!("{name}: {points:#?}"))
        .clone()
}

#[test]
fn doctor_finds_a_device_well_and_each_thing_that_is_broken() {
    needs_devices!();
    let stand = Stand::new("patient", 30);
    let (code, healthy) = points(&stand);
    assert!(healthy.iter().all(|point| text(point, "verdict") != "wrong"), "{healthy:#?}");
    // A device has no clock and no audit of its own, and is warned of that.
    assert_eq!(code, i32::from(healthy.iter().any(|point| text(point, "verdict") == "warning")));
    let mut installed = Vec::new();
    for (damage, mend, name, verdict, sentence) in BREAKS {
        assert_eq!(text(&point(&points(&stand).1, name), "verdict"), "ok", "{name} before: {damage}");
        stand.device.ok(&["sh", "-c", damage]).unwrap();
        let (code, broken) = points(&stand);
        let told = point(&broken, name);
        let line = text(&told, "mend");
        if line.starts_with("tidegate-agent install") {
            let said = stand.device.ok(&["sh", "-c", &line]).unwrap().out();
            assert_ne!(said, "nothing to do\n", "{damage}: {told}");
            // The agent's link as well, which begins anew with it.
            let well = || {
                let (_, now) = points(&stand);
                let wrong = now.iter().any(|point| text(point, "verdict") == "wrong");
                text(&point(&now, name), "verdict") == "ok" && !wrong
            };
            wait::until_true("doctor finds it mended", PATIENCE, well)
                .unwrap_or_else(|error| panic!("{error}: {damage}: {said}"));
            installed.push(name);
        }
        stand.device.ok(&["sh", "-c", mend]).unwrap();
        assert_eq!(text(&told, "verdict"), verdict, "{damage}: {told}");
        assert!(text(&told, "found").contains(sentence), "{damage}: {told}");
        assert!(!line.is_empty(), "{told}");
        assert_eq!(code, if verdict == "wrong" { 2 } else { 1 }, "{damage}");
    }
    assert_eq!(installed, ["sudo", "sudo", "user CA", "AcceptEnv", "keys", "keys", "boot", "CA keys"]);
    let shown = stand.device.run(&["tidegate-agent", "doctor"]).unwrap().out();
    assert!(shown.lines().any(|line| line.starts_with("ok       user CA")), "{shown}");
}

#[test]
fn a_link_that_is_lost_is_told_with_the_reason() {
    needs_devices!();
    let stand = Stand::new("lonely", 3);
    assert_eq!(text(&point(&points(&stand).1, "link"), "verdict"), "ok");
    stand.world.kill_proxy().unwrap();
    wait::until_true("doctor tells of it", PATIENCE, || {
        let link = point(&points(&stand).1, "link");
        text(&link, "verdict") == "wrong" && text(&link, "found").contains("no link with")
    })
    .unwrap();
}

#[test]
fn the_report_lists_standing_privileges_and_marks_those_of_live_sessions() {
    needs_devices!();
    let stand = Stand::new("census", 30);
    let device = &stand.device;
    for account in ["jane", "nobodys"] {
        device.add_account(account).unwrap();
    }
    device.ok(&["sh", "-c", "usermod -aG sudo jane; groupadd -f docker; usermod -aG docker jane"]).unwrap();
    fs::write(device.path("/etc/sudoers.d/own"), "nobodys ALL=(root) NOPASSWD: /usr/bin/id\n").unwrap();
    device.authorize("jane", "ssh-ed25519 AAAA jane").unwrap();
    let report = || {
        let done = device.ok(&["tidegate-agent", "report", "-o", "json"]).unwrap();
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        let lines = report["privileges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| ["account", "kind", "holder", "what"].map(|field| text(one, field)).join(" "));
        lines.collect::<Vec<_>>()
    };
    let standing = report();
    for expected in [
        "jane sudo person ALL as ALL",
        "jane group person root, by sudo's own rule for the group",
        "jane group person root, through a container",
        "jane keys person 1 key logs in",
        "nobodys sudo person /usr/bin/id as root without a password",
    ] {
        assert!(standing.iter().any(|line| line == expected), "{expected}: {standing:#?}");
    }
    let of_ops = |lines: &[String]| {
        lines.iter().filter(|line| line.starts_with("census-ops ")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of_ops(&standing), [""; 0]);
    let scene = Scene::set(&stand.world, device, "census-ops", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let live = of_ops(&report());
    assert_eq!(live.len(), 2, "{live:#?}");
    assert!(live.iter().all(|line| line.contains(" tidegate ")), "{live:#?}");
    let shown = device.ok(&["tidegate-agent", "report"]).unwrap().out();
    assert!(shown.contains("could be taken away") && shown.contains("2 belong to live sessions"), "{shown}");
}
