//! More time for what is approved.

use super::*;

fn end(request: &Request) -> Timestamp {
    match request.state {
        RequestState::Approved { window } => window.end,
        ref other => panic!("not approved: {other:?}"),
    }
}

impl World {
    async fn more(&self, id: RequestId, who: &str, length: &str) -> Result<Request, RequestError> {
        let claims = Claims { justification: text("the copy takes longer"), ..Claims::default() };
        self.requests.extend(id, &user(who), &by(who), length.parse().unwrap(), claims).await
    }
}

async fn more_time_is_approved_as_the_first_was_and_the_live_session_goes_on_with_the_new_end() {
    let world = world().await;
    let first = world.approved().await;
    let permit = world.permit().await;
    assert_eq!(permit.expires(), Some(end(&first)));
    let asked = world.more(first.id, "operator", "2h").await.unwrap();
    assert_eq!((asked.extends, asked.state.clone()), (Some(first.id), RequestState::Pending));
    let twice = world.more(first.id, "operator", "3h").await.unwrap_err().to_string();
    assert_eq!(twice, "request 2 for ops@db01 waits already");
    let own = world.approve(asked.id, "operator", Wish::default()).await.unwrap_err().to_string();
    assert_eq!(own, "request 2 takes no vote of yours: nobody approves their own request");
    world.approve(asked.id, "approver", Wish::default()).await.unwrap();
    assert_eq!(end(&world.requests.get(first.id).await.unwrap()), end(&first), "one level is not enough");
    let moved = Wish { start: Some(moment()), duration: None };
    let moved = world.approve(asked.id, "boss", moved).await.unwrap_err().to_string();
    let sentence =
        "request 2 can't be extended: more time begins where the first ends; it may be shortened only";
    assert_eq!(moved, sentence);
    let shorter = Wish { start: None, duration: Some("90m".parse().unwrap()) };
    let given = world.approve(asked.id, "boss", shorter).await.unwrap();
    let until = end(&first).checked_add(jiff::Span::new().minutes(90)).unwrap();
    assert_eq!((end(&world.requests.get(first.id).await.unwrap()), end(&given)), (until, until));
    let permit = world.access.still_permits(&permit).await.unwrap();
    assert_eq!((permit.request(), permit.expires()), (Some(first.id), Some(until)));
    assert!(world.steps().await.ends_with(&["request-approved".to_owned(), "request-extended".to_owned()]));
    // What gave more time opens nothing itself, and is taken back with the first.
    let back = world.requests.cancel(given.id, &user("operator"), &by("operator")).await;
    let sentence = "request 2 has given request 1 more time; take that one back";
    assert_eq!(back.unwrap_err().to_string(), sentence);
    world.requests.revoke(first.id, Some(&user("boss")), false, &by("boss"), None).await.unwrap();
    assert!(matches!(world.access.still_permits(&permit).await, Err(EndReason::Revoked { .. })));
}

async fn more_time_is_only_for_what_is_open_and_its_requesters_own() {
    let world = world().await;
    let waits = world.requests.create(ops()).await.unwrap();
    let told = |done: Result<Request, RequestError>| done.unwrap_err().to_string();
    let only = "only an approved one can be, before it ends";
    let said = told(world.more(waits.id, "operator", "1h").await);
    assert_eq!(said, format!("request 1 can't be extended: it is pending; {only}"));
    let said = told(world.more(waits.id, "approver", "1h").await);
    assert_eq!(said, "request 1 is not yours to extend; its requester asks for more time");
    assert!(told(world.more(waits.id, "stranger", "1h").await).starts_with("there is no request 1"));
    world.approve(waits.id, "approver", Wish::default()).await.unwrap();
    world.approve(waits.id, "boss", Wish::default()).await.unwrap();
    let more = world.more(waits.id, "operator", "1h").await.unwrap();
    // It came to its end while more time was asked for.
    world.requests.revoke(waits.id, Some(&user("boss")), false, &by("boss"), None).await.unwrap();
    let late = told(world.approve(more.id, "approver", Wish::default()).await);
    assert_eq!(late, format!("request 1 can't be extended: it is revoked; {only}"));
    world.requests.reject(more.id, &user("approver"), &by("approver"), None).await.unwrap();
    let urgent = Claims { emergency: text("the shop is down"), ..ops().claims };
    let urgent = world.requests.create(NewRequest { claims: urgent, ..ops() }).await.unwrap();
    let said = told(world.more(urgent.id, "operator", "1h").await);
    assert!(said.contains("an emergency ends when its access group says"), "{said}");
}

