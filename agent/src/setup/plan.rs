//! What a host needs, as a list of changes in their order.

use std::io;
use std::path::{Path, PathBuf};

use tidegate_common::name::DeviceName;

use super::change::{Change, Check, DEADLINE};
use super::sudoers::{self, FORMER, INCLUDE};
use super::{SetupError, Site};
use crate::paths::Paths;
use crate::program;
use crate::shell::reload;
use crate::sshd::DROP_IN;

const AGENT: &str = "tidegate-agent.service";
const UNITS: [(&str, &str); 3] = [
    (AGENT, include_str!("../../../systemd/tidegate-agent.service")),
    ("tidegate-sweep.service", include_str!("../../../systemd/tidegate-sweep.service")),
    ("tidegate-sweep.timer", include_str!("../../../systemd/tidegate-sweep.timer")),
];
const TMPFILES: &str = include_str!("../../../systemd/tidegate.tmpfiles");
const CONFIG: &str = include_str!("../../../config/agent.toml");

/// Where the program is when no package put it there; the units name the package's place.
const PLACE: &str = "/usr/local/bin/tidegate-agent";
const PACKAGED: &str = "/usr/bin/tidegate-agent";
const UNITS_PLACE: &str = "/etc/systemd/system";
const PACKAGED_UNITS: &str = "/usr/lib/systemd/system";
const CONFIG_PLACE: &str = "/etc/tidegate/agent.toml";
const TMPFILES_PLACE: &str = "/etc/tmpfiles.d/tidegate.conf";
const STATE: &str = "/var/lib/tidegate-agent";
const RUN: &str = "/run/tidegate";

/// Files first, each checked by the host; then the services. What the package brings
/// is left to it, and what an installation without it wrote in the same places goes.
///
/// # Errors
/// When the program itself or the configuration that is there cannot be read.
pub fn install(site: &Site) -> Result<Vec<Change>, SetupError> {
    let file = |path: &str, content: &str, mode, check| Change::File {
        path: site.at(path),
        content: content.as_bytes().to_vec(),
        mode,
        check,
    };
    let directory = |path: &str, mode| Change::Directory { path: site.at(path), mode };
    let mut changes = Vec::new();
    if place(site) == PACKAGED {
        changes.extend(by_hand(site).into_iter().map(Change::RemoveFile));
    } else {
        let content = std::fs::read(&site.program)
            .map_err(|source| SetupError::File { path: site.program.clone(), source })?;
        changes.push(Change::File { path: site.at(PLACE), content, mode: 0o755, check: Check::None });
        changes.push(file(TMPFILES_PLACE, TMPFILES, 0o644, Check::None));
        changes.extend(UNITS.map(|(name, text)| {
            let text = text.replace(PACKAGED, PLACE);
            file(&format!("{UNITS_PLACE}/{name}"), &text, 0o644, Check::None)
        }));
    }
    changes.extend([
        directory("/etc/tidegate", 0o755),
        file(CONFIG_PLACE, &config(site)?, 0o644, Check::None),
        directory(STATE, 0o700),
        directory(RUN, 0o755),
        directory("/run/tidegate/sudoers.d", 0o755),
    ]);
    if site.sudo {
        changes.push(file(INCLUDE, &sudoers::include(), 0o440, Check::Sudoers));
    }
    changes.extend(former(site).map(Change::RemoveFile));
    Ok(changes)
}

/// What sshd is told, once it is known as which device this host is enrolled.
#[must_use]
pub fn way_in(site: &Site, device: &DeviceName) -> Vec<Change> {
    let text = site.sshd.drop_in(device).into_bytes();
    let told = Change::File { path: site.at(DROP_IN), content: text, mode: 0o644, check: Check::Sshd };
    let reload = site.sshd.unit.filter(|_| !told.is_done());
    // sshd complains in its log about a file it is told of and does not find.
    let user_ca = site.at(&format!("{STATE}/user_ca.pub"));
    let missing = (!user_ca.exists()).then(|| Change::File {
        path: user_ca,
        content: Vec::new(),
        mode: 0o644,
        check: Check::None,
    });
    let reload = reload.map(|unit| run("systemctl", &["reload", unit], None));
    missing.into_iter().chain([told]).chain(reload).collect()
}

/// What becomes of the agent once something was installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// None runs, or one that cannot make way for another.
    Restarts,
    /// It makes way for what was installed, and no grant ends by it.
    Reloads,
}

impl Running {
    /// Asks systemd and the agent that runs.
    #[must_use]
    pub fn on(site: &Site, paths: &Paths) -> Self {
        let unit = program::run("systemctl", &["show", "-P", "CanReload", AGENT], DEADLINE);
        let unit = unit.is_ok_and(|answer| answer.text.trim() == "yes");
        // An agent goes on from its own place only.
        if unit && reload::runs_from(paths).is_some_and(|program| program == Path::new(place(site))) {
            Self::Reloads
        } else {
            Self::Restarts
        }
    }
}

