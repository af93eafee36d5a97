//! What ran on the host during a session, as the kernel saw it: every execve(2) and
//! execveat(2), with arguments, working directory and result.
//!
//! The kernel's audit says so over netlink. It is listened to only while a session
//! lives; the rules that make it speak are added then and removed after, and an audit
//! daemon beside the agent keeps what it has. What is heard goes to a spool on disk and
//! from there to the proxy, which answers what it has. What was lost, wherever it was,
//! is counted and told.
//!
//! Where the kernel has no audit, as in a container, sessions go on without a witness
//! and the proxy is told why.

mod assembler;
mod attribution;
mod events;
mod kernel;
mod listener;
mod loaded_rules;
mod record;
mod rules;
mod spool;
mod watcher;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tidegate_common::audit::Note;
use tidegate_common::id::SessionId;
use tidegate_common::name::AccountName;
use tidegate_common::wire::Sight;

use crate::core::{Ledger, Record};
use crate::link::Link;
use crate::logins::{Logins, News};
use crate::paths::Paths;
use watcher::{Listening, Watcher};

pub use loaded_rules::{obstacles, put_back_after_crash};
pub use watcher::Carried;

/// How long the thread may take to put the kernel's audit back at a stop.
const STOP: Duration = Duration::from_secs(2);

/// How long a grant may wait for the thread to listen.
const HEED: Duration = Duration::from_millis(200);

/// What the thread is told.
#[derive(Debug)]
enum Order {
    Watch {
        session: SessionId,
        account: AccountName,
    },
    /// These audit sessions are the session's.
    Claim {
        session: SessionId,
        logins: BTreeSet<u32>,
    },
    /// Something of the session went by unseen, or of every session.
    Missed {
        session: Option<SessionId>,
        why: String,
    },
    /// Answer, once all before this is done.
    Heed(Sender<()>),
    Over {
        session: SessionId,
    },
    Linked,
    Unlinked,
    Noted {
        number: u64,
    },
    Stop,
    /// The next agent goes on where this one stops.
    HandOver,
}

/// How the loop and the worker reach the thread. Without one, everything is ignored.
#[derive(Debug, Clone, Default)]
pub struct Witness(Option<Reach>);

#[derive(Debug, Clone)]
struct Reach {
    orders: Sender<Order>,
    wake: Arc<EventFd>,
}

/// The thread did not end in time.
struct Late;

/// The thread; it must be stopped.
#[derive(Debug)]
pub struct Running(Option<std::thread::JoinHandle<Option<Carried>>>);

/// Starts the thread, which goes on with what the agent before `carried` here, or puts
/// back what one that ended without a word left in the kernel.
///
/// # Errors
/// When the host has no thread left, or the spool cannot be made.
pub fn start(
    paths: &Paths,
    link: Link,
    ledger: &Ledger,
    logins: &Logins,
    carried: Option<Carried>,
) -> std::io::Result<(Witness, Running)> {
    let (mut attribution, assembler, listener): (attribution::Attribution, _, _) = carried
        .map_or_else(Default::default, |carried| (carried.attribution, carried.assembler, carried.listener));
    for (from, session) in attribution.connections() {
        logins.dialled(session, from);
    }
    let listening = listener.and_then(|left| match left.take_over(paths) {
        Ok(listener) => Some(Listening::Yes(Box::new(listener))),
        Err(error) => {
            tracing::error!(%error, "what the kernel told during the handover is lost");
            None
        }
    });
    let missed = listening.is_none();
    if missed {
        put_back_after_crash(paths);
    }
    let started = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
    let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
    let watcher = Watcher {
        paths: paths.clone(),
        link,
        spool: spool::Spool::open(&paths.state.join("witness"), started)?,
        wake: Arc::clone(&wake),
        linked: false,
        attribution,
        logins: logins.clone(),
        assembler,
        listening: listening.unwrap_or(Listening::Not),
    };
    let (orders, queue) = channel();
    let thread = std::thread::Builder::new().name("witness".to_owned());
    let running = thread.spawn(move || watcher.work(&queue))?;
    let witness = Witness(Some(Reach { orders, wake }));
    for (session, entry) in &ledger.grants {
        witness.tell(Order::Watch { session: *session, account: entry.account.clone() });
        witness.tell(Order::Claim { session: *session, logins: entry.traces.audit.clone() });
        if missed {
            let why = "the agent did not run for a while; what ran meanwhile is not known";
            witness.missed(Some(*session), why);
        }
    }
    Ok((witness, Running(Some(running))))
}

