//! What people choose to be told, and what a batch of remote accesses is decided by.

use tidegate_common::audit::{Actor, Event};

use super::World;

#[tokio::test]
async fn users_choose_by_which_channels_they_are_told_and_only_for_themselves() {
    let world = World::new().await;
    let usual = world.says("operator", "notify channels").await;
    let row = |text: &str| {
        let found = text.lines().find(|line| line.starts_with("approval-asked"));
        found.unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row(&usual.out), ["approval-asked", "mail"]);
    let no_phone = world.says("operator", "notify choose approval-asked mail sms").await;
    assert_eq!(no_phone.status, 1);
    assert!(
        no_phone.err.contains("nothing was chosen") && no_phone.err.contains("no `phone`"),
        "{}",
        no_phone.err
    );
    for (words, said, listed) in [
        ("webhook mail", "mail and webhook", &["approval-asked", "mail", "and", "webhook", "yes"][..]),
        ("none", "no channel", &["approval-asked", "no", "channel", "yes"]),
        ("usual", "mail", &["approval-asked", "mail"]),
    ] {
        let done = world.says("operator", &format!("notify choose approval-asked {words}")).await;
        assert_eq!(done.out, format!("approval-asked is told to you by {said}\n"), "{}", done.err);
        assert_eq!(row(&world.says("auditor", "notify channels operator").await.out), listed);
    }
    let records = world.services.audit.last(100).await;
    let applied = records.iter().filter(|record| {
        matches!(record.event, Event::ResourceApplied { .. })
            && record.actor == Actor::User("operator".parse().unwrap())
    });
    assert_eq!(applied.count(), 3);
    assert_eq!(world.says("operator", "notify choose approval-asked none mail").await.status, 2);
    let other = world.says("stranger", "notify channels operator").await;
    assert!(other.status == 1 && other.err.contains("an auditor or an administrator"), "{}", other.err);
    let root = world.says("root", "notify choose approval-asked none").await;
    assert!(root.err.contains("the local administrator is no user"), "{}", root.err);
}

#[tokio::test]
async fn a_batch_of_remote_accesses_is_decided_by_its_number_and_nobody_decides_on_their_own() {
    let world = World::new().await;
    let group = "[[user]]\nname = \"approver\"\nemail = \"approver@example.org\"\n[[user]]\nname = \"auditor\"\n\
                 email = \"auditor@example.org\"\nroles = [\"auditor\"]\n[[user_group]]\nname = \"field\"\n\
                 users = [\"operator\", \"approver\", \"auditor\"]\n";
    assert_eq!(world.says_with("admin", "apply -f -", group).await.status, 0);
    let made = world.says("admin", "remote-access batch field --justification x --duration 2h").await;
    assert!(made.out.contains("3 remote accesses are saved"), "{} {}", made.out, made.err);
    let stranger = world.says("stranger", "remote-access approve --batch 1").await;
    assert!(stranger.err.contains("you do not approve remote accesses"), "{}", stranger.err);
    let done = world.says("approver", "remote-access approve --batch 1").await;
    assert_eq!((done.status, done.out.lines().count()), (1, 2), "{} {}", done.out, done.err);
    assert!(done.err.contains("remote access 2 is yours"), "{}", done.err);
    // What is decided is not decided again.
    let again = world.says("approver", "remote-access reject --batch 1").await;
    assert!(
        again.err.contains("remote access 2 is yours") && again.out.is_empty(),
        "{} {}",
        again.out,
        again.err
    );
    let none = world.says("approver", "remote-access approve --batch 7").await;
    assert!(none.err.contains("nothing of batch 7 waits for that"), "{}", none.err);
    // Everybody cancels their own of it, an administrator all that is left.
    let own = world.says("operator", "remote-access cancel --batch 1").await;
    assert_eq!((own.status, own.out.lines().count()), (0, 1), "{} {}", own.out, own.err);
    let rest = world.says("admin", "remote-access cancel --batch 1").await;
    assert_eq!((rest.status, rest.out.lines().count()), (0, 2), "{} {}", rest.out, rest.err);
}
