//! What others started on a session's behalf: a service that the host's systemd or another
//! account's was asked for, and a job that at(1) has run, or cron(8) from a table that changed.
//! The kernel says who started it (they did), not who asked, so a heuristic says that: it began
//! while the session lived, it is of a kind that somebody asks for by hand, and nobody else was
//! logged in who could have. Where somebody was, it goes on and is told. What a session without
//! privileges on an account without power asked for is its account's only.
//!
//! It fails where root feigns: a job in at's spool that at did not write, a line of cron's that
//! reads as one of the host's does and runs another program, a job that puts off its audit session
//! and leaves its service. And a job of the host's that cron begins while a session changes a
//! table goes with it where its line cannot be found again: it left its parents, or has a `%`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::super::{Leaving, TICKS};
use super::Table;
use crate::process::{self, Process, Status, uid_of};

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

/// What runs jobs of others when their time has come.
#[derive(Debug)]
struct Runner {
    services: &'static [&'static str],
    /// Its program, which each job's login is also kept open by.
    programs: &'static [&'static [u8]],
    /// Of these files, and of those in these directories, one changes with each new job.
    asked: &'static [&'static str],
    /// They are tables, whose jobs come again and again.
    tables: bool,
}

/// at(1) and cron(8), where Debian's and others' have theirs.
const RUNNERS: [Runner; 2] = [
    Runner {
        services: &["atd.service"],
        programs: &[b"atd"],
        asked: &["var/spool/cron/atjobs/.SEQ", "var/spool/at/.SEQ"],
        tables: false,
    },
    Runner {
        services: &["cron.service", "crond.service", "cronie.service"],
        programs: &[b"cron", b"crond"],
        asked: &[
            "etc/crontab",
            "etc/cron.d",
            "var/spool/cron",
            "var/spool/cron/crontabs",
            "var/spool/cron/tabs",
        ],
        tables: true,
    },
];

/// How many files of a directory are looked at, and how much of one, in bytes.
const MOST_FILES: usize = 1024;
const MOST_TABLE: u64 = 256 * 1024;

/// How many processes a job's is looked for above another.
const MOST_ABOVE: usize = 64;

impl Table {
    /// Processes that were started for the session by others.
    pub(super) fn started_for(&self, leaving: &Leaving, found: &BTreeSet<u32>) -> BTreeSet<u32> {
        self.asked_for(leaving, found, true)
    }

    /// Those of which nobody can say whether they were: somebody else was logged in.
    pub(super) fn unclear_jobs(&self, leaving: &Leaving, found: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut others = self.asked_for(leaving, found, false);
        let told = |process: &Process| process.marker.is_none() && self.touchable(process);
        others.retain(|pid| self.get(*pid).is_some_and(told));
        others
    }

    /// What began while the session lived and is of a kind that somebody asks for, where nobody
    /// else could have, or where somebody could.
    fn asked_for(&self, leaving: &Leaving, found: &BTreeSet<u32>, by_nobody_else: bool) -> BTreeSet<u32> {
        let Some(since) = self.since(found, &leaving.known) else { return BTreeSet::new() };
        let scopes = self.scopes_of(leaving, found);
        let uids: BTreeSet<u32> = scopes.iter().filter_map(|scope| uid_of(scope)).collect();
        // Whoever came later has not asked for it.
        let others = self.other_logins(&scopes, since);
        let nobody_else = |start: u64| others.values().all(|login| login.began > start);
        let due = |process: &Process| process.start >= since && nobody_else(process.start) == by_nobody_else;
        let asked: Vec<&Runner> =
            RUNNERS.iter().filter(|runner| self.changed_since(runner.asked, since)).collect();
        let mine = |owner: u32| uids.contains(&owner) || (leaving.powers && owner == 0);
        let is_its = |process: &Process| match (process.manager, process.service.as_deref()) {
            (Some(at), _) => leaving.powers && !at.itself && self.was_asked_of(at.uid, process),
            (None, Some(service)) if runner_of(service).is_some() => {
                self.is_job(process, &asked, &mine, since)
            }
            (None, Some(_)) => false,
            // A job that root took out of the service still has the audit session that it was given.
            (None, None) => {
                process.scope.is_none()
                    && process.audit.is_some()
                    && self.is_job(process, &asked, &mine, since)
            }
        };
        let its = self.all.values().filter(|process| due(process) && is_its(process));
        let mut started: BTreeSet<u32> = its.map(|process| process.pid).collect();
        for (service, processes) in self.services() {
            let begun = processes.iter().map(|process| process.start).min().unwrap_or_default();
            let whole = leaving.powers && begun >= since && runner_of(service).is_none();
            if whole && self.was_asked_for(service) {
                started.extend(processes.iter().filter(|process| due(process)).map(|process| process.pid));
            }
        }
        for login in self.logins_asked_for(&scopes, since).filter(|_| leaving.powers) {
            if login.unit.is_some() && nobody_else(login.began) == by_nobody_else {
                started.extend(login.processes);
            }
        }
        started
    }