async fn more_time_is_given_by_the_rules_where_nobody_approves_and_never_beyond_the_longest_session() {
    let world = world().await;
    let said = NewRequest { targets: vec!["said@db01".parse().unwrap()], ..ops() };
    let first = world.requests.create(said).await.unwrap();
    let given = world.more(first.id, "operator", "30m").await.unwrap();
    let until = end(&first).checked_add(jiff::Span::new().minutes(30)).unwrap();
    assert_eq!((end(&world.requests.get(first.id).await.unwrap()), end(&given)), (until, until));
    let chained = world.more(given.id, "operator", "30m").await.unwrap_err().to_string();
    assert!(chained.ends_with("it has given request 1 more time; extend that one"), "{chained}");
    let endless = world.more(first.id, "operator", "366d").await.unwrap_err().to_string();
    let told = "request 1 can't be extended: with so much more it would last longer than 366 days; make another request";
    assert_eq!(endless, told);
    let bounded = "[[access_group]]\nname = \"said\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                   criteria = { accounts = [\"said\"] }\nconditions = { longest = \"2h\" }\n\
                   session = { justification = true }\n";
    world.apply(bounded).await;
    let long = world.more(first.id, "operator", "45m").await.unwrap_err().to_string();
    assert_eq!(long, "access group `said` gives 2h at most; ask for no more");
}

async fn more_time_that_people_gave_to_what_the_rules_approved_opens_sessions_for_that_time() {
    let world = world().await;
    let target: CredentialName = "said@db01".parse().unwrap();
    let first = NewRequest { targets: vec![target.clone()], ..ops() };
    let first = world.requests.create(first).await.unwrap().id;
    let decide = async || {
        let (proved, origin) = (proved("operator"), "192.0.2.7".parse().unwrap());
        world.access.decide(&proved, &target, Action::Session, origin, &ops().claims).await.unwrap()
    };
    // From now on somebody has to approve it.
    let asks = "[[access_group]]\nname = \"said\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                criteria = { accounts = [\"said\"] }\n\
                session = { justification = true, approval = { needed = 1 } }\n";
    world.apply(asks).await;
    let more = world.more(first, "operator", "1h").await.unwrap();
    assert_eq!(more.state, RequestState::Pending);
    let more = world.approve(more.id, "approver", Wish::default()).await.unwrap().id;
    let before = decide().await;
    assert!(matches!(before, Decision::Needs(_)), "the first hour is not what was approved: {before:?}");
    // As if the first hour were over.
    for id in [first, more] {
        let (mut request, was) = world.store.request_to_change(id).await.unwrap().unwrap();
        let RequestState::Approved { window } = request.state else { panic!("{request:?}") };
        let earlier = |at: Timestamp| at.checked_sub(jiff::Span::new().minutes(61)).unwrap();
        let window = Window { start: earlier(window.start), end: earlier(window.end) };
        request.state = RequestState::Approved { window };
        let written = crate::store::Store::request_changed(request, was);
        world.store.audit_append_all(Vec::new(), Some(written)).await.unwrap();
    }
    let until = end(&world.requests.get(first).await.unwrap());
    assert_eq!(until, end(&world.requests.get(more).await.unwrap()));
    let permit = match decide().await {
        Decision::Permitted(permit) => permit,
        other => panic!("not permitted: {other:?}"),
    };
    assert_eq!((permit.request(), permit.expires()), (Some(first), Some(until)));
    let permit = world.access.still_permits(&permit).await.unwrap();
    assert_eq!((permit.request(), permit.expires()), (Some(first), Some(until)));
    world.requests.revoke(first, Some(&user("approver")), false, &by("approver"), None).await.unwrap();
    assert!(matches!(world.access.still_permits(&permit).await, Err(EndReason::Revoked { .. })));
}

async fn two_last_approvals_in_one_instant_give_more_time_once() {
    let world = world().await;
    let first = world.approved().await;
    let asked = world.more(first.id, "operator", "1h").await.unwrap();
    world.approve(asked.id, "approver", Wish::default()).await.unwrap();
    let vote = || world.approve(asked.id, "boss", Wish::default());
    let (one, other) = tokio::join!(vote(), vote());
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let until = end(&first).checked_add(jiff::Span::new().hours(1)).unwrap();
    assert_eq!(end(&world.requests.get(first.id).await.unwrap()), until);
}

on_both! {
    more_time_is_approved_as_the_first_was_and_the_live_session_goes_on_with_the_new_end,
    more_time_is_only_for_what_is_open_and_its_requesters_own,
    more_time_is_given_by_the_rules_where_nobody_approves_and_never_beyond_the_longest_session,
    more_time_that_people_gave_to_what_the_rules_approved_opens_sessions_for_that_time,
    two_last_approvals_in_one_instant_give_more_time_once,
}
