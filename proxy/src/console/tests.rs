mod accesses;
mod changes;
mod commands;
mod confirmed;
mod edits;
mod evidence;
mod fleet;
mod forms;
mod gates;
mod group_reviews;
mod limited_users;
mod lists;
mod live;
mod manuals;
mod mistakes;
mod origins;
mod panics;
mod requests;
mod secrets;
mod told;
mod world;

use std::sync::Arc;

use tidegate_common::digest::Digest;

use super::*;
use crate::ssh_name::SshName;
use world::World;

#[tokio::test]
async fn a_request_goes_its_way_from_its_making_to_its_revocation() {
    let world = World::new().await;
    let made = world.says("operator", "request create ops@db01 -j 'ticket 7' --duration 30m").await;
    assert_eq!(made.status, 0, "{}", made.err);
    assert!(
        made.out.starts_with("request 1 of operator for ops@db01 waits for approval until"),
        "{}",
        made.out
    );
    let list = world.says("approver", "request list -o json").await.out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[0]["id"], &list[0]["state"]), (&1.into(), &"pending".into()));
    assert_eq!(list[0]["justification"], "ticket 7");
    let asked = world.says("approver", "request show 1").await.out;
    assert!(asked.contains("would open for") && asked.contains("30m"), "{asked}");
    let asked = world.says("approver", "request show 1 -o json").await.out;
    let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert_eq!((&asked["opens_for"], &asked["longest"]), (&"30m".into(), &serde_json::Value::Null));
    let own = world.says("operator", "request approve 1").await;
    assert_eq!((own.status, own.out.as_str()), (1, ""));
    assert_eq!(own.err, "tidegate: request 1 takes no vote of yours: nobody approves their own request\n");
    let approved = world.says("approver", "request approve 1 -m 'go ahead' --duration 10m").await;
    assert!(approved.out.contains("is approved from"), "{}", approved.out);
    let shown = world.says("operator", "request show 1").await.out;
    assert!(shown.contains("approver approves (level 1)") && shown.contains("go ahead"), "{shown}");
    let revoked = world.says("root", "request revoke 1 -m stop").await;
    assert!(revoked.out.contains("is revoked"), "{} {}", revoked.out, revoked.err);
}

#[tokio::test]
async fn what_does_not_concern_somebody_is_not_there_for_them() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    assert_eq!(world.says("stranger", "request list -o json").await.out, "[]\n");
    for line in ["request show 1", "request approve 1", "request cancel 1", "request revoke 1"] {
        let (there, nowhere) =
            (world.says("stranger", line).await, world.says("stranger", &line.replace('1', "9")).await);
        assert_eq!(there.status, 1, "{line}");
        assert_eq!(there.err.replace('1', "9"), nowhere.err, "{line}");
    }
    world.says("approver", "request approve 1").await;
    let id = world.session().await;
    assert_eq!(world.says("stranger", "session list -o json").await.out, "[]\n");
    assert_eq!(world.says("stranger", &format!("session show {id}")).await.status, 1);
    let own = world.says("operator", "session list -o json").await.out;
    assert!(own.contains(&id.to_string()), "{own}");
}

