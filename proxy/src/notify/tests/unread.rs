//! What a newer gate wrote, and this one cannot read.

use super::*;
use crate::store::testing::Said;

const NEWER: &str = "{\"tea\":true}";

async fn what_a_gate_cannot_read_waits_for_one_that_can_and_holds_up_nothing() {
    let (mut gate, chat) = (Gate::new().await, HttpServer::start(&[]).unwrap());
    // More than are claimed at once.
    for _ in 0..10 {
        gate.tell(&away()).await;
    }
    let body = serde_json::to_string(&away()).unwrap();
    let says = async |gate: &Gate, id, said: Said, text: &str| {
        gate.world.services.store.notification_says(id, said, text).await
    };
    let ids: Vec<_> = gate.rows().await.iter().map(|row| row.id).collect();
    for id in &ids {
        says(&gate, *id, Said::Body, NEWER).await;
    }
    gate.tell(&away()).await;
    gate.send(Settings { webhook: Some(webhook(chat.address(), Form::Chat)), ..none() });
    until("what can be read is sent", async || (chat.posted().len() == 1).then_some(())).await;
    for id in &ids {
        assert_eq!(says(&gate, *id, Said::Body, NEWER).await, "waiting");
    }
    // One that can read them.
    for id in &ids {
        says(&gate, *id, Said::Body, &body).await;
    }
    until("they are sent", async || (chat.posted().len() == 1 + ids.len()).then_some(())).await;
}

async fn what_nobody_could_read_in_its_time_is_given_up_with_a_record() {
    let mut gate = Gate::new().await;
    gate.tell(&away()).await;
    let id = gate.rows().await[0].id;
    let store = gate.world.services.store.clone();
    store.notification_says(id, Said::Body, NEWER).await;
    store.notification_expires(id, Timestamp::now()).await;
    gate.send(none());
    let audit = &gate.world.services.audit;
    let told = until("it is given up", async || {
        let last = audit.last(10).await;
        last.into_iter().find_map(|record| match record.event {
            Event::NotificationFailed { notification, why, .. } => Some((notification, why.to_string())),
            _ => None,
        })
    });
    let (given_up, why) = told.await;
    assert_eq!(given_up, id);
    assert!(why.starts_with("its time is over, and no gate that can read it has sent it: "), "{why}");
    assert_eq!(store.notification_says(id, Said::Body, NEWER).await, "failed");
}

on_both! {
    what_a_gate_cannot_read_waits_for_one_that_can_and_holds_up_nothing,
    what_nobody_could_read_in_its_time_is_given_up_with_a_record,
}
