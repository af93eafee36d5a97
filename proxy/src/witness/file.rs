//! The file of one session: lines `{"link":"…","said":{…}}`. A line's link covers
//! what it says and every line before it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_common::audit::Note;
use tidegate_common::digest::Digest;
use tidegate_common::wire::{MAX_FRAME, Witnessed};

use super::{MOST_BYTES, WitnessError};

/// Keeps links of these files apart from every other use of BLAKE3.
const CONTEXT: &str = "tidegate witness: link of lines, version 1";

/// Room for lines that only count, beyond the bound.
const SLACK: u64 = 1 << 20;

#[derive(Deserialize)]
struct Line<'a> {
    link: Digest,
    #[serde(borrow)]
    said: &'a RawValue,
}

#[derive(Serialize)]
struct NewLine<'a> {
    link: Digest,
    said: &'a RawValue,
}

/// What a file adds up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    pub execs: u64,
    /// Lost on the way, at least.
    pub lost: u64,
}

impl Account {
    fn add(&mut self, said: &Witnessed) {
        self.execs = self.execs.saturating_add(u64::try_from(said.execs.len()).unwrap_or(u64::MAX));
        self.lost = self.lost.saturating_add(said.lost);
    }
}

/// Where a file ends.
pub(super) struct Ledger {
    path: PathBuf,
    file: File,
    link: Digest,
    bytes: u64,
    numbers: BTreeSet<u64>,
    account: Account,
}

impl Ledger {
    /// Opens the file, or makes it. A line cut short by a crash is dropped: its agent
    /// was not told that we have it.
    pub fn open(path: PathBuf) -> Result<Self, WitnessError> {
        let wrong = |source| WitnessError::Read { path: path.clone(), source };
        if let Some(day) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(day).map_err(wrong)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(&path).map_err(wrong)?;
        let (mut link, mut bytes) = (Digest::default(), 0u64);
        let (mut numbers, mut account) = (BTreeSet::new(), Account::default());
        each_line(&file, |text| {
            if let Ok(line) = serde_json::from_slice::<Line<'_>>(text) {
                link = line.link;
                if let Ok(said) = serde_json::from_str::<Witnessed>(line.said.get()) {
                    numbers.insert(said.number);
                    account.add(&said);
                }
            }
            bytes = bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX)).saturating_add(1);
        })
        .map_err(wrong)?;
        file.set_len(bytes).map_err(wrong)?;
        Ok(Self { path, file, link, bytes, numbers, account })
    }

    /// Appends a message, unless it is there already; on the disk when this returns.
    pub fn append(mut self, mut said: Witnessed) -> Result<Self, WitnessError> {
        if self.numbers.contains(&said.number) {
            return Ok(self);
        }
        if self.bytes > MOST_BYTES {
            said.lost = said.lost.saturating_add(u64::try_from(said.execs.len()).unwrap_or(u64::MAX));
            said.execs.clear();
            said.remarks = vec![Note::new("the session ran more than is kept of one")];
        }
        self.account.add(&said);
        if self.bytes > MOST_BYTES.saturating_add(SLACK) {
            return Ok(self);
        }
        let (path, session) = (&self.path, said.session);
        let wrong = |source| WitnessError::Write { session, path: path.clone(), source };
        let (text, link) = line(&self.link, &said).map_err(|error| wrong(error.into()))?;
        (&self.file).write_all(&text).and_then(|()| self.file.sync_data()).map_err(wrong)?;
        self.link = link;
        self.bytes = self.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.numbers.insert(said.number);
        Ok(self)
    }

    pub fn account(&self) -> Account {
        self.account
    }

    pub fn link(&self) -> Digest {
        self.link
    }
}

fn line(before: &Digest, said: &Witnessed) -> serde_json::Result<(Vec<u8>, Digest)> {
    let body = RawValue::from_string(serde_json::to_string(said)?)?;
    let link = Digest::link(CONTEXT, before, body.get().as_bytes());
    let mut text = serde_json::to_vec(&NewLine { link, said: &body })?;
    text.push(b'\n');
    Ok((text, link))
}

