//! A session's file read back, and what it is found to be: *whole* when its chain holds,
//! its end is signed and the audit log knows the same end; *incomplete* while the agent
//! has not told the last of it; *altered* otherwise.

use std::io;
use std::path::Path;

use serde::Serialize;
use tidegate_common::audit::{Event, Record, Verdict};
use tidegate_common::digest::Digest;
use tidegate_common::id::SessionId;
use tidegate_common::recording::Signature;
use tidegate_common::wire::Witnessed;

use super::WitnessError;
use super::file::{Account, End, Line, each_line, next_link};
use crate::files::open_plain;
use crate::recordings::PublicKey;

/// The end of a session's file, as the audit log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged {
    account: Account,
    link: Digest,
}

impl Logged {
    /// From the records of a session.
    #[must_use]
    pub fn find(session: SessionId, records: &[Record]) -> Option<Self> {
        records.iter().rev().find_map(|record| match record.event {
            Event::CommandsWitnessed { session: of, execs, lost, link, .. } if of == session => {
                Some(Self { account: Account { execs, lost }, link })
            }
            _ => None,
        })
    }
}

/// What a file is found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub verdict: Verdict,
    /// The verdict and why, as the end of a sentence.
    #[serde(rename = "detail")]
    pub told: String,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Flaw {
    #[error("line {0} is none of the gate's")]
    Line(u64),
    #[error("line {0} does not follow from those before it")]
    Link(u64),
    #[error("line {0} tells of another session")]
    Session(u64),
    #[error("line {0} stands after the end")]
    Late(u64),
    #[error("the signature of its end does not hold")]
    Signature,
    #[error("its end counts other commands than it holds")]
    Count,
    #[error("the audit log knows its end, and it has none")]
    NoEnd,
    #[error("the audit log knows another end of it")]
    OtherEnd,
}

/// What a walk through a file has come to.
struct Walk<'a> {
    session: SessionId,
    key: &'a PublicKey,
    lines: u64,
    link: Digest,
    account: Account,
    end: Option<End>,
    flaw: Option<Flaw>,
}

impl Walk<'_> {
    fn step(&mut self, text: &[u8], mut with: impl FnMut(Witnessed)) -> Result<(), Flaw> {
        self.lines += 1;
        let number = self.lines;
        let line: Line<'_> = serde_json::from_slice(text).map_err(|_| Flaw::Line(number))?;
        if self.end.is_some() {
            return Err(Flaw::Late(number));
        }
        match line {
            Line { link, said: Some(said), end: None, signature: None } => {
                let before = std::mem::replace(&mut self.link, link);
                let message =
                    serde_json::from_str::<Witnessed>(said.get()).map_err(|_| Flaw::Line(number))?;
                // Nothing of another session's is shown: neither what ran in it nor its gaps.
                if message.session != self.session {
                    return Err(Flaw::Session(number));
                }
                self.account.add(&message);
                // What is its own is shown also where the chain does not hold.
                with(message);
                if link == next_link(&before, said) { Ok(()) } else { Err(Flaw::Link(number)) }
            }
            Line { link, said: None, end: Some(end), signature: Some(signature) } => {
                self.end = Some(end);
                if link != self.link {
                    return Err(Flaw::Link(number));
                }
                if end.session != self.session {
                    return Err(Flaw::Session(number));
                }
                let signature = signature_of(&signature).ok_or(Flaw::Signature)?;
                if !self.key.check(&end.signed(&link), &signature) {
                    return Err(Flaw::Signature);
                }
                // Over the bound of a file messages are counted and not written.
                let Account { execs, lost } = self.account;
                if end.account.execs == execs && end.account.lost >= lost { Ok(()) } else { Err(Flaw::Count) }
            }
            _ => Err(Flaw::Line(number)),
        }
    }

    fn judge(&self, logged: Option<Logged>) -> Checked {
        let other_end = || match (self.end, logged) {
            (None, Some(_)) => Some(Flaw::NoEnd),
            (Some(end), Some(logged)) if end.account != logged.account || self.link != logged.link => {
                Some(Flaw::OtherEnd)
            }
            _ => None,
        };
        let (verdict, told) = match (self.flaw.or_else(other_end), self.end, logged) {
            (Some(flaw), _, _) => (Verdict::Altered, format!("altered: {flaw}")),
            (None, Some(End { account: Account { execs, lost }, .. }), Some(_)) => {
                (Verdict::Whole, format!("whole: {execs} commands, {lost} records lost on the way, signed"))
            }
            (None, Some(_), None) => {
                (Verdict::Incomplete, "incomplete: signed, but not yet in the audit log".to_owned())
            }
            (None, None, _) => {
                let told = format!(
                    "incomplete so far: {} commands, and the agent has not told the last of it yet; it does \
                     when it has a link (`agent list`)",
                    self.account.execs
                );
                (Verdict::Incomplete, told)
            }
        };
        Checked { verdict, told }
    }
}

fn signature_of(text: &str) -> Option<Signature> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.filter(|_| rest.is_empty())?.try_into().ok()
}

/// Reads a session's file for people: each message, and what the file is found to be.
/// `None` when neither it nor its end in the audit log is there.
///
/// # Errors
/// When it can't be read.
pub fn check(
    path: &Path,
    session: SessionId,
    key: &PublicKey,
    logged: Option<Logged>,
    mut with: impl FnMut(Witnessed),
) -> Result<Option<Checked>, WitnessError> {
    let wrong = |source| WitnessError::Read { path: path.to_owned(), source };
    let (link, account) = (Digest::default(), Account::default());
    let mut walk = Walk { session, key, lines: 0, link, account, end: None, flaw: None };
    match open_plain(path) {
        Ok(file) => each_line(&file, |text| {
            if let Err(flaw) = walk.step(text, &mut with) {
                walk.flaw.get_or_insert(flaw);
            }
        })
        .map_err(wrong)?,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
        Err(_) if logged.is_none() => return Ok(None),
        Err(_) => {}
    }
    Ok(Some(walk.judge(logged)))
}
