//! Counting approvals: distinct approvers, never the requester, one vote a person and one for
//! each who is named, whoever stands in for them; level by level where the group says so.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::model::{AccessGroup, Approval, ApproverKind, Level, Request, Snapshot, Verdict, Vote};
use crate::name::{AccessGroupName, UserName};
use crate::time::Schedule;

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// More approvals are needed.
    Waiting {
        /// In which level; none where the group does not approve in levels.
        level: Option<Level>,
        /// How many there are.
        have: u8,
        /// How many there must be.
        need: u8,
    },
    /// Enough people approved.
    Approved,
    /// Enough people rejected.
    Rejected,
}

/// Why a person may not vote on a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoVote {
    /// It is their own.
    #[error("nobody approves their own request")]
    Own,
    /// The group does not name them.
    #[error("you are not an approver of it")]
    Stranger,
    /// They voted already.
    #[error("you have voted on it already")]
    Already,
    /// Those for whom they stand in voted, or somebody else did in their place.
    #[error("somebody has voted on it already in the place in which you stand in")]
    Taken,
    /// A lower level comes first.
    #[error("it waits for approvers of level {0} first")]
    NotYet(Level),
    /// Their level has what it needs.
    #[error("your level has approved it already; it waits for level {0}")]
    Past(Level),
}

/// What holds where a group no longer asks for approval, but a request waits for one.
static ONE: Approval = Approval {
    needed: 1,
    rejections: 1,
    levels: false,
    when: Schedule { weekdays: Vec::new(), slots: Vec::new() },
};

fn terms<'a>(group: &'a AccessGroup, request: &Request) -> &'a Approval {
    group.terms(request.action).and_then(|terms| terms.approval.as_ref()).unwrap_or(&ONE)
}

/// Votes that count: of people other than the requester, once each, in the place of somebody
/// whom the group names now, once each. Who stood in for whom was seen when they voted.
fn counting<'a>(snapshot: &Snapshot, group: &AccessGroup, request: &'a Request) -> Vec<&'a Vote> {
    let (mut people, mut places) = (HashSet::new(), HashSet::new());
    let votes = request.votes.iter().filter(|vote| {
        let place = vote.place_of();
        let counts = vote.by != request.user && *place != request.user;
        counts && snapshot.named(group, &request.user).any(|(person, _)| person == place)
    });
    votes.filter(|vote| people.insert(&vote.by) && places.insert(vote.place_of())).collect()
}

fn levels(group: &AccessGroup, approval: &Approval) -> Vec<Option<Level>> {
    if !approval.levels {
        return vec![None];
    }
    let mut levels: Vec<_> = group.approvers.iter().map(|approver| Some(approver.level)).collect();
    levels.sort_unstable();
    levels.dedup();
    levels
}

/// Counts the votes of a request under its group as it is now.
#[must_use]
pub fn tally(snapshot: &Snapshot, group: &AccessGroup, request: &Request) -> Tally {
    let approval = terms(group, request);
    let votes = counting(snapshot, group, request);
    let count = |verdict: Verdict, level: Option<Level>| {
        let votes = votes.iter().filter(|vote| vote.verdict == verdict);
        let votes = votes.filter(|vote| level.is_none_or(|level| vote.level == level));
        u8::try_from(votes.count()).unwrap_or(u8::MAX)
    };
    let fatal = if approval.levels { 1 } else { approval.rejections.max(1) };
    if count(Verdict::Reject, None) >= fatal {
        return Tally::Rejected;
    }
    let need = approval.needed.max(1);
    for level in levels(group, approval) {
        let have = count(Verdict::Approve, level);
        if have < need {
            return Tally::Waiting { level, have, need };
        }
    }
    // A group without any approver has no levels, and nothing is approved by that.
    if group.approvers.is_empty() { Tally::Waiting { level: None, have: 0, need } } else { Tally::Approved }
}

