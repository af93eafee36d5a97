//! Changes as people write them.

use super::*;

const WORLD: &str = r#"
[[user]]
name = "operator"
[[user]]
name = "approver"
[[user]]
name = "adam"
roles = ["admin"]
[[user]]
name = "stranger"
[[user]]
name = "olga"
enabled = false
[[device]]
name = "db01"
[[device]]
name = "web01"
[[credential]]
name = "ops@db01"
[[access_group]]
name = "dba"
users = ["operator"]
approvers = ["approver"]
criteria = { devices = ["db*"] }
session = { change = true }
"#;

const TEXT: &str = r#"
id = "CHG-2041"
title = "Restart the database"
start = 2026-06-01T12:00:00Z
due = "2026-06-01T14:00:00+02:00"
access_group = "dba"
devices = ["db01"]
commands = ["systemctl restart postgresql", { command = "journalctl *", optional = true }]
responsible = ["approver"]
"#;

fn snapshot() -> Snapshot {
    Snapshot::new(&Resources::read(WORLD).unwrap()).unwrap()
}

fn made(text: &str, author: &str) -> Result<Change, Vec<String>> {
    let draft = Draft::read(text, after(-3600)).map_err(|mistakes| vec![mistakes.to_string()])?;
    let made = draft.made(&snapshot(), &author.parse().unwrap(), after(-3600));
    made.map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

#[test]
fn a_text_makes_a_change_that_waits_for_somebody_else_s_approval() {
    let text = TEXT.replace("14:00:00+02:00", "15:00:00+02:00");
    let change = made(&text, "operator").unwrap();
    assert_eq!(change.state, ChangeState::WaitingApproval);
    assert_eq!((change.start, change.due), (noon(), after(3600)));
    assert!(!change.expected[0].optional && change.expected[1].optional);
    let snapshot = snapshot();
    let ballot = |user: &str| change.ballot(&user.parse().unwrap(), &snapshot, noon());
    assert_eq!(ballot("operator"), Err(NoApproval::Own));
    assert_eq!((ballot("adam"), ballot("approver")), (Err(NoApproval::Stranger), Ok(())));
    let json = serde_json::to_string(&change).unwrap();
    assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change);
}

#[test]
fn the_manager_of_its_author_and_who_stands_in_decide_on_a_change_where_the_group_names_them() {
    let change = made(&TEXT.replace("14:00:00+02:00", "15:00:00+02:00"), "operator").unwrap();
    let deputy =
        "name = \"approver\"\ndeputy = { user = \"stranger\", from = 2026-06-01, until = 2026-06-02 }";
    let world = WORLD
        .replacen("name = \"operator\"", "name = \"operator\"\nmanager = \"adam\"", 1)
        .replacen("name = \"approver\"", deputy, 1)
        .replace("[\"approver\"]", "[\"approver\", { manager = true }]");
    let snapshot = Snapshot::new(&Resources::read(&world).unwrap()).unwrap();
    let ballot = |user: &str, now| change.ballot(&user.parse().unwrap(), &snapshot, now);
    for user in ["approver", "stranger", "adam"] {
        assert_eq!(ballot(user, noon()), Ok(()), "{user}");
    }
    assert_eq!(ballot("stranger", after(7 * 24 * 3600)), Err(NoApproval::Stranger));
}

#[test]
fn everything_that_is_wrong_with_a_draft_is_told_at_once() {
    assert_eq!(made(TEXT, "operator").unwrap_err(), ["its due must come after its start"]);
    let text = TEXT.replace("14:00", "15:00").replace("[\"db01\"]", "[\"db01\", \"db09\"]");
    let text = text.replace("[\"approver\"]", "[\"olga\"]");
    let wrong = made(&text, "stranger").unwrap_err();
    let expected = [
        "access group `dba` does not name you; its users, its approvers and administrators write changes for it",
        "there is no device `db09`",
        "there is no enabled user `olga` who could be responsible",
    ];
    assert_eq!(wrong, expected);
    assert!(made(&TEXT.replace("14:00", "15:00"), "adam").is_ok());
    let alone = made(&TEXT.replace("14:00", "15:00"), "approver").unwrap_err();
    assert_eq!(alone, ["access group `dba` names no approver but you, so nobody could approve it"]);
}

#[test]
fn a_moment_may_be_said_as_so_long_from_now_and_without_a_start_it_begins_at_once() {
    let text = TEXT.replace("2026-06-01T14:00:00+02:00", "+2h");
    let change = made(&text.replace("2026-06-01T12:00:00Z", "\"+1h\""), "operator").unwrap();
    assert_eq!((change.start, change.due), (noon(), after(3600)));
    let change = made(&text.replace("start = 2026-06-01T12:00:00Z\n", ""), "operator").unwrap();
    assert_eq!((change.start, change.due), (after(-3600), after(3600)));
    let wrong = made(&text.replace("+2h", "+soon"), "operator").unwrap_err().concat();
    assert!(wrong.contains("`+soon` is no moment"), "{wrong}");
}

#[test]
fn a_start_that_is_too_far_and_a_due_that_is_too_far_are_told_apart() {
    let far = TEXT.replace("2026-06-01T12", "2030-06-01T12").replace("2026-06-01T14:00", "2030-06-01T15:00");
    let told = made(&far, "operator").unwrap_err();
    assert_eq!(told, ["its start lies more than a year ahead; give an earlier start"]);
    let told = made(&TEXT.replace("2026-06-01T14:00", "2030-06-01T15:00"), "operator").unwrap_err();
    assert_eq!(told, ["its due comes more than a year after its start; give an earlier due"]);
}

#[test]
fn a_mistake_in_a_text_is_told_with_its_place() {
    for (from, to, expected) in [
        ("title", "titel", "line 3, column 1: unknown field `titel`"),
        ("\"journalctl *\"", "\"*\"", "`*` matches every command"),
        ("12:00:00Z", "12:00:00", "`2026-06-01T12:00:00` is no moment; write it as 2026-12-24T18:00:00Z"),
        ("CHG-2041", "CHG 2041", "line 2, column"),
        ("[\"db01\"]", "[\"db01\"", "line"),
    ] {
        let wrong = Draft::read(&TEXT.replace(from, to), noon()).unwrap_err().to_string();
        assert!(wrong.contains(expected), "{wrong}");
    }
    // What it repeats of the text does nothing to the terminal that shows it.
    let odd = r#""\u001b[2J\u202e""#;
    let wrong = Draft::read(&format!("{odd} = 1{TEXT}"), noon()).unwrap_err().to_string();
    assert!(wrong.starts_with("line 1, column 1: unknown field") && wrong.contains("[2J"), "{wrong:?}");
    assert!(!wrong.chars().any(crate::unseen::is_unseen), "{wrong:?}");
}
