//! Lists on a terminal of 80 columns.

use super::World;
use super::group_reviews::reviewed;
use crate::console::table::length;

/// What a list shows on 80 columns; every line of it fits.
async fn on_80(world: &World, who: &str, line: &str) -> String {
    let list = world.says_on(80, who, line, "").await;
    assert_eq!(list.status, 0, "{line}: {}", list.err);
    for row in list.out.lines() {
        assert!(length(row) <= 80, "{line}: {row}");
    }
    list.out
}

#[tokio::test]
async fn remote_accesses_fit_and_machines_have_all_of_them() {
    let world = World::new().await;
    let group = "[[user_group]]\nname = \"field-engineers\"\nusers = [\"operator\"]\n";
    assert_eq!(world.says_with("root", "apply -f -", group).await.status, 0);
    let made = world
        .says(
            "admin",
            "remote-access request field-engineers operator -j 'replace the disk of the third rack' \
             --duration 30d --credential ops@db01:login --sessions 3",
        )
        .await;
    assert_eq!(made.status, 0, "{}", made.err);
    let list = on_80(&world, "admin", "remote-access list").await;
    for part in
        ["ID  STATE", "USER GROUP", "pending", "field-engineers", "limited", "in 30d", "LEFT", "replace"]
    {
        assert!(list.contains(part), "no `{part}` in {list}");
    }
    let csv = world.says("admin", "remote-access list -o csv").await.out;
    let heading = "ID,STATE,USER,USER GROUP,ACCESS,FROM,UNTIL,SESSIONS LEFT,BY,JUSTIFICATION\r\n";
    assert!(csv.starts_with(heading), "{csv}");
    assert!(csv.contains("Z,3,admin,replace the disk of the third rack\r\n"), "{csv}");
}

#[tokio::test]
async fn changes_fit_and_machines_have_all_of_them() {
    let world = World::new().await;
    let made = world
        .says(
            "operator",
            "change create CHG-2041 --title 'Restart the database after the upgrade of its storage' --due +30d \
             --group dba --device db01 --responsible approver",
        )
        .await;
    assert_eq!(made.status, 0, "{}", made.err);
    let list = on_80(&world, "auditor", "change list").await;
    for part in ["CHG-2041  waiting for approval  dba", "in 30d", "Restart t"] {
        assert!(list.contains(part), "no `{part}` in {list}");
    }
    let csv = world.says("auditor", "change list -o csv").await.out;
    assert!(
        csv.ends_with("Z,operator,Restart the database after the upgrade of its storage\r\n"),
        "whole moments: {csv}"
    );
}

#[tokio::test]
async fn the_access_matrix_fits_and_machines_have_all_of_it() {
    let world = World::new().await;
    let list = on_80(&world, "auditor", "access matrix").await;
    assert!(list.contains("1 approval, a justification"), "{list}");
    let csv = world.says("auditor", "access matrix -o csv").await.out;
    let heading = "USER,CREDENTIAL,ACTION,ASKS FOR,OPEN,FORWARDS,GRANTS,ACCESS GROUP\r\n";
    assert!(csv.starts_with(heading) && csv.contains(",dba\r\n"), "{csv}");
}

#[tokio::test]
async fn group_reviews_fit_and_machines_have_all_of_them() {
    let world = reviewed().await;
    let list = on_80(&world, "auditor", "group-review list").await;
    assert!(list.contains("LAPSED") && list.contains("d ago") && !list.contains('…'), "{list}");
    let csv = world.says("auditor", "group-review list -o csv").await.out;
    assert!(csv.starts_with("ACCESS GROUP,REVIEW,DUE,GRANTS NOTHING FROM,"), "{csv}");
    assert!(csv.contains("2020-04-07 00:00:00Z"), "{csv}");
}

#[tokio::test]
async fn requests_and_notifications_fit() {
    let world = World::new().await;
    let asked = "request create ops@db01 -j 'restart the database after the upgrade of its storage'";
    assert_eq!(world.says("operator", asked).await.status, 0);
    let list = on_80(&world, "approver", "request list").await;
    assert!(list.contains("pending") && list.contains("ops@db01") && list.contains("restart the"), "{list}");
    on_80(&world, "admin", "notify list").await;
    on_80(&world, "admin", "get user").await;
}
