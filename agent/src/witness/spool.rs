//! What is told of sessions, on disk until the proxy has it: one file a message in
//! the agent's state directory. It survives the agent. Bounded: over [`MOST_BYTES`]
//! the oldest goes, and the loss is counted for its session.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tidegate_common::audit::Note;
use tidegate_common::id::SessionId;
use tidegate_common::wire::Witnessed;

use super::attribution::Told;

/// The whole spool, in bytes.
pub const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Messages on the way to the proxy that it has not answered yet.
const WINDOW: usize = 8;

/// A file of the spool.
#[derive(Debug, Clone, Copy)]
struct SpoolFile {
    number: u64,
    bytes: u64,
    session: SessionId,
    /// Execs and losses in it.
    count: u64,
}

/// The spool.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    most: u64,
    kept: VecDeque<SpoolFile>,
    bytes: u64,
    next: u64,
    /// Up to where messages are on their way.
    sent: usize,
    /// What was dropped and is not told yet.
    dropped: BTreeMap<SessionId, u64>,
}

impl Spool {
    /// Opens it and finds what an earlier run left. Numbers go on above those, and
    /// above `floor`, which grows from run to run.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(directory: &Path, floor: u64) -> io::Result<Self> {
        Self::open_with(directory, floor, MOST_BYTES)
    }

    fn open_with(directory: &Path, floor: u64, most: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(directory)?.flatten() {
            let path = entry.path();
            let number: Option<u64> =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let message = number.and_then(|number| read(&path).filter(|message| message.number == number));
            match message {
                Some(message) => kept.push(SpoolFile {
                    number: message.number,
                    bytes: entry.metadata()?.len(),
                    session: message.session,
                    count: count(&message),
                }),
                // Cut short by a crash of the host.
                None => {
                    tracing::warn!(file = %path.display(), "a message of the witness was damaged and is lost");
                    let _ = fs::remove_file(&path);
                }
            }
        }
        kept.sort_by_key(|one| one.number);
        let next = kept.last().map_or(floor, |last| floor.max(last.number.saturating_add(1)));
        let bytes = kept.iter().map(|one| one.bytes).sum();
        let directory = directory.to_owned();
        Ok(Self { directory, most, kept: kept.into(), bytes, next, sent: 0, dropped: BTreeMap::new() })
    }

    /// Keeps a message. One that cannot be written is lost and counted.
    pub fn push(&mut self, told: Told) {
        let Told { session, execs, mut lost, mut remarks, last } = told;
        if let Some(dropped) = self.dropped.remove(&session) {
            lost = lost.saturating_add(dropped);
            remarks.push(Note::new("the spool was full, the oldest was dropped"));
        }
        let message = Witnessed { number: self.next, session, execs, lost, remarks, last };
        self.next = self.next.saturating_add(1);
        let text = serde_json::to_vec(&message).unwrap_or_default();
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if let Err(error) = self.write(message.number, &text) {
            tracing::error!(%error, "the witness could not write its spool; what ran is lost");
            *self.dropped.entry(session).or_default() += count(&message).max(1);
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.kept.push_back(SpoolFile { number: message.number, bytes, session, count: count(&message) });
        while self.bytes > self.most && self.kept.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.kept.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(oldest.bytes);
        self.sent = self.sent.saturating_sub(1);
        *self.dropped.entry(oldest.session).or_default() += oldest.count.max(1);
        let _ = fs::remove_file(self.path(oldest.number));
    }

    fn write(&self, number: u64, text: &[u8]) -> io::Result<()> {
        let (path, fresh) = (self.path(number), self.directory.join("fresh"));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        io::Write::write_all(&mut file, text)?;
        fs::rename(fresh, path)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number}.json"))
    }

    /// The next message to send; none while the proxy has not answered enough of them.
    pub fn next(&mut self) -> Option<Witnessed> {
        while self.sent < WINDOW {
            let number = self.kept.get(self.sent)?.number;
            if let Some(message) = read(&self.path(number)) {
                self.sent += 1;
                return Some(message);
            }
            if let Some(gone) = self.kept.remove(self.sent) {
                self.bytes = self.bytes.saturating_sub(gone.bytes);
                *self.dropped.entry(gone.session).or_default() += gone.count.max(1);
            }
        }
        None
    }

    /// The proxy has it.
    pub fn noted(&mut self, number: u64) {
        let Some(place) = self.kept.iter().position(|one| one.number == number) else { return };
        if let Some(done) = self.kept.remove(place) {
            self.bytes = self.bytes.saturating_sub(done.bytes);
            self.sent = if place < self.sent { self.sent.saturating_sub(1) } else { self.sent };
            let _ = fs::remove_file(self.path(number));
        }
    }

    /// A new link: what was not answered is sent again, and what was dropped is told.
    pub fn again(&mut self) {
        self.sent = 0;
        for session in self.dropped.keys().copied().collect::<Vec<_>>() {
            self.push(Told { session, execs: Vec::new(), lost: 0, remarks: Vec::new(), last: false });
        }
    }
}

