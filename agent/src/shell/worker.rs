//! The thread that takes away what is quick and hands on what is slow. It executes effects
//! in the order in which they were decided, so that a record is on disk before the change
//! it tells of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tidegate_common::wire::{FromAgent, Hello};

use super::again::Taken;
use super::journal::Journal;
use super::{Inbox, Message, SYSTEMD, leases};
use crate::clock;
use crate::core::{Delta, Effect, Event, Pace, Reaped, Record, Unit};
use crate::elevate::{Elevator, forget_passwords};
use crate::identity;
use crate::link::Link;
use crate::logins::Logins;
use crate::paths::Paths;
use crate::residue::{Job, Late, Lates, Notes, Reaper};
use crate::sshd;
use crate::witness::Witness;

/// Hands batches of effects over, and tells whether the thread is stuck.
#[derive(Debug)]
pub struct Worker {
    batches: Sender<Vec<Effect>>,
    /// Since when the thread has been at a batch, and the slow one at a change.
    busy_since: [Arc<AtomicU64>; 2],
}

/// Starts the thread that looks after processes.
///
/// # Errors
/// When the host has no thread left.
pub fn start_reaper(
    paths: Paths,
    grace: Duration,
    inbox: Inbox,
    notes: Notes,
    logins: Logins,
) -> std::io::Result<Sender<Job>> {
    let (jobs, queue) = channel();
    let tell = move |event| {
        if let Event::ProcessesEnded { session, reaped } = &event {
            notes.processes(*session, reaped.clone());
        }
        let _ = inbox.blocking_send(Message::Event(event));
    };
    let reaper = Reaper { paths, grace, systemd: SYSTEMD, logins, tell };
    std::thread::Builder::new().name("processes".to_owned()).spawn(move || reaper.work(&queue))?;
    Ok(jobs)
}

/// What the thread works with.
pub struct Tools {
    pub paths: Paths,
    pub elevator: Elevator,
    pub journal: Journal,
    pub host_keys: Vec<String>,
    pub reaper: Sender<Job>,
    pub notes: Notes,
    pub lates: Lates,
    pub link: Link,
    pub witness: Witness,
    pub logins: Logins,
    pub inbox: Inbox,
    /// Who looks again whether it stays away.
    pub again: Sender<Taken>,
    /// What the slow thread does.
    pub slow: Sender<Effect>,
    /// Since when it has been at a change, 0 when it is at none.
    pub slow_since: Arc<AtomicU64>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn start(tools: Tools) -> std::io::Result<Self> {
        let (batches, queue) = channel();
        let busy = Arc::new(AtomicU64::new(0));
        let busy_since = [Arc::clone(&busy), Arc::clone(&tools.slow_since)];
        std::thread::Builder::new().name("host".to_owned()).spawn(move || tools.work(&queue, &busy))?;
        Ok(Self { batches, busy_since })
    }

    /// Queues a batch; `false` when the thread is gone.
    #[must_use]
    pub fn give(&self, effects: Vec<Effect>) -> bool {
        effects.is_empty() || self.batches.send(effects).is_ok()
    }

    /// How long the batch or the slow change at hand has taken so far.
    #[must_use]
    pub fn busy_for(&self) -> Duration {
        let since = self.busy_since.iter().map(|since| since.load(Ordering::Relaxed));
        let since = since.filter(|since| *since > 0).min();
        since.map_or(Duration::ZERO, |since| Duration::from_micros(clock::now().boot.saturating_sub(since)))
    }
}

