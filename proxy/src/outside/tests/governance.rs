//! Governance codes that nobody could be asked of.

use super::*;

async fn a_code_that_was_taken_unchecked_is_in_the_log_with_the_remote_access_and_of_a_batch_once() {
    let world = world(&[], 1).await;
    let _ = world.access.clone().with_codes(crate::governance::silent());
    let claims = Claims { governance: Some("CHG123456".parse().unwrap()), ..new(None).claims };
    let with_code = |user| NewRemoteAccess { claims: claims.clone(), ..new(user) };
    // What is only shown takes no code.
    world.remote_accesses.review(&with_code(Some("olga")), &by("boss")).await.unwrap();
    world.remote_accesses.create(&with_code(Some("olga")), &by("boss")).await.unwrap();
    world.remote_accesses.create(&with_code(None), &by("boss")).await.unwrap();
    let unchecked = world.records().await.into_iter().filter_map(|record| match record.event {
        Event::GovernanceUnchecked { code, taken_for, .. } => {
            Some((format!("{code} for {taken_for}"), record.actor))
        }
        _ => None,
    });
    let boss = || Actor::User(user("boss"));
    let told =
        ["CHG123456 for remote access 1", "CHG123456 for batch 2"].map(|told| (told.to_owned(), boss()));
    assert_eq!(unchecked.collect::<Vec<_>>(), told);
}

on_both! {
    a_code_that_was_taken_unchecked_is_in_the_log_with_the_remote_access_and_of_a_batch_once,
}
