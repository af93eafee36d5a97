use tidegate_common::model::{Action, Claims, LeftOut, Limits, RequestState, Verdict, Wish};

use super::*;
use crate::store::testing::{Temporary, on_both};

fn request(id: u64) -> Request {
    let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    Request {
        id: RequestId(id),
        user: "operator".parse().unwrap(),
        targets: vec!["ops@db01".parse().unwrap(), "ops@db02".parse().unwrap()],
        left_out: Vec::new(),
        action: Action::Session,
        claims: Claims::default(),
        group: "dba".parse().unwrap(),
        wish: Wish::default(),
        limits: Limits::default(),
        extends: None,
        created: now,
        expires: now,
        origin: None,
        state: RequestState::Pending,
        votes: Vec::new(),
        review: None,
        used: 0,
    }
}

fn vote(by: &str) -> Vote {
    let at = jiff::Timestamp::from_second(1_800_000_060).unwrap();
    let (by, level) = (by.parse().unwrap(), 1.try_into().unwrap());
    Vote { by, stands_in_for: None, level, verdict: Verdict::Approve, at, origin: None, comment: None }
}

async fn take(store: &Store, step: Step) -> Result<(), StoreError> {
    store.audit_append_all(Vec::new(), Some(step)).await
}

async fn made(store: &Store, request: Request) -> Result<(), StoreError> {
    let was = store.requester(&request.user).await.unwrap();
    take(store, Store::request_made(request, was)).await
}

async fn a_request_comes_back_with_its_votes_in_order() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    assert_eq!(store.next_request_id().await.unwrap(), RequestId(1));
    made(store, request(1)).await.unwrap();
    let voted = Request { votes: vec![vote("zoe"), vote("adam")], ..request(1) };
    take(store, Store::request_changed(voted.clone(), Revision::default())).await.unwrap();
    made(store, request(2)).await.unwrap();
    assert_eq!(store.request(RequestId(1)).await.unwrap(), Some(voted));
    assert_eq!(store.next_request_id().await.unwrap(), RequestId(3));
    let concerning = |user: &str, group: &str| RequestFilter {
        concerning: Some(Concern {
            own: Some(user.parse().unwrap()),
            groups: vec![group.parse().unwrap()],
            ..Concern::default()
        }),
        ..RequestFilter::default()
    };
    assert_eq!(store.requests(&concerning("approver", "dba")).await.unwrap().len(), 2);
    assert_eq!(store.requests(&concerning("operator", "others")).await.unwrap().len(), 2);
    assert_eq!(store.requests(&concerning("approver", "others")).await.unwrap().len(), 0);
    let found = store.requests(&RequestFilter { states: &["pending"], ..RequestFilter::default() }).await;
    assert_eq!(found.unwrap().iter().map(|request| request.id.0).collect::<Vec<_>>(), [2, 1]);
}

async fn a_request_is_found_by_each_of_its_credentials_until_that_is_left_out() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    made(store, request(1)).await.unwrap();
    let found = async |target: &str| {
        let target = Some(target.parse().unwrap());
        store.requests(&RequestFilter { target, ..RequestFilter::default() }).await.unwrap().len()
    };
    assert_eq!((found("ops@db01").await, found("ops@db02").await, found("ops@db03").await), (1, 1, 0));
    let at = request(1).created;
    let left_out = vec![LeftOut { target: "ops@db01".parse().unwrap(), by: "zoe".parse().unwrap(), at }];
    let less = Request { targets: vec!["ops@db02".parse().unwrap()], left_out, ..request(1) };
    take(store, Store::request_changed(less.clone(), Revision::default())).await.unwrap();
    assert_eq!((found("ops@db01").await, found("ops@db02").await), (0, 1));
    assert_eq!(store.request(RequestId(1)).await.unwrap(), Some(less));
    for (user, group, count) in [("operator", "dba", 1), ("operator", "other", 0), ("adam", "dba", 0)] {
        let managed = (vec![user.parse().unwrap()], vec![group.parse().unwrap()]);
        let concerning = Some(Concern { managed, ..Concern::default() });
        let filter = RequestFilter { concerning, ..RequestFilter::default() };
        assert_eq!(store.requests(&filter).await.unwrap().len(), count, "{user} under {group}");
    }
}

async fn as_many_sessions_are_counted_as_a_request_is_for_and_no_more() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    made(store, request(1)).await.unwrap();
    for used in 1..=2 {
        take(store, Store::session_counted(RequestId(1), Some(2))).await.unwrap();
        assert_eq!(store.request(RequestId(1)).await.unwrap().unwrap().used, used);
    }
    let third = take(store, Store::session_counted(RequestId(1), Some(2))).await;
    assert!(matches!(third, Err(StoreError::Spent(RequestId(1)))), "{third:?}");
    // What changes the request itself leaves the count.
    take(store, Store::request_changed(request(1), Revision::default())).await.unwrap();
    assert_eq!(store.request(RequestId(1)).await.unwrap().unwrap().used, 2);
    take(store, Store::session_counted(RequestId(1), None)).await.unwrap();
    // Two at once: one of them is refused, whichever comes first.
    made(store, request(2)).await.unwrap();
    let begin = || take(store, Store::session_counted(RequestId(2), Some(1)));
    let (one, other) = tokio::join!(begin(), begin());
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

