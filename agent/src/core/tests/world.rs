//! What is around a core: its host, its disk, the loop with its queues, the network and
//! the proxies. Everything that can go wrong in between is an act of the model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidegate_common::id::SessionId;
use tidegate_common::wire::{FromAgent, FromProxy, GrantOrder};

use super::super::*;
use super::network::{Proxy, gate};
use super::{name, now_at};
// The same bytes as in production, so that a cut record is cut as there.
use crate::shell::journal::{encode, ledger_of};

pub const LEASE: u64 = 30_000_000;

/// Where an agent goes when it does not run on.
pub enum Next {
    /// Another begins with what is on disk; the sweep may have run before it.
    Fresh { swept: bool },
    /// Another takes its place.
    TakesOver(Carried),
}

#[derive(Default)]
pub struct World {
    pub(super) state: State,
    /// What the worker still has to do, and what it and others have to say to the loop.
    pub(super) work: VecDeque<Effect>,
    /// What the slow thread still has to do.
    pub(super) slow: VecDeque<Effect>,
    pub(super) inbox: VecDeque<Event>,
    /// Nobody else changes accounts: something is planned.
    pub(super) locked: bool,
    pub(super) journal: Vec<u8>,
    /// The leases, when they were kept since the boot and the sweep.
    pub(super) deadlines: Option<BTreeMap<SessionId, u64>>,
    pub(super) ending: BTreeSet<SessionId>,
    /// What is on the host, and what would be there without Tidegate.
    pub(super) host: BTreeSet<String>,
    pub(super) theirs: BTreeSet<String>,
    /// When the accounts expire that are there for a session.
    pub(super) days: BTreeMap<SessionId, jiff::Timestamp>,
    /// What somebody took away while it was granted.
    pub(super) taken: BTreeSet<String>,
    pub(super) told: Vec<FromAgent>,
    pub(super) time: u64,
    /// By how much somebody set the calendar, in microseconds.
    pub(super) wall: i64,
    pub(super) failures: u16,
    /// Messages on their way, each with its link.
    pub(super) down: VecDeque<FromProxy>,
    pub(super) up: VecDeque<(usize, FromAgent)>,
    pub(super) proxies: [Proxy; 2],
    /// Which proxy the link of the moment leads to.
    pub(super) linked: Option<usize>,
    pub(super) orders: BTreeMap<SessionId, GrantOrder>,
    /// Later ends that the agent was told of.
    pub(super) later_ends: BTreeSet<(SessionId, jiff::Timestamp)>,
    /// Until when the last word of a proxy lets each session live.
    pub(super) word: BTreeMap<SessionId, u64>,
    pub(super) lease: u64,
    /// Sessions whose undo found something changed, as this agent knows.
    pub(super) drifted: BTreeSet<SessionId>,
    pub(super) granted: BTreeSet<SessionId>,
}

/// The account that was created for the session, as the journal has it.
fn created(disk: &Ledger, session: SessionId) -> Vec<Held> {
    let held = disk.held.iter().filter(|held| held.holders.contains(&session));
    held.filter(|held| matches!(held.unit, Unit::Created { .. })).cloned().collect()
}

impl World {
    pub(super) fn new() -> Self {
        let before = BTreeSet::from(["g0".to_owned()]);
        let mut world = Self { host: before.clone(), theirs: before, lease: LEASE, ..Self::default() };
        world.give(Event::Started { deadlines: BTreeMap::new(), carried: None });
        world.link(0, LEASE);
        world.down_all();
        world
    }

    /// What the journal on disk adds up to.
    pub(super) fn disk(&self) -> Ledger {
        let (ledger, damaged) = ledger_of(&self.journal);
        assert_eq!(damaged, 0, "a record in the middle was damaged");
        ledger
    }

    pub(super) fn now(&self) -> Now {
        now_at(self.time, self.wall)
    }

