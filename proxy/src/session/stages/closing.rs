//! The end of a session, however far it came: what it has opened is undone, and the
//! audit log and the store hear of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::{Entry, Event, Note};
use tidegate_common::grant::{Ended, Failure};
use tidegate_common::id::SessionId;
use tidegate_common::policy::Permit;

use super::{Opened, Requested};
use crate::recordings;
use crate::session::{End, Facts, LiveEntry, Phase};
use crate::store::{LastingStep, Store};

impl Opened {
    /// Undoes what was opened: the grant at once and before all else.
    pub(super) async fn close(mut self, end: End, listed: LiveEntry) {
        let Requested { sessions, live, id, permit, origin, phase, since } = self.requested;
        let over = end.message.as_deref().map(Arc::from);
        let grant = self.grant.take();
        let revoked = async {
            match grant {
                Some(grant) => Some(grant.revoke().await),
                None => None,
            }
        };
        let told = async {
            phase.send_replace(Phase::Over(over));
            if let Some(upstream) = &self.upstream {
                upstream.close();
            }
            // Every channel drops its receiver when it has told its user.
            let _ = tokio::time::timeout(Duration::from_secs(5), phase.closed()).await;
        };
        let (revoked, ()) = tokio::join!(revoked, told);
        let target = permit.target().clone();
        let mut entries: Vec<Entry> = Vec::new();
        match revoked {
            Some(Some(ended)) => entries.push(Event::grant_over(id, target.clone(), &ended).into()),
            Some(None) => entries.push(unheard(id, &permit, sessions.agents.lease()).into()),
            None => {}
        }
        let Facts { bytes_in, bytes_out, .. } = live.facts();
        if let Some(recorder) = self.recorder.take() {
            let event =
                match recorder.seal(recordings::End { exit: None, cause: &end.cause.to_string() }).await {
                    Ok(sealed) => Event::RecordingSealed {
                        session: id,
                        bytes: sealed.bytes,
                        frames: sealed.frames,
                        link: sealed.link,
                    },
                    Err(error) => Event::RecordingFailed { session: id, why: Note::new(error.to_string()) },
                };
            entries.push(event.into());
        }
        let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ended = Event::SessionEnded {
            session: id,
            user: permit.user().clone(),
            target,
            cause: end.cause,
            detail: end.message.as_deref().map(Note::from),
            millis,
            bytes_in,
            bytes_out,
        };
        if self.admitted {
            entries.push(ended.by_user(permit.user(), origin));
        }
        // The session is over, also while that cannot be written.
        let (cause, at) = (end.cause, Timestamp::now());
        let ended = LastingStep::new(move || Store::session_ended(id, cause, at));
        if let Err(error) = sessions.audit.tell_step(entries, ended).await {
            tracing::error!(session = %id, %error, "the end of a session is not in the log and the store yet");
        }
        drop((self.compared.take(), listed));
        crate::memory::tidy();
    }
}

/// The event for a revocation that the agent did not confirm in time.
fn unheard(session: SessionId, permit: &Permit, lease: Duration) -> Event {
    let target = permit.target().clone();
    let why = format!(
        "the agent on {} did not confirm the end of the grant; its lease of {} s ends it there",
        target.device,
        lease.as_secs()
    );
    let standing =
        permit.privileges().iter().map(|privilege| Failure { kind: privilege.kind(), why: why.clone() });
    Event::grant_over(session, target, &Ended { standing: standing.collect(), ..Ended::default() })
}