async fn what_was_made_of_an_earlier_state_is_refused_and_nothing_of_it_is_written() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    let was = store.requester(&request(1).user).await.unwrap();
    made(store, request(1)).await.unwrap();
    let late = take(store, Store::request_made(request(2), was)).await;
    assert!(matches!(late, Err(StoreError::Changed)), "its user has made one since: {late:?}");
    let same = made(store, Request { user: "adam".parse().unwrap(), ..request(1) }).await;
    assert!(matches!(same, Err(StoreError::Changed)), "the number is taken: {same:?}");
    let (read, was) = store.request_to_change(RequestId(1)).await.unwrap().unwrap();
    let with = |by| Store::request_changed(Request { votes: vec![vote(by)], ..read.clone() }, was);
    take(store, with("zoe")).await.unwrap();
    let late = take(store, with("adam")).await;
    assert!(matches!(late, Err(StoreError::Changed)), "{late:?}");
    let (read, was) = store.request_to_change(RequestId(1)).await.unwrap().unwrap();
    assert_eq!(read.votes, [vote("zoe")]);
    let both = Request { votes: vec![vote("zoe"), vote("adam")], ..read };
    take(store, Store::request_changed(both.clone(), was)).await.unwrap();
    assert_eq!(store.request(RequestId(1)).await.unwrap(), Some(both));
    assert_eq!(store.requests(&RequestFilter::default()).await.unwrap().len(), 1);
}

async fn a_request_that_is_made_after_its_user_was_looked_at_is_seen_among_thousands_who_made_none() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    let mut users: Vec<UserName> = (0..1200).map(|number| format!("u{number}").parse().unwrap()).collect();
    users.push(request(1).user);
    let were = store.requesters(&users).await.unwrap();
    made(store, request(1)).await.unwrap();
    assert!(!store.takes(Store::no_requests_made(were.clone())).await, "the first one is seen");
    let read = store.requesters(&users).await.unwrap();
    assert!(store.takes(Store::no_requests_made(read.clone())).await);
    assert!(!store.takes(Store::no_requests_made(read)).await, "each is written once");
    // One that is being made meanwhile is refused, the first of a user as any other.
    for (user, was) in [&were[0], &were[1200]] {
        let late = Request { user: user.clone(), ..request(2) };
        let late = take(store, Store::request_made(late, *was)).await;
        assert!(matches!(late, Err(StoreError::Changed)), "{user}: {late:?}");
    }
    assert!(store.takes(Store::no_requests_made(Vec::new())).await);
}

async fn the_store_itself_refuses_a_second_vote_of_a_person() {
    let temporary = Temporary::new().await;
    let twice = Request { votes: vec![vote("zoe"), vote("zoe")], ..request(1) };
    assert!(made(&temporary.store, twice).await.is_err());
    assert_eq!(temporary.store.request(RequestId(1)).await.unwrap(), None);
}

async fn a_request_that_cannot_be_read_is_told_apart_where_its_row_says_that_it_is_over() {
    let temporary = Temporary::new().await;
    let store = &temporary.store;
    made(store, Request { votes: vec![vote("zoe")], ..request(1) }).await.unwrap();
    let set = async |column: Column, text: &str| {
        let all = Entity::update_many().col_expr(column, Expr::value(text.to_owned()));
        all.exec(&store.writer).await.unwrap();
    };
    let newer = |document: &str| document.replacen('{', "{\"tea\":true,", 1);
    let told = async || {
        for open in ["pending", "approved"] {
            set(Column::State, open).await;
            let error = store.request(RequestId(1)).await.unwrap_err();
            assert!(matches!(error, StoreError::Unread { .. }), "{open}: {error}");
        }
        for over in ["revoked", "cancelled", "rejected", "expired", "poured"] {
            set(Column::State, over).await;
            let error = store.request(RequestId(1)).await.unwrap_err();
            assert!(matches!(error, StoreError::Over { request: RequestId(1), .. }), "{over}: {error}");
        }
    };
    let document = Entity::find().one(&store.readers).await.unwrap().unwrap().document;
    set(Column::Document, &newer(&document)).await;
    told().await;
    // Nor does a vote that cannot be read hide it.
    set(Column::Document, &document).await;
    let voted = vote::Entity::find().one(&store.readers).await.unwrap().unwrap().document;
    let all = vote::Entity::update_many().col_expr(vote::Column::Document, Expr::value(newer(&voted)));
    all.exec(&store.writer).await.unwrap();
    told().await;
}

on_both! {
    a_request_comes_back_with_its_votes_in_order,
    a_request_is_found_by_each_of_its_credentials_until_that_is_left_out,
    as_many_sessions_are_counted_as_a_request_is_for_and_no_more,
    what_was_made_of_an_earlier_state_is_refused_and_nothing_of_it_is_written,
    a_request_that_is_made_after_its_user_was_looked_at_is_seen_among_thousands_who_made_none,
    the_store_itself_refuses_a_second_vote_of_a_person,
    a_request_that_cannot_be_read_is_told_apart_where_its_row_says_that_it_is_over,
}
