//! What becomes of a remote access: approved, rejected, cancelled.

use jiff::Timestamp;
use tidegate_common::audit::RemoteAccessStep;
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{Approved, RemoteAccess, RemoteAccessState, RemoteAccessWord, Text};
use tidegate_common::name::UserName;

use super::{Read, RemoteAccessError, RemoteAccesses, moment, told, who};
use crate::access::By;
use crate::store::Store;

impl RemoteAccesses {
    /// Approves one; with the last approval that it needs it is granted.
    ///
    /// # Errors
    /// When it does not wait, or this person may not approve it.
    pub async fn approve(
        &self,
        id: RemoteAccessId,
        user: &UserName,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.approve_once(id, user, by, comment).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn approve_once(
        &self,
        id: RemoteAccessId,
        user: &UserName,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let now = moment();
        let (mut access, was) = self.to_decide(id, user, now).await?;
        let needed = match access.state {
            RemoteAccessState::Pending { needed, .. } => usize::from(needed),
            _ => 0,
        };
        if access.approvals.iter().any(|approved| approved.by == *user) {
            return Err(RemoteAccessError::Twice(id));
        }
        let comment = comment.cloned();
        access.approvals.push(Approved {
            by: user.clone(),
            at: now,
            origin: by.origin,
            comment: comment.clone(),
        });
        let complete = access.approvals.len() >= needed;
        if complete {
            access.state = RemoteAccessState::Granted;
        }
        let standing = if complete { "granted" } else { "more are needed" };
        let said = match comment.as_ref() {
            Some(comment) => format!("{standing}; {comment}"),
            None => standing.to_owned(),
        };
        let entry = told(&access, RemoteAccessStep::Approved, said, by);
        self.write(Store::remote_access_changed(access.clone(), was), vec![entry.into()]).await?;
        Ok(access)
    }

    /// Rejects one; one rejection ends it.
    ///
    /// # Errors
    /// When it does not wait, or this person may not decide on it.
    pub async fn reject(
        &self,
        id: RemoteAccessId,
        user: &UserName,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.reject_once(id, user, by, comment).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn reject_once(
        &self,
        id: RemoteAccessId,
        user: &UserName,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let now = moment();
        let (mut access, was) = self.to_decide(id, user, now).await?;
        let state = RemoteAccessState::Rejected { at: now, by: user.to_string(), comment: comment.cloned() };
        access.state = state;
        let entry = told(&access, RemoteAccessStep::Rejected, remark(comment), by);
        self.write(Store::remote_access_changed(access.clone(), was), vec![entry.into()]).await?;
        Ok(access)
    }

    /// Cancels one; whoever is in by it is out at once.
    ///
    /// # Errors
    /// When there is none, or it is over already.
    pub async fn cancel(
        &self,
        id: RemoteAccessId,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.cancel_once(id, by, comment).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn cancel_once(
        &self,
        id: RemoteAccessId,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let now = moment();
        let (mut access, was) = self.to_change(id).await?;
        if !access.stands_at(now) {
            return Err(RemoteAccessError::State { id, word: access.word_at(now) });
        }
        access.state = RemoteAccessState::Cancelled { at: now, by: who(by), comment: comment.cloned() };
        access.keys.clear();
        let entry = told(&access, RemoteAccessStep::Cancelled, remark(comment), by);
        let step = Store::remote_access_changed(access.clone(), was).and(Store::entry_codes_revoked(id));
        self.write(step, vec![entry.into()]).await?;
        Ok(access)
    }

    pub(super) async fn to_change(&self, id: RemoteAccessId) -> Result<Read, RemoteAccessError> {
        let read = self.0.store.remote_access_to_change(id).await?;
        read.ok_or(RemoteAccessError::Unknown(id))
    }

    /// One that waits, and on which the user may decide.
    async fn to_decide(
        &self,
        id: RemoteAccessId,
        user: &UserName,
        now: Timestamp,
    ) -> Result<Read, RemoteAccessError> {
        if !self.is_approver(user) {
            return Err(RemoteAccessError::NotApprover);
        }
        let (access, was) = self.to_change(id).await?;
        match access.word_at(now) {
            RemoteAccessWord::Pending => {}
            word => return Err(RemoteAccessError::State { id, word }),
        }
        if access.user == *user || access.by == user.as_str() {
            return Err(RemoteAccessError::Own(id));
        }
        Ok((access, was))
    }
}

fn remark(comment: Option<&Text>) -> String {
    comment.map(ToString::to_string).unwrap_or_default()
}
