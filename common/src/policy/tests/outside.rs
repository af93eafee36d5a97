use std::sync::Arc;

use super::*;
use crate::id::RemoteAccessId;
use crate::model::{Limited, Location, RemoteAccess, RemoteAccessState, Scope};
use crate::time::Limitation;

mod limited_users;

const GROUP: &str = "users = [\"operator\"]\n[user_group.location]\nallowed = [\"BR-SP\", \"PT\"]";

fn from_outside(group: &str) -> Snapshot {
    let text = format!(
        "[[user]]\nname = \"operator\"\nemail = \"o@example.org\"\n[[user]]\nname = \"approver\"\nemail = \"a@example.org\"\n\
         [[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n[[credential]]\nname = \"root@db01\"\n\
         [[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\nsession = {{}}\npassword = {{}}\n\
         [[user_group]]\nname = \"field\"\n{group}\n"
    );
    Snapshot::new(&Resources::read(&text).unwrap()).unwrap()
}

fn full() -> RemoteAccess {
    RemoteAccess {
        id: RemoteAccessId(5),
        batch: None,
        user: "operator".parse().unwrap(),
        group: "field".parse().unwrap(),
        scope: Scope::Full,
        claims: Claims::default(),
        window: Window { start: noon(), end: after(60) },
        by: "boss".to_owned(),
        created: noon(),
        origin: None,
        state: RemoteAccessState::Granted,
        approvals: Vec::new(),
        used: 0,
        end_told: false,
        keys: Vec::new(),
        before_user: false,
    }
}

fn limited(credential: &str, sessions: Option<u32>) -> RemoteAccess {
    let credentials = vec![credential.parse().unwrap()];
    let times = Limitation::default();
    let scope = Scope::Limited(Limited { devices: Vec::new(), credentials, times, sessions });
    RemoteAccess { scope, ..full() }
}

fn located(place: &str) -> Located {
    let (country, region) = place.split_once('-').unwrap_or((place, ""));
    let regions = region.parse().into_iter().collect();
    country.parse().map_or(Located::Unknown, |country| Located::At(Location { country, regions }))
}

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// Decides for somebody who comes from there with these accesses.
fn come(
    snapshot: &Snapshot,
    located: &Located,
    accesses: &[RemoteAccess],
    ask: &Ask,
    report_only: bool,
) -> Decision {
    let accesses: Vec<_> = accesses.iter().cloned().map(Arc::new).collect();
    let side = Side::Outside(Outside { address: ADDRESS, located, report_only });
    let (origin, coming) = (Some(ADDRESS), Coming { side, accesses: &accesses });
    ask.facts(|facts| decide(snapshot, &Facts { origin, coming, ..*facts }))
}

fn told(snapshot: &Snapshot, place: &str, accesses: &[RemoteAccess], ask: &Ask) -> String {
    refused(come(snapshot, &located(place), accesses, ask, false)).to_string()
}

#[test]
fn from_outside_a_user_needs_a_remote_access_and_an_allowed_place() {
    let (snapshot, ask) = (from_outside(GROUP), ask("ops@db01"));
    let let_in = permit(come(&snapshot, &located("BR-SP"), &[full()], &ask, false));
    assert_eq!((let_in.remote_access(), let_in.expires()), (Some(RemoteAccessId(5)), Some(after(60))));
    assert_eq!(
        told(&snapshot, "BR-SP", &[], &ask),
        "you come from outside (203.0.113.9) and have no remote access; ask an administrator for one"
    );
    for (place, taken) in
        [("BR-RJ", "BR-RJ"), ("DE", "DE"), ("", "a place that the GeoIP database does not know")]
    {
        assert_eq!(
            told(&snapshot, place, &[full()], &ask),
            format!(
                "203.0.113.9 is taken for {taken}, and user group `field` lets its users in from BR-SP, PT only"
            )
        );
    }
    let none = refused(come(&snapshot, &Located::NoDatabase, &[full()], &ask, false)).to_string();
    assert!(
        none.contains("an unknown place, because the gate has no GeoIP database, and user group"),
        "{none}"
    );
    // Where no place is asked for, none has to be known.
    let anywhere = from_outside("users = [\"operator\"]");
    let _ = permit(come(&anywhere, &Located::NoDatabase, &[full()], &ask, false));
}

