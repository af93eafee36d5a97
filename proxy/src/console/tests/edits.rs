//! Two editors at once, at the console.

use super::World;

#[tokio::test]
async fn of_two_editors_at_once_the_second_is_told_who_was_first_and_what_to_do() {
    let world = World::new().await;
    let exported = world.says("admin", "export").await.out;
    assert!(exported.starts_with("# revision 1\n[["), "{exported}");
    let one = world.says("admin", "get user stranger").await.out;
    assert!(one.starts_with("# revision 1\n[[user]]\nname = \"stranger\"\n"), "{one}");
    let json = world.says("admin", "get user stranger -o json").await.out;
    assert!(json.starts_with('{') && !json.contains("revision"), "{json}");

    let first = format!("{one}full_name = \"Sam\"\n");
    let done = world.says_with("admin", "apply -f -", &first).await;
    assert_eq!((done.status, done.out.as_str()), (0, "user/stranger changed\n"), "{}", done.err);
    let known = "name = \"stranger\"\n";
    let second = exported.replace(known, &format!("{known}full_name = \"Sue\"\n"));
    for line in ["apply -f -", "apply -f - --dry-run"] {
        let told = world.says_with("root", line, &second).await;
        assert_eq!((told.status, told.out.as_str()), (1, ""), "{line}");
        for part in [
            "tidegate: nothing was applied: the text is of revision 1, and what it writes was changed since:\n",
            "  user `stranger`: changed by admin at 20",
            "\nexport again and make the edit there, or apply with --force\n",
        ] {
            assert!(told.err.contains(part), "{line}: {part}: {}", told.err);
        }
    }
    let forced = world.says_with("root", "apply -f - --force", &second).await;
    assert_eq!(forced.status, 0, "{}", forced.err);
    assert!(forced.out.contains("user/stranger changed\n"), "{}", forced.out);
    let now = world.says("admin", "get user stranger").await.out;
    assert!(now.starts_with("# revision 3\n") && now.contains("full_name = \"Sue\""), "{now}");
}