/// Nobody is to watch any more: puts back what the agent before has left.
pub fn let_go(paths: &Paths, carried: Option<Carried>) {
    if let Some(carried) = carried {
        drop(carried.listener.map(|left| left.take_over(paths)));
        put_back_after_crash(paths);
    }
}

impl Witness {
    /// Follows the journal: it tells when a session begins, where it lives and when it
    /// is over.
    pub fn follow(&self, record: &Record) {
        match record {
            Record::Granting { session, account, .. } => {
                self.tell(Order::Watch { session: *session, account: account.clone() });
            }
            Record::Traced { session, traces } => {
                self.tell(Order::Claim { session: *session, logins: traces.audit.clone() });
            }
            Record::Granted { session } => self.await_listening(*session),
            Record::Ended { session } => self.tell(Order::Over { session: *session }),
            _ => {}
        }
    }

    /// What turned out about the host's logins.
    pub fn news(&self, news: News) {
        match news {
            News::Owned { session, ses } => {
                self.tell(Order::Claim { session, logins: BTreeSet::from([ses]) });
            }
            News::Left { session, pid } => {
                let why = format!(
                    "process {pid} took itself out of its login (loginuid), so what it ran is not known"
                );
                self.missed(Some(session), &why);
            }
            News::Rivals { session } => {
                let why =
                    "more than one login says that it is the session's, so what ran in them is in no session";
                self.missed(Some(session), why);
            }
            News::Doubt { what } => {
                let why = format!("somebody logged in {what}; what they ran is in no session's list");
                self.missed(None, &why);
            }
            News::Asked => {}
        }
    }

    fn missed(&self, session: Option<SessionId>, why: &str) {
        self.tell(Order::Missed { session, why: why.to_owned() });
    }

    /// A link stands and the proxy has welcomed us.
    pub fn linked(&self) {
        self.tell(Order::Linked);
    }

    /// The link is gone.
    pub fn unlinked(&self) {
        self.tell(Order::Unlinked);
    }

    /// The proxy has a message.
    pub fn noted(&self, number: u64) {
        self.tell(Order::Noted { number });
    }

    /// Whether the host's kernel can be asked, for the proxy to know.
    #[must_use]
    pub fn sight(&self) -> Sight {
        match self.0 {
            Some(_) => loaded_rules::sight(),
            None => Sight::Blind { why: Note::new("it is switched off in the agent's configuration") },
        }
    }

    /// Nobody shall log in before the kernel tells of them.
    fn await_listening(&self, session: SessionId) {
        let (heed, heeded) = channel();
        self.tell(Order::Heed(heed));
        if self.0.is_some() && heeded.recv_timeout(HEED).is_err() {
            self.missed(Some(session), "the witness was late; what the session ran first was not seen");
        }
    }

    fn tell(&self, order: Order) {
        if let Some(reach) = &self.0
            && reach.orders.send(order).is_ok()
        {
            let _ = reach.wake.write(1);
        }
    }
}

impl Running {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Stops the thread: what it holds goes to the spool, and the kernel's audit is put
    /// back. What is left when that takes too long is the sweep's.
    pub async fn stop(self, witness: &Witness) {
        witness.tell(Order::Stop);
        if self.end().await.is_err() {
            tracing::error!("the witness did not stop in time; the sweep puts the kernel's audit back");
        }
    }

    /// Ends the thread so that the next agent can go on: what it was about to tell goes to
    /// the spool, the rest is returned, and the kernel's audit stays as it is.
    pub async fn hand_over(self, witness: &Witness) -> Option<Carried> {
        witness.tell(Order::HandOver);
        self.end().await.unwrap_or_else(|Late| {
            tracing::error!("the witness did not stop in time; the next one begins anew");
            None
        })
    }

    async fn end(self) -> Result<Option<Carried>, Late> {
        let Some(running) = self.0 else { return Ok(None) };
        let by = Instant::now() + STOP;
        while !running.is_finished() && Instant::now() < by {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if running.is_finished() { Ok(running.join().unwrap_or_default()) } else { Err(Late) }
    }
}