#[tokio::test]
async fn each_command_is_for_those_it_is_for() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    let id = world.session().await;
    let id = id.to_string();
    for (line, allowed) in [
        ("apply -f -", "admin root"),
        ("get user", "auditor admin root"),
        ("export", "auditor admin root"),
        ("access list", "operator approver auditor admin monitor"),
        ("access list --user operator", "operator auditor admin root"),
        ("access explain operator ops@db01", "auditor admin root"),
        ("request list", "operator approver auditor admin monitor root"),
        ("session list", "operator approver auditor admin monitor root"),
        (&format!("session show {id}"), "operator auditor admin monitor root"),
        (&format!("session commands {id}"), "auditor admin root"),
        (&format!("session lock {id}"), "monitor"),
        (&format!("session unlock {id}"), "monitor"),
        (&format!("session end {id}"), "monitor root"),
        ("agent list", "auditor admin root"),
        ("grant list", "operator approver auditor admin monitor root"),
        ("grant list --user operator", "operator auditor admin root"),
        ("agent token db01", "admin root"),
        ("audit tail", "auditor admin root"),
        ("audit verify", "auditor admin root"),
        ("delete credential ops@db01", "admin"),
    ] {
        for who in ["operator", "approver", "auditor", "admin", "monitor", "root"] {
            let done = world.says(who, line).await;
            let may = allowed.split(' ').any(|name| name == who);
            let once = line.starts_with("delete") && who == "root";
            assert!(once || (done.status == 0) == may, "{who}: {line}: {} {}", done.status, done.err);
        }
    }
    let log = world.says("auditor", "audit tail -n 1000 -o json").await.out;
    let log: Vec<serde_json::Value> = serde_json::from_str(&log).unwrap();
    let orders = log.iter().filter(|record| record.to_string().contains("session-kill-ordered"));
    let by: Vec<_> = orders.map(ToString::to_string).collect();
    assert_eq!(by.len(), 2, "{by:?}");
    assert!(by.iter().any(|record| record.contains("monitor")), "each order tells who gave it: {by:?}");
    let refused = world.says("auditor", "audit tail -n 1000 -o json").await.out;
    assert!(refused.contains("console-refused") && refused.contains("session-kill-ordered"), "{refused}");
}

#[tokio::test]
async fn nobody_but_an_approver_approves_not_even_the_local_administrator() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    for who in ["root", "admin", "auditor"] {
        assert_eq!(world.says(who, "request approve 1").await.status, 1, "{who}");
    }
    assert_eq!(world.says("approver", "request approve 1").await.status, 0);
}

#[tokio::test]
async fn apply_reads_standard_input_and_tells_what_it_did() {
    let world = World::new().await;
    let text =
        "[[user]]\nname = \"new\"\n[[device]]\nname = \"db01\"\nport = 2222\n[[user]]\nname = \"stranger\"\n";
    let dry = world.says_with("root", "apply -f - --dry-run", text).await;
    assert_eq!(
        dry.out,
        "user/new created (dry run)\ndevice/db01 changed (dry run)\nuser/stranger unchanged (dry run)\nnobody gains or loses an access by it\n"
    );
    let done = world.says_with("root", "apply -f -", text).await;
    assert_eq!(done.out, "user/new created\ndevice/db01 changed\nuser/stranger unchanged\n");
    let wrong = world.says_with("root", "apply -f -", "[[user]]\nnmae = \"x\"\n").await;
    assert_eq!(wrong.status, 1);
    assert!(wrong.err.contains("line 2, column 1: `nmae` is not a key of user"), "{}", wrong.err);
    let called = world.says_with("root", "apply -f - --called web.toml", "[[user]]\nnmae = \"x\"\n").await;
    assert!(called.err.contains("\nweb.toml, line 2, column 1: `nmae`"), "{}", called.err);
    let file = world.says("admin", "apply -f x.toml").await;
    assert_eq!(file.status, 2);
    assert!(file.err.contains("apply -f - < x.toml"), "{}", file.err);
}

#[tokio::test]
async fn exit_statuses_tell_help_mistakes_and_refusals_apart() {
    let world = World::new().await;
    for line in ["--help", "request --help", "request create --help", "help session"] {
        let done = world.says("operator", line).await;
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{line}");
        assert!(done.out.contains("Usage: ssh operator@GATE"), "{line}: {}", done.out);
        let done = world.says("root", line).await;
        assert!(done.out.contains("Usage: tidegate-proxy admin"), "{line}: {}", done.out);
    }
    for line in ["nonsense", "request create", "request approve x", "session play", "get widgets"] {
        let done = world.says("admin", line).await;
        assert_eq!((done.status, done.out.as_str()), (2, ""), "{line}");
        assert_eq!(done.err.lines().count(), 1, "{line}: {}", done.err);
        assert!(done.err.starts_with("tidegate: ") && done.err.contains("--help"), "{line}: {}", done.err);
    }
    // `--from` is what many write for `--start`; it is taken, and no other option is named.
    let from = world.says("operator", "request create ops@db01 -j x --from 2026-13-40").await;
    assert!(from.status == 2 && from.err.contains("--start"), "{}", from.err);
    let missing = world.says("admin", "request").await;
    assert!(missing.status == 2 && missing.err.contains("approve"), "{}", missing.err);
    assert_eq!(world.says("admin", "get user nobody").await.status, 1);
}