/// Whole lines, each without its end. One that is far too long ends the walk.
fn each_line(file: &File, mut with: impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    let most = u64::try_from(2 * MAX_FRAME).unwrap_or(u64::MAX);
    loop {
        text.clear();
        io::Read::take(&mut reader, most).read_until(b'\n', &mut text)?;
        match text.split_last() {
            Some((b'\n', line)) => with(line),
            _ => return Ok(()),
        }
    }
}

/// Reads a file for people: each message, and whether the chain holds. A file that
/// is not there has no messages.
///
/// # Errors
/// When it can't be read.
pub fn read(path: &Path, mut with: impl FnMut(Witnessed)) -> Result<bool, WitnessError> {
    let wrong = |source| WitnessError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other.map_err(wrong)?,
    };
    let (mut before, mut holds) = (Digest::default(), true);
    each_line(&file, |text| match serde_json::from_slice::<Line<'_>>(text) {
        Ok(Line { link, said }) => {
            holds &= link == Digest::link(CONTEXT, &before, said.get().as_bytes());
            before = link;
            match serde_json::from_str(said.get()) {
                Ok(said) => with(said),
                Err(_) => holds = false,
            }
        }
        Err(_) => holds = false,
    })
    .map_err(wrong)?;
    Ok(holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_common::audit::CommandText;
    use tidegate_common::id::SessionId;
    use tidegate_common::wire::Exec;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tidegate-witness-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("2026/01/01/x.commands.jsonl")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn said(number: u64, name: &str) -> Witnessed {
        let exec = Exec {
            at: jiff::Timestamp::UNIX_EPOCH,
            pid: 1,
            ppid: 1,
            uid: 0,
            exit: 0,
            tty: Note::default(),
            exe: CommandText::new(name),
            argv: vec![CommandText::new(name)],
            cut: 0,
            cwd: CommandText::new("/"),
        };
        let session = SessionId::new(1, 1);
        Witnessed { number, session, execs: vec![exec], lost: 1, remarks: Vec::new(), last: false }
    }

    fn all(path: &Path) -> (Vec<u64>, bool) {
        let mut numbers = Vec::new();
        let holds = read(path, |said| numbers.push(said.number)).unwrap();
        (numbers, holds)
    }

    #[test]
    fn a_message_that_comes_again_is_kept_once_also_after_a_restart() {
        let scratch = Scratch::new("again");
        let ledger = Ledger::open(scratch.file()).unwrap().append(said(5, "a")).unwrap();
        ledger.append(said(5, "a")).unwrap().append(said(6, "b")).unwrap();
        let ledger = Ledger::open(scratch.file()).unwrap().append(said(6, "b")).unwrap();
        assert_eq!(ledger.account(), Account { execs: 2, lost: 2 });
        assert_eq!(all(&scratch.file()), (vec![5, 6], true));
    }

    #[test]
    fn a_line_cut_short_is_dropped_and_what_follows_holds() {
        let scratch = Scratch::new("torn");
        Ledger::open(scratch.file()).unwrap().append(said(1, "a")).unwrap();
        let whole = fs::read(scratch.file()).unwrap();
        fs::write(scratch.file(), [&whole[..], &whole[..20]].concat()).unwrap();
        Ledger::open(scratch.file()).unwrap().append(said(2, "b")).unwrap();
        assert_eq!(all(&scratch.file()), (vec![1, 2], true));
    }

    #[test]
    fn a_changed_or_missing_line_shows() {
        let scratch = Scratch::new("changed");
        let ledger = Ledger::open(scratch.file()).unwrap().append(said(1, "rm")).unwrap();
        ledger.append(said(2, "b")).unwrap();
        let text = fs::read_to_string(scratch.file()).unwrap();
        fs::write(scratch.file(), text.replace("rm", "ls")).unwrap();
        assert!(!all(&scratch.file()).1);
        let (_, second) = text.split_once('\n').unwrap();
        fs::write(scratch.file(), second).unwrap();
        assert!(!all(&scratch.file()).1);
        fs::write(scratch.file(), text).unwrap();
        assert!(all(&scratch.file()).1);
    }

    #[test]
    fn over_its_bound_a_file_only_counts() {
        let scratch = Scratch::new("bound");
        let mut ledger = Ledger::open(scratch.file()).unwrap();
        ledger.bytes = MOST_BYTES + 1;
        let ledger = ledger.append(said(1, "a")).unwrap();
        assert_eq!(ledger.account(), Account { execs: 0, lost: 2 });
    }
}
