use super::*;

#[test]
fn an_approved_request_in_its_window_permits_until_the_window_ends() {
    let snapshot = group(ALL, APPROVED);
    let permit = permit(ask("ops@db01").with(approved()).of(&snapshot));
    assert_eq!(permit.request(), Some(RequestId(7)));
    assert_eq!(permit.expires(), Some(after(60)));
    assert_eq!(permit.claims().justification, approved().claims.justification);
}

#[test]
fn a_request_that_differs_in_one_fact_does_not_count() {
    let snapshot = group(ALL, APPROVED);
    let different: [fn(&mut Request); 9] = [
        |request| request.user = "other".parse().unwrap(),
        |request| request.targets = vec!["ops@web01".parse().unwrap()],
        |request| request.extends = Some(RequestId(3)),
        |request| request.action = Action::ViewPassword,
        |request| request.group = "others".parse().unwrap(),
        |request| request.state = RequestState::Pending,
        |request| request.state = RequestState::Rejected { at: noon() },
        |request| request.state = RequestState::Revoked { at: noon(), by: "boss".to_owned(), comment: None },
        |request| {
            request.state = RequestState::Approved { window: Window { start: after(5), end: after(60) } }
        },
    ];
    for change in different {
        let mut request = approved();
        change(&mut request);
        assert!(needs(ask("ops@db01").with(request).of(&snapshot)).approval.is_some());
    }
    let _ = permit(ask("ops@db01").with(approved()).of(&snapshot));
    assert!(needs(ask("ops@db01").with(approved()).at(after(60)).of(&snapshot)).approval.is_some());
}

#[test]
fn a_waiting_request_and_a_later_window_are_told() {
    let snapshot = group(ALL, APPROVED);
    let waiting = needs(ask("ops@db01").with(request(RequestState::Pending)).of(&snapshot)).approval.unwrap();
    assert_eq!(waiting.waiting, Some(RequestId(7)));
    let later = request(RequestState::Approved { window: Window { start: after(5), end: after(60) } });
    let held = needs(ask("ops@db01").with(later).of(&snapshot)).held;
    assert_eq!(held, Some((RequestId(7), Held::Later { start: after(5) })));
    let expired = ask("ops@db01").with(request(RequestState::Pending)).at(after(24 * 60));
    assert_eq!(needs(expired.of(&snapshot)).approval.unwrap().waiting, None);
}

#[test]
fn an_emergency_counts_only_where_the_group_allows_it() {
    let mut request = approved();
    request.claims.emergency = Some("database is down".parse().unwrap());
    let allowed = APPROVED.replace("session = {", "session = { emergency = true,");
    let permit = permit(ask("ops@db01").with(request.clone()).of(&group(ALL, &allowed)));
    assert!(permit.emergency());
    assert!(needs(ask("ops@db01").with(request).of(&group(ALL, APPROVED))).approval.is_some());
}

fn levels() -> Snapshot {
    group(
        ALL,
        "approvers = [\"approver\", \"second\", { user = \"boss\", level = 2 }]\n\
         session = { approval = { needed = 1, levels = true } }",
    )
}

fn counted(snapshot: &Snapshot, votes: Vec<Vote>) -> Tally {
    let group = snapshot.group(&"dba".parse().unwrap()).unwrap();
    tally(snapshot, group, &Request { votes, ..request(RequestState::Pending) })
}

fn may(snapshot: &Snapshot, votes: Vec<Vote>, voter: &str) -> Result<u8, NoVote> {
    let group = snapshot.group(&"dba".parse().unwrap()).unwrap();
    let request = Request { votes, ..request(RequestState::Pending) };
    let ballot = ballot(snapshot, group, &request, &voter.parse().unwrap(), noon());
    ballot.map(|ballot| u8::from(ballot.level))
}

