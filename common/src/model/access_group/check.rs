//! What no single field of an access group can tell: groups that could never grant, approvals that
//! could never be collected.

use std::collections::HashSet;

use super::{AccessGroup, Approval, ApproverKind, Level, ReviewTerms, Terms};
use crate::model::Kind;
use crate::model::check::Checker;
use crate::name::UserName;

pub(super) fn groups(checker: &mut Checker<'_>) {
    let resources = checker.resources;
    let users: HashSet<_> = resources.users.iter().map(|user| &user.name).collect();
    let limited: HashSet<_> = resources.limited_users().map(|(_, limited)| &limited.name).collect();
    for group in &resources.access_groups {
        let name = group.name.as_str();
        let listed = group.users.iter().enumerate().map(|(index, user)| (format!("users.{index}"), user));
        let listed = listed.filter(|(_, user)| !limited.contains(user));
        let approvers = group.approvers.iter().enumerate();
        let approvers = approvers.filter_map(|(index, approver)| match &approver.who {
            ApproverKind::User(user) => Some((format!("approvers.{index}"), user)),
            ApproverKind::Manager => None,
        });
        let copied = group.copy.iter().enumerate().map(|(index, user)| (format!("copy.{index}"), user));
        let owners = group.review.iter().flat_map(|review| review.owners.iter().enumerate());
        let owners = owners.map(|(index, user)| (format!("review.owners.{index}"), user));
        for (field, user) in listed.chain(approvers).chain(copied).chain(owners) {
            if !users.contains(user) && !checker.is_unreadable(Kind::User, user.as_str()) {
                let why = checker.no_user(user);
                checker.wrong(Kind::AccessGroup, name, field, why);
            }
        }
        if group.criteria.is_empty() {
            let why = "a group without criteria matches nothing; name credentials in [access_group.criteria], \
                       or write devices = [\"*\"] to mean all";
            checker.wrong(Kind::AccessGroup, name, "criteria", why);
        }
        if group.session.is_none() && group.password.is_none() {
            let why = "the group allows nothing; add [access_group.session] or [access_group.password]";
            checker.wrong(Kind::AccessGroup, name, "", why);
        }
        if group.password.as_ref().is_some_and(|terms| terms.change) {
            let why = "only a session can ask for a change";
            checker.wrong(Kind::AccessGroup, name, "password.change", why);
        }
        if let (Some(from), Some(until)) = (group.limitation.from, group.limitation.until)
            && until < from
        {
            let why = format!("the period ends on {until}, before it starts on {from}");
            checker.wrong(Kind::AccessGroup, name, "limitation.until", why);
        }
        if group.request.reason && !resources.reasons.iter().any(|reason| reason.enabled) {
            let why =
                "no reason is registered and enabled that could be chosen; add a [[reason]] or leave it out";
            checker.wrong(Kind::AccessGroup, name, "request.reason", why);
        }
        if let Some(review) = &group.review {
            reviewed(checker, name, review);
        }
        twice(checker, group);
        approval(checker, group, "session", group.session.as_ref());
        approval(checker, group, "password", group.password.as_ref());
    }
}

fn reviewed(checker: &mut Checker<'_>, name: &str, review: &ReviewTerms) {
    if review.owners.is_empty() {
        let why = "nobody could confirm the group's users; name users in `owners`, or leave [access_group.review] out";
        checker.wrong(Kind::AccessGroup, name, "review.owners", why);
    }
    if review.every.approximate() < ReviewTerms::LEAST.approximate() {
        let why = format!("a confirmation is good for a day at least, not for {}", review.every);
        checker.wrong(Kind::AccessGroup, name, "review.every", why);
    }
}

