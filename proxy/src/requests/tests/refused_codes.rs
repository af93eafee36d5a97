//! Governance codes that the settings' form refuses.

use super::*;
use crate::governance::Codes;

on_both! {
    a_code_that_is_refused_makes_no_request_ordinary_urgent_or_by_the_rules,
    a_code_that_is_refused_gives_no_more_time,
}

const SENTENCE: &str = "governance code `CHG 7` is not of the form INC-[0-9]+";

async fn formed() -> World {
    let world = world().await;
    let codes = Codes { form: Some("INC-[0-9]+".parse().unwrap()), endpoint: None };
    let _ = world.access.clone().with_codes(codes);
    world
}

fn coded(new: NewRequest, code: &str) -> NewRequest {
    NewRequest { claims: Claims { governance: text(code), ..new.claims }, ..new }
}

async fn a_code_that_is_refused_makes_no_request_ordinary_urgent_or_by_the_rules() {
    let world = formed().await;
    let urgent =
        NewRequest { claims: Claims { emergency: text("database is down"), ..ops().claims }, ..ops() };
    let said = NewRequest { targets: vec!["said@db01".parse().unwrap()], ..ops() };
    for (new, group) in [(ops(), "dba"), (urgent.clone(), "dba"), (said.clone(), "said")] {
        let refused = world.requests.create(coded(new, "CHG 7")).await.unwrap_err().to_string();
        assert_eq!(refused, format!("access group `{group}` asks for more: {SENTENCE}"));
    }
    assert_eq!(world.steps().await, Vec::<String>::new());
    // The twins, whose code is of the form.
    for new in [urgent, said] {
        let made = world.requests.create(coded(new, "INC-7")).await.unwrap();
        assert!(matches!(made.state, RequestState::Approved { .. }), "{made:?}");
        assert_eq!(made.claims.governance, text("INC-7"));
    }
}

async fn a_code_that_is_refused_gives_no_more_time() {
    let world = formed().await;
    let said = NewRequest { targets: vec!["said@db01".parse().unwrap()], ..ops() };
    let first = world.requests.create(said).await.unwrap();
    let more = async |code: &str| {
        let claims = Claims { governance: text(code), ..Claims::default() };
        let length = "30m".parse().unwrap();
        world.requests.extend(first.id, &user("operator"), &by("operator"), length, claims).await
    };
    let refused = more("CHG 7").await.unwrap_err().to_string();
    assert_eq!(refused, format!("access group `said` asks for more: {SENTENCE}"));
    assert_eq!(world.steps().await, ["request-created"]);
    assert!(more("INC-7").await.is_ok());
}