    pub(super) fn give(&mut self, event: Event) {
        self.hear_of(&event);
        let state = std::mem::take(&mut self.state);
        let before: BTreeSet<SessionId> = state.grants.keys().copied().collect();
        let (state, effects) = step(state, event, self.now());
        self.state = state;
        for effect in &effects {
            if let Effect::Send(FromAgent::Ended { session, ended }) = effect
                && before.contains(session)
            {
                self.is_told_whole(*session, ended.standing.is_empty());
            }
        }
        self.work.extend(effects);
    }

    /// Notes how long the word of a proxy lets sessions live: from when the agent acts on it.
    fn hear_of(&mut self, event: &Event) {
        if let Event::NotHandedOver { .. } = event {
            let later = std::mem::take(&mut self.state.later);
            later.iter().for_each(|event| self.note(event));
            self.state.later = later;
        } else if !self.state.is_handed_over() {
            self.note(event);
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Proxy(FromProxy::Welcome(welcome)) => self.lease = welcome.lease_millis * 1000,
            Event::Proxy(FromProxy::Grant(order)) if !self.state.grants.contains_key(&order.session) => {
                self.orders.entry(order.session).or_insert_with(|| order.clone());
                self.word.insert(order.session, self.time + self.lease);
            }
            Event::Proxy(FromProxy::Extend { session, until, .. }) => {
                self.later_ends.insert((*session, *until));
            }
            Event::Proxy(FromProxy::Lease { gate, live }) => {
                // Nobody lives by the word of another gate. A lease that became shorter is the next
                // agent's only once it was kept.
                let of_gate = |session: &&SessionId| {
                    let of = self.orders.get(session).and_then(|order| order.gate.as_ref());
                    of.is_none() || of == gate.as_ref()
                };
                for session in live.iter().filter(of_gate) {
                    let word = self.word.entry(*session).or_default();
                    *word = (*word).max(self.time + self.lease);
                }
            }
            _ => {}
        }
    }

    /// One record goes to the disk, or a part of it, or an error comes back.
    pub(super) fn append(&mut self, record: &Record, cut: Option<u8>) -> bool {
        let bytes = encode(record).unwrap();
        let length = match cut {
            Some(cut) => bytes.len() * usize::from(cut) / 256,
            None if self.fails() => return false,
            None => bytes.len(),
        };
        self.journal.extend(&bytes[..length]);
        true
    }

    /// The worker does the next thing; tells whether there was one.
    pub(super) fn work_one(&mut self) -> bool {
        let Some(effect) = self.work.pop_front() else { return false };
        match effect {
            Effect::Plan { .. }
            | Effect::Apply { .. }
            | Effect::Extend { .. }
            | Effect::Retire { .. }
            | Effect::LetGo
            | Effect::Undo { pace: Pace::Slow, .. } => self.slow.push_back(effect),
            effect => self.execute(effect),
        }
        true
    }

