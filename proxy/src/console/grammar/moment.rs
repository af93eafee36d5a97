//! Moments as people write them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use tidegate_common::time::Length;

/// A moment, or so long from now.
#[derive(Debug, Clone, Copy)]
pub(in crate::console) enum Start {
    At(Timestamp),
    In(Length),
}

impl Start {
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::In(length) => length.after(now),
        }
    }
}

/// A moment, or so long before now.
#[derive(Debug, Clone, Copy)]
pub(in crate::console) enum Since {
    At(Timestamp),
    Ago(Length),
}

impl Since {
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(length) => now.checked_sub(length.approximate()).unwrap_or(Timestamp::MIN),
        }
    }
}

pub(super) fn since(text: &str) -> Result<Since, String> {
    let moment = text.parse().map(Since::At);
    moment.or_else(|_| {
        text.parse()
            .map(Since::Ago)
            .map_err(|_| "write it as 2026-12-24T18:00Z, or 7d for a week ago".to_owned())
    })
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('+') {
            Some(length) => length.parse().map(Self::In).map_err(|error| format!("{error}")),
            None => text
                .parse()
                .map(Self::At)
                .map_err(|_| "write it as 2026-12-24T18:00Z, 2026-12-24T18:00+01:00, or +2h".to_owned()),
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(moment) => moment.fmt(f),
            Self::In(length) => write!(f, "+{length}"),
        }
    }
}