#[test]
fn a_remote_access_that_is_not_good_now_lets_nobody_in_and_says_why() {
    let (snapshot, now) = (from_outside(GROUP), ask("ops@db01"));
    let state = |state| RemoteAccess { state, ..full() };
    let (at, by) = (noon(), "boss".to_owned());
    let pending = state(RemoteAccessState::Pending { needed: 1, until: after(30) });
    let cancelled = RemoteAccessState::Cancelled {
        at,
        by: by.clone(),
        comment: Some("the work is done".parse().unwrap()),
    };
    for (access, ask, says) in [
        (pending.clone(), &now, "remote access 5 waits for approval"),
        (pending, &ask("ops@db01").at(after(31)), "remote access 5 expired before anybody approved it"),
        (full(), &ask("ops@db01").at(after(-1)), "remote access 5 begins only at 2026-"),
        (full(), &ask("ops@db01").at(after(60)), "remote access 5 ended at 2026-"),
        (state(cancelled), &now, "remote access 5 was cancelled by boss: the work is done"),
        (
            state(RemoteAccessState::Rejected { at, by, comment: None }),
            &now,
            "remote access 5 was rejected by boss",
        ),
        (RemoteAccess { user: "approver".parse().unwrap(), ..full() }, &now, "have no remote access"),
    ] {
        let told = told(&snapshot, "PT", &[access], ask);
        assert!(told.starts_with("you come from outside") && told.contains(says), "{told}");
    }
    for group in [format!("enabled = false\n{GROUP}"), GROUP.replace("operator", "approver")] {
        let told = told(&from_outside(&group), "PT", &[full()], &now);
        assert_eq!(told, "you come from outside, and user group `field` no longer lets you in");
    }
}

#[test]
fn a_limited_access_opens_what_it_names_for_what_it_names_so_often_and_at_its_times() {
    let snapshot = from_outside(GROUP);
    let by = |access: RemoteAccess, ask: Ask| come(&snapshot, &located("PT"), &[access], &ask, false);
    let view = |target| Ask { action: Action::ViewPassword, ..ask(target) };
    let _ = permit(by(limited("ops@db01", None), ask("ops@db01")));
    let _ = permit(by(limited("ops@db01:view-password", None), view("ops@db01")));
    for wrong in [
        by(limited("ops@db01", None), ask("root@db01")),
        by(limited("ops@db01:view-password", None), ask("ops@db01")),
        by(limited("ops@db01:login", None), view("ops@db01")),
    ] {
        let said = refused(wrong).to_string();
        assert!(said.starts_with("remote access 5 does not reach "), "{said}");
    }
    let one_left = RemoteAccess { used: 1, ..limited("ops@db01", Some(2)) };
    assert_eq!(permit(by(one_left, ask("ops@db01"))).counted(), Some((RemoteAccessId(5), 2)));
    let used = RemoteAccess { used: 2, ..limited("ops@db01", Some(2)) };
    let said = refused(by(used, ask("ops@db01"))).to_string();
    assert_eq!(said, "the 2 sessions of remote access 5 are used up");
    let at = |slot: &str| {
        let mut access = limited("ops@db01", None);
        if let Scope::Limited(limited) = &mut access.scope {
            limited.times.slots = vec![slot.parse().unwrap()];
        }
        access
    };
    let permitted = permit(by(at("12:00-12:30"), ask("ops@db01")));
    assert_eq!(permitted.expires(), Some(after(30)), "the time of day ends it before the access does");
    let said = refused(by(at("13:00-14:00"), ask("ops@db01"))).to_string();
    assert_eq!(said, "remote access 5 is outside its days and times now");
    let mut device = limited("root@db01:view-password", None);
    if let Scope::Limited(limited) = &mut device.scope {
        limited.devices = vec!["db01".parse().unwrap()];
    }
    let _ = permit(by(device.clone(), ask("ops@db01")));
    assert!(
        matches!(by(device, ask("root@db01")), Decision::Refused(_)),
        "what is named goes before its device"
    );
}

