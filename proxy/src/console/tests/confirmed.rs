//! What asks before it is done, on a terminal.

use tidegate_common::notice::NoticeKind;

use super::world::World;
use crate::store::NotificationFilter;

const FIELD: &str = "[[user]]\nname = \"approver\"\nemail = \"approver@example.org\"\n\
                     [[user_group]]\nname = \"field\"\nusers = [\"operator\", \"approver\"]\n";

impl World {
    /// How many codes wait to be sent to the user.
    async fn codes_of(&self, name: &str) -> usize {
        let (user, kind) = (Some(name.parse().unwrap()), Some(NoticeKind::Link));
        let filter = NotificationFilter { user, kind, ..NotificationFilter::default() };
        self.services.store.notifications(&filter).await.unwrap().len()
    }
}

async fn world() -> World {
    let world = World::new().await;
    assert_eq!(world.says_with("root", "apply -f -", FIELD).await.status, 0);
    world
}

#[tokio::test]
async fn a_remote_access_is_reviewed_and_saved_by_a_yes_only() {
    let world = world().await;
    let line = "remote-access request field operator --justification 'on site' --duration 8d \
                --credential ops@db01:login --weekday mon --times business --sessions 3";
    for keys in ["n\r", "\r", "yesterday\r", ""] {
        let asked = world.says_on_terminal("admin", line, keys).await;
        assert_eq!(
            (asked.status, asked.err.as_str()),
            (1, "Nothing was saved.\n"),
            "{keys:?}: {}",
            asked.out
        );
        assert!(asked.out.starts_with("For operator:\n"), "{}", asked.out);
        for part in ["field", "limited", "on site", "ops@db01:login", "08:00-18:00 (", "3", "Save it? [y/N] "]
        {
            assert!(asked.out.contains(part), "no `{part}` in {}", asked.out);
        }
        assert_eq!(world.says("admin", "remote-access list -o json").await.out, "[]\n", "{keys:?}");
    }
    let saved = world.says_on_terminal("admin", line, "y\r").await;
    assert_eq!(saved.status, 0, "{}", saved.err);
    assert!(saved.out.contains("remote access 1 of operator in field waits for approval\n"), "{}", saved.out);
    let list = world.says("admin", "remote-access list -o json").await.out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["left"]), (1, &3.into()), "{list}");

    let off = line.replace("business", "08:05-09:00");
    let wrong = world.says_on_terminal("admin", &off, "y\r").await;
    assert!(wrong.status == 2 && wrong.err.contains("steps of 15 minutes"), "{}", wrong.err);
}

#[tokio::test]
async fn a_batch_is_asked_about_as_one_and_not_at_all_of_who_says_yes_ahead() {
    let world = world().await;
    let line = "remote-access batch field --justification 'on site' --duration 2h";
    let asked = world.says_on_terminal("admin", line, "n\r").await;
    assert_eq!((asked.status, asked.err.as_str()), (1, "Nothing was saved.\n"));
    assert!(asked.out.starts_with("For 2 users of field:\n"), "{}", asked.out);
    assert_eq!(world.says("admin", "remote-access list -o json").await.out, "[]\n");
    let saved = world.says_on_terminal("admin", &format!("{line} --yes"), "").await;
    assert!(saved.status == 0 && !saved.out.contains("Save it?"), "{} {}", saved.out, saved.err);
    assert!(saved.out.contains("2 remote accesses are saved"), "{}", saved.out);
}

#[tokio::test]
async fn a_code_is_sent_by_a_yes_only() {
    let world = world().await;
    let made = "remote-access request field operator --justification 'on site' --duration 2h";
    assert_eq!(world.says("admin", made).await.status, 0);
    assert_eq!(world.says("approver", "remote-access approve 1").await.status, 0);
    for keys in ["n\r", "\r", ""] {
        let asked = world.says_on_terminal("admin", "remote-access forward 1", keys).await;
        assert_eq!((asked.status, asked.err.as_str()), (1, "Nothing was sent.\n"), "{keys:?}");
        let question = "Send operator a code for remote access 1 by mail? [y/N] ";
        assert!(asked.out.starts_with(question), "{}", asked.out);
        assert_eq!(world.codes_of("operator").await, 0, "{keys:?}");
    }
    let sent = world.says_on_terminal("admin", "remote-access forward 1", "y\r").await;
    assert_eq!(sent.status, 0, "{}", sent.err);
    assert!(sent.out.contains("operator is sent a code by mail; it is good once, until "), "{}", sent.out);
    assert_eq!(world.codes_of("operator").await, 1);
}
