//! What goes into a step and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_common::grant::{Ended, Failure, Leftover, MOST_LEFTOVERS, Standing};
use tidegate_common::id::SessionId;
use tidegate_common::wire::{FromAgent, FromProxy};

use super::carried::Carried;
use super::ledger::{Held, Record, Traces};
use super::unit::{Delta, Pace, Unit};

/// The time, as the shell reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since boot, suspended time included (`CLOCK_BOOTTIME`); leases count on it.
    pub boot: u64,
    /// The calendar, for what ends at a date.
    pub wall: jiff::Timestamp,
}

/// All that can happen to the agent.
#[derive(Debug, Clone)]
pub enum Event {
    /// Once, after the journal was read. `deadlines` are the leases of what had not
    /// begun to end, as the agent before this one left them, when it ran since the same boot.
    /// `carried` is what it handed over, when this one took its place.
    Started { deadlines: BTreeMap<SessionId, u64>, carried: Option<Carried> },
    /// A link to the proxy stands; it waits for a `Hello`.
    Connected,
    /// The link is gone.
    Disconnected,
    /// The proxy says.
    Proxy(FromProxy),
    /// Answers [`Effect::Plan`].
    Planned { session: SessionId, plan: Result<Vec<(Unit, Delta)>, Failure> },
    /// Answers [`Effect::Apply`]: one sentence for each unit.
    Applied { session: SessionId, result: Result<Vec<String>, NotApplied> },
    /// Answers [`Effect::Extend`].
    Extended { session: SessionId, result: Result<(), NotApplied> },
    /// Answers [`Effect::Retire`].
    Retired { session: SessionId, expires: Result<(), Failure>, outcomes: Vec<Gone> },
    /// Answers [`Effect::Undo`].
    Undone { session: Option<SessionId>, pace: Pace, outcomes: Vec<Gone> },
    /// Answers [`Effect::Trace`].
    Traced { session: SessionId, traces: Traces },
    /// Answers [`Effect::EndProcesses`].
    ProcessesEnded { session: SessionId, reaped: Reaped },
    /// A record could not be made durable; what depends on it was not executed.
    JournalFailed { record: Record, why: String },
    /// Time has passed.
    Tick,
    /// Another agent shall take this one's place, as soon as nothing is under way.
    HandOver,
    /// It shall not after all.
    StayOn,
    /// [`Effect::HandOver`] found no room on the disk.
    NotHandedOver { why: String },
    /// The service stops: everything ends.
    Stop,
}

/// What became of a session's processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Those that did not end by themselves, as many as are listed.
    pub leftovers: Vec<Leftover>,
    /// How many more there were.
    pub more: u64,
    /// What is not certain, one sentence each.
    pub unseen: BTreeSet<String>,
}

impl Reaped {
    /// Adds others to these; what is over the bound is only counted.
    pub fn add(&mut self, others: Self) {
        self.more = self.more.saturating_add(others.more);
        for other in others.leftovers {
            // An account that goes and its session may both have ended it.
            let known = |one: &&mut Leftover| one.pid == other.pid && one.comm == other.comm;
            if let Some(known) = self.leftovers.iter_mut().find(known) {
                known.killed |= other.killed;
            } else if self.leftovers.len() < MOST_LEFTOVERS {
                self.leftovers.push(other);
            } else {
                self.more = self.more.saturating_add(1);
            }
        }
        self.unseen.extend(others.unseen);
    }

    /// Adds them to what is told of a grant's end.
    pub(super) fn tell_in(self, ended: &mut Ended) {
        let leftovers = std::mem::take(&mut ended.leftovers);
        let mut all = Self { leftovers, more: ended.more, unseen: BTreeSet::new() };
        all.add(self);
        (ended.leftovers, ended.more) = (all.leftovers, all.more);
        ended.unseen.extend(all.unseen);
    }
}

/// Why a grant was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    /// What is wrong.
    pub failure: Failure,
    /// Nothing was changed, and what is there now is somebody else's: not to be undone.
    pub untouched: bool,
}

impl From<Failure> for NotApplied {
    fn from(failure: Failure) -> Self {
        Self { failure, untouched: false }
    }
}

/// How the undo of one unit went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Which.
    pub unit: Unit,
    /// Gone, perhaps with a sentence on what was found changed; or still there.
    pub result: Result<Option<String>, Failure>,
    /// Processes that were ended because they ran as an account that went.
    pub ended: Reaped,
}

impl Gone {
    /// One that ended no process.
    #[must_use]
    pub fn new(unit: Unit, result: Result<Option<String>, Failure>) -> Self {
        Self { unit, result, ended: Reaped::default() }
    }
}

/// All that the shell does. Effects of one step are executed in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Find out what each unit would change. Changes nothing; nobody else changes accounts
    /// until what follows: its `Apply` or `Extend`, or `LetGo`.
    Plan { session: SessionId, units: Vec<Unit> },
    /// What was planned is not applied.
    LetGo,
    /// Say what units would change, and which another session holds. Changes nothing.
    Preview { question: u64, fresh: Vec<Unit>, held: Vec<Unit> },
    /// Make a record durable, and only then execute `then`.
    Journal { record: Record, then: Vec<Effect> },
    /// Apply the fresh units and verify all.
    Apply { session: SessionId, fresh: Vec<(Unit, Delta)>, joined: Vec<Held> },
    /// Apply the fresh units and verify all; look whether accounts that were created, which expire with
    /// the end `from`, can expire later. The grant ends as before until all of that is in the journal.
    Extend {
        session: SessionId,
        from: jiff::Timestamp,
        until: jiff::Timestamp,
        fresh: Vec<(Unit, Delta)>,
        joined: Vec<Held>,
        accounts: Vec<Held>,
    },
    /// The later end is in the journal: have accounts that were created, which expire with the end `from`,
    /// expire later, and take back what units with a later end have taken the place of.
    Retire {
        session: SessionId,
        from: jiff::Timestamp,
        until: jiff::Timestamp,
        accounts: Vec<Held>,
        units: Vec<Held>,
    },
    /// Take units of one pace back and verify that they are gone.
    Undo { session: Option<SessionId>, pace: Pace, units: Vec<Held> },
    /// Look where the session's processes are.
    Trace { session: SessionId, known: Traces },
    /// End the session's processes. With `powers` it could have had others start some.
    EndProcesses { session: SessionId, known: Traces, powers: bool },
    /// Introduce ourselves on the new link.
    Hello { live: Vec<SessionId>, standing: Vec<Standing> },
    /// Tell the proxy, if the link still stands.
    Send(FromAgent),
    /// sshd shall trust these user CA keys.
    TrustUserCa(Vec<String>),
    /// Keep the leases where the sweep finds them. What of them is `ending` is late then, and no
    /// agent takes it for alive, however much time its end may take.
    KeepDeadlines { deadlines: BTreeMap<SessionId, u64>, ending: BTreeSet<SessionId> },
    /// Something the host's administrator should see in the log.
    Warn(String),
    /// Everything has ended after [`Event::Stop`].
    Exit,
    /// Make a record of the whole ledger durable, and then let the next agent take over
    /// with the rest; the last effect there is.
    HandOver { record: Record, carried: Carried },
}