fn twice(checker: &mut Checker<'_>, group: &AccessGroup) {
    let mut seen = HashSet::new();
    for (index, user) in group.users.iter().enumerate() {
        if !seen.insert(user) {
            let why = format!("user `{user}` is listed twice");
            checker.wrong(Kind::AccessGroup, group.name.as_str(), format!("users.{index}"), why);
        }
    }
    let mut seen = HashSet::new();
    for (index, approver) in group.approvers.iter().enumerate() {
        if !seen.insert(approver) {
            let why = format!("approver `{}` is listed twice in level {}", approver.who, approver.level);
            checker.wrong(Kind::AccessGroup, group.name.as_str(), format!("approvers.{index}"), why);
        }
    }
}

fn approval(checker: &mut Checker<'_>, group: &AccessGroup, action: &str, terms: Option<&Terms>) {
    let Some(terms) = terms else { return };
    let name = group.name.as_str();
    if let Some(window) = terms.emergency_window {
        let most = Terms::MOST_EMERGENCY;
        let why = match terms.emergency {
            false => Some("there is no emergency for it; add `emergency = true` or leave it out".to_owned()),
            true if window.approximate() > most.approximate() => {
                Some(format!("an emergency opens for {most} at most, not for {window}"))
            }
            true => None,
        };
        if let Some(why) = why {
            checker.wrong(Kind::AccessGroup, name, format!("{action}.emergency_window"), why);
        }
    }
    let Some(approval) = &terms.approval else {
        if terms.emergency {
            let why = "there is no approval that an emergency could skip; add `approval` or leave it out";
            checker.wrong(Kind::AccessGroup, name, format!("{action}.emergency"), why);
        }
        return;
    };
    let field = format!("{action}.approval");
    if approval.needed == 0 || approval.rejections == 0 {
        let why = "`needed` and `rejections` are at least 1; leave `approval` out where none is needed";
        checker.wrong(Kind::AccessGroup, name, field, why);
        return;
    }
    let needed = approval.needed;
    if !collectable(group, approval, None, None) {
        let why = if approval.levels {
            format!("{needed} approvals in each level could never be collected: too few distinct approvers")
        } else {
            format!("{needed} approvals could never be collected: too few distinct approvers")
        };
        checker.wrong(Kind::AccessGroup, name, field, why);
        return;
    }
    let users = &checker.resources.users;
    let manager =
        |name: &UserName| users.iter().find(|user| user.name == *name).and_then(|user| user.manager.as_ref());
    let stuck = group.users.iter().find(|user| !collectable(group, approval, Some(user), manager(user)));
    if let Some(user) = stuck {
        let asks_manager = group.approvers.iter().any(|approver| approver.who == ApproverKind::Manager);
        let own = match manager(user) {
            None if asks_manager => "who has no `manager`",
            _ => "who may not approve their own request",
        };
        let why = format!(
            "{needed} approvals could never be collected for `{user}`, {own}; \
             name another approver or take `{user}` out of `users`"
        );
        checker.wrong(Kind::AccessGroup, name, field, why);
    }
}

/// Whether enough distinct people other than the requester could approve. With
/// levels, each level needs its own people (a person counts once in a request), so
/// any set of levels needs that many people together (Hall's theorem). Where no requester is
/// given, a manager is one person more than those who are named.
fn collectable(
    group: &AccessGroup,
    approval: &Approval,
    requester: Option<&UserName>,
    manager: Option<&UserName>,
) -> bool {
    let mut levels: Vec<Level> = group.approvers.iter().map(|approver| approver.level).collect();
    levels.sort_unstable();
    levels.dedup();
    let needed = usize::from(approval.needed);
    let people = |chosen: &dyn Fn(Level) -> bool| {
        let chosen = group.approvers.iter().filter(|approver| chosen(approver.level));
        let people = chosen.filter_map(|approver| match requester {
            None => Some(Some(approver.who.person(None))),
            Some(_) => approver.who.person(manager).map(Some).map(Some),
        });
        let people = people.flatten().filter(|person| person.is_none() || *person != requester);
        people.collect::<HashSet<_>>().len()
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
