//! Groups whose users somebody confirms.

use std::sync::Arc;

use super::*;
use crate::digest::Digest;
use crate::model::{AccessGroup, Confirmed, GroupReview, Rulings};
use crate::name::UserName;

/// Due at noon of 1 June in UTC, and lapsed a day later.
const REVIEWED: &str = "session = {}\nlimitation = { zone = \"Etc/GMT-12\" }\n\
                        review = { owners = [\"boss\", \"second\"], every = \"31d\", grace = \"1 day\", from = 2026-05-02 }";

fn name() -> crate::name::AccessGroupName {
    "dba".parse().unwrap()
}

fn known(snapshot: &Snapshot, review: GroupReview) -> Snapshot {
    let rulings = Rulings { reviews: [(name(), review)].into(), ..Rulings::default() };
    snapshot.with_rulings(Arc::new(rulings))
}

fn confirmed(snapshot: &Snapshot, at: Timestamp) -> Snapshot {
    let confirmed = Some(Confirmed { at, by: "boss".parse().unwrap(), stands_in_for: None });
    known(snapshot, GroupReview { confirmed, told: None })
}

const DAY: i64 = 24 * 60;

#[test]
fn a_group_that_nobody_confirmed_in_time_grants_nothing_and_says_so() {
    let snapshot = group(ALL, REVIEWED);
    assert_eq!(permit(ask("ops@db01").of(&snapshot)).expires(), Some(after(DAY)), "it lasts until then");
    let late = || ask("ops@db01").at(after(DAY));
    let _ = permit(late().at(after(DAY - 1)).of(&snapshot));
    let refusal = refused(late().of(&snapshot));
    assert_eq!(
        refusal.to_string(),
        "access group `dba` gives no access to ops@db01 now: nobody confirmed its users in time; ask its owner to"
    );
    assert_eq!(
        refusal.why().to_string(),
        "no access group gives it (closest: `dba`, but nobody confirmed its users in time, so it grants nothing since \
         2026-06-02T12:00:00Z)"
    );
    let names = |at, snapshot: &Snapshot| {
        let user = "operator".parse().unwrap();
        let reached = reachable(snapshot, &user, &Coming::ASKED, Action::Session, at);
        reached.iter().map(|reached| reached.closes).collect::<Vec<_>>()
    };
    assert_eq!(names(noon(), &snapshot), [Some(after(DAY)); 3]);
    assert_eq!(names(after(DAY), &snapshot), []);
    // Confirmed, also once it had lapsed, it grants again for as long as that is good.
    let good = confirmed(&snapshot, after(DAY));
    assert_eq!(permit(late().of(&good)).expires(), Some(after(DAY + 32 * DAY)));
    // Another's user reads no more than before.
    let other = refused(late().by("other").of(&snapshot)).to_string();
    assert_eq!(other, "access to ops@db01 is not given to you; `access list` shows what you may reach");
}

#[test]
fn what_is_explained_names_the_group_that_nobody_confirmed() {
    let snapshot = group(ALL, REVIEWED);
    let explained = ask("ops@db01").at(after(DAY)).explained(&snapshot);
    let verdicts: Vec<_> = explained.groups.iter().map(|(_, verdict)| verdict.to_string()).collect();
    assert_eq!(
        verdicts,
        [
            "does not count: nobody confirmed its users in time, so it grants nothing since 2026-06-02T12:00:00Z"
        ]
    );
    let last = explained.steps.last().unwrap();
    assert!(!last.holds && last.said.contains("nobody confirmed its users in time"), "{last:?}");
    let before = ask("ops@db01").at(after(DAY - 1)).explained(&snapshot);
    assert!(before.steps.last().unwrap().holds, "{:?}", before.steps);
}

#[test]
fn a_live_session_ends_when_the_group_lapses_and_goes_on_where_it_was_confirmed() {
    let snapshot = group(ALL, REVIEWED);
    let given = permit(ask("ops@db01").of(&snapshot));
    let again = |snapshot: &Snapshot, at| recheck(snapshot, &given, at, Coming::ASKED, &[], &[]);
    assert_eq!(again(&snapshot, after(DAY)).unwrap_err(), EndReason::TimeOver);
    let good = confirmed(&snapshot, after(5));
    let next = again(&good, after(6)).unwrap();
    assert_eq!(next.expires(), Some(after(5 + 32 * DAY)));
    let next = recheck(&good, &next, after(DAY), Coming::ASKED, &[], &[]).unwrap();
    assert_eq!(next.expires(), Some(after(5 + 32 * DAY)));
}

#[test]
fn a_group_that_lapsed_vetoes_no_other() {
    let both = format!(
        "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{REVIEWED}\n\
         [[access_group]]\nname = \"all\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\nsession = {{}}\n"
    );
    let both = world(&both);
    assert_eq!(permit(ask("ops@db01").of(&both)).group().as_str(), "dba");
    assert_eq!(permit(ask("ops@db01").at(after(DAY)).of(&both)).group().as_str(), "all");
}

