use std::net::{IpAddr, Ipv4Addr};

use jiff::{Span, Timestamp};

use super::*;
use crate::change::Change;
use crate::id::RequestId;
use crate::model::{
    Action, Claims, Forward, Limits, Request, RequestState, Resources, Snapshot, Verdict, Vote,
};
use crate::testing::{self, noon};
use crate::time::Window;

mod approval;
mod at_once;
mod changes;
mod exceptional;
mod governance;
mod limits;
mod login;
mod naive;
mod outside;
mod panic;
mod places;
mod properties;
mod review;
mod several_groups;
mod simulate;

fn after(minutes: i64) -> Timestamp {
    noon().checked_add(Span::new().minutes(minutes)).unwrap()
}

const PEOPLE: &str = r#"
[[user]]
name = "operator"
[[user]]
name = "other"
[[user]]
name = "approver"
[[user]]
name = "second"
[[user]]
name = "boss"
[[device]]
name = "db01"
product = "Debian"
tags = ["Production"]
[[device]]
name = "web01"
[[credential]]
name = "ops@db01"
type = "local"
tags = ["postgres"]
privileges = [{ kind = "sudo" }]
[[credential]]
name = "adm-operator@db01"
[[credential]]
name = "ops@web01"
"#;

fn world(groups: &str) -> Snapshot {
    let text = format!("{PEOPLE}{groups}");
    Snapshot::new(&Resources::read(&text).unwrap()).unwrap()
}

/// One group `dba` for operator, with what a test adds.
fn group(criteria: &str, rest: &str) -> Snapshot {
    world(&format!(
        "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {criteria} }}\n{rest}\n"
    ))
}

struct Ask {
    user: &'static str,
    target: &'static str,
    action: Action,
    now: Timestamp,
    claims: Claims,
    requests: Vec<Request>,
    changes: Vec<Change>,
}

fn ask(target: &'static str) -> Ask {
    Ask {
        user: "operator",
        target,
        action: Action::Session,
        now: noon(),
        claims: Claims::default(),
        requests: Vec::new(),
        changes: Vec::new(),
    }
}