/// Starts what was installed, anew when something of it `changed`. Apart, because
/// the agent has to be enrolled before.
#[must_use]
pub fn start(changed: bool, running: Running) -> Vec<Change> {
    let active = ["is-active", "--quiet", AGENT];
    let timer = ["is-active", "--quiet", "tidegate-sweep.timer"];
    let unless = |words| Some(("systemctl", words)).filter(|_| !changed);
    let mut changes = Vec::new();
    if changed {
        changes.push(run("systemctl", &["daemon-reload"], None));
    }
    let verb = match running {
        Running::Reloads if changed => "reload",
        Running::Reloads | Running::Restarts => "restart",
    };
    // Of several units systemctl says yes when one is.
    changes.extend(UNITS.map(|(unit, _)| {
        run("systemctl", &["enable", unit], Some(("systemctl", &["is-enabled", "--quiet", unit])))
    }));
    changes.extend([
        run("systemctl", &["start", "tidegate-sweep.timer"], Some(("systemctl", timer.as_slice()))),
        run("systemctl", &[verb, AGENT], unless(active.as_slice())),
    ]);
    changes
}

/// The include for sudo in its former place, if it is that.
fn former(site: &Site) -> Option<PathBuf> {
    let path = site.at(FORMER);
    std::fs::read(&path).is_ok_and(|content| content == sudoers::include().as_bytes()).then_some(path)
}

/// Where the program is that the units name.
fn place(site: &Site) -> &'static str {
    if site.program == Path::new(PACKAGED) && is_packaged(site) { PACKAGED } else { PLACE }
}

/// Whether the Debian package is there.
fn is_packaged(site: &Site) -> bool {
    UNITS.iter().all(|(name, _)| site.at(&format!("{PACKAGED_UNITS}/{name}")).exists())
}

/// What `install` writes where no package does. Beside the package it was written only if
/// the program, the last to go, is there too; otherwise a unit there is an administrator's.
fn by_hand(site: &Site) -> Vec<PathBuf> {
    if is_packaged(site) && !site.at(PLACE).exists() {
        return Vec::new();
    }
    let units = UNITS.map(|(name, _)| format!("{UNITS_PLACE}/{name}"));
    let files = units.iter().map(String::as_str).chain([TMPFILES_PLACE, PLACE]);
    files.map(|path| site.at(path)).collect()
}

/// What stops the agent, and what takes everything away that an installation made;
/// with `keep`, but for what another `install` needs to go on.
#[must_use]
pub fn uninstall(site: &Site, systemd: bool, keep: bool) -> (Vec<Change>, Vec<Change>) {
    let mut stop = Vec::new();
    let mut changes = Vec::new();
    let is_unit = |name: &str| site.at(&format!("{UNITS_PLACE}/{name}")).exists();
    let installed = is_packaged(site) || UNITS.iter().any(|(name, _)| is_unit(name));
    if systemd && installed {
        let units: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
        stop.push(run("systemctl", &[&["disable", "--now"], units.as_slice()].concat(), None));
    }
    let dropped = site.at(DROP_IN).exists();
    let files = [DROP_IN, INCLUDE].map(|path| site.at(path));
    let files = files.into_iter().chain(former(site)).chain(by_hand(site));
    changes.extend(files.map(Change::RemoveFile));
    changes.push(Change::RemoveTree(site.at(RUN)));
    if !keep {
        changes.push(Change::RemoveFile(site.at(CONFIG_PLACE)));
        changes.push(Change::RemoveDirectory(site.at("/etc/tidegate")));
        changes.push(Change::RemoveTree(site.at(STATE)));
    }
    if systemd && installed {
        changes.push(run("systemctl", &["daemon-reload"], None));
    }
    changes.extend(site.sshd.unit.filter(|_| dropped).map(|unit| run("systemctl", &["reload", unit], None)));
    (stop, changes)
}

fn run(program: &'static str, arguments: &[&str], unless: Option<(&'static str, &[&str])>) -> Change {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let unless = unless.map(|(program, words)| (program, owned(words)));
    Change::Run { program, arguments: owned(arguments), unless }
}

/// The configuration that is there with the proxy's address set, or the example.
fn config(site: &Site) -> Result<String, SetupError> {
    let path = site.at(CONFIG_PLACE);
    let there = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => CONFIG.to_owned(),
        there => there.map_err(|source| SetupError::Unread { path, source })?,
    };
    let proxy = format!("proxy = \"{}\"", site.proxy);
    let mut set = false;
    let mut lines: Vec<String> = there
        .lines()
        .map(|line| {
            let is_proxy = line
                .trim_start()
                .strip_prefix("proxy")
                .is_some_and(|rest| rest.trim_start().starts_with('='));
            if is_proxy && !set {
                set = true;
                proxy.clone()
            } else {
                line.to_owned()
            }
        })
        .collect();
    if !set {
        lines.insert(0, proxy);
    }
    Ok(lines.join("\n") + "\n")
}