#[test]
fn a_live_session_ends_with_its_remote_access_and_when_its_place_is_allowed_no_more() {
    let snapshot = from_outside(GROUP);
    let given =
        permit(come(&snapshot, &located("PT"), &[limited("ops@db01", Some(1))], &ask("ops@db01"), false));
    let again = |snapshot: &Snapshot, place: &str, access: RemoteAccess, now| {
        let (located, accesses) = (located(place), [Arc::new(access)]);
        let side = Side::Outside(Outside { address: ADDRESS, located: &located, report_only: false });
        recheck(snapshot, &given, now, Coming { side, accesses: &accesses }, &[], &[])
            .map(|permit| permit.expires())
    };
    let used = RemoteAccess { used: 1, ..limited("ops@db01", Some(1)) };
    assert_eq!(
        again(&snapshot, "PT", used.clone(), after(5)),
        Ok(Some(after(60))),
        "its own is not counted again"
    );
    let cancelled = RemoteAccessState::Cancelled { at: after(5), by: "boss".to_owned(), comment: None };
    for (snapshot, place, access, says) in [
        (&snapshot, "PT", RemoteAccess { state: cancelled, ..used.clone() }, "was cancelled by boss"),
        (&snapshot, "DE", used.clone(), "is taken for DE"),
        (&from_outside(&GROUP.replace("\"PT\"", "\"AR\"")), "PT", used.clone(), "from BR-SP, AR only"),
        (&from_outside(&format!("enabled = false\n{GROUP}")), "PT", used.clone(), "no longer lets you in"),
    ] {
        let why = again(snapshot, place, access, after(5)).unwrap_err();
        assert!(matches!(&why, EndReason::Entry(_)) && why.to_string().contains(says), "{why}");
    }
}

#[test]
fn what_is_only_reported_refuses_nobody_and_inside_nothing_is_asked() {
    let (snapshot, ask) = (from_outside(GROUP), ask("ops@db01"));
    let reported = permit(come(&snapshot, &located("DE"), &[full()], &ask, true));
    assert!(reported.reported().unwrap().to_string().contains("is taken for DE"));
    let narrow = permit(come(&snapshot, &located("PT"), &[limited("root@db01", None)], &ask, true));
    assert_eq!(narrow.remote_access(), None);
    let inside = permit(ask.of(&snapshot));
    assert_eq!((inside.reported(), inside.expires()), (None, None));
}

#[test]
fn what_is_explained_of_a_limited_access_has_a_step_of_its_own() {
    let (snapshot, ask) = (from_outside(GROUP), ask("ops@db01"));
    let steps = |place: &str, access: RemoteAccess| {
        let (located, accesses) = (located(place), [Arc::new(access)]);
        let side = Side::Outside(Outside { address: ADDRESS, located: &located, report_only: false });
        let (origin, coming) = (Some(ADDRESS), Coming { side, accesses: &accesses });
        let steps = ask.facts(|facts| explain(&snapshot, &Facts { origin, coming, ..*facts })).steps;
        steps.into_iter().map(|step| (step.holds, step.said)).collect::<Vec<_>>()
    };
    let enters = (true, "who comes from 203.0.113.9 may enter".to_owned());
    let no_panic = (true, "no panic stops the device or the access group".to_owned());
    for (access, said) in [
        (limited("root@db01", None), "remote access 5 does not reach ops@db01 for that"),
        (
            RemoteAccess { used: 1, ..limited("ops@db01", Some(1)) },
            "the 1 session of remote access 5 is used up",
        ),
    ] {
        let steps = steps("PT", access);
        let [.., before, last] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!((before, last), (&no_panic, &(false, said.to_owned())), "{steps:?}");
        assert!(steps.contains(&enters), "{steps:?}");
    }
    let reaches = steps("PT", limited("ops@db01", None));
    let place = reaches.iter().position(|(_, said)| said == "remote access 5 reaches ops@db01 now").unwrap();
    assert_eq!(reaches[place - 1], no_panic);
    let wrong_place = steps("DE", limited("ops@db01", None));
    assert!(!wrong_place.contains(&enters) && wrong_place.last().unwrap().1.contains("is taken for DE"));
}

