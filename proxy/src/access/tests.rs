use super::*;
use crate::store::testing::Temporary;

const WORLD: &str = "[[user]]\nname = \"operator\"\n[[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n\
    [[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = { devices = [\"*\"] }\nsession = {}\n";

async fn access(temporary: &Temporary) -> Access {
    let store = temporary.store.clone();
    let audit = AuditLog::open(store.clone(), &temporary.directory().join("audit")).await.unwrap();
    Access::load(store, audit).await.unwrap()
}

async fn permitted(access: &Access) -> bool {
    let (user, target) = ("operator".parse().unwrap(), "ops@db01".parse().unwrap());
    let origin = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let decision = access.decide(&user, &target, Action::Session, origin, &Claims::default()).await;
    matches!(decision.unwrap(), Decision::Permitted(_))
}

fn told(written: &[(ResourceName, Written)]) -> Vec<String> {
    written.iter().map(|(name, did)| format!("{name} {did}")).collect()
}

#[tokio::test]
async fn what_is_applied_counts_at_once_and_after_a_restart() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let mut changed = access.changed();
    assert!(!permitted(&access).await);
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    assert!(permitted(&access).await);
    let again = access.apply(WORLD, &By::proxy(), false).await.unwrap();
    assert!(told(&again).iter().all(|line| line.ends_with("unchanged")), "{again:?}");
    assert!(!changed.has_changed().unwrap(), "nothing changed, so nobody looks again");
    assert!(permitted(&super::tests::access(&temporary).await).await);
    assert_eq!(temporary.store.audit_last().await.unwrap().unwrap().seq, 4, "one record for each resource");
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let lines = told(&access.apply(WORLD, &By::proxy(), true).await.unwrap());
    assert_eq!(lines[2], "credential `ops@db01` created");
    assert_eq!(access.resources().await.unwrap(), Resources::default());
    assert_eq!(temporary.store.audit_last().await.unwrap(), None);
}

#[tokio::test]
async fn a_text_with_a_mistake_changes_nothing() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let error = access.apply("[[user]]\nname = \"a\"\n[[user]]\nnmae = \"b\"\n", &By::proxy(), false).await;
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("nothing was applied:\nline 3, column"), "{error}");
    assert_eq!(access.resources().await.unwrap(), Resources::default());
}

#[tokio::test]
async fn what_others_lean_on_is_not_deleted_before_them() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    let name = |kind, name: &str| ResourceName { kind, name: name.to_owned() };
    let (user, group) = (name(Kind::User, "operator"), name(Kind::AccessGroup, "dba"));
    let error = access.delete(std::slice::from_ref(&user), &By::proxy()).await.unwrap_err().to_string();
    assert!(
        error.contains("user `operator` is still in use") && error.contains("access group `dba`"),
        "{error}"
    );
    assert!(permitted(&access).await);
    access.delete(&[user, group.clone()], &By::proxy()).await.unwrap();
    assert!(!permitted(&access).await);
    assert!(matches!(access.delete(&[group], &By::proxy()).await, Err(AccessError::Unknown(_))));
}

#[tokio::test]
async fn what_is_exported_applies_to_an_empty_store() {
    let (first, second) = (Temporary::new().await, Temporary::new().await);
    let (from, to) = (access(&first).await, access(&second).await);
    from.apply(include_str!("../../../config/resources.toml"), &By::proxy(), false).await.unwrap();
    to.apply(&from.export().await.unwrap(), &By::proxy(), false).await.unwrap();
    assert_eq!(to.resources().await.unwrap(), from.resources().await.unwrap());
}

#[tokio::test]
async fn nothing_changes_when_the_audit_log_cannot_be_written() {
    let temporary = Temporary::new().await;
    let dead = Temporary::new().await;
    let audit = AuditLog::open(dead.store.clone(), &dead.directory().join("audit")).await.unwrap();
    dead.store.clone().close().await.unwrap();
    let access = Access::load(temporary.store.clone(), audit).await.unwrap();
    assert!(matches!(access.apply(WORLD, &By::proxy(), false).await, Err(AccessError::Audit(_))));
    assert_eq!(access.resources().await.unwrap(), Resources::default());
    assert!(!permitted(&access).await);
}