#[test]
fn levels_approve_one_after_the_other() {
    let snapshot = levels();
    let first = vote("approver", 1, Verdict::Approve);
    assert_eq!(may(&snapshot, vec![], "boss"), Err(NoVote::NotYet(1.try_into().unwrap())));
    assert_eq!(may(&snapshot, vec![], "approver"), Ok(1));
    assert_eq!(may(&snapshot, vec![first.clone()], "second"), Err(NoVote::Past(2.try_into().unwrap())));
    assert_eq!(may(&snapshot, vec![first.clone()], "boss"), Ok(2));
    let waiting = Tally::Waiting { level: Some(2.try_into().unwrap()), have: 0, need: 1 };
    assert_eq!(counted(&snapshot, vec![first.clone()]), waiting);
    assert_eq!(counted(&snapshot, vec![first, vote("boss", 2, Verdict::Approve)]), Tally::Approved);
}

#[test]
fn a_rejection_at_any_level_ends_it() {
    let votes = vec![vote("approver", 1, Verdict::Approve), vote("boss", 2, Verdict::Reject)];
    assert_eq!(counted(&levels(), votes), Tally::Rejected);
}

#[test]
fn nobody_approves_their_own_request_and_nobody_votes_twice() {
    let snapshot = group(
        ALL,
        "approvers = [\"operator\", \"approver\", \"second\"]\nsession = { approval = { needed = 2 } }",
    );
    assert_eq!(may(&snapshot, vec![], "operator"), Err(NoVote::Own));
    assert_eq!(may(&snapshot, vec![], "other"), Err(NoVote::Stranger));
    let yes = vote("approver", 1, Verdict::Approve);
    assert_eq!(may(&snapshot, vec![yes.clone()], "approver"), Err(NoVote::Already));
    let waiting = Tally::Waiting { level: None, have: 1, need: 2 };
    assert_eq!(counted(&snapshot, vec![yes.clone(), yes.clone()]), waiting);
    assert_eq!(counted(&snapshot, vec![yes.clone(), vote("operator", 1, Verdict::Approve)]), waiting);
    assert_eq!(counted(&snapshot, vec![yes.clone(), vote("boss", 1, Verdict::Approve)]), waiting);
    assert_eq!(counted(&snapshot, vec![yes, vote("second", 1, Verdict::Approve)]), Tally::Approved);
}

#[test]
fn as_many_rejections_as_the_group_says_end_it() {
    let snapshot =
        group(ALL, "approvers = [\"approver\", \"second\"]\nsession = { approval = { rejections = 2 } }");
    let no = vote("approver", 1, Verdict::Reject);
    assert!(matches!(counted(&snapshot, vec![no.clone()]), Tally::Waiting { .. }));
    assert_eq!(counted(&snapshot, vec![no, vote("second", 1, Verdict::Reject)]), Tally::Rejected);
}

fn again(
    snapshot: &Snapshot,
    permit: &Permit,
    now: Timestamp,
    requests: &[Request],
) -> Result<Permit, EndReason> {
    recheck(snapshot, permit, now, Coming::ASKED, requests, &[])
}

#[test]
fn a_live_permit_holds_until_something_it_rests_on_goes() {
    let snapshot = group(ALL, APPROVED);
    let given = permit(ask("ops@db01").with(approved()).of(&snapshot));
    assert!(again(&snapshot, &given, after(1), &[approved()]).is_ok());
    assert_eq!(again(&snapshot, &given, after(60), &[approved()]).unwrap_err(), EndReason::TimeOver);

    let revoked = request(RequestState::Revoked { at: after(1), by: "boss".to_owned(), comment: None });
    let end = again(&snapshot, &given, after(1), &[revoked]).unwrap_err();
    assert_eq!(end.to_string(), "request 7 was revoked by boss");
    assert_eq!(again(&snapshot, &given, after(1), &[]).unwrap_err(), EndReason::RequestGone(RequestId(7)));

    let without = world("");
    assert_eq!(again(&without, &given, after(1), &[approved()]).unwrap_err(), EndReason::Withdrawn);
    let elsewhere = group("devices = [\"web*\"]", APPROVED);
    assert_eq!(again(&elsewhere, &given, after(1), &[approved()]).unwrap_err(), EndReason::Withdrawn);
}

