use super::*;
use crate::id::RequestId;
use crate::model::{Claims, Resources, Vote};
use crate::notice::NoticeKind;
use crate::policy::Recipient;

/// With more said of the user `boss` and of the group.
fn told_under(
    (boss, group): (&str, &str),
    before: Option<&Request>,
    after: &Request,
) -> Vec<(String, NoticeKind)> {
    let (length, ahead) = (Length::minutes(60), Length::hours(1));
    let step = RequestStep { before, after, length, ahead, now: moment(0) };
    let told =
        notify_of_request(&snapshot(boss, group), &step).into_iter().filter_map(|one| match one.recipient {
            Recipient::User(name) => Some((name.to_string(), one.notice.kind())),
            _ => None,
        });
    told.collect()
}

fn snapshot(boss: &str, group: &str) -> Snapshot {
    let text = r#"
        user = [
            { name = "operator", email = "operator@example.org" },
            { name = "first", email = "first@example.org" },
            { name = "other", email = "other@example.org" },
            { name = "boss", email = "boss@example.org"BOSS },
        ]
        device = [{ name = "db01" }]
        credential = [{ name = "ops@db01", privileges = [{ kind = "groups", groups = ["adm"] }] }]
        [[access_group]]
        name = "dba"
        users = ["operator", "first"]
        GROUP
        approvers = ["first", "other", { user = "boss", level = 2 }]
        criteria = { devices = ["db*"] }
        session = { justification = true, emergency = true, approval = { needed = 1, levels = true } }
    "#;
    let text = &text.replace("BOSS", boss).replace("GROUP", group);
    Snapshot::new(&Resources::default().update(text).unwrap().whole).unwrap()
}

fn moment(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
}

fn request(user: &str) -> Request {
    let (created, expires) = (moment(0), moment(24));
    Request { user: user.parse().unwrap(), created, expires, ..crate::testing::request() }
}

fn vote(by: &str, level: u8, verdict: Verdict) -> Vote {
    let comment = Some("go ahead".parse().unwrap());
    Vote {
        by: by.parse().unwrap(),
        stands_in_for: None,
        level: level.try_into().unwrap(),
        verdict,
        at: moment(0),
        origin: None,
        comment,
    }
}

fn told(before: Option<&Request>, after: &Request) -> Vec<(String, NoticeKind)> {
    told_under(("", ""), before, after)
}

fn approved(request: &Request, hours: i64) -> Request {
    let window = Window { start: moment(0), end: moment(hours) };
    Request { state: RequestState::Approved { window }, ..request.clone() }
}

#[test]
fn a_level_is_asked_once_and_only_when_the_lower_one_is_complete() {
    let asked = |name: &str| (name.to_owned(), NoticeKind::ApprovalAsked);
    let new = request("operator");
    assert_eq!(told(None, &new), [asked("first"), asked("other")]);
    assert_eq!(told(None, &request("first")), [asked("other")], "nobody is asked for their own");
    let one = Request { votes: vec![vote("first", 1, Verdict::Approve)], ..new.clone() };
    assert_eq!(told(Some(&new), &one), [asked("boss")]);
    let same = Request { expires: moment(25), ..one.clone() };
    assert_eq!(told(Some(&one), &same), []);
}

#[test]
fn an_approver_reads_what_a_session_would_change() {
    let after = request("operator");
    let (length, ahead) = (Length::minutes(60), Length::hours(1));
    let step = RequestStep { before: None, after: &after, length, ahead, now: moment(0) };
    let told = notify_of_request(&snapshot("", ""), &step).pop().unwrap();
    let Notice::ApprovalAsked { wanted, level, changes, expires } = told.notice else { panic!("{told:?}") };
    assert_eq!((level, expires, wanted.request), (Some(1), moment(24), RequestId(7)));
    assert_eq!(wanted.justification.unwrap().as_str(), "ticket 7");
    assert!(changes.to_string().contains("adm"), "{changes}");
}