fn read(path: &Path) -> Option<Witnessed> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn count(message: &Witnessed) -> u64 {
    u64::try_from(message.execs.len()).unwrap_or(u64::MAX).saturating_add(message.lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    fn told(number: u64, lost: u64) -> Told {
        let remarks = vec![Note::new("x".repeat(300))];
        Told { session: SessionId::new(number, 0), execs: Vec::new(), lost, remarks, last: false }
    }

    fn numbers(spool: &mut Spool) -> Vec<u64> {
        std::iter::from_fn(|| spool.next()).map(|message| message.number).collect()
    }

    #[test]
    fn what_is_not_answered_is_there_after_a_restart_and_numbers_go_on() {
        let scratch = Scratch::new();
        let directory = scratch.paths().state.join("witness");
        let mut spool = Spool::open(&directory, 100).unwrap();
        (0..3).for_each(|_| spool.push(told(1, 0)));
        assert_eq!(numbers(&mut spool), [100, 101, 102]);
        spool.noted(101);
        let mut spool = Spool::open(&directory, 50).unwrap();
        spool.push(told(1, 0));
        assert_eq!(numbers(&mut spool), [100, 102, 103]);
        [100, 102, 103].into_iter().for_each(|number| spool.noted(number));
        assert!(spool.kept.is_empty() && fs::read_dir(&directory).unwrap().count() == 0);
    }

    #[test]
    fn no_more_than_a_window_is_on_its_way_and_a_new_link_starts_again() {
        let scratch = Scratch::new();
        let mut spool = Spool::open(&scratch.paths().state.join("witness"), 1).unwrap();
        (0..20).for_each(|_| spool.push(told(1, 0)));
        assert_eq!(numbers(&mut spool), (1..=8).collect::<Vec<_>>());
        spool.noted(1);
        assert_eq!(numbers(&mut spool), [9]);
        spool.again();
        assert_eq!(numbers(&mut spool), (2..=9).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_spool_drops_its_oldest_and_tells_how_much() {
        let scratch = Scratch::new();
        let mut spool = Spool::open_with(&scratch.paths().state.join("witness"), 1, 2000).unwrap();
        (0..20).for_each(|_| spool.push(told(1, 2)));
        assert!(spool.bytes <= 2000);
        let mut lost = 0;
        spool.again();
        while let Some(message) = spool.next() {
            lost += message.lost;
            spool.noted(message.number);
        }
        assert_eq!(lost, 40, "each of the 20 told of 2");
    }

    #[test]
    fn a_damaged_file_is_left_out() {
        let scratch = Scratch::new();
        let directory = scratch.paths().state.join("witness");
        Spool::open(&directory, 1).unwrap().push(told(1, 0));
        fs::write(directory.join("2.json"), "{").unwrap();
        let mut spool = Spool::open(&directory, 1).unwrap();
        assert_eq!(numbers(&mut spool), [1]);
        assert!(!directory.join("2.json").exists());
    }
}
