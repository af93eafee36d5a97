use tidegate_common::audit::Note;
use tidegate_common::notice::Notice;

use super::*;
use crate::store::testing::{Said, Temporary, gate, on_both};

fn told(user: &str, by: &str) -> Notification {
    let (recipient, notice) = (Recipient::User(user.parse().unwrap()), Notice::Test { by: Note::new(by) });
    Notification { recipient, channel: Channel::Mail, notice, secret: None }
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

async fn put(store: &Store, told: Vec<Notification>) {
    let told = told.into_iter().map(|one| (one, moment(0))).collect();
    store.audit_append_all(Vec::new(), with_notifications(None, told)).await.unwrap();
}

async fn claim(store: &Store, most: u64, now: Timestamp) -> Vec<Claimed> {
    let until = now + SignedDuration::from_secs(60);
    store.notifications_claim(Channel::Mail, most, now, until).await.unwrap().rows
}

fn ids(claimed: &[Claimed]) -> Vec<u64> {
    claimed.iter().map(|one| one.row.id.0).collect()
}

async fn the_step_and_what_people_are_told_of_it_are_there_together_or_not_at_all() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    let refused = Step::new(|_| Box::pin(async { Err(StoreError::Changed) }));
    let step = with_notifications(Some(refused), vec![(told("operator", "olga"), moment(0))]).unwrap();
    assert!(!store.takes(step).await);
    assert_eq!(store.notifications(&NotificationFilter::default()).await.unwrap(), []);
    put(store, vec![told("operator", "olga")]).await;
    let listed = store.notifications(&NotificationFilter::default()).await.unwrap();
    assert_eq!((listed.len(), listed[0].state, listed[0].attempts), (1, NotificationState::Waiting, 0));
    assert_eq!(listed[0].expires, moment(24 * 3600));
}

async fn what_is_claimed_is_one_gate_s_until_the_claim_expires() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    put(store, vec![told("operator", "a"), told("approver", "b"), told("boss", "c")]).await;
    let first = claim(store, 2, moment(0)).await;
    let second = claim(store, 2, moment(1)).await;
    assert_eq!((ids(&first), ids(&second)), (vec![1, 2], vec![3]));
    assert_eq!(claim(store, 9, moment(59)).await, []);
    // The gate that had the first two died.
    let again = claim(store, 9, moment(60)).await;
    assert_eq!(ids(&again), [1, 2]);
    assert_eq!(again[0].row.attempts, 2);
    // It was only slow: its word no longer counts.
    let settle = |claimed: &Claimed, tried| vec![(claimed.row.id, claimed.claim, tried)];
    store.notifications_settle(settle(&first[0], Tried::Sent), moment(61)).await.unwrap();
    let state = |id| async move { store.notification(NotificationId(id)).await.unwrap().unwrap().state };
    assert_eq!(state(1).await, NotificationState::Waiting);
    store.notifications_settle(settle(&again[0], Tried::Sent), moment(61)).await.unwrap();
    assert_eq!(state(1).await, NotificationState::Sent);
}

async fn a_clock_that_was_set_back_holds_up_no_message_for_long() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    let hour = 3600;
    put(store, vec![told("operator", "a"), told("operator", "b")]).await;
    let ends = moment(24 * hour);
    let soon = Notice::EndsSoon {
        what: tidegate_common::notice::Ending::Window,
        name: Note::new("7"),
        user: "operator".parse().unwrap(),
        ends,
        from: moment(23 * hour),
    };
    put(store, vec![Notification { notice: soon, ..told("operator", "c") }]).await;
    // One of them is under way when the clock is set back, and is not sent by anybody else.
    assert_eq!(ids(&claim(store, 1, moment(0)).await), [1]);
    let back = claim(store, 9, moment(-hour)).await;
    assert_eq!(ids(&back), [2], "what waits for its moment still does");
    // It could not be sent, and the clock is set back once more, by a day.
    let again = Tried::Again(moment(-hour + 20), Note::new("nobody answers"));
    let settled = vec![(back[0].row.id, back[0].claim, again)];
    store.notifications_settle(settled, moment(-hour)).await.unwrap();
    assert_eq!(claim(store, 9, moment(-hour)).await, [], "it pauses");
    assert_eq!(ids(&claim(store, 9, moment(-25 * hour)).await), [1, 2]);
    put(store, vec![told("operator", "d")]).await;
    let behind = claim(store, 9, moment(-30)).await;
    assert_eq!(ids(&behind), [1, 2], "another gate's clock may be a little behind");
    // A clock that was set ahead sends what waited for its moment.
    assert_eq!(ids(&claim(store, 9, moment(23 * hour)).await), [1, 2, 3, 4]);
}

