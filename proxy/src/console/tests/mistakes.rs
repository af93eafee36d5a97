//! What is said of words that are not understood.

use super::World;

#[tokio::test]
async fn what_is_far_too_long_is_not_said_again_in_full() {
    let world = World::new().await;
    let (long, most) = ("x".repeat(5000), |count: usize| format!("{}…", "x".repeat(count)));
    for (line, status, told) in [
        (format!("request show {long}"), 2, format!("invalid value '{}' for '<ID>': ", most(64))),
        (
            format!("get {long}"),
            2,
            format!("invalid value '{}' for '<KIND>': `{}` is no kind of", most(64), most(40)),
        ),
        (long.clone(), 2, format!("unrecognized subcommand '{}'", most(64))),
        (format!("panic list {long}"), 2, format!("unexpected argument '{}' found", most(64))),
        (format!("get user {long}"), 1, format!("there is no user `{}`\n", most(128))),
        (format!("delete device {long}"), 1, format!("there is no device `{}`\n", most(128))),
        (
            format!("request create ops@db01 -j x --days {long}"),
            2,
            format!("invalid value '{}' for '--days <DAY>': `{}` is no weekday;", most(64), most(40)),
        ),
    ] {
        let done = world.says("admin", &line).await;
        assert_eq!(done.status, status, "{line}");
        assert!(done.err.starts_with(&format!("tidegate: {told}")), "{}", done.err);
        assert!(done.err.len() < 500, "{}", done.err);
    }
    let roles = format!("[[user]]\nname = \"x\"\nroles = [\"{long}\"]\n");
    let wrong = world.says_with("admin", "apply -f -", &roles).await;
    let told = format!("`{}` is no role; use admin, auditor or monitor\n", most(40));
    assert!(wrong.status == 1 && wrong.err.ends_with(&told), "{}", wrong.err);
}

#[tokio::test]
async fn all_words_that_are_missing_are_named_in_one_sentence() {
    let world = World::new().await;
    let told = "tidegate: the following required arguments were not provided: --justification <TEXT>, <NAME>; \
                --help tells how to write it\n";
    assert_eq!(world.says("admin", "panic user").await.err, told);
}
