//! Which exec belongs to which session, and what of it is ready to be told.
//!
//! A login has an audit session id (`ses`) that the kernel gives to every process it
//! makes, whatever becomes of its parents. It belongs to the first session that
//! claims it, and to no other after that. What ran before the claim is kept, a bounded
//! number of it, and goes to the session that claims it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use tidegate_common::audit::Note;
use tidegate_common::id::SessionId;
use tidegate_common::wire::{Exec, MOST_EXECS};

use super::assembler::Seen;

/// Sessions watched at the same time, as many as the agent has grants.
const MOST_SESSIONS: usize = 4096;

/// Logins nobody has claimed, and execs kept of each.
const MOST_UNCLAIMED: usize = 64;
const MOST_KEPT: usize = 128;

/// How often a login's processes are looked at for a session's marker.
const MOST_LOOKS: u32 = 32;

/// A page is told when it holds so much, in bytes, or its first line is so old, in
/// microseconds.
const FULL: usize = 48 * 1024;
const DUE: u64 = 200_000;

/// How long after a session's end its last execs may come.
const LINGER: u64 = 300_000;

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

/// Sessions, logins and what waits.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Book {
    sessions: BTreeMap<SessionId, Page>,
    claims: BTreeMap<u32, SessionId>,
    unclaimed: BTreeMap<u32, Unclaimed>,
}

/// A session's open page.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    /// The account's user id; of one the host does not know, none.
    uid: Option<u32>,
    since: u64,
    execs: Vec<Exec>,
    bytes: usize,
    lost: u64,
    remarks: Vec<Note>,
    /// When its first line was written.
    oldest: Option<u64>,
    /// When the session ended.
    over: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Unclaimed {
    auid: u32,
    first: u64,
    looks: u32,
    execs: VecDeque<Exec>,
    lost: u64,
}

impl Book {
    /// Whether any session is watched, so that listening is worth it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A session begins.
    pub fn watch(&mut self, session: SessionId, uid: Option<u32>, now: u64) {
        if self.sessions.len() < MOST_SESSIONS {
            let page = Page {
                uid,
                since: now,
                execs: Vec::new(),
                bytes: 0,
                lost: 0,
                remarks: Vec::new(),
                oldest: None,
                over: None,
            };
            self.sessions.entry(session).or_insert(page);
        }
    }

    /// A login turned out to be a session's.
    pub fn claim(&mut self, session: SessionId, ses: u32, now: u64) {
        if !self.sessions.contains_key(&session) || self.claims.contains_key(&ses) {
            return;
        }
        self.claims.insert(ses, session);
        let Some(kept) = self.unclaimed.remove(&ses) else { return };
        let Some(page) = self.sessions.get_mut(&session) else { return };
        kept.execs.into_iter().for_each(|exec| page.write(exec, now));
        if kept.lost > 0 {
            page.lose(kept.lost, "execs before the login was known to be the session's did not fit", now);
        }
    }

    /// An exec. Answers its login when nobody has claimed it and it is worth a look.
    pub fn see(&mut self, seen: Seen, now: u64) -> Option<u32> {
        let Seen { ses, auid, exec, whole } = seen;
        if let Some(page) = self.claims.get(&ses).and_then(|session| self.sessions.get_mut(session)) {
            page.write(exec, now);
            if !whole {
                page.lose(1, "records of an exec are missing", now);
            }
            return None;
        }
        // A login of a session that has ended; or nobody's.
        if self.claims.contains_key(&ses) || self.is_empty() {
            return None;
        }
        if !self.unclaimed.contains_key(&ses) && self.unclaimed.len() >= MOST_UNCLAIMED {
            let oldest = self.unclaimed.iter().min_by_key(|(_, kept)| kept.first).map(|(ses, _)| *ses);
            oldest.and_then(|ses| self.unclaimed.remove(&ses));
        }
        let fresh = Unclaimed { auid, first: now, looks: 0, execs: VecDeque::new(), lost: 0 };
        let kept = self.unclaimed.entry(ses).or_insert(fresh);
        if kept.execs.len() >= MOST_KEPT {
            kept.execs.pop_front();
            kept.lost += 1;
        }
        kept.execs.push_back(exec);
        kept.looks += 1;
        (kept.looks <= MOST_LOOKS).then_some(ses)
    }

    /// A session is over: what still comes of it has a moment.
    pub fn over(&mut self, session: SessionId, now: u64) {
        self.claim_by_account(session, now);
        if let Some(page) = self.sessions.get_mut(&session) {
            page.over.get_or_insert(now);
        }
    }

