//! One open file: what was read from it and written to it, and what is known of it in
//! the end.

use tidegate_common::audit::{CommandText, Note, Outcome, Transfer, Way};

use super::super::Finding;
use super::super::digest::{Flow, Unsure, Window};
use super::packet::{APPEND, CREATE, EXCLUSIVE, TRUNCATE, WRITE};

/// An open file.
pub(super) struct File {
    pub path: CommandText,
    flags: u32,
    pub read: Option<Carry>,
    pub write: Option<Carry>,
    /// Reads and writes without an answer.
    pub unanswered: u32,
    /// The answer to its close: what went wrong, if anything did.
    pub closed: Option<Result<(), Note>>,
    /// Where a read met the end of the file.
    end: Option<u64>,
    /// How long the device said that it is.
    pub size: Option<u64>,
    /// It was emptied before anything was written.
    emptied: bool,
    /// What it was cut or stretched to last.
    cut_to: Option<u64>,
}

/// What went one way.
#[derive(Default)]
pub(super) struct Carry {
    pub flow: Flow,
    /// The first refusal.
    pub failed: Option<Note>,
}

/// Whether a file opened so is written, if it is used at all.
pub(super) fn way(flags: u32) -> Way {
    if flags & WRITE != 0 { Way::Upload } else { Way::Download }
}

impl File {
    pub fn new(path: CommandText, flags: u32, size: Option<u64>) -> Self {
        // Such an open changes the file, whether anything is written or not.
        let written = flags & WRITE != 0 && flags & (CREATE | TRUNCATE) != 0;
        Self {
            path,
            flags,
            read: None,
            write: written.then(Carry::default),
            unanswered: 0,
            closed: None,
            end: None,
            size,
            emptied: false,
            cut_to: None,
        }
    }

    /// Data arrived from there on.
    pub fn has_data_at(&mut self, offset: u64) {
        self.end = self.end.filter(|end| offset < *end);
    }

    /// There was none from there on.
    pub fn ends_at(&mut self, offset: u64) {
        self.end = Some(self.end.map_or(offset, |end| end.min(offset)));
    }

    /// Its length was set. `first` when nothing had been written before.
    pub fn cut(&mut self, size: u64, first: bool) {
        if first && size == 0 {
            self.emptied = true;
        } else {
            self.cut_to = Some(size);
        }
    }

    /// Whether it was cut to what was written, as clients do that overwrite in place.
    pub fn is_written_to(&self, size: u64) -> bool {
        self.write.as_ref().is_some_and(|carry| carry.flow.position() == Some(size))
    }

    /// Bytes came from elsewhere than through the gate.
    pub fn mixed(&mut self, window: &mut Window) {
        self.write.get_or_insert_default().flow.doubt(Unsure::Part, window);
    }

    /// Whether all has been said about it.
    pub fn is_settled(&self) -> bool {
        self.closed.is_some() && self.unanswered == 0
    }

    /// What is known of it, now that it is closed, or its channel is left.
    pub fn finish(self, left: Option<Outcome>, window: &mut Window, found: &mut Vec<Finding>) {
        let whole_read = |position| self.end == Some(position) || self.size == Some(position);
        let fresh = self.flags & CREATE != 0 && self.flags & EXCLUSIVE != 0 || self.flags & TRUNCATE != 0;
        let whole_write = |position| {
            let cut = self.cut_to == Some(position);
            self.flags & APPEND == 0
                && (fresh || self.emptied || cut)
                && self.cut_to.is_none_or(|size| size == position)
        };
        let close = self.closed.and_then(Result::err);
        let mut tell = |way, carry: Carry, close: Option<Note>, whole: &dyn Fn(u64) -> bool| {
            let Carry { mut flow, failed } = carry;
            let bytes = flow.bytes;
            if !flow.position().is_some_and(whole) {
                flow.doubt(Unsure::Part, window);
            }
            let digest = flow.digest(window);
            let (outcome, sha256, detail) = match (left, failed.or(close), digest) {
                (Some(outcome), failed, _) => (outcome, None, failed),
                (None, Some(failed), _) => (Outcome::Failed, None, Some(failed)),
                (None, None, Ok(digest)) => (Outcome::Done, Some(digest), None),
                (None, None, Err(unsure)) => (Outcome::Done, None, Some(Note::new(unsure.to_string()))),
            };
            found.push(Finding::Transfer(Transfer {
                way,
                path: self.path.clone(),
                bytes,
                sha256,
                outcome,
                detail,
            }));
        };
        if let Some(carry) = self.read {
            tell(Way::Download, carry, None, &whole_read);
        }
        if let Some(carry) = self.write {
            tell(Way::Upload, carry, close, &whole_write);
        }
    }
}
