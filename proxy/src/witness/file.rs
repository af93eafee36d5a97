//! The file of one session: lines `{"link":"…","said":{…}}`. A line's link covers
//! what it says and every line before it. After the session's last message one more line
//! `{"link":"…","end":{…},"signature":"…"}` signs the last link and the counts with the
//! recordings' key, and the file is read-only from then on.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_common::audit::Note;
use tidegate_common::digest::Digest;
use tidegate_common::id::SessionId;
use tidegate_common::wire::{MAX_FRAME, Witnessed};

use super::{MOST_BYTES, WitnessError};
use crate::recordings::RecordingKey;

/// Keeps links of these files apart from every other use of BLAKE3.
const CONTEXT: &str = "tidegate witness: link of lines, version 1";

/// Keeps the signatures apart from all others that the key makes.
const END_CONTEXT: &[u8] = b"tidegate witness, end, version 1\0";

/// Room for lines that only count, beyond the bound.
const SLACK: u64 = 1 << 20;

/// Numbers that are remembered, to know a message that is told again: many times what an
/// agent tells before it has an answer.
const MOST_NUMBERS: usize = 4096;

/// A line as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    pub link: Digest,
    #[serde(borrow)]
    pub said: Option<&'a RawValue>,
    pub end: Option<End>,
    pub signature: Option<String>,
}

#[derive(Serialize)]
struct MessageLine<'a> {
    link: Digest,
    said: &'a RawValue,
}

#[derive(Serialize)]
struct Ended {
    link: Digest,
    end: End,
    signature: String,
}

/// What the end of a file says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub session: SessionId,
    pub account: Account,
}

impl End {
    /// What the signature covers.
    pub fn signed(&self, link: &Digest) -> Vec<u8> {
        let Self { session, account: Account { execs, lost } } = self;
        let session = session.to_string();
        [END_CONTEXT, &link.0, session.as_bytes(), &execs.to_le_bytes(), &lost.to_le_bytes()].concat()
    }
}

/// What a file adds up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub execs: u64,
    /// Lost on the way, at least.
    pub lost: u64,
}

impl Account {
    pub(super) fn add(&mut self, said: &Witnessed) {
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
    /// Nothing follows.
    sealed: bool,
}

impl Ledger {
    /// Opens the file, or makes it. A line cut short by a crash is dropped: its agent
    /// was not told that we have it.
    pub fn open(path: PathBuf) -> Result<Self, WitnessError> {
        let wrong = |source| WitnessError::Read { path: path.clone(), source };
        if let Some(day) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(day).map_err(wrong)?;
        }
        let about = fs::metadata(&path);
        if about.as_ref().is_ok_and(|about| !about.is_file()) {
            return Err(wrong(io::Error::new(
                io::ErrorKind::InvalidInput,
                "something else stands in its place",
            )));
        }
        let read_only = about.is_ok_and(|about| about.permissions().readonly());
        let mut options = OpenOptions::new();
        options.read(true).append(!read_only).create(!read_only).mode(0o600);
        let file = options.open(&path).map_err(wrong)?;
        let (mut link, mut bytes) = (Digest::default(), 0u64);
        let (mut numbers, mut account, mut sealed) = (BTreeSet::new(), Account::default(), read_only);
        each_line(&file, |text| {
            if let Ok(line) = serde_json::from_slice::<Line<'_>>(text) {
                link = line.link;
                sealed |= line.end.is_some();
                if let Some(said) = line.said.and_then(|said| serde_json::from_str(said.get()).ok()) {
                    let said: Witnessed = said;
                    remember(&mut numbers, said.number);
                    account.add(&said);
                }
                if let Some(end) = line.end {
                    account = end.account;
                }
            }
            bytes = bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX)).saturating_add(1);
        })
        .map_err(wrong)?;
        if !read_only {
            file.set_len(bytes).map_err(wrong)?;
        }
        Ok(Self { path, file, link, bytes, numbers, account, sealed })
    }

    /// Appends a message, unless it is there already; on the disk when this returns.
    /// After a session's last message the file is sealed.
    pub fn append(mut self, mut said: Witnessed, key: &RecordingKey) -> Result<Self, WitnessError> {
        let (session, last) = (said.session, said.last);
        if self.sealed {
            return Ok(self);
        }
        if !self.numbers.contains(&said.number) {
            if self.bytes > MOST_BYTES {
                said.lost = said.lost.saturating_add(u64::try_from(said.execs.len()).unwrap_or(u64::MAX));
                said.execs.clear();
                said.remarks = vec![Note::new("the session ran more than is kept of one")];
            }
            self.account.add(&said);
            if self.bytes <= MOST_BYTES.saturating_add(SLACK) {
                let (text, link) =
                    line(&self.link, &said).map_err(|error| self.wrong(session, error.into()))?;
                self.write(session, &text)?;
                self.link = link;
            }
            remember(&mut self.numbers, said.number);
        }
        if last {
            self.seal(session, key)?;
        }
        Ok(self)
    }

    fn seal(&mut self, session: SessionId, key: &RecordingKey) -> Result<(), WitnessError> {
        let (link, end) = (self.link, End { session, account: self.account });
        let signature = key.sign(&end.signed(&link)).map_err(WitnessError::Sign)?;
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut text = serde_json::to_vec(&Ended { link, end, signature })
            .map_err(|error| self.wrong(session, error.into()))?;
        text.push(b'\n');
        self.write(session, &text)?;
        self.sealed = true;
        let read_only = self.file.set_permissions(Permissions::from_mode(0o400));
        read_only.map_err(|source| self.wrong(session, source))
    }

    fn write(&mut self, session: SessionId, text: &[u8]) -> Result<(), WitnessError> {
        let written = self.file.write_all(text).and_then(|()| self.file.sync_data());
        written.map_err(|source| self.wrong(session, source))?;
        self.bytes = self.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn wrong(&self, session: SessionId, source: io::Error) -> WitnessError {
        WitnessError::Write { session, path: self.path.clone(), source }
    }

    pub fn account(&self) -> Account {
        self.account
    }

    pub fn link(&self) -> Digest {
        self.link
    }
}

/// Of more numbers than are remembered, the newest.
fn remember(numbers: &mut BTreeSet<u64>, number: u64) {
    numbers.insert(number);
    if numbers.len() > MOST_NUMBERS {
        numbers.pop_first();
    }
}

/// The link of a line that says `body` after `before`.
pub(super) fn next_link(before: &Digest, body: &RawValue) -> Digest {
    Digest::link(CONTEXT, before, body.get().as_bytes())
}

fn line(before: &Digest, said: &Witnessed) -> serde_json::Result<(Vec<u8>, Digest)> {
    let body = RawValue::from_string(serde_json::to_string(said)?)?;
    let link = next_link(before, &body);
    let mut text = serde_json::to_vec(&MessageLine { link, said: &body })?;
    text.push(b'\n');
    Ok((text, link))
}

/// Whole lines, each without its end. One that is far too long ends the walk.
pub(super) fn each_line(file: &File, mut with: impl FnMut(&[u8])) -> io::Result<()> {
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