#[tokio::test]
async fn a_login_without_a_command_shows_what_may_be_reached() {
    let world = World::new().await;
    let shown = world.says("operator", "").await.out;
    assert!(shown.contains("ops@db01") && shown.contains("1 approval, a justification"), "{shown}");
    assert!(shown.contains("ssh 'operator[ops@db01]'@GATE"), "{shown}");
    assert!(shown.contains("ssh -J operator@GATE ops@db01"), "{shown}");
    let name = SshName { host: "gate.example.org".to_owned(), port: 2222 };
    let shown = World::new().await.dialled(name).says("operator", "").await.out;
    assert!(shown.contains("ssh -p 2222 'operator[ops@db01]'@gate.example.org\n"), "{shown}");
    assert!(shown.contains("ssh -J operator@gate.example.org:2222 ops@db01\n"), "{shown}");
    assert!(shown.contains("ssh -p 2222 operator@gate.example.org --help\n"), "{shown}");
    assert!(!shown.contains("GATE"), "{shown}");
    let stranger = world.says("stranger", "").await;
    assert!(stranger.status == 0 && !stranger.out.contains("ops@db01"), "{}", stranger.out);
    assert!(!world.says("approver", "").await.out.contains("wait for you"));
    world.says("operator", "request create ops@db01 -j 'ticket 7'").await;
    let shown = world.says("approver", "").await.out;
    assert!(shown.contains("ticket 7") && shown.contains("request approve 1"), "{shown}");
    assert!(!world.says("operator", "").await.out.contains("wait for you"), "nobody approves their own");
}

#[tokio::test]
async fn the_menu_goes_by_number_name_or_a_part_of_it() {
    use super::menu::{Choice, Menu};
    let world = World::new().await;
    let more = "[[device]]\nname = \"db02\"\n[[credential]]\nname = \"ops@db02\"\n\
                [[credential]]\nname = \"web@db02\"\n";
    world.says_with("root", "apply -f -", more).await;
    world.says("operator", "request create ops@db01 -j x").await;
    let actor = |name: &str| world.actor(name);
    let mut menu = Menu::of(&world.services, &actor("operator"), 100, 30).await.unwrap();
    let first = menu.first();
    assert!(first.contains("1  ops@db01") && first.contains("request 1 waits"), "{first}");
    assert!(first.contains("3  web@db02    1 approval, a justification  always"), "{first}");
    assert!(first.lines().all(|line| line.chars().count() <= 100) && !first.contains('\u{1b}'), "{first}");
    let go = |name: &str| Choice::Go(name.parse().unwrap());
    assert_eq!(menu.choose("2"), go("ops@db02"));
    assert_eq!(menu.choose(" web@db02 "), go("web@db02"));
    assert_eq!(menu.choose("ops@elsewhere"), go("ops@elsewhere"), "policy answers for it");
    let Choice::Show(two) = menu.choose("DB02") else { panic!("a part of two names") };
    assert!(two.contains("2  ops@db02") && two.contains("3  web@db02") && !two.contains("db01"), "{two}");
    let Choice::Show(one) = menu.choose("web") else { panic!("a part of one name") };
    assert!(one.ends_with("Enter goes to web@db02.\n"), "{one}");
    assert_eq!(menu.choose(""), go("web@db02"));
    assert_eq!(menu.choose(""), Choice::Show(first[first.find("   CREDENTIAL").unwrap()..].to_owned()));
    for none in ["4", "nothing like it"] {
        let Choice::Show(none) = menu.choose(none) else { panic!("{none}") };
        assert!(none.starts_with("Nothing matches"), "{none}");
    }
    assert_eq!(menu.choose("q"), Choice::Leave);
    let mut stranger = Menu::of(&world.services, &actor("stranger"), 80, 24).await.unwrap();
    assert!(stranger.is_empty() && stranger.first().contains("You can reach nothing now"));
    let mut approver = Menu::of(&world.services, &actor("approver"), 80, 24).await.unwrap();
    let first = approver.first();
    assert!(first.contains("request approve 1"), "{first}");
}

