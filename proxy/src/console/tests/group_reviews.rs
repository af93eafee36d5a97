//! `group-review …`

use super::World;

pub(super) async fn reviewed() -> World {
    let world = World::new().await;
    let group = "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                 criteria = { devices = [\"db*\"] }\nsession = {}\n\
                 review = { owners = [\"approver\"], every = \"90d\", grace = \"7d\", from = 2020-01-01 }\n";
    world.services.access.apply(group, &crate::access::By::proxy(), false).await.unwrap();
    world
}

#[tokio::test]
async fn a_review_is_listed_shown_and_confirmed_and_until_then_the_group_grants_nothing() {
    let world = reviewed().await;
    let list = world.says("approver", "group-review list --due").await.out;
    assert!(list.contains("dba") && list.contains("LAPSED") && list.contains("approver"), "{list}");
    assert_eq!(world.says("auditor", "group-review list").await.out, list, "auditors see all");
    let none = world.says("operator", "group-review list").await;
    assert_eq!((none.status, none.out.as_str()), (0, ""));
    assert!(none.err.contains("No review concerns you."), "{}", none.err);

    let refused = world.says("operator", "request create ops@db01 -j x").await;
    assert_eq!(
        refused.err,
        "tidegate: access group `dba` gives no access to ops@db01 now: nobody confirmed its users in time; ask its \
         owner to\n"
    );
    let reaches = world.says("operator", "access list").await.out;
    assert!(!reaches.contains("ops@db01"), "{reaches}");
    let explained = world.says("auditor", "access explain operator ops@db01").await.out;
    assert!(
        explained
            .contains("nobody confirmed its users in time, so it grants nothing since 2020-04-07T00:00:00Z"),
        "{explained}"
    );

    let shown = world.says("approver", "group-review show dba").await.out;
    for line in ["review           LAPSED", "confirmed        never", "users            operator"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let confirmed = world.says("approver", "group-review confirm dba").await;
    assert!(
        confirmed.out.starts_with("the users of access group `dba` are confirmed until "),
        "{} {}",
        confirmed.out,
        confirmed.err
    );
    let list = world.says("approver", "group-review list -o json").await.out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[0]["standing"], &list[0]["confirmed_by"]), (&"confirmed".into(), &"approver".into()));
    assert_eq!(world.says("approver", "group-review list --due -o json").await.out, "[]\n");
    let reaches = world.says("operator", "access list").await.out;
    assert!(reaches.contains("ops@db01"), "{reaches}");
    let log = world.says("auditor", "audit tail").await.out;
    assert!(log.contains("access group dba: confirmed until") && log.contains("users: operator"), "{log}");
}

#[tokio::test]
async fn who_does_not_own_a_group_confirms_nothing_and_learns_nothing_of_it() {
    let world = reviewed().await;
    for who in ["operator", "stranger", "admin"] {
        let (there, nowhere) = (
            world.says(who, "group-review confirm dba --yes").await,
            world.says(who, "group-review confirm nothing --yes").await,
        );
        assert_eq!((there.status, there.err.replace("dba", "nothing")), (1, nowhere.err), "{who}");
        assert!(there.err.contains("you own no access group `dba` that asks for a review"), "{}", there.err);
    }
    let local = world.says("root", "group-review confirm dba --yes").await;
    assert!(local.err.contains("the local administrator is no user"), "{}", local.err);
    let log = world.says("auditor", "audit tail").await.out;
    assert!(!log.contains("confirmed until"), "{log}");
}

#[tokio::test]
async fn who_stands_in_for_an_owner_sees_the_review_and_confirms_it_in_their_place() {
    let world = reviewed().await;
    let none = world.says("stranger", "group-review list").await;
    assert_eq!((none.status, none.out.as_str()), (0, ""));
    let away = "[[user]]\nname = \"approver\"\n\
                deputy = { user = \"stranger\", from = 2020-01-01, until = 2999-12-31 }\n";
    world.services.access.apply(away, &crate::access::By::proxy(), false).await.unwrap();
    let list = world.says("stranger", "group-review list --due").await.out;
    assert!(list.contains("dba") && list.contains("LAPSED"), "{list}");
    let confirmed = world.says("stranger", "group-review confirm dba").await;
    assert_eq!(confirmed.status, 0, "{}", confirmed.err);
    let shown = world.says("approver", "group-review show dba").await.out;
    assert!(shown.contains(" by stranger for approver"), "{shown}");
    let log = world.says("auditor", "audit tail").await.out;
    let line = log.lines().find(|line| line.contains("access group dba: confirmed until"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(" stranger") && line.contains(", for: approver, users: operator"), "{line}");
}