#[test]
fn a_group_whose_review_only_a_newer_gate_can_read_lets_nobody_in_and_what_lives_goes_on() {
    let snapshot = group(ALL, REVIEWED);
    let given = permit(ask("ops@db01").of(&snapshot));
    let unread = |snapshot: &Snapshot, group: &str| {
        let rulings = Rulings { unread: [group.parse().unwrap()].into(), ..Rulings::default() };
        snapshot.with_rulings(Arc::new(rulings))
    };
    let newer = unread(&snapshot, "dba");
    // Also once it would have lapsed as far as is known.
    for at in [noon(), after(DAY)] {
        let refusal = refused(ask("ops@db01").at(at).of(&newer));
        assert_eq!(
            refusal.to_string(),
            "access group `dba` gives no access to ops@db01 on this gate, which cannot read what a newer one wrote of \
             its review; ask an administrator to upgrade it"
        );
        let why = refusal.why().to_string();
        assert!(why.contains("`dba`, but its review was written by a newer gate"), "{why}");
    }
    let explained = ask("ops@db01").explained(&newer);
    assert_eq!(
        explained.groups[0].1.to_string(),
        "does not count: its review was written by a newer gate, and this one cannot read it"
    );
    let user = "operator".parse().unwrap();
    assert!(reachable(&newer, &user, &Coming::ASKED, Action::Session, noon()).is_empty());
    // A session goes on to the end that was known before.
    let again = |at| recheck(&newer, &given, at, Coming::ASKED, &[], &[]);
    assert_eq!(again(after(5)).unwrap().expires(), Some(after(DAY)));
    assert_eq!(again(after(DAY)).unwrap_err(), EndReason::TimeOver);
    // The newer gate tells the owners.
    assert_eq!(reviews_to_tell(&snapshot, after(0)).count(), 1);
    assert_eq!(reviews_to_tell(&newer, after(0)).count(), 0);
    // One that asks for no review is not concerned, nor is another.
    let _ = permit(ask("ops@db01").of(&unread(&snapshot, "other")));
    let _ = permit(ask("ops@db01").of(&unread(&group(ALL, "session = {}"), "dba")));
}

#[test]
fn a_group_whose_review_cannot_be_read_makes_no_room_for_one_that_demands_less() {
    let asks =
        REVIEWED.replace("session = {}", "approvers = [\"boss\"]\nsession = { approval = { needed = 1 } }");
    let both = format!(
        "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{asks}\n\
         [[access_group]]\nname = \"all\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\nsession = {{}}\n"
    );
    let both = world(&both);
    let rulings = Rulings { unread: [name()].into(), ..Rulings::default() };
    let newer = both.with_rulings(Arc::new(rulings));
    for at in [noon(), after(DAY)] {
        let why = refused(ask("ops@db01").at(at).of(&newer)).why().to_string();
        assert!(why.contains("its review was written by a newer gate"), "{why}");
    }
    // Once it can be read, and had lapsed, it does.
    assert_eq!(permit(ask("ops@db01").at(after(DAY)).of(&both)).group().as_str(), "all");
}

#[test]
fn an_owner_confirms_those_that_they_saw_and_nobody_else_does() {
    let snapshot = group(ALL, REVIEWED);
    let seen = digest_of_users(snapshot.group(&name()).unwrap());
    let by = |snapshot: &Snapshot, user: &str, group: &str, seen: &Digest| -> Result<Timestamp, String> {
        let (user, group): (UserName, _) = (user.parse().unwrap(), group.parse().unwrap());
        let given = confirm(snapshot, &group, &user, seen, noon()).map_err(|why| why.to_string())?;
        assert_eq!(given.stands_in_for, None, "in their own place");
        Ok(given.due)
    };
    for owner in ["boss", "second"] {
        assert_eq!(by(&snapshot, owner, "dba", &seen), Ok(after(31 * DAY)));
    }
    let told = |group: &str| {
        format!(
            "you own no access group `{group}` that asks for a review; `group-review list` shows those that concern you"
        )
    };
    for (user, group) in [("operator", "dba"), ("nobody", "dba"), ("boss", "nothing")] {
        assert_eq!(by(&snapshot, user, group, &seen), Err(told(group)));
    }
    assert_eq!(by(&group(ALL, "session = {}"), "boss", "dba", &seen), Err(told("dba")), "it asks for none");
    let joined = group(ALL, &format!("{REVIEWED}\n[[user]]\nname = \"late\""));
    let text = Resources::read(&format!(
        "{PEOPLE}[[access_group]]\nname = \"dba\"\nusers = [\"operator\", \"other\"]\ncriteria = {{ {ALL} }}\n{REVIEWED}\n"
    ));
    let changed = Snapshot::new(&text.unwrap()).unwrap();
    assert_eq!(by(&joined, "boss", "dba", &seen), Ok(after(31 * DAY)), "its users are the same");
    let why = by(&changed, "boss", "dba", &seen).unwrap_err();
    assert_eq!(
        why,
        "the users of access group `dba` were changed meanwhile; look at them again, then confirm"
    );
    let gone = Resources::read(&format!(
        "{}[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{REVIEWED}\n",
        PEOPLE.replace("name = \"boss\"", "name = \"boss\"\nenabled = false")
    ));
    let gone = Snapshot::new(&gone.unwrap()).unwrap();
    assert_eq!(by(&gone, "boss", "dba", &seen), Err(told("dba")), "who is disabled confirms nothing");
}

