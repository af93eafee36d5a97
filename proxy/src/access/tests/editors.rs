//! Two editors at once: the second is told.

use super::*;

fn local() -> By {
    By { actor: audit::Actor::LocalAdmin, ..By::proxy() }
}

async fn exported(access: &Access) -> String {
    let (all, revision) = access.resources_of_revision().await.unwrap();
    head(revision) + &all.to_toml().unwrap()
}

/// With another full name of the user.
fn named(text: &str, name: &str) -> String {
    let known = "name = \"operator\"\n";
    assert_eq!(text.matches(known).count(), 1, "{text}");
    text.replace(known, &format!("{known}full_name = \"{name}\"\n"))
}

async fn who_edits_what_was_changed_since_it_was_exported_is_told_and_nothing_is_written() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    let text = exported(&access).await;
    assert!(text.starts_with("# revision 1\n"), "{text}");
    // Both edit the same user, and the first is faster.
    access.apply(&named(&text, "Olga"), &local(), false).await.unwrap();
    let second = named(&text, "Oskar");
    let before = Timestamp::now();
    let refused = access.apply(&second, &By::proxy(), false).await.unwrap_err();
    assert!(matches!(refused, AccessError::Overtaken(_)), "{refused}");
    let told = refused.to_string();
    let day = before.strftime("%Y-").to_string();
    assert!(
        told.starts_with(&format!(
            "nothing was applied: the text is of revision 1, and what it writes was changed since:\n  \
             user `operator`: changed by local admin at {day}"
        )),
        "{told}"
    );
    assert!(told.ends_with("\nexport again and make the edit there, or apply with --force"), "{told}");
    assert_eq!(told.lines().count(), 3, "what is as the text has it is not named: {told}");
    let tried = access.try_out(&second, &By::proxy(), 10, false).await.unwrap_err().to_string();
    assert_eq!(tried, told, "a dry run tells it too");
    let name =
        async || access.resources().await.unwrap().users[0].full_name.as_ref().map(ToString::to_string);
    assert_eq!(name().await.as_deref(), Some("Olga"));
    // Its twins: one of the newest revision, one of none, and one that is forced.
    access.apply(&exported(&access).await.replace("Olga", "Oskar"), &By::proxy(), false).await.unwrap();
    assert_eq!(name().await.as_deref(), Some("Oskar"));
    let of_none = named(text.trim_start_matches("# revision 1\n"), "Otto");
    access.apply(&of_none, &By::proxy(), false).await.unwrap();
    assert_eq!(name().await.as_deref(), Some("Otto"));
    access.try_out(&second, &By::proxy(), 10, true).await.unwrap();
    access.overwrite(&second, &By::proxy()).await.unwrap();
    assert_eq!(name().await.as_deref(), Some("Oskar"));
}

async fn edits_of_different_resources_are_in_nobodys_way() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    let text = exported(&access).await;
    access.apply("[[device]]\nname = \"db02\"\n", &local(), false).await.unwrap();
    access.apply(&named(&text, "Olga"), &By::proxy(), false).await.unwrap();
    let all = access.resources().await.unwrap();
    assert_eq!((all.devices.len(), all.users[0].full_name.is_some()), (2, true));
}

async fn what_was_deleted_since_it_was_exported_does_not_come_back_by_an_edit() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(&format!("{WORLD}[[reason]]\nname = \"incident\"\n"), &By::proxy(), false).await.unwrap();
    let text = exported(&access).await;
    let reason = ResourceName { kind: Kind::Reason, name: "incident".to_owned() };
    access.delete(&[reason], &local()).await.unwrap();
    // After a restart, too.
    let access = super::access(&temporary).await;
    let refused = access.apply(&text, &By::proxy(), false).await.unwrap_err().to_string();
    assert!(refused.contains("\n  reason `incident`: deleted by local admin at 20"), "{refused}");
    assert!(access.resources().await.unwrap().reasons.is_empty());
    access.overwrite(&text, &By::proxy()).await.unwrap();
    assert_eq!(access.resources().await.unwrap().reasons.len(), 1);
}

async fn what_says_its_revision_in_another_way_is_not_written_over_what_others_changed() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    let text = named(&exported(&access).await, "Oskar");
    let as_said = |line: &str| text.replace("# revision 1\n", line);
    access.apply(&named(WORLD, "Olga"), &local(), false).await.unwrap();
    let marked = format!("\u{feff}{text}");
    for stale in [marked.clone(), as_said("#revision 1\n")] {
        let refused = access.apply(&stale, &By::proxy(), false).await.unwrap_err();
        assert!(matches!(refused, AccessError::Overtaken(_)), "{refused}");
    }
    let unclear = as_said("# revision 1 of the office\n");
    let refused = access.apply(&unclear, &By::proxy(), false).await.unwrap_err().to_string();
    let sentence = "nothing was applied: `# revision 1 of the office` says no revision; write it as it was \
                    exported (# revision 42), take the line out, or apply with --force";
    assert_eq!(refused, sentence);
    let tried = access.try_out(&unclear, &By::proxy(), 10, false).await.unwrap_err().to_string();
    assert_eq!(tried, sentence, "a dry run tells it too");
    let name =
        async || access.resources().await.unwrap().users[0].full_name.as_ref().map(ToString::to_string);
    assert_eq!(name().await.as_deref(), Some("Olga"));
    access.overwrite(&unclear, &By::proxy()).await.unwrap();
    assert_eq!(name().await.as_deref(), Some("Oskar"));
    // The mark itself is in nobody's way.
    access.overwrite(&marked, &By::proxy()).await.unwrap();
}

async fn a_text_of_a_revision_that_is_not_there_yet_is_refused_and_a_gate_without_any_takes_it() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let theirs = format!("# revision 99999\n{WORLD}");
    access.apply(&theirs, &By::proxy(), true).await.unwrap();
    access.apply(&theirs, &By::proxy(), false).await.unwrap();
    let sentence = "nothing was applied: the text says that it is of revision 99999, and this gate is at 1; \
                    export again and make the edit there, or apply with --force";
    let refused = access.apply(&named(&theirs, "Olga"), &By::proxy(), false).await.unwrap_err().to_string();
    assert_eq!(refused, sentence);
    let tried = access.try_out(&theirs, &By::proxy(), 10, false).await.unwrap_err().to_string();
    assert_eq!(tried, sentence, "a dry run tells it too");
    assert!(access.resources().await.unwrap().users[0].full_name.is_none());
    // Its twins: one of the newest revision, and one that is forced.
    access.apply(&named(&theirs.replace("99999", "1"), "Olga"), &By::proxy(), false).await.unwrap();
    access.overwrite(&named(&theirs, "Oskar"), &By::proxy()).await.unwrap();
}

on_both! {
    who_edits_what_was_changed_since_it_was_exported_is_told_and_nothing_is_written,
    edits_of_different_resources_are_in_nobodys_way,
    what_was_deleted_since_it_was_exported_does_not_come_back_by_an_edit,
    what_says_its_revision_in_another_way_is_not_written_over_what_others_changed,
    a_text_of_a_revision_that_is_not_there_yet_is_refused_and_a_gate_without_any_takes_it,
}
