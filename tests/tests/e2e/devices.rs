//! The devices themselves, without Tidegate.

use std::fs;

use tidegate_tests::accounts::Accounts;
use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::run::Run;

use crate::needs_devices;
use crate::support::base;

#[test]
fn a_device_has_its_own_systemd_sshd_and_accounts() {
    needs_devices!();
    let device = Device::boot(&base(), "db77").unwrap();
    assert_eq!(device.ok(&["hostname"]).unwrap().out().trim(), "db77");
    assert_eq!(device.ok(&["cat", "/proc/1/comm"]).unwrap().out().trim(), "systemd");
    assert!(device.run(&["systemctl", "is-active", "ssh"]).unwrap().success());
    let refused = device.run_as("ops", &["sudo", "-n", "id"]).unwrap();
    assert!(!refused.success(), "{}", refused.all());
    assert!(!fs::read_to_string("/etc/passwd").unwrap().contains("db77"));

    let before = Accounts::of(&device, "ops").unwrap();
    device.ok(&["usermod", "-aG", "adm", "ops"]).unwrap();
    let after = Accounts::of(&device, "ops").unwrap();
    assert!(before.difference(&after).contains("adm:"), "{}", before.difference(&after));
    assert!(!fs::read_to_string("/etc/group").unwrap().contains("ops"));
}

#[test]
fn a_login_over_ssh_becomes_a_session_of_logind() {
    needs_devices!();
    let device = Device::boot(&base(), "db78").unwrap();
    let dir = tempdir("key");
    let key = dir.join("key");
    Run::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).ok().unwrap();
    device.authorize("ops", &fs::read_to_string(dir.join("key.pub")).unwrap()).unwrap();
    let shown = Run::new("ssh")
        .args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"])
        .arg(&key)
        .arg(format!("ops@{}", device.address()))
        .args(["cat /proc/self/cgroup; echo $XDG_SESSION_ID"])
        .ok()
        .unwrap();
    fs::remove_dir_all(dir).unwrap();
    assert!(shown.out().contains("/user.slice/user-"), "{}", shown.all());
    assert!(shown.out().contains("session-"), "{}", shown.all());
}

#[test]
fn a_device_keeps_its_disk_when_its_power_is_cut() {
    needs_devices!();
    let device = Device::boot(&base(), "db79").unwrap();
    device.ok(&["sh", "-c", "echo kept > /var/kept; echo gone > /run/gone"]).unwrap();
    device.cut_power().unwrap();
    assert!(!device.sshd_answers());
    device.power_on().unwrap();
    assert_eq!(device.ok(&["cat", "/var/kept"]).unwrap().out(), "kept\n");
    assert!(!device.path("/run/gone").exists());
}

fn tempdir(what: &str) -> std::path::PathBuf {
    let dir = base().join(format!("{what}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    dir
}
