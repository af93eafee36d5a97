//! Reviews of groups: confirmed by their owners or who stands in for them, who are told when it is time.

use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::{Event, Note, Notes};
use tidegate_common::digest::Digest;
use tidegate_common::model::{Confirmed, Snapshot};
use tidegate_common::name::{AccessGroupName, UserName};
use tidegate_common::notice::{Ending, Notice};
use tidegate_common::policy::{self, Confirmation, Notification, reviews_to_tell};

use super::{Access, AccessError, By};
use crate::audit_log::Telling;
use crate::store::{Ruled, Store};

/// How often it is looked whether a review is due.
const LOOK: Duration = Duration::from_secs(60);

impl Access {
    /// Says that the users of a group are those who shall be in it; `seen` is of those who were
    /// looked at.
    ///
    /// # Errors
    /// When the user neither owns it nor stands in for an owner, its users were changed meanwhile, what a
    /// newer gate wrote of it cannot be read, or the store or the audit log failed.
    pub async fn confirm_group(
        &self,
        group: &AccessGroupName,
        user: &UserName,
        seen: &Digest,
        by: &By,
    ) -> Result<(), AccessError> {
        let at = Timestamp::now();
        self.rule(|snapshot, Ruled { rulings, revision, .. }| {
            self.still_proved(by)?;
            let Confirmation { due, stands_in_for } = policy::confirm(snapshot, group, user, seen, at)?;
            if rulings.unread.contains(group) {
                return Err(AccessError::UnreadReview(group.clone()));
            }
            let users = snapshot.group(group).map(|group| Notes::of(&group.users)).unwrap_or_default();
            let review = rulings.reviews.entry(group.clone()).or_default();
            let (by_whom, place) = (user.clone(), stands_in_for.clone());
            review.confirmed = Some(Confirmed { at, by: by_whom, stands_in_for: place });
            let confirmed = Event::GroupConfirmed { group: group.clone(), users, due, stands_in_for };
            let step = Store::group_review_step(group.clone(), review.clone(), *revision);
            Ok((by.did(confirmed).into(), step))
        })
        .await
    }

    /// Tells owners of what is due, for as long as it is polled.
    pub async fn keep_reviews(self) {
        loop {
            if let Err(error) = self.tell_of_reviews(Timestamp::now()).await {
                tracing::error!(%error, "nobody is told yet which reviews of groups are due");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Tells owners of what is due and was not told yet; says of how many groups.
    ///
    /// # Errors
    /// When the store or the audit log fails.
    pub async fn tell_of_reviews(&self, now: Timestamp) -> Result<usize, AccessError> {
        let snapshot = self.snapshot();
        let due: Vec<_> = reviews_to_tell(&snapshot, now).map(|(group, ..)| group.name.clone()).collect();
        let mut told = 0;
        for group in due {
            told += usize::from(self.tell_of_review(&group, now).await?);
        }
        Ok(told)
    }

    /// Whether it was this gate that told; another may have been faster.
    async fn tell_of_review(&self, group: &AccessGroupName, now: Timestamp) -> Result<bool, AccessError> {
        let done = self.rule(|snapshot, Ruled { rulings, revision, .. }| {
            let snapshot = snapshot.with_rulings(rulings.clone().into());
            let (lapses, told) = notices(&snapshot, group, now).ok_or(AccessError::ToldAlready)?;
            let review = rulings.reviews.entry(group.clone()).or_default();
            review.told = Some(now);
            let due = By::proxy().did(Event::GroupReviewDue { group: group.clone(), lapses });
            let step = Store::group_review_step(group.clone(), review.clone(), *revision);
            Ok((Telling::new(due, told), step))
        });
        match done.await {
            Ok(()) => Ok(true),
            Err(AccessError::ToldAlready) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// From when on the group would grant nothing, and what its owners and those who stand in for them
/// are told; nothing where they were told.
fn notices(
    snapshot: &Snapshot,
    group: &AccessGroupName,
    now: Timestamp,
) -> Option<(Timestamp, Vec<Notification>)> {
    let (_, review, times) = reviews_to_tell(snapshot, now).find(|(known, ..)| known.name == *group)?;
    let (what, name) = (Ending::GroupReview, Note::new(group.as_str()));
    let user = review.owners.first()?.clone();
    let notice = Notice::EndsSoon { what, name, user, ends: times.lapses, from: now };
    let readers = policy::reviewers(snapshot, review, now);
    Some((times.lapses, policy::notify(snapshot, &readers, &notice)))
}