#[tokio::test]
async fn the_menu_fits_a_terminal_whatever_there_is_to_show_and_enter_shows_the_rest() {
    use super::menu::{Choice, Menu, PROMPT};
    let world = World::new().await;
    let mut more = String::new();
    for number in 10..70 {
        let name = format!("db{number}-with-a-name-that-is-somewhat-long");
        more.push_str(&format!("[[device]]\nname = \"{name}\"\n[[credential]]\nname = \"ops@{name}\"\n"));
        more.push_str(
            "privileges = [{ kind = \"sudo\" }, { kind = \"groups\", groups = [\"adm\", \"docker\"] }]\n",
        );
    }
    more.push_str("[[access_group]]\nname = \"both\"\nusers = [\"approver\"]\n");
    more.push_str("criteria = { devices = [\"db*\"] }\nsession = {}\n");
    world.says_with("root", "apply -f -", &more).await;
    for number in 10..20 {
        let target = format!("ops@db{number}-with-a-name-that-is-somewhat-long");
        let asked = format!("request create {target} -j 'データベースの保守とその他の長い理由を述べる'");
        assert_eq!(world.says("operator", &asked).await.status, 0);
    }
    for (user, columns, rows) in
        [("operator", 80, 24), ("operator", 60, 20), ("approver", 80, 24), ("approver", 60, 20)]
    {
        let mut menu = Menu::of(&world.services, &world.actor(user), columns, rows).await.unwrap();
        let fits = |text: &str| {
            // An empty row and the prompt come below.
            let height = text.lines().count() + 2;
            assert!(height <= rows as usize, "{height} rows of {rows}: {text}");
            for line in text.lines() {
                assert!(super::table::length(line) <= columns as usize, "{columns}: {line}");
            }
        };
        assert!(PROMPT.len() < columns as usize);
        let mut seen = menu.first();
        fits(&seen);
        // Who approves is told of what waits, and of how much more does.
        assert_eq!(seen.contains("more: ssh approver@GATE request list"), user == "approver", "{seen}");
        for _ in 0..60 {
            let Choice::Show(page) = menu.choose("") else { panic!("Enter shows more") };
            fits(&page);
            seen.push_str(&page);
        }
        for number in 10..70 {
            assert!(
                seen.contains(&format!("ops@db{number}-with")),
                "{number} of {columns}x{rows} is never shown"
            );
        }
        let Choice::Show(part) = menu.choose("somewhat") else { panic!("a part of many names") };
        fits(&part);
        assert!(part.contains(" of 60; a longer part"), "{part}");
    }
}

#[tokio::test]
async fn a_token_carries_the_fingerprint_and_enrols_its_device_once() {
    let world = World::new().await;
    let token = world.says("root", "agent token db01").await;
    let parts: Vec<_> = token.out.trim().split('.').collect();
    assert_eq!(parts[..2], ["tg1", Digest::of(b"ca").to_string().as_str()]);
    let secret = tidegate_common::secret::Secret::new(parts[2].to_owned());
    let now = jiff::Timestamp::now();
    let device = world.services.store.token_device(&secret, now).await.unwrap();
    assert_eq!(device, Some("db01".parse().unwrap()));
    assert!(
        !world.says("root", "audit tail").await.out.contains(parts[2]),
        "the secret stays out of the log"
    );
    assert_eq!(world.says("root", "agent token nowhere").await.status, 1);
    world.services.store.enrol(&"db01".parse().unwrap(), "x", now).await;
    assert_eq!(world.says("root", "agent revoke db01").await.status, 0);
    assert_eq!(world.says("root", "agent revoke db01").await.status, 1);
}

