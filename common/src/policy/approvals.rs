//! Counting approvals: distinct approvers, never the requester, one vote a person,
//! level by level where the group says so.

use std::collections::HashSet;

use crate::model::{AccessGroup, Approval, Level, Request, Verdict, Vote};
use crate::name::UserName;
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

/// Votes that count: of people who are approvers now and not the requester, once each.
fn counting<'a>(group: &AccessGroup, request: &'a Request) -> Vec<&'a Vote> {
    let mut seen = HashSet::new();
    let votes = request.votes.iter().filter(|vote| {
        vote.by != request.user && group.approvers.iter().any(|approver| approver.user == vote.by)
    });
    votes.filter(|vote| seen.insert(&vote.by)).collect()
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
pub fn tally(group: &AccessGroup, request: &Request) -> Tally {
    let approval = terms(group, request);
    let votes = counting(group, request);
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

/// Whether the person may vote on a waiting request now, and in which level.
///
/// # Errors
/// Why not.
pub fn ballot(group: &AccessGroup, request: &Request, voter: &UserName) -> Result<Level, NoVote> {
    if *voter == request.user {
        return Err(NoVote::Own);
    }
    let mut own: Vec<_> = group
        .approvers
        .iter()
        .filter(|approver| approver.user == *voter)
        .map(|approver| approver.level)
        .collect();
    own.sort_unstable();
    let (Some(lowest), Some(highest)) = (own.first().copied(), own.last().copied()) else {
        return Err(NoVote::Stranger);
    };
    if request.votes.iter().any(|vote| vote.by == *voter) {
        return Err(NoVote::Already);
    }
    match tally(group, request) {
        Tally::Waiting { level: Some(level), .. } if own.contains(&level) => Ok(level),
        Tally::Waiting { level: Some(level), .. } if highest < level => Err(NoVote::Past(level)),
        Tally::Waiting { level: Some(level), .. } => Err(NoVote::NotYet(level)),
        _ => Ok(lowest),
    }
}