#[test]
fn a_window_that_is_shortened_shortens_the_permit() {
    let snapshot = group(ALL, APPROVED);
    let given = permit(ask("ops@db01").with(approved()).of(&snapshot));
    let shorter = request(RequestState::Approved { window: Window { start: noon(), end: after(10) } });
    assert_eq!(again(&snapshot, &given, after(1), &[shorter]).unwrap().expires(), Some(after(10)));
}

#[test]
fn a_group_that_comes_to_ask_for_approval_ends_what_had_none() {
    let given = permit(ask("ops@db01").of(&group(ALL, FREE)));
    let end = again(&group(ALL, APPROVED), &given, after(1), &[]).unwrap_err();
    assert_eq!(end, EndReason::MoreNeeded("dba".parse().unwrap()));
    assert!(again(&group(ALL, FREE), &given, after(1), &[]).is_ok());
}

#[test]
fn a_reason_that_is_registered_meanwhile_ends_nothing_and_is_asked_of_the_next() {
    let justified = "session = { justification = true }";
    let claims = Claims { justification: Some("ticket 7".parse().unwrap()), ..Claims::default() };
    let given = permit(ask("ops@db01").claiming(claims.clone()).of(&group(ALL, justified)));
    let registered = world(&format!(
        "[[reason]]\nname = \"incident\"\n[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\n\
         criteria = {{ {ALL} }}\n{justified}\n"
    ));
    assert!(again(&registered, &given, after(1), &[]).is_ok());
    assert_eq!(needs(ask("ops@db01").claiming(claims).of(&registered)).reasons.len(), 1);
}

#[test]
fn the_longest_session_counts_from_its_start() {
    let snapshot = group(ALL, "session = {}\nconditions = { longest = \"1h\" }");
    let given = permit(ask("ops@db01").of(&snapshot));
    assert_eq!(again(&snapshot, &given, after(59), &[]).unwrap().expires(), Some(after(60)));
    assert_eq!(again(&snapshot, &given, after(60), &[]).unwrap_err(), EndReason::TimeOver);
}

#[test]
fn a_changed_credential_ends_sessions_that_were_granted_the_old_one() {
    let snapshot = group(ALL, FREE);
    let given = permit(ask("ops@db01").of(&snapshot));
    let text = format!(
        "{PEOPLE}[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{FREE}\n"
    );
    let other = text.replace("privileges = [{ kind = \"sudo\" }]", "");
    let other = Snapshot::new(&Resources::read(&other).unwrap()).unwrap();
    assert!(matches!(again(&other, &given, after(1), &[]), Err(EndReason::Changed(_))));
    assert!(again(&snapshot, &given, after(1), &[]).is_ok());
}

