//! Exceptional access that ends.

use jiff::SignedDuration;
use tidegate_common::notice::{Ending, Notice};
use tidegate_common::policy::Recipient;

use super::*;
use crate::store::NotificationFilter;
use crate::testing::World;

fn given(users: &str, until: Timestamp) -> String {
    format!(
        "[[user]]\nname = \"olga\"\nemail = \"o@example.org\"\n[[user]]\nname = \"adam\"\nemail = \"a@example.org\"\n\
         [[exceptional_access]]\nname = \"move\"\nusers = [{users}]\ncredential = \"ops@db01\"\nuntil = \"{until}\"\n"
    )
}

/// Who is to be told of which end, and how long before; the oldest first.
async fn told(world: &World) -> Vec<(String, Timestamp, SignedDuration)> {
    let rows = world.store.notifications(&NotificationFilter::default()).await.unwrap();
    let each = rows.into_iter().rev().map(|row| {
        let Recipient::User(whom) = &row.recipient else { panic!("{row:?}") };
        let Notice::EndsSoon { what: Ending::ExceptionalAccess, name, user, ends, .. } = &row.notice else {
            panic!("{row:?}")
        };
        assert_eq!((name.as_str(), user), ("move", whom), "each reads of their own");
        (whom.to_string(), *ends, ends.duration_since(row.next_try))
    });
    each.collect()
}

async fn who_is_given_exceptional_access_is_told_before_it_ends_and_anew_when_that_moves() {
    let world = World::new(WORLD).await;
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let hours = |hours| now + SignedDuration::from_hours(hours);
    let ahead = SignedDuration::from_hours(2);
    // The first call counts.
    let _ = world.access.clone().with_tell_before(tidegate_common::time::Length::hours(2));
    let _ = world.access.clone().with_tell_before(tidegate_common::time::Length::hours(9));
    world.apply(&given("\"olga\"", hours(8))).await;
    let olga = |end| ("olga".to_owned(), hours(end), ahead);
    assert_eq!(told(&world).await, [olga(8)]);
    // What is written once more, and what is only tried, tells nobody anything.
    world.apply(&given("\"olga\"", hours(8))).await;
    world.access.apply(&given("\"olga\"", hours(9)), &By::proxy(), true).await.unwrap();
    assert_eq!(told(&world).await, [olga(8)]);
    world.apply(&given("\"olga\", \"adam\"", hours(8))).await;
    world.apply(&given("\"olga\"", hours(20))).await;
    let adam = ("adam".to_owned(), hours(8), ahead);
    assert_eq!(told(&world).await, [olga(8), adam, olga(20)]);
    let last = world.audit.last(1).await.pop().unwrap();
    assert!(matches!(last.event, Event::ResourceApplied { verb: Verb::Changed, .. }), "{last}");
}

on_both! {
    who_is_given_exceptional_access_is_told_before_it_ends_and_anew_when_that_moves,
}