    /// Of these processes of an ending, the services to stop: systemd may start again what is only
    /// ended.
    #[must_use]
    pub fn services_of(&self, leaving: &Leaving, found: &BTreeSet<u32>) -> BTreeSet<String> {
        let services = found.iter().filter_map(|pid| self.get(*pid)?.service.as_deref());
        let asked = services.filter(|service| runner_of(service).is_none() && self.was_asked_for(service));
        let mut asked: BTreeSet<String> = asked.map(str::to_owned).collect();
        let its = leaving.session.map(|session| self.of_session(session, &leaving.known)).unwrap_or_default();
        if let Some(since) = self.since(&its, &leaving.known) {
            let scopes = self.scopes_of(leaving, &its);
            let logins = self.logins_asked_for(&scopes, since);
            let logins = logins.filter(|login| !login.processes.is_disjoint(found));
            asked.extend(logins.filter_map(|login| login.unit));
        }
        asked
    }

    pub(super) fn scopes_of(&self, leaving: &Leaving, found: &BTreeSet<u32>) -> BTreeSet<String> {
        let mut scopes = leaving.known.scopes.clone();
        scopes.extend(found.iter().filter_map(|pid| self.get(*pid)?.scope.clone()));
        scopes
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
    pub(super) fn was_asked_for(&self, service: &str) -> bool {
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

    /// The same of a unit of an account's own systemd.
    fn was_asked_of(&self, uid: u32, process: &Process) -> bool {
        let parts = process.cgroup.iter().flat_map(|path| path.split(|byte| *byte == b'/'));
        let unit = parts.filter(|part| part.ends_with(b".service")).nth(1).map(OsStr::from_bytes);
        let units = self.root.join(format!("run/user/{uid}/systemd/transient"));
        unit.is_some_and(|unit| units.join(unit).symlink_metadata().is_ok())
    }

    /// Whether it is a job of one of these that was the session's to ask for. A job has its
    /// owner's login id; one of root's may have put that off.
    fn is_job(&self, process: &Process, asked: &[&Runner], mine: &impl Fn(u32) -> bool, since: u64) -> bool {
        let service = process.service.as_deref();
        let may_be_by = |runner: &&&Runner| service.is_none_or(|service| runner.services.contains(&service));
        let by = asked.iter().filter(may_be_by);
        !self.is_runners(process)
            && self.owner(process).is_some_and(mine)
            && by.into_iter().any(|runner| !runner.tables || !self.was_due(process, since))
    }

    fn owner(&self, process: &Process) -> Option<u32> {
        let directory = self.proc.join(process.pid.to_string());
        match process.audit {
            Some(_) => std::fs::read_to_string(directory.join("loginuid")).ok()?.trim().parse().ok(),
            None => Status::read(&directory)?.uids.get(2).copied(),
        }
    }

    /// Whether it is the daemon, or what of it waits for a job and keeps the job's login open.
    fn is_runners(&self, process: &Process) -> bool {
        let daemon = |process: &Process| process.audit.is_none() && self.runs_jobs(process);
        daemon(process) || (self.runs_jobs(process) && self.parent(process.pid).is_some_and(daemon))
    }

    /// By its program: a name proves nothing.
    fn runs_jobs(&self, process: &Process) -> bool {
        let names = RUNNERS.iter().flat_map(|runner| runner.programs);
        let program = self.proc.join(process.pid.to_string()).join("exe");
        let is_it = |name: &[u8]| {
            // Nothing can be read of one that is ending.
            std::fs::read_link(&program).map_or(true, |program| {
                let path = program.as_os_str().as_bytes();
                let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
                process::is_installed(path) && path.rsplit(|byte| *byte == b'/').next() == Some(name)
            })
        };
        names.into_iter().any(|name| process.comm == *name && is_it(name))
    }

    /// Whether cron started it for a line that the session did not touch: the whole command of a
    /// table that has not changed since.
    pub(super) fn was_due(&self, process: &Process, since: u64) -> bool {
        let mut line = vec![process];
        while let Some(parent) = line.last().and_then(|last| self.parent(last.pid))
            && line.len() < MOST_ABOVE
            && !self.runs_jobs(parent)
        {
            line.push(parent);
        }
        // Whoever left its parents could have been started by anything.
        let Some(top) = line.last().filter(|top| self.parent(top.pid).is_some_and(|parent| parent.pid > 1))
        else {
            return false;
        };
        let Ok(words) = std::fs::read(self.proc.join(top.pid.to_string()).join("cmdline")) else {
            return false;
        };
        let words: Vec<&[u8]> =
            words.strip_suffix(b"\0").unwrap_or(&words).split(|byte| *byte == 0).collect();
        let command = match words.as_slice() {
            [_, b"-c", command] => command.to_vec(),
            words => words.join(&b' '),
        };
        let tables =
            RUNNERS.iter().filter(|runner| runner.tables).flat_map(|runner| self.files(runner.asked));
        let old = tables.filter(|table| !is_changed(table, seconds(since)));
        let holds = |table: PathBuf| {
            let mut text = Vec::new();
            let file = File::open(table).map(|file| file.take(MOST_TABLE).read_to_end(&mut text));
            let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
            file.is_ok() && lines.any(|line| line.first() != Some(&b'#') && is_last(line, &command))
        };
        !command.is_empty() && old.into_iter().any(holds)
    }

    /// These files, and those in these directories.
    fn files(&self, places: &[&str]) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for place in places.iter().map(|place| self.root.join(place)) {
            let there = std::fs::read_dir(&place).into_iter().flatten().flatten().take(MOST_FILES);
            let there = there.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
            files.extend(there.map(|entry| entry.path()));
            files.push(place);
        }
        files
    }

    /// Whether one of these has changed since that many clock ticks after the boot.
    fn changed_since(&self, places: &[&str], since: u64) -> bool {
        self.files(places).iter().any(|path| is_changed(path, seconds(since)))
    }
}

/// That many clock ticks after the boot, in seconds as file systems count them.
fn seconds(ticks: u64) -> u64 {
    let clock = |id: ClockId| clock_gettime(id).map(Duration::from).unwrap_or_default();
    let boot = clock(ClockId::CLOCK_REALTIME).saturating_sub(clock(ClockId::CLOCK_BOOTTIME));
    boot.as_secs().saturating_add(ticks / TICKS)
}

fn is_changed(path: &Path, since: u64) -> bool {
    path.symlink_metadata().is_ok_and(|found| u64::try_from(found.ctime()).is_ok_and(|at| at >= since))
}

/// Whether it is the command at the end of a table's line.
fn is_last(line: &[u8], command: &[u8]) -> bool {
    line.strip_suffix(command).is_some_and(|before| before.last().is_some_and(u8::is_ascii_whitespace))
}

fn runner_of(service: &str) -> Option<&'static Runner> {
    RUNNERS.iter().find(|runner| runner.services.contains(&service))
}
