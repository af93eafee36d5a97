//! The units in systemd/: hardened as promised, and the programs work under them.

use std::fs;

use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::programs::program;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{journal_is_plain, journal_tells};
use crate::support::{base, repository};

/// What `systemd-analyze security` says of a unit: 0 is best, 10 is worst.
fn exposure(unit: &str) -> f64 {
    let unit = repository("systemd").join(unit);
    let args = ["security", "--offline=true", "--no-pager"];
    let shown = Run::new("systemd-analyze").args(args).arg(&unit).run().unwrap().out();
    let overall = shown.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let number = overall.split_whitespace().find_map(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no number in `{overall}`"))
}

#[test]
fn the_proxys_unit_is_exposed_to_little() {
    needs_devices!();
    let level = exposure("tidegate-proxy.service");
    assert!(level <= 2.0, "systemd-analyze security says {level}");
}

/// A device with the gate's program, unit and settings, not started yet.
fn gatehouse(name: &str) -> Device {
    let device = Device::boot(&base(), name).unwrap();
    device.install(&program("tidegate-proxy").unwrap(), "/usr/bin/tidegate-proxy").unwrap();
    let copy = |from: &str, to: &str| {
        let to = device.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(repository(from), to).unwrap();
    };
    copy("systemd/tidegate-proxy.service", "/etc/systemd/system/tidegate-proxy.service");
    copy("systemd/tidegate.sysusers", "/etc/sysusers.d/tidegate.conf");
    copy("config/proxy.toml", "/etc/tidegate/proxy.toml");
    device.ok(&["systemd-sysusers"]).unwrap();
    // The package brings the manual pages.
    device.ok(&["systemd-analyze", "verify", "--man=no", "tidegate-proxy.service"]).unwrap();
    device.ok(&["systemctl", "daemon-reload"]).unwrap();
    device
}

#[test]
fn the_proxy_runs_as_its_unit_says_and_comes_back_after_a_kill() {
    needs_devices!();
    let device = gatehouse("gatehouse");
    let started = device.run(&["systemctl", "start", "tidegate-proxy"]).unwrap();
    assert!(started.success(), "{}\n{}", started.all(), device.journal("tidegate-proxy"));
    let who = device.ok(&["ps", "-o", "user=", "-C", "tidegate-proxy"]).unwrap().out();
    assert_eq!(who.trim(), "tidegate");
    let answers = || device.run(&["tidegate-proxy", "admin", "get", "user"]).unwrap().success();
    wait::until_true("the console answers", PATIENCE, answers)
        .unwrap_or_else(|error| panic!("{error}\n{}", device.journal("tidegate-proxy")));
    // Under the unit's umask, too, everybody may read what is for everybody.
    let modes = device.ok(&["sh", "-c", "cd /var/lib/tidegate && stat -c '%a %n' *.pub"]).unwrap().out();
    for public in ["host_ca.pub", "recording_key.pub", "user_ca.pub"] {
        assert!(modes.lines().any(|line| line == format!("644 {public}")), "{public}: {modes}");
    }
    assert!(modes.lines().all(|line| line.starts_with("644 ")), "{modes}");
    let shows = |property: &str| {
        device.ok(&["systemctl", "show", "-P", property, "tidegate-proxy"]).unwrap().out().trim().to_owned()
    };
    let bound = shows("MemoryMax");
    assert!(bound.parse::<u64>().is_ok(), "MemoryMax is {bound}");
    let pid = || shows("MainPID");
    let first = pid();
    device.ok(&["systemctl", "kill", "--signal=KILL", "tidegate-proxy"]).unwrap();
    wait::until_true("it is back", PATIENCE, || pid() != first && pid() != "0" && answers()).unwrap();
    // What keeps it from starting for long (here a directory in the place of its store) needs nobody
    // to start it once that is mended.
    let store = "/var/lib/tidegate/tidegate.db";
    device.ok(&["sh", "-c", &format!("mv {store} {store}.kept; mkdir {store}")]).unwrap();
    device.ok(&["systemctl", "kill", "--signal=KILL", "tidegate-proxy"]).unwrap();
    let often = || shows("NRestarts").parse::<u32>().is_ok_and(|count| count >= 8);
    wait::until_true("it was started in vain for long", PATIENCE * 3, often).unwrap();
    device.ok(&["sh", "-c", &format!("rmdir {store}; mv {store}.kept {store}")]).unwrap();
    wait::until_true("it is back by itself", PATIENCE, answers)
        .unwrap_or_else(|error| panic!("{error}\n{}", device.journal("tidegate-proxy")));
    journal_is_plain(&device, "tidegate-proxy");
}

#[test]
fn the_proxy_serves_port_22_with_what_check_config_has_one_write() {
    needs_devices!();
    let device = gatehouse("frontdoor");
    let settings = device.path("/etc/tidegate/proxy.toml");
    let packaged = fs::read_to_string(&settings).unwrap();
    let low = packaged.replacen("ssh = \"[::]:2222\"", "ssh = \"[::]:22\"", 1);
    assert_ne!(low, packaged);
    fs::write(&settings, low).unwrap();
    device.ok(&["systemctl", "stop", "ssh"]).unwrap();
    wait::until_true("sshd has left the port", PATIENCE, || !device.sshd_answers()).unwrap();
    // As packaged the unit may not.
    device.ok(&["systemctl", "start", "--no-block", "tidegate-proxy"]).unwrap();
    journal_tells(&device, "tidegate-proxy", |line| line.contains("ermission denied"));
    assert!(!device.sshd_answers());
    let check = ["tidegate-proxy", "check-config", "--config", "/etc/tidegate/proxy.toml"];
    let hint = device.ok(&check).unwrap().out();
    // The lines of a unit have no blanks, the sentences around them do.
    let lines = hint.lines().skip_while(|line| *line != "[Service]").take_while(|line| !line.contains(' '));
    let drop_in: String = lines.map(|line| format!("{line}\n")).collect();
    assert_eq!(drop_in.lines().count(), 4, "{hint}");
    let edited = device.path("/etc/systemd/system/tidegate-proxy.service.d");
    fs::create_dir_all(&edited).unwrap();
    fs::write(edited.join("override.conf"), drop_in).unwrap();
    device.ok(&["systemctl", "daemon-reload"]).unwrap();
    let started = device.run(&["systemctl", "restart", "tidegate-proxy"]).unwrap();
    assert!(started.success(), "{}\n{}", started.all(), device.journal("tidegate-proxy"));
    wait::until_true("it answers on port 22", PATIENCE, || device.sshd_answers()).unwrap();
    assert!(!device.run(&["systemctl", "is-active", "--quiet", "ssh"]).unwrap().success());
}

#[test]
fn an_agent_that_is_uninstalled_leaves_the_device_as_it_was() {
    needs_devices!();
    let device = Device::boot(&base(), "clean").unwrap();
    let world = tidegate_tests::world::World::start(tidegate_tests::world::Options::default()).unwrap();
    let resource = format!("[[device]]\nname = \"clean\"\naddress = \"{}\"\n", device.address());
    world.apply(&resource).unwrap();
    let picture = || tidegate_tests::accounts::Accounts::of(&device, "ops").unwrap();
    let listing = || {
        let places = ["/etc", "/var/lib", "/usr/local", "/run/tidegate"];
        let find =
            [&["find"], places.as_slice(), &["-xdev", "-not", "-type", "d", "-printf", "%p %m %U %s\\n"]]
                .concat();
        let shown = device.run(&find).unwrap().out();
        let kept = |line: &&str| !line.contains("/var/lib/systemd") && !line.contains("tidegate-agent");
        let mut lines: Vec<String> = shown.lines().filter(kept).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (before, files) = (picture(), listing());
    world.enrol(&device).unwrap();
    assert_ne!(before.difference(&picture()), "");
    // A second time changes nothing.
    let address = format!("{}:{}", device.host_address(), world.agents().unwrap().port());
    device.ok(&["tidegate-agent", "install", "--proxy", &address]).unwrap();
    world.await_agent(&device).unwrap();
    journal_is_plain(&device, "tidegate-agent");
    device.ok(&["tidegate-agent", "uninstall"]).unwrap();
    assert_eq!(before.difference(&picture()), "");
    assert_eq!(files, listing());
    assert!(!device.path("/var/lib/tidegate-agent").exists());
    assert!(!device.path("/etc/systemd/system/tidegate-agent.service").exists());
}
