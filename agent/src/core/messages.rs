//! What goes into a step and what comes out of it.

use std::collections::BTreeMap;

use tidegate_common::grant::{Failure, Leftover, Standing};
use tidegate_common::id::SessionId;
use tidegate_common::wire::{FromAgent, FromProxy};

use super::ledger::{Held, Record, Traces};
use super::unit::{Delta, Unit};

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
    /// Once, after the journal was read. `deadlines` are the leases as the agent
    /// before this one left them, when it ran since the same boot.
    Started { deadlines: BTreeMap<SessionId, u64> },
    /// A link to the proxy stands; it waits for a `Hello`.
    Connected,
    /// The link is gone.
    Disconnected,
    /// The proxy says.
    Proxy(FromProxy),
    /// Answers [`Effect::Plan`].
    Planned { session: SessionId, plan: Result<Vec<(Unit, Delta)>, Failure> },
    /// Answers [`Effect::Apply`]: one sentence for each unit.
    Applied { session: SessionId, result: Result<Vec<String>, Failure> },
    /// Answers [`Effect::Undo`].
    Undone { session: Option<SessionId>, outcomes: Vec<Gone> },
    /// Answers [`Effect::Trace`].
    Traced { session: SessionId, traces: Traces },
    /// Answers [`Effect::EndProcesses`].
    ProcessesEnded { session: SessionId, leftovers: Vec<Leftover> },
    /// A record could not be made durable; what depends on it was not executed.
    JournalFailed { record: Record, why: String },
    /// Time has passed.
    Tick,
    /// The service stops: everything ends.
    Stop,
}

/// How the undo of one unit went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Which.
    pub unit: Unit,
    /// Gone, perhaps with a sentence on what was found changed; or still there.
    pub result: Result<Option<String>, Failure>,
    /// Processes that were ended because they ran as an account that went.
    pub ended: Vec<Leftover>,
}

impl Gone {
    /// One that ended no process.
    #[must_use]
    pub fn new(unit: Unit, result: Result<Option<String>, Failure>) -> Self {
        Self { unit, result, ended: Vec::new() }
    }
}

/// All that the shell does. Effects of one step are executed in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Find out what each unit would change. Changes nothing.
    Plan { session: SessionId, units: Vec<Unit> },
    /// Say what units would change, and which another session holds. Changes nothing.
    Preview { question: u64, fresh: Vec<Unit>, held: Vec<Unit> },
    /// Make a record durable, and only then execute `then`.
    Journal { record: Record, then: Vec<Effect> },
    /// Apply the fresh units and verify all.
    Apply { session: SessionId, fresh: Vec<(Unit, Delta)>, joined: Vec<Held> },
    /// Take units back and verify that they are gone.
    Undo { session: Option<SessionId>, units: Vec<Held> },
    /// Look where the session's processes are.
    Trace { session: SessionId, known: Traces },
    /// End the session's processes.
    EndProcesses { session: SessionId, known: Traces },
    /// Introduce ourselves on the new link.
    Hello { live: Vec<SessionId>, standing: Vec<Standing> },
    /// Tell the proxy, if the link still stands.
    Send(FromAgent),
    /// sshd shall trust these user CA keys.
    TrustUserCa(Vec<String>),
    /// Keep the leases where the sweep finds them.
    KeepDeadlines(BTreeMap<SessionId, u64>),
    /// Something the host's administrator should see in the log.
    Warn(String),
    /// Everything has ended after [`Event::Stop`].
    Exit,
}