#[test]
fn the_requester_is_told_what_others_decided_and_not_what_they_did_themselves() {
    let decided = [("operator".to_owned(), NoticeKind::RequestDecided)];
    let new = request("operator");
    let voted = Request { votes: vec![vote("boss", 2, Verdict::Approve)], ..new.clone() };
    assert_eq!(told(Some(&new), &approved(&voted, 1)), decided);
    let rejected = Request { state: RequestState::Rejected { at: moment(0) }, ..new.clone() };
    assert_eq!(told(Some(&new), &rejected), decided);
    let revoked = RequestState::Revoked { at: moment(0), by: "boss".to_owned(), comment: None };
    assert_eq!(told(Some(&approved(&new, 1)), &Request { state: revoked, ..new.clone() }), decided);
    let expired = Request { state: RequestState::Expired { at: moment(24) }, ..new.clone() };
    assert_eq!(told(Some(&new), &expired), decided);
    let cancelled = Request { state: RequestState::Cancelled { at: moment(0) }, ..new.clone() };
    assert_eq!(told(Some(&new), &cancelled), []);
}

#[test]
fn every_approver_is_told_of_an_emergency_in_whichever_level() {
    let urgent = Claims { emergency: Some("the shop is down".parse().unwrap()), ..Claims::default() };
    let used = approved(&Request { claims: urgent, ..request("operator") }, 1);
    let all = ["first", "other", "boss"].map(|name| (name.to_owned(), NoticeKind::EmergencyUsed));
    assert_eq!(told(None, &used), all);
    assert_eq!(told(Some(&used), &used), [], "once");
}

#[test]
fn the_end_of_a_long_window_is_told_ahead_and_again_when_it_moves() {
    let new = request("operator");
    let kinds = |before: &Request, after: &Request| {
        told(Some(before), after).into_iter().map(|(_, kind)| kind).collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(&new, &approved(&new, 1)),
        [NoticeKind::RequestDecided],
        "an hour is told in the terminal"
    );
    assert_eq!(kinds(&new, &approved(&new, 8)), [NoticeKind::RequestDecided, NoticeKind::EndsSoon]);
    assert_eq!(kinds(&approved(&new, 8), &approved(&new, 8)), []);
    assert_eq!(kinds(&approved(&new, 8), &approved(&new, 9)), [NoticeKind::EndsSoon]);
}

#[test]
fn who_stands_in_for_an_approver_is_told_as_they_are_and_on_their_days_only() {
    let named = |name: &str, kind| (name.to_owned(), kind);
    let deputy = |from: &str, until: &str| {
        format!(", deputy = {{ user = \"other\", from = {from}, until = {until} }}")
    };
    let (now, later) = (deputy("2027-01-01", "2027-12-31"), deputy("2030-01-01", "2030-12-31"));
    let new = request("operator");
    let one = Request { votes: vec![vote("first", 1, Verdict::Approve)], ..new.clone() };
    let boss = named("boss", NoticeKind::ApprovalAsked);
    let asked = |deputy: &str| told_under((deputy, ""), Some(&new), &one);
    assert_eq!(asked(&now), [named("other", NoticeKind::ApprovalAsked), boss.clone()]);
    assert_eq!(asked(&later), [boss]);
}

#[test]
fn the_copy_list_is_told_of_every_decision_and_of_an_emergency() {
    let copy = ("", "copy = [\"boss\"]");
    let copied = |before: Option<&Request>, after: &Request| {
        let told = told_under(copy, before, after);
        told.into_iter().filter(|(name, _)| name == "boss").map(|(_, kind)| kind).collect::<Vec<_>>()
    };
    let new = request("operator");
    assert_eq!(copied(None, &new), [], "nothing is decided yet");
    let cancelled = Request { state: RequestState::Cancelled { at: moment(0) }, ..new.clone() };
    let expired = Request { state: RequestState::Expired { at: moment(24) }, ..new.clone() };
    for after in [&approved(&new, 1), &cancelled, &expired] {
        assert_eq!(copied(Some(&new), after), [NoticeKind::DecisionCopied]);
    }
    assert_eq!(copied(None, &approved(&new, 1)), [NoticeKind::DecisionCopied], "the rules approved it");
    let urgent = Claims { emergency: Some("the shop is down".parse().unwrap()), ..Claims::default() };
    let used = approved(&Request { claims: urgent, ..new }, 1);
    assert_eq!(copied(None, &used), [NoticeKind::EmergencyUsed], "once, also who approves");
}
