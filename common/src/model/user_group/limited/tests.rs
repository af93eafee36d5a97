use std::collections::HashSet;

use crate::model::{Kind, Resource, Resources, Snapshot};
use crate::name::UserName;

const WORLD: &str = r#"
[[user]]
name = "olga"
email = "olga@example.org"
[[device]]
name = "db01"
[[credential]]
name = "ops@db01"
[[user_group]]
name = "field"
limited_users = [
    { name = "jane", full_name = "Jane Doe", email = "jane@example.com", phone = "+34600123456" },
    { name = "joe", phone = "+34600123457" },
]
[[access_group]]
name = "dba"
users = ["olga", "jane"]
criteria = { devices = ["db01"] }
session = {}
"#;

fn world() -> Resources {
    Resources::read(WORLD).unwrap()
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

#[test]
fn a_limited_user_is_read_written_as_they_were_and_shown_among_the_users() {
    let resources = world();
    assert_eq!(Resources::read(&resources.to_toml().unwrap()), Ok(resources.clone()));
    let group = resources.of_kind(Kind::UserGroup).remove(0);
    assert_eq!(Resource::from_json(Kind::UserGroup, group.to_json().unwrap()).unwrap(), group);
    assert_eq!(group.cells()[1], "jane (limited), joe (limited)");
    assert_eq!(resources.of_kind(Kind::User).len(), 1, "what is exported has them in their group only");
    let shown = resources.shown(Kind::User);
    let names: Vec<_> = shown.iter().map(|user| user.name().name).collect();
    assert_eq!(names, ["olga", "jane", "joe"]);
    let jane = ["jane", "Jane Doe", "jane@example.com", "limited, with the group field", "0", "yes"];
    assert_eq!(shown[1].cells(), jane);
    // It cannot be read back as a user who stands alone.
    let document = shown[1].to_json().unwrap();
    assert_eq!(document["limited"], "field");
    assert!(Resource::from_json(Kind::User, document).is_err());
    assert_eq!(resources.shown(Kind::Device), resources.of_kind(Kind::Device));
}

#[test]
fn a_limited_user_has_a_name_and_addresses_and_nothing_that_logs_in() {
    let snapshot = Snapshot::new(&world()).unwrap();
    let jane = snapshot.user(&user("jane")).unwrap();
    assert_eq!(jane.limited, Some("field".parse().unwrap()));
    assert_eq!((jane.roles.len(), jane.keys.len(), jane.has_principal("jane")), (0, 0, false));
    assert!(snapshot.is_limited(&user("joe")));
    // The twin who is written as a user.
    assert!(
        snapshot.user(&user("olga")).unwrap().has_principal("olga") && !snapshot.is_limited(&user("olga"))
    );
    let off = WORLD.replacen("name = \"field\"", "name = \"field\"\nenabled = false", 1);
    let off = Snapshot::new(&Resources::read(&off).unwrap()).unwrap();
    assert!(!off.user(&user("jane")).unwrap().enabled);
}

#[test]
fn what_a_limited_user_cannot_be_is_refused_in_a_sentence() {
    let only = "`jane` is a limited user of user group `field`, and such a one is listed in the `users` of access \
                groups only; name a [[user]]";
    let exceptional = "[[exceptional_access]]\nname = \"x\"\nusers = [\"jane\"]\ncredential = \"ops@db01\"\n\
                       until = \"2030-01-01T00:00:00Z\"\n[[device]]";
    let deputy = "name = \"olga\"\ndeputy = { user = \"jane\", from = 2026-01-01, until = 2026-01-02 }";
    for (from, to, why) in [
        ("name = \"joe\"", "name = \"olga\"", "there is a user `olga` already"),
        ("name = \"joe\"", "name = \"Jane\"", "`jane` is a limited user of user group `field` already"),
        (", phone = \"+34600123457\"", "", "nobody could send `joe` a code; add an `email` or a `phone`"),
        ("name = \"joe\", ", "", "a limited user has no `name`"),
        ("name = \"joe\"", "name = \"joe\", roles = [\"admin\"]", "`roles` is not a key of a limited user"),
        (
            "name = \"joe\"",
            "name = \"joe\", full_name = \"\"",
            "`full_name` of a limited user: the value is empty",
        ),
        ("limited_users", "users = [\"jane\"]\nlimited_users", only),
        ("criteria", "approvers = [\"jane\"]\ncriteria", only),
        ("criteria", "copy = [\"jane\"]\ncriteria", only),
        (
            "criteria",
            "review = { owners = [\"jane\"], every = \"100 months\", from = 2026-01-01 }\ncriteria",
            only,
        ),
        ("name = \"olga\"", "name = \"olga\"\nmanager = \"jane\"", only),
        ("name = \"olga\"", deputy, only),
        ("[[device]]", exceptional, only),
    ] {
        assert!(WORLD.contains(from), "{from}");
        let told = Resources::read(&WORLD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(told.contains(why) && told.lines().count() == 1, "{to}: {told}");
    }
}

#[test]
fn a_name_that_is_taken_is_refused_whichever_is_written_later() {
    let told = |text: &str| world().update(text).unwrap_err().to_string();
    let both = told("[[user]]\nname = \"jane\"\n");
    let why = "user group `field` (not in this text): there is a user `jane` already";
    assert!(both.contains(why), "{both}");
    let two = told(
        "[[user_group]]\nname = \"other\"\nlimited_users = [{ name = \"joe\", email = \"joe@example.org\" }]\n",
    );
    assert!(two.contains("`joe` is a limited user of user group `field` already"), "{two}");
    // Who is taken out is no longer listed by an access group either.
    let gone = told("[[user_group]]\nname = \"field\"\n");
    assert!(gone.contains("access group `dba` (not in this text): there is no user `jane`"), "{gone}");
}

#[test]
fn a_group_that_cannot_be_read_makes_nobody_else_wrong() {
    let text = WORLD.replacen("name = \"field\"", "name = \"field\"\nenabled = \"yes\"", 1);
    let told = Resources::read(&text).unwrap_err().to_string();
    assert!(told.ends_with("`enabled` of user group must be true or false, not a string"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn who_goes_is_taken_out_of_the_group_and_of_access_groups_and_nothing_else_changes() {
    let mut resources = world();
    let jane = HashSet::from([user("jane")]);
    let changed: Vec<_> = resources.remove_limited(&jane).iter().map(|one| one.name().to_string()).collect();
    assert_eq!(changed, ["user group `field`", "access group `dba`"]);
    assert_eq!(resources.check(), []);
    let left = WORLD
        .replacen(
            "    { name = \"jane\", full_name = \"Jane Doe\", email = \"jane@example.com\", phone = \"+34600123456\" },\n",
            "",
            1,
        )
        .replacen(", \"jane\"", "", 1);
    assert_eq!(resources, Resources::read(&left).unwrap());
    assert_eq!(resources.remove_limited(&jane), []);
}
