//! What is kept of what agents tell.

use super::*;
use crate::store::SessionRow;
use crate::store::testing::{Temporary, session};
use tidegate_common::grant::Failure;
use tidegate_common::residue::{Change, Finding, FindingKind};

#[tokio::test]
async fn only_its_own_agent_tells_what_a_session_left_behind_and_only_once() {
    let temporary = Temporary::new().await;
    let context = ListenerContext::testing(&temporary).await;
    let row = session(0);
    context.store.session_put(&row).await.unwrap();
    let (db01, db02) = ("db01".parse().unwrap(), "db02".parse().unwrap());
    let finding = |what: &str| {
        let (kind, change) = (FindingKind::Cron, Change::New);
        vec![Finding { kind, change, what: what.to_owned(), detail: String::new() }]
    };
    let residue = |what: &str| Residue { findings: finding(what), ..Residue::default() };
    context.left_behind(&db02, row.id, residue("forged")).await.unwrap();
    assert_eq!(context.store.residue(row.id).await.unwrap(), None);
    context.left_behind(&db01, row.id, residue("true\u{1b}[2J")).await.unwrap();
    context.left_behind(&db01, row.id, residue("second")).await.unwrap();
    let kept = context.store.residue(row.id).await.unwrap().unwrap();
    assert_eq!(kept.findings, finding("true\\u{1b}[2J"));
    let told = context.told().await;
    assert!(matches!(told.first(), Some(Event::AgentRefused { .. })), "{told:?}");
    assert!(matches!(told.get(1..), Some([Event::ResidueReported { .. }])), "{told:?}");
}

