//! Live sessions at the console.

use tidegate_common::audit::{Event, Note};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::world::World;
use crate::console::{Size, run, takes_keys, words};
use crate::service::testing::shown;

#[tokio::test]
async fn a_session_is_watched_on_a_terminal_until_a_key_leaves() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    let id = world.session().await;
    let line = format!("session watch {id}");
    let early = world.says("monitor", &line).await;
    assert_eq!(
        early.err,
        "tidegate: a session is watched on a terminal: ssh -t USER@GATE session watch ID\n"
    );
    let _recorder = shown(&world.services.recordings, id, "$ \x1b[31mshown").await;
    let words = words(&line).unwrap();
    assert!(takes_keys(&words) && !takes_keys(&["session".to_owned(), "list".to_owned()]));
    for who in ["monitor", "root"] {
        let (actor, mut err) = (world.actor(who), Vec::new());
        let (_resized, terminal) = watch::channel(Size { columns: 80, rows: 25 });
        let (mut keys, stdin) = tokio::io::duplex(64);
        let (out, mut seen) = tokio::io::duplex(1 << 16);
        let watching = run(&world.services, &actor, Some(terminal), &words, stdin, out, &mut err);
        let leaving = async {
            let mut text = Vec::new();
            while !String::from_utf8_lossy(&text).contains("(q leaves)\x1b[K") {
                assert_ne!(seen.read_buf(&mut text).await.unwrap(), 0, "{}", String::from_utf8_lossy(&text));
            }
            keys.write_all(b"xq").await.unwrap();
            seen.read_to_end(&mut text).await.unwrap();
            String::from_utf8(text).unwrap()
        };
        let (status, text) = tokio::join!(watching, leaving);
        assert_eq!((status, String::from_utf8(err).unwrap().as_str()), (0, ""));
        assert!(text.starts_with("\x1b[?1049h") && text.ends_with("\x1b[?1049l"), "{text:?}");
        assert!(text.contains("\x1b[0;31mshown"), "{text:?}");
    }
    let page = world.says("operator", &format!("session show {id}")).await.out;
    assert!(page.contains(" monitor from ") && page.contains("; local admin from "), "{page}");
}

#[tokio::test]
async fn an_empty_list_says_whether_it_was_narrowed_and_a_monitor_that_a_session_may_have_ended() {
    let world = World::new().await;
    for (line, empty) in [
        ("session list", "There was no session yet."),
        ("session list --live", "No session lives now."),
        ("session list --user approver", "No session matches."),
        ("session list --live --credential ops@db01", "No session matches."),
        ("notify list --state failed", "No notification matches."),
    ] {
        let said = world.says("root", line).await;
        assert_eq!((said.status, said.err.trim_end()), (0, empty), "{line}: {}", said.out);
    }
    let none = world.says("monitor", "session end 01kb2").await;
    let sentence = "there is no live session `01kb2`, and none of yours; if there was one, it has ended";
    assert_eq!((none.status, none.err), (1, format!("tidegate: {sentence}\n")));
    let none = world.says("root", "session end 01kb2").await.err;
    assert_eq!(none, "tidegate: there is no session `01kb2`; `session list` shows them\n");
}

#[tokio::test]
async fn a_session_is_shown_with_what_was_said_for_it() {
    let world = World::new().await;
    world.says_with("root", "apply -f -", "[[reason]]\nname = \"incident\"\n").await;
    let line = "request create ops@db01 -j 'ticket 7' -r incident -g INC-4711";
    let made = world.says("operator", line).await;
    assert_eq!(made.status, 0, "{}", made.err);
    world.says("approver", "request approve 1").await;
    let id = world.session().await;
    // Of its request, where the log has no word of the admission.
    let show = format!("session show {id}");
    let shown = world.says("auditor", &show).await.out;
    for part in ["justification    ticket 7\n", "reason           incident\n", "governance code  INC-4711\n"]
    {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    assert!(!shown.contains("change "), "{shown}");
    // And what was typed as it began, which the log has.
    let admitted = Event::SessionAdmitted {
        session: id,
        user: "operator".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        group: "dba".parse().unwrap(),
        request: None,
        justification: Some(Note::new("typed at the prompt")),
        reason: None,
        change: Some("CHG-1".parse().unwrap()),
        emergency: false,
        expires: None,
    };
    world.services.audit.append(crate::access::By::proxy().did(admitted)).await.unwrap();
    let shown = world.says("operator", &show).await.out;
    for part in
        ["justification    typed at the prompt\n", "reason           incident\n", "change           CHG-1\n"]
    {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    let json = world.says("operator", &format!("{show} -o json")).await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["justification"], &json["reason"], &json["governance"]),
        (&"typed at the prompt".into(), &"incident".into(), &"INC-4711".into())
    );
}

#[tokio::test]
async fn a_session_whose_request_cannot_be_read_is_shown_without_what_that_said() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j 'ticket 7'").await;
    world.says("approver", "request approve 1").await;
    let id = world.session().await;
    let show = format!("session show {id}");
    let before = world.says("auditor", &show).await;
    assert!(before.status == 0 && before.out.contains("ticket 7"), "{} {}", before.out, before.err);
    for state in ["approved", "revoked"] {
        world.services.store.requests_damaged(state).await;
        let shown = world.says("auditor", &show).await;
        assert_eq!((shown.status, shown.err.as_str()), (0, ""), "{state}");
        assert!(shown.out.contains("ops@db01") && !shown.out.contains("ticket 7"), "{state}: {}", shown.out);
    }
}
