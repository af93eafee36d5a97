//! Which exec belongs to which session, and what of it is ready to be told.
//!
//! A login has an audit session id (`ses`) that the kernel gives to every process it
//! makes, whatever becomes of its parents. It belongs to the first session that
//! claims it, and to no other after that. What ran before the claim is kept, a bounded
//! number of it, and goes to the session that claims it; what has to make way is told to
//! every session, because it may have been any one's.

mod page;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tidegate_common::id::SessionId;
use tidegate_common::wire::Exec;

use super::assembler::Seen;
use page::Page;

pub use page::Told;

/// Sessions watched at the same time, as many as the agent has grants.
const MOST_SESSIONS: usize = 4096;

/// Logins nobody has claimed, and execs kept of each.
const MOST_UNCLAIMED: usize = 64;
const MOST_KEPT: usize = 128;

/// How often a login's processes are looked at for a session's marker.
const MOST_LOOKS: u32 = 32;

/// How long after a login its first processes come, at most, in microseconds.
const FRESH: u64 = 1_000_000;

/// Sessions, logins and what waits.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Attribution {
    sessions: BTreeMap<SessionId, Page>,
    claims: BTreeMap<u32, SessionId>,
    unclaimed: BTreeMap<u32, Unclaimed>,
    /// Logins just made that nobody has claimed.
    fresh: BTreeMap<u32, Fresh>,
    /// Where sessions' logins come from, while an agent leaves it to the next.
    dialled: BTreeMap<SocketAddr, SessionId>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Fresh {
    since: u64,
    /// Agents before this one want to read it.
    from: Option<SocketAddr>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Unclaimed {
    auid: u32,
    first: u64,
    looks: u32,
    execs: VecDeque<Exec>,
    lost: u64,
}

impl Attribution {
    /// Whether any session is watched, so that listening is worth it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A session begins.
    pub fn watch(&mut self, session: SessionId, uid: Option<u32>, now: u64) {
        if self.sessions.len() < MOST_SESSIONS {
            self.sessions.entry(session).or_insert_with(|| Page::new(uid, now));
        }
    }

    /// A login turned out to be a session's.
    pub fn claim(&mut self, session: SessionId, ses: u32, now: u64) {
        if !self.sessions.contains_key(&session) || self.claims.contains_key(&ses) {
            return;
        }
        self.claims.insert(ses, session);
        self.fresh.remove(&ses);
        let Some(kept) = self.unclaimed.remove(&ses) else { return };
        let Some(page) = self.sessions.get_mut(&session) else { return };
        kept.execs.into_iter().for_each(|exec| page.write(exec, now));
        if kept.lost > 0 {
            page.lose(kept.lost, "execs before the login was known to be the session's did not fit", now);
        }
    }

    /// Somebody logged in, and nothing tells yet whose login it is.
    pub fn login(&mut self, ses: u32, now: u64) {
        if !self.is_empty() && self.fresh.len() < MOST_UNCLAIMED && !self.is_claimed(ses) {
            self.fresh.insert(ses, Fresh { since: now, from: None });
        }
    }

    /// Where sessions' logins come from, as the agent before left it.
    pub fn connections(&mut self) -> Vec<(SocketAddr, SessionId)> {
        std::mem::take(&mut self.dialled).into_iter().collect()
    }

    /// The same for the agent after this one.
    pub fn keep_connections(&mut self, open: Vec<(SocketAddr, SessionId)>) {
        self.dialled = open.into_iter().collect();
    }

    /// Whether a session has it, or had it.
    #[must_use]
    pub fn is_claimed(&self, ses: u32) -> bool {
        self.claims.contains_key(&ses)
    }

    /// Whether a login is so new that its processes have to be looked at as they come:
    /// they may be gone in a moment.
    pub fn is_curious(&mut self, now: u64) -> bool {
        self.fresh.retain(|_, login| login.since.saturating_add(FRESH) > now);
        !self.fresh.is_empty()
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
            let gone = oldest.and_then(|ses| self.unclaimed.remove(&ses));
            let count = gone.map_or(0, |gone| gone.lost.saturating_add(gone.execs.len() as u64));
            self.lose(
                None,
                count,
                "more logins than are kept ran commands before it was known whose they are",
                now,
            );
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
        if let Some(page) = self.sessions.get_mut(&session) {
            page.over.get_or_insert(now);
        }
    }

    /// Whether a session that is over waits for what the kernel has not handed out yet.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.sessions.values().any(Page::is_settling)
    }

    /// The kernel has handed out all that it had.
    pub fn settle(&mut self, now: u64) {
        self.claim_by_accounts(Page::is_settling, now);
        for page in self.sessions.values_mut().filter(|page| page.over.is_some()) {
            page.settled = true;
        }
    }

    fn claim_by_accounts(&mut self, ends: impl Fn(&Page) -> bool, now: u64) {
        let ending = self.sessions.iter().filter(|(_, page)| ends(page));
        let ending: Vec<SessionId> = ending.map(|(session, _)| *session).collect();
        ending.into_iter().for_each(|session| self.claim_by_account(session, now));
    }

    /// The last resort for a session whose processes were gone before anyone could look:
    /// the only login of its account since it began, when no other session may be meant.
    /// Not before the session's end has been heard: its execs may be on their way till then.
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
        self.claim_by_accounts(|page| page.is_late(now), now);
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
        self.settle(now);
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
            self.fresh.clear();
        }
    }
}