proptest::proptest! {
    /// Whatever is written down as votes: enough distinct approvers other than the
    /// requester said yes in each level, or the request is not approved.
    #[test]
    fn only_enough_distinct_approvers_in_each_level_approve(
        votes in proptest::collection::vec((0usize..5, 1u8..=3, proptest::bool::ANY), 0..8),
        needed in 1u8..=2,
        levels: bool,
    ) {
        let names = ["operator", "other", "approver", "second", "boss"];
        let text = format!(
            "approvers = [\"approver\", \"second\", {{ user = \"boss\", level = 2 }}, {{ user = \"other\", level = 2 }}]\n\
             session = {{ approval = {{ needed = {needed}, levels = {levels} }} }}"
        );
        let snapshot = group(ALL, &text);
        let cast: Vec<_> = votes
            .iter()
            .map(|(who, level, yes)| vote(names[*who], *level, if *yes { Verdict::Approve } else { Verdict::Reject }))
            .collect();
        if counted(&snapshot, cast.clone()) == Tally::Approved {
            let yes = |level: Option<u8>| {
                let valid = cast.iter().filter(|vote| vote.verdict == Verdict::Approve);
                let valid = valid.filter(|vote| vote.by.as_str() != "operator");
                let valid = valid.filter(|vote| level.is_none_or(|level| u8::from(vote.level) == level));
                valid.map(|vote| vote.by.clone()).collect::<std::collections::HashSet<_>>().len()
            };
            let wanted: &[Option<u8>] = if levels { &[Some(1), Some(2)] } else { &[None] };
            for level in wanted {
                proptest::prop_assert!(yes(*level) >= usize::from(needed));
            }
        }
    }

    /// A permit is only for a user who is listed, a credential that matches, a moment
    /// that is open, and an approval that covers it.
    #[test]
    fn a_permit_needs_every_fact(
        listed: bool, matches: bool, open: bool, approved_now: bool, same_target: bool, justified: bool,
    ) {
        let snapshot = world(&format!(
            "[[access_group]]\nname = \"dba\"\nusers = [\"{}\"]\napprovers = [\"approver\"]\n\
             criteria = {{ devices = [\"{}\"] }}\nlimitation = {{ slots = [\"{}\"] }}\n\
             session = {{ justification = true, approval = {{ needed = 1 }} }}\n",
            if listed { "operator" } else { "other" },
            if matches { "db*" } else { "web*" },
            if open { "12:00-13:00" } else { "13:00-14:00" },
        ));
        let mut request = if approved_now { approved() } else { request(RequestState::Pending) };
        if !same_target {
            request.targets = vec!["adm-operator@db01".parse().unwrap()];
        }
        if !justified {
            request.claims = Claims::default();
        }
        let decision = ask("ops@db01").with(request).of(&snapshot);
        let permitted = matches!(decision, Decision::Permitted(_));
        proptest::prop_assert_eq!(permitted, listed && matches && open && approved_now && same_target && justified);
    }
}

#[test]
fn what_the_rules_alone_approved_counts_no_more_once_somebody_has_to() {
    let by_rules = Request { votes: Vec::new(), ..approved() };
    let terms = "session = { justification = true }";
    let permit = permit(ask("ops@db01").with(by_rules.clone()).of(&group(ALL, terms)));
    assert_eq!(permit.request(), Some(RequestId(7)));
    let needs = needs(ask("ops@db01").with(by_rules).of(&group(ALL, APPROVED)));
    assert_eq!(needs.approval.unwrap().waiting, None);
}

/// What the rules alone approved for an hour, and an hour more that somebody approved.
fn more_time() -> [Request; 2] {
    let window = Window { start: noon(), end: after(120) };
    let first = Request { votes: Vec::new(), ..request(RequestState::Approved { window }) };
    let more = request(RequestState::Approved { window: Window { start: after(60), end: after(120) } });
    [first, Request { id: RequestId(8), extends: Some(RequestId(7)), ..more }]
}

/// What is decided on these, so many minutes after noon.
fn decided(minutes: i64, requests: &[Request]) -> Decision {
    let ask = Ask { requests: requests.to_vec(), ..ask("ops@db01") };
    ask.at(after(minutes)).of(&group(ALL, APPROVED))
}

