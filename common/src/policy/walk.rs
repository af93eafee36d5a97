//! The way to a decision, step by step, in words.

use serde::Serialize;

use super::decide::{Decision, Facts, Needs, Why};
use super::outside::NoEntry;
use super::verdict::GroupVerdict;
use crate::id::RemoteAccessId;
use crate::model::PanicScope;
use crate::name::{AccessGroupName, ReasonName};

/// One step, and whether the way goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Whether it holds.
    pub holds: bool,
    /// What was looked at, and how it is, as a sentence.
    pub said: String,
}

/// What is looked at, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    User,
    LogIn,
    Person,
    Entry,
    Credential,
    Groups,
    Target,
    RemoteAccess,
    AtOnce,
    Time,
}

const STAGES: [Stage; 10] = [
    Stage::User,
    Stage::LogIn,
    Stage::Person,
    Stage::Entry,
    Stage::Credential,
    Stage::Groups,
    Stage::Target,
    Stage::RemoteAccess,
    Stage::AtOnce,
    Stage::Time,
];

/// At which stage a refusal came.
fn stage(why: &Why) -> Stage {
    match why {
        Why::UnknownUser | Why::DisabledUser => Stage::User,
        Why::Login(_) => Stage::LogIn,
        Why::Panic(PanicScope::All | PanicScope::User(_)) => Stage::Person,
        Why::Entry(why) => match **why {
            NoEntry::Scope(..) | NoEntry::Times(_) | NoEntry::Used(..) => Stage::RemoteAccess,
            NoEntry::None(_)
            | NoEntry::Pending(_)
            | NoEntry::Upcoming(..)
            | NoEntry::Over(..)
            | NoEntry::Taken { .. }
            | NoEntry::Expired(_)
            | NoEntry::Group(_)
            | NoEntry::Full(_)
            | NoEntry::Inside
            | NoEntry::Location { .. } => Stage::Entry,
        },
        Why::UnknownCredential => Stage::Credential,
        Why::NoGroup { .. } => Stage::Groups,
        Why::Panic(PanicScope::Device(_) | PanicScope::AccessGroup(_)) => Stage::Target,
        Why::Full(_) => Stage::AtOnce,
        Why::TooLong => Stage::Time,
    }
}

/// `carries` is the remote access that would carry it.
pub(super) fn walk(
    facts: &Facts<'_>,
    decision: &Decision,
    carries: Option<RemoteAccessId>,
    groups: &[(AccessGroupName, GroupVerdict)],
) -> Vec<Step> {
    let ends = match decision {
        Decision::Refused(refusal) => Some((stage(refusal.why()), refusal.why())),
        Decision::Permitted(_) | Decision::Needs(_) => None,
    };
    let mut steps = Vec::new();
    let mut step = |holds: bool, said: String| steps.push(Step { holds, said });
    for at in STAGES {
        if let Some((end, why)) = ends
            && end == at
        {
            step(false, why.to_string());
            return steps;
        }
        match at {
            Stage::User => step(true, format!("user `{}` is known and enabled", facts.user)),
            Stage::Person => step(true, "no panic stops everything or the user".to_owned()),
            Stage::Entry => {
                if let Some(origin) = facts.origin {
                    step(true, format!("who comes from {origin} may enter"));
                }
            }
            Stage::Credential => step(true, format!("the credential `{}` is there", facts.target)),
            Stage::Groups => step(true, governing(groups)),
            Stage::Target => step(true, "no panic stops the device or the access group".to_owned()),
            Stage::RemoteAccess => {
                if let Some(id) = carries {
                    step(true, format!("remote access {id} reaches {} now", facts.target));
                }
            }
            // Who only asks about a user has logged in nowhere.
            Stage::LogIn if facts.login.is_none() => {}
            Stage::LogIn => step(true, "what the user logged in with holds".to_owned()),
            Stage::AtOnce | Stage::Time => {}
        }
    }
    match decision {
        Decision::Permitted(permit) => {
            if let Some(id) = permit.request() {
                step(true, format!("request {id} covers it"));
            }
            if let Some(change) = permit.change() {
                step(true, format!("change `{}` covers it", change.id));
            }
            let until = permit.expires().map(|end| format!(", until {end:.0}")).unwrap_or_default();
            step(true, format!("it is permitted{until}"));
        }
        Decision::Needs(needs) => {
            if let Some((id, held)) = &needs.held {
                step(true, held.sentence(*id));
            }
            step(false, asked(needs));
        }
        Decision::Refused(_) => {}
    }
    steps
}

fn governing(groups: &[(AccessGroupName, GroupVerdict)]) -> String {
    let excepts = groups.iter().find_map(|(name, verdict)| match verdict {
        GroupVerdict::Excepts(until) => Some((name, until)),
        _ => None,
    });
    if let Some((name, until)) = excepts {
        return format!("exceptional access `{name}` governs before every access group until {until:.0}");
    }
    let governs = groups.iter().find_map(|(name, verdict)| match verdict {
        GroupVerdict::Governs { demands, .. } => Some((name, demands)),
        _ => None,
    });
    let outdone = groups.iter().filter(|(_, verdict)| matches!(verdict, GroupVerdict::Outdone(_))).count();
    let Some((name, demands)) = governs else { return "no access group governs".to_owned() };
    let more = if outdone == 0 { String::new() } else { format!(", the most of {} that count", outdone + 1) };
    format!("access group `{name}` governs and demands {demands}{more}")
}

fn asked(needs: &Needs) -> String {
    let reasons = || {
        let names: Vec<_> = needs.reasons.iter().map(ReasonName::as_str).collect();
        format!("one of the reasons {}", names.join(", "))
    };
    let approval = needs.approval.as_ref().map(|need| {
        let levels = if need.levels { " in each level" } else { "" };
        let people = if need.needed == 1 { "approval" } else { "approvals" };
        let stands = need.waiting.map(|id| format!(" (request {id} waits)")).unwrap_or_default();
        format!("{} {people}{levels}{stands}", need.needed)
    });
    let parts = [
        needs.justification.then(|| "a justification".to_owned()),
        (!needs.reasons.is_empty()).then(reasons),
        needs.change.as_ref().map(|need| format!("an approved change ({need})")),
        needs.governance.then(|| "a governance code".to_owned()),
        approval,
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let emergency = if needs.emergency_allowed { "; an emergency may skip the approval" } else { "" };
    format!("it still asks for {}{emergency}", parts.join(", "))
}