/// A vote that a person may give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// In which level.
    pub level: Level,
    /// In whose place, where not in their own.
    pub stands_in_for: Option<UserName>,
}

/// Whether the person may vote on a waiting request now, and how.
///
/// # Errors
/// Why not.
pub fn ballot(
    snapshot: &Snapshot,
    group: &AccessGroup,
    request: &Request,
    voter: &UserName,
    now: Timestamp,
) -> Result<Ballot, NoVote> {
    if *voter == request.user {
        return Err(NoVote::Own);
    }
    let mut own: Vec<_> = snapshot
        .entitled(group, &request.user, voter, now)
        .filter(|(person, _)| **person != request.user)
        .collect();
    if own.is_empty() {
        return Err(NoVote::Stranger);
    }
    if request.votes.iter().any(|vote| vote.by == *voter) {
        return Err(NoVote::Already);
    }
    own.retain(|(person, _)| request.votes.iter().all(|vote| vote.place_of() != *person));
    // The lowest level first, and their own place before another's.
    own.sort_by_key(|(person, level)| (*level, *person != voter));
    let (Some(lowest), Some(highest)) = (own.first(), own.last()) else { return Err(NoVote::Taken) };
    let (person, level) = match tally(snapshot, group, request) {
        Tally::Waiting { level: Some(level), .. } => match own.iter().find(|(_, own)| *own == level) {
            Some(one) => one,
            None if highest.1 < level => return Err(NoVote::Past(level)),
            None => return Err(NoVote::NotYet(level)),
        },
        _ => lowest,
    };
    Ok(Ballot { level: *level, stands_in_for: (*person != voter).then(|| (*person).clone()) })
}

/// Everybody who approves the request now, whether or not they may vote on it yet: those whom its
/// group names and those who stand in for them, other than the requester.
#[must_use]
pub fn approvers(
    snapshot: &Snapshot,
    group: &AccessGroup,
    request: &Request,
    now: Timestamp,
) -> Vec<UserName> {
    let mut people: Vec<UserName> = Vec::new();
    for (person, _) in snapshot.named(group, &request.user) {
        let deputy = snapshot.user(person).and_then(|user| user.deputy.as_ref());
        let deputy = deputy.filter(|deputy| deputy.stands_in(now)).map(|deputy| &deputy.user);
        for one in std::iter::once(person).chain(deputy) {
            if *one != request.user && !people.contains(one) {
                people.push(one.clone());
            }
        }
    }
    people
}

/// Whether the person is an approver of the request now, whether or not they may vote on it.
#[must_use]
pub fn approves(snapshot: &Snapshot, request: &Request, person: &UserName, now: Timestamp) -> bool {
    let group = snapshot.group(&request.group);
    group.is_some_and(|group| snapshot.entitled(group, &request.user, person, now).next().is_some())
}

/// Whose requests a person approves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approves {
    /// All of these groups.
    pub groups: Vec<AccessGroupName>,
    /// Under groups that ask the requester's manager: of these users.
    pub managed: Vec<UserName>,
    /// Those groups.
    pub managers: Vec<AccessGroupName>,
}

impl Approves {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.groups.is_empty() && self.managed.is_empty()
    }
}

/// Whose requests a person approves now, for themselves and for whom they stand in.
#[must_use]
pub fn approves_for(snapshot: &Snapshot, person: &UserName, now: Timestamp) -> Approves {
    let asks_manager = |group: &&std::sync::Arc<AccessGroup>| {
        group.approvers.iter().any(|approver| approver.who == ApproverKind::Manager)
    };
    let managers: Vec<_> = snapshot.groups().filter(asks_manager).map(|group| group.name.clone()).collect();
    let mut approves = Approves { managers, ..Approves::default() };
    for one in snapshot.speaks_for(person, now) {
        approves.groups.extend(snapshot.approves(one).map(|group| group.name.clone()));
        if !approves.managers.is_empty() {
            approves.managed.extend(snapshot.reports(one).iter().cloned());
        }
    }
    approves
}
