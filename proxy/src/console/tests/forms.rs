//! What is asked for step by step on a terminal: each answer is looked at when it is given.

use jiff::{SignedDuration, Timestamp};

use super::World;

/// What a form says to one of the answers.
fn says(out: &str, typed: &str, told: &str, asks: &str) {
    let said = format!("{typed}\r\n{told}\n\n{asks}");
    assert!(out.contains(&said), "not {said:?} in {out}");
}

#[tokio::test]
async fn what_stands_against_a_step_of_a_request_is_told_under_it_and_asked_again() {
    let world = World::new().await;
    let keys = [
        "ops@db09",
        "1",
        "",
        "ticket 7",
        "",
        "",
        "2020-01-01T00:00Z",
        "",
        "5s",
        "2h",
        "",
        "",
        "0",
        "",
        "save",
    ];
    let keys = keys.map(|line| format!("{line}\r")).concat();
    let made = world.says_on_terminal("operator", "request create", &keys).await;
    assert_eq!((made.status, made.err.as_str()), (0, ""), "{}", made.out);
    for (typed, told, asks) in [
        (
            "ops@db09",
            "access to ops@db09 is not given to you; `access list` shows what you may reach",
            "  1  ops@db01  (1 approval, a justification)\n1/9 Credentials",
        ),
        ("", "access group `dba` asks for more: a justification (--justification)", "2/9 Justification: "),
        ("2020-01-01T00:00Z", "the start must lie in the future, at most a year ahead", "5/9 Start"),
        (
            "5s",
            "a request is for a minute at least and for 366 days at most; ask for a duration between these",
            "6/9 Duration",
        ),
        ("0", "a request is for 1 to 1000 sessions; leave the number out to bound nothing", "9/9 Number"),
    ] {
        says(&made.out, typed, told, asks);
    }
    assert!(made.out.contains("request 1 of operator for ops@db01 waits for approval until"), "{}", made.out);

    let again = world.says_on_terminal("operator", "request create", "1\r\u{3}").await;
    let list = "  1  ops@db01  (1 approval, a justification)\n1/9 Credentials";
    says(&again.out, "1", "request 1 for ops@db01 waits already", list);
    assert!(again.status == 1 && again.out.ends_with("Nothing was asked for.\n"), "{}", again.out);
}

