//! The report of a session under a change that is over: in the audit log, and for those who are
//! responsible. Of a session that the gate's stop cut off, what the store has is told at the next start.

use std::net::IpAddr;

use tidegate_common::audit::{Event, Note, Notes};
use tidegate_common::change::{Change, Report, Unexpected};
use tidegate_common::id::SessionId;
use tidegate_common::model::Snapshot;
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::notice::Notice;
use tidegate_common::policy;

use super::{ChangeError, Changes};
use crate::audit_log::Telling;
use crate::store::{Comparison, CutOff, Store};

/// A session that is over, and what came of it.
pub(super) struct Over<'a> {
    pub session: SessionId,
    pub change: &'a Change,
    pub user: &'a UserName,
    pub origin: IpAddr,
    pub target: &'a CredentialName,
    pub report: &'a Report,
    /// Whether the host's kernel, where it is asked, told all of it.
    pub whole: bool,
    /// Whether the gate stopped before all of it was compared.
    pub cut_off: bool,
}

impl Over<'_> {
    /// What the log says of it, and who is told what.
    pub(super) fn telling(&self, snapshot: &Snapshot) -> Telling {
        let Self { session, change, user, origin, target, report, whole, cut_off } = *self;
        let score = report.score();
        let seen = |one: &Unexpected| {
            let order = if one.out_of_order { ", out of order" } else { "" };
            format!("{} ({}{order})", one.command, one.source)
        };
        let notice = Notice::ChangeReported {
            change: change.id.clone(),
            title: Note::new(change.title.as_str()),
            session,
            user: user.clone(),
            target: target.clone(),
            percent: score.percent(),
            missing: Notes::of(report.missing().map(|outcome| &outcome.command)),
            unexpected: Notes::of_some(report.unexpected.iter().map(seen), report.more),
            not_compared: report.not_compared,
            whole,
            cut_off,
        };
        let compared = Event::SessionCompared {
            session,
            change: change.id.clone(),
            matched: score.matched,
            unexpected: score.unexpected,
            missing: score.missing,
        };
        let told = policy::notify(snapshot, &change.responsible, &notice);
        Telling::new(compared.by_user(user, origin), told)
    }
}

impl Changes {
    /// Tells of the sessions of this gate that were compared when it stopped, as far as they were. For the
    /// gate's start, before a session begins. One of which the store holds what cannot be read is told of
    /// in the gate's log, once, and holds up no other.
    ///
    /// # Errors
    /// When the store or the audit log fails; those that are left are told of at the next start.
    pub async fn report_cut_off(&self) -> Result<(), ChangeError> {
        for CutOff { session, came } in self.0.store.cut_off().await? {
            let told = match came {
                Ok(comparison) => self.report_one_cut_off(comparison).await,
                Err(error) => Err(error.into()),
            };
            match told {
                Err(ChangeError::Store(error)) if error.is_for_good() => {
                    tracing::error!(%session, %error, "nobody is told what came of a session that was cut off");
                    let untold = Store::compared_untold(session);
                    self.0.audit.step(Vec::<Telling>::new(), untold).await?;
                }
                told => told?,
            }
        }
        Ok(())
    }

    async fn report_one_cut_off(&self, comparison: Comparison) -> Result<(), ChangeError> {
        let session = self.0.store.session(comparison.session).await?;
        let change = self.0.store.change(&comparison.change).await?;
        let (Some(session), Some(change)) = (session, change) else { return Ok(()) };
        let over = Over {
            session: session.id,
            change: &change,
            user: &session.user,
            origin: session.origin,
            target: &session.target,
            report: &comparison.report,
            whole: false,
            cut_off: true,
        };
        let told = over.telling(&self.0.access.snapshot());
        self.0.audit.step(vec![told], Store::compared(comparison)).await?;
        Ok(())
    }
}
