//! Whose a login on this host is. The witness asks it for its lists, and whoever ends
//! what a session left asks it for the session's audit ids ([`Logins::add_to`]).
//!
//! The connection decides. A login on the connection that the proxy dialled is that
//! session's, and so is one whose client is a process of the session, over however many
//! logins on the host itself, or that was made in one of its logins (login(1)), or whose
//! terminal one of its processes shows (machinectl(1)). What a
//! process says of itself, the session's marker in its environment, counts only where no
//! connection told of the session's login (behind an address translation), and only for
//! one login of the session's own account.
//!
//! A heuristic where the client's end is not a process that can be seen: what came from
//! the host itself and cannot be told apart is told ([`News::Doubt`]).

mod known;
mod origin;
mod sockets;
mod terminal;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::User;
use tidegate_common::id::SessionId;

use crate::clock;
use crate::core::{Ledger, Record, Traces};
use crate::paths::Paths;
use known::Known;

pub use known::{News, Process};

/// Who is told what turns out.
type Hook = Box<dyn Fn(News) + Send>;

/// All that is known of the host's logins; clones share it.
#[derive(Clone, Default)]
pub struct Logins {
    known: Arc<Mutex<Known>>,
    hook: Arc<Mutex<Option<Hook>>>,
    paths: Paths,
}

/// A login that was just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// Its audit session; none where the kernel has no audit.
    pub ses: Option<u32>,
    /// The process that made it.
    pub pid: u32,
    /// The audit session that this process was in before.
    pub before: Option<u32>,
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logins").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Logins {
    /// What the journal knows of sessions that live.
    #[must_use]
    pub fn recovered(paths: &Paths, ledger: &Ledger) -> Self {
        let logins = Self { paths: paths.clone(), ..Self::default() };
        for (session, entry) in &ledger.grants {
            let uid = uid_of(entry.account.as_str());
            let mut known = logins.known();
            known.begin(*session, uid);
            known.attached(*session, 0);
            let _ = entry.traces.audit.iter().flat_map(|ses| known.own(*session, *ses)).count();
            entry.traces.processes.iter().for_each(|process| known.has(*session, *process));
        }
        logins
    }

    /// Follows logind, and tells what turns out from now on.
    ///
    /// # Errors
    /// When the host has no thread left.
    pub fn start(&self, hook: impl Fn(News) + Send + 'static) -> std::io::Result<()> {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
        watch::start(self.clone())
    }

    /// Follows the journal: it tells when a session begins and when it is over.
    pub fn follow(&self, record: &Record) {
        match record {
            Record::Granting { session, account, .. } => {
                self.known().begin(*session, uid_of(account.as_str()));
                self.known().named(*session, account.clone());
            }
            Record::Granted { session } => {
                // An account that was made for it has its number only now.
                let account = self.known().account(*session);
                if let Some(uid) = account.and_then(|account| uid_of(account.as_str())) {
                    self.known().begin(*session, Some(uid));
                }
            }
            Record::Traced { session, traces } => {
                let news = {
                    let mut known = self.known();
                    traces.audit.iter().flat_map(|ses| known.own(*session, *ses)).collect()
                };
                self.tell(news);
            }
            Record::Ended { session } => {
                self.known().over(*session, now());
                self.tick();
            }
            Record::Extending { .. }
            | Record::Extended { .. }
            | Record::NotExtended { .. }
            | Record::Released { .. }
            | Record::Gone { .. }
            | Record::Snapshot { .. } => {}
        }
    }

    /// The proxy is about to log in for the session, from there.
    pub fn dialled(&self, session: SessionId, from: SocketAddr) {
        let news = self.known().dialled(session, from);
        self.tell(news);
    }

    /// The proxy has logged in for the session.
    pub fn attached(&self, session: SessionId) {
        self.known().attached(session, now());
    }

    /// Somebody logged in: looks where from, which has to be while the login's client is
    /// there.
    pub fn made(&self, login: Login) {
        // logind does not say it in a container, where the kernel keeps it all the same.
        let ses = login.ses.or_else(|| origin::ses_of(&self.paths.proc, login.pid));
        let login = Login { ses, ..login };
        if !self.known().is_news(login) {
            return;
        }
        let dialled = |from| self.known().is_dialled(from);
        let made = origin::of(&self.paths.proc, login, dialled);
        let news = self.known().made(login, made, now());
        self.tell(news);
    }

    /// A process took itself out of its login, so that the kernel no longer knows it.
    pub fn left(&self, ses: u32, pid: u32) {
        let start = origin::start_of(&self.paths.proc, pid).unwrap_or_default();
        let news = self.known().left(ses, (pid, start));
        self.tell(news);
    }

    /// Whose an audit session is.
    #[must_use]
    pub fn session_of(&self, ses: u32) -> Option<SessionId> {
        self.known().session_of(ses)
    }

    /// Whether nobody needs to keep what runs in that login: it came from elsewhere and
    /// can be no session's.
    #[must_use]
    pub fn is_foreign(&self, ses: u32, auid: u32) -> bool {
        self.known().is_foreign(ses, auid)
    }

    /// A process of that login names the session in its environment. Tells whether it is
    /// the session's, as far as is known now.
    pub fn marked(&self, session: SessionId, ses: u32, pid: u32) -> bool {
        let auid = origin::auid_of(&self.paths.proc, pid);
        let scope = origin::scope_uid(&self.paths.proc, pid);
        let news = self.known().marked(session, ses, auid, scope, now());
        self.tell(news);
        self.known().believes(session, ses)
    }

    /// Audit sessions of logins that were seen to come over a connection.
    #[must_use]
    pub fn connected(&self) -> BTreeSet<u32> {
        self.known().connected()
    }

    /// Processes that are clients of logins of which nobody knows whose they are.
    #[must_use]
    pub fn clients(&self) -> BTreeSet<Process> {
        self.known().clients()
    }

    /// This process is the session's.
    pub fn belongs(&self, session: SessionId, process: Process) {
        let news = self.known().belongs(session, process);
        self.tell(news);
    }

    /// The session has ended: whose the logins are that name it is decided at the next tick.
    pub fn over(&self, session: SessionId) {
        self.known().over(session, now());
    }

    /// Adds the session's audit ids, and processes that no id gives away.
    pub fn add_to(&self, session: SessionId, traces: &mut Traces) {
        self.known().add_to(session, traces);
    }

    /// When [`Self::tick`] has something next, in microseconds since boot.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.known().next()
    }

    /// Decides what is due.
    pub fn tick(&self) {
        let news = self.known().tick(now());
        self.tell(news);
    }

    /// Connections that nobody has logged in on yet, for the agent after this one.
    #[must_use]
    pub fn open_connections(&self) -> Vec<(SocketAddr, SessionId)> {
        self.known().open_connections()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hook) = &*hook {
            news.into_iter().for_each(hook);
        }
    }
}

fn now() -> u64 {
    clock::now().boot
}

fn uid_of(account: &str) -> Option<u32> {
    User::from_name(account).ok().flatten().map(|user| user.uid.as_raw())
}
