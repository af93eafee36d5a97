//! Emergencies: their windows, and their review.

use super::*;
use crate::requests::create::MOST_PENDING;

on_both! {
    an_emergency_opens_now_and_for_no_longer_than_its_group_gives,
    an_emergency_of_before_that_was_open_for_years_is_over_with_its_groups_window,
    an_emergency_works_also_while_a_request_waits,
    an_emergency_is_reviewed_once_by_another_approver_and_nothing_comes_after,
    emergencies_without_end_wait_for_reviews_of_those_before,
}

fn urgent(duration: Option<&str>) -> NewRequest {
    let claims = Claims { emergency: text("database is down"), ..ops().claims };
    let duration = duration.map(|duration| duration.parse().unwrap());
    NewRequest { claims, wish: Wish { start: None, duration }, ..ops() }
}

async fn an_emergency_opens_now_and_for_no_longer_than_its_group_gives() {
    let approval = "approval = { needed = 1, levels = true }";
    let world = world().await;
    let take = async |duration: Option<&str>| {
        let made = world.requests.create(urgent(duration)).await.unwrap();
        world.requests.cancel(made.id, &user("operator"), &by("operator")).await.unwrap();
        length(&made)
    };
    assert_eq!(take(Some("120 months")).await, 3600);
    assert_eq!(take(None).await, 3600);
    assert_eq!(take(Some("5m")).await, 300);
    edited(&world, &format!("{{ emergency = true, emergency_window = \"20m\", {approval} }}"), "").await;
    assert_eq!(take(Some("30m")).await, 1200);
    assert_eq!(take(None).await, 1200);
    edited(&world, &format!("{{ emergency = true, {approval} }}"), "conditions = { longest = \"10m\" }")
        .await;
    assert_eq!(take(Some("30m")).await, 600);
    let later = Wish { start: Some(Length::hours(1).after(Timestamp::now())), duration: None };
    let later = world.requests.create(NewRequest { wish: later, ..urgent(None) }).await;
    assert!(matches!(later, Err(RequestError::EmergencyStart)), "{later:?}");
}

async fn an_emergency_of_before_that_was_open_for_years_is_over_with_its_groups_window() {
    let world = world().await;
    let mut old = world.requests.create(urgent(None)).await.unwrap();
    let permit = world.permit().await;
    assert!(permit.emergency());
    // As it was written down before there was a bound: made two hours ago, until 2036.
    let made = Timestamp::now() - std::time::Duration::from_secs(7200);
    old.state = RequestState::Approved { window: Window::starting(made, "120 months".parse().unwrap()) };
    let (_, was) = world.temporary.store.request_to_change(old.id).await.unwrap().unwrap();
    let written = crate::store::Store::request_changed(old.clone(), was);
    world.temporary.store.audit_append_all(Vec::new(), Some(written)).await.unwrap();
    assert_eq!(world.access.still_permits(&permit).await.unwrap_err(), EndReason::TimeOver);
    assert_eq!(length(&world.requests.get(old.id).await.unwrap()), 3600);
    let (proved, target) = (proved("operator"), ops().targets.remove(0));
    let origin = "192.0.2.7".parse().unwrap();
    let again = world.access.decide(&proved, &target, Action::Session, origin, &ops().claims).await.unwrap();
    assert!(matches!(again, Decision::Needs(_)), "{again:?}");
    assert!(world.requests.create(urgent(None)).await.is_ok(), "it is in nobody's way");
}

async fn an_emergency_works_also_while_a_request_waits() {
    let world = world().await;
    let waiting = world.requests.create(ops()).await.unwrap();
    let urgent = world.requests.create(urgent(None)).await.unwrap();
    assert_eq!(world.permit().await.request(), Some(urgent.id));
    assert_eq!(world.requests.get(waiting.id).await.unwrap().state, RequestState::Pending);
}

async fn an_emergency_is_reviewed_once_by_another_approver_and_nothing_comes_after() {
    let world = world().await;
    let ordinary = world.requests.create(ops()).await.unwrap();
    let made = world.requests.create(urgent(None)).await.unwrap();
    let review = async |id, who: &str| {
        let reviewed = world.requests.review(id, &user(who), who == "chief", &by(who), text("seen")).await;
        reviewed.map_err(|error| error.to_string())
    };
    let due = async || {
        let filter = RequestFilter { to_review: true, ..RequestFilter::default() };
        world.requests.list(&filter).await.unwrap().iter().map(|request| request.id).collect::<Vec<_>>()
    };
    assert_eq!(due().await, [made.id]);
    let no = |id, why: &str| Err(format!("request {id} takes no review of yours: {why}"));
    assert_eq!(review(ordinary.id, "boss").await, no(ordinary.id, "it is no emergency"));
    let own = "nobody reviews their own emergency; an approver of the access group does";
    assert_eq!(review(made.id, "operator").await, no(made.id, own));
    for who in ["stranger", "chief"] {
        assert!(review(made.id, who).await.unwrap_err().contains("no request"), "{who}");
    }
    let permit = world.permit().await;
    let session = crate::session::new_id();
    let now = Timestamp::now();
    world.temporary.store.session_begin(session, &permit, permit.origin().unwrap(), now).await.unwrap();
    let lives =
        format!("its session {session} lives; review it once that is over, or end it with `request revoke`");
    assert_eq!(review(made.id, "boss").await, no(made.id, &lives));
    world.temporary.store.session_end(session, tidegate_common::audit::EndCause::User, now).await.unwrap();

    let reviewed = review(made.id, "boss").await.unwrap();
    let seen = reviewed.review.clone().unwrap();
    assert_eq!((seen.by, seen.comment), (user("boss"), text("seen")));
    assert_eq!(world.requests.get(made.id).await.unwrap(), reviewed);
    assert_eq!(due().await, []);
    assert_eq!(review(made.id, "approver").await, no(made.id, "boss has reviewed it already"));
    assert_eq!(world.access.still_permits(&permit).await.unwrap_err(), EndReason::TimeOver);
    assert_eq!(world.steps().await, ["request-created", "request-created", "request-reviewed"]);
}

async fn emergencies_without_end_wait_for_reviews_of_those_before() {
    let world = world().await;
    let mut made = world.requests.create(urgent(None)).await.unwrap();
    let cancel = async |id| world.requests.cancel(id, &user("operator"), &by("operator")).await.unwrap();
    for _ in 1..MOST_PENDING {
        cancel(made.id).await;
        made = world.requests.create(urgent(None)).await.unwrap();
    }
    cancel(made.id).await;
    let many = world.requests.create(urgent(None)).await;
    assert!(matches!(many, Err(RequestError::Unreviewed)), "{many:?}");
    world.requests.review(made.id, &user("boss"), false, &by("boss"), None).await.unwrap();
    assert!(world.requests.create(urgent(None)).await.is_ok());
}
