//! Which remote accesses expired before anybody decided on them, who is told before one ends, and
//! who goes with it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_common::audit::{Note, RemoteAccessStep};
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{RemoteAccess, RemoteAccessState, RemoteAccessWord};
use tidegate_common::notice::{Ending, Notice};
use tidegate_common::policy;

use super::{RemoteAccessError, RemoteAccesses, moment, told};
use crate::access::By;
use crate::audit_log::Telling;
use crate::store::{RemoteAccessFilter, Store};
use crate::turn::Retryable as _;

/// How often it is looked whether one has expired or ends soon.
const LOOK: Duration = Duration::from_secs(60);

/// How long ago one may have expired for who asked to be told of it.
const NEWS: SignedDuration = SignedDuration::from_hours(24);

impl RemoteAccesses {
    /// Writes down which have expired, tells of those that end soon, once each, and has limited users go
    /// with their last one, for as long as it is polled.
    pub async fn keep_ending(self) {
        loop {
            if let Err(error) = self.expire(moment()).await {
                tracing::error!(%error, "expired remote accesses could not be written down");
            }
            if let Err(error) = self.tell_of_ends(moment()).await {
                tracing::error!(%error, "nobody is told yet which remote accesses end soon");
            }
            self.remove_limited_users(moment()).await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes down on which remote accesses nobody decided in time, has who asked told of it, and says how
    /// many they are; whoever looks sees it before, too.
    ///
    /// # Errors
    /// When the store or the audit log fails.
    pub async fn expire(&self, now: Timestamp) -> Result<usize, RemoteAccessError> {
        let waiting = RemoteAccessFilter { states: &["pending"], ..RemoteAccessFilter::default() };
        let mut over = self.list(&waiting).await?;
        over.retain(|access| access.word_at(now) == RemoteAccessWord::Expired);
        let mut written = 0;
        // Of a batch the first one comes first.
        for RemoteAccess { id, .. } in over.into_iter().rev() {
            let _turn = self.turn().await;
            match self.expire_one(id, now).await {
                Ok(true) => written += 1,
                Ok(false) => {}
                // Another gate has.
                Err(error) if error.is_changed() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    async fn expire_one(&self, id: RemoteAccessId, now: Timestamp) -> Result<bool, RemoteAccessError> {
        let (mut access, was) = self.to_change(id).await?;
        let state = access.state_at(now);
        let RemoteAccessState::Expired { at } = state else { return Ok(false) };
        // It may have been written down since.
        if access.state == state {
            return Ok(false);
        }
        access.state = state;
        let by = By::proxy();
        // Of one that ran out long ago, before a gate wrote that down, nobody wants to hear.
        let asker = match now.duration_since(at) < NEWS {
            true => self.tells_outcome(&access, &by, None).await?,
            false => Vec::new(),
        };
        let entry = told(&access, RemoteAccessStep::Expired, format!("at {at:.0}"), &by);
        let step = Store::remote_access_changed(access, was);
        self.write(step, vec![Telling::new(entry, asker)]).await?;
        Ok(true)
    }

    /// Has limited users go whose last remote access is over. One who cannot go now has nothing that
    /// lets them in, and goes the next time.
    pub(super) async fn remove_limited_users(&self, now: Timestamp) {
        if let Err(error) = Box::pin(self.0.access.remove_limited_users(now)).await {
            tracing::error!(%error, "limited users are still there whose remote accesses are over");
        }
    }

    /// Tells of those that end soon and of which nobody was told; says of how many.
    ///
    /// # Errors
    /// When the store or the audit log fails.
    pub async fn tell_of_ends(&self, now: Timestamp) -> Result<usize, RemoteAccessError> {
        let soon = self.0.settings.tell_before.after(now);
        let mut told = 0;
        for access in self.0.store.remote_accesses_ending(now, soon).await? {
            if self.is_due(&access, now) {
                let _turn = self.turn().await;
                match self.tell_of_end(access.id, now).await {
                    Ok(true) => told += 1,
                    Ok(false) => {}
                    // Another gate has.
                    Err(error) if error.is_changed() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(told)
    }

    /// Whether its end is to be told now. Of one that is shorter than the time before its end,
    /// nobody has to be reminded.
    fn is_due(&self, access: &RemoteAccess, now: Timestamp) -> bool {
        access.word_at(now) == RemoteAccessWord::Active
            && !access.end_told
            && self.0.settings.tell_before.after(access.window.start) < access.window.end
    }

    async fn tell_of_end(&self, id: RemoteAccessId, now: Timestamp) -> Result<bool, RemoteAccessError> {
        let (mut access, was) = self.to_change(id).await?;
        if !self.is_due(&access, now) {
            return Ok(false);
        }
        access.end_told = true;
        let (user, ends) = (access.user.clone(), access.window.end);
        let (what, name) = (Ending::RemoteAccess, Note::new(id.to_string()));
        let notice = Notice::EndsSoon { what, name, user, ends, from: now };
        let snapshot = self.0.access.snapshot();
        // Who is limited hears of their own only, whatever the settings say.
        let others = self.0.settings.tell.iter().filter(|user| !snapshot.is_limited(user));
        let readers = std::iter::once(&access.user).chain(others);
        let notifications = policy::notify(&snapshot, readers, &notice);
        let said = format!("at {ends:.0}");
        let entry = told(&access, RemoteAccessStep::EndTold, said, &By::proxy());
        let step = Store::remote_access_changed(access, was);
        self.write(step, vec![Telling::new(entry, notifications)]).await?;
        Ok(true)
    }
}
