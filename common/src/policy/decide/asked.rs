//! What a group asks for beside approval, held against what is said for it: the change.

use std::fmt;

use super::Facts;
use crate::change::{Change, NotCovered};
use crate::model::{AccessGroup, Claims, Terms, Text};
use crate::name::{ChangeId, DeviceName};

/// Which change is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeNeed {
    /// Those that cover the device and the moment under the group, with their titles; the one that
    /// is over first comes first.
    pub open: Vec<(ChangeId, Text)>,
    /// Why the one that was named does not cover it.
    pub wrong: Option<NotCovered>,
}

impl fmt::Display for ChangeNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(wrong) = &self.wrong {
            write!(f, "{wrong}; ")?;
        }
        match self.open.as_slice() {
            [] => f.write_str("no change is open for it now"),
            open => {
                let names: Vec<_> = open.iter().map(|(id, _)| id.as_str()).collect();
                write!(f, "open for it now: {}", names.join(", "))
            }
        }
    }
}

/// What a group asks for, and what is said for it.
pub(super) struct Asked<'a> {
    pub group: &'a AccessGroup,
    pub terms: &'a Terms,
    pub claims: &'a Claims,
    pub device: &'a DeviceName,
    pub facts: &'a Facts<'a>,
}

impl<'a> Asked<'a> {
    fn covers(&self, change: &Change) -> Result<(), NotCovered> {
        change.covers(&self.group.name, self.device, self.facts.now)
    }

    /// The change that is named where one is demanded, or why it does not cover this.
    pub fn change(&self) -> Option<Result<&'a Change, NotCovered>> {
        let id = self.claims.change.as_ref().filter(|_| self.terms.change)?;
        let change = self.facts.changes.iter().find(|change| change.id == *id);
        let change = change.ok_or_else(|| NotCovered::Unknown(id.clone()));
        Some(change.and_then(|change| self.covers(change).map(|()| change)))
    }

    /// Which change is missing, if one is demanded and none is named that covers this.
    pub fn change_need(&self) -> Option<ChangeNeed> {
        let wrong = match self.change() {
            Some(Ok(_)) => return None,
            named => named.and_then(Result::err),
        };
        self.terms.change.then(|| {
            let mut open: Vec<_> =
                self.facts.changes.iter().filter(|change| self.covers(change).is_ok()).collect();
            open.sort_unstable_by_key(|change| (change.due, &change.id));
            let open = open.into_iter().map(|change| (change.id.clone(), change.title.clone()));
            ChangeNeed { open: open.collect(), wrong }
        })
    }
}
