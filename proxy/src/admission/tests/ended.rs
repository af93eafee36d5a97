//! Waits that end without an approval, and approvals that do not open.

use super::*;
use crate::access::By;

/// What somebody who waits reads once this is done.
async fn waited<T>(world: &World, done: impl AsyncFnOnce(RequestId) -> T) -> (RequestId, String) {
    let (mut conversation, request) = world.waiting("calm@db01").await;
    let (_, step) = tokio::join!(done(request), conversation.answer(""));
    (request, refused(step.unwrap()))
}

#[tokio::test]
async fn a_request_that_is_cancelled_ends_the_wait() {
    let world = World::new().await;
    let requests = &world.base.requests;
    let cancel = async |id: RequestId| requests.cancel(id, &user("operator"), &by("operator")).await.unwrap();
    let (request, sentence) = waited(&world, cancel).await;
    assert_eq!(sentence, format!("request {request} was cancelled"));
}

#[tokio::test]
async fn a_request_that_is_revoked_ends_the_wait() {
    let world = World::new().await;
    let requests = &world.base.requests;
    let revoke = async |id: RequestId| requests.revoke(id, None, true, &By::proxy(), None).await.unwrap();
    let (request, sentence) = waited(&world, revoke).await;
    assert_eq!(sentence, format!("request {request} was revoked"));
}

#[tokio::test]
async fn a_request_that_nobody_decides_on_in_time_ends_the_wait() {
    let world = World::new().await;
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(25);
    let expire = async |_: RequestId| assert_eq!(world.base.requests.expire(later).await.unwrap(), 1);
    let (request, sentence) = waited(&world, expire).await;
    assert_eq!(sentence, format!("request {request} was expired"));
}

#[tokio::test]
async fn an_approval_whose_sessions_are_used_up_says_so() {
    let world = World::new().await;
    let limits = Limits { sessions: Some(1), ..Limits::default() };
    let request = world.base.requests.create(ahead("calm@db01", Wish::default(), limits)).await.unwrap().id;
    world.votes("approver", request, true).await;
    let permit = admitted(world.begin("calm@db01").await.1);
    assert_eq!(permit.request(), Some(request));
    world.begins(&permit).await;
    let sentence = refused(world.begin("calm@db01").await.1);
    assert_eq!(
        sentence,
        format!(
            "request {request} is approved, but its 1 session is used up; `request create` asks for more"
        )
    );
}

#[tokio::test]
async fn an_approval_for_another_day_says_for_which() {
    let world = World::new().await;
    // It comes within the week that is asked for.
    let in_three_days = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(72);
    let day = in_three_days.strftime("%a").to_string().to_lowercase();
    let limits = Limits {
        weekdays: vec![day.parse().unwrap()],
        zone: Some("UTC".parse().unwrap()),
        ..Limits::default()
    };
    let wish = Wish { start: None, duration: Some("7d".parse().unwrap()) };
    let request = world.base.requests.create(ahead("calm@db01", wish, limits)).await.unwrap().id;
    world.votes("approver", request, true).await;
    let sentence = refused(world.begin("calm@db01").await.1);
    let begins = format!("request {request} is approved, but is only for {day} (UTC); come again at ");
    assert!(sentence.starts_with(&begins), "{sentence}");
}

#[tokio::test]
async fn who_has_no_terminal_reads_what_holds_the_request_back_that_was_made_ahead() {
    let world = World::new().await;
    let mut new = ahead("said@db01", Wish::default(), Limits { sessions: Some(1), ..Limits::default() });
    new.claims.justification = Some("ticket 7".parse().unwrap());
    let request = world.base.requests.create(new).await.unwrap().id;
    let permit = admitted(world.begin("said@db01").await.1);
    assert_eq!(permit.request(), Some(request));
    world.begins(&permit).await;
    let (mut conversation, step) = world.begin("said@db01").await;
    assert!(matches!(asks(step).question, Question::Justification { .. }));
    for _ in 1..MOST_EMPTY {
        asks(conversation.answer("").await.unwrap());
    }
    let sentence = refused(conversation.answer("").await.unwrap());
    let held = format!("request {request} is approved, but its 1 session is used up");
    assert!(sentence.starts_with(&held), "{sentence}");
}

#[tokio::test]
async fn a_request_that_is_one_too_many_is_refused_in_its_own_words() {
    let world = World::new().await;
    let names: Vec<String> = (0..100).map(|number| format!("c{number}@db01")).collect();
    let credentials = names.iter().map(|name| format!("[[credential]]\nname = \"{name}\"\n"));
    let group = "[[access_group]]\nname = \"many\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                 criteria = { accounts = [\"c*\"] }\nsession = { approval = { needed = 1 } }\n";
    world.base.apply(&(credentials.collect::<String>() + group)).await;
    for name in &names {
        world.base.requests.create(ahead(name, Wish::default(), Limits::default())).await.unwrap();
    }
    let sentence = refused(world.begin("levels@db01").await.1);
    assert_eq!(sentence, "too many of your requests wait already; cancel some with `request cancel`");
}

#[tokio::test]
async fn where_policy_cannot_be_asked_nobody_is_let_in() {
    let world = World::new().await;
    world.base.store.clone().close().await.unwrap();
    let sentence = refused(world.begin("calm@db01").await.1);
    assert!(sentence.starts_with("policy can't be asked now ("), "{sentence}");
    assert!(sentence.ends_with("; try again"), "{sentence}");
}
