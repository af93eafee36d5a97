//! The units in systemd/: hardened as promised, and the programs work under them.

use std::fs;

use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::programs::program;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::needs_devices;
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

#[test]
fn the_proxy_runs_as_its_unit_says_and_comes_back_after_a_kill() {
    needs_devices!();
    let device = Device::boot(&base(), "gatehouse").unwrap();
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
    let started = device.run(&["systemctl", "start", "tidegate-proxy"]).unwrap();
    assert!(started.success(), "{}\n{}", started.all(), device.journal("tidegate-proxy"));
    let who = device.ok(&["ps", "-o", "user=", "-C", "tidegate-proxy"]).unwrap().out();
    assert_eq!(who.trim(), "tidegate");
    let answers = || device.run(&["tidegate-proxy", "admin", "get", "user"]).unwrap().success();
    wait::until_true("the console answers", PATIENCE, answers)
        .unwrap_or_else(|error| panic!("{error}\n{}", device.journal("tidegate-proxy")));
    let pid = || device.ok(&["systemctl", "show", "-P", "MainPID", "tidegate-proxy"]).unwrap().out();
    let first = pid();
    device.ok(&["systemctl", "kill", "--signal=KILL", "tidegate-proxy"]).unwrap();
    wait::until_true("it is back", PATIENCE, || pid() != first && pid().trim() != "0" && answers()).unwrap();
    // What keeps it from starting for long (here a directory in the place of its store) needs nobody
    // to start it once that is mended.
    let store = "/var/lib/tidegate/tidegate.db";
    device.ok(&["sh", "-c", &format!("mv {store} {store}.kept; mkdir {store}")]).unwrap();
    device.ok(&["systemctl", "kill", "--signal=KILL", "tidegate-proxy"]).unwrap();
    let starts = || device.ok(&["systemctl", "show", "-P", "NRestarts", "tidegate-proxy"]).unwrap().out();
    let often = || starts().trim().parse::<u32>().is_ok_and(|count| count >= 8);
    wait::until_true("it was started in vain for long", PATIENCE * 3, often).unwrap();
    device.ok(&["sh", "-c", &format!("rmdir {store}; mv {store}.kept {store}")]).unwrap();
    wait::until_true("it is back by itself", PATIENCE, answers)
        .unwrap_or_else(|error| panic!("{error}\n{}", device.journal("tidegate-proxy")));
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
    device.ok(&["tidegate-agent", "uninstall"]).unwrap();
    assert_eq!(before.difference(&picture()), "");
    assert_eq!(files, listing());
    assert!(!device.path("/var/lib/tidegate-agent").exists());
    assert!(!device.path("/etc/systemd/system/tidegate-agent.service").exists());
}