#[test]
fn more_time_that_people_approved_counts_as_approved_where_the_rules_alone_approved_the_first() {
    let (snapshot, both) = (group(ALL, APPROVED), more_time());
    let given = permit(decided(60, &both));
    assert_eq!((given.request(), given.expires()), (Some(RequestId(7)), Some(after(120))));
    let goes_on = again(&snapshot, &given, after(119), &both).unwrap();
    assert_eq!((goes_on.request(), goes_on.expires()), (Some(RequestId(7)), Some(after(120))));
    assert_eq!(again(&snapshot, &given, after(120), &both).unwrap_err(), EndReason::TimeOver);
    // The first hour is the rules' as it was, and without the second nobody approved anything.
    assert_eq!(needs(decided(59, &both)).held, None);
    assert!(needs(decided(59, &both)).approval.is_some() && needs(decided(120, &both)).approval.is_some());
    let end = again(&snapshot, &given, after(90), &both[..1]).unwrap_err();
    assert_eq!(end, EndReason::MoreNeeded("dba".parse().unwrap()));
    // All of it goes with the first.
    let state = RequestState::Revoked { at: after(61), by: "boss".to_owned(), comment: None };
    let revoked = [Request { state, ..both[0].clone() }, both[1].clone()];
    assert!(needs(decided(61, &revoked)).approval.is_some());
    assert!(matches!(again(&snapshot, &given, after(61), &revoked), Err(EndReason::Revoked { .. })));
}

#[test]
fn more_time_that_differs_in_one_fact_approves_nothing_of_the_first() {
    let different: [fn(&mut Request); 8] = [
        |more| more.user = "other".parse().unwrap(),
        |more| more.targets = vec!["ops@web01".parse().unwrap()],
        |more| more.extends = Some(RequestId(3)),
        |more| more.action = Action::ViewPassword,
        |more| more.group = "others".parse().unwrap(),
        |more| more.state = RequestState::Pending,
        |more| more.votes = Vec::new(),
        |more| more.votes = vec![vote("approver", 1, Verdict::Reject)],
    ];
    for change in different {
        let [first, mut more] = more_time();
        change(&mut more);
        assert!(needs(decided(60, &[first, more])).approval.is_some());
    }
    let _ = permit(decided(60, &more_time()));
}

#[test]
fn a_session_ends_with_the_time_that_people_approved_also_where_the_rules_gave_more() {
    let [first, more] = more_time();
    let whole = Window { start: noon(), end: after(180) };
    let first = Request { state: RequestState::Approved { window: whole }, ..first };
    let last = Window { start: after(120), end: after(180) };
    let last = Request { id: RequestId(9), state: RequestState::Approved { window: last }, ..more.clone() };
    let by_rules = [first.clone(), more.clone(), Request { votes: Vec::new(), ..last.clone() }];
    let given = permit(decided(60, &by_rules));
    assert_eq!(given.expires(), Some(after(120)));
    assert!(needs(decided(120, &by_rules)).approval.is_some());
    let end = again(&group(ALL, APPROVED), &given, after(120), &by_rules).unwrap_err();
    assert_eq!(end, EndReason::TimeOver);
    // Where people approved that as well, one follows the other.
    let by_people = [first, more, last];
    assert_eq!(permit(decided(60, &by_people)).expires(), Some(after(180)));
    let longer = again(&group(ALL, APPROVED), &given, after(100), &by_people).unwrap();
    assert_eq!(longer.expires(), Some(after(180)));
}

#[test]
fn of_two_that_are_open_the_one_that_says_what_is_asked_is_rested_on() {
    let silent = Request { id: RequestId(8), claims: Claims::default(), ..approved() };
    let window = Window { start: noon(), end: after(120) };
    let silent = Request { state: RequestState::Approved { window }, ..silent };
    let mut facts = ask("ops@db01").with(approved());
    facts.requests.push(silent);
    assert_eq!(permit(facts.of(&group(ALL, APPROVED))).request(), Some(RequestId(7)));
}

#[test]
fn what_the_rules_alone_approved_for_later_holds_nobody_back_who_needs_an_approval_now() {
    let later = request(RequestState::Approved { window: Window { start: after(5), end: after(60) } });
    let by_rules = Request { votes: Vec::new(), ..later };
    assert_eq!(needs(ask("ops@db01").with(by_rules).of(&group(ALL, APPROVED))).held, None);
}
