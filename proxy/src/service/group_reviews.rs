//! Reviews of access groups: what is due, and that an owner, or who stands in for one, confirms who is in a
//! group.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::digest::Digest;
use tidegate_common::model::{AccessGroup, Snapshot};
use tidegate_common::name::{AccessGroupName, UserName};
use tidegate_common::policy::{self, NoConfirmation, ReviewTimes, digest_of_users};

use super::operation::Operation;
use super::{Actor, Failure, Services};
use crate::access::AccessError;

/// How a review stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It was confirmed, or its first time has not come.
    Confirmed,
    /// It is time to confirm; the group grants until it lapses.
    Due,
    /// Nobody did, and the group grants nothing.
    Lapsed,
    /// A newer gate wrote what this one cannot read, and nothing new begins under the group here.
    Unread,
}

impl Standing {
    /// As it is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Due => "due",
            Self::Lapsed => "LAPSED",
            Self::Unread => "UNREAD",
        }
    }
}

/// The review of one group.
#[derive(Debug, Clone, Serialize)]
pub struct GroupReviewView {
    /// Of which.
    pub group: AccessGroupName,
    /// How it stands.
    pub standing: Standing,
    /// From when on it is to be confirmed.
    pub due: Timestamp,
    /// From when on the group grants nothing, unless it is.
    pub lapses: Timestamp,
    /// When it was confirmed last.
    pub confirmed: Option<Timestamp>,
    /// By whom.
    pub confirmed_by: Option<UserName>,
    /// In which owner's place, where not in their own.
    pub stands_in_for: Option<UserName>,
    /// Who may.
    pub owners: Vec<UserName>,
    /// Who is in the group.
    pub users: Vec<UserName>,
    /// The same, for [`confirm`].
    #[serde(skip)]
    pub seen: Digest,
}

impl GroupReviewView {
    fn of(snapshot: &Snapshot, group: &AccessGroup, now: Timestamp) -> Option<Self> {
        let (review, times) = (group.review.as_ref()?, ReviewTimes::of(snapshot, group)?);
        let confirmed =
            snapshot.rulings().reviews.get(&group.name).and_then(|known| known.confirmed.as_ref());
        let standing = match (now < times.due, now < times.lapses) {
            _ if snapshot.rulings().unread.contains(&group.name) => Standing::Unread,
            (true, _) => Standing::Confirmed,
            (false, true) => Standing::Due,
            (false, false) => Standing::Lapsed,
        };
        Some(Self {
            group: group.name.clone(),
            standing,
            due: times.due,
            lapses: times.lapses,
            confirmed: confirmed.map(|confirmed| confirmed.at),
            confirmed_by: confirmed.map(|confirmed| confirmed.by.clone()),
            stands_in_for: confirmed.and_then(|confirmed| confirmed.stands_in_for.clone()),
            owners: review.owners.clone(),
            users: group.users.clone(),
            seen: digest_of_users(group),
        })
    }
}

/// Every review that concerns the actor, what lapses first before the others: those of groups that
/// they own or whose owner they stand in for, and all for those who read all.
///
/// # Errors
/// When the actor's account is disabled.
pub async fn list(services: &Services, actor: &Actor) -> Result<Vec<GroupReviewView>, Failure> {
    let work = async { Ok(concerning(services, actor)) };
    Operation::GroupReviewList.perform(services, actor, work).await
}

/// One review.
///
/// # Errors
/// When none of that group concerns the actor.
pub async fn show(
    services: &Services,
    actor: &Actor,
    group: &AccessGroupName,
) -> Result<GroupReviewView, Failure> {
    let work = async { one(services, actor, group) };
    Operation::GroupReviewShow.perform(services, actor, work).await
}

/// Confirms that who is in a group shall be; `seen` is of those who were looked at.
///
/// # Errors
/// When the actor neither owns the group nor stands in for an owner, or it was changed meanwhile.
pub async fn confirm(
    services: &Services,
    actor: &Actor,
    group: &AccessGroupName,
    seen: &Digest,
) -> Result<GroupReviewView, Failure> {
    let work = async {
        services.access.confirm_group(group, actor.must_be_user()?, seen, &actor.by()).await?;
        one(services, actor, group)
    };
    Operation::GroupReviewConfirm.perform(services, actor, work).await
}

fn concerning(services: &Services, actor: &Actor) -> Vec<GroupReviewView> {
    let (snapshot, now) = (services.access.snapshot(), Timestamp::now());
    let confirms = |group: &AccessGroup| match (actor.name(), &group.review) {
        (Some(user), Some(review)) => policy::confirms_for(&snapshot, review, user, now).is_some(),
        _ => false,
    };
    let concerns = snapshot.groups().filter(|group| actor.reads_all() || confirms(group));
    let mut all: Vec<_> = concerns.filter_map(|group| GroupReviewView::of(&snapshot, group, now)).collect();
    all.sort_by_key(|view| view.lapses);
    all
}

fn one(services: &Services, actor: &Actor, group: &AccessGroupName) -> Result<GroupReviewView, Failure> {
    let found = concerning(services, actor).into_iter().find(|view| view.group == *group);
    found.ok_or_else(|| AccessError::from(NoConfirmation::NotOwner(group.clone())).into())
}