    /// The slow thread does the next thing; tells whether there was one.
    pub(super) fn slow_one(&mut self) -> bool {
        let Some(effect) = self.slow.pop_front() else { return false };
        self.execute(effect);
        true
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Plan { session, units } => {
                let plan = match units.first() {
                    Some(unit) if self.fails() => Err(unit.failure("cannot be looked at")),
                    _ => Ok(units.into_iter().map(|unit| self.plan(session, unit)).collect()),
                };
                self.locked = plan.is_ok();
                self.inbox.push_back(Event::Planned { session, plan });
            }
            Effect::Journal { record, then } => {
                if self.append(&record, None) {
                    then.into_iter().rev().for_each(|effect| self.work.push_front(effect));
                } else {
                    self.inbox.push_back(Event::JournalFailed { record, why: "disk full".to_owned() });
                }
            }
            Effect::LetGo => self.locked = false,
            Effect::Apply { session, fresh, joined } => {
                self.locked = false;
                let order = self.orders[&session].clone();
                let result = self.apply(&order, &fresh, &joined).map(|()| Vec::new());
                self.inbox.push_back(Event::Applied { session, result });
            }
            Effect::Extend { session, from, until, fresh, joined, accounts } => {
                self.locked = false;
                assert!(self.later_ends.contains(&(session, until)), "{session} was to end otherwise");
                let disk = self.disk();
                let entry = disk.grants.get(&session);
                assert!(entry.is_none_or(|entry| entry.extending == Some(until)), "no record of the end");
                assert!(entry.is_none_or(|entry| entry.expires < Some(until)), "{session} ends then already");
                let order = GrantOrder { expires: Some(until), ..self.orders[&session].clone() };
                if entry.is_some() {
                    assert_eq!(accounts, created(&disk, session), "other accounts than {session} has");
                }
                let result = self.apply(&order, &fresh, &joined);
                let result = result
                    .and_then(|()| self.may_expire_later(session, from, &accounts).map_err(NotApplied::from));
                self.inbox.push_back(Event::Extended { session, result });
            }
            Effect::Retire { session, from, until, accounts, units } => {
                let expires = self.expire_later(session, from, until, &accounts);
                let outcomes = units.into_iter().map(|held| self.undo(held)).collect();
                self.inbox.push_back(Event::Retired { session, expires, outcomes });
            }
            Effect::Undo { session, pace, units } => {
                assert!(units.iter().all(|held| held.unit.pace() == pace), "{units:?} at another pace");
                let outcomes: Vec<Gone> = units.into_iter().map(|held| self.undo(held)).collect();
                if outcomes.iter().any(|gone| matches!(gone.result, Ok(Some(_)))) {
                    self.drifted.extend(session);
                }
                self.inbox.push_back(Event::Undone { session, pace, outcomes });
            }
            Effect::Trace { session, mut known } => {
                known.audit.insert(7);
                self.inbox.push_back(Event::Traced { session, traces: known });
            }
            Effect::EndProcesses { session, .. } => {
                self.inbox.push_back(Event::ProcessesEnded { session, reaped: Reaped::default() });
            }
            Effect::Hello { live, standing } => self.send(super::hello(live, standing)),
            Effect::Send(message) => self.send(message),
            Effect::KeepDeadlines { deadlines, ending } => {
                (self.deadlines, self.ending) = (Some(deadlines), ending);
            }
            Effect::Preview { .. } | Effect::TrustUserCa(_) | Effect::Warn(_) => {}
            Effect::Exit => self.next(Next::Fresh { swept: true }),
            Effect::HandOver { record, carried } => {
                if self.append(&record, None) {
                    self.next(Next::TakesOver(carried));
                } else {
                    self.inbox.push_back(Event::NotHandedOver { why: "disk full".to_owned() });
                }
            }
        }
    }

    /// Dies where it stands, perhaps in the middle of a record.
    pub(super) fn die(&mut self, cut: Option<u8>, swept: bool) {
        if let (Some(cut), Some(Effect::Journal { record, .. })) = (cut, self.work.front().cloned()) {
            self.append(&record, Some(cut));
        }
        self.next(Next::Fresh { swept });
    }

    /// The power fails: what is below /run is gone, and the clock of the boot begins anew.
    pub(super) fn lose_power(&mut self, cut: Option<u8>, swept: bool) {
        self.host.retain(|what| !what.starts_with("sudo"));
        self.taken.retain(|what| !what.starts_with("sudo"));
        self.deadlines = None;
        self.word.clear();
        self.wall += i64::try_from(self.time).unwrap();
        self.time = 0;
        self.die(cut, swept);
    }

    /// The agent after this one begins.
    pub(super) fn next(&mut self, next: Next) {
        self.work.clear();
        self.slow.clear();
        self.locked = false;
        self.inbox.clear();
        self.down.clear();
        self.fall();
        let (live, standing) = (self.state.live(), self.state.standing());
        let ends: BTreeMap<_, _> =
            self.state.grants.iter().map(|(session, grant)| (*session, grant.order.expires)).collect();
        // Opening a journal writes it anew in short.
        let mut ledger = ledger_of(&self.journal).0;
        let carried = match next {
            Next::Fresh { swept } => {
                self.drifted.clear();
                if swept {
                    ledger = self.sweep(ledger);
                }
                None
            }
            // Through the note's own text.
            Next::TakesOver(carried) => {
                let text = serde_json::to_string(&carried).unwrap();
                Some(serde_json::from_str(&text).unwrap())
            }
        };
        if self.deadlines.is_none() {
            ledger = ledger.after_boot();
        }
        self.journal = encode(&Record::Snapshot { ledger: ledger.clone() }).unwrap();
        let takes_over = carried.is_some();
        assert!(!takes_over || ledger == self.state.ledger, "the disk lacks what was handed over");
        self.state = State::recovered(ledger);
        let mut deadlines = self.deadlines.clone().unwrap_or_default();
        deadlines.retain(|session, _| !self.ending.contains(session));
        if !takes_over {
            self.lease = LEASE;
        }
        self.give(Event::Started { deadlines: deadlines.clone(), carried });
        if takes_over {
            let now = self.now();
            let counts = |session: &&SessionId| {
                let over = deadlines.get(session).is_some_and(|at| *at <= now.boot);
                !over && ends[*session].is_none_or(|end| end > now.wall)
            };
            let expected: Vec<&SessionId> = live.iter().filter(counts).collect();
            assert_eq!(self.state.live().iter().collect::<Vec<_>>(), expected, "a grant was lost");
            assert_eq!(self.state.standing(), standing, "what stands was forgotten");
        }
    }

    /// Until nobody has anything left to do.
    pub(super) fn settle(&mut self) {
        loop {
            while self.work_one() || self.slow_one() {}
            match self.inbox.pop_front() {
                Some(event) => self.give(event),
                None => break,
            }
        }
        assert!(!self.locked, "nobody else can change accounts any more");
    }

    // What must hold.

    /// Invariants 1 and 5, at any moment.
    pub(super) fn is_sane(&self) {
        let active = |id: &SessionId| self.state.live().contains(id);
        for held in self.state.ledger.held.iter().filter(|held| held.applied) {
            if held.holders.iter().any(active) {
                let there = self.is_there(&held.unit) || self.is_replaced(held);
                assert!(there, "{held:?} was taken from a live grant");
            }
        }
        for (session, grant) in self.state.grants.iter().filter(|(_, grant)| grant.lives()) {
            let (end, first) = (grant.order.expires, self.orders[session].expires);
            let told = end.is_some_and(|end| self.later_ends.contains(&(*session, end)));
            assert!(end == first || (told && end > first), "{session} ends at {end:?}");
        }
        for what in &self.theirs {
            assert!(self.host.contains(what), "{what} was theirs and is gone");
        }
    }

    /// An end that is told to have left nothing has left nothing that is still to be taken away.
    fn is_told_whole(&self, session: SessionId, clean: bool) {
        let left = |held: &&Held| held.holders.is_empty() && held.left_by == Some(session);
        let stands = self.state.ledger.held.iter().find(left);
        assert!(!clean || stands.is_none(), "{session} was told to be over, and left {stands:?}");
    }

    /// After a proxy has said what shall live and all is done, nothing else does.
    pub(super) fn only_what_the_proxy_lists_lives(&self) {
        if let Some(proxy) = self.linked {
            let listed = self.proxies[proxy].live();
            let of_gate = |session: &&SessionId| self.orders[*session].gate == gate(proxy);
            assert!(
                self.state.live().iter().filter(of_gate).all(|session| listed.contains(session)),
                "not listed, and alive"
            );
        }
    }

    /// What is on the host beyond what is theirs has somebody whom a proxy lets live.
    /// Holds when everything is done that is due and nothing has failed.
    pub(super) fn nothing_outlives_its_lease(&self) {
        if !self.state.retries.is_empty() {
            return;
        }
        let now = self.now();
        for what in self.host.difference(&self.theirs) {
            let holders = self.state.ledger.held.iter().filter(|held| name(&held.unit) == *what);
            let mut holders = holders.flat_map(|held| &held.holders);
            let lives = |session: &SessionId| {
                let grant = self.state.grants.get(session);
                let end = grant.map_or(self.orders[session].expires, |grant| grant.order.expires);
                let in_time = end.is_none_or(|end| end > now.wall);
                self.word.get(session).is_some_and(|until| *until > self.time) && in_time
            };
            assert!(holders.any(lives), "{what} outlives its lease");
        }
    }
}