async fn of_gates_that_claim_at_the_same_moment_each_has_its_own() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    put(store, (0..40).map(|number| told("operator", &number.to_string())).collect()).await;
    let other = match crate::store::testing::on() {
        crate::store::testing::On::Sqlite => store.clone(),
        crate::store::testing::On::Postgres => Store::open(&temporary.url(), &gate("gate2")).await.unwrap(),
    };
    let mut all = Vec::new();
    for _ in 0..20 {
        let (one, two) = tokio::join!(claim(store, 4, moment(0)), claim(&other, 4, moment(0)));
        all.extend(ids(&one));
        all.extend(ids(&two));
    }
    all.sort_unstable();
    assert_eq!(all, (1..=40).collect::<Vec<_>>());
}

async fn one_that_failed_for_now_is_due_later_and_one_that_failed_is_listed_with_the_reason() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    put(store, vec![told("operator", "a")]).await;
    let claimed = claim(store, 1, moment(0)).await.pop().unwrap();
    let again = Tried::Again(moment(300), Note::new("450 busy"));
    store.notifications_settle(vec![(claimed.row.id, claimed.claim, again)], moment(1)).await.unwrap();
    assert_eq!(claim(store, 1, moment(299)).await, []);
    let claimed = claim(store, 1, moment(300)).await.pop().unwrap();
    assert_eq!(claimed.row.reason.as_deref(), Some("450 busy"));
    let failed = Tried::Failed(Note::new("550 no such person"));
    let step = Store::notifications_settled(vec![(claimed.row.id, claimed.claim, failed)], moment(301));
    assert!(store.takes(step).await);
    let filter = NotificationFilter { state: Some(NotificationState::Failed), ..Default::default() };
    let row = store.notifications(&filter).await.unwrap().pop().unwrap();
    assert_eq!((row.reason.as_deref(), row.settled), (Some("550 no such person"), Some(moment(301))));
    assert!(store.takes(Store::notification_retried(&row, moment(400))).await);
    assert!(!store.takes(Store::notification_retried(&row, moment(400))).await, "it waits already");
    assert_eq!(ids(&claim(store, 1, moment(400)).await), [1]);
}

async fn what_is_too_old_is_claimed_to_be_given_up_and_is_forgotten_after_a_month() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    put(store, vec![told("operator", "a")]).await;
    let day = 24 * 3600;
    assert_eq!(claim(store, 1, moment(day)).await, [], "nobody sends it any more");
    let over = store.notifications_claim_expired(9, moment(day), moment(day + 60)).await.unwrap().rows;
    let given_up = vec![(over[0].row.id, over[0].claim, Tried::Failed(Note::new("too old")))];
    store.notifications_settle(given_up, moment(day)).await.unwrap();
    for (days, left) in [(30, 1), (32, 0)] {
        store.notifications_forget(moment(days * day)).await.unwrap();
        assert_eq!(store.notifications(&NotificationFilter::default()).await.unwrap().len(), left);
    }
}

