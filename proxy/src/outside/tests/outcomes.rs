//! What who asked for a remote access is told of what became of it.

use super::*;

/// Who was told what became of which, with which comment, in their order.
async fn told(world: &World) -> Vec<(String, u64, u64, &'static str, String)> {
    let filter = NotificationFilter { limit: 100, ..NotificationFilter::default() };
    let rows = world.store.notifications(&filter).await.unwrap();
    let decided = rows.into_iter().rev().filter_map(|row| match row.notice {
        Notice::RemoteAccessDecided { remote, decided } => {
            let comment = decided.comment.map(|comment| comment.to_string()).unwrap_or_default();
            let whom = row.recipient.to_string();
            Some((whom, remote.access.0, remote.count, decided.outcome.word(), comment))
        }
        _ => None,
    });
    decided.collect()
}

fn boss(
    access: u64,
    count: u64,
    word: &'static str,
    comment: &str,
) -> (String, u64, u64, &'static str, String) {
    ("boss".to_owned(), access, count, word, comment.to_owned())
}

async fn deciding() -> World {
    let world = world(&["chief", "adam"], 1).await;
    world.apply("[[user]]\nname = \"boss\"\nemail = \"b@example.org\"\nroles = [\"admin\"]\n").await;
    world
}

async fn who_asked_for_a_remote_access_is_told_what_others_make_of_it() {
    let world = deciding().await;
    let remote = &world.remote_accesses;
    let create = async |by: &By| remote.create(&new(Some("olga")), by).await.unwrap()[0].id;
    let (chief, why) = (user("chief"), "not before May".parse().unwrap());
    let first = create(&by("boss")).await;
    remote.reject(first, &chief, &by("chief"), Some(&why)).await.unwrap();
    let second = create(&by("boss")).await;
    remote.approve(second, &chief, &by("chief"), None).await.unwrap();
    let both = [boss(1, 1, "rejected", "not before May"), boss(2, 1, "approved", "")];
    assert_eq!(told(&world).await, both);
    // What they do themselves they know.
    remote.cancel(second, &by("boss"), None).await.unwrap();
    // Who is no user has nowhere to be told.
    let local = By { actor: Actor::LocalAdmin, origin: None, login: None };
    let third = create(&local).await;
    remote.approve(third, &chief, &by("chief"), None).await.unwrap();
    assert_eq!(told(&world).await, both);
    // What somebody else takes back they do not.
    let fourth = create(&by("boss")).await;
    remote.approve(fourth, &chief, &by("chief"), None).await.unwrap();
    remote.cancel(fourth, &local, Some(&why)).await.unwrap();
    let last = told(&world).await.pop();
    assert_eq!(last, Some(boss(4, 1, "cancelled", "not before May")));
}

async fn who_asked_for_a_batch_is_told_of_each_outcome_once() {
    let world = deciding().await;
    let remote = &world.remote_accesses;
    let chief = user("chief");
    for access in remote.create(&new(None), &by("boss")).await.unwrap() {
        remote.approve(access.id, &chief, &by("chief"), None).await.unwrap();
    }
    assert_eq!(told(&world).await, [boss(1, 2, "approved", "")]);
    let made = remote.create(&new(None), &by("boss")).await.unwrap();
    remote.approve(made[0].id, &chief, &by("chief"), None).await.unwrap();
    remote.reject(made[1].id, &chief, &by("chief"), None).await.unwrap();
    let later = told(&world).await.split_off(1);
    assert_eq!(later, [boss(3, 2, "approved", ""), boss(3, 2, "rejected", "")]);
}

async fn who_needs_nobodys_approval_is_not_told_of_their_own_deed() {
    let world = world(&[], 1).await;
    world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap();
    assert_eq!(told(&world).await, []);
}

async fn who_asked_is_told_once_that_nobody_decided_in_time_and_of_a_batch_once() {
    let world = deciding().await;
    let remote = &world.remote_accesses;
    let one = remote.create(&new(Some("olga")), &by("boss")).await.unwrap().remove(0);
    remote.create(&new(None), &by("boss")).await.unwrap();
    let decided = remote.create(&new(Some("olga")), &by("boss")).await.unwrap().remove(0);
    remote.approve(decided.id, &user("chief"), &by("chief"), None).await.unwrap();
    let approved = boss(4, 1, "approved", "");
    let hours = |hours| moment() + jiff::SignedDuration::from_hours(hours);
    // Their windows are of two hours, and the time to decide is longer.
    for (at, expired) in [(1, 0), (3, 3), (3, 0)] {
        assert_eq!(remote.expire(hours(at)).await.unwrap(), expired, "{at}");
        let both = [approved.clone(), boss(1, 1, "expired", ""), boss(2, 2, "expired", "")];
        assert_eq!(told(&world).await, both[..if at == 1 { 1 } else { 3 }]);
    }
    let state = RemoteAccessState::Expired { at: one.window.end };
    assert_eq!(remote.get(one.id).await.unwrap().state, state);
    let expired =
        |record: &Record| matches!(record.event, Event::RemoteAccess { step: RemoteAccessStep::Expired, .. });
    assert_eq!(world.records().await.iter().filter(|record| expired(record)).count(), 3);
}

on_both! {
    who_asked_is_told_once_that_nobody_decided_in_time_and_of_a_batch_once,
    who_asked_for_a_remote_access_is_told_what_others_make_of_it,
    who_asked_for_a_batch_is_told_of_each_outcome_once,
    who_needs_nobodys_approval_is_not_told_of_their_own_deed,
}
