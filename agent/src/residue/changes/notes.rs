//! What the rest of the agent tells the [`Keeper`](super::Keeper), without ever waiting for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tidegate_common::id::SessionId;

use super::album::Clock;
use super::gather::{Hurry, View};
use super::snapshot::{Granted, Snapshot};
use crate::core::Reaped;

/// What the rest of the agent tells.
#[derive(Debug)]
pub(super) enum Job {
    /// A session may begin: what the host was like in what is quickly read.
    Begun { session: SessionId, granted: Granted, quick: Snapshot, clock: Clock },
    /// Its grant is in force, somebody can log in.
    Granted { session: SessionId },
    /// Its processes were ended.
    Processes { session: SessionId, reaped: Reaped },
    /// It is over, and its grant is off the host.
    Over { session: SessionId },
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
}

impl Notes {
    /// Notes, and the queue that they come out of, each with what is quickly read. That
    /// has a thread of its own: at a beginning it must not wait until a long look is over.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub(super) fn read_beside(view: &View) -> std::io::Result<(Self, Receiver<Job>)> {
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
        Ok((Self { jobs, hurry: view.hurry().clone() }, queue))
    }

    /// A session may begin. What is quickly read is read now, beside the grant.
    pub fn begun(&self, session: SessionId, granted: Granted) {
        let (quick, clock) = (Snapshot::default(), Clock::now());
        let _ = self.jobs.send(Job::Begun { session, granted, quick, clock });
    }

    pub fn granted(&self, session: SessionId) {
        let _ = self.jobs.send(Job::Granted { session });
    }

    pub fn processes(&self, session: SessionId, reaped: Reaped) {
        let _ = self.jobs.send(Job::Processes { session, reaped });
    }

    pub fn over(&self, session: SessionId) {
        let _ = self.jobs.send(Job::Over { session });
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
