//! Reviews of groups.

use jiff::SignedDuration;
use tidegate_common::audit::Event;
use tidegate_common::notice::{Ending, Notice};
use tidegate_common::policy::{NoConfirmation, Recipient, digest_of_users};

use super::*;
use crate::store::NotificationFilter;
use crate::testing::{World, by, user};

/// One that was to be confirmed a month after a day so long ago, and grants for two months more.
fn reviewed(days: i64) -> String {
    let from = (Timestamp::now() - SignedDuration::from_hours(days * 24)).strftime("%Y-%m-%d").to_string();
    let review = format!(
        "session = {{}}\nreview = {{ owners = [\"boss\"], every = \"30d\", grace = \"60d\", from = {from} }}"
    );
    format!(
        "{}[[user]]\nname = \"boss\"\nemail = \"boss@example.org\"\n",
        WORLD.replace("session = {}", &review)
    )
}

async fn what_an_owner_confirmed_counts_at_once_and_after_a_restart_and_is_in_the_log_with_it() {
    let world = World::new(&reviewed(100)).await;
    let (access, group) = (&world.access, "dba".parse().unwrap());
    assert!(!permitted(access).await, "it lapsed ten days ago");
    let seen = digest_of_users(access.snapshot().group(&group).unwrap());
    let before = world.audit.newest();
    for (who, seen) in [("operator", seen), ("boss", Default::default())] {
        let refused = access.confirm_group(&group, &user(who), &seen, &by(who)).await.unwrap_err();
        assert!(matches!(refused, AccessError::NoConfirmation(_)), "{refused}");
    }
    assert_eq!(world.audit.newest(), before, "what does not count is no confirmation");
    let mut changed = access.changed();
    changed.mark_unchanged();
    access.confirm_group(&group, &user("boss"), &seen, &by("boss")).await.unwrap();
    assert!(changed.has_changed().unwrap(), "whoever rests on it looks again");
    assert!(permitted(access).await);
    let last = world.audit.last(1).await.pop().unwrap();
    let Event::GroupConfirmed { group: named, users, .. } = &last.event else { panic!("{last}") };
    assert_eq!((named, users.to_string().as_str()), (&group, "operator"));
    assert_eq!(last.actor, tidegate_common::audit::Actor::User(user("boss")));
    // An edit of the text does not undo it, nor does a restart.
    world.apply("[[user]]\nname = \"late\"\n").await;
    assert!(permitted(access).await);
    assert!(permitted(&super::access(&world.temporary).await).await);
    // Users who come meanwhile were not seen.
    world.apply(&reviewed(100).replace("users = [\"operator\"]", "users = [\"operator\", \"late\"]")).await;
    let refused = access.confirm_group(&group, &user("boss"), &seen, &by("boss")).await.unwrap_err();
    assert!(matches!(refused, AccessError::NoConfirmation(NoConfirmation::Changed(_))), "{refused}");
}

async fn who_owns_a_group_is_told_once_that_its_review_is_due_by_whichever_gate() {
    let world = World::new(&reviewed(40)).await;
    let other = super::access(&world.temporary).await;
    let now = Timestamp::now();
    assert_eq!(world.access.tell_of_reviews(now).await.unwrap(), 1);
    assert_eq!(world.access.tell_of_reviews(now).await.unwrap(), 0);
    assert_eq!(other.tell_of_reviews(now).await.unwrap(), 0, "it does not know yet that they were");
    let rows = world.store.notifications(&NotificationFilter::default()).await.unwrap();
    let rows: Vec<_> = rows.iter().filter(|row| row.recipient == Recipient::User(user("boss"))).collect();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    let Notice::EndsSoon { what: Ending::GroupReview, name, ends, .. } = &row.notice else {
        panic!("{row:?}")
    };
    assert_eq!(name.to_string(), "dba");
    assert!(*ends > now + SignedDuration::from_hours(48 * 24), "the grace has just begun: {ends}");
    let last = world.audit.last(1).await.pop().unwrap();
    assert!(matches!(last.event, Event::GroupReviewDue { .. }), "{last}");
    // Before it is due there is nothing to tell.
    let early = World::new(&reviewed(20)).await;
    assert_eq!(early.access.tell_of_reviews(now).await.unwrap(), 0);
}

async fn who_stands_in_for_an_owner_is_told_and_confirms_in_their_place() {
    let world = World::new(&reviewed(40)).await;
    let away = "[[user]]\nname = \"olga\"\nemail = \"o@example.org\"\n[[user]]\nname = \"boss\"\n\
                email = \"boss@example.org\"\n\
                deputy = { user = \"olga\", from = 2020-01-01, until = 2999-12-31 }\n";
    world.apply(away).await;
    assert_eq!(world.access.tell_of_reviews(Timestamp::now()).await.unwrap(), 1);
    let rows = world.store.notifications(&NotificationFilter::default()).await.unwrap();
    let told: Vec<_> = rows.iter().rev().map(|row| row.recipient.to_string()).collect();
    assert_eq!(told, ["boss", "olga"]);
    let (group, olga) = ("dba".parse().unwrap(), user("olga"));
    let seen = digest_of_users(world.access.snapshot().group(&group).unwrap());
    world.access.confirm_group(&group, &olga, &seen, &by("olga")).await.unwrap();
    let last = world.audit.last(1).await.pop().unwrap();
    let Event::GroupConfirmed { stands_in_for, .. } = &last.event else { panic!("{last}") };
    assert_eq!(stands_in_for, &Some(user("boss")));
    assert_eq!(last.actor, tidegate_common::audit::Actor::User(olga));
    // The owner is back.
    world.apply(&away.replace("2999", "2020")).await;
    let refused = world.access.confirm_group(&group, &user("olga"), &seen, &by("olga")).await.unwrap_err();
    assert!(matches!(refused, AccessError::NoConfirmation(NoConfirmation::NotOwner(_))), "{refused}");
}

on_both! {
    what_an_owner_confirmed_counts_at_once_and_after_a_restart_and_is_in_the_log_with_it,
    who_owns_a_group_is_told_once_that_its_review_is_due_by_whichever_gate,
    who_stands_in_for_an_owner_is_told_and_confirms_in_their_place,
}
