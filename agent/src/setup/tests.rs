//! Plans carried out in a directory of the test's own.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::test::Scratch;

fn site(root: &Path) -> Site {
    let program = root.join("built");
    std::fs::write(&program, "the program").unwrap();
    for directory in
        ["host/etc/ssh/sshd_config.d", "host/etc/sudoers.d", "host/etc/systemd/system", "host/etc/tmpfiles.d"]
    {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::create_dir_all(root.join("host/usr/local/bin")).unwrap();
    for directory in ["host/var/lib", "host/run"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    Site {
        root: root.join("host"),
        proxy: "gate:7443".to_owned(),
        program,
        sshd: Sshd::default(),
        sudo: true,
    }
}

fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(root).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(tree(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// All that an installation on the device db01 does.
fn whole(site: &Site) -> Vec<Change> {
    let way_in = way_in(site, &"db01".parse().unwrap());
    install(site).unwrap().into_iter().chain(way_in).collect()
}

/// Without the host's own checks, which look at the host.
fn unchecked(changes: Vec<Change>) -> Vec<Change> {
    changes
        .into_iter()
        .map(|change| match change {
            Change::File { path, content, mode, .. } => {
                Change::File { path, content, mode, check: change::Check::None }
            }
            other => other,
        })
        .collect()
}

#[test]
fn a_host_that_was_set_up_and_cleared_is_what_it_was() {
    let scratch = Scratch::new();
    let site = site(scratch.path());
    let before = tree(&site.root);
    assert!(carry_out(&unchecked(whole(&site)), false).unwrap() > 8);
    assert_eq!(carry_out(&unchecked(whole(&site)), false).unwrap(), 0, "a second run changes nothing");
    let sudoers = std::fs::read_to_string(site.at("/etc/sudoers.d/zzz-tidegate")).unwrap();
    assert!(sudoers.ends_with("\n@includedir /run/tidegate/sudoers.d\n"));
    carry_out(&uninstall(&site, false, false).1, false).unwrap();
    assert_eq!(tree(&site.root), before);
}

/// The host with what the package brings.
fn packaged(root: &Path) -> Site {
    let site = Site { program: "/usr/bin/tidegate-agent".into(), ..site(root) };
    std::fs::create_dir_all(site.at("/usr/lib/systemd/system")).unwrap();
    for unit in ["tidegate-agent.service", "tidegate-sweep.service", "tidegate-sweep.timer"] {
        std::fs::write(site.at(&format!("/usr/lib/systemd/system/{unit}")), "the package's").unwrap();
    }
    site
}

#[test]
fn what_the_package_brings_is_left_to_it() {
    let scratch = Scratch::new();
    let site = packaged(scratch.path());
    let before = tree(&site.root);
    carry_out(&unchecked(whole(&site)), false).unwrap();
    let after = tree(&site.root);
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(new.iter().all(|path| !path.to_string_lossy().contains("systemd")), "{new:#?}");
    assert!(new.iter().all(|path| !path.starts_with(site.at("/usr"))), "{new:#?}");
    assert!(new.contains(&&site.at("/etc/ssh/sshd_config.d/tidegate.conf")), "{new:#?}");
    carry_out(&uninstall(&site, false, false).1, false).unwrap();
    assert_eq!(tree(&site.root), before);
}

#[test]
fn the_package_takes_over_from_an_installation_without_it() {
    let scratch = Scratch::new();
    let packaged = packaged(scratch.path());
    let by_hand = Site { program: scratch.path().join("built"), ..packaged.clone() };
    carry_out(&unchecked(whole(&packaged)), false).unwrap();
    let as_packaged = tree(&packaged.root);
    assert!(carry_out(&unchecked(whole(&by_hand)), false).unwrap() >= 5);
    let unit = by_hand.at("/etc/systemd/system/tidegate-agent.service");
    assert!(std::fs::read_to_string(&unit).unwrap().contains("=/usr/local/bin/tidegate-agent run\n"));
    carry_out(&unchecked(whole(&packaged)), false).unwrap();
    assert_eq!(tree(&packaged.root), as_packaged);
    // What an administrator put in the package's way is theirs.
    std::fs::write(&unit, "an administrator's").unwrap();
    assert_eq!(carry_out(&unchecked(whole(&packaged)), false).unwrap(), 0);
    carry_out(&uninstall(&packaged, false, false).1, false).unwrap();
    assert!(unit.exists());
}

#[test]
fn a_host_that_keeps_its_enrolment_loses_every_way_in() {
    let scratch = Scratch::new();
    let site = site(scratch.path());
    let before = tree(&site.root);
    carry_out(&unchecked(whole(&site)), false).unwrap();
    carry_out(&uninstall(&site, false, true).1, false).unwrap();
    let mut left = tree(&site.root);
    left.retain(|path, _| !before.contains_key(path));
    let kept = ["/etc/tidegate", "/etc/tidegate/agent.toml", "/var/lib/tidegate-agent"];
    let kept = kept.iter().map(|path| site.at(path)).chain([site.at("/var/lib/tidegate-agent/user_ca.pub")]);
    assert_eq!(left.into_keys().collect::<Vec<_>>(), kept.collect::<Vec<_>>());
}

#[test]
fn a_dry_run_changes_nothing() {
    let scratch = Scratch::new();
    let site = site(scratch.path());
    let before = tree(&site.root);
    assert!(carry_out(&whole(&site), true).unwrap() > 8);
    assert_eq!(tree(&site.root), before);
}

#[test]
fn a_configuration_that_is_there_keeps_all_but_the_proxy() {
    let scratch = Scratch::new();
    let site = site(scratch.path());
    std::fs::create_dir_all(site.at("/etc/tidegate")).unwrap();
    let path = site.at("/etc/tidegate/agent.toml");
    std::fs::write(&path, "# mine\nproxy = \"old:1\"\n[log]\nlevel = \"debug\"\n").unwrap();
    carry_out(&unchecked(whole(&site)), false).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "# mine\nproxy = \"gate:7443\"\n[log]\nlevel = \"debug\"\n");
}

#[test]
fn a_configuration_that_cannot_be_read_is_not_written_over() {
    let scratch = Scratch::new();
    let site = site(scratch.path());
    std::fs::create_dir_all(site.at("/etc/tidegate")).unwrap();
    let path = site.at("/etc/tidegate/agent.toml");
    std::fs::write(&path, b"# gr\xfcn\nproxy = \"old:1\"\n").unwrap();
    let error = install(&site).unwrap_err().to_string();
    assert!(error.contains("agent.toml could not be read"), "{error}");
}

#[test]
fn the_include_for_sudo_moves_to_where_it_is_read_last_and_an_administrators_file_stays() {
    let scratch = Scratch::new();
    let site = site(scratch.path());
    let former = site.at("/etc/sudoers.d/tidegate");
    std::fs::write(&former, "# mine\n").unwrap();
    carry_out(&unchecked(install(&site).unwrap()), false).unwrap();
    assert!(former.exists());
    std::fs::write(&former, sudo_include()).unwrap();
    assert_eq!(carry_out(&unchecked(install(&site).unwrap()), false).unwrap(), 1);
    assert!(!former.exists() && site.at(INCLUDE).exists());
    std::fs::write(&former, sudo_include()).unwrap();
    carry_out(&uninstall(&site, false, false).1, false).unwrap();
    assert!(!former.exists() && !site.at(INCLUDE).exists());
}
