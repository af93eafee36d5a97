use super::*;
use crate::model::{AccessGroup, Forward, Snapshot};

const WHOLE: &str = include_str!("../../../../config/resources.toml");

fn mistakes(text: &str) -> Vec<String> {
    match Resources::read(text) {
        Ok(_) => Vec::new(),
        Err(Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

/// A small set that is right; tests break one thing in it.
const SMALL: &str = r#"
[[user]]
name = "operator"
[[user]]
name = "approver"
[[device]]
name = "db01"
[[credential]]
name = "ops@db01"
[[access_group]]
name = "dba"
users = ["operator"]
approvers = ["approver"]
criteria = { devices = ["db01"] }
session = { approval = { needed = 1 } }
"#;

fn broken(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from}");
    mistakes(&SMALL.replacen(from, to, 1))
}

#[test]
fn the_example_in_config_is_read_and_indexed() {
    let resources = Resources::read(WHOLE).unwrap();
    assert_eq!(resources.users.len(), 4);
    let group: &AccessGroup = &resources.access_groups[0];
    assert_eq!(group.conditions.forwards, [Forward::Local, Forward::Agent]);
    assert_eq!(group.approvers[1].level, 2.try_into().unwrap());
    assert!(Snapshot::new(&resources).is_ok());
}

#[test]
fn what_is_exported_reads_back_the_same() {
    let resources = Resources::read(WHOLE).unwrap();
    let text = resources.to_toml().unwrap();
    assert_eq!(Resources::read(&text).unwrap(), resources, "{text}");
}

#[test]
fn a_zone_that_only_the_times_of_approval_use_is_kept() {
    let text = SMALL.replacen("session =", "limitation = { zone = \"Europe/Berlin\" }\nsession =", 1);
    let resources = Resources::read(&text).unwrap();
    assert_eq!(resources.access_groups[0].limitation.zone.to_string(), "Europe/Berlin");
    assert_eq!(Resources::read(&resources.to_toml().unwrap()).unwrap(), resources);
}

#[test]
fn a_resource_survives_its_json_document() {
    let resources = Resources::read(WHOLE).unwrap();
    for kind in Kind::ALL {
        for resource in resources.of_kind(kind) {
            let document = resource.to_json().unwrap();
            assert_eq!(Resource::from_json(kind, document).unwrap(), resource);
        }
    }
}

#[test]
fn a_right_text_has_no_mistakes() {
    assert_eq!(mistakes(SMALL), Vec::<String>::new());
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let text = "[[user]]\nname = \"o p\"\nemial = \"x\"\nenabled = \"yes\"\n\n\
                [[device]]\nport = 0\n\n[[widget]]\n\n[[credential]]\nname = \"ops@db01\"\n";
    let found = mistakes(text);
    let starts: Vec<_> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "line 2, column 8",
            "line 3, column 1",
            "line 4, column 11",
            "line 6, column 1",
            "line 7, column 8",
            "line 9, column 3",
            "line 12, column 8"
        ],
        "{found:#?}"
    );
    assert!(
        found[1].contains("`emial` is not a key of user; known are name, full_name, email"),
        "{}",
        found[1]
    );
    assert!(found[2].contains("must be true or false, not a string"), "{}", found[2]);
    assert!(found[3].contains("device has no `name`"), "{}", found[3]);
}

#[test]
fn several_errors_of_syntax_are_all_reported() {
    let found = mistakes("[[user]]\nname = \n[[device]]\nname = 'db01\n");
    assert!(found.len() >= 2, "{found:#?}");
    assert!(found[0].starts_with("line 2"), "{found:#?}");
}

#[test]
fn a_name_that_leads_nowhere_is_refused_where_it_is_written() {
    let found = broken("users = [\"operator\"]", "users = [\"operator\", \"olga\"]");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("line 12, column 22: there is no user `olga`"), "{found:#?}");
    let found = broken("name = \"db01\"", "name = \"db02\"");
    assert!(found[0].contains("there is no device `db01`"), "{found:#?}");
}

#[test]
fn a_user_that_could_not_be_read_is_not_also_called_missing() {
    let found = broken("name = \"approver\"", "name = \"approver\"\nfoo = 1");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("`foo` is not a key of user"), "{found:#?}");
}

#[test]
fn a_group_without_criteria_is_refused_with_that_message() {
    let found = broken("criteria = { devices = [\"db01\"] }", "");
    assert!(found[0].contains("a group without criteria matches nothing"), "{found:#?}");
}

