//! What the rest of the agent tells the [`Comparer`](super::Comparer), without ever waiting for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tidegate_common::id::SessionId;
use tidegate_common::residue::Finding;

use super::gather::{Grants, Hurry, View};
use super::records::Clock;
use super::snapshot::Snapshot;
use crate::core::{Ledger, Reaped, Record, Unit};

/// What the rest of the agent tells.
#[derive(Debug)]
pub(super) enum Job {
    /// A session may begin: what the host was like in what is quickly read.
    Begun { session: SessionId, quick: Snapshot, clock: Clock },
    /// Its grant is in force, somebody can log in.
    Granted { session: SessionId },
    /// Its processes were ended.
    Processes { session: SessionId, reaped: Reaped },
    /// It is over, and its grant is off the host.
    Over { session: SessionId },
    /// Something was found beside the pictures.
    Found { session: SessionId, finding: Finding },
    /// A link stands: what was told on another may be lost.
    Linked,
    /// The proxy has its report.
    Reported { session: SessionId },
    /// Answers once all before it is done and on disk; a picture that is being taken is left.
    Settle { done: Sender<()> },
}

/// How the rest of the agent tells; it never waits.
#[derive(Debug, Clone)]
pub struct Notes {
    jobs: Sender<Job>,
    hurry: Hurry,
    grants: Grants,
}

impl Notes {
    /// Notes, and the queue that they come out of, each with what is quickly read. That
    /// has a thread of its own: at a beginning it must not wait until a long look is over.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub(super) fn read_beside(view: &View, grants: Grants) -> std::io::Result<(Self, Receiver<Job>)> {
        let (jobs, noted) = channel();
        let (pass, queue) = channel();
        let beside = view.clone();
        std::thread::Builder::new().name("begun".to_owned()).spawn(move || {
            for mut job in noted {
                if let Job::Begun { quick, .. } = &mut job {
                    *quick = beside.take_quick();
                }
                if pass.send(job).is_err() {
                    return;
                }
            }
        })?;
        Ok((Self { jobs, hurry: view.hurry().clone(), grants }, queue))
    }

    /// What the journal will have, or has just got, before it is carried out.
    pub fn record(&self, record: &Record) {
        self.grants.take(record);
        match record {
            // What is quickly read is read now, beside the grant.
            Record::Granting { session, .. } => {
                let (quick, clock) = (Snapshot::default(), Clock::now());
                let _ = self.jobs.send(Job::Begun { session: *session, quick, clock });
            }
            Record::Granted { session } => drop(self.jobs.send(Job::Granted { session: *session })),
            Record::Ended { session } => drop(self.jobs.send(Job::Over { session: *session })),
            Record::Extending { .. }
            | Record::Extended { .. }
            | Record::NotExtended { .. }
            | Record::Traced { .. }
            | Record::Released { .. }
            | Record::Gone { .. }
            | Record::Snapshot { .. } => {}
        }
    }

    /// It was not written: what it tells of is not carried out.
    pub fn lost(&self, record: &Record, ledger: &Ledger) {
        self.grants.set(ledger.clone());
        if let Record::Granting { session, .. } = record {
            let _ = self.jobs.send(Job::Over { session: *session });
        }
    }

    pub fn processes(&self, session: SessionId, reaped: Reaped) {
        let _ = self.jobs.send(Job::Processes { session, reaped });
    }

    /// Something of the session was found, which no picture shows any more.
    pub fn found(&self, session: SessionId, finding: Finding) {
        let _ = self.jobs.send(Job::Found { session, finding });
    }

    /// Whether a live session has it.
    #[must_use]
    pub fn is_granted(&self, unit: &Unit) -> bool {
        self.grants.has(unit)
    }

    /// A link stands and the proxy has welcomed us.
    pub fn linked(&self) {
        let _ = self.jobs.send(Job::Linked);
    }

    /// The proxy has the report of a session.
    pub fn reported(&self, session: SessionId) {
        let _ = self.jobs.send(Job::Reported { session });
    }

    /// Waits until the next agent can go on from what is on disk, for so long at most.
    pub fn settle(&self, patience: Duration) {
        let (done, settled) = channel();
        self.hurry.set(true);
        let _ = self.jobs.send(Job::Settle { done });
        if settled.recv_timeout(patience).is_err() {
            tracing::warn!("what the last sessions were like at their beginning may be missing after this");
        }
    }
}
