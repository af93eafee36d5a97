//! What is over before it is told.

use jiff::SignedDuration;

use super::*;

fn given(users: &str, until: Timestamp) -> String {
    format!(
        "[[user]]\nname = \"olga\"\nemail = \"olga@example.org\"\nnotify = {{ ends_soon = [\"webhook\"] }}\n\
         [[exceptional_access]]\nname = \"move\"\nusers = [{users}]\ncredential = \"ops@db01\"\nuntil = \"{until}\"\n"
    )
}

fn ends(ends: Timestamp) -> Notice {
    let (what, name) = (Ending::ExceptionalAccess, Note::new("move"));
    Notice::EndsSoon { what, name, user: "olga".parse().unwrap(), ends, from: Timestamp::UNIX_EPOCH }
}

async fn that_exceptional_access_ends_is_told_to_whose_it_is_still_and_with_its_own_end_only() {
    let (mut gate, chat) = (Gate::new().await, HttpServer::start(&[]).unwrap());
    gate.send(Settings { webhook: Some(webhook(chat.address(), Form::Chat)), ..none() });
    let now = Timestamp::now();
    let hours = |hours| now + SignedDuration::from_hours(hours);
    let apply = async |gate: &Gate, text: &str| {
        gate.world.services.access.apply(text, &By::proxy(), false).await.unwrap();
    };
    // It waits for its moment, which is far away.
    apply(&gate, &given("\"olga\"", hours(48))).await;
    let settled = async |gate: &Gate, count: usize| {
        until("they are settled", async || {
            let rows: Vec<_> = gate.rows().await.into_iter().filter(|row| row.settled.is_some()).collect();
            (rows.len() == count).then_some(rows)
        })
        .await
    };
    gate.tell(&ends(hours(24))).await;
    let dropped = settled(&gate, 1).await.remove(0);
    let why = "the exceptional access is gone, or has another end";
    assert_eq!((dropped.state, dropped.reason.as_deref()), (NotificationState::Dropped, Some(why)));
    gate.tell(&ends(hours(48))).await;
    let sent = settled(&gate, 2).await.remove(0);
    assert_eq!((sent.state, chat.posted().len()), (NotificationState::Sent, 1));
    // Whom it names no more has nothing that ends.
    apply(&gate, &given("\"operator\"", hours(48))).await;
    gate.tell(&ends(hours(48))).await;
    let dropped = settled(&gate, 3).await.remove(0);
    assert_eq!((dropped.state, chat.posted().len()), (NotificationState::Dropped, 1));
}

on_both! {
    that_exceptional_access_ends_is_told_to_whose_it_is_still_and_with_its_own_end_only,
}
