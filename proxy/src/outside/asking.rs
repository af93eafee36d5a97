//! Who is told that a remote access waits for them, and who asked for it what became of it; what they read.

use tidegate_common::audit::{Note, Notes};
use tidegate_common::model::{RemoteAccess, RemoteAccessState, Scope, Text};
use tidegate_common::name::UserName;
use tidegate_common::notice::{Decided, Notice, NoticeText, Outcome, Remote};
use tidegate_common::policy::{self, Notification};

use super::{RemoteAccessError, RemoteAccesses, who};
use crate::access::By;
use crate::store::RemoteAccessFilter;

impl RemoteAccesses {
    /// What approvers are told of what was just requested: of a batch once. Nobody is told of what
    /// they may not decide on.
    pub(super) fn asks(&self, made: &[RemoteAccess]) -> Vec<Notification> {
        let Some(first) = made.first() else { return Vec::new() };
        let RemoteAccessState::Pending { until: expires, .. } = first.state else { return Vec::new() };
        let notice = Notice::RemoteAccessAsked { remote: remote(first, made), expires };
        let decides = |approver: &&UserName| {
            first.by != approver.as_str() && made.iter().any(|access| access.user != **approver)
        };
        let approvers =
            self.0.settings.approvers.iter().filter(|user| self.is_approver(user)).filter(decides);
        policy::notify(&self.0.access.snapshot(), approvers, &notice)
    }

    /// What who asked for it is told of what somebody else makes of it, or that nobody did in time: of a
    /// batch once for each outcome, with the first that has it.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn tells_outcome(
        &self,
        access: &RemoteAccess,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<Vec<Notification>, RemoteAccessError> {
        let (outcome, by) = (outcome(&access.state), who(by));
        let Some(outcome) = outcome.filter(|_| access.by != by) else { return Ok(Vec::new()) };
        let mut all = vec![access.clone()];
        if access.batch.is_some() {
            let batch = RemoteAccessFilter { batch: access.batch, ..RemoteAccessFilter::default() };
            let before = RemoteAccessFilter { states: stored(outcome), limit: 1, ..batch.clone() };
            if !self.list(&before).await?.is_empty() {
                return Ok(Vec::new());
            }
            all = self.list(&batch).await?;
            all.reverse();
        }
        let remote = remote(all.first().unwrap_or(access), &all);
        // What nobody decided on is nobody's deed.
        let by = (outcome != Outcome::Expired).then(|| Note::new(by));
        let comment = comment.map(|text| NoticeText::new(text.as_str()));
        let notice = Notice::RemoteAccessDecided { remote, decided: Decided { outcome, by, comment } };
        // Who is no user, as the local administrator, has nowhere to be told.
        let asked = access.by.parse::<UserName>().ok();
        Ok(policy::notify(&self.0.access.snapshot(), &asked, &notice))
    }
}

fn outcome(state: &RemoteAccessState) -> Option<Outcome> {
    match state {
        RemoteAccessState::Pending { .. } => None,
        RemoteAccessState::Granted => Some(Outcome::Approved),
        RemoteAccessState::Rejected { .. } => Some(Outcome::Rejected),
        RemoteAccessState::Cancelled { .. } => Some(Outcome::Cancelled),
        RemoteAccessState::Expired { .. } => Some(Outcome::Expired),
    }
}

/// The states of remote accesses of which it was told.
fn stored(outcome: Outcome) -> &'static [&'static str] {
    match outcome {
        Outcome::Approved => &["granted"],
        Outcome::Rejected => &["rejected"],
        Outcome::Cancelled | Outcome::Revoked => &["cancelled"],
        Outcome::Expired => &["expired"],
    }
}

fn remote(first: &RemoteAccess, all: &[RemoteAccess]) -> Remote {
    let said = |text: Option<&Text>| text.map(|text| NoticeText::new(text.as_str()));
    Remote {
        access: first.id,
        batch: first.batch.is_some(),
        users: Notes::of(all.iter().map(|access| &access.user)),
        count: u64::try_from(all.len()).unwrap_or(u64::MAX),
        group: first.group.clone(),
        reaches: reaches(&first.scope),
        justification: said(first.claims.justification.as_ref()),
        reason: first.claims.reason.clone(),
        governance: said(first.claims.governance.as_ref()),
        from: first.window.start,
        until: first.window.end,
        by: Note::new(&first.by),
        origin: first.origin,
    }
}

/// What it reaches, a line each.
fn reaches(scope: &Scope) -> Notes {
    let Scope::Limited(limited) = scope else {
        return Notes::of(["all that access groups allow"]);
    };
    // What narrows it all is not to be the line that is left out.
    let sessions = limited.sessions.map(|sessions| format!("{sessions} sessions at most"));
    let times = (!limited.times.is_never()).then(|| limited.times.to_string());
    let devices = limited.devices.iter().map(|device| format!("every credential on {device}"));
    let credentials = limited.credentials.iter().map(ToString::to_string);
    Notes::of(sessions.into_iter().chain(times).chain(devices).chain(credentials))
}
