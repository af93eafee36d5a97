//! When sessions had somebody on the host: which findings of one may be another's.
//!
//! A session may have made a change when it began before the change was last touched and
//! had not ended when the one that tells of it began. So it is said of more than it is true
//! of, never of less: what was touched twice has only the time of the second.
//!
//! On disk, as a session that has ended and was reported may still overlap one that lives.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_common::id::SessionId;
use tidegate_common::residue::MOST_TEXT;

use super::records::{self, Clock};
use crate::paths::Paths;

/// Lives that are kept at most; of more than that, somebody's is told without a name.
const MOST: usize = 256;

/// Sessions that one finding names.
const NAMED: usize = 3;

/// When one session had somebody on the host.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Life {
    /// `None` when no agent was there.
    began: Option<Clock>,
    /// On the clock since boot; `None` while it lives.
    ended: Option<i64>,
}

/// All that may matter.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LivesFile {
    lives: BTreeMap<SessionId, Life>,
    /// When the last of those ended that there was no room for.
    over: Option<i64>,
}

/// Those of all sessions, and their file.
#[derive(Debug)]
pub struct Lives {
    path: PathBuf,
    kept: LivesFile,
}

/// Whose a finding may be, too.
#[derive(Debug, PartialEq, Eq)]
pub struct Others {
    named: Vec<SessionId>,
    more: usize,
    /// And those that nobody knows any more.
    unknown: bool,
}

impl Lives {
    /// Reads what the agent before has left.
    #[must_use]
    pub fn open(paths: &Paths) -> Self {
        let path = paths.residue().join("lives");
        let kept = records::read(&path).unwrap_or_default();
        Self { path, kept }
    }

    /// Somebody can log in for it.
    pub fn begin(&mut self, session: SessionId, began: Option<Clock>) {
        if let Entry::Vacant(room) = self.kept.lives.entry(session) {
            room.insert(Life { began, ended: None });
            self.bound();
            self.keep();
        }
    }

    /// It is over.
    pub fn end(&mut self, session: SessionId, now: Clock) {
        if let Some(life) = self.kept.lives.get_mut(&session) {
            life.ended = life.ended.or(Some(now.boot));
            self.keep();
        }
    }

    /// All are over but those that live.
    pub fn end_but(&mut self, lives: impl Fn(SessionId) -> bool, now: Clock) {
        for (_, life) in self.kept.lives.iter_mut().filter(|(session, _)| !lives(**session)) {
            life.ended = life.ended.or(Some(now.boot));
        }
        self.keep();
    }

    /// Forgets those that ended before any began whose report is still to come.
    pub fn forget(&mut self, reports: impl Iterator<Item = Option<Clock>>) {
        let earliest = reports.map(|began| began.map_or(i64::MIN, |began| began.boot)).min();
        let needed = |ended: i64| earliest.is_some_and(|began| ended >= began);
        let before = self.kept.lives.len();
        self.kept.lives.retain(|_, life| life.ended.is_none_or(needed));
        let over = self.kept.over.filter(|ended| needed(*ended));
        if self.kept.lives.len() != before || self.kept.over != over {
            self.kept.over = over;
            self.keep();
        }
    }

    /// Whose a change may be that a session tells of which began then; `touched` is when it
    /// was made at the latest, where that is known.
    #[must_use]
    pub fn beside(
        &self,
        session: SessionId,
        began: Option<Clock>,
        touched: Option<i64>,
        now: Clock,
    ) -> Others {
        let began = began.map_or(i64::MIN, |began| began.boot);
        let may_be = |life: &Life| {
            let since = life.began.and_then(|began| began.began(now));
            life.ended.is_none_or(|ended| ended >= began)
                && since.zip(touched).is_none_or(|(since, touched)| since <= touched)
        };
        let others = self.kept.lives.iter().filter(|(other, life)| **other != session && may_be(life));
        let mut named: Vec<SessionId> = others.map(|(other, _)| *other).collect();
        let more = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        Others { named, more, unknown: self.kept.over.is_some_and(|ended| ended >= began) }
    }

    /// What is over the bound is only known to have been there.
    fn bound(&mut self) {
        while self.kept.lives.len() > MOST {
            let ended = self.kept.lives.iter().filter_map(|(session, life)| Some((life.ended?, *session)));
            let Some((ended, oldest)) = ended.min() else { return };
            self.kept.lives.remove(&oldest);
            self.kept.over = self.kept.over.max(Some(ended));
        }
    }

