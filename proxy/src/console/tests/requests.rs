//! `request …` as people type it.

use tidegate_common::audit::EndCause;

use super::*;

#[tokio::test]
async fn requests_are_listed_by_state_user_and_time_and_a_cut_list_says_so() {
    let world = World::new().await;
    for line in
        ["create ops@db01 -j one", "cancel 1", "create ops@db01 -j two", "cancel 2", "create ops@db01 -j x"]
    {
        assert_eq!(world.says("operator", &format!("request {line}")).await.status, 0, "{line}");
    }
    let ids = async |line: &str| {
        let done = world.says("auditor", &format!("request list -o json {line}")).await;
        let list: serde_json::Value = serde_json::from_str(&done.out).unwrap();
        let ids: Vec<_> = list.as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()).collect();
        (ids, done.err)
    };
    assert_eq!(ids("").await, (vec![3, 2, 1], String::new()));
    assert_eq!(ids("--state cancelled").await.0, [2, 1]);
    assert_eq!(ids("--pending").await.0, [3]);
    assert_eq!(ids("--user operator --since 1h").await.0, [3, 2, 1]);
    assert_eq!(ids("--user approver").await.0, [0_u64; 0]);
    assert_eq!(ids("--since 2999-01-01T00:00Z").await.0, [0_u64; 0]);
    let (cut, said) = ids("-n 2").await;
    assert_eq!(cut, [3, 2]);
    assert!(said.starts_with("There are more; these are of the newest 2."), "{said}");
    assert_eq!(world.says("auditor", "request list --pending --state over").await.status, 2);
    assert_eq!(ids("--credential ops@db01 --before 1h").await.0, [0_u64; 0]);
    let mine = async |who: &str, line: &str| world.says(who, &format!("request list {line} -o csv")).await;
    let own = mine("operator", "--mine --pending").await.out;
    assert!(own.starts_with("ID,STATE,USER,CREDENTIALS,"), "{own}");
    assert!(own.lines().count() == 2 && own.contains("\r\n3,pending,operator,ops@db01,,session,"), "{own}");
    assert_eq!(mine("approver", "--to-approve").await.out.lines().count(), 2);
    assert_eq!(mine("operator", "--to-approve").await.out.lines().count(), 1, "nobody approves their own");
    assert_eq!(mine("approver", "--mine").await.out.lines().count(), 1);
}

#[tokio::test]
async fn a_request_is_bounded_decided_in_part_and_extended_by_words_and_tells_its_story() {
    let world = World::new().await;
    let more = "[[device]]\nname = \"db02\"\n[[credential]]\nname = \"ops@db02\"\n";
    world.says_with("root", "apply -f -", more).await;
    let line = "request create ops@db01 ops@db02 -j 'two hosts' --duration 1month --days mon,tue \
                --times 08:00-12:00,13:00-17:45 --sessions 3";
    let made = world.says("operator", line).await;
    assert!(made.out.starts_with("request 1 of operator for ops@db01 and ops@db02 waits"), "{}", made.out);
    let wrong = [
        ("--times 08:05-12:00", "steps of 15 minutes"),
        ("--days someday", "`someday` is no weekday; write mon, tue, wed, thu, fri, sat or sun"),
        ("--zone Mars/Olympus", "`Mars/Olympus` is no IANA time zone"),
        ("--sessions 0", "a request is for 1 to 1000 sessions"),
        ("--sessions many", "invalid"),
        ("--duration 11fortnights", "is not a length of time"),
        ("--emergency no", "an emergency says why it cannot wait"),
        ("--emergency Yes", "an emergency says why it cannot wait"),
        ("--emergency -", "an emergency says why it cannot wait"),
        ("--emergency '<'", "an emergency says why it cannot wait"),
    ];
    for (words, sentence) in wrong {
        let done = world.says("operator", &format!("request create ops@db01 -j x {words}")).await;
        assert!(done.status > 0 && done.err.contains(sentence), "{words}: {}", done.err);
    }
    let done = world.says("approver", "request approve 1 --only ops@db02 -m 'one is enough'").await;
    assert!(done.out.contains("for ops@db02 is approved from"), "{} {}", done.out, done.err);
    let extended = world.says("operator", "request extend 1 2 days -j 'one more weekend'").await;
    assert!(extended.out.contains("of more time for request 1 for ops@db02 waits"), "{}", extended.out);
    let done = world.says("approver", "request approve 2").await;
    assert_eq!(done.status, 0, "{}", done.err);
    let shown = world.says("operator", "request show 1").await.out;
    for part in [
        "credential       ops@db02",
        "made from        192.0.2.7",
        "mon, tue 08:00-12:00, 13:00-17:45 (UTC), 3 sessions",
        "0 of 3, 3 left",
        "approver leaves ops@db01 out at",
        "approver approves (level 1) at",
        " from 192.0.2.7: one is enough\n",
    ] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    world.says("approver", "request revoke 1 -m enough").await;
    let shown = world.says("operator", "request show 1").await.out;
    let revoked = shown.lines().find(|line| line.starts_with("approver revokes it at ")).unwrap_or(&shown);
    assert!(revoked.ends_with("Z: enough"), "{shown}");
    let json = world.says("operator", "request show 1 -o json").await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for from in [&json["origin"], &json["votes"][0]["origin"]] {
        assert_eq!(from, "192.0.2.7", "{json}");
    }
    // From where it was revoked, its record tells.
    let records = world.services.audit.last(100).await;
    let revoked = records
        .iter()
        .find(|record| matches!(record.event, tidegate_common::audit::Event::RequestRevoked { .. }));
    assert_eq!(revoked.unwrap().origin, Some("192.0.2.7".parse().unwrap()));
}

#[tokio::test]
async fn a_reason_that_a_group_asks_for_by_itself_can_be_said_ahead() {
    let world = World::new().await;
    let group = "[[reason]]\nname = \"incident\"\n\
                 [[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                 criteria = { devices = [\"db*\"] }\nsession = {}\nrequest = { reason = true }\n";
    let applied = world.says_with("root", "apply -f -", group).await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    let silent = world.says("operator", "request create ops@db01").await;
    assert_eq!(
        silent.err,
        "tidegate: access group `dba` asks for more: a reason (--reason, one of incident)\n"
    );
    let said = world.says("operator", "request create ops@db01 -r incident").await;
    assert!(said.out.starts_with("request 1 of operator for ops@db01 is approved from"), "{}", said.err);
}

#[tokio::test]
async fn a_request_tells_which_of_its_sessions_live_and_how_the_others_ended() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    let id = world.session().await;
    let shown = world.says("operator", "request show 1").await.out;
    let lives = format!("sessions that rested on it:\n  {id}  ops@db01 from 192.0.2.7, lives since 20");
    assert!(shown.contains(&lives), "{shown}");
    world.services.store.session_end(id, EndCause::User, jiff::Timestamp::now()).await.unwrap();
    let shown = world.says("operator", "request show 1").await.out;
    let line = shown.lines().find(|line| line.contains(&id.to_string())).unwrap_or(&shown);
    assert!(line.starts_with(&format!("  {id}  ops@db01 from 192.0.2.7, 20")), "{line}");
    assert!(line.contains("Z until 20") && line.ends_with("Z (the user left)"), "{line}");
}