impl Tools {
    fn work(mut self, queue: &Receiver<Vec<Effect>>, busy: &AtomicU64) {
        loop {
            let Ok(effects) = queue.recv() else { return };
            busy.store(clock::now().boot, Ordering::Relaxed);
            for effect in effects {
                self.execute(effect);
            }
            busy.store(0, Ordering::Relaxed);
        }
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Plan { .. }
            | Effect::Apply { .. }
            | Effect::Extend { .. }
            | Effect::Retire { .. }
            | Effect::LetGo
            | Effect::Undo { pace: Pace::Slow, .. } => {
                // It ends with this thread, which owns the other end.
                let _ = self.slow.send(effect);
            }
            Effect::Preview { question, fresh, held } => {
                let lines = self.elevator.preview(fresh, &held);
                self.link.send(FromAgent::Planned { question, lines });
            }
            Effect::Journal { record, then } => {
                self.forget(&record);
                // Those who look for what a session leaves behind hear of it first.
                self.notes.record(&record);
                match self.journal.append(&record) {
                    Ok(()) => {
                        self.logins.follow(&record);
                        self.witness.follow(&record);
                        self.grant_again(&record);
                        then.into_iter().for_each(|effect| self.execute(effect));
                    }
                    Err(error) => {
                        self.notes.lost(&record, self.journal.ledger());
                        self.tell(Event::JournalFailed { record, why: error.to_string() });
                    }
                }
            }
            Effect::Undo { session, pace, units } => {
                let all: Vec<(Unit, Delta)> =
                    units.iter().map(|held| (held.unit.clone(), held.delta.clone())).collect();
                let (outcomes, lost) = self.elevator.take_away(units);
                let gone =
                    |unit: &Unit| outcomes.iter().any(|gone| gone.unit == *unit && gone.result.is_ok());
                let units = all.into_iter().filter(|(unit, _)| gone(unit)).collect();
                let _ = self.again.send(Taken { session, units });
                // Kept before the core hears of it: from its next record on, nothing else
                // tells who may still hold them.
                self.lates.add(Late { session, lost: lost.clone(), at: clock::now().boot });
                let _ = self.reaper.send(Job::Late { session, lost });
                self.tell(Event::Undone { session, pace, outcomes });
            }
            Effect::Trace { session, known } => {
                let _ = self.reaper.send(Job::Trace { session, known });
            }
            Effect::EndProcesses { session, known, powers } => {
                if self.reaper.send(Job::End { session, known, powers }).is_err() {
                    tracing::error!(%session, "nobody looks after processes any more");
                    let why = "whether its processes are ended: the thread that does it is gone";
                    let reaped = Reaped { unseen: [why.to_owned()].into(), ..Reaped::default() };
                    self.tell(Event::ProcessesEnded { session, reaped });
                }
            }
            Effect::Hello { live, standing } => {
                let hello = Hello {
                    host_keys: self.host_keys.clone(),
                    kinds: self.elevator.kinds(),
                    live,
                    standing,
                    witness: self.witness.sight(),
                    bound: sshd::is_bound(&self.paths),
                    explains: true,
                    remarks: true,
                    ..Hello::new(env!("CARGO_PKG_VERSION"))
                };
                self.link.send(FromAgent::Hello(hello));
            }
            Effect::Send(message) => self.link.send(message),
            Effect::TrustUserCa(keys) => {
                if let Err(error) = identity::trust_user_ca(&self.paths, &keys) {
                    tracing::error!(%error, "sshd will not know the proxy's user CA");
                }
            }
            Effect::KeepDeadlines { deadlines, ending } => {
                if let Err(error) = leases::keep(&self.paths, deadlines, ending) {
                    tracing::error!(%error, "the sweep will not know the leases");
                }
            }
            Effect::Warn(what) => tracing::warn!("{what}"),
            Effect::Exit => {
                let _ = self.inbox.blocking_send(Message::Finished);
            }
            Effect::HandOver { record, carried } => match self.journal.append(&record) {
                Ok(()) => {
                    let _ = self.inbox.blocking_send(Message::HandedOver(carried));
                }
                Err(error) => self.tell(Event::NotHandedOver { why: error.to_string() }),
            },
        }
    }

    /// Before a session's end is written: should the agent die here, the next one does it again.
    fn forget(&self, record: &Record) {
        if let Record::Ended { session } = record
            && let Some(entry) = self.journal.ledger().grants.get(session)
        {
            forget_passwords(&self.paths, &entry.account);
        }
    }

    /// Who holds what is about to be given is no longer looked for.
    fn grant_again(&mut self, record: &Record) {
        let Record::Granting { fresh, .. } = record else { return };
        let groups = self.elevator.groups_of(fresh.iter().map(|(unit, delta)| (unit, delta)));
        let groups: BTreeSet<_> = groups.into_iter().map(|(_, group)| group).collect();
        if !groups.is_empty() {
            self.lates.granted(&groups);
            let _ = self.reaper.send(Job::Granted(groups));
        }
    }

    fn tell(&self, event: Event) {
        let _ = self.inbox.blocking_send(Message::Event(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residue::{Beginning, Comparer};
    use crate::test::Scratch;
    use tidegate_common::id::SessionId;

    const GROUP: &str = "docker:x:998:\n";

    /// Executes a grant of one membership; returns what it said and the group file after it.
    fn grant(scratch: &Scratch, journal: Journal) -> (Vec<Message>, String) {
        let paths = scratch.paths().clone();
        std::fs::write(paths.etc.join("passwd"), "ops:x:1000:1000::/:/bin/sh\n").unwrap();
        std::fs::write(paths.etc.join("group"), GROUP).unwrap();
        let (inbox, mut said) = tokio::sync::mpsc::channel(8);
        let beginning =
            Beginning { ledger: journal.ledger().clone(), without: crate::elevate::without, at_once: false };
        let (slow, given) = channel();
        let mut tools = Tools {
            slow,
            again: channel().0,
            slow_since: Arc::default(),
            elevator: Elevator::new(paths.clone()),
            paths: paths.clone(),
            journal,
            host_keys: Vec::new(),
            reaper: channel().0,
            notes: Comparer::start(&paths, beginning, |_, _| true).unwrap(),
            lates: Lates::open(scratch.paths()),
            link: Link::default(),
            witness: Witness::default(),
            logins: Logins::default(),
            inbox,
        };
        let session = SessionId::new(1, 1);
        let account: tidegate_common::name::AccountName = "ops".parse().unwrap();
        let unit = Unit::Group { account: account.clone(), group: "docker".parse().unwrap() };
        let fresh = vec![(unit, Delta::Group { group: true, gshadow: false })];
        let apply = Effect::Apply { session, fresh: fresh.clone(), joined: Vec::new() };
        let record =
            Record::Granting { session, account, expires: None, gate: None, fresh, joined: Vec::new() };
        tools.execute(Effect::Journal { record, then: vec![apply] });
        drop(tools);
        let mut messages = Vec::new();
        while let Ok(message) = said.try_recv() {
            messages.push(message);
        }
        // As the other thread does.
        let mut elevator = Elevator::new(paths.clone());
        for effect in given {
            let Effect::Apply { session, fresh, joined } = effect else { panic!("{effect:?}") };
            let result = elevator.apply(&fresh, &joined);
            messages.push(Message::Event(Event::Applied { session, result }));
        }
        (messages, std::fs::read_to_string(paths.etc.join("group")).unwrap())
    }

    #[test]
    fn a_change_whose_record_is_not_on_disk_is_not_made_and_one_whose_is_is_made() {
        let scratch = Scratch::new();
        let (said, group) = grant(&scratch, Journal::full());
        assert!(matches!(&said[..], [Message::Event(Event::JournalFailed { .. })]), "{said:?}");
        assert_eq!(group, GROUP);
        let journal = Journal::open(&scratch.paths().journal()).unwrap();
        let (said, group) = grant(&scratch, journal);
        assert!(matches!(&said[..], [Message::Event(Event::Applied { result: Ok(_), .. })]), "{said:?}");
        assert_eq!(group, "docker:x:998:ops\n");
        assert!(!Journal::read(&scratch.paths().journal()).unwrap().held.is_empty());
    }
}
