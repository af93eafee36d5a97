//! Exceptional access: one credential for a few users for a time.

use super::*;

fn excepted(rest: &str, groups: &str) -> Snapshot {
    world(&format!(
        "[[exceptional_access]]\nname = \"night\"\nusers = [\"operator\"]\ncredential = \"ops@db01\"\n{rest}\n{groups}"
    ))
}

fn dba() -> String {
    format!("[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{APPROVED}\n")
}

#[test]
fn exceptional_access_opens_one_credential_to_its_users_until_its_end_and_ends_what_is_open() {
    let snapshot = excepted("until = 2026-06-01T13:00:00Z", "");
    let given = permit(ask("ops@db01").of(&snapshot));
    assert_eq!((given.group().as_str(), given.expires()), ("night", Some(after(60))));
    for other in [ask("ops@web01"), ask("ops@db01").by("other"), ask("ops@db01").at(after(60))] {
        let _ = refused(other.of(&snapshot));
    }
    let view = Ask { action: Action::ViewPassword, ..ask("ops@db01") };
    let _ = refused(view.of(&snapshot));
    assert!(recheck(&snapshot, &given, after(59), Coming::ASKED, &[], &[]).is_ok());
    assert_eq!(
        recheck(&snapshot, &given, after(60), Coming::ASKED, &[], &[]).unwrap_err(),
        EndReason::TimeOver
    );
    assert_eq!(
        recheck(&world(""), &given, after(1), Coming::ASKED, &[], &[]).unwrap_err(),
        EndReason::Withdrawn
    );
    let later = excepted("from = 2026-06-01T12:05:00Z\nuntil = 2026-06-01T13:00:00Z", "");
    let _ = refused(ask("ops@db01").of(&later));
    let _ = permit(ask("ops@db01").at(after(5)).of(&later));
}

#[test]
fn exceptional_access_governs_before_every_group_and_its_end_leaves_what_groups_give() {
    let snapshot = excepted("until = 2026-06-01T13:00:00Z", &dba());
    let given = permit(ask("ops@db01").of(&snapshot));
    assert_eq!(given.group().as_str(), "night");
    // What a group asks is asked again after it, and no session goes on into that.
    assert_eq!(
        recheck(&snapshot, &given, after(60), Coming::ASKED, &[], &[]).unwrap_err(),
        EndReason::TimeOver
    );
    assert!(needs(ask("ops@db01").at(after(60)).of(&snapshot)).approval.is_some());
    let reached = reachable(&snapshot, &"operator".parse().unwrap(), &Coming::ASKED, Action::Session, noon());
    let closes: Vec<_> = reached.iter().map(|one| (one.group.name.as_str(), one.closes)).collect();
    assert_eq!(closes, [("dba", None), ("night", Some(after(60))), ("dba", None)]);
}

#[test]
fn explain_names_exceptional_access_and_why_it_does_not_count() {
    let verdicts = |snapshot: &Snapshot, user: &'static str, now| {
        let explained = ask("ops@db01").by(user).at(now).explained(snapshot);
        explained.groups.iter().map(|(name, verdict)| format!("{name} {verdict}")).collect::<Vec<_>>()
    };
    let snapshot = excepted("until = 2026-06-01T13:00:00Z", &dba());
    assert_eq!(
        verdicts(&snapshot, "operator", noon()),
        [
            "night is exceptional access and governs; demands nothing, ends at 2026-06-01T13:00:00Z",
            "dba counts, but another demands more, is older or is exceptional access; demands approval",
        ]
    );
    assert_eq!(
        verdicts(&snapshot, "operator", after(60)),
        [
            "night is exceptional access; does not count: it ended at 2026-06-01T13:00:00Z",
            "dba governs; demands approval",
        ]
    );
    assert!(verdicts(&snapshot, "other", noon())[0].ends_with("it does not list the user"));
}

#[test]
fn exceptional_access_that_could_never_hold_is_refused_with_the_reason() {
    let told = |text: &str| Resources::read(&format!("{PEOPLE}{text}")).unwrap_err().to_string();
    let access = |rest: &str| format!("[[exceptional_access]]\nname = \"night\"\n{rest}\n");
    let until = "until = 2026-06-01T13:00:00Z";
    for (text, sentence) in [
        ("users = [\"operator\"]\ncredential = \"ops@db01\"".to_owned(), "until"),
        (format!("users = [\"nobody\"]\ncredential = \"ops@db01\"\n{until}"), "there is no user `nobody`"),
        (
            format!("users = [\"operator\"]\ncredential = \"ops@db09\"\n{until}"),
            "there is no credential `ops@db09`",
        ),
        (format!("users = []\ncredential = \"ops@db01\"\n{until}"), "it is for nobody"),
        (
            format!("users = [\"operator\"]\ncredential = \"ops@db01\"\nsession = false\n{until}"),
            "it allows nothing",
        ),
        (
            format!(
                "users = [\"operator\"]\ncredential = \"ops@db01\"\nfrom = 2026-06-02T00:00:00Z\n{until}"
            ),
            "it ends at 2026-06-01T13:00:00Z, before it starts at 2026-06-02T00:00:00Z",
        ),
    ] {
        let why = told(&access(&text));
        assert!(why.contains(sentence), "{text}: {why}");
    }
    let same = format!(
        "{}{}",
        access(&format!("users = [\"operator\"]\ncredential = \"ops@db01\"\n{until}")),
        dba()
    );
    let why = told(&same.replace("\"dba\"", "\"night\""));
    assert!(why.contains("there is an access group `night`; take another name"), "{why}");
}