#[tokio::test]
async fn what_an_agent_tells_is_bounded_and_of_its_own_sessions_only() {
    let temporary = Temporary::new().await;
    let context = ListenerContext::testing(&temporary).await;
    let store = &context.store;
    let row = session(0);
    store.session_put(&row).await.unwrap();
    let (db01, db02) = ("db01".parse().unwrap(), "db02".parse().unwrap());
    let kind = tidegate_common::grant::PrivilegeKind::Sudo;
    let drift: Vec<Drift> = (0..100).map(|_| Drift { kind, found: "x\u{1b}".repeat(1000) }).collect();
    context.drifted(&db02, row.id, &drift).await.unwrap();
    assert!(store.drifts().await.unwrap().is_empty(), "it never served that session");
    context.drifted(&db01, row.id, &drift).await.unwrap();
    let drifts = store.drifts().await.unwrap().remove(&db01).unwrap();
    assert_eq!(drifts.count, 64);
    assert!(drifts.last.found.len() <= 512 && !drifts.last.found.contains('\u{1b}'));
    let standing = |count: usize| {
        let one = Standing {
            session: None,
            account: "ops".parse().unwrap(),
            kind,
            what: "a rule".into(),
            why: "it is stuck".into(),
        };
        vec![one; count]
    };
    context.stands(&db01, standing(1000)).await.unwrap();
    assert_eq!(store.standing(None).await.unwrap().len(), MOST_STANDING);
    context.stands(&db01, standing(0)).await.unwrap();
    assert!(store.standing(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_stood_and_was_undone_by_a_sweep_or_by_the_agent_is_told_to_be_gone_once() {
    for by_sweep in [true, false] {
        let temporary = Temporary::new().await;
        let context = ListenerContext::testing(&temporary).await;
        let row = session(0);
        context.store.session_put(&row).await.unwrap();
        let db01 = "db01".parse().unwrap();
        let kind = tidegate_common::grant::PrivilegeKind::Groups;
        let standing = |what: &str, why: &str| Standing {
            session: Some(row.id),
            account: "ops".parse().unwrap(),
            kind,
            what: what.into(),
            why: why.into(),
        };
        let failure = Failure { kind, why: "busy".to_owned() };
        let stands = Ended { standing: vec![failure], ..Ended::default() };
        context.ended_late(&db01, row.id, &stands).await.unwrap();
        context.stands(&db01, vec![standing("adm", "busy"), standing("disk", "busy")]).await.unwrap();
        context.stands(&db01, vec![standing("adm", "read-only"), standing("disk", "busy")]).await.unwrap();
        // One by one, or with the end of the grant.
        if by_sweep {
            context.stands(&db01, vec![standing("disk", "busy")]).await.unwrap();
        } else {
            context.ended_late(&db01, row.id, &Ended::default()).await.unwrap();
        }
        context.stands(&db01, Vec::new()).await.unwrap();
        context.stands(&db01, Vec::new()).await.unwrap();
        let told: Vec<_> = context.told().await.iter().map(ToString::to_string).collect();
        let expected: &[&str] = if by_sweep {
            &["STANDING", "no longer standing on ops@db01: adm", "no longer standing on ops@db01: disk"]
        } else {
            &["STANDING", "the host is what it was"]
        };
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        assert!(told.iter().zip(expected).all(|(told, expected)| told.contains(expected)), "{told:#?}");
    }
}

#[test]
fn an_undo_that_fails_again_for_the_same_reason_is_no_news() {
    let kind = tidegate_common::grant::PrivilegeKind::Groups;
    let (session, other) = (SessionId::new(1, 1), SessionId::new(1, 2));
    let stands = |why: &str, micros: u64| {
        let standing = vec![Failure { kind, why: why.to_owned() }];
        Ended { standing, micros, ..Ended::default() }
    };
    let mut told = Told::default();
    assert!(!told.again(session, &stands("busy", 1)));
    assert!(told.again(session, &stands("busy", 2)));
    assert!(!told.again(other, &stands("busy", 2)));
    assert!(told.again(session, &stands("busy", 3)));
    assert!(!told.again(session, &stands("read-only", 4)), "another reason is news");
    let drift = vec![Drift { kind, found: "gone".to_owned() }];
    assert!(!told.again(session, &Ended { drift, ..stands("read-only", 5) }), "and so is drift");
    assert!(!told.again(session, &Ended::default()));
    assert!(!told.again(session, &Ended::default()), "an end is always told on");
    assert!(!told.again(session, &stands("busy", 6)));
    for number in 0..2000 {
        told.again(SessionId::new(2, number), &stands("busy", 1));
    }
    assert!(told.0.len() <= MOST_TOLD);
}

fn said(session: SessionId, number: u64, last: bool) -> Witnessed {
    Witnessed { number, session, execs: Vec::new(), lost: 0, remarks: Vec::new(), last }
}

#[tokio::test]
async fn an_agent_that_tells_without_end_has_so_many_records_and_one_sum_and_its_sessions_end_is_told() {
    let temporary = Temporary::new().await;
    let context = ListenerContext::testing(&temporary).await;
    let db01: DeviceName = "db01".parse().unwrap();
    let row = session(0);
    let other = SessionRow { id: SessionId::new(1, 2), ..session(0) };
    context.store.session_put(&row).await.unwrap();
    context.store.session_put(&other).await.unwrap();
    context.store.enrol(&db01, "key", Timestamp::now()).await;
    for number in 0..100 {
        let bogus = SessionId::new(9, number.into());
        context.ended_late(&db01, bogus, &Ended::default()).await.unwrap();
        context.ended_late(&db01, row.id, &Ended::default()).await.unwrap();
        context.witnessed(&db01, said(bogus, number, true)).await.unwrap();
        context.witnessed(&db01, said(row.id, number, true)).await.unwrap();
        context.left_behind(&db01, bogus, Residue::default()).await.unwrap();
    }
    // All of its budget is spent; what is due of a session that lives is told all the same.
    context.ended_late(&db01, other.id, &Ended::default()).await.unwrap();
    context.left_behind(&db01, other.id, Residue::default()).await.unwrap();
    context.witnessed(&db01, said(other.id, 1000, true)).await.unwrap();
    let told = context.told().await;
    assert_eq!(told.len(), 20 + 2 + 3, "{told:#?}");
    let of = |id: SessionId| {
        told.iter().filter(|event| serde_json::to_string(event).unwrap().contains(&id.to_string())).count()
    };
    assert_eq!(of(other.id), 3, "{told:#?}");
    assert_eq!(context.registry.budgets().more(&db01), 500 - 22);
    context.sum_up(false).await;
    assert_eq!(context.told().await.len(), told.len(), "the hour is not over");
    context.sum_up(true).await;
    context.sum_up(true).await;
    let sums = context.told().await.split_off(told.len());
    assert_eq!(sums.len(), 1, "{sums:#?}");
    let sum = sums[0].to_string();
    assert!(sum.contains("reports of sessions that it never served"), "{sum}");
    assert!(sum.contains("ends of grants, again"), "{sum}");
    assert_eq!(context.store.agent(&db01).await.unwrap().unwrap().summed, 500 - 22);
}

#[tokio::test]
async fn what_an_agent_tells_of_sessions_that_are_over_has_a_bound_and_of_a_live_one_all_is_kept() {
    let temporary = Temporary::new().await;
    let context = ListenerContext::testing(&temporary).await;
    let db01: DeviceName = "db01".parse().unwrap();
    let over = SessionRow { ended: Some(Timestamp::UNIX_EPOCH), ..session(0) };
    let live = SessionRow { id: SessionId::new(1, 2), ..session(0) };
    for row in [&over, &live] {
        context.store.session_put(row).await.unwrap();
    }
    assert!(context.registry.budgets().past(&db01, 64 << 20), "all of it");
    let remark =
        |session, number| Witnessed { remarks: vec!["first".into()], ..said(session, number, false) };
    for row in [&over, &live] {
        context.witnessed(&db01, remark(row.id, 1)).await.unwrap();
    }
    let kept = |row: &SessionRow| std::fs::read_to_string(context.witnesses.path(row.id)).unwrap();
    assert!(kept(&live).contains("first"), "{}", kept(&live));
    assert!(kept(&over).contains("more of sessions that are over than is kept"), "{}", kept(&over));
}
