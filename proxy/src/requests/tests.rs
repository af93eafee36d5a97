mod emergencies;
mod extend;
mod governance;
mod refused_codes;
mod several;
mod told;

use jiff::SignedDuration;
use tidegate_common::model::{RequestState, Text, Verdict};
use tidegate_common::policy::{Coming, Decision, EndReason, Facts, NoVote, Permit, decide};
use tidegate_common::time::Window;

use super::*;
use crate::access::Basis;
use crate::access::tests::proved;
use crate::store::testing::on_both;
use crate::testing::{World, by, request, user};

const RESOURCES: &str = r#"
[[user]]
name = "operator"
[[user]]
name = "approver"
[[user]]
name = "boss"
[[user]]
name = "chief"
roles = ["admin"]
[[user]]
name = "stranger"
[[device]]
name = "db01"
[[credential]]
name = "ops@db01"
[[credential]]
name = "free@db01"
[[credential]]
name = "said@db01"
[[access_group]]
name = "dba"
users = ["operator"]
approvers = ["approver", { user = "boss", level = 2 }]
criteria = { accounts = ["ops"] }
session = { justification = true, emergency = true, approval = { needed = 1, levels = true } }
[[access_group]]
name = "free"
users = ["operator"]
criteria = { accounts = ["free"] }
session = {}
[[access_group]]
name = "said"
users = ["operator"]
approvers = ["approver"]
criteria = { accounts = ["said"] }
session = { justification = true }
"#;

async fn world() -> World {
    World::new(RESOURCES).await
}

fn text(text: &str) -> Option<Text> {
    Some(text.parse().unwrap())
}

fn ops() -> NewRequest {
    let claims = Claims { justification: text("ticket 7"), ..Claims::default() };
    NewRequest { claims, ..request("operator", "ops@db01") }
}

impl World {
    async fn approve(&self, id: RequestId, who: &str, wish: Wish) -> Result<Request, RequestError> {
        self.requests
            .approve(id, &user(who), &by(who), text("fine"), Narrowed { wish, only: Vec::new() })
            .await
    }

    async fn approved(&self) -> Request {
        let made = self.requests.create(ops()).await.unwrap();
        self.approve(made.id, "approver", Wish::default()).await.unwrap();
        self.approve(made.id, "boss", Wish::default()).await.unwrap()
    }

    async fn permit(&self) -> Permit {
        let (proved, target) = (proved("operator"), "ops@db01".parse().unwrap());
        let origin = "192.0.2.7".parse().unwrap();
        let claims = ops().claims;
        match self.access.decide(&proved, &target, Action::Session, origin, &claims).await.unwrap() {
            Decision::Permitted(permit) => permit,
            other => panic!("not permitted: {other:?}"),
        }
    }

    /// The kinds of what the audit log tells of requests.
    async fn steps(&self) -> Vec<String> {
        let kind = |event: &Event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned();
        let records = self.records().await;
        records.iter().map(|record| kind(&record.event)).filter(|kind| kind.starts_with("request")).collect()
    }
}

async fn a_request_approved_by_every_level_permits_a_session_within_its_window() {
    let world = world().await;
    let request = world.approved().await;
    let RequestState::Approved { window } = request.state else { panic!("{request:?}") };
    let permit = world.permit().await;
    assert_eq!(permit.request(), Some(request.id));
    assert_eq!(permit.expires(), Some(window.end));
    assert_eq!(world.steps().await, ["request-created", "request-approved", "request-approved"]);
    let vote = &request.votes[0];
    assert_eq!((vote.comment.clone(), vote.origin), (text("fine"), Some("192.0.2.7".parse().unwrap())));
}