#[tokio::test]
async fn what_is_closed_now_can_be_asked_for_from_when_it_opens() {
    let world = World::new().await;
    let opens = (Timestamp::now() + SignedDuration::from_hours(10 * 24)).strftime("%Y-%m-%d");
    let group = format!(
        "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
         criteria = {{ devices = [\"db*\"] }}\nsession = {{ approval = {{ needed = 1 }} }}\n\
         limitation = {{ from = {opens} }}\n"
    );
    let applied = world.says_with("root", "apply -f -", &group).await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    let keys = "ops@db01\r\r\r\r\r+15d\r\u{3}";
    let out = world.says_on_terminal("operator", "request create", keys).await.out;
    let told = "access to ops@db01 is not given to you; `access list` shows what you may reach";
    says(&out, "5/9 Start: 2026-12-24T18:00Z, +2h; empty for its approval: ", told, "5/9 Start");
    assert!(out.contains("+15d\r\n\n6/9 Duration"), "{out}");
}

#[tokio::test]
async fn what_needs_no_approval_now_can_be_asked_for_from_when_it_needs_one() {
    let world = World::new().await;
    let day = Timestamp::now() + SignedDuration::from_hours(3 * 24);
    let (weekday, day) = (day.strftime("%a").to_string().to_lowercase(), day.strftime("%Y-%m-%d"));
    let group = format!(
        "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
         criteria = {{ devices = [\"db*\"] }}\n\
         session = {{ approval = {{ needed = 1, when = {{ weekdays = [\"{weekday}\"] }} }} }}\n"
    );
    let applied = world.says_with("root", "apply -f -", &group).await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    let keys = format!("ops@db01\r\r\r\r\r{day}T12:00Z\r") + "\u{3}";
    let out = world.says_on_terminal("operator", "request create", &keys).await.out;
    let told = "ops@db01 needs no approval and no word: connect with ssh";
    says(&out, "5/9 Start: 2026-12-24T18:00Z, +2h; empty for its approval: ", told, "5/9 Start");
    assert!(out.contains(&format!("{day}T12:00Z\r\n\n6/9 Duration")), "{out}");
    // An emergency begins now, and is told at once.
    let line = "request create --emergency 'the shop is down'";
    let out = world.says_on_terminal("operator", line, "ops@db01\r\u{3}").await.out;
    says(&out, "ops@db01", told, "  1  ops@db01  (");
}

#[tokio::test]
async fn a_start_that_was_said_ahead_and_at_which_it_is_closed_is_asked_for_again() {
    let world = World::new().await;
    let opens = (Timestamp::now() + SignedDuration::from_hours(10 * 24)).strftime("%Y-%m-%d");
    let group = format!(
        "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
         criteria = {{ devices = [\"db*\"] }}\nsession = {{ approval = {{ needed = 1 }} }}\n\
         limitation = {{ from = {opens} }}\n"
    );
    let applied = world.says_with("root", "apply -f -", &group).await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    let keys = "ops@db01\r\r\r\r\r+15d\r\u{3}";
    let out = world.says_on_terminal("operator", "request create --start +2h", keys).await.out;
    assert!(out.contains("ops@db01\r\n\n2/9 Justification"), "{out}");
    let told = "access to ops@db01 is not given to you; `access list` shows what you may reach";
    says(&out, "]: ", told, "5/9 Start");
    assert!(out.contains("+15d\r\n\n6/9 Duration"), "{out}");
}

#[tokio::test]
async fn what_stands_against_a_step_of_a_change_is_told_under_it_and_asked_again() {
    let world = World::new().await;
    let line = "change create CHG-1 --title x --due +2h --group dba --device db01 --responsible approver";
    assert_eq!(world.says("operator", line).await.status, 0);
    let keys = [
        "CHG-1",
        "CHG-2",
        "Restart it",
        "",
        "dbb",
        "dba",
        "db01,db09",
        "db01",
        "2999-01-01T00:00Z",
        "",
        "2020-01-01T00:00Z",
        "+2h",
        "df *",
        "",
        "",
        "",
        "nobody",
        "approver",
        "",
        "save",
    ];
    let keys = keys.map(|line| format!("{line}\r")).concat();
    let made = world.says_on_terminal("operator", "change create", &keys).await;
    assert_eq!((made.status, made.err.as_str()), (0, ""), "{}", made.out);
    for (typed, told, asks) in [
        ("CHG-1", "there is a change `CHG-1` already; give this one another id", "1/12 ID"),
        ("dbb", "there is no access group `dbb`", "4/12 Access group: "),
        ("db01,db09", "there is no device `db09`", "5/12 Devices"),
        ("2999-01-01T00:00Z", "its start lies more than a year ahead; give an earlier start", "6/12 Start"),
        ("2020-01-01T00:00Z", "its due must come after its start", "7/12 Due"),
        ("nobody", "there is no enabled user `nobody` who could be responsible", "11/12 Responsible"),
    ] {
        says(&made.out, typed, told, asks);
    }
    assert!(
        made.out.ends_with("change CHG-2 waits for the approval of somebody else than operator\n"),
        "{}",
        made.out
    );

    // Who can plan nothing is asked nothing.
    let local = world.says_on_terminal("root", "change create", "").await;
    assert_eq!((local.status, local.out.as_str()), (1, ""));
    assert!(local.err.contains("the local administrator is no user"), "{}", local.err);
}

#[tokio::test]
async fn a_due_that_was_said_ahead_and_is_over_is_asked_for_again_and_lets_the_start_be() {
    let world = World::new().await;
    let keys = "CHG-1\rx\r\rdba\rdb01\r\r\r+2h\r\u{3}";
    let out = world.says_on_terminal("operator", "change create --due 2020-01-01T00:00Z", keys).await.out;
    assert!(out.contains("empty for now: \r\n\n7/12 Due"), "{out}");
    says(&out, "]: ", "its due must come after its start", "7/12 Due");
    assert!(out.contains("+2h\r\n\n8/12 "), "{out}");
}

#[tokio::test]
async fn a_step_that_was_good_keeps_its_answer_when_another_is_refused() {
    let world = World::new().await;
    let keys = "CHG-1\rx\r\rdba\r<\rdbb\r\u{3}";
    let out = world.says_on_terminal("operator", "change create", keys).await.out;
    says(&out, "dbb", "there is no access group `dbb`", "4/12 Access group [dba]: ");
}
