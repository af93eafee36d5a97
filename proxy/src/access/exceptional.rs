//! Exceptional access that ends: whom it names is told before.

use jiff::Timestamp;
use tidegate_common::model::{Resource, Resources, Snapshot};
use tidegate_common::policy::{self, ExceptionalAccessStep, Notification};
use tidegate_common::time::Length;

use super::Access;

/// How long before its end, unless the settings say otherwise.
const AHEAD: Length = Length::hours(1);

impl Access {
    /// Has those whom an exceptional access names told so long before it ends; the first call counts.
    #[must_use]
    pub fn with_tell_before(self, ahead: Length) -> Self {
        self.0.tell_before.get_or_init(|| ahead);
        self
    }

    /// What people are told because this is written; `snapshot` has it already.
    pub(super) fn tells(
        &self,
        before: &Resources,
        snapshot: &Snapshot,
        written: &Resource,
    ) -> Vec<Notification> {
        let Resource::ExceptionalAccess(after) = written else { return Vec::new() };
        let before = before.exceptional_accesses.iter().find(|old| old.name == after.name);
        let ahead = self.0.tell_before.get().copied().unwrap_or(AHEAD);
        let step = ExceptionalAccessStep { before, after, ahead, now: Timestamp::now() };
        policy::notify_of_exceptional_access(snapshot, &step)
    }
}
