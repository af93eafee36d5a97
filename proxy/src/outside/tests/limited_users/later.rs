//! Users who are made by the name of somebody who is there no more.

use tidegate_common::model::{Kind, ResourceName};

use super::*;

/// The user of that name enters from outside with a key that was enrolled.
fn proved(name: &str, login: &Login) -> Proved {
    Proved { user: user(name), login: login.clone().into(), origin: OUTSIDE.parse().unwrap() }
}

async fn a_user_who_is_made_by_the_name_of_a_former_limited_one_has_nothing_of_theirs() {
    let world = world(&[]).await;
    let resources = approved_by_chief();
    world.apply(&resources).await;
    let id = world.gives("jane").await;
    let key = KEY.parse().unwrap();
    world.remote_accesses.enrol(id, &key, &by("jane")).await.unwrap();
    let login = world.access.enrolled(&user("jane"), &key).unwrap();
    assert_eq!(world.access.still_in(&proved("jane", &login)), Ok(()));
    let unused = world.code(id).await;
    let approved = world.wants("jane").await;
    world.approves(approved).await;
    let (waits, other) = (world.wants("jane").await, world.wants("olga").await);
    let other_gate = Access::load(world.store.clone(), world.audit.clone(), border()).await.unwrap();
    assert_eq!(other_gate.still_in(&proved("jane", &login)), Ok(()));
    let without = without_jane(&resources);
    world.apply(&without).await;
    assert_eq!(world.remote_accesses.get(id).await.unwrap().state, RemoteAccessState::Granted);
    // Another person of the name, who is in the same groups and may do more.
    let listed = without.replace("users = [\"olga\"]", "users = [\"olga\", \"jane\"]");
    let later = "[[user]]\nname = \"jane\"\nemail = \"other@example.org\"\nroles = [\"admin\"]\n";
    world.apply(&format!("{listed}{later}")).await;
    assert!(!world.access.snapshot().is_limited(&user("jane")));
    let access = world.remote_accesses.get(id).await.unwrap();
    let RemoteAccessState::Cancelled { by: who, .. } = &access.state else { panic!("{access:?}") };
    assert_eq!((who.as_str(), access.keys.len()), ("the gate", 0));
    assert_eq!(world.access.enrolled(&user("jane"), &key), None);
    assert!(world.access.still_in(&proved("jane", &login)).is_err());
    // Nor on a gate that looks at the resources first.
    other_gate.refresh().await.unwrap();
    assert!(!other_gate.snapshot().is_limited(&user("jane")));
    assert!(other_gate.still_in(&proved("jane", &login)).is_err());
    assert!(world.redeem("jane", &unused).await.is_err(), "the code was the other's");
    assert_eq!(world.became([approved, waits, other]).await, ["cancelled", "cancelled", "pending"]);
    assert_eq!(world.cancelled_requests().await, [approved, waits]);
    // An edit of who is there ends nothing.
    let (own, request) = (world.gives("jane").await, world.wants("jane").await);
    world.apply(&later.replace("other@", "another@")).await;
    assert_eq!(world.remote_accesses.get(own).await.unwrap().state, RemoteAccessState::Granted);
    assert_eq!(world.became([request]).await, ["pending"]);
}

async fn a_limited_user_who_becomes_a_user_in_one_text_keeps_no_access_of_before() {
    let world = world(&[]).await;
    let id = world.gives("jane").await;
    let key = KEY.parse().unwrap();
    world.remote_accesses.enrol(id, &key, &by("jane")).await.unwrap();
    let listed = without_jane(RESOURCES).replace("users = [\"olga\"]", "users = [\"olga\", \"jane\"]");
    world.apply(&format!("{listed}[[user]]\nname = \"jane\"\nemail = \"jane@example.com\"\n")).await;
    assert_eq!(world.access.enrolled(&user("jane"), &key), None);
    assert_eq!(world.remote_accesses.get(id).await.unwrap().state.word(), "cancelled");
}

async fn a_user_who_is_deleted_and_made_again_has_nothing_of_before_but_what_their_group_gives() {
    let world = world(&[]).await;
    let automatic = "name = \"field\"\nautomatic_access = \"yes\"";
    let resources = approved_by_chief().replace("name = \"field\"", automatic);
    world.apply(&resources).await;
    let id = world.gives("olga").await;
    let key = KEY.parse().unwrap();
    world.remote_accesses.enrol(id, &key, &by("olga")).await.unwrap();
    let unused = world.code(id).await;
    let approved = world.wants("olga").await;
    world.approves(approved).await;
    let other = world.wants("jane").await;
    world
        .apply(&resources.replace("\"olga\", \"jane\"", "\"jane\"").replace("users = [\"olga\"]\n", ""))
        .await;
    let olga = ResourceName { kind: Kind::User, name: "olga".to_owned() };
    world.access.delete(&[olga], &crate::access::By::proxy()).await.unwrap();
    assert_eq!(world.remote_accesses.get(id).await.unwrap().state, RemoteAccessState::Granted);
    world.apply(&resources).await;
    assert_eq!(world.remote_accesses.get(id).await.unwrap().state.word(), "cancelled");
    assert_eq!(world.access.enrolled(&user("olga"), &key), None);
    assert!(world.redeem("olga", &unused).await.is_err());
    assert_eq!(world.became([approved, other]).await, ["cancelled", "pending"]);
    // What she has as one who joins is hers.
    let filter = RemoteAccessFilter { user: Some(user("olga")), ..RemoteAccessFilter::default() };
    let all = world.remote_accesses.list(&filter).await.unwrap();
    let standing: Vec<_> = all.iter().filter(|access| access.stands_at(moment())).collect();
    let [own] = &standing[..] else { panic!("{all:?}") };
    assert!(own.id > id && !own.before_user, "{own:?}");
}

async fn who_has_a_name_now_has_nothing_of_the_former_one_where_remote_accesses_cannot_be_read_either() {
    let world = world(&[]).await;
    let (id, other) = (world.gives("jane").await, world.gives("joe").await);
    let key = KEY.parse().unwrap();
    world.remote_accesses.enrol(id, &key, &by("jane")).await.unwrap();
    world.store.remote_access_damaged(other).await;
    assert!(world.access.enrolled(&user("jane"), &key).is_some());
    let listed = without_jane(RESOURCES).replace("users = [\"olga\"]", "users = [\"olga\", \"jane\"]");
    world.apply(&format!("{listed}[[user]]\nname = \"jane\"\nemail = \"other@example.org\"\n")).await;
    assert!(!world.access.snapshot().is_limited(&user("jane")));
    assert!(world.access.refresh_remote_accesses().await.is_err(), "nobody has read it meanwhile");
    assert_eq!(world.access.enrolled(&user("jane"), &key), None);
}

on_both! {
    who_has_a_name_now_has_nothing_of_the_former_one_where_remote_accesses_cannot_be_read_either,
    a_user_who_is_made_by_the_name_of_a_former_limited_one_has_nothing_of_theirs,
    a_limited_user_who_becomes_a_user_in_one_text_keeps_no_access_of_before,
    a_user_who_is_deleted_and_made_again_has_nothing_of_before_but_what_their_group_gives,
}
