//! What stands where: `agent list` and `grant list`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_common::audit::EndCause;
use tidegate_common::grant::{Drift, PrivilegeKind, Standing};
use tidegate_common::id::SessionId;
use tidegate_common::name::DeviceName;

use super::World;
use crate::agents::{GrantSeen, GrantState, What};

fn db01() -> DeviceName {
    "db01".parse().unwrap()
}

fn grant(session: SessionId, state: GrantState) -> GrantSeen {
    GrantSeen {
        session,
        what: What {
            device: db01(),
            account: "ops".parse().unwrap(),
            privileges: vec![serde_json::from_str(r#"{"kind":"sudo"}"#).unwrap()],
            applied: vec!["ops may sudo".to_owned()],
            since: Timestamp::now(),
            expires: None,
        },
        lease_left: Duration::from_secs(27),
        linked: true,
        state,
    }
}

fn standing(session: Option<SessionId>) -> Standing {
    let (account, kind) = ("ops".parse().unwrap(), PrivilegeKind::Groups);
    Standing { session, account, kind, what: "ops is in adm".into(), why: "read-only file system".into() }
}

async fn world() -> (World, SessionId) {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    let session = world.session().await;
    (world, session)
}

/// The lines of `grant list -o json`, as somebody sees them: state and session.
async fn seen(world: &World, who: &str, filter: &str) -> Vec<(String, String)> {
    let done = world.says(who, &format!("grant list {filter} -o json")).await;
    let lines: Vec<Value> = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{}", done.err));
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    lines.iter().map(|line| (text(line, "state"), text(line, "session"))).collect()
}

#[tokio::test]
async fn every_grant_is_listed_to_auditors_and_to_a_user_their_own() {
    let (world, session) = world().await;
    let nothing = world.says("auditor", "grant list").await;
    assert!(nothing.out.is_empty() && nothing.err.contains("Nothing is granted"), "{}", nothing.err);
    let foreign = SessionId::new(2, 2);
    let grants = vec![grant(session, GrantState::Active), grant(foreign, GrantState::Ending)];
    *world.links.grants.lock().unwrap() = grants;
    let (active, ending) =
        (("active".to_owned(), session.to_string()), ("ending".to_owned(), foreign.to_string()));
    for who in ["auditor", "admin", "root"] {
        assert_eq!(seen(&world, who, "").await, [active.clone(), ending.clone()], "{who}");
    }
    assert_eq!(seen(&world, "operator", "").await, std::slice::from_ref(&active));
    assert_eq!(seen(&world, "stranger", "").await, []);
    assert_eq!(world.says("stranger", "grant list --user operator").await.status, 1);
    assert_eq!(seen(&world, "auditor", "--user operator").await, [active]);
    assert_eq!(seen(&world, "auditor", "--device db01").await.len(), 2);
    assert_eq!(seen(&world, "auditor", "--device db02").await, []);
    let table = world.says("auditor", "grant list").await.out;
    for part in ["ops@db01", "active", "27s", "sudo"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[tokio::test]
async fn what_outlived_its_session_stands_in_the_list_with_the_reason() {
    let (world, session) = world().await;
    let store = &world.services.store;
    let ended = Timestamp::now() - Duration::from_secs(125);
    store.session_end(session, EndCause::User, ended).await.unwrap();
    let unknown = standing(None);
    store.set_standing(&db01(), &[standing(Some(session)), unknown]).await.unwrap();
    let of_session = ("standing".to_owned(), session.to_string());
    assert_eq!(
        seen(&world, "auditor", "").await,
        [of_session.clone(), ("standing".to_owned(), String::new())]
    );
    assert_eq!(seen(&world, "operator", "").await, [of_session]);
    let shown = world.says("auditor", "grant list").await.out;
    assert!(shown.contains("ops is in adm: stands from session"), "{shown}");
    assert!(shown.contains("which ended 2m ago: read-only file system"), "{shown}");
    // An agent cannot make it look as if a session on another device had left something.
    store.set_standing(&db01(), &[]).await.unwrap();
    store.set_standing(&"db02".parse().unwrap(), &[standing(Some(session))]).await.unwrap();
    assert_eq!(seen(&world, "operator", "").await, []);
    assert_eq!(seen(&world, "auditor", "").await, [("standing".to_owned(), String::new())]);
}

#[tokio::test]
async fn the_agents_are_listed_with_what_stands_drifted_and_was_lost() {
    let (world, session) = world().await;
    let store = &world.services.store;
    let now = Timestamp::now();
    store.enrol(&db01(), "x", now).await;
    let healthy = world.says("auditor", "agent list").await.out;
    assert_eq!(healthy.lines().count(), 2, "no note without a reason: {healthy}");
    world.links.more.store(12, std::sync::atomic::Ordering::Relaxed);
    let over = world.says("auditor", "agent list").await.out;
    assert!(over.contains("12 times, in this hour"), "{over}");
    world.links.more.store(0, std::sync::atomic::Ordering::Relaxed);
    store.agent_summed(&db01(), 1204, now - Duration::from_secs(125)).await.unwrap();
    let over = world.says("auditor", "agent list").await.out;
    assert!(over.contains("1204 times, 2m ago"), "{over}");
    store.set_standing(&db01(), &[standing(Some(session))]).await.unwrap();
    let found = |found: &str| Drift { kind: PrivilegeKind::Sudo, found: found.to_owned() };
    let drift = [found("first"), found("\u{1b}[2Jthe rule was edited")];
    store.set_drift(&db01(), session, &drift, now - Duration::from_secs(125)).await.unwrap();
    store.agent_lost(&db01(), 7, now).await.unwrap();
    let shown = world.says("auditor", "agent list").await.out;
    for part in
        ["read-only file system", "the last drift, 2m ago in session", "the rule was edited", "lost records"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\u{1b}') && !shown.contains("first"), "{shown:?}");
    let lines: Vec<Value> =
        serde_json::from_str(&world.says("auditor", "agent list -o json").await.out).unwrap();
    let line = &lines[0];
    assert_eq!((&line["drift"]["count"], &line["lost"]), (&2.into(), &7.into()), "{line}");
    assert_eq!(line["standing"][0]["session"], session.to_string());
    assert_eq!((&line["version"], &line["state"]), (&"0.1.0".into(), &"linked".into()), "{line}");
}
