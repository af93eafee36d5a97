//! The journal: an append-only file of records, each behind its length (big-endian
//! `u32`) and its BLAKE3, on disk before [`Journal::append`] returns.
//!
//! A last record cut short by a crash is dropped: nothing was done yet that
//! depends on it. A record that was damaged otherwise is skipped, the file is kept
//! aside, and the rest counts: a damaged journal must not keep privileges standing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::core::{Ledger, Record};
use crate::files::replace;

/// A journal longer than this is written anew as one snapshot, in bytes.
const COMPACT_AT: u64 = 256 * 1024;

/// No record is longer, in bytes.
const MOST_RECORD: usize = 16 * 1024 * 1024;

const DIGEST: usize = 32;

/// Why the journal cannot be used. All are the host's fault.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("{path} could not be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// The file cannot be written; most likely the disk is full.
    #[error("{path} could not be written: {source}; is the disk full?")]
    Write { path: PathBuf, source: io::Error },
    /// It holds what this version does not know.
    #[error("{path} holds {damaged} records that this version does not understand")]
    Foreign { path: PathBuf, damaged: usize },
    /// A record has no text. Ours.
    #[error("a record could not be written down: {0}")]
    Record(#[from] serde_json::Error),
}

/// The open journal and what it adds up to.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    compact_at: u64,
    ledger: Ledger,
}

/// What reading found.
#[derive(Debug, Default)]
struct Found {
    ledger: Ledger,
    /// How many records were damaged.
    damaged: usize,
}

impl Journal {
    /// Opens it, makes it where it is missing, and writes it anew in short.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let ledger = Self::read(path)?;
        let (file, length) = rewrite(path, &ledger)?;
        Ok(Self { path: path.to_owned(), file, length, compact_at: COMPACT_AT, ledger })
    }

    /// Reads it without changing it, unless it was damaged: then it is kept aside.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Ledger, JournalError> {
        let bytes = bytes(path)?;
        let found = replay(&bytes);
        if found.damaged > 0 {
            let aside = path.with_extension("damaged");
            let kept = std::fs::copy(path, &aside).is_ok();
            let damaged = found.damaged;
            tracing::error!(damaged, kept, aside = %aside.display(), "the journal was damaged; records were skipped");
        }
        Ok(found.ledger)
    }

    /// Whether this version reads every record of it. Changes nothing.
    ///
    /// # Errors
    /// When it cannot be read, or a record not understood.
    pub fn check(path: &Path) -> Result<(), JournalError> {
        let bytes = bytes(path)?;
        match replay(&bytes).damaged {
            0 => Ok(()),
            damaged => Err(JournalError::Foreign { path: path.to_owned(), damaged }),
        }
    }

    /// What its records add up to.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A journal on a full disk.
    #[cfg(test)]
    pub fn full() -> Self {
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let ledger = Ledger::default();
        Self { path: "/dev/full".into(), file, length: 0, compact_at: COMPACT_AT, ledger }
    }

    /// Makes one record durable.
    ///
    /// # Errors
    /// When it could not be; the journal is as it was before then.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let bytes = encode(record)?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // Half a record must not stand before the next one.
            let _ = self.file.set_len(self.length);
            return Err(JournalError::Write { path: self.path.clone(), source });
        }
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let settles = self.settles_a_later_end(record);
        self.ledger.take(record.clone());
        if settles || self.length > self.compact_at {
            match rewrite(&self.path, &self.ledger) {
                Ok((file, length)) => {
                    self.file = file;
                    self.length = length;
                }
                // The long one still serves.
                Err(error) => tracing::warn!(%error, "the journal could not be shortened"),
            }
        }
        Ok(())
    }

    /// Whether what a session was being given is given with it, or not, or taken back. An agent of before
    /// skips records that it does not know, and its sweep would leave what has the later end: a snapshot
    /// it reads.
    fn settles_a_later_end(&self, record: &Record) -> bool {
        match record {
            Record::Extended { .. } | Record::NotExtended { .. } => true,
            Record::Released { session, .. } => {
                self.ledger.grants.get(session).is_some_and(|entry| entry.extending.is_some())
            }
            _ => false,
        }
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, JournalError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(JournalError::Read { path: path.to_owned(), source }),
    }
}

