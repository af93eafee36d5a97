use crate::model::{Kind, Resources};

const USERS: &str = "\
[[user]]
name = \"olga\"
email = \"olga@example.org\"
[[user]]
name = \"adam\"
";

fn mistakes(group: &str) -> String {
    Resources::read(&format!("{USERS}[[user_group]]\nname = \"field\"\n{group}")).unwrap_err().to_string()
}

#[test]
fn every_field_is_read_shown_and_written_as_it_was() {
    let text = format!(
        "{USERS}[[user_group]]\nname = \"field\"\nenabled = false\nautomatic_access = \"yes\"\nusers = [\"olga\"]\n\
         [user_group.location]\nallowed = [\"BR-SP\", {{ country = \"pt\" }}, {{ country = \"DE\", region = \"DE-BE\" }}]\n"
    );
    let resources = Resources::read(&text).unwrap();
    let cells = resources.of_kind(Kind::UserGroup).first().unwrap().cells();
    assert_eq!(cells, ["field", "olga", "BR-SP, PT, DE-BE", "yes", "no"]);
    assert_eq!(Resources::read(&resources.to_toml().unwrap()), Ok(resources.clone()));
    let group = resources.of_kind(Kind::UserGroup).remove(0);
    let again = crate::model::Resource::from_json(Kind::UserGroup, group.to_json().unwrap()).unwrap();
    assert_eq!(again, group);
}

#[test]
fn a_list_that_is_kept_and_not_asked_is_anywhere() {
    let group = "users = [\"olga\"]\nlocation = { restrict = false, allowed = [\"BR\"] }\n";
    let text = format!("{USERS}[[user_group]]\nname = \"field\"\n{group}");
    let resources = Resources::read(&text).unwrap();
    assert_eq!(resources.of_kind(Kind::UserGroup).first().unwrap().cells()[2], "anywhere");
    assert!(resources.to_toml().unwrap().contains("country = \"BR\""));
}

#[test]
fn a_user_without_an_e_mail_address_is_refused_by_name_with_the_place() {
    let told = mistakes("users = [\"olga\", \"adam\"]\n");
    assert_eq!(
        told,
        "line 8, column 18: user `adam` has no e-mail address, and a user group's users must have one; add `email` \
         to the user"
    );
    let held =
        Resources::read(&format!("{USERS}[[user_group]]\nname = \"field\"\nusers = [\"olga\"]\n")).unwrap();
    let told = held.update("[[user]]\nname = \"olga\"\n").unwrap_err().to_string();
    assert!(
        told.contains("user group `field` (not in this text): user `olga` has no e-mail address"),
        "{told}"
    );
}

#[test]
fn what_leads_nowhere_or_restricts_to_nothing_is_told() {
    for (group, why) in [
        ("users = [\"zoe\"]\n", "there is no user `zoe`"),
        ("users = [\"olga\", \"olga\"]\n", "user `olga` is listed twice"),
        ("location = { restrict = true }\n", "restricted to locations and names none"),
        ("location = { allowed = [\"UK\"] }\n", "`UK` is no country"),
        ("location = { allowed = [{ region = \"SP\" }] }\n", "a location has no `country`"),
        (
            "location = { allowed = [{ country = \"BR\", region = \"DE-BE\" }] }\n",
            "region `DE-BE` is not in BR",
        ),
        ("automatic_access = \"perhaps\"\n", "`perhaps` is not default, yes or no"),
        ("enabled = \"yes\"\n", "`enabled` of user group must be true or false"),
    ] {
        let told = mistakes(group);
        assert!(told.contains(why), "{group}{told}");
    }
}
