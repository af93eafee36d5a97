//! Limited users as an administrator writes, sees and asks for them.

use super::World;

const GROUP: &str = "[[user_group]]\nname = \"field\"\nlimited_users = [{ name = \"jane\", full_name = \"Jane Doe\", \
                     email = \"jane@example.com\" }]\n[[access_group]]\nname = \"visits\"\nusers = [\"jane\"]\n\
                     criteria = { devices = [\"db01\"] }\nsession = {}\n";

#[tokio::test]
async fn a_limited_user_is_shown_as_one_and_stands_in_their_group_alone() {
    let world = World::new().await;
    assert_eq!(world.says_with("admin", "apply -f -", GROUP).await.status, 0);
    let users = world.says("auditor", "get users").await.out;
    let line = users.lines().find(|line| line.starts_with("jane")).unwrap();
    assert!(line.contains("Jane Doe") && line.contains("limited, with the group field"), "{users}");
    let shown = world.says("auditor", "get user jane").await.out;
    assert!(shown.starts_with("# limited, with the group field\n# revision "), "{shown}");
    assert!(shown.contains("\n[[user]]\nname = \"jane\"\n"), "{shown}");
    let json = world.says("auditor", "get user jane -o json").await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["name"], &json["limited"]), (&"jane".into(), &"field".into()));
    let groups = world.says("auditor", "get user-groups").await.out;
    assert!(groups.contains("jane (limited)"), "{groups}");
    let explained = world.says("auditor", "access explain jane ops@db01").await.out;
    assert!(explained.contains("user `jane` is limited, with the group field"), "{explained}");
    // What is exported is taken again, and changes nothing.
    let export = world.says("auditor", "export").await.out;
    let again = world.says_with("admin", "apply -f -", &export).await;
    assert!(again.status == 0 && again.out.lines().all(|line| line.ends_with(" unchanged")), "{}", again.out);
    let instead =
        "user `jane` is limited, with the group field; edit the `limited_users` of that user group instead";
    let deleted = world.says("admin", "delete user jane").await;
    assert!(deleted.status == 1 && deleted.err.contains(instead), "{}", deleted.err);
}

#[tokio::test]
async fn a_full_batch_tells_of_each_limited_user_whom_it_leaves_out() {
    let world = World::new().await;
    let both = GROUP.replace("name = \"field\"\n", "name = \"field\"\nusers = [\"operator\"]\n");
    assert_eq!(world.says_with("admin", "apply -f -", &both).await.status, 0);
    let full = world.says("admin", "remote-access batch field --justification x --duration 2h").await;
    assert_eq!(full.status, 1);
    assert!(full.out.contains("1 remote accesses are saved"), "{} {}", full.out, full.err);
    assert!(full.err.contains("tidegate: `jane` is a limited user of user group `field`"), "{}", full.err);
    let limited =
        world.says("admin", "remote-access batch field --justification x --duration 2h --device db01").await;
    assert!(limited.status == 0 && limited.out.contains("2 remote accesses are saved"), "{}", limited.err);
    let listed = world.says("admin", "remote-access list --user jane").await.out;
    assert!(listed.contains("jane") && listed.contains("limited"), "{listed}");
}