    /// The last resort for a session whose processes were gone before anyone could look:
    /// the only login of its account since it began, when no other session may be meant.
    fn claim_by_account(&mut self, session: SessionId, now: u64) {
        if self.claims.values().any(|of| *of == session) {
            return;
        }
        let Some(page) = self.sessions.get(&session) else { return };
        let (uid, since) = (page.uid, page.since);
        let claimed: BTreeSet<SessionId> = self.claims.values().copied().collect();
        let rivals =
            self.sessions.iter().filter(|(of, page)| page.uid == uid && !claimed.contains(of)).count();
        let of_account: Vec<u32> = self
            .unclaimed
            .iter()
            .filter(|(_, kept)| Some(kept.auid) == uid && kept.first >= since)
            .map(|(ses, _)| *ses)
            .collect();
        match of_account.as_slice() {
            [only] if rivals == 1 => {
                self.claim(session, *only, now);
                self.remark(
                    session,
                    "known by its account and time only: its processes were gone at once",
                    now,
                );
            }
            [] => {}
            _ => self.lose(
                Some(session),
                1,
                "logins of the account could not be told apart, so what ran in them is in no session",
                now,
            ),
        }
    }

    /// Something is missing: of one session, or of all.
    pub fn lose(&mut self, session: Option<SessionId>, count: u64, why: &str, now: u64) {
        for (of, page) in &mut self.sessions {
            if session.is_none_or(|session| session == *of) {
                page.lose(count, why, now);
            }
        }
    }

    /// Something to know of a session, without a loss.
    pub fn remark(&mut self, session: SessionId, what: &str, now: u64) {
        if let Some(page) = self.sessions.get_mut(&session) {
            page.lose(0, what, now);
        }
    }

    /// When [`Self::due`] has something next.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.sessions.values().filter_map(Page::due_at).min()
    }

    /// Pages that are due, taken out.
    pub fn due(&mut self, now: u64) -> Vec<Told> {
        let mut told = Vec::new();
        let due = self.sessions.iter_mut().filter(|(_, page)| page.due_at().is_some_and(|at| at <= now));
        for (session, page) in due {
            told.push(page.tell(*session, now));
        }
        self.forget(&told);
        told
    }

    /// Everything, because the agent stops.
    pub fn all(&mut self, now: u64) -> Vec<Told> {
        for page in self.sessions.values_mut().filter(|page| page.over.is_some()) {
            page.over = Some(0);
        }
        self.take_out(|page| page.oldest.is_some() || page.over.is_some(), now)
    }

    /// All that is written so far; the sessions go on.
    pub fn written(&mut self, now: u64) -> Vec<Told> {
        self.take_out(|page| page.oldest.is_some(), now)
    }

    fn take_out(&mut self, open: impl Fn(&Page) -> bool, now: u64) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            let open = self.sessions.iter_mut().filter(|(_, page)| open(page));
            let told: Vec<Told> = open.map(|(session, page)| page.tell(*session, now)).collect();
            if told.is_empty() {
                return all;
            }
            self.forget(&told);
            all.extend(told);
        }
    }

    fn forget(&mut self, told: &[Told]) {
        for over in told.iter().filter(|told| told.last) {
            self.sessions.remove(&over.session);
        }
        if self.sessions.is_empty() {
            self.claims.clear();
            self.unclaimed.clear();
        }
    }
}

impl Page {
    fn write(&mut self, exec: Exec, now: u64) {
        let arguments: usize = exec.argv.iter().map(|argument| argument.as_str().len() + 3).sum();
        self.bytes += 160 + arguments + exec.exe.as_str().len() + exec.cwd.as_str().len();
        self.execs.push(exec);
        self.oldest.get_or_insert(now);
    }

    fn lose(&mut self, count: u64, why: &str, now: u64) {
        self.lost = self.lost.saturating_add(count);
        let why = Note::new(why);
        if self.remarks.len() < MOST_REMARKS && !self.remarks.contains(&why) {
            self.remarks.push(why);
        }
        self.oldest.get_or_insert(now);
    }

    fn is_full(&self) -> bool {
        self.bytes >= FULL || self.execs.len() >= MOST_EXECS
    }

    fn due_at(&self) -> Option<u64> {
        let over = self.over.map(|at| at.saturating_add(LINGER));
        match self.oldest {
            Some(_) if self.is_full() => Some(0),
            Some(oldest) => Some(over.unwrap_or(u64::MAX).min(oldest.saturating_add(DUE))),
            None => over,
        }
    }

