//! How often somebody confirms who is in a group.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::AccessGroup;
use crate::name::UserName;
use crate::time::Length;

/// `[access_group.review]`: who confirms the group's users, and how often. A group that nobody
/// confirmed in time grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewTerms {
    /// Whoever confirms; one of them is enough.
    pub owners: Vec<UserName>,
    /// For how long a confirmation is good.
    pub every: Length,
    /// For how long the group grants after that.
    #[serde(default = "two_weeks", skip_serializing_if = "is_two_weeks")]
    pub grace: Length,
    /// The day from which the first time counts (in the limitation's zone).
    pub from: Date,
}

impl ReviewTerms {
    /// Less is no review any more, but work without end.
    pub(super) const LEAST: Length = Length::hours(24);
}

pub(super) const fn two_weeks() -> Length {
    Length::hours(14 * 24)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_two_weeks(length: &Length) -> bool {
    *length == two_weeks()
}

/// What is known of a group's reviews; it lies beside the resources' text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupReview {
    /// The last time that its users were confirmed.
    pub confirmed: Option<Confirmed>,
    /// When its owners were told last that it is due.
    pub told: Option<Timestamp>,
}

/// That a group's users were confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: UserName,
    /// In which owner's place, where not in their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in_for: Option<UserName>,
}

impl AccessGroup {
    /// The start of the day from which its first review counts; the start of time, so that it is
    /// long over, where the zone has no such day.
    pub(crate) fn review_begins(&self, review: &ReviewTerms) -> Timestamp {
        let zone = self.limitation.zone.time_zone().clone();
        review.from.to_zoned_datetime(zone).map_or(Timestamp::MIN, |day| day.timestamp())
    }
}
