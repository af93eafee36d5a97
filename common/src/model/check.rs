//! What no single field can tell: names that lead nowhere, groups that could
//! never grant, approvals that could never be collected.

use std::collections::HashSet;
use std::fmt;

use super::{Kind, ResourceName, Resources, resources};
use crate::name::UserName;

/// One thing wrong with a set of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The resource that is wrong.
    pub of: ResourceName,
    /// The key within it, with an index where it is a list: `users.2`.
    pub field: String,
    /// One sentence.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.of, self.why)
    }
}

/// Everything, and what is found wrong with it.
pub(super) struct Checker<'a> {
    pub resources: &'a Resources,
    /// Names that are written somewhere but could not be read; not to be called missing as well.
    unreadable: &'a HashSet<ResourceName>,
    problems: Vec<Problem>,
}

impl Resources {
    /// Everything wrong with the whole set; empty if it may be used.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        self.check_beside(&HashSet::new())
    }

    pub(super) fn check_beside(&self, unreadable: &HashSet<ResourceName>) -> Vec<Problem> {
        let mut checker = Checker { resources: self, unreadable, problems: Vec::new() };
        resources::check(&mut checker);
        checker.problems
    }
}

impl Checker<'_> {
    pub fn wrong(&mut self, kind: Kind, name: &str, field: impl Into<String>, why: impl Into<String>) {
        let of = ResourceName { kind, name: name.to_owned() };
        self.problems.push(Problem { of, field: field.into(), why: why.into() });
    }

    /// Why a name is none of a `[[user]]`, and what to do.
    pub fn no_user(&self, name: &UserName) -> String {
        match self.resources.limited_users().find(|(_, limited)| limited.name == *name) {
            Some((group, _)) => format!(
                "`{name}` is a limited user of user group `{}`, and such a one is listed in the `users` of access \
                 groups only; name a [[user]]",
                group.name
            ),
            None => format!("there is no user `{name}`; add them as a [[user]] or correct the name"),
        }
    }

    /// Whether one of the name is written somewhere but could not be read.
    pub fn is_unreadable(&self, kind: Kind, name: &str) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(&ResourceName { kind, name: name.to_owned() })
    }
}
