//! Governance codes that are refused, and those that nobody could be asked of.

use super::*;
use crate::governance::Codes;

/// One whose governance codes are taken although nobody answers.
async fn unasked() -> World {
    let world = World::new().await;
    let _ = world.base.access.clone().with_codes(crate::governance::silent());
    world
}

impl World {
    /// What the audit log tells of codes that were not checked.
    async fn unchecked(&self) -> Vec<String> {
        let unchecked = self.base.records().await.into_iter().filter_map(|record| match record.event {
            Event::GovernanceUnchecked { code, taken_for, .. } => Some(format!("{code} for {taken_for}")),
            _ => None,
        });
        unchecked.collect()
    }
}

#[tokio::test]
async fn a_code_that_nobody_could_be_asked_of_is_in_the_log_once_the_session_rests_on_it() {
    let world = unasked().await;
    approved(&world.base.store, "CHG-7", "all").await;
    let (mut conversation, _) = world.begin("all@db01").await;
    for answer in ["ticket 7", "1"] {
        asks(conversation.answer(answer).await.unwrap());
    }
    assert_eq!(world.unchecked().await, [""; 0]);
    let _permit = admitted(conversation.answer("INC-1").await.unwrap());
    assert_eq!(world.unchecked().await, ["INC-1 for a session on all@db01"]);
}

#[tokio::test]
async fn a_code_that_is_typed_beside_the_request_s_is_in_the_log_too_and_the_request_s_once() {
    let world = unasked().await;
    let (mut same, _) = world.begin("coded@db01").await;
    let (mut other, step) = world.begin("coded@db01").await;
    assert!(matches!(asks(step).question, Question::Governance { .. }));
    // Made elsewhere, and approved before the question is answered.
    let mut new = ahead("coded@db01", Wish::default(), Limits::default());
    new.claims.governance = Some("INC-1".parse().unwrap());
    let request = world.base.requests.create(new).await.unwrap().id;
    world.votes("approver", request, true).await;
    let permit = admitted(same.answer("INC-1").await.unwrap());
    assert_eq!(permit.request(), Some(request));
    let of_the_request = format!("INC-1 for request {request}");
    assert_eq!(world.unchecked().await, [of_the_request.as_str()]);
    let permit = admitted(other.answer("INC-2").await.unwrap());
    assert_eq!(permit.request(), Some(request));
    assert_eq!(permit.claims().governance, Some("INC-2".parse().unwrap()));
    assert_eq!(world.unchecked().await, [of_the_request.as_str(), "INC-2 for a session on coded@db01"]);
}

#[tokio::test]
async fn a_governance_code_that_is_refused_is_asked_for_again_and_a_third_ends_it() {
    let world = World::new().await;
    let codes = Codes { form: Some("INC-[0-9]+".parse().unwrap()), endpoint: None };
    let _ = world.base.access.clone().with_codes(codes);
    approved(&world.base.store, "CHG-7", "all").await;
    let sentence = "governance code `nonsense` is not of the form INC-[0-9]+";
    for last in ["INC-1", "nonsense"] {
        let (mut conversation, _) = world.begin("all@db01").await;
        asks(conversation.answer("ticket 7").await.unwrap());
        asks(conversation.answer("1").await.unwrap());
        for _ in 1..MOST_CODES {
            let again = asks(conversation.answer("nonsense").await.unwrap());
            assert!(matches!(again.question, Question::Governance { .. }), "{again:?}");
            assert_eq!(again.instructions(), sentence);
        }
        let step = conversation.answer(last).await.unwrap();
        match last {
            "nonsense" => assert_eq!(refused(step), sentence),
            code => assert_eq!(admitted(step).claims().governance, Some(code.parse().unwrap())),
        }
    }
}