#[test]
fn a_deputy_confirms_in_an_owners_place_on_their_days_only_and_is_told_as_the_owner_is() {
    let away = |from: &str, until: &str| {
        let deputy =
            format!("name = \"boss\"\ndeputy = {{ user = \"other\", from = {from}, until = {until} }}");
        let text = format!(
            "{}[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{REVIEWED}\n",
            PEOPLE.replace("name = \"boss\"", &deputy)
        );
        Snapshot::new(&Resources::read(&text).unwrap()).unwrap()
    };
    let (now, later) = (away("2026-05-30", "2026-06-01"), away("2026-06-02", "2026-06-30"));
    let by = |snapshot: &Snapshot, user: &str| {
        let seen = digest_of_users(snapshot.group(&name()).unwrap());
        confirm(snapshot, &name(), &user.parse().unwrap(), &seen, noon())
    };
    let boss = Some("boss".parse().unwrap());
    assert_eq!(by(&now, "other").unwrap(), Confirmation { due: after(31 * DAY), stands_in_for: boss });
    assert_eq!(by(&later, "other"), Err(NoConfirmation::NotOwner(name())), "the owner is there");
    for owner in ["boss", "second"] {
        assert_eq!(by(&now, owner).unwrap().stands_in_for, None, "{owner} is an owner still");
    }
    let told = |snapshot: &Snapshot| {
        let review = snapshot.group(&name()).unwrap().review.clone().unwrap();
        let told = reviewers(snapshot, &review, noon());
        told.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(&now), ["boss", "other", "second"]);
    assert_eq!(told(&later), ["boss", "second"]);
}

#[test]
fn owners_are_told_when_it_is_due_and_once_more_before_the_end() {
    let snapshot = group(ALL, &REVIEWED.replace("1 day", "3d"));
    let told = |told: Option<i64>, now| {
        let known = known(&snapshot, GroupReview { confirmed: None, told: told.map(after) });
        reviews_to_tell(&known, after(now)).map(|(_, _, times)| times.lapses).collect::<Vec<_>>()
    };
    for (before, now, tells) in [
        (None, -1, false),
        (None, 0, true),
        (Some(0), 1, false),
        (Some(0), 2 * DAY - 1, false),
        (Some(0), 2 * DAY, true),
        (Some(2 * DAY), 2 * DAY + 1, false),
        // What was told of the review before this one does not count.
        (Some(-30 * DAY), 1, true),
        (None, 3 * DAY, false),
    ] {
        let lapses = if tells { vec![after(3 * DAY)] } else { vec![] };
        assert_eq!(told(before, now), lapses, "{before:?}, {now}");
    }
    assert_eq!(reviews_to_tell(&confirmed(&snapshot, noon()), after(1)).count(), 0, "it is confirmed");
}

#[test]
fn a_review_that_could_never_hold_is_a_mistake() {
    let mistakes = |review: &str| {
        let text = format!(
            "{PEOPLE}[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\nsession = {{}}\n\
             review = {{ {review} }}\n"
        );
        Resources::read(&text).map(drop).map_err(|mistakes| mistakes.to_string())
    };
    let whole = "owners = [\"boss\"], every = \"90d\", from = 2026-06-01";
    assert_eq!(mistakes(whole), Ok(()));
    for (from, to, says) in [
        ("[\"boss\"]", "[]", "nobody could confirm the group's users"),
        ("boss", "nobody", "there is no user `nobody`"),
        ("90d", "23h", "a confirmation is good for a day at least, not for 23h"),
        ("every = \"90d\", ", "", "`every`"),
        (", from = 2026-06-01", "", "`from`"),
        ("2026-06-01", "2026-06-31", ""),
        ("every", "evry", "evry"),
    ] {
        let told = mistakes(&whole.replace(from, to)).unwrap_err();
        assert!(told.contains(says), "{to}: {told}");
    }
}

#[test]
fn a_review_reads_back_as_it_was_written() {
    let text = format!(
        "{PEOPLE}[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{REVIEWED}\n"
    );
    let resources = Resources::read(&text).unwrap();
    let review = resources.access_groups[0].review.as_ref().unwrap();
    assert_eq!((review.owners.len(), review.grace.to_string().as_str()), (2, "1d"));
    let written = resources.to_toml().unwrap();
    assert_eq!(Resources::read(&written).unwrap(), resources, "{written}");
    let json = serde_json::to_string(&resources.access_groups[0]).unwrap();
    assert_eq!(serde_json::from_str::<AccessGroup>(&json).unwrap(), resources.access_groups[0]);
}
