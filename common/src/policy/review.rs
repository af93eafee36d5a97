//! Reviews of groups: when the users of one are to be confirmed, by whom, and from when a group that
//! nobody confirmed grants nothing.

use jiff::{SignedDuration, Timestamp};

use crate::digest::Digest;
use crate::model::{AccessGroup, GroupReview, ReviewTerms, Snapshot};
use crate::name::{AccessGroupName, UserName};

/// So long before a group lapses its owners are told once more.
const AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// When a group's users are to be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewTimes {
    /// From when on.
    pub due: Timestamp,
    /// From when on the group grants nothing, unless they are.
    pub lapses: Timestamp,
}

impl ReviewTimes {
    /// As a group asks for it, after what is known of its reviews; none where nobody has to.
    #[must_use]
    pub fn of(snapshot: &Snapshot, group: &AccessGroup) -> Option<Self> {
        let review = group.review.as_ref()?;
        Some(Self::after(group, review, snapshot.rulings().reviews.get(&group.name)))
    }

    fn after(group: &AccessGroup, review: &ReviewTerms, known: Option<&GroupReview>) -> Self {
        let begins = group.review_begins(review);
        let confirmed = known.and_then(|known| known.confirmed.as_ref());
        let due = review.every.after(confirmed.map_or(begins, |confirmed| confirmed.at.max(begins)));
        Self { due, lapses: review.grace.after(due) }
    }

    /// Whether the owners are to be told now: once when it is due, and once more before the end.
    fn tells(self, told: Option<Timestamp>, now: Timestamp) -> bool {
        let again = self.lapses.checked_sub(AGAIN).unwrap_or(self.due).max(self.due);
        let comes = |at: Timestamp| at <= now && told.is_none_or(|told| told < at);
        now < self.lapses && (comes(self.due) || comes(again))
    }
}

/// Since when a group grants nothing because nobody confirmed it, where that is so. Of one of which that
/// cannot be read nobody knows: it stands in its place, and lets nobody in ([`is_unread`]).
pub(super) fn lapsed(snapshot: &Snapshot, group: &AccessGroup, now: Timestamp) -> Option<Timestamp> {
    let known = ReviewTimes::of(snapshot, group).filter(|_| !is_unread(snapshot, group));
    known.map(|times| times.lapses).filter(|lapses| *lapses <= now)
}

/// Whether a group asks for a review, of which a newer gate wrote what this one cannot read.
pub(super) fn is_unread(snapshot: &Snapshot, group: &AccessGroup) -> bool {
    group.review.is_some() && snapshot.rulings().unread.contains(&group.name)
}

/// Groups whose owners are to be told now; of one of which that cannot be read it is a newer gate's to tell.
pub fn reviews_to_tell(
    snapshot: &Snapshot,
    now: Timestamp,
) -> impl Iterator<Item = (&AccessGroup, &ReviewTerms, ReviewTimes)> {
    snapshot.groups().filter(|group| !is_unread(snapshot, group)).filter_map(move |group| {
        let (review, times) = (group.review.as_ref()?, ReviewTimes::of(snapshot, group)?);
        let told = snapshot.rulings().reviews.get(&group.name).and_then(|known| known.told);
        times.tells(told, now).then_some((&**group, review, times))
    })
}

/// What a group's users are, so that who confirms them confirms those that they saw.
#[must_use]
pub fn digest_of_users(group: &AccessGroup) -> Digest {
    let names: Vec<_> = group.users.iter().map(UserName::as_str).collect();
    Digest::of(names.join("\n").as_bytes())
}

/// Why a confirmation does not count; each is a sentence for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoConfirmation {
    /// There is none, it asks for no review, or this is none of its owners and stands in for none:
    /// alike for all of them.
    #[error(
        "you own no access group `{0}` that asks for a review; `group-review list` shows those that concern you"
    )]
    NotOwner(AccessGroupName),
    /// They are others than those that were looked at.
    #[error("the users of access group `{0}` were changed meanwhile; look at them again, then confirm")]
    Changed(AccessGroupName),
}

/// In whose place a user confirms who is in a group now: their own, or that of an owner who is away.
#[must_use]
pub fn confirms_for<'a>(
    snapshot: &'a Snapshot,
    review: &ReviewTerms,
    user: &'a UserName,
    now: Timestamp,
) -> Option<&'a UserName> {
    snapshot.speaks_for(user, now).find(|one| review.owners.contains(one))
}

/// Everybody who confirms who is in a group now: its owners, and those who stand in for them.
#[must_use]
pub fn reviewers(snapshot: &Snapshot, review: &ReviewTerms, now: Timestamp) -> Vec<UserName> {
    let mut people: Vec<UserName> = Vec::new();
    for owner in &review.owners {
        let deputy = snapshot.user(owner).and_then(|user| user.deputy.as_ref());
        let deputy = deputy.filter(|deputy| deputy.stands_in(now)).map(|deputy| &deputy.user);
        for one in std::iter::once(owner).chain(deputy) {
            if !people.contains(one) {
                people.push(one.clone());
            }
        }
    }
    people
}

/// A confirmation that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// When it is due again.
    pub due: Timestamp,
    /// In which owner's place it is given, where not in their own.
    pub stands_in_for: Option<UserName>,
}

/// Whether this user may confirm those users of a group.
///
/// # Errors
/// Why not.
pub fn confirm(
    snapshot: &Snapshot,
    group: &AccessGroupName,
    user: &UserName,
    seen: &Digest,
    now: Timestamp,
) -> Result<Confirmation, NoConfirmation> {
    let no = || NoConfirmation::NotOwner(group.clone());
    let is_user = snapshot.user(user).is_some_and(|user| user.enabled);
    let known = snapshot.group(group).filter(|_| is_user).ok_or_else(no)?;
    let review = known.review.as_ref().ok_or_else(no)?;
    let place = confirms_for(snapshot, review, user, now).ok_or_else(no)?;
    if digest_of_users(known) != *seen {
        return Err(NoConfirmation::Changed(group.clone()));
    }
    let due = review.every.after(now.max(known.review_begins(review)));
    Ok(Confirmation { due, stands_in_for: (place != user).then(|| place.clone()) })
}