#[test]
fn what_is_listed_from_outside_is_what_the_remote_access_reaches() {
    let snapshot = from_outside(GROUP);
    let listed = |side: Side<'_>, accesses: &[RemoteAccess], action| {
        let accesses: Vec<_> = accesses.iter().cloned().map(Arc::new).collect();
        let coming = Coming { side, accesses: &accesses };
        let reached = reachable(&snapshot, &"operator".parse().unwrap(), &coming, action, noon());
        let name = |reached: Reached<'_>| (reached.credential.name.to_string(), reached.closes);
        reached.into_iter().map(name).collect::<Vec<_>>()
    };
    let (place, other) = (located("PT"), located("DE"));
    let outside = |located| Side::Outside(Outside { address: ADDRESS, located, report_only: false });
    let until = |name: &str, end| (name.to_owned(), end);
    let both = [until("ops@db01", None), until("root@db01", None)];
    let ops = limited("ops@db01:login", None);
    assert_eq!(listed(Side::Asked, std::slice::from_ref(&ops), Action::Session), both);
    assert_eq!(listed(Side::Inside, std::slice::from_ref(&ops), Action::Session), both);
    let narrow = listed(outside(&place), std::slice::from_ref(&ops), Action::Session);
    assert_eq!(narrow, [until("ops@db01", Some(after(60)))]);
    assert_eq!(listed(outside(&place), std::slice::from_ref(&ops), Action::ViewPassword), []);
    assert_eq!(listed(outside(&other), &[ops], Action::Session), []);
    assert_eq!(listed(outside(&place), &[], Action::Session), []);
    let full = listed(outside(&place), &[full()], Action::Session);
    assert_eq!(full, [until("ops@db01", Some(after(60))), until("root@db01", Some(after(60)))]);
}

proptest::proptest! {
    /// Nobody is let in from outside beyond the time of an access, or from a place that its group
    /// does not allow; and an access never opens what the same user may not reach from inside.
    #[test]
    fn no_permit_from_outside_without_an_access_that_is_good_there_and_then(
        start in -90i64..90, length in 1i64..120, place in 0usize..4, granted: bool, narrow: bool, listed: bool,
        enabled: bool,
    ) {
        let place = ["BR-SP", "PT", "DE", ""][place];
        let group = if listed { GROUP.to_owned() } else { GROUP.replace("operator", "approver") };
        let snapshot = from_outside(&format!("enabled = {enabled}\n{group}"));
        let state = match granted {
            true => RemoteAccessState::Granted,
            false => RemoteAccessState::Pending { needed: 1, until: after(600) },
        };
        let window = Window { start: after(start), end: after(start + length) };
        let access = if narrow { limited("root@db01", None) } else { full() };
        let access = RemoteAccess { window, state, ..access };
        let good = granted && listed && enabled && start <= 0 && start + length > 0 && (place == "PT" || place == "BR-SP");
        match come(&snapshot, &located(place), &[access], &ask("ops@db01"), false) {
            Decision::Permitted(permit) => {
                proptest::prop_assert!(good && !narrow);
                proptest::prop_assert!(permit.expires().is_some_and(|end| end <= after(start + length)));
            }
            _ => proptest::prop_assert!(!good || narrow),
        }
    }
}
