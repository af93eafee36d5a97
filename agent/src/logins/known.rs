//! What is known of sessions and logins, as a value: looks at nothing itself.
//!
//! Bounds: [`MOST_SESSIONS`] sessions, [`MOST_OPEN`] logins that are nobody's yet,
//! [`MOST_PROCESSES`] processes of one session. A session is forgotten [`KEPT`] after its end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use tidegate_common::id::SessionId;
use tidegate_common::name::AccountName;

use super::Login;
use super::origin::{Made, Origin};
use crate::core::Traces;

const MOST_SESSIONS: usize = 4096;
const MOST_OPEN: usize = 1024;
const MOST_PROCESSES: usize = 512;
const MOST_DIALLED: usize = 4096;
const MOST_OWNED: usize = 65_536;

/// In microseconds: how long after a session's end somebody of it may still log in, and
/// how long a login may be nobody's before that is decided.
const KEPT: u64 = 60_000_000;
const UNDECIDED: u64 = 1_000_000;

/// A process: its number and start time in clock ticks since boot.
pub type Process = (u32, u64);

/// What turned out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// That audit session is the session's.
    Owned { session: SessionId, ses: u32 },
    /// It is not known yet whether one of these processes is a session's.
    Asked,
    /// A process of the session took itself out of its login.
    Left { session: SessionId, pid: u32 },
    /// Somebody logged in from the host itself, and it cannot be told who.
    Doubt { what: String },
    /// More than one login says that it is the session's.
    Rivals { session: SessionId },
}

#[derive(Debug, Default)]
pub struct Known {
    sessions: BTreeMap<SessionId, Session>,
    owners: BTreeMap<u32, SessionId>,
    open: BTreeMap<u32, Open>,
    /// Where sessions' logins come from.
    dialled: BTreeMap<SocketAddr, SessionId>,
}

#[derive(Debug, Default)]
struct Session {
    account: Option<AccountName>,
    uid: Option<u32>,
    /// Whether any login is known to be its.
    owns: bool,
    attached: Option<u64>,
    over: Option<u64>,
    processes: BTreeSet<Process>,
    rivals_told: bool,
}

/// A login that is nobody's yet.
#[derive(Debug)]
struct Open {
    since: u64,
    from: Vec<SocketAddr>,
    origin: Origin,
    leader: Option<Process>,
    /// Sessions that its processes name, and may name.
    marked: BTreeSet<SessionId>,
    /// Processes that left it.
    left: BTreeSet<Process>,
    decided: bool,
}

impl Open {
    fn new(since: u64) -> Self {
        let (marked, left) = (BTreeSet::new(), BTreeSet::new());
        Self { since, from: Vec::new(), origin: Origin::Unknown, leader: None, marked, left, decided: false }
    }
}

impl Known {
    pub fn begin(&mut self, session: SessionId, uid: Option<u32>) {
        if self.sessions.len() < MOST_SESSIONS || self.sessions.contains_key(&session) {
            let entry = self.sessions.entry(session).or_default();
            entry.uid = uid.or(entry.uid);
        }
    }

