//! What a session carries beside its programs: connections to and from its device, X11
//! windows, the client's agent.
//!
//! Each kind opens only while the session's access group allows it, by the permit that
//! admitted the session and by policy as it stands. The log knows of it before it opens
//! and when it is over, the recording when it begins and how much went through, with the
//! digest of each stream; what went through is kept nowhere. All end with their session.

mod asked;
mod device_channels;
mod local;
mod relay;
mod remote;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::ChannelId;
use russh::server::Handle;
use tidegate_common::audit::{Event, ForwardKind, Note};
use tidegate_common::id::SessionId;
use tidegate_common::model::Forward;
use tidegate_common::policy::Permit;
use tokio::sync::watch;

pub use asked::{Asked, X11};
pub use local::Local;
pub use remote::{ListenAddress, Listener, MOST_LISTENERS};

use super::Gate;
use crate::audit_log::AuditError;
use crate::inbox::Inbox;
use crate::relay::Control;
use crate::session::{Open, Phase};
use crate::upstream::MOST_CHANNELS;

/// What a forward needs of its session, and of the client that it leads to.
#[derive(Clone)]
pub struct Context {
    /// Policy and the log.
    pub gate: Arc<Gate>,
    /// The session.
    pub session: SessionId,
    /// What admitted it.
    pub permit: Arc<Permit>,
    /// From where its user came.
    pub origin: IpAddr,
    /// Where it stands.
    pub phase: watch::Receiver<Phase>,
    /// Opens channels to the client.
    pub client: Handle,
    /// Where such channels find what the client sends on them.
    pub arrivals: Arrivals,
}

/// One forward, for the log and the recording.
#[derive(Debug, Clone)]
pub struct About {
    /// Which condition of the group allows it.
    pub forward: Forward,
    /// Its kind.
    pub kind: ForwardKind,
    /// Where it leads to.
    pub to: String,
    /// Who connected, if the side that opened it says so.
    pub from: Option<String>,
}

/// What came of a forward.
#[derive(Debug, Default)]
pub struct Closed {
    /// Its number in the recording, if it got so far.
    pub channel: Option<u32>,
    /// Why, where neither side simply closed it.
    pub why: Option<String>,
    /// From the user's side.
    pub bytes_in: u64,
    /// To the user's side.
    pub bytes_out: u64,
}

impl Context {
    /// Whether such a forward may open now.
    pub async fn allows(&self, forward: Forward) -> bool {
        self.permit.allows(forward)
            && self.gate.access.still_permits(&self.permit).await.is_ok_and(|now| now.allows(forward))
    }

    /// The sentence for a forward that may not.
    pub fn forbidden(&self, forward: Forward) -> String {
        format!("access group `{}` does not allow {}", self.permit.group(), plural(forward))
    }

    /// Waits until such a forward must close, and says why.
    pub async fn ended(&self, forward: Forward) -> String {
        let withdrawn = async {
            let mut changed = self.gate.access.changed();
            loop {
                changed.mark_unchanged();
                if !self.allows(forward).await || changed.changed().await.is_err() {
                    return self.forbidden(forward);
                }
            }
        };
        tokio::select! {
            () = self.over() => "the session is over".to_owned(),
            why = withdrawn => why,
        }
    }

    /// Waits until the session is over.
    pub async fn over(&self) {
        let _ = self.phase.clone().wait_for(|phase| matches!(phase, Phase::Over(_))).await;
    }

    /// Waits until the session is open.
    ///
    /// # Errors
    /// Why it never will be.
    pub async fn open(&self) -> Result<Arc<Open>, String> {
        let mut phase = self.phase.clone();
        let settled = phase.wait_for(|phase| !phase.is_opening()).await;
        match settled.as_deref() {
            Ok(Phase::Open(open)) => Ok(Arc::clone(open)),
            Ok(Phase::Over(Some(message))) => Err(message.to_string()),
            _ => Err("the session is over".to_owned()),
        }
    }

    /// Tells the log, before anything opens.
    pub async fn opens(&self, about: &About) -> Result<(), AuditError> {
        let event = Event::ForwardOpened {
            session: self.session,
            kind: about.kind,
            to: Note::new(&about.to),
            from: about.from.as_ref().map(Note::new),
        };
        self.gate.audit.append(event.by_user(self.permit.user(), self.origin)).await.map(drop)
    }

    /// Tells the log that it is over.
    pub async fn closed(&self, about: &About, closed: Closed) {
        let Closed { channel, why, bytes_in, bytes_out } = closed;
        let (session, kind, to) = (self.session, about.kind, Note::new(&about.to));
        let why = why.map(Note::new);
        self.tell(Event::ForwardClosed { session, channel, kind, to, why, bytes_in, bytes_out }).await;
    }

    /// Tells the log that it never opened.
    pub async fn refused(&self, about: &About, why: &str) {
        let (session, kind, to) = (Some(self.session), about.kind, Note::new(&about.to));
        self.tell(Event::ForwardRefused { session, kind, to, why: Note::new(why) }).await;
    }

    async fn tell(&self, event: Event) {
        let entry = event.by_user(self.permit.user(), self.origin);
        if let Err(error) = self.gate.audit.tell(entry).await {
            tracing::error!(session = %self.session, %error, "what became of a forward could not be logged");
        }
    }
}

fn plural(forward: Forward) -> &'static str {
    match forward {
        Forward::Local => "local forwards",
        Forward::Remote => "remote forwards",
        Forward::X11 => "X11 forwarding",
        Forward::Agent => "agent forwarding",
    }
}

/// Where the task that opens a channel to the client and the connection's own task, which
/// hears that it is open, meet: whoever comes first leaves the inbox for the other.
#[derive(Clone, Default)]
pub struct Arrivals(Arc<Mutex<HashMap<ChannelId, Inbox<Control>>>>);

impl Arrivals {
    fn waiting(&self) -> MutexGuard<'_, HashMap<ChannelId, Inbox<Control>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The inbox of a channel that was opened to the client. Each side asks once.
    pub fn meet(&self, id: ChannelId) -> Inbox<Control> {
        let mut waiting = self.waiting();
        waiting.remove(&id).unwrap_or_else(|| {
            let inbox = Inbox::default();
            waiting.insert(id, inbox.clone());
            inbox
        })
    }

    /// The inbox of a channel that the client says is open. `None` when it has said so of
    /// as many that nobody comes for as a session may have channels.
    pub fn arrive(&self, id: ChannelId) -> Option<Inbox<Control>> {
        let waiting = self.waiting();
        let fits = waiting.contains_key(&id) || waiting.len() < MOST_CHANNELS;
        drop(waiting);
        fits.then(|| self.meet(id))
    }
}
