//! `change …` as people type it.

use jiff::{SignedDuration, Timestamp};
use tidegate_common::change::{Change, ChangeState};

use super::World;
use crate::changes::tests::change;
use crate::store::Store;

/// A change that is open for an hour, as a text.
fn text(id: &str) -> String {
    let due = Timestamp::now() + SignedDuration::from_hours(1);
    format!(
        "id = \"{id}\"\ntitle = \"Restart the database\"\nstart = {:.0}\ndue = {due:.0}\n\
         access_group = \"dba\"\ndevices = [\"db01\"]\n\
         commands = [\"systemctl restart postgresql\", {{ command = \"df *\", optional = true }}]\n\
         responsible = [\"approver\"]\n",
        Timestamp::now()
    )
}

#[tokio::test]
async fn a_change_is_planned_from_a_text_whose_mistakes_are_told_with_their_place() {
    let world = World::new().await;
    let made = world.says_with("operator", "change create -f -", &text("CHG-1")).await;
    assert_eq!(made.status, 0, "{}", made.err);
    assert_eq!(made.out, "change CHG-1 waits for the approval of somebody else than operator\n");
    let again = world.says_with("operator", "change create -f -", &text("CHG-1")).await;
    assert!(again.status == 1 && again.err.contains("there is a change `CHG-1` already"), "{}", again.err);

    let unknown = text("CHG-2").replace("devices", "device");
    let wrong = world.says_with("operator", "change create -f -", &unknown).await;
    assert_eq!((wrong.status, wrong.out.as_str()), (1, ""));
    assert!(wrong.err.contains("the text, line 6, column 1: unknown field `device`"), "{}", wrong.err);
    let named = "change create -f - --called plan.toml";
    let wrong = world.says_with("operator", named, &unknown).await;
    assert!(wrong.err.contains("plan.toml, line 6, column 1: "), "{}", wrong.err);
    let nowhere = text("CHG-2").replace("db01", "db09");
    let wrong = world.says_with("operator", "change create -f -", &nowhere).await;
    assert!(wrong.err.contains("there is no device `db09`"), "{}", wrong.err);
    let file = world.says("operator", "change create -f change.toml").await;
    assert_eq!(file.status, 2);
    assert!(file.err.contains("change create -f - < change.toml"), "{}", file.err);
    let local = world.says_with("root", "change create -f -", &text("CHG-2")).await;
    assert!(local.err.contains("the local administrator is no user"), "{}", local.err);

    let shown = world.says("approver", "change show CHG-1").await.out;
    for part in [
        "Restart the database",
        "waits for the approval of somebody else than operator",
        "Expected commands:\n  systemctl restart postgresql\n  df *  (optional)\n",
    ] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    let stranger = world.says("stranger", "change show CHG-1").await;
    assert!(stranger.err.contains("there is no change `CHG-1` that concerns you"), "{}", stranger.err);
    let log = world.says("auditor", "audit tail -n 1000").await.out;
    assert!(!log.contains("CHG-2"), "what was wrong is no change: {log}");
}

#[tokio::test]
async fn changes_are_listed_by_state_and_group_rejected_with_a_remark_and_cancelled() {
    let world = World::new().await;
    for id in ["CHG-1", "CHG-2", "CHG-3"] {
        let made = world.says_with("operator", "change create -f -", &text(id)).await;
        assert_eq!(made.status, 0, "{}", made.err);
    }
    let own = world.says("operator", "change reject CHG-1").await;
    assert_eq!((own.status, own.out.as_str()), (1, ""), "{}", own.err);
    let rejected = world.says("approver", "change reject CHG-1 -m 'after the freeze'").await;
    assert_eq!(rejected.out, "change CHG-1 was rejected by approver: after the freeze\n", "{}", rejected.err);
    let late = world.says("approver", "change approve CHG-1").await;
    assert!(late.err.contains("change `CHG-1` is rejected already"), "{}", late.err);
    let stranger = world.says("stranger", "change cancel CHG-2").await;
    assert!(stranger.err.contains("there is no change `CHG-2` that concerns you"), "{}", stranger.err);
    let cancelled = world.says("operator", "change cancel CHG-2 -m 'not needed'").await;
    assert_eq!(cancelled.out, "change CHG-2 was cancelled by operator: not needed\n", "{}", cancelled.err);

    let ids = async |who: &str, line: &str| {
        let list = world.says(who, &format!("change list -o json {line}")).await.out;
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let id = |one: &serde_json::Value| one["id"].as_str().unwrap().to_owned();
        let mut ids: Vec<_> = list.as_array().unwrap().iter().map(id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids("operator", "").await, ["CHG-1", "CHG-2", "CHG-3"]);
    assert_eq!(ids("operator", "--state rejected").await, ["CHG-1"]);
    assert_eq!(ids("approver", "--state cancelled --group dba").await, ["CHG-2"]);
    assert_eq!(ids("auditor", "--state waiting-approval").await, ["CHG-3"]);
    assert_eq!(ids("auditor", "--group others").await, [""; 0]);
    assert_eq!(ids("stranger", "").await, [""; 0]);
    let none = world.says("auditor", "change list --state executed").await;
    assert_eq!((none.out.as_str(), none.err.as_str()), ("", "No change fits.\n"));
    let csv = world.says("auditor", "change list --state rejected -o csv").await.out;
    assert!(csv.starts_with("ID,STATE,ACCESS GROUP,DEVICES,START,DUE,AUTHOR,TITLE\r\n"), "{csv}");
    assert!(csv.lines().count() == 2 && csv.contains("\r\nCHG-1,rejected,dba,db01,"), "{csv}");
    assert_eq!(world.says("auditor", "change list --state unheard-of").await.status, 2);
}

#[tokio::test]
async fn a_change_that_nobody_approved_in_time_reads_as_expired_wherever_it_is_shown() {
    let world = World::new().await;
    let late = change("CHG-1", "dba", &[]);
    let due = late.start + SignedDuration::from_mins(30);
    let late = Change { due, state: ChangeState::WaitingApproval, ..late };
    assert!(world.services.store.takes(Store::change_made(late.clone())).await);
    let made = world.says_with("operator", "change create -f -", &text("CHG-2")).await;
    assert_eq!(made.status, 0, "{}", made.err);

    for line in ["change show CHG-1", "change report CHG-1"] {
        let shown = world.says("approver", line).await.out;
        assert!(shown.contains("change CHG-1 has expired: nobody approved it until "), "{shown}");
        assert!(!shown.contains("waits for the approval"), "{shown}");
    }
    let json = world.says("approver", "change show CHG-1 -o json").await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["state"]["state"], "expired", "{json}");
    for (line, first, second) in [
        ("change list -o csv", "CHG-1,expired,dba", "CHG-2,waiting for approval,dba"),
        ("change list --state expired -o csv", "CHG-1,expired,dba", ""),
        ("change list --state waiting-approval -o csv", "", "CHG-2,waiting for approval,dba"),
    ] {
        let list = world.says("auditor", line).await.out;
        for (id, part) in [("CHG-1", first), ("CHG-2", second)] {
            assert!(list.contains(part) && list.contains(id) != part.is_empty(), "{line}: {list}");
        }
    }
    let approved = world.says("approver", "change approve CHG-1").await;
    assert!(approved.err.contains("the time of change `CHG-1` is over"), "{}", approved.err);
    let closed = world.says("operator", "change close CHG-1").await;
    assert!(closed.err.contains("the time of change `CHG-1` is over"), "{}", closed.err);
    assert_eq!(world.services.store.change(&late.id).await.unwrap(), Some(late), "what is written stays");
}
