use super::*;
use crate::id::SessionId;

fn bounded(bounds: &str) -> Snapshot {
    world(&format!(
        "[[access_group]]\nname = \"dba\"\nusers = [\"operator\", \"other\"]\ncriteria = {{ devices = [\"*\"] }}\n\
         session = {{}}\nconditions = {{ sessions_at_once = {{ {bounds} }} }}\n"
    ))
}

fn live(number: u64, user: &str, target: &str, group: &str) -> LiveSession {
    LiveSession {
        id: SessionId::new(number, 7),
        user: user.parse().unwrap(),
        target: target.parse().unwrap(),
        group: group.parse().unwrap(),
        since: noon(),
    }
}

fn asked(snapshot: &Snapshot, user: &'static str, live: &[LiveSession]) -> Decision {
    ask("ops@db01").by(user).facts(|facts| decide(snapshot, &Facts { live, ..*facts }))
}

#[test]
fn a_user_has_no_more_sessions_at_once_than_the_group_allows_and_reads_which_they_are() {
    let snapshot = bounded("per_user = 2");
    let own = [live(1, "operator", "ops@db01", "dba"), live(2, "operator", "ops@web01", "dba")];
    assert_eq!(permit(asked(&snapshot, "operator", &own[..1])).user().as_str(), "operator");
    let told = refused(asked(&snapshot, "operator", &own)).to_string();
    let wanted = "access group `dba` allows you 2 sessions at once, and you have 2: ops@db01 since 2026-06-01 12:00 \
                  UTC (session 0000000001), ops@web01 since 2026-06-01 12:00 UTC (session 0000000002); end one of \
                  them and come again";
    assert_eq!(told, wanted);
    // The twins: another's, and one that another group gave.
    assert_eq!(permit(asked(&snapshot, "other", &own)).user().as_str(), "other");
    let elsewhere = [own[0].clone(), live(3, "operator", "ops@web01", "free")];
    assert_eq!(permit(asked(&snapshot, "operator", &elsewhere)).user().as_str(), "operator");
}

#[test]
fn a_credential_has_no_more_sessions_at_once_and_nobody_reads_whose_the_others_are() {
    let snapshot = bounded("per_credential = 1");
    let other = [live(1, "other", "ops@db01", "free")];
    let told = refused(asked(&snapshot, "operator", &other)).to_string();
    assert_eq!(
        told,
        "access group `dba` allows 1 session to ops@db01 at once, and there are 1, none of them yours; come again when \
         one has ended"
    );
    let told = refused(asked(&snapshot, "other", &other)).to_string();
    assert!(told.contains("and there are 1, of them yours: ops@db01 since"), "{told}");
    let elsewhere = [live(1, "other", "ops@web01", "dba")];
    let given = permit(asked(&snapshot, "operator", &elsewhere));
    assert_eq!(given.fits(&elsewhere), Ok(()));
    assert!(given.fits(&other).is_err(), "the session that came meanwhile counts");
}

#[test]
fn a_session_that_lives_goes_on_when_the_bound_is_lowered() {
    let given = permit(asked(&bounded("per_user = 5"), "operator", &[]));
    assert_eq!(recheck(&bounded("per_user = 1"), &given, after(1), Coming::ASKED, &[], &[]).err(), None);
}

#[test]
fn a_bound_of_none_is_a_mistake() {
    let text = format!(
        "{PEOPLE}[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\nsession = {{}}\n"
    );
    for bounds in ["per_user = 0", "per_credential = 70000", "per_day = 1"] {
        let text = format!("{text}conditions = {{ sessions_at_once = {{ {bounds} }} }}\n");
        let mistakes = Resources::read(&text).unwrap_err().to_string();
        assert!(mistakes.contains(bounds.split(' ').next().unwrap()), "{mistakes}");
    }
}
