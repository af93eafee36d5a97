//! `panic …`

use super::World;

#[tokio::test]
async fn a_panic_is_begun_told_listed_and_lifted() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    assert!(world.says("auditor", "panic list").await.err.contains("Nothing is stopped."));
    let begun = world.says("admin", "panic device db01 --justification 'ticket 4711'").await;
    assert_eq!(begun.out, "access to device `db01` is stopped; `panic lift` lets it begin again\n");
    let list = world.says("auditor", "panic list").await.out;
    assert!(
        list.contains("access to device `db01`") && list.contains("admin") && list.contains("ticket 4711")
    );
    let list = world.says("auditor", "panic list -o json").await.out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(
        (&list[0]["of"], &list[0]["name"], &list[0]["by"]),
        (&"device".into(), &"db01".into(), &"admin".into())
    );
    let explained = world.says("auditor", "access explain operator ops@db01").await.out;
    let sentence = "access to device `db01` is stopped by a panic until an administrator lifts it";
    assert!(explained.contains(sentence), "{explained}");
    let refused = world.says("operator", "request create ops@db01 -j x").await;
    assert_eq!(refused.err, format!("tidegate: {sentence}\n"));
    let twice = world.says("root", "panic device db01 -j again").await;
    assert!(twice.status == 1 && twice.err.contains("is stopped already, by admin since"), "{}", twice.err);
    let lifted = world.says("root", "panic lift device db01").await;
    assert_eq!(lifted.out, "access to device `db01` may begin again\n");
    let log = world.says("auditor", "audit tail").await.out;
    assert!(log.contains("PANIC: access to device `db01` stopped, justification: ticket 4711"), "{log}");
    assert!(log.contains("panic lifted: access to device `db01` may begin again"), "{log}");
}

#[tokio::test]
async fn a_panic_wants_a_justification_that_shows() {
    let world = World::new().await;
    for (line, told) in [
        ("panic all", "--justification <TEXT>"),
        ("panic all -j ''", "empty"),
        ("panic all -j 'a\u{1b}[2J'", "only characters that show"),
        ("panic user 'a b' -j x", "may not contain"),
    ] {
        let done = world.says("root", line).await;
        assert!(done.status == 2 && done.err.contains(told), "{line}: {}", done.err);
    }
    assert!(world.says("root", "panic list").await.err.contains("Nothing is stopped."));
}

#[tokio::test]
async fn who_stops_their_own_user_is_asked_on_a_terminal_and_says_so_elsewhere() {
    let world = World::new().await;
    let line = "panic user admin -j 'the laptop was stolen'";
    let lifts = "until another administrator lifts it, or `tidegate-proxy admin panic lift user admin` on the \
                 gate's host";
    for keys in ["n\r", "\r", ""] {
        let asked = world.says_on_terminal("admin", line, keys).await;
        assert_eq!((asked.status, asked.err.as_str()), (1, "Nothing was stopped.\n"), "{keys:?}");
        let question =
            format!("That is your own user: you are cut off and stay out {lifts}. Stop it? [y/N] ");
        assert!(asked.out.starts_with(&question), "{}", asked.out);
    }
    let refused = world.says("admin", line).await;
    let told = format!(
        "tidegate: that is your own user, who stays out {lifts}; to stop it all the same, say --yes\n"
    );
    assert_eq!((refused.status, refused.out.as_str(), refused.err), (2, "", told));
    assert!(world.says("auditor", "panic list").await.err.contains("Nothing is stopped."));
    // Others are stopped without a question, and who may stop nobody reads that.
    let other = world.says_on_terminal("admin", "panic user operator -j x", "").await;
    assert_eq!(other.out, "access of user `operator` is stopped; `panic lift` lets it begin again\n");
    let refused = world.says("stranger", "panic user stranger -j x").await;
    assert_eq!(refused.err, "tidegate: this needs an administrator\n");

    let done = world.says_on_terminal("admin", line, "y\r").await;
    assert!(
        done.out.ends_with("is stopped; `panic lift` lets it begin again\n"),
        "{} {}",
        done.out,
        done.err
    );
    assert_eq!(world.says("root", "panic lift user admin").await.status, 0);
    assert_eq!(world.says("admin", &format!("{line} --yes")).await.status, 0);
    let list = world.says("auditor", "panic list").await.out;
    assert!(list.contains("user `admin`"), "{list}");
}
