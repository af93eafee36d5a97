//! Governance codes that nobody could be asked of.

use super::*;

/// One whose governance codes are taken although nobody answers.
async fn unasked() -> World {
    let world = world().await;
    let _ = world.access.clone().with_codes(crate::governance::silent());
    world
}

fn coded() -> NewRequest {
    let claims = Claims { governance: text("CHG123456"), ..ops().claims };
    NewRequest { claims, ..ops() }
}

impl World {
    /// What the audit log tells of requests and of codes that were not checked.
    async fn story(&self) -> Vec<String> {
        let story = self.records().await.into_iter().filter_map(|record| match record.event {
            Event::RequestCreated { request, .. } => Some(format!("request {request}")),
            Event::RequestExtended { request, .. } => Some(format!("request {request} extended")),
            Event::GovernanceUnchecked { code, taken_for, .. } => Some(format!("{code} for {taken_for}")),
            _ => None,
        });
        story.collect()
    }
}

async fn a_code_that_was_taken_unchecked_is_in_the_log_with_the_request() {
    let world = unasked().await;
    let id = world.requests.create(coded()).await.unwrap().id;
    assert_eq!(world.story().await, [format!("request {id}"), format!("CHG123456 for request {id}")]);
    // Without a code nothing is asked, and nothing told.
    world.requests.cancel(id, &user("operator"), &by("operator")).await.unwrap();
    let second = world.requests.create(ops()).await.unwrap().id;
    assert_eq!(world.story().await.last(), Some(&format!("request {second}")));
}

async fn more_time_with_the_code_of_before_is_no_other_code() {
    let world = unasked().await;
    let id = world.requests.create(coded()).await.unwrap().id;
    for who in ["approver", "boss"] {
        world.approve(id, who, Wish::default()).await.unwrap();
    }
    let extend = async |code: &str| {
        let claims = Claims { governance: text(code), ..Claims::default() };
        let more = Length::minutes(10);
        world.requests.extend(id, &user("operator"), &by("operator"), more, claims).await.unwrap().id
    };
    let same = extend("CHG123456").await;
    assert_eq!(world.story().await.split_off(2), [format!("request {same}")]);
    world.requests.cancel(same, &user("operator"), &by("operator")).await.unwrap();
    let other = extend("CHG654321").await;
    let told = [format!("request {other}"), format!("CHG654321 for request {other}")];
    assert_eq!(world.story().await.split_off(3), told);
}

on_both! {
    a_code_that_was_taken_unchecked_is_in_the_log_with_the_request,
    more_time_with_the_code_of_before_is_no_other_code,
}