#[test]
fn approvals_that_could_never_be_collected_are_refused_and_their_twin_is_not() {
    let found = broken("needed = 1", "needed = 2");
    assert!(found[0].contains("2 approvals could never be collected"), "{found:#?}");
    let own = SMALL.replacen("approvers = [\"approver\"]", "approvers = [\"operator\"]", 1);
    assert!(mistakes(&own)[0].contains("who may not approve their own request"));
    let both = SMALL.replacen("approvers = [\"approver\"]", "approvers = [\"operator\", \"approver\"]", 1);
    assert_eq!(mistakes(&both), Vec::<String>::new());
}

#[test]
fn one_person_in_two_levels_cannot_fill_both() {
    let levels = |approvers: &str| {
        let text = SMALL.replacen("needed = 1", "needed = 1, levels = true", 1);
        mistakes(&text.replacen("[\"approver\"]", approvers, 1))
    };
    let alone = levels("[{ user = \"approver\" }, { user = \"approver\", level = 2 }]");
    assert!(alone[0].contains("in each level could never be collected"), "{alone:#?}");
    assert_eq!(levels("[{ user = \"approver\" }]"), Vec::<String>::new());
}

#[test]
fn a_group_that_allows_nothing_and_an_emergency_without_approval_are_refused() {
    assert!(broken("session = { approval = { needed = 1 } }", "")[0].contains("allows nothing"));
    let found = broken("session = { approval = { needed = 1 } }", "session = { emergency = true }");
    assert!(found[0].contains("no approval that an emergency could skip"), "{found:#?}");
    let approval = "approval = { needed = 1 }";
    let window = |terms: &str| {
        broken(&format!("session = {{ {approval} }}"), &format!("session = {{ {terms}{approval} }}"))
    };
    let found = window("emergency_window = \"30m\", ");
    assert!(found[0].contains("there is no emergency for it"), "{found:#?}");
    let found = window("emergency = true, emergency_window = \"25h\", ");
    assert!(found[0].contains("an emergency opens for 1d at most, not for 1d 1h"), "{found:#?}");
}

#[test]
fn a_privilege_with_an_unknown_key_or_a_wild_command_is_refused_in_its_place() {
    let with = |privilege: &str| {
        broken("name = \"ops@db01\"", &format!("name = \"ops@db01\"\nprivileges = [{privilege}]"))
    };
    assert_eq!(with("{ kind = \"sudo\" }"), Vec::<String>::new());
    for (privilege, why) in [
        ("{ kind = \"sudo\", comands = [] }", "unknown field `comands`"),
        ("{ kind = \"sudo\", commands = [\"/bin/*\"] }", "no wildcards"),
        ("{ kind = \"groups\", groups = [] }", "must name at least one"),
        ("{ kind = \"root\" }", "unknown variant `root`"),
    ] {
        let found = with(privilege);
        assert!(found[0].starts_with("line 10, column") && found[0].contains(why), "{found:#?}");
    }
}

#[test]
fn what_a_mistake_repeats_of_the_text_moves_no_cursor_and_hides_nothing() {
    let odd = r#""\u001b[2J\u202e""#;
    for line in [
        format!("privileges = [{{ kind = {odd} }}]"),
        format!("privileges = [{{ kind = \"sudo\", {odd} = [] }}]"),
        format!("{odd} = 1"),
    ] {
        let found = broken("name = \"ops@db01\"", &format!("name = \"ops@db01\"\n{line}"));
        assert!(found[0].starts_with("line 10, column") && found[0].contains("[2J"), "{found:?}");
        assert!(!found.concat().chars().any(crate::unseen::is_unseen), "{found:?}");
    }
}

#[test]
fn a_resource_written_twice_and_one_in_single_brackets_are_refused() {
    assert!(broken("name = \"approver\"", "name = \"operator\"")[0].contains("written twice"));
    assert!(mistakes("[user]\nname = \"x\"\n")[0].contains("double brackets"));
}

#[test]
fn users_that_differ_only_in_case_are_refused() {
    let found = broken("[[device]]", "[[user]]\nname = \"Operator\"\n[[device]]");
    assert!(found[0].contains("only in upper and lower case"), "{found:#?}");
}

#[test]
fn an_addition_may_name_what_is_there_already_and_says_what_it_did() {
    let before = Resources::read(SMALL).unwrap();
    let text = "[[credential]]\nname = \"root@db01\"\n[[user]]\nname = \"operator\"\n[[device]]\nname = \"db01\"\nport = 2222\n";
    let update = before.update(text).unwrap();
    let did: Vec<_> = update.written.iter().map(|(new, did)| format!("{} {did}", new.name())).collect();
    assert_eq!(did, ["credential `root@db01` created", "user `operator` unchanged", "device `db01` changed"]);
    assert_eq!(update.whole.credentials.len(), 2);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]a-z_ =\"{},\n0-9é.]{0,200}") {
        let _ = Resources::read(&text);
    }
}
