//! Which group decided and why the others did not, for administrators.

use super::decide::{Decision, Demand, Facts, Miss, counts, decide, demand, excepts, govern};
use super::outside::{carry, enter};
use super::review::is_unread;
use super::verdict::GroupVerdict;
use super::walk::{Step, walk};
use crate::id::RemoteAccessId;
use crate::model::{Action, ExceptionEntry, Snapshot};
use crate::name::AccessGroupName;

/// A decision, and every group's part in it.
#[derive(Debug)]
pub struct Explanation {
    /// The decision itself.
    pub decision: Decision,
    /// Every exceptional access to the credential, then every group, the oldest first. Empty if the user
    /// or the credential is unknown.
    pub groups: Vec<(AccessGroupName, GroupVerdict)>,
    /// The way to it; where it is no, the last step says why.
    pub steps: Vec<Step>,
}

fn word(demand: Demand) -> &'static str {
    match demand {
        Demand::Nothing => "nothing",
        Demand::Justification => "a justification",
        Demand::Change => "an approved change",
        Demand::Approval => "approval",
    }
}

/// Decides, and tells how.
#[must_use]
pub fn explain(snapshot: &Snapshot, facts: &Facts<'_>) -> Explanation {
    let decision = decide(snapshot, facts);
    let (Some(user), Some(credential)) =
        (snapshot.user_entry(facts.user), snapshot.credential_entry(facts.target))
    else {
        let steps = walk(facts, &decision, None, &[]);
        return Explanation { decision, groups: Vec::new(), steps };
    };
    let governing = govern(snapshot, user, credential, facts.action, facts.now, facts.now, false).ok();
    let governing = governing.map(|governing| &governing.group.name);
    let verdict = |group: &crate::model::AccessGroup| {
        if !group.users.contains(facts.user) {
            return GroupVerdict::Misses(Miss::NotListed);
        }
        match counts(snapshot, group, user, credential, facts.action, facts.now) {
            Err(miss) => GroupVerdict::Misses(miss),
            Ok(_) if is_unread(snapshot, group) => GroupVerdict::Misses(Miss::Unread),
            Ok(terms) => {
                let demands = word(demand(group, terms, facts.now));
                let silent_watch = facts.action == Action::Session && terms.silent_watch;
                let governs = governing == Some(&group.name);
                if governs {
                    GroupVerdict::Governs { demands, silent_watch }
                } else {
                    GroupVerdict::Outdone(demands)
                }
            }
        }
    };
    let exception = |ExceptionEntry { access, group }: &ExceptionEntry| {
        let listed = access.users.contains(facts.user);
        let verdict = match excepts(access, credential, facts.action, facts.now) {
            Err(Miss::OtherCredential) => return None,
            _ if !listed => GroupVerdict::Misses(Miss::NotListed),
            Err(miss) => GroupVerdict::NotExcepting(miss),
            Ok(()) if governing == Some(&group.name) => GroupVerdict::Excepts(access.until),
            Ok(()) => GroupVerdict::OutdoneException(access.until),
        };
        Some((access.name.clone(), verdict))
    };
    let exceptions = snapshot.exceptions().filter_map(exception);
    let groups = snapshot.groups().map(|group| (group.name.clone(), verdict(group)));
    let groups = exceptions.chain(groups).collect::<Vec<_>>();
    let mut steps = walk(facts, &decision, carrier(snapshot, facts), &groups);
    if let Some(group) = &user.user.limited {
        let said =
            format!("user `{}` is limited, with the group {group}, and enters from outside only", facts.user);
        steps.insert(0, Step { holds: true, said });
    }
    Explanation { decision, groups, steps }
}

/// The remote access that would carry this action of the user's on the target.
fn carrier(snapshot: &Snapshot, facts: &Facts<'_>) -> Option<RemoteAccessId> {
    let Facts { user, coming, target, action, now, .. } = facts;
    let entry = enter(snapshot, user, coming, *now).ok()?;
    Some(carry(&entry, coming, target, *action, None, *now).ok()??.id)
}
