//! Who approves for somebody: their manager, and who stands in while an approver is away.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::model::Kind;
use crate::model::check::Checker;
use crate::model::read::Fields;
use crate::name::UserName;
use crate::time::Zone;

/// Who stands in for somebody, on these days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deputy {
    /// Who.
    pub user: UserName,
    /// The first day.
    pub from: Date,
    /// The last day, included.
    pub until: Date,
    /// The zone in which they begin and end.
    #[serde(default)]
    pub zone: Zone,
}

impl Deputy {
    /// Whether they stand in at this moment.
    #[must_use]
    pub fn stands_in(&self, now: Timestamp) -> bool {
        let today = self.zone.time_zone().to_datetime(now).date();
        self.from <= today && today <= self.until
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (user, from, until) =
            (fields.required("user"), fields.required("from"), fields.required("until"));
        let zone = fields.optional("zone").unwrap_or_default();
        Some(Self { user: user?, from: from?, until: until?, zone })
    }
}

/// Managers and deputies are users, and others than who has them.
pub(super) fn check(checker: &mut Checker<'_>) {
    let resources = checker.resources;
    let known: HashSet<_> = resources.users.iter().map(|user| &user.name).collect();
    for user in &resources.users {
        let deputy = user.deputy.as_ref().map(|deputy| ("deputy.user", &deputy.user));
        for (field, other) in user.manager.iter().map(|manager| ("manager", manager)).chain(deputy) {
            let why = if *other == user.name {
                format!("nobody is their own {}", field.trim_end_matches(".user"))
            } else if known.contains(other) || checker.is_unreadable(Kind::User, other.as_str()) {
                continue;
            } else {
                checker.no_user(other)
            };
            checker.wrong(Kind::User, user.name.as_str(), field, why);
        }
        if let Some(Deputy { from, until, .. }) = user.deputy.as_ref().filter(|one| one.until < one.from) {
            let why = format!("the deputy's time ends on {until}, before it starts on {from}");
            checker.wrong(Kind::User, user.name.as_str(), "deputy.until", why);
        }
    }
}