async fn an_approved_window_opens_by_the_clock_as_it_is_set_and_by_no_other() {
    let world = world().await;
    let request = world.approved().await;
    let RequestState::Approved { window } = request.state else { panic!("{request:?}") };
    let permit = world.permit().await;
    let snapshot = world.access.snapshot();
    let (name, target, claims) = (user("operator"), "ops@db01".parse().unwrap(), ops().claims);
    let facts = |now| Facts {
        now,
        user: &name,
        target: &target,
        action: Action::Session,
        origin: None,
        login: None,
        coming: Coming::ASKED,
        claims: &claims,
        refused_code: None,
        requests: std::slice::from_ref(&request),
        live: &[],
        changes: &[],
    };
    let lets_in = |now| matches!(decide(&snapshot, &facts(now)), Decision::Permitted(_));
    let lives = async |now| world.access.still_lives(&permit, &mut Basis::default(), now).await;
    assert!(lets_in(window.start) && lives(window.start).await.is_ok());
    let hours = SignedDuration::from_hours;
    for set in [window.start - hours(1), window.end, window.start + hours(24)] {
        assert!(!lets_in(set), "{set}");
        assert_eq!(lives(set).await.unwrap_err(), EndReason::TimeOver, "{set}");
    }
}

async fn what_is_kept_of_a_revocation_is_what_a_gate_of_before_reads_and_its_record_has_the_origin() {
    let world = world().await;
    let id = world.approved().await.id;
    let approver = user("approver");
    let from = by("approver");
    world.requests.revoke(id, Some(&approver), false, &from, text("enough")).await.unwrap();
    let kept = serde_json::to_value(world.requests.get(id).await.unwrap().state).unwrap();
    let mut fields: Vec<_> = kept.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["at", "by", "comment", "state"], "whoever reads it refuses all else");
    let records = world.records().await;
    let revoked = records.iter().find(|record| matches!(record.event, Event::RequestRevoked { .. }));
    assert_eq!(revoked.unwrap().origin, from.origin);
}