fn rewrite(path: &Path, ledger: &Ledger) -> Result<(File, u64), JournalError> {
    let wrong = |source| JournalError::Write { path: path.to_owned(), source };
    let bytes = if *ledger == Ledger::default() {
        Vec::new()
    } else {
        encode(&Record::Snapshot { ledger: ledger.clone() })?
    };
    replace(path, &bytes, 0o600).map_err(wrong)?;
    let file = OpenOptions::new().append(true).mode(0o600).open(path).map_err(wrong)?;
    Ok((file, u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
}

/// A record as it stands in the file.
///
/// # Errors
/// When it has no text.
pub fn encode(record: &Record) -> Result<Vec<u8>, JournalError> {
    let text = serde_json::to_vec(record)?;
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(4 + DIGEST + text.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(blake3::hash(&text).as_bytes());
    bytes.extend_from_slice(&text);
    Ok(bytes)
}

/// What a journal of these bytes adds up to, and how many records in it are damaged.
#[cfg(test)]
pub fn ledger_of(bytes: &[u8]) -> (Ledger, usize) {
    let found = replay(bytes);
    (found.ledger, found.damaged)
}

fn replay(mut bytes: &[u8]) -> Found {
    let mut found = Found::default();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((digest, rest)) = rest.split_first_chunk::<DIGEST>() else { break };
        let text = rest.get(..length).filter(|_| length <= MOST_RECORD);
        let Some(text) = text else { break };
        bytes = rest.get(length..).unwrap_or_default();
        let whole = blake3::hash(text).as_bytes() == digest;
        match serde_json::from_slice::<Record>(text) {
            Ok(record) if whole => found.ledger.take(record),
            // The last one: cut short by a crash.
            _ if bytes.is_empty() => break,
            _ => found.damaged += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Delta, Unit};
    use crate::test::Scratch;
    use proptest::prelude::*;
    use tidegate_common::id::SessionId;

    fn granting(number: u64) -> Record {
        let unit =
            Unit::Group { account: "ops".parse().unwrap(), group: format!("g{number}").parse().unwrap() };
        Record::Granting {
            session: SessionId::new(number, 0),
            account: "ops".parse().unwrap(),
            expires: None,
            gate: None,
            fresh: vec![(unit, Delta::Group { group: true, gshadow: false })],
            joined: Vec::new(),
        }
    }

    fn sum(records: &[Record]) -> Ledger {
        let mut ledger = Ledger::default();
        records.iter().for_each(|record| ledger.take(record.clone()));
        ledger
    }

    #[test]
    fn what_was_appended_is_there_after_a_crash() {
        let scratch = Scratch::new();
        let path = scratch.paths().journal();
        let records = [granting(1), granting(2), Record::Granted { session: SessionId::new(1, 0) }];
        let mut journal = Journal::open(&path).unwrap();
        records.iter().for_each(|record| journal.append(record).unwrap());
        drop(journal);
        assert_eq!(Journal::open(&path).unwrap().ledger(), &sum(&records));
        // And once more, from the snapshot that opening wrote.
        assert_eq!(Journal::read(&path).unwrap(), sum(&records));
    }

    #[test]
    fn a_long_journal_is_shortened_and_says_the_same() {
        let scratch = Scratch::new();
        let path = scratch.paths().journal();
        let mut journal = Journal::open(&path).unwrap();
        journal.compact_at = 4000;
        for number in 1..40 {
            journal.append(&granting(number)).unwrap();
            let session = SessionId::new(number, 0);
            let Record::Granting { fresh, .. } = granting(number) else { panic!() };
            let gone = fresh.into_iter().map(|(unit, _)| unit).collect();
            journal.append(&Record::Released { session, gone }).unwrap();
            journal.append(&Record::Ended { session }).unwrap();
        }
        journal.append(&granting(3000)).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= 4000);
        assert_eq!(Journal::read(&path).unwrap(), sum(&[granting(3000)]));
    }

    #[test]
    fn a_later_end_that_is_settled_is_in_words_that_an_agent_of_before_reads() {
        let (session, until) = (SessionId::new(1, 0), jiff::Timestamp::UNIX_EPOCH);
        let unit = Unit::Sudo {
            account: "ops".parse().unwrap(),
            rule: serde_json::from_str("{}").unwrap(),
            not_after: Some(until),
        };
        let delta = Delta::Sudo { file: "a-0".to_owned(), blake3: "00".to_owned() };
        let fresh = vec![(unit.clone(), delta)];
        let extending = Record::Extending { session, until, fresh, joined: Vec::new() };
        for settles in [
            Record::Extended { session, until },
            Record::NotExtended { session, until, gone: Vec::new() },
            // An end came meanwhile, and the rule could not be taken away.
            Record::Released { session, gone: Vec::new() },
        ] {
            let scratch = Scratch::new();
            let path = scratch.paths().journal();
            let mut journal = Journal::open(&path).unwrap();
            let records = [granting(1), extending.clone(), settles];
            records.iter().for_each(|record| journal.append(record).unwrap());
            assert!(journal.ledger().held(&unit).is_some());
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes, encode(&Record::Snapshot { ledger: sum(&records) }).unwrap(), "{records:?}");
            assert!(!String::from_utf8_lossy(&bytes).contains("exten"), "{records:?}");
            // What comes then is written behind it.
            journal.append(&Record::Ended { session }).unwrap();
            assert_eq!(Journal::read(&path).unwrap(), *journal.ledger());
        }
    }

    #[test]
    fn a_damaged_record_is_skipped_kept_aside_and_the_rest_counts() {
        let scratch = Scratch::new();
        let path = scratch.paths().journal();
        let mut bytes = encode(&granting(1)).unwrap();
        bytes[50] ^= 1;
        bytes.extend(encode(&granting(2)).unwrap());
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), sum(&[granting(2)]));
        assert_eq!(std::fs::read(path.with_extension("damaged")).unwrap(), bytes);
    }

    #[test]
    fn a_full_disk_is_told_and_leaves_the_ledger_as_it_was() {
        let mut journal = Journal::full();
        let error = journal.append(&granting(1)).unwrap_err().to_string();
        assert!(error.contains("is the disk full?"), "{error}");
        assert_eq!(journal.ledger(), &Ledger::default());
    }

    proptest! {
        #[test]
        fn a_record_cut_short_is_as_if_it_had_never_been(cut in 0usize..2000) {
            let whole: Vec<Record> = (1..4).map(granting).collect();
            let encoded: Vec<Vec<u8>> = whole.iter().map(|record| encode(record).unwrap()).collect();
            let bytes = encoded.concat();
            let cut = cut.min(bytes.len());
            let mut kept = 0;
            let mut end = 0;
            for record in &encoded {
                end += record.len();
                kept += usize::from(end <= cut);
            }
            let found = replay(&bytes[..cut]);
            prop_assert_eq!(found.ledger, sum(&whole[..kept]));
            prop_assert_eq!(found.damaged, 0);
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = replay(&noise);
        }
    }
}
