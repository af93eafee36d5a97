//! What others started on a session's behalf: a service that the host's systemd was asked
//! for, and a job that at(1) has run. The kernel says who started it (they did), not who
//! asked, so a heuristic says that: it began while the session lived, it is of a kind that
//! somebody asks for by hand, and nobody else was logged in who could have. What a session
//! without privileges on an account without power asked for is its account's only.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::super::process::{Process, uid_of};
use super::super::{Leaving, TICKS};
use super::Table;

/// Where systemd keeps units, the host's own and those that were generated (systemd.unit(5)).
const UNITS: [&str; 11] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator",
    "run/systemd/generator.early",
    "run/systemd/generator.late",
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/system.attached",
];

/// Units that somebody asked for and nobody wrote.
const TRANSIENT: &str = "run/systemd/transient";

/// The service that runs at's jobs, and the file that each new job changes (Debian's at, and
/// others').
const ATD: &str = "atd.service";
const LAST_JOB: [&str; 2] = ["var/spool/cron/atjobs/.SEQ", "var/spool/at/.SEQ"];

impl Table {
    /// Processes that were started for the session by others.
    pub(super) fn started_for(&self, leaving: &Leaving, found: &BTreeSet<u32>) -> BTreeSet<u32> {
        let Some(since) = self.since(found, &leaving.known) else { return BTreeSet::new() };
        let mut scopes = leaving.known.scopes.clone();
        scopes.extend(found.iter().filter_map(|pid| self.get(*pid)?.scope.clone()));
        let uids: BTreeSet<u32> = scopes.iter().filter_map(|scope| uid_of(scope)).collect();
        // Whoever came later has not asked for it.
        let others = self.other_logins(&scopes);
        let nobody_else = |start: u64| others.values().all(|(login, _)| *login > start);
        let mut started = BTreeSet::new();
        for (service, processes) in self.services() {
            let begun = processes.iter().map(|process| process.start).min().unwrap_or_default();
            let its = match service {
                ATD => {
                    let asked = self.changed_since(&LAST_JOB, since);
                    processes
                        .into_iter()
                        .filter(|process| asked && self.is_job(process, &uids, leaving))
                        .collect()
                }
                _ if leaving.powers && begun >= since && self.was_asked_for(service) => processes,
                _ => Vec::new(),
            };
            let its = its.iter().filter(|process| process.start >= since && nobody_else(process.start));
            started.extend(its.map(|process| process.pid));
        }
        started
    }

    /// Of these processes, the services to stop: systemd may start again what is only ended.
    #[must_use]
    pub fn services_of(&self, found: &BTreeSet<u32>) -> BTreeSet<String> {
        let services = found.iter().filter_map(|pid| self.get(*pid)?.service.as_deref());
        let asked = services.filter(|service| *service != ATD && self.was_asked_for(service));
        asked.map(str::to_owned).collect()
    }

    fn services(&self) -> BTreeMap<&str, Vec<&Process>> {
        let mut services: BTreeMap<&str, Vec<&Process>> = BTreeMap::new();
        for process in self.all.values() {
            if let Some(service) = &process.service {
                services.entry(service).or_default().push(process);
            }
        }
        services
    }

    /// Whether no file of the host is behind the unit: it came by a call, or its file is gone.
    fn was_asked_for(&self, service: &str) -> bool {
        let there = |place: &str, name: &str| self.root.join(place).join(name).symlink_metadata().is_ok();
        if there(TRANSIENT, service) {
            return true;
        }
        let template = service.split_once('@').map(|(name, _)| format!("{name}@.service"));
        let names = [Some(service.to_owned()), template];
        let written = names.into_iter().flatten().any(|name| UNITS.iter().any(|place| there(place, &name)));
        // Where no units are at all, systemd's are elsewhere and nothing can be said.
        !written && self.root.join("run/systemd/system").is_dir()
    }

    /// A job has its owner's login id; the daemon that runs it has none.
    fn is_job(&self, process: &Process, uids: &BTreeSet<u32>, leaving: &Leaving) -> bool {
        let path = self.proc.join(process.pid.to_string()).join("loginuid");
        let owner = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
        process.audit.is_some()
            && owner.is_some_and(|owner| uids.contains(&owner) || (leaving.powers && owner == 0))
    }

    /// Whether one of these has changed since that many clock ticks after the boot.
    fn changed_since(&self, places: &[&str], since: u64) -> bool {
        let clock = |id: ClockId| clock_gettime(id).map(Duration::from).unwrap_or_default();
        let boot = clock(ClockId::CLOCK_REALTIME).saturating_sub(clock(ClockId::CLOCK_BOOTTIME));
        let since = boot.as_secs().saturating_add(since / TICKS);
        let changed = |path: &Path| {
            path.symlink_metadata()
                .is_ok_and(|found| u64::try_from(found.ctime()).is_ok_and(|at| at >= since))
        };
        places.iter().any(|place| changed(&self.root.join(place)))
    }
}
