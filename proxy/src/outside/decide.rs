//! What becomes of a remote access: approved, rejected, cancelled.

use jiff::Timestamp;
use tidegate_common::audit::RemoteAccessStep;
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{Approved, RemoteAccess, RemoteAccessState, RemoteAccessWord, Text};
use tidegate_common::name::UserName;

use super::{Read, RemoteAccessError, RemoteAccesses, moment, told, who};
use crate::access::By;
use crate::audit_log::Telling;
use crate::store::Store;

/// What somebody does with one.
#[derive(Clone, Copy)]
enum Deed<'a> {
    /// As this approver.
    Approve(&'a UserName),
    /// As this approver.
    Reject(&'a UserName),
    Cancel,
}

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
        self.deal(id, Deed::Approve(user), by, comment).await
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
        self.deal(id, Deed::Reject(user), by, comment).await
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
        self.deal(id, Deed::Cancel, by, comment).await
    }

    async fn deal(
        &self,
        id: RemoteAccessId,
        deed: Deed<'_>,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let mut turn = self.turn().await;
        let done = loop {
            let done = self.deal_once(id, deed, by, comment).await;
            if !turn.again(&done) {
                break done;
            }
        };
        drop(turn);
        if done.is_ok() && !matches!(deed, Deed::Approve(_)) {
            self.remove_limited_users(moment()).await;
        }
        done
    }

    async fn deal_once(
        &self,
        id: RemoteAccessId,
        deed: Deed<'_>,
        by: &By,
        comment: Option<&Text>,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let now = moment();
        let (mut access, was) = match deed {
            Deed::Approve(user) | Deed::Reject(user) => self.to_decide(id, user, now).await?,
            Deed::Cancel => self.to_cancel(id, now).await?,
        };
        let said = comment.cloned();
        let (step, told_of) = match deed {
            Deed::Approve(user) => (RemoteAccessStep::Approved, approve(&mut access, user, by, said, now)?),
            Deed::Reject(user) => {
                access.state = RemoteAccessState::Rejected { at: now, by: user.to_string(), comment: said };
                (RemoteAccessStep::Rejected, remark(comment))
            }
            Deed::Cancel => {
                access.state = RemoteAccessState::Cancelled { at: now, by: who(by), comment: said };
                access.keys.clear();
                (RemoteAccessStep::Cancelled, remark(comment))
            }
        };
        let entry = told(&access, step, told_of, by);
        let changed = Store::remote_access_changed(access.clone(), was);
        let changed = match deed {
            Deed::Approve(_) | Deed::Reject(_) => changed,
            Deed::Cancel => changed.and(Store::entry_codes_revoked(id)),
        };
        let asker = self.tells_outcome(&access, by, comment).await?;
        self.write(changed, vec![Telling::new(entry, asker)]).await?;
        Ok(access)
    }

    pub(super) async fn to_change(&self, id: RemoteAccessId) -> Result<Read, RemoteAccessError> {
        let read = self.0.store.remote_access_to_change(id).await?;
        read.ok_or(RemoteAccessError::Unknown(id))
    }

    /// One that stands.
    async fn to_cancel(&self, id: RemoteAccessId, now: Timestamp) -> Result<Read, RemoteAccessError> {
        let (access, was) = self.to_change(id).await?;
        if !access.stands_at(now) {
            return Err(RemoteAccessError::State { id, word: access.word_at(now) });
        }
        Ok((access, was))
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

/// Counts an approval; says what stands then.
fn approve(
    access: &mut RemoteAccess,
    user: &UserName,
    by: &By,
    comment: Option<Text>,
    now: Timestamp,
) -> Result<String, RemoteAccessError> {
    let needed = match access.state {
        RemoteAccessState::Pending { needed, .. } => usize::from(needed),
        _ => 0,
    };
    if access.approvals.iter().any(|approved| approved.by == *user) {
        return Err(RemoteAccessError::Twice(access.id));
    }
    let standing = if access.approvals.len() + 1 >= needed {
        access.state = RemoteAccessState::Granted;
        "granted"
    } else {
        "more are needed"
    };
    let said = match &comment {
        Some(comment) => format!("{standing}; {comment}"),
        None => standing.to_owned(),
    };
    access.approvals.push(Approved { by: user.clone(), at: now, origin: by.origin, comment });
    Ok(said)
}

fn remark(comment: Option<&Text>) -> String {
    comment.map(ToString::to_string).unwrap_or_default()
}