#[tokio::test]
async fn explain_names_the_group_that_decides() {
    let world = World::new().await;
    let told = world.says("auditor", "access explain operator ops@db01").await.out;
    assert!(told.contains("access group `dba` decides") && told.contains("demands approval"), "{told}");
    let told = world.says("auditor", "access explain stranger ops@db01").await.out;
    assert!(
        told.contains("refused: no access group gives it") && told.contains("1 more do not list"),
        "{told}"
    );
}

#[tokio::test]
async fn the_local_socket_runs_commands_and_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    let path = world.temporary.directory().join("admin.sock");
    let server = tokio::spawn(listen(Arc::clone(&world.services), &path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let words = |line: &str| words(line).unwrap();
    assert_eq!(admin(&path, words("get user operator")).await, 0);
    assert_eq!(admin(&path, words("get user nobody")).await, 1);
    assert_eq!(admin(&path, words("get widget")).await, 2);
    let file = world.temporary.directory().join("more.toml");
    std::fs::write(&file, "[[user]]\nname = \"late\"\n").unwrap();
    assert_eq!(admin(&path, words(&format!("apply -f '{}'", file.display()))).await, 0);
    assert!(world.services.access.snapshot().user(&"late".parse().unwrap()).is_some());
    // A socket of the host's has no address, and the host's own would be a lie.
    let record = world.services.audit.last(1).await.pop().unwrap();
    assert_eq!((record.actor, record.origin), (tidegate_common::audit::Actor::LocalAdmin, None));
    assert!(listen(Arc::clone(&world.services), &path).is_err(), "another proxy has it");
    server.abort();
    let _ = server.await;
    let again = listen(Arc::clone(&world.services), &path).map(drop);
    assert!(again.is_ok(), "a stale socket gives way: {again:?}");
}

#[tokio::test]
async fn whoever_is_disabled_has_no_commands_left_also_on_an_open_connection() {
    let world = World::new().await;
    assert_eq!(world.says("admin", "get user").await.status, 0);
    let off = "[[user]]\nname = \"admin\"\nroles = [\"admin\"]\nenabled = false\n";
    world.says_with("root", "apply -f -", off).await;
    for line in ["", "get user", "access list", "agent token db01"] {
        let done = world.says("admin", line).await;
        assert_eq!((done.status, done.out.as_str()), (1, ""), "{line}");
        assert!(done.err.contains("is disabled"), "{}", done.err);
    }
}

#[tokio::test]
async fn whoever_loses_the_role_stops_reading_along() {
    let world = World::new().await;
    let follower = world.says("auditor", "audit tail -n 1 -f");
    let begun = async {
        // The follower's own command is no notable one, so what it has shown cannot be
        // seen from here; a change that leaves the role must not end it, one that takes it must.
        world.says_with("root", "apply -f -", "[[user]]\nname = \"late\"\n").await;
        world.says_with("root", "apply -f -", "[[user]]\nname = \"auditor\"\n").await
    };
    let (done, demoted) = tokio::join!(biased; follower, begun);
    assert_eq!(demoted.status, 0);
    assert_eq!(done.status, 1);
    assert!(done.err.contains("needs an auditor or an administrator"), "{}", done.err);
}

#[tokio::test]
async fn a_long_tail_is_an_array_and_an_empty_one_too() {
    let world = World::new().await;
    for (count, length) in [("0", 0), ("2", 2)] {
        let out = world.says("auditor", &format!("audit tail -n {count} -o json")).await.out;
        let records: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(records.as_array().map(Vec::len), Some(length), "{out}");
    }
}
