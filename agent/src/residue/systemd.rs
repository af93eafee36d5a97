//! What the host's systemd says of its services: which process it runs for each. A process that
//! has no parent but systemd and is none of these was not begun by it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::TICKS;

/// How the host's systemd is reached.
#[derive(Debug, Clone, Copy)]
pub struct Systemd {
    /// Tells it to stop a service, without waiting for it.
    pub stop: fn(&str),
    /// These properties of all its services, as systemctl(1) shows them.
    pub show: fn(&[&str]) -> Option<String>,
}

/// What is asked of each service (org.freedesktop.systemd1(5)).
const PROPERTIES: [&str; 5] =
    ["Id", "MainPID", "ControlPID", "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic"];

/// How long an answer is good.
const GOOD: Duration = Duration::from_millis(200);

/// A daemon may still be on its way into the background when systemd takes it to be started, in
/// clock ticks.
const SLACK: u64 = TICKS;

/// When it was asked, and what it said, if it did.
type Answer = (Instant, Option<Rc<Mains>>);

/// Asks, and remembers the answer for a moment; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Services {
    systemd: Option<Systemd>,
    answer: Rc<RefCell<Option<Answer>>>,
}

/// The services, and their processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mains {
    units: BTreeMap<u32, String>,
    /// Services whose main process systemd does not know, and from when until when they were
    /// being started, in clock ticks since boot.
    starting: BTreeMap<String, (u64, u64)>,
}

impl Services {
    pub fn new(systemd: Systemd) -> Self {
        Self { systemd: Some(systemd), ..Self::default() }
    }

    /// `None` where systemd does not answer.
    pub fn mains(&self) -> Option<Rc<Mains>> {
        let mut answer = self.answer.borrow_mut();
        match &*answer {
            Some((at, mains)) if at.elapsed() < GOOD => mains.clone(),
            _ => {
                let text = self.systemd.and_then(|systemd| (systemd.show)(&PROPERTIES));
                let mains = text.map(|text| Rc::new(Mains::parse(&text, super::asleep())));
                *answer = Some((Instant::now(), mains.clone()));
                mains
            }
        }
    }
}

impl Mains {
    /// `asleep` is for how many clock ticks the host slept since it was booted, which systemd's
    /// times leave out.
    fn parse(text: &str, asleep: u64) -> Self {
        let mut all = Self::default();
        for unit in text.split("\n\n") {
            let value = |name: &str| {
                let value = |line: &str| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
                unit.lines().find_map(value).unwrap_or_default()
            };
            let number = |name: &str| value(name).parse::<u64>().unwrap_or_default();
            let ticks = |name: &str| number(name) / (1_000_000 / TICKS) + asleep;
            let id = value("Id");
            let pids = ["MainPID", "ControlPID"].map(|name| u32::try_from(number(name)).unwrap_or_default());
            for pid in pids.into_iter().filter(|pid| *pid > 0) {
                all.units.insert(pid, id.clone());
            }
            let since = ticks(PROPERTIES[3]);
            if pids[0] == 0 && number(PROPERTIES[3]) > 0 {
                all.starting.insert(id, (since, ticks(PROPERTIES[4]).max(since).saturating_add(SLACK)));
            }
        }
        all
    }

    /// The service whose process that is.
    pub fn unit_of(&self, pid: u32) -> Option<&str> {
        self.units.get(&pid).map(String::as_str)
    }

    /// Whether a service of which systemd knows no main process was being started at that time.
    pub fn was_starting(&self, service: &str, at: u64) -> bool {
        self.starting.get(service).is_some_and(|(from, until)| (*from..=*until).contains(&at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_processes_are_read_and_when_one_without_a_main_process_was_started() {
        let text = "MainPID=28\nControlPID=0\nId=dbus.service\nInactiveExitTimestampMonotonic=5000000\n\
            ActiveEnterTimestampMonotonic=5000000\n\n\
            MainPID=0\nControlPID=40\nId=old.service\nInactiveExitTimestampMonotonic=7000000\n\
            ActiveEnterTimestampMonotonic=8000000\n\n\
            MainPID=0\nControlPID=0\nId=never.service\nInactiveExitTimestampMonotonic=0\n\
            ActiveEnterTimestampMonotonic=0\n";
        let mains = Mains::parse(text, 50);
        assert_eq!((mains.unit_of(28), mains.unit_of(40)), (Some("dbus.service"), Some("old.service")));
        assert_eq!((mains.unit_of(0), mains.unit_of(1)), (None, None));
        let started = |at| mains.was_starting("old.service", at);
        assert!(!started(749) && started(750) && started(950) && !started(951));
        assert!(!mains.was_starting("dbus.service", 550) && !mains.was_starting("never.service", 50));
        assert_eq!(Mains::parse("", 0), Mains::default());
    }
}
