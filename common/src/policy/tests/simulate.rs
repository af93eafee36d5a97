use super::*;

const TWO: &str = "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\napprovers = [\"boss\"]\n\
                   criteria = { devices = [\"db*\"] }\nsession = { approval = {} }\n\
                   [[access_group]]\nname = \"web\"\nusers = [\"other\"]\ncriteria = { accounts = [\"ops\"] }\n\
                   session = {}\n";

fn effect(edit: &str) -> Effect {
    let text = format!("{PEOPLE}{TWO}");
    let before = Resources::read(&text).unwrap();
    let after = before.update(edit).unwrap().whole;
    simulate(&Snapshot::new(&before).unwrap(), &Snapshot::new(&after).unwrap(), noon(), 10)
}

/// `user action credential`, and how it was and is.
fn named(accesses: &Accesses) -> Vec<String> {
    let how = |gives: &Option<Gives>| gives.as_ref().map(|gives| gives.asks.clone()).unwrap_or_default();
    let line = |access: &Access| {
        let Access { user, credential, before, after, .. } = access;
        format!("{user} {credential}: {} > {}", how(before), how(after))
    };
    accesses.first.iter().map(line).collect()
}

fn counts(effect: &Effect) -> [u64; 3] {
    [effect.gained.count, effect.lost.count, effect.changed.count]
}

#[test]
fn an_edit_is_told_by_who_gains_who_loses_and_for_whom_the_terms_change() {
    // `other` joins a group that demands more, and `operator` leaves it.
    let joins = effect(
        "[[access_group]]\nname = \"dba\"\nusers = [\"other\"]\napprovers = [\"boss\"]\n\
         criteria = { devices = [\"db*\"] }\nsession = { approval = {} }\n",
    );
    assert_eq!(named(&joins.gained), ["other adm-operator@db01:  > 1 approval"]);
    assert_eq!(
        named(&joins.lost),
        ["operator adm-operator@db01: 1 approval > ", "operator ops@db01: 1 approval > "]
    );
    assert_eq!(named(&joins.changed), ["other ops@db01: nothing > 1 approval"]);
    assert_eq!((counts(&joins), joins.lost.users, joins.complete), ([1, 2, 1], 1, true));
}

#[test]
fn what_makes_no_difference_to_anybody_is_told_as_nothing() {
    for edit in [
        "",
        "[[user]]\nname = \"operator\"\nfull_name = \"Olga\"\n",
        "[[reason]]\nname = \"incident\"\n",
        "[[device]]\nname = \"db01\"\nproduct = \"Debian\"\ntags = [\"Production\"]\naddress = \"192.0.2.1\"\n",
    ] {
        assert_eq!(effect(edit), Effect { complete: true, ..Effect::default() }, "{edit}");
    }
}

#[test]
fn users_and_credentials_that_come_go_or_change_are_counted() {
    let off = effect("[[user]]\nname = \"operator\"\nenabled = false\n");
    assert_eq!(counts(&off), [0, 2, 0]);
    let new = effect("[[device]]\nname = \"db02\"\n[[credential]]\nname = \"ops@db02\"\n");
    assert_eq!(named(&new.gained), ["operator ops@db02:  > 1 approval", "other ops@db02:  > nothing"]);
    // A privilege is something that is gained with an access that was there before.
    let more = effect("[[credential]]\nname = \"ops@web01\"\nprivileges = [{ kind = \"sudo\" }]\n");
    assert_eq!(counts(&more), [0, 0, 1]);
    assert!(more.changed.first[0].after.as_ref().unwrap().to_string().contains("grants sudo"));
    // A window that is closed now counts, since it opens; one that is over does not.
    let night = |limits: &str| {
        effect(&format!(
            "[[access_group]]\nname = \"web\"\nusers = [\"other\"]\ncriteria = {{ accounts = [\"ops\"] }}\nsession = {{}}\n\
             limitation = {{ {limits} }}\n"
        ))
    };
    assert_eq!(counts(&night("slots = [\"00:00-01:00\"]")), [0, 0, 2]);
    assert_eq!(counts(&night("until = 2026-05-31")), [0, 2, 0]);
}

#[test]
fn the_matrix_lists_every_access_by_user_device_and_account() {
    let snapshot = world(TWO);
    let listed = |filter: &MatrixFilter| -> Vec<String> {
        let rows = matrix(&snapshot, filter, noon());
        rows.map(|row| format!("{} {} {} {}", row.user, row.credential, row.gives.group, row.gives.asks))
            .collect()
    };
    let all = listed(&MatrixFilter::default());
    assert_eq!(
        all,
        [
            "operator adm-operator@db01 dba 1 approval",
            "operator ops@db01 dba 1 approval",
            "other ops@db01 web nothing",
            "other ops@web01 web nothing",
        ]
    );
    let user = MatrixFilter { user: Some("operator".parse().unwrap()), ..MatrixFilter::default() };
    assert_eq!(listed(&user), all[..2]);
    let device = MatrixFilter { device: Some("web01".parse().unwrap()), ..MatrixFilter::default() };
    assert_eq!(listed(&device), all[3..]);
    let group = MatrixFilter { group: Some("web".parse().unwrap()), ..MatrixFilter::default() };
    assert_eq!(listed(&group), all[2..]);
}

#[test]
fn exceptional_access_is_told_and_listed_beside_what_groups_give() {
    let night = |rest: &str| {
        format!(
            "[[exceptional_access]]\nname = \"night\"\nusers = [\"operator\"]\ncredential = \"ops@db01\"\n{rest}\n"
        )
    };
    let given = night("from = 2026-06-02T00:00:00Z\nuntil = 2026-06-03T00:00:00Z");
    let gained = effect(&given);
    assert_eq!(
        (named(&gained.gained), counts(&gained)),
        (vec!["operator ops@db01:  > nothing".to_owned()], [1, 0, 0])
    );
    let told = gained.gained.first[0].after.as_ref().unwrap().to_string();
    assert!(told.contains("by `night`, asks for nothing, open from 2026-06-02T00:00:00Z until"), "{told}");
    assert_eq!(counts(&effect(&night("until = 2026-06-01T12:00:00Z"))), [0, 0, 0], "it is over");
    let before = Resources::read(&format!("{PEOPLE}{TWO}{given}")).unwrap();
    let edited = |edit: &str| {
        let after = before.update(edit).unwrap().whole;
        simulate(&Snapshot::new(&before).unwrap(), &Snapshot::new(&after).unwrap(), noon(), 10)
    };
    assert_eq!(counts(&edited(&night("until = 2026-06-04T00:00:00Z"))), [0, 0, 1]);
    assert_eq!(counts(&edited("[[user]]\nname = \"operator\"\nenabled = false\n")), [0, 3, 0]);
    let snapshot = Snapshot::new(&before).unwrap();
    let listed = |filter: &MatrixFilter| -> Vec<String> {
        matrix(&snapshot, filter, noon())
            .map(|row| format!("{} {}", row.credential, row.gives.group))
            .collect()
    };
    let operator = MatrixFilter { user: Some("operator".parse().unwrap()), ..MatrixFilter::default() };
    assert_eq!(listed(&operator), ["adm-operator@db01 dba", "ops@db01 night", "ops@db01 dba"]);
    let only = MatrixFilter { group: Some("night".parse().unwrap()), ..MatrixFilter::default() };
    assert_eq!(listed(&only), ["ops@db01 night"]);
}
