//! The thread that looks again, a moment after something was taken away, whether it stays away. A
//! tool that had read an account file before, and waited for its lock, writes back what it read.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tidegate_common::id::SessionId;
use tidegate_common::residue::{Change, Finding, FindingKind};

use crate::core::{Delta, Unit};
use crate::elevate::Elevator;
use crate::residue::Notes;

/// When to look, after it was taken away: a tool writes as soon as the lock is free. The last is
/// for one that had to wait for another tool; by then the session's report may be made.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(1250), Duration::from_secs(5)];

/// What was taken away at one end.
#[derive(Debug)]
pub struct Taken {
    pub session: Option<SessionId>,
    pub units: Vec<(Unit, Delta)>,
}

/// Starts the thread; it ends when nobody can tell it anything.
///
/// # Errors
/// When the host has no thread left.
pub fn start(elevator: Elevator, notes: Notes) -> io::Result<Sender<Taken>> {
    let (taken, queue) = channel();
    let again = Again { elevator, notes, due: Vec::new() };
    std::thread::Builder::new().name("again".to_owned()).spawn(move || again.work(&queue))?;
    Ok(taken)
}

struct Again {
    elevator: Elevator,
    notes: Notes,
    /// When to look next, and how often it was.
    due: Vec<(Instant, usize, Taken)>,
}

impl Again {
    fn work(mut self, queue: &Receiver<Taken>) {
        loop {
            let next = self.due.iter().map(|(at, ..)| *at).min();
            let told = match next {
                Some(at) => queue.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match told {
                Ok(taken) => self.wait(Instant::now(), 0, taken),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn wait(&mut self, since: Instant, looks: usize, taken: Taken) {
        let before = looks.checked_sub(1).and_then(|before| LOOKS.get(before)).copied().unwrap_or_default();
        if let Some(after) = LOOKS.get(looks) {
            self.due.push((since + after.saturating_sub(before), looks, taken));
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.due.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, looks, taken) in due {
            let notes = &self.notes;
            let found = self.elevator.take_away_again(&taken.units, &|unit| notes.is_granted(unit));
            for (unit, result) in found {
                match &result {
                    Ok(()) => {
                        tracing::warn!(session = ?taken.session, %unit, "another program put back what was taken away; it was taken away again")
                    }
                    Err(why) => {
                        tracing::error!(session = ?taken.session, %unit, %why, "another program put back what was taken away, and it stands")
                    }
                }
                if let Some(session) = taken.session {
                    notes.found(session, finding(&unit, result.is_ok()));
                }
            }
            self.wait(Instant::now(), looks + 1, taken);
        }
    }
}

fn finding(unit: &Unit, gone: bool) -> Finding {
    let (kind, what) = match unit {
        Unit::Group { group, .. } => (FindingKind::Group, group.to_string()),
        unit => (FindingKind::Account, unit.account().to_string()),
    };
    let then = if gone { "taken away again" } else { "it stands" };
    let detail = format!("another program put {} back after the end; {then}", unit.account());
    Finding { kind, change: Change::Changed, what, detail }
}
