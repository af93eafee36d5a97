//! What no single field can tell: names that lead nowhere, groups that could
//! never grant, approvals that could never be collected.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::{AccessGroup, Approval, Kind, Level, ResourceName, Resources, Terms};
use crate::grant::Privilege;
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

struct Checker<'a> {
    resources: &'a Resources,
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
        checker.users();
        checker.credentials();
        checker.groups();
        checker.problems
    }
}

impl Checker<'_> {
    fn wrong(&mut self, kind: Kind, name: &str, field: impl Into<String>, why: impl Into<String>) {
        let of = ResourceName { kind, name: name.to_owned() };
        self.problems.push(Problem { of, field: field.into(), why: why.into() });
    }

    fn is_unreadable(&self, kind: Kind, name: &str) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(&ResourceName { kind, name: name.to_owned() })
    }

    fn users(&mut self) {
        let resources = self.resources;
        let mut seen: HashMap<String, &UserName> = HashMap::new();
        for user in &resources.users {
            if let Some(other) = seen.insert(user.name.as_str().to_lowercase(), &user.name) {
                let why = format!("`{}` differs from user `{other}` only in upper and lower case", user.name);
                self.wrong(Kind::User, user.name.as_str(), "name", why);
            }
        }
    }

    fn credentials(&mut self) {
        let resources = self.resources;
        let devices: HashSet<_> = resources.devices.iter().map(|device| &device.name).collect();
        for credential in &resources.credentials {
            let name = credential.name.to_string();
            let device = &credential.name.device;
            if !devices.contains(device) && !self.is_unreadable(Kind::Device, device.as_str()) {
                let why =
                    format!("there is no device `{device}`; add it as a [[device]] or correct the name");
                self.wrong(Kind::Credential, &name, "name", why);
            }
            for (index, privilege) in credential.privileges.iter().enumerate() {
                let empty = match privilege {
                    Privilege::Groups(groups) => groups.groups.is_empty().then_some("groups"),
                    Privilege::Sudo(rule) => rule.commands.is_empty().then_some("commands"),
                    _ => None,
                };
                if let Some(what) = empty {
                    let why = format!("`{what}` must name at least one");
                    self.wrong(Kind::Credential, &name, format!("privileges.{index}"), why);
                }
            }
        }
    }

    fn groups(&mut self) {
        let resources = self.resources;
        let users: HashSet<_> = resources.users.iter().map(|user| &user.name).collect();
        for group in &resources.access_groups {
            let name = group.name.as_str();
            let listed = group.users.iter().enumerate().map(|(index, user)| (format!("users.{index}"), user));
            let approvers = group.approvers.iter().enumerate();
            let approvers = approvers.map(|(index, approver)| (format!("approvers.{index}"), &approver.user));
            for (field, user) in listed.chain(approvers) {
                if !users.contains(user) && !self.is_unreadable(Kind::User, user.as_str()) {
                    let why =
                        format!("there is no user `{user}`; add them as a [[user]] or correct the name");
                    self.wrong(Kind::AccessGroup, name, field, why);
                }
            }
            if group.criteria.is_empty() {
                let why = "a group without criteria matches nothing; name credentials in [access_group.criteria], \
                           or write devices = [\"*\"] to mean all";
                self.wrong(Kind::AccessGroup, name, "criteria", why);
            }
            if group.session.is_none() && group.password.is_none() {
                let why = "the group allows nothing; add [access_group.session] or [access_group.password]";
                self.wrong(Kind::AccessGroup, name, "", why);
            }
            if group.password.as_ref().is_some_and(|terms| terms.change) {
                let why = "only a session can ask for a change";
                self.wrong(Kind::AccessGroup, name, "password.change", why);
            }
            if let (Some(from), Some(until)) = (group.limitation.from, group.limitation.until)
                && until < from
            {
                let why = format!("the period ends on {until}, before it starts on {from}");
                self.wrong(Kind::AccessGroup, name, "limitation.until", why);
            }
            self.twice(group);
            self.approval(group, "session", group.session.as_ref());
            self.approval(group, "password", group.password.as_ref());
        }
    }

    fn twice(&mut self, group: &AccessGroup) {
        let mut seen = HashSet::new();
        for (index, user) in group.users.iter().enumerate() {
            if !seen.insert(user) {
                let why = format!("user `{user}` is listed twice");
                self.wrong(Kind::AccessGroup, group.name.as_str(), format!("users.{index}"), why);
            }
        }
        let mut seen = HashSet::new();
        for (index, approver) in group.approvers.iter().enumerate() {
            if !seen.insert(approver) {
                let why = format!("approver `{}` is listed twice in level {}", approver.user, approver.level);
                self.wrong(Kind::AccessGroup, group.name.as_str(), format!("approvers.{index}"), why);
            }
        }
    }

    fn approval(&mut self, group: &AccessGroup, action: &str, terms: Option<&Terms>) {
        let Some(terms) = terms else { return };
        let name = group.name.as_str();
        if let Some(window) = terms.emergency_window {
            let most = Terms::MOST_EMERGENCY;
            let why = match terms.emergency {
                false => {
                    Some("there is no emergency for it; add `emergency = true` or leave it out".to_owned())
                }
                true if window.approximate() > most.approximate() => {
                    Some(format!("an emergency opens for {most} at most, not for {window}"))
                }
                true => None,
            };
            if let Some(why) = why {
                self.wrong(Kind::AccessGroup, name, format!("{action}.emergency_window"), why);
            }
        }
        let Some(approval) = &terms.approval else {
            if terms.emergency {
                let why = "there is no approval that an emergency could skip; add `approval` or leave it out";
                self.wrong(Kind::AccessGroup, name, format!("{action}.emergency"), why);
            }
            return;
        };
        let field = format!("{action}.approval");
        if approval.needed == 0 || approval.rejections == 0 {
            let why = "`needed` and `rejections` are at least 1; leave `approval` out where none is needed";
            self.wrong(Kind::AccessGroup, name, field, why);
            return;
        }
        let needed = approval.needed;
        if !collectable(group, approval, None) {
            let why = if approval.levels {
                format!(
                    "{needed} approvals in each level could never be collected: too few distinct approvers"
                )
            } else {
                format!("{needed} approvals could never be collected: too few distinct approvers")
            };
            self.wrong(Kind::AccessGroup, name, field, why);
            return;
        }
        let stuck = group.users.iter().find(|user| !collectable(group, approval, Some(user)));
        if let Some(user) = stuck {
            let why = format!(
                "{needed} approvals could never be collected for `{user}`, who may not approve their own request; \
                 name another approver or take `{user}` out of `users`"
            );
            self.wrong(Kind::AccessGroup, name, field, why);
        }
    }
}

/// Whether enough distinct people other than the requester could approve. With
/// levels, each level needs its own people (a person counts once in a request), so
/// any set of levels needs that many people together (Hall's theorem).
fn collectable(group: &AccessGroup, approval: &Approval, requester: Option<&UserName>) -> bool {
    let mut levels: Vec<Level> = group.approvers.iter().map(|approver| approver.level).collect();
    levels.sort_unstable();
    levels.dedup();
    let needed = usize::from(approval.needed);
    let people = |chosen: &dyn Fn(Level) -> bool| {
        let others = group.approvers.iter().filter(|approver| Some(&approver.user) != requester);
        others
            .filter(|approver| chosen(approver.level))
            .map(|approver| &approver.user)
            .collect::<HashSet<_>>()
            .len()
    };
    if !approval.levels {
        return people(&|_| true) >= needed;
    }
    let sets = 1u32..(1 << levels.len());
    !levels.is_empty()
        && sets.into_iter().all(|set| {
            let position = |level| levels.iter().position(|known| *known == level).unwrap_or_default();
            people(&|level| set & (1 << position(level)) != 0) >= needed * set.count_ones() as usize
        })
}
