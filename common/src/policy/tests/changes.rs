//! Sessions that must rest on a change.

use super::*;
use crate::change::{ChangeState, NotCovered};
use crate::name::ChangeId;

const DEMANDED: &str = "session = { change = true }";

/// Approved, from noon for an hour, on `db01` under `dba`.
pub(super) fn change(id: &str) -> Change {
    Change { id: id.parse().unwrap(), ..testing::change() }
}

fn named(id: &str) -> Claims {
    Claims { change: Some(id.parse::<ChangeId>().unwrap()), ..Claims::default() }
}

#[test]
fn a_session_rests_on_the_change_that_is_named_and_ends_with_it() {
    let snapshot = group(ALL, DEMANDED);
    let ask = || ask("ops@db01").under(&[change("CHG-1"), change("CHG-2")]).claiming(named("CHG-2"));
    let given = permit(ask().of(&snapshot));
    assert_eq!(given.change().map(|change| change.id.as_str()), Some("CHG-2"));
    assert_eq!(given.expires(), Some(after(60)));
    let later = recheck(&snapshot, &given, after(59), Coming::ASKED, &[], &[change("CHG-2")]).unwrap();
    assert_eq!(later.expires(), Some(after(60)));
    assert_eq!(
        recheck(&snapshot, &given, after(60), Coming::ASKED, &[], &[change("CHG-2")]).err(),
        Some(EndReason::TimeOver)
    );
    let cancelled = ChangeState::Cancelled { by: "boss".to_owned(), at: after(1), comment: None };
    let cancelled = Change { state: cancelled, ..change("CHG-2") };
    let why = recheck(&snapshot, &given, after(2), Coming::ASKED, &[], &[cancelled]).unwrap_err();
    assert_eq!(why.to_string(), "change `CHG-2` is cancelled");
    let sooner = Change { due: after(30), ..change("CHG-2") };
    assert_eq!(
        recheck(&snapshot, &given, after(2), Coming::ASKED, &[], &[sooner]).unwrap().expires(),
        Some(after(30))
    );
}

#[test]
fn those_that_are_open_are_offered_and_a_wrong_one_is_told_why() {
    let snapshot = group(ALL, DEMANDED);
    let elsewhere = Change { devices: vec!["web01".parse().unwrap()], ..change("CHG-3") };
    let early = Change { start: after(5), ..change("CHG-4") };
    let sooner = Change { due: after(30), ..change("CHG-2") };
    let all = [change("CHG-1"), sooner, elsewhere, early];
    let need = |claims| needs(ask("ops@db01").under(&all).claiming(claims).of(&snapshot)).change.unwrap();
    let open = need(Claims::default());
    assert_eq!((open.to_string().as_str(), open.wrong), ("open for it now: CHG-2, CHG-1", None));
    let wrong = |id| need(named(id)).wrong.map(|why| why.to_string()).unwrap_or_default();
    assert_eq!(wrong("CHG-3"), "change `CHG-3` is not for db01, only for web01");
    assert_eq!(wrong("CHG-4"), "change `CHG-4` begins only at 2026-06-01T12:05:00Z");
    assert_eq!(wrong("CHG-9"), "there is no change `CHG-9` that is open to you");
    let _ = permit(ask("ops@db01").under(&all).claiming(named("CHG-1")).of(&snapshot));
}

#[test]
fn a_change_that_nobody_demands_gives_and_takes_nothing() {
    let snapshot = group(ALL, FREE);
    let given = permit(ask("ops@db01").under(&[change("CHG-1")]).claiming(named("CHG-1")).of(&snapshot));
    assert_eq!((given.change(), given.expires()), (None, None));
    let _ =
        refused(ask("ops@db01").by("other").under(&[change("CHG-1")]).claiming(named("CHG-1")).of(&snapshot));
}

#[test]
fn a_request_that_names_a_change_carries_it_and_it_must_still_cover_the_session() {
    let snapshot = group(ALL, DEMANDED);
    let asked = Request { claims: named("CHG-1"), ..approved() };
    let given = permit(ask("ops@db01").with(asked.clone()).under(&[change("CHG-1")]).of(&snapshot));
    assert_eq!((given.request(), given.change().is_some()), (Some(asked.id), true));
    let over = Change { due: after(-1), ..change("CHG-1") };
    let need = needs(ask("ops@db01").with(asked).under(&[over]).of(&snapshot)).change.unwrap();
    assert!(matches!(need.wrong, Some(NotCovered::Late { .. })), "{need}");
}
