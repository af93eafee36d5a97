//! Requests that wait for their answers, and data that streams by.

use tidegate_common::audit::{Changed, CommandText, FileChange, Note, Outcome, Transfer};

use super::super::Finding;
use super::file::way;
use super::packet::Attributes;

/// A request that waits for its answer.
pub(super) enum Pending {
    Open(Box<Opening>),
    Read {
        file: u64,
        offset: u64,
        length: u32,
    },
    Write {
        file: u64,
        length: u32,
    },
    Close(u64),
    SizeOf(Box<CommandText>),
    SizeOfOpen(u64),
    Change(Box<Changing>),
    /// It used a handle that is not known: a success cannot be told whose it is.
    Guess,
    Other,
}

pub(super) struct Opening {
    pub path: CommandText,
    pub flags: u32,
}

impl Opening {
    pub fn failed(self, outcome: Outcome, why: Note) -> Finding {
        let way = way(self.flags);
        Finding::Transfer(Transfer {
            way,
            path: self.path,
            bytes: 0,
            sha256: None,
            outcome,
            detail: Some(why),
        })
    }
}

pub(super) struct Changing {
    pub change: FileChange,
    pub path: CommandText,
    pub to: Option<CommandText>,
    pub attributes: Option<Attributes>,
    /// The open file whose length it sets, and whether nothing was written before.
    pub cut: Option<(u64, bool)>,
}

impl Changing {
    pub fn finding(self, outcome: Outcome, detail: Option<Note>) -> Finding {
        let Self { change, path, to, attributes, .. } = self;
        let attributes = attributes.map(Attributes::note);
        Finding::Change(Changed { change, path, to, attributes, outcome, detail })
    }
}

impl Pending {
    /// What its paths take.
    pub fn paths(&self) -> usize {
        match self {
            Self::Open(opening) => opening.path.as_str().len() + 64,
            Self::SizeOf(path) => path.as_str().len() + 64,
            Self::Change(changing) => {
                let to = changing.to.as_ref().map(|to| to.as_str().len());
                changing.path.as_str().len() + to.unwrap_or_default() + 128
            }
            _ => 0,
        }
    }
}

/// Data that streams by.
pub(super) struct Streaming {
    pub file: u64,
    pub offset: u64,
    pub left: u64,
}

impl Streaming {
    pub fn pass(&mut self, data: &[u8]) {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(length);
        self.left = self.left.saturating_sub(length);
    }
}
