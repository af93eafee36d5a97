//! What waits to be told of one session, in messages of a bounded size.

use serde::{Deserialize, Serialize};
use tidegate_common::audit::Note;
use tidegate_common::id::SessionId;
use tidegate_common::wire::{Exec, MOST_EXECS};

/// A page is told when it holds so much, in bytes, or its first line is so old, in
/// microseconds.
pub const FULL: usize = 48 * 1024;
pub const DUE: u64 = 200_000;

/// How long after a session's end its last execs may come.
pub const LINGER: u64 = 300_000;

/// How long to wait for what the kernel has not handed out at a session's end.
pub const MOST_LINGER: u64 = 5_000_000;

/// Sentences on one page, at most.
const MOST_REMARKS: usize = 4;

/// Something to be told of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub session: SessionId,
    pub execs: Vec<Exec>,
    pub lost: u64,
    pub remarks: Vec<Note>,
    pub last: bool,
}

/// A session's open page.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page {
    /// The account's user id; of one the host does not know, none.
    pub uid: Option<u32>,
    pub since: u64,
    execs: Vec<Exec>,
    bytes: usize,
    lost: u64,
    remarks: Vec<Note>,
    /// When its first line was written.
    pub oldest: Option<u64>,
    /// When the session ended.
    pub over: Option<u64>,
    /// Whether the kernel has handed out all that it had then.
    pub settled: bool,
}

impl Page {
    pub fn new(uid: Option<u32>, since: u64) -> Self {
        let (execs, remarks) = (Vec::new(), Vec::new());
        Self { uid, since, execs, bytes: 0, lost: 0, remarks, oldest: None, over: None, settled: false }
    }

    pub fn write(&mut self, exec: Exec, now: u64) {
        self.bytes += size(&exec);
        self.execs.push(exec);
        self.oldest.get_or_insert(now);
    }

    pub fn lose(&mut self, count: u64, why: &str, now: u64) {
        self.lost = self.lost.saturating_add(count);
        let why = Note::new(why);
        if self.remarks.len() < MOST_REMARKS && !self.remarks.contains(&why) {
            self.remarks.push(why);
        }
        self.oldest.get_or_insert(now);
    }

    /// Whether its session is over and the kernel may still have something of it.
    pub fn is_settling(&self) -> bool {
        self.over.is_some() && !self.settled
    }

    /// Whether it has waited for that as long as it may.
    pub fn is_late(&self, now: u64) -> bool {
        self.is_settling() && self.is_over(now)
    }

    /// Whether what came after its session's end has had its time.
    fn is_over(&self, now: u64) -> bool {
        self.over.is_some_and(|at| at.saturating_add(self.linger()) <= now)
    }

    fn is_full(&self) -> bool {
        self.bytes >= FULL || self.execs.len() >= MOST_EXECS
    }

    /// When it has to be told.
    pub fn due_at(&self) -> Option<u64> {
        let over = self.over.map(|at| at.saturating_add(self.linger()));
        match self.oldest {
            Some(_) if self.is_full() => Some(0),
            Some(oldest) => Some(over.unwrap_or(u64::MAX).min(oldest.saturating_add(DUE))),
            None => over,
        }
    }

    fn linger(&self) -> u64 {
        if self.settled { LINGER } else { MOST_LINGER }
    }

    /// One message's worth; the rest stays.
    pub fn tell(&mut self, session: SessionId, now: u64) -> Told {
        let (mut count, mut bytes) = (0, 0);
        for exec in self.execs.iter().take(MOST_EXECS) {
            bytes += size(exec);
            count += 1;
            if bytes >= FULL {
                break;
            }
        }
        let execs: Vec<Exec> = self.execs.drain(..count).collect();
        self.bytes = self.bytes.saturating_sub(bytes);
        let over = self.is_over(now);
        if over && !self.settled {
            self.settled = true;
            self.lose(1, "the kernel was too far behind when the session ended", now);
        }
        self.oldest = (!self.execs.is_empty()).then_some(now);
        Told {
            session,
            execs,
            lost: std::mem::take(&mut self.lost),
            remarks: std::mem::take(&mut self.remarks),
            last: over && self.execs.is_empty(),
        }
    }
}

/// About how long an exec is in a message, in bytes.
fn size(exec: &Exec) -> usize {
    let arguments: usize = exec.argv.iter().map(|argument| argument.as_str().len() + 3).sum();
    160 + arguments + exec.exe.as_str().len() + exec.cwd.as_str().len()
}
