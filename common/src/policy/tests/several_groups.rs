use super::*;

fn two(first: &str, second: &str) -> Snapshot {
    world(&format!(
        "[[access_group]]\nname = \"first\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
         criteria = {{ {ALL} }}\n{first}\n\
         [[access_group]]\nname = \"second\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
         criteria = {{ {ALL} }}\n{second}\n"
    ))
}

fn governing(snapshot: &Snapshot) -> String {
    match ask("ops@db01").of(snapshot) {
        Decision::Permitted(permit) => permit.group().to_string(),
        Decision::Needs(needs) => needs.group.to_string(),
        Decision::Refused(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn the_most_demanding_group_governs() {
    let order = [
        "session = {}",
        "session = { justification = true }",
        "session = { change = true }",
        "session = { approval = {} }",
    ];
    for (low, less) in order.iter().enumerate() {
        for more in order.iter().skip(low + 1) {
            assert_eq!(governing(&two(less, more)), "second", "{less} {more}");
            assert_eq!(governing(&two(more, less)), "first", "{more} {less}");
        }
    }
}

#[test]
fn of_equally_demanding_groups_the_oldest_governs() {
    assert_eq!(governing(&two("session = {}", "session = {}")), "first");
    assert_eq!(
        governing(&two("session = { approval = {} }", "session = { approval = {}, change = true }")),
        "first"
    );
}

#[test]
fn a_group_that_does_not_count_demands_nothing() {
    let closed = "session = { approval = {} }\nlimitation = { slots = [\"00:00-01:00\"] }";
    assert_eq!(governing(&two("session = {}", closed)), "first");
    assert_eq!(governing(&two("session = {}", "password = { approval = {} }")), "first");
}

#[test]
fn approval_that_is_not_needed_at_this_time_does_not_demand() {
    let weekend = "session = { approval = { when = { weekdays = [\"sat\", \"sun\"] } } }";
    assert_eq!(governing(&two("session = { justification = true }", weekend)), "first");
    let weekdays = "session = { approval = { when = { weekdays = [\"mon\"] } } }";
    assert_eq!(governing(&two("session = { justification = true }", weekdays)), "second");
}

#[test]
fn explain_names_the_group_that_decides_and_why_the_others_did_not() {
    let snapshot =
        two("session = { silent_watch = true }", "session = {}\nlimitation = { slots = [\"00:00-01:00\"] }");
    let explanation = ask("ops@db01").explained(&snapshot);
    let Decision::Permitted(permit) = &explanation.decision else { panic!("{:?}", explanation.decision) };
    assert!(!permit.tells_of_watchers());
    let lines: Vec<_> =
        explanation.groups.iter().map(|(name, verdict)| format!("{name} {verdict}")).collect();
    assert_eq!(
        lines,
        [
            "first governs; demands nothing; the user is not told that somebody watches the session",
            "second does not count: it is outside its access limitation now"
        ]
    );
}

proptest::proptest! {
    /// Adding a group never takes an access away: at most it demands more.
    #[test]
    fn a_group_never_vetoes_another(first in 0usize..4, second in 0usize..4, closed: bool) {
        let terms = ["session = {}", "session = { justification = true }", "session = { change = true }", "session = { approval = {} }"];
        let limit = if closed { "\nlimitation = { slots = [\"00:00-01:00\"] }" } else { "" };
        let snapshot = two(terms[first], &format!("{}{limit}", terms[second]));
        let refused = matches!(ask("ops@db01").of(&snapshot), Decision::Refused(_));
        proptest::prop_assert!(!refused);
    }
}
