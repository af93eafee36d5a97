//! `access explain`, `access matrix`, and what a dry run tells.

use super::World;

#[tokio::test]
async fn a_decision_is_explained_at_another_moment_too_step_by_step() {
    let world = World::new().await;
    let now = world.says("auditor", "access explain operator ops@db01").await;
    for line in [
        "  1. yes user `operator` is known and enabled",
        "access group `dba` governs and demands approval",
        "NO  it still asks for a justification, 1 approval",
    ] {
        assert!(now.out.contains(line), "{line}: {} {}", now.out, now.err);
    }
    let closes = "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                  criteria = { devices = [\"db*\"] }\nsession = {}\nlimitation = { until = 2030-12-31 }\n";
    let applied = world.says_with("admin", "apply -f -", closes).await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    let later = world.says("auditor", "access explain operator ops@db01 --at 2031-01-01T12:00Z").await.out;
    assert!(
        later.starts_with("operator to ops@db01 at 2031-01-01 12:00:00Z: refused: no access group"),
        "{later}"
    );
    assert!(later.contains("NO  no access group gives it (closest: `dba`"), "{later}");
    let before =
        world.says("auditor", "access explain operator ops@db01 --at 2030-12-31T12:00Z -o json").await.out;
    let before: serde_json::Value = serde_json::from_str(&before).unwrap();
    assert_eq!(before["steps"].as_array().unwrap().last().unwrap()["holds"], true, "{before}");
    assert_eq!(world.says("auditor", "access explain operator ops@db01 --at noon").await.status, 2);
}

#[tokio::test]
async fn a_dry_run_tells_who_gains_and_who_loses_before_anything_is_written() {
    let world = World::new().await;
    let edit = "[[access_group]]\nname = \"dba\"\nusers = [\"stranger\"]\napprovers = [\"approver\"]\n\
                criteria = { devices = [\"db*\"] }\nsession = {}\n";
    let told = world.says_with("admin", "apply -f - --dry-run", edit).await;
    for line in [
        "access_group/dba changed (dry run)",
        "accesses gained: 1, of 1 users",
        "accesses lost: 1, of 1 users",
        "accesses on other terms: 0, of 0 users",
        "  gained: stranger, session on ops@db01, by `dba`, asks for nothing, open always, grants sudo",
        "  lost: operator, session on ops@db01, by `dba`, asks for 1 approval, a justification, open always",
    ] {
        assert!(told.out.contains(line), "{line}: {} {}", told.out, told.err);
    }
    let json = world.says_with("admin", "apply -f - --dry-run -o json", edit).await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["effect"]["gained"]["count"], &json["resources"][0]["result"]),
        (&1.into(), &"changed".into())
    );
    let listed = world.says("auditor", "access matrix -o json").await.out;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed[0]["user"], &listed[0]["group"]),
        (&"operator".into(), &"dba".into()),
        "nothing was written"
    );
    let table = world.says("auditor", "access matrix --device db01").await.out;
    assert!(
        table.starts_with("USER      CREDENTIAL  ACTION   ASKS FOR") && table.contains("operator  ops@db01"),
        "{table}"
    );
    assert!(
        world.says("auditor", "access matrix --user stranger").await.err.contains("gives anybody anything")
    );
}