impl Ask {
    /// What a decision depends on.
    fn facts<T>(&self, take: impl FnOnce(&Facts<'_>) -> T) -> T {
        let (user, target) = (self.user.parse().unwrap(), self.target.parse().unwrap());
        let facts = Facts {
            now: self.now,
            user: &user,
            login: None,
            target: &target,
            action: self.action,
            origin: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            coming: Coming::ASKED,
            claims: &self.claims,
            refused_code: None,
            requests: &self.requests,
            live: &[],
            changes: &self.changes,
        };
        take(&facts)
    }

    fn of(self, snapshot: &Snapshot) -> Decision {
        self.facts(|facts| decide(snapshot, facts))
    }

    fn explained(self, snapshot: &Snapshot) -> Explanation {
        self.facts(|facts| explain(snapshot, facts))
    }

    fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    fn by(self, user: &'static str) -> Self {
        Self { user, ..self }
    }

    fn with(self, request: Request) -> Self {
        Self { requests: vec![request], ..self }
    }

    fn under(self, changes: &[Change]) -> Self {
        Self { changes: changes.to_vec(), ..self }
    }

    fn claiming(self, claims: Claims) -> Self {
        Self { claims, ..self }
    }
}

fn permit(decision: Decision) -> Permit {
    match decision {
        Decision::Permitted(permit) => permit,
        other => panic!("not permitted: {other:?}"),
    }
}

fn needs(decision: Decision) -> Needs {
    match decision {
        Decision::Needs(needs) => needs,
        other => panic!("no needs: {other:?}"),
    }
}

fn refused(decision: Decision) -> Refusal {
    match decision {
        Decision::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn request(state: RequestState) -> Request {
    let approved = matches!(state, RequestState::Approved { .. });
    let votes = if approved { vec![vote("approver", 1, Verdict::Approve)] } else { Vec::new() };
    Request { state, votes, ..testing::request() }
}

fn approved() -> Request {
    request(RequestState::Approved { window: Window { start: noon(), end: after(60) } })
}

fn vote(by: &str, level: u8, verdict: Verdict) -> Vote {
    Vote {
        by: by.parse().unwrap(),
        stands_in_for: None,
        level: level.try_into().unwrap(),
        verdict,
        at: noon(),
        origin: None,
        comment: None,
    }
}

const ALL: &str = "devices = [\"*\"]";
const FREE: &str = "session = {}";
const APPROVED: &str =
    "approvers = [\"approver\"]\nsession = { justification = true, approval = { needed = 1 } }";

#[test]
fn a_listed_user_gets_a_permit_that_carries_subject_target_and_conditions() {
    let snapshot = group(ALL, "session = {}\nconditions = { forwards = [\"local\"], longest = \"2h\" }");
    let permit = permit(ask("ops@db01").of(&snapshot));
    assert_eq!(permit.user().as_str(), "operator");
    assert_eq!(permit.target().to_string(), "ops@db01");
    assert_eq!(permit.device().name.as_str(), "db01");
    assert_eq!(permit.group().as_str(), "dba");
    assert_eq!(permit.privileges().len(), 1);
    assert_eq!(permit.expires(), Some(after(120)));
    assert_eq!(permit.exec_output_limit(), 8 << 20);
    assert!(!permit.record_input(), "what is typed is kept only where a group says so");
    assert!(permit.allows(Forward::Local) && !permit.allows(Forward::Agent));
    assert!(permit.request().is_none() && !permit.emergency());
}

#[test]
fn a_user_who_is_not_listed_is_refused() {
    let refusal = refused(ask("ops@db01").by("other").of(&group(ALL, FREE)));
    assert_eq!(*refusal.why(), Why::NoGroup { closest: None });
}

#[test]
fn unknown_and_forbidden_answer_alike_but_the_audit_log_knows_better() {
    let snapshot = group("devices = [\"web*\"]", FREE);
    let forbidden = refused(ask("ops@db01").of(&snapshot));
    let unknown = refused(ask("nobody@db01").of(&snapshot));
    let shape = |text: String, name| text.replace(name, "X");
    assert_eq!(shape(forbidden.to_string(), "ops@db01"), shape(unknown.to_string(), "nobody@db01"));
    assert_eq!(*unknown.why(), Why::UnknownCredential);
    let text = forbidden.why().to_string();
    assert!(text.contains("`dba`") && text.contains("`devices`"), "{text}");
}

#[test]
fn a_disabled_user_is_refused_and_an_enabled_one_is_not() {
    let text = format!(
        "{PEOPLE}[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{FREE}\n"
    );
    let disabled = text.replacen("name = \"operator\"", "name = \"operator\"\nenabled = false", 1);
    let snapshot = |text: &str| Snapshot::new(&Resources::read(text).unwrap()).unwrap();
    assert_eq!(*refused(ask("ops@db01").of(&snapshot(&disabled))).why(), Why::DisabledUser);
    let _ = permit(ask("ops@db01").of(&snapshot(&text)));
}

#[test]
fn an_action_without_terms_is_not_allowed() {
    let snapshot = group(ALL, FREE);
    let asked = Ask { action: Action::ViewPassword, ..ask("ops@db01") };
    let refusal = refused(asked.of(&snapshot));
    let why = refusal.why().to_string();
    assert!(why.contains("does not allow the action `view password`"), "{why}");
    // They may have a session. Of what does not exist it says the same.
    let told = refusal.to_string();
    assert!(told.starts_with("viewing the password of ops@db01 is not given to you; "), "{told}");
    let unknown = Ask { action: Action::ViewPassword, ..ask("nobody@db01") };
    let unknown = refused(unknown.of(&snapshot)).to_string();
    assert_eq!(unknown, told.replace("ops@", "nobody@"));
    let both = group(ALL, "session = {}\npassword = {}");
    let permit = permit(Ask { action: Action::ViewPassword, ..ask("ops@db01") }.of(&both));
    assert!(permit.privileges().is_empty());
}

#[test]
fn within_a_field_one_value_is_enough_and_between_fields_all_must_match() {
    let either = group("devices = [\"web*\", \"DB*\"], device_tags = [\"production\"]", FREE);
    let _ = permit(ask("ops@db01").of(&either));
    let _ = refused(ask("ops@web01").of(&either));
    let _ = refused(ask("ops@db01").of(&group("devices = [\"db*\"], products = [\"MySQL\"]", FREE)));
    for field in ["accounts = [\"OPS\"]", "credential_tags = [\"post*\"]", "credential_types = [\"local\"]"] {
        let _ = permit(ask("ops@db01").of(&group(field, FREE)));
        let _ = refused(ask("adm-operator@db01").of(&group(field, FREE)));
    }
}

#[test]
fn the_placeholder_gives_each_user_their_own_account_only() {
    let snapshot = world(&format!(
        "[[access_group]]\nname = \"own\"\nusers = [\"operator\", \"other\"]\n\
         criteria = {{ accounts = [\"adm-[#USERNAME#]\"] }}\n{FREE}\n"
    ));
    let _ = permit(ask("adm-operator@db01").of(&snapshot));
    let _ = refused(ask("adm-operator@db01").by("other").of(&snapshot));
}

#[test]
fn outside_its_limitation_a_group_grants_nothing_and_inside_the_end_is_in_the_permit() {
    let snapshot = group(ALL, "session = {}\nlimitation = { slots = [\"08:00-12:30\"] }");
    assert_eq!(permit(ask("ops@db01").of(&snapshot)).expires(), Some(after(30)));
    let why = refused(ask("ops@db01").at(after(30)).of(&snapshot)).why().clone();
    assert_eq!(why, Why::NoGroup { closest: Some(("dba".parse().unwrap(), Miss::Closed)) });
}

#[test]
fn everything_missing_is_asked_for_at_once() {
    let snapshot = world(&format!(
        "[[reason]]\nname = \"incident\"\n[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\n\
         approvers = [\"approver\"]\ncriteria = {{ {ALL} }}\nrequest = {{ governance = true }}\n\
         session = {{ justification = true, change = true, emergency = true, approval = {{ needed = 1 }} }}\n"
    ));
    let needs = needs(ask("ops@db01").of(&snapshot));
    assert!(needs.justification && needs.change.is_some() && needs.governance && needs.emergency_allowed);
    assert_eq!(needs.reasons, ["incident".parse().unwrap()]);
    assert_eq!(needs.approval.map(|need| need.needed), Some(1));
}

#[test]
fn a_justification_that_is_given_is_not_asked_for_again() {
    let snapshot = group(ALL, "session = { justification = true }");
    assert!(needs(ask("ops@db01").of(&snapshot)).justification);
    let claims = Claims { justification: Some("ticket 7".parse().unwrap()), ..Claims::default() };
    let permit = permit(ask("ops@db01").claiming(claims.clone()).of(&snapshot));
    assert_eq!(*permit.claims(), claims);
}

#[test]
fn a_reason_that_is_not_registered_does_not_count() {
    let snapshot = world(&format!(
        "[[reason]]\nname = \"incident\"\n[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\n\
         criteria = {{ {ALL} }}\nsession = {{ justification = true }}\n"
    ));
    let claims = |reason: &str| Claims {
        justification: Some("x".parse().unwrap()),
        reason: Some(reason.parse().unwrap()),
        ..Claims::default()
    };
    assert_eq!(needs(ask("ops@db01").claiming(claims("boredom")).of(&snapshot)).reasons.len(), 1);
    let _ = permit(ask("ops@db01").claiming(claims("incident")).of(&snapshot));
}

#[test]
fn what_a_user_may_reach_is_what_decide_would_not_refuse() {
    let snapshot = group("devices = [\"db*\"]", APPROVED);
    let names: Vec<_> =
        reachable(&snapshot, &"operator".parse().unwrap(), &Coming::ASKED, Action::Session, noon())
            .into_iter()
            .map(|reached| reached.credential.name.to_string())
            .collect();
    assert_eq!(names, ["adm-operator@db01", "ops@db01"]);
    assert!(
        reachable(&snapshot, &"other".parse().unwrap(), &Coming::ASKED, Action::Session, noon()).is_empty()
    );
}