    fn keep(&self) {
        if let Err(error) = records::write(&self.path, &self.kept) {
            tracing::warn!(%error, "after a restart, what may be another session's may not be told of");
        }
    }
}

impl Others {
    /// Adds it to what a finding says, which gives way to it.
    pub fn tell_in(&self, detail: &mut String) {
        let mut names: Vec<String> =
            self.named.iter().map(|session| format!("session {session}'s")).collect();
        match self.more {
            0 => {}
            1 => names.push("one more session's".to_owned()),
            more => names.push(format!("{more} more sessions'")),
        }
        if self.unknown {
            names.push("a session's that ended long before".to_owned());
        }
        if names.is_empty() {
            return;
        }
        let told = format!("may be {}", names.join(" or "));
        if !detail.is_empty() {
            let room = MOST_TEXT.saturating_sub(told.len() + 2);
            detail.truncate(detail.floor_char_boundary(room));
            detail.push_str("; ");
        }
        detail.push_str(&told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    const SECOND: i64 = 1_000_000_000;

    fn at(second: i64) -> Clock {
        Clock { wall: second * SECOND, boot: second * SECOND }
    }

    fn id(number: u128) -> SessionId {
        SessionId::new(1, number)
    }

    fn named(lives: &Lives, began: i64, touched: Option<i64>) -> Vec<SessionId> {
        let touched = touched.map(|second| second * SECOND);
        lives.beside(id(1), Some(at(began)), touched, at(100)).named
    }

    #[test]
    fn a_finding_may_be_anothers_that_began_before_it_was_touched_and_ended_after_the_first_began() {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.paths().residue()).unwrap();
        let mut lives = Lives::open(scratch.paths());
        for (number, began) in [(1, 10), (2, 20), (3, 5)] {
            lives.begin(id(number), Some(at(began)));
        }
        lives.end(id(3), at(9));
        lives.end(id(2), at(30));
        assert_eq!(named(&lives, 10, Some(15)), [], "the second was not there, the third had gone");
        assert_eq!(named(&lives, 10, Some(25)), [id(2)]);
        assert_eq!(named(&lives, 10, Some(40)), [id(2)], "what was touched again may have been there before");
        assert_eq!(named(&lives, 10, None), [id(2)], "nobody knows when it was");
        assert_eq!(named(&lives, 8, None), [id(2), id(3)]);
        let unknown = lives.beside(id(1), None, Some(6 * SECOND), at(100));
        assert_eq!(unknown.named, [id(3)], "no agent saw it begin");
    }

    #[test]
    fn lives_are_known_after_a_restart_as_long_as_a_report_may_be_in_doubt() {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.paths().residue()).unwrap();
        let mut lives = Lives::open(scratch.paths());
        lives.begin(id(1), Some(at(10)));
        lives.begin(id(2), Some(at(10)));
        lives.end(id(2), at(30));
        let mut lives = Lives::open(scratch.paths());
        assert_eq!(named(&lives, 10, None), [id(2)]);
        lives.end_but(|session| session != id(1), at(50));
        lives.forget([Some(at(10))].into_iter());
        assert_eq!(named(&lives, 10, None), [id(2)]);
        lives.forget([Some(at(31))].into_iter());
        assert_eq!(named(&Lives::open(scratch.paths()), 10, None), []);
        lives.forget(std::iter::empty());
        assert!(lives.kept.lives.is_empty());
    }

    #[test]
    fn more_lives_than_there_is_room_for_are_told_of_without_their_names() {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.paths().residue()).unwrap();
        let mut lives = Lives::open(scratch.paths());
        for number in 2..(MOST as u128 + 10) {
            lives.begin(id(number), Some(at(10)));
            lives.end(id(number), at(20));
        }
        let others = lives.beside(id(1), Some(at(10)), None, at(100));
        assert_eq!((others.named.len(), others.more, others.unknown), (NAMED, MOST - NAMED, true));
        let mut detail = "é".repeat(300);
        others.tell_in(&mut detail);
        assert!(detail.len() <= MOST_TEXT && detail.contains("é; may be session "), "{detail}");
        assert!(detail.ends_with(" or 253 more sessions' or a session's that ended long before"), "{detail}");
        let later = lives.beside(id(1), Some(at(21)), None, at(100));
        assert_eq!(later, Others { named: Vec::new(), more: 0, unknown: false });
        let mut detail = "1 key".to_owned();
        later.tell_in(&mut detail);
        assert_eq!(detail, "1 key");
    }
}