async fn nobody_votes_on_their_own_out_of_turn_twice_or_as_a_stranger() {
    let world = world().await;
    let id = world.requests.create(ops()).await.unwrap().id;
    let why = async |who: &str| match world.approve(id, who, Wish::default()).await {
        Err(RequestError::NoVote { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why("operator").await, NoVote::Own);
    assert_eq!(why("boss").await, NoVote::NotYet(1.try_into().unwrap()));
    let stranger = world.approve(id, "stranger", Wish::default()).await;
    assert!(matches!(stranger, Err(RequestError::Unknown(_))), "learns nothing: {stranger:?}");
    world.approve(id, "approver", Wish::default()).await.unwrap();
    assert_eq!(why("approver").await, NoVote::Already);
}

async fn a_rejected_request_is_over() {
    let world = world().await;
    let id = world.requests.create(ops()).await.unwrap().id;
    let rejected = world.requests.reject(id, &user("approver"), &by("approver"), text("no")).await.unwrap();
    assert!(matches!(rejected.state, RequestState::Rejected { .. }));
    let late = world.approve(id, "approver", Wish::default()).await;
    assert!(matches!(late, Err(RequestError::State { state: "rejected", .. })), "{late:?}");
    assert_eq!(world.steps().await, ["request-created", "request-rejected"]);
}

async fn a_second_request_for_the_same_is_refused_while_the_first_waits() {
    let world = world().await;
    let first = world.requests.create(ops()).await.unwrap();
    let second = world.requests.create(ops()).await;
    assert!(matches!(second, Err(RequestError::Waiting { id, .. }) if id == first.id), "{second:?}");
    world.requests.cancel(first.id, &user("operator"), &by("operator")).await.unwrap();
    assert!(world.requests.create(ops()).await.is_ok());
}

async fn what_needs_no_request_lacks_a_claim_or_is_refused_makes_none() {
    let world = world().await;
    let free = NewRequest { targets: vec!["free@db01".parse().unwrap()], ..ops() };
    assert!(matches!(world.requests.create(free).await, Err(RequestError::NotNeeded(_))));
    let silent = NewRequest { claims: Claims::default(), ..ops() };
    let error = world.requests.create(silent).await.unwrap_err().to_string();
    assert_eq!(error, "access group `dba` asks for more: a justification (--justification)");
    let stranger = NewRequest { user: user("stranger"), ..ops() };
    assert!(matches!(world.requests.create(stranger).await, Err(RequestError::Refused(_))));
    let past = Wish { start: Some(Timestamp::UNIX_EPOCH), duration: None };
    assert!(matches!(
        world.requests.create(NewRequest { wish: past, ..ops() }).await,
        Err(RequestError::Start)
    ));
    assert_eq!(world.steps().await, Vec::<String>::new());
}

async fn a_waiting_request_expires_by_itself_and_is_written_down_once() {
    let world = world().await;
    let made = world.requests.create(ops()).await.unwrap();
    assert_eq!(made.expires, Length::hours(24).after(made.created));
    let seen = world.requests.get_at(made.id, made.expires).await.unwrap();
    assert!(matches!(seen.state, RequestState::Expired { .. }));
    // A vote that comes too late, before that is written down and after.
    let (voter, by, all) = (user("approver"), by("approver"), Narrowed::default());
    let late = world.requests.vote_at(made.id, &voter, &by, Verdict::Approve, None, &all, made.expires);
    assert_eq!(late.await.unwrap_err().to_string(), "request 1 is expired already");
    assert_eq!(world.requests.expire(made.expires).await.unwrap(), 1);
    assert_eq!(world.requests.expire(made.expires).await.unwrap(), 0);
    let late = world.approve(made.id, "approver", Wish::default()).await;
    assert!(matches!(late, Err(RequestError::State { state: "expired", .. })), "{late:?}");
    let late = world.requests.reject(made.id, &voter, &by, None).await;
    assert!(matches!(late, Err(RequestError::State { state: "expired", .. })), "{late:?}");
    assert_eq!(world.steps().await, ["request-created", "request-expired"]);
}

async fn an_approver_may_shorten_and_move_the_window_but_not_lengthen_it() {
    let world = world().await;
    let wish = Wish { start: None, duration: Some("30m".parse().unwrap()) };
    let made = world.requests.create(NewRequest { wish, ..ops() }).await.unwrap();
    let longer = Wish { start: None, duration: Some("31m".parse().unwrap()) };
    assert!(matches!(world.approve(made.id, "approver", longer).await, Err(RequestError::Longer { .. })));
    let past = Wish { start: Some(Timestamp::UNIX_EPOCH), duration: None };
    let over = world.approve(made.id, "approver", past).await.unwrap_err().to_string();
    assert_eq!(over, "the start must lie in the future, at most a year ahead");
    let start = Length::hours(1).after(made.created);
    let moved = Wish { start: Some(start), duration: Some("10m".parse().unwrap()) };
    world.approve(made.id, "approver", moved).await.unwrap();
    let approved = world.approve(made.id, "boss", Wish::default()).await.unwrap();
    let window = Window::starting(start, Length::minutes(10));
    assert_eq!(approved.state, RequestState::Approved { window });
}

async fn a_request_revoked_in_use_ends_its_session_with_a_message() {
    let world = world().await;
    let request = world.approved().await;
    let permit = world.permit().await;
    assert!(world.access.still_permits(&permit).await.is_ok());
    let mut changed = world.access.changed();
    changed.mark_unchanged();
    world.requests.revoke(request.id, Some(&user("boss")), false, &by("boss"), text("stop")).await.unwrap();
    assert!(changed.has_changed().unwrap());
    let end = world.access.still_permits(&permit).await.unwrap_err();
    assert_eq!(end.to_string(), format!("request {} was revoked by boss: stop", request.id));
}

async fn approvers_and_administrators_revoke_and_others_may_not() {
    let world = world().await;
    let id = world.approved().await.id;
    let own = world.requests.revoke(id, Some(&user("operator")), false, &by("operator"), None).await;
    assert!(matches!(own, Err(RequestError::Cancel(_))), "{own:?}");
    let stranger = world.requests.revoke(id, Some(&user("stranger")), false, &by("stranger"), None).await;
    assert!(matches!(stranger, Err(RequestError::Unknown(_))), "{stranger:?}");
    assert!(world.requests.revoke(id, Some(&user("chief")), true, &by("chief"), None).await.is_ok());
}

async fn an_emergency_is_approved_at_once_and_marked() {
    let world = world().await;
    let mut new = ops();
    new.claims.emergency = text("database is down");
    let request = world.requests.create(new.clone()).await.unwrap();
    assert!(matches!(request.state, RequestState::Approved { .. }));
    assert!(world.permit().await.emergency());
    assert!(matches!(world.requests.create(new).await, Err(RequestError::Open { .. })), "one is enough");
}

async fn an_edited_group_ends_what_it_no_longer_gives() {
    let world = world().await;
    world.approved().await;
    let permit = world.permit().await;
    let edited = "[[access_group]]\nname = \"dba\"\nusers = [\"stranger\"]\ncriteria = { accounts = [\"ops\"] }\nsession = {}\n";
    world.apply(edited).await;
    assert_eq!(world.access.still_permits(&permit).await.unwrap_err(), EndReason::Withdrawn);
}

/// The emergency of operator, wanted for so long.
fn length(request: &Request) -> u64 {
    let RequestState::Approved { window } = request.state else { panic!("{request:?}") };
    u64::try_from(window.end.duration_since(window.start).as_secs()).unwrap()
}

/// The group with other terms of its sessions.
async fn edited(world: &World, session: &str, more: &str) {
    let group = RESOURCES.split("[[access_group]]").nth(1).unwrap();
    let was = "{ justification = true, emergency = true, approval = { needed = 1, levels = true } }";
    assert!(group.contains(was));
    let group = format!("[[access_group]]{}{more}\n", group.replace(was, session));
    world.apply(&group).await;
}

async fn no_request_opens_for_longer_than_its_groups_longest_session() {
    let world = world().await;
    let wish = |duration: &str| Wish { start: None, duration: Some(duration.parse().unwrap()) };
    let before = world.requests.create(NewRequest { wish: wish("12 months"), ..ops() }).await.unwrap();
    let session = "{ justification = true, approval = { needed = 1, levels = true } }";
    edited(&world, session, "conditions = { longest = \"45m\" }").await;
    // What was asked for before is shortened, what is asked for now is refused.
    world.approve(before.id, "approver", Wish::default()).await.unwrap();
    assert_eq!(length(&world.approve(before.id, "boss", Wish::default()).await.unwrap()), 45 * 60);
    world.requests.cancel(before.id, &user("operator"), &by("operator")).await.unwrap();
    let long = world.requests.create(NewRequest { wish: wish("46m"), ..ops() }).await.unwrap_err();
    assert_eq!(long.to_string(), "access group `dba` gives 45m at most; ask for no more");
    let open = world.approved().await;
    assert_eq!(length(&open), 45 * 60, "the window of the settings is an hour");
    // What is open already is bounded as soon as the group is.
    edited(&world, session, "conditions = { longest = \"10m\" }").await;
    assert_eq!(length(&world.requests.get(open.id).await.unwrap()), 10 * 60);
}

async fn a_request_is_for_a_minute_at_least_and_for_366_days_at_most() {
    let world = world().await;
    let asks = |duration: &str| {
        let wish = Wish { start: None, duration: Some(duration.parse().unwrap()) };
        world.requests.create(NewRequest { wish, ..ops() })
    };
    let told =
        "a request is for a minute at least and for 366 days at most; ask for a duration between these";
    for duration in ["5s", "59s", "3000d", "366d 1s", "13 months"] {
        assert_eq!(asks(duration).await.unwrap_err().to_string(), told, "{duration}");
    }
    for duration in ["1m", "60s", "366d", "12 months"] {
        let made = asks(duration).await.unwrap();
        world.requests.cancel(made.id, &user("operator"), &by("operator")).await.unwrap();
    }
}

async fn for_how_long_a_request_would_open_is_known_before_the_vote_and_is_what_the_vote_gives() {
    let world = world().await;
    let session = "{ justification = true, approval = { needed = 1, levels = true } }";
    let asks = |duration: Option<Length>| {
        let wish = Wish { start: None, duration };
        world.requests.create(NewRequest { wish, ..ops() })
    };
    let (hour, longest) = (Length::minutes(60), Length::minutes(45));
    let made = asks(Some(Length::minutes(120))).await.unwrap();
    assert_eq!(world.requests.would_open(&made), Some((Length::minutes(120), None)));
    edited(&world, session, "conditions = { longest = \"45m\" }").await;
    assert_eq!(world.requests.would_open(&made), Some((longest, Some(longest))));
    world.approve(made.id, "approver", Wish::default()).await.unwrap();
    let given = world.approve(made.id, "boss", Wish::default()).await.unwrap();
    assert_eq!(length(&given), 45 * 60);
    assert_eq!(world.requests.would_open(&given), None, "it is decided");
    world.requests.cancel(made.id, &user("operator"), &by("operator")).await.unwrap();
    let short = Length::minutes(30);
    let made = asks(Some(short)).await.unwrap();
    assert_eq!(world.requests.would_open(&made), Some((short, Some(longest))));
    world.requests.cancel(made.id, &user("operator"), &by("operator")).await.unwrap();
    edited(&world, session, "").await;
    assert_eq!(world.requests.would_open(&asks(None).await.unwrap()), Some((hour, None)));
}

async fn what_a_group_without_approval_asks_can_be_said_ahead_and_the_rules_approve_it() {
    let world = world().await;
    let (proved, target): (_, CredentialName) = (proved("operator"), "said@db01".parse().unwrap());
    let origin = "192.0.2.7".parse().unwrap();
    let knock = || async {
        let nothing = Claims::default();
        world.access.decide(&proved, &target, Action::Session, origin, &nothing).await.unwrap()
    };
    assert!(matches!(knock().await, Decision::Needs(needs) if needs.justification));
    let silent = NewRequest { targets: vec![target.clone()], claims: Claims::default(), ..ops() };
    let refused = world.requests.create(silent).await.unwrap_err();
    assert!(matches!(refused, RequestError::Missing(_)), "{refused}");
    let made = world.requests.create(NewRequest { targets: vec![target.clone()], ..ops() }).await.unwrap();
    let RequestState::Approved { window } = made.state else { panic!("{made:?}") };
    assert!(made.votes.is_empty() && !made.is_emergency());
    let Decision::Permitted(permit) = knock().await else { panic!("not permitted") };
    assert_eq!((permit.request(), permit.expires()), (Some(made.id), Some(window.end)));
    assert_eq!(permit.claims().justification, text("ticket 7"));
    // It rests on the request from then on, as it was not said otherwise.
    let next = world.access.still_permits(&permit).await.unwrap();
    assert_eq!((next.request(), next.expires()), (permit.request(), permit.expires()));
    world.requests.revoke(made.id, Some(&user("approver")), false, &by("approver"), None).await.unwrap();
    let ended = world.access.still_permits(&permit).await.unwrap_err();
    assert!(matches!(ended, EndReason::Revoked { .. }), "{ended}");
    assert!(matches!(knock().await, Decision::Needs(_)));
    let free = NewRequest { targets: vec!["free@db01".parse().unwrap()], ..ops() };
    assert!(matches!(world.requests.create(free).await, Err(RequestError::NotNeeded(_))));
}

on_both! {
    an_approved_window_opens_by_the_clock_as_it_is_set_and_by_no_other,
    a_request_approved_by_every_level_permits_a_session_within_its_window,
    what_is_kept_of_a_revocation_is_what_a_gate_of_before_reads_and_its_record_has_the_origin,
    nobody_votes_on_their_own_out_of_turn_twice_or_as_a_stranger,
    a_rejected_request_is_over,
    a_second_request_for_the_same_is_refused_while_the_first_waits,
    what_needs_no_request_lacks_a_claim_or_is_refused_makes_none,
    a_waiting_request_expires_by_itself_and_is_written_down_once,
    an_approver_may_shorten_and_move_the_window_but_not_lengthen_it,
    a_request_revoked_in_use_ends_its_session_with_a_message,
    approvers_and_administrators_revoke_and_others_may_not,
    an_emergency_is_approved_at_once_and_marked,
    an_edited_group_ends_what_it_no_longer_gives,
    no_request_opens_for_longer_than_its_groups_longest_session,
    what_a_group_without_approval_asks_can_be_said_ahead_and_the_rules_approve_it,
    a_request_is_for_a_minute_at_least_and_for_366_days_at_most,
    for_how_long_a_request_would_open_is_known_before_the_vote_and_is_what_the_vote_gives,
}