async fn what_a_newer_gate_wrote_is_given_up_by_none_before_its_time_and_left_to_it_where_its_kind_is_new() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    put(store, vec![told("operator", "a"), told("approver", "b"), told("boss", "c")]).await;
    store.notification_says(NotificationId(1), Said::Body, "{\"tea\":true}").await;
    store.notification_says(NotificationId(2), Said::Kind, "tea").await;
    let claim = async |now: Timestamp| {
        store.notifications_claim(Channel::Mail, 9, now, now + SignedDuration::from_secs(60)).await
    };
    let claims = claim(moment(0)).await.unwrap();
    assert_eq!(ids(&claims.rows), [3]);
    let [unread] = &claims.unread[..] else { panic!("{claims:?}") };
    let known = (unread.id.0, unread.kind.as_str(), unread.recipient.as_str(), unread.attempts);
    assert_eq!(known, (1, "test", "operator", 1));
    let later = Tried::Again(moment(20), Note::new(&unread.why));
    store.notifications_settle(vec![(unread.id, unread.claim, later)], moment(1)).await.unwrap();
    // The newer one is there at last.
    let body = serde_json::to_string(&Notice::Test { by: Note::new("a") }).unwrap();
    assert_eq!(store.notification_says(NotificationId(1), Said::Body, &body).await, "waiting");
    assert_eq!(ids(&claim(moment(20)).await.unwrap().rows), [1]);
    // What no gate could read ends with its time, whatever its kind.
    let day = 24 * 3600;
    let over = store.notifications_claim_expired(9, moment(day), moment(day + 60)).await.unwrap();
    assert_eq!(over.unread, [], "a kind that is new says what can be read here");
    assert_eq!(ids(&over.rows), [1, 2, 3]);
}

async fn a_link_s_code_is_for_its_sender_alone_and_gone_once_it_is_sent() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    let notice = Notice::Link { by: None, access: Note::new("the gate"), expires: moment(3600) };
    let recipient = Recipient::Mail("guest@example.org".parse().unwrap());
    let secret = Some(Secret::new("tide-4711-gate".to_owned()));
    put(store, vec![Notification { recipient, channel: Channel::Mail, notice, secret: secret.clone() }])
        .await;
    let listed = store.notifications(&NotificationFilter::default()).await.unwrap();
    assert!(!format!("{listed:?}").contains("4711"), "{listed:?}");
    let claimed = claim(store, 1, moment(0)).await.pop().unwrap();
    assert_eq!(claimed.secret, secret);
    assert!(!format!("{claimed:?}").contains("4711"));
    store.notifications_settle(vec![(claimed.row.id, claimed.claim, Tried::Sent)], moment(1)).await.unwrap();
    let row = Entity::find().one(&store.readers).await.unwrap().unwrap();
    assert_eq!((row.secret, row.state.as_str()), (None, "sent"));
}

async fn whoever_causes_notices_without_end_is_not_listened_to() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    let many = usize::try_from(MOST_WAITING).unwrap();
    put(store, vec![told("operator", "again"); many + 10]).await;
    put(store, vec![told("approver", "once")]).await;
    let waiting = Entity::find().count(&store.readers).await.unwrap();
    assert_eq!(waiting, MOST_WAITING + 1);
}

on_both! {
    a_clock_that_was_set_back_holds_up_no_message_for_long,
    the_step_and_what_people_are_told_of_it_are_there_together_or_not_at_all,
    what_is_claimed_is_one_gate_s_until_the_claim_expires,
    of_gates_that_claim_at_the_same_moment_each_has_its_own,
    one_that_failed_for_now_is_due_later_and_one_that_failed_is_listed_with_the_reason,
    what_is_too_old_is_claimed_to_be_given_up_and_is_forgotten_after_a_month,
    what_a_newer_gate_wrote_is_given_up_by_none_before_its_time_and_left_to_it_where_its_kind_is_new,
    a_link_s_code_is_for_its_sender_alone_and_gone_once_it_is_sent,
    whoever_causes_notices_without_end_is_not_listened_to,
}