    /// One message's worth; the rest stays.
    fn tell(&mut self, session: SessionId, now: u64) -> Told {
        let (mut count, mut bytes) = (0, 0);
        for exec in self.execs.iter().take(MOST_EXECS) {
            let arguments: usize = exec.argv.iter().map(|argument| argument.as_str().len() + 3).sum();
            bytes += 160 + arguments + exec.exe.as_str().len() + exec.cwd.as_str().len();
            count += 1;
            if bytes >= FULL {
                break;
            }
        }
        let execs: Vec<Exec> = self.execs.drain(..count).collect();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.oldest = (!self.execs.is_empty()).then_some(now);
        let linger = self.over.is_some_and(|at| at.saturating_add(LINGER) <= now);
        Told {
            session,
            execs,
            lost: std::mem::take(&mut self.lost),
            remarks: std::mem::take(&mut self.remarks),
            last: linger && self.execs.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_common::audit::CommandText;

    fn session(number: u64) -> SessionId {
        SessionId::new(number, 0)
    }

    fn seen(ses: u32, auid: u32, name: &str) -> Seen {
        let exec = Exec {
            at: jiff::Timestamp::UNIX_EPOCH,
            pid: 1,
            ppid: 1,
            uid: auid,
            exit: 0,
            tty: Note::default(),
            exe: CommandText::new(name),
            argv: Vec::new(),
            cut: 0,
            cwd: CommandText::default(),
        };
        Seen { ses, auid, exec, whole: true }
    }

    fn names(told: &[Told]) -> Vec<(SessionId, String)> {
        told.iter().flat_map(|one| one.execs.iter().map(|exec| (one.session, exec.exe.to_string()))).collect()
    }

    #[test]
    fn what_ran_before_the_login_was_claimed_goes_to_its_session_and_nothing_of_others() {
        let mut book = Book::default();
        book.watch(session(1), Some(1000), 0);
        assert_eq!(book.see(seen(7, 1000, "bash"), 1), Some(7));
        book.see(seen(8, 1001, "other"), 1);
        book.claim(session(1), 7, 2);
        assert_eq!(book.see(seen(7, 1000, "id"), 3), None);
        assert_eq!(book.next(), Some(2 + DUE));
        let told = book.due(2 + DUE);
        assert_eq!(names(&told), [(session(1), "bash".to_owned()), (session(1), "id".to_owned())]);
        assert!(!told[0].last && book.due(u64::MAX).is_empty());
    }

    #[test]
    fn a_login_belongs_to_the_first_session_that_claims_it() {
        let mut book = Book::default();
        book.watch(session(1), Some(1000), 0);
        book.watch(session(2), Some(1000), 0);
        book.claim(session(1), 7, 0);
        book.claim(session(2), 7, 0);
        book.see(seen(7, 1000, "id"), 0);
        assert_eq!(names(&book.due(DUE)), [(session(1), "id".to_owned())]);
    }

    #[test]
    fn a_session_ends_with_a_last_page_after_a_moment_and_is_forgotten() {
        let mut book = Book::default();
        book.watch(session(1), Some(1000), 0);
        book.claim(session(1), 7, 0);
        book.over(session(1), 10);
        book.see(seen(7, 1000, "late"), 11);
        let told = book.due(10 + LINGER);
        assert_eq!(names(&told), [(session(1), "late".to_owned())]);
        assert!(told[0].last && book.is_empty());
    }

    #[test]
    fn a_login_that_was_gone_at_once_is_known_by_its_account_when_no_other_can_be_meant() {
        for (rivals, expected) in [(false, 1), (true, 0)] {
            let mut book = Book::default();
            book.watch(session(1), Some(1000), 0);
            if rivals {
                book.watch(session(2), Some(1000), 0);
            }
            book.see(seen(7, 1000, "uptime"), 5);
            book.over(session(1), 10);
            let told = book.due(10 + LINGER);
            assert_eq!(names(&told).len(), expected);
            assert_eq!(told[0].lost > 0, rivals, "what is in no session is told");
        }
    }

    #[test]
    fn no_page_is_over_its_bound_and_nothing_is_lost_between_two() {
        let mut book = Book::default();
        book.watch(session(1), Some(1000), 0);
        book.claim(session(1), 7, 0);
        (0..1000).for_each(|number| {
            book.see(seen(7, 1000, &format!("{number}{}", "x".repeat(500))), 0);
        });
        let mut all = Vec::new();
        while let Some(at) = book.next() {
            let told = book.due(at);
            assert!(told.iter().all(|one| one.execs.len() <= MOST_EXECS));
            let size = |one: &Told| one.execs.iter().map(|exec| exec.exe.as_str().len()).sum::<usize>();
            assert!(told.iter().all(|one| size(one) <= FULL));
            all.extend(names(&told));
        }
        assert_eq!(all.len(), 1000);
        assert!(all.iter().enumerate().all(|(place, (_, name))| name.starts_with(&place.to_string())));
    }

    #[test]
    fn an_agent_that_stops_tells_everything_and_ends_what_is_over() {
        let mut book = Book::default();
        for number in [1, 2] {
            book.watch(session(number), Some(1000), 0);
            book.claim(session(number), u32::try_from(number).unwrap(), 0);
        }
        (0..600).for_each(|_| {
            book.see(seen(1, 1000, "x"), DUE);
        });
        book.over(session(2), DUE);
        let told = book.all(DUE + LINGER);
        assert_eq!(names(&told).len(), 600);
        let last: Vec<SessionId> = told.iter().filter(|one| one.last).map(|one| one.session).collect();
        assert_eq!(last, [session(2)]);
    }

    #[test]
    fn what_nobody_claims_is_bounded_and_what_did_not_fit_is_counted() {
        let mut book = Book::default();
        book.watch(session(1), Some(1000), 0);
        for ses in 0..1000 {
            book.see(seen(ses, 5, "x"), u64::from(ses));
        }
        assert_eq!(book.unclaimed.len(), MOST_UNCLAIMED);
        (0..200).for_each(|_| {
            book.see(seen(2000, 1000, "y"), 2000);
        });
        book.claim(session(1), 2000, 2000);
        let told = book.due(u64::MAX);
        assert_eq!((told[0].execs.len(), told[0].lost), (MOST_KEPT, 200 - 128));
    }
}
