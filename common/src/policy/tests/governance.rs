//! Governance codes that were looked at and are refused.

use super::*;

const REFUSED: &str = "governance code `x` is not of the form INC-[0-9]+";

fn coded(claims: Claims) -> Claims {
    Claims { governance: Some("x".parse().unwrap()), ..claims }
}

/// Decides where the code that is said is refused.
fn refused_code(ask: &Ask, snapshot: &Snapshot) -> Decision {
    ask.facts(|facts| decide(snapshot, &Facts { refused_code: Some(REFUSED), ..*facts }))
}

#[test]
fn a_refused_code_is_asked_for_again_whether_the_group_asks_for_one_or_not() {
    for terms in [FREE, "session = {}\nrequest = { governance = true }"] {
        let snapshot = group(ALL, terms);
        let asked = ask("ops@db01").claiming(coded(Claims::default()));
        let needs = needs(refused_code(&asked, &snapshot));
        assert_eq!((needs.governance, needs.refused_code.as_deref()), (true, Some(REFUSED)), "{terms}");
        assert!(needs.claims_missing() && needs.approval.is_none(), "{terms}");
        // The same code, which nobody refuses.
        let _ = permit(asked.of(&snapshot));
    }
}

#[test]
fn neither_an_approval_nor_an_emergency_makes_up_for_a_refused_code() {
    let terms = APPROVED.replace("session = {", "session = { emergency = true,");
    let snapshot = group(ALL, &terms);
    for emergency in [None, Some("database is down".parse().unwrap())] {
        let mut request = approved();
        request.claims.emergency = emergency;
        let is_emergency = request.is_emergency();
        let asked = ask("ops@db01").with(request).claiming(coded(Claims::default()));
        let needs = needs(refused_code(&asked, &snapshot));
        assert_eq!((needs.governance, needs.refused_code.as_deref()), (true, Some(REFUSED)));
        assert!(needs.approval.is_none(), "the request covers it");
        assert_eq!(permit(asked.of(&snapshot)).emergency(), is_emergency);
    }
    // Where no request is there yet, both are missing.
    let asked = ask("ops@db01").claiming(coded(Claims {
        justification: Some("x".parse().unwrap()),
        emergency: Some("database is down".parse().unwrap()),
        ..Claims::default()
    }));
    let needs = needs(refused_code(&asked, &snapshot));
    assert!(needs.governance && needs.approval.is_some() && needs.emergency_allowed);
}
