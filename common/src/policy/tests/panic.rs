use std::sync::Arc;

use super::*;
use crate::model::{Panic, PanicScope, Rulings};

const BOTH: &str = "[[access_group]]\nname = \"dba\"\nusers = [\"operator\", \"other\"]\ncriteria = { devices = [\"*\"] }\n\
                    session = { justification = true }\n\
                    [[access_group]]\nname = \"all\"\nusers = [\"operator\"]\ncriteria = { devices = [\"*\"] }\n\
                    session = {}\n";

fn stopped(scopes: &[PanicScope]) -> Snapshot {
    let panic = |scope: &PanicScope| Panic {
        scope: scope.clone(),
        since: noon(),
        by: "admin".to_owned(),
        justification: "a stolen laptop".parse().unwrap(),
    };
    let rulings = Rulings { panics: scopes.iter().map(panic).collect(), ..Rulings::default() };
    world(BOTH).with_rulings(Arc::new(rulings))
}

fn said() -> Claims {
    Claims { justification: Some("ticket 7".parse().unwrap()), ..Claims::default() }
}

fn scopes() -> [PanicScope; 4] {
    [
        PanicScope::All,
        PanicScope::User("operator".parse().unwrap()),
        PanicScope::Device("db01".parse().unwrap()),
        PanicScope::AccessGroup("dba".parse().unwrap()),
    ]
}

#[test]
fn a_panic_keeps_out_what_it_names_and_ends_what_lives_of_it_and_nothing_else() {
    let free = stopped(&[]);
    for scope in scopes() {
        let stopped = stopped(std::slice::from_ref(&scope));
        for (user, target) in [
            ("operator", "ops@db01"),
            ("operator", "ops@web01"),
            ("other", "ops@db01"),
            ("other", "ops@web01"),
        ] {
            let hit = match &scope {
                PanicScope::All | PanicScope::AccessGroup(_) => true,
                PanicScope::User(name) => name.as_str() == user,
                PanicScope::Device(_) => target.ends_with("db01"),
            };
            let live = permit(ask(target).by(user).claiming(said()).of(&free));
            let again = ask(target).by(user).claiming(said()).of(&stopped);
            let ended = recheck(&stopped, &live, after(1), Coming::ASKED, &[], &[]).err();
            let reach = reachable(&stopped, &user.parse().unwrap(), &Coming::ASKED, Action::Session, noon());
            let listed = reach.iter().any(|reached| reached.credential.name.to_string() == target);
            assert_eq!(listed, !hit, "{scope}: {user} {target}");
            if !hit {
                assert_eq!((permit(again).user().as_str(), ended), (user, None));
                continue;
            }
            let sentence = format!("{scope} is stopped by a panic until an administrator lifts it");
            let refusal = refused(again);
            assert_eq!(
                (refusal.to_string(), refusal.why().to_string()),
                (sentence.clone(), sentence.clone())
            );
            assert_eq!(ended, Some(EndReason::Panic(scope.clone())));
            assert_eq!(ended.unwrap().to_string(), sentence);
        }
    }
}

#[test]
fn a_stopped_group_does_not_step_aside_for_one_that_demands_less() {
    let [.., group] = scopes();
    let refusal = refused(ask("ops@db01").claiming(said()).of(&stopped(std::slice::from_ref(&group))));
    assert_eq!(*refusal.why(), Why::Panic(group));
    // The twin: the group that demands less is stopped, and the other governs as ever.
    let less = PanicScope::AccessGroup("all".parse().unwrap());
    assert_eq!(permit(ask("ops@db01").claiming(said()).of(&stopped(&[less]))).group().as_str(), "dba");
}

#[test]
fn a_panic_tells_nobody_of_what_they_may_not_know() {
    let snapshot = stopped(&scopes()[2..]);
    let of = |user, target| refused(ask(target).by(user).of(&snapshot)).to_string();
    assert_eq!(of("boss", "ops@db01").replace("db01", "X"), of("boss", "ops@db99").replace("db99", "X"));
}

#[test]
fn a_user_who_is_stopped_does_not_log_in_and_all_others_do() {
    let login = |name: &str| Proved {
        user: name.parse().unwrap(),
        login: Arc::new(Login::Certificate { principals: vec![name.to_owned()], until: None }),
        origin: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    for scope in scopes() {
        let snapshot = stopped(std::slice::from_ref(&scope));
        let hit = matches!(scope, PanicScope::User(_));
        let out = hit.then(|| EndReason::Panic(scope.clone()));
        assert_eq!(still_in(&snapshot, &login("operator"), &Coming::ASKED, noon()).err(), out);
        assert_eq!(still_in(&snapshot, &login("other"), &Coming::ASKED, noon()), Ok(None));
    }
}

#[test]
fn a_panic_on_an_access_group_leaves_exceptional_access_and_every_other_panic_stops_it() {
    let night = "[[exceptional_access]]\nname = \"night\"\nusers = [\"operator\"]\ncredential = \"ops@db01\"\n\
                 until = 2026-06-01T13:00:00Z\n";
    for scope in scopes() {
        let snapshot = world(&format!("{night}{BOTH}"))
            .with_rulings(stopped(std::slice::from_ref(&scope)).rulings().clone());
        let asked = ask("ops@db01").of(&snapshot);
        match scope {
            PanicScope::AccessGroup(_) => assert_eq!(permit(asked).group().as_str(), "night"),
            scope => assert_eq!(*refused(asked).why(), Why::Panic(scope)),
        }
    }
}