    pub fn named(&mut self, session: SessionId, account: AccountName) {
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.account = Some(account);
        }
    }

    pub fn account(&self, session: SessionId) -> Option<AccountName> {
        self.sessions.get(&session)?.account.clone()
    }

    pub fn attached(&mut self, session: SessionId, now: u64) {
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.attached.get_or_insert(now);
        }
    }

    pub fn over(&mut self, session: SessionId, now: u64) {
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.over.get_or_insert(now);
        }
    }

    /// Whether a login is worth a look: a session lives, and nobody has looked yet.
    pub fn is_news(&self, login: Login) -> bool {
        let known = login.ses.is_some_and(|ses| {
            self.owners.contains_key(&ses) || self.open.get(&ses).is_some_and(|open| open.leader.is_some())
        });
        !self.sessions.is_empty() && !known
    }

    pub fn is_dialled(&self, from: SocketAddr) -> bool {
        self.dialled.contains_key(&from)
    }

    pub fn dialled(&mut self, session: SessionId, from: SocketAddr) -> Vec<News> {
        let made = self.open.iter().find(|(_, open)| open.from.contains(&from));
        match made.map(|(ses, _)| *ses) {
            Some(ses) => self.own(session, ses),
            None => {
                if self.sessions.contains_key(&session) && self.dialled.len() < MOST_DIALLED {
                    self.dialled.insert(from, session);
                }
                Vec::new()
            }
        }
    }

    /// A login, and what was found out about it.
    pub fn made(&mut self, login: Login, made: Made, now: u64) -> Vec<News> {
        let by_connection = made.from.iter().find_map(|from| self.dialled.remove(from));
        let before = login.before.and_then(|ses| self.owners.get(&ses).copied());
        let owner = by_connection.or(before).or_else(|| self.owner_of_clients(&made.origin));
        if let (Some(session), Some(leader)) = (owner, made.leader) {
            self.has(session, leader);
        }
        let Some(ses) = login.ses else {
            return if owner.is_some() { vec![News::Asked] } else { Vec::new() };
        };
        if let Some(session) = owner {
            return self.own(session, ses);
        }
        let mut news = Vec::new();
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(&ses) {
            news.extend(self.make_room());
        }
        let open = self.open.entry(ses).or_insert_with(|| Open::new(now));
        let asks = matches!(made.origin, Origin::Clients(..));
        (open.from, open.origin, open.leader) = (made.from, made.origin, made.leader);
        open.decided = made.contained;
        news.extend(asks.then_some(News::Asked));
        news
    }

    fn owner_of_clients(&self, origin: &Origin) -> Option<SessionId> {
        let Origin::Clients(clients) = origin else { return None };
        let by_login = clients.iter().find_map(|client| self.owners.get(&client.ses?).copied());
        by_login.or_else(|| {
            let of = |entry: &Session| clients.iter().any(|client| entry.processes.contains(&client.process));
            self.sessions.iter().find(|(_, entry)| of(entry)).map(|(session, _)| *session)
        })
    }

    /// The oldest makes way; where it may have been a session's, that is told.
    fn make_room(&mut self) -> Option<News> {
        let oldest = self.open.iter().min_by_key(|(_, open)| open.since).map(|(ses, _)| *ses)?;
        let gone = self.open.remove(&oldest)?;
        let told = gone.decided || matches!(gone.origin, Origin::Elsewhere(_));
        (!told).then(|| News::Doubt { what: "more logins than are remembered".to_owned() })
    }

    /// The login is the session's, and so is what was made from it. The first that owns it
    /// stays its owner.
    pub fn own(&mut self, session: SessionId, ses: u32) -> Vec<News> {
        let mut news = Vec::new();
        let mut due = vec![ses];
        while let Some(ses) = due.pop() {
            let Some(entry) = self.sessions.get_mut(&session).filter(|_| !self.owners.contains_key(&ses))
            else {
                continue;
            };
            entry.owns = true;
            if self.owners.len() >= MOST_OWNED {
                news.push(News::Doubt { what: "more often than is remembered".to_owned() });
                continue;
            }
            self.owners.insert(ses, session);
            news.push(News::Owned { session, ses });
            if let Some(open) = self.open.remove(&ses) {
                news.extend(open.left.iter().map(|(pid, _)| News::Left { session, pid: *pid }));
                open.leader.into_iter().chain(open.left).for_each(|process| self.has(session, process));
            }
            let from_it = |open: &Open| match &open.origin {
                Origin::Clients(clients) => clients.iter().any(|client| client.ses == Some(ses)),
                _ => false,
            };
            due.extend(self.open.iter().filter(|(_, open)| from_it(open)).map(|(ses, _)| *ses));
        }
        news
    }

    /// This process is the session's; so are the logins that it is the client of.
    pub fn belongs(&mut self, session: SessionId, process: Process) -> Vec<News> {
        self.has(session, process);
        let from_it = |open: &Open| match &open.origin {
            Origin::Clients(clients) => clients.iter().any(|client| client.process == process),
            _ => false,
        };
        let of: Vec<u32> = self.open.iter().filter(|(_, open)| from_it(open)).map(|(ses, _)| *ses).collect();
        of.into_iter().flat_map(|ses| self.own(session, ses)).collect()
    }

    pub fn has(&mut self, session: SessionId, process: Process) {
        if let Some(entry) = self.sessions.get_mut(&session)
            && entry.processes.len() < MOST_PROCESSES
        {
            entry.processes.insert(process);
        }
    }

    pub fn left(&mut self, ses: u32, process: Process) -> Vec<News> {
        match self.owners.get(&ses).copied() {
            Some(session) => {
                self.has(session, process);
                vec![News::Left { session, pid: process.0 }]
            }
            None => {
                if let Some(open) = self.open.get_mut(&ses).filter(|open| open.left.len() < MOST_PROCESSES) {
                    open.left.insert(process);
                }
                Vec::new()
            }
        }
    }

    pub fn session_of(&self, ses: u32) -> Option<SessionId> {
        self.owners.get(&ses).copied()
    }

    /// A login of somebody who came from elsewhere, of an account that no session has whose
    /// own login is not known.
    pub fn is_foreign(&self, ses: u32, auid: u32) -> bool {
        let Some(open) = self.open.get(&ses) else { return false };
        let may_be =
            self.sessions.values().any(|entry| !entry.owns && entry.uid.is_none_or(|uid| uid == auid));
        matches!(open.origin, Origin::Elsewhere(_)) && open.left.is_empty() && !may_be
    }

    pub fn marked(
        &mut self,
        session: SessionId,
        ses: u32,
        auid: Option<u32>,
        scope: Option<u32>,
        now: u64,
    ) -> Vec<News> {
        let Some(entry) = self.sessions.get(&session) else { return Vec::new() };
        let of_account =
            entry.uid.is_some() && entry.uid == auid && scope.is_none_or(|uid| Some(uid) == auid);
        if entry.owns || !of_account || self.owners.contains_key(&ses) {
            return Vec::new();
        }
        if self.open.len() < MOST_OPEN || self.open.contains_key(&ses) {
            self.open.entry(ses).or_insert_with(|| Open::new(now)).marked.insert(session);
        }
        Vec::new()
    }

    /// Whether the marker of a process in that login is the truth. Of a session that nobody
    /// has told of, nothing better is known.
    pub fn believes(&self, session: SessionId, ses: u32) -> bool {
        match self.owners.get(&ses) {
            Some(owner) => *owner == session,
            None => !self.sessions.contains_key(&session),
        }
    }

    pub fn connected(&self) -> BTreeSet<u32> {
        let connected = |open: &Open| matches!(open.origin, Origin::Elsewhere(_) | Origin::Clients(_));
        self.open.iter().filter(|(_, open)| connected(open)).map(|(ses, _)| *ses).collect()
    }

    pub fn clients(&self) -> BTreeSet<Process> {
        let clients = self.open.values().filter_map(|open| match &open.origin {
            Origin::Clients(clients) => Some(clients.iter().map(|client| client.process)),
            _ => None,
        });
        clients.flatten().collect()
    }

    pub fn add_to(&self, session: SessionId, traces: &mut Traces) {
        let own = self.owners.iter().filter(|(_, owner)| **owner == session);
        traces.audit.extend(own.map(|(ses, _)| *ses));
        if let Some(entry) = self.sessions.get(&session) {
            traces.processes.extend(entry.processes.iter().copied());
        }
    }

    pub fn next(&self) -> Option<u64> {
        let logins = self.open.values().filter(|open| !open.decided).map(|open| open.since + UNDECIDED);
        let ends = self.sessions.values().filter_map(|entry| Some(entry.over? + KEPT));
        logins.chain(ends).min()
    }

    pub fn tick(&mut self, now: u64) -> Vec<News> {
        let mut news = self.by_markers(now);
        for open in self.open.values_mut().filter(|open| !open.decided && open.since + UNDECIDED <= now) {
            open.decided = true;
            news.extend(open.origin.doubt().map(|what| News::Doubt { what }));
        }
        let gone: BTreeSet<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, entry)| entry.over.is_some_and(|at| at + KEPT <= now))
            .map(|(session, _)| *session)
            .collect();
        if !gone.is_empty() {
            self.sessions.retain(|session, _| !gone.contains(session));
            self.owners.retain(|_, session| !gone.contains(session));
            self.dialled.retain(|_, session| !gone.contains(session));
        }
        if self.sessions.is_empty() {
            self.open.clear();
        }
        news
    }

    /// Sessions whose own login no connection told of are known by their marker, when one
    /// login alone has it. Not before the session's login has surely been made.
    fn by_markers(&mut self, now: u64) -> Vec<News> {
        let ripe = |entry: &Session| {
            let attached = entry.attached.is_some_and(|at| at + UNDECIDED <= now);
            !entry.owns && !entry.rivals_told && (attached || entry.over.is_some())
        };
        let ripe: Vec<SessionId> =
            self.sessions.iter().filter(|(_, entry)| ripe(entry)).map(|(session, _)| *session).collect();
        let mut news = Vec::new();
        for session in ripe {
            let logins: Vec<u32> = self
                .open
                .iter()
                .filter(|(_, open)| open.marked.contains(&session))
                .map(|(ses, _)| *ses)
                .collect();
            match logins.as_slice() {
                [] => {}
                [only] => news.extend(self.own(session, *only)),
                _ => {
                    if let Some(entry) = self.sessions.get_mut(&session) {
                        entry.rivals_told = true;
                    }
                    news.push(News::Rivals { session });
                }
            }
        }
        news
    }

    pub fn open_connections(&self) -> Vec<(SocketAddr, SessionId)> {
        self.dialled.iter().map(|(from, session)| (*from, *session)).collect()
    }
}
