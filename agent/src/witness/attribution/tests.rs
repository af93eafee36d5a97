use tidegate_common::audit::{CommandText, Note};
use tidegate_common::wire::MOST_EXECS;

use super::page::{DUE, FULL, LINGER, MOST_LINGER};
use super::*;

fn session(number: u64) -> SessionId {
    SessionId::new(number, 0)
}

fn seen(ses: u32, auid: u32, name: &str) -> Seen {
    let exec = Exec {
        at: jiff::Timestamp::UNIX_EPOCH,
        pid: 1,
        ppid: 1,
        uid: auid,
        exit: 0,
        tty: Note::default(),
        exe: CommandText::new(name),
        argv: Vec::new(),
        cut: 0,
        cwd: CommandText::default(),
    };
    Seen { ses, auid, exec, whole: true }
}

fn names(told: &[Told]) -> Vec<(SessionId, String)> {
    told.iter().flat_map(|one| one.execs.iter().map(|exec| (one.session, exec.exe.to_string()))).collect()
}

#[test]
fn what_ran_before_the_login_was_claimed_goes_to_its_session_and_nothing_of_others() {
    let mut attribution = Attribution::default();
    attribution.watch(session(1), Some(1000), 0);
    assert_eq!(attribution.see(seen(7, 1000, "bash"), 1), Some(7));
    attribution.see(seen(8, 1001, "other"), 1);
    attribution.claim(session(1), 7, 2);
    assert_eq!(attribution.see(seen(7, 1000, "id"), 3), None);
    assert_eq!(attribution.next(), Some(2 + DUE));
    let told = attribution.due(2 + DUE);
    assert_eq!(names(&told), [(session(1), "bash".to_owned()), (session(1), "id".to_owned())]);
    assert!(!told[0].last && attribution.due(u64::MAX).is_empty());
}

#[test]
fn a_login_belongs_to_the_first_session_that_claims_it() {
    let mut attribution = Attribution::default();
    attribution.watch(session(1), Some(1000), 0);
    attribution.watch(session(2), Some(1000), 0);
    attribution.claim(session(1), 7, 0);
    attribution.claim(session(2), 7, 0);
    attribution.see(seen(7, 1000, "id"), 0);
    assert_eq!(names(&attribution.due(DUE)), [(session(1), "id".to_owned())]);
}

#[test]
fn a_session_ends_with_a_last_page_after_a_moment_and_is_forgotten() {
    let mut attribution = Attribution::default();
    attribution.watch(session(1), Some(1000), 0);
    attribution.claim(session(1), 7, 0);
    attribution.over(session(1), 10);
    attribution.settle(10);
    attribution.see(seen(7, 1000, "late"), 11);
    let told = attribution.due(10 + LINGER);
    assert_eq!(names(&told), [(session(1), "late".to_owned())]);
    assert!(told[0].last && attribution.is_empty());
}

#[test]
fn the_last_page_waits_for_what_the_kernel_still_has_and_not_for_ever() {
    for settles in [true, false] {
        let mut attribution = Attribution::default();
        attribution.watch(session(1), Some(1000), 0);
        attribution.claim(session(1), 7, 0);
        attribution.over(session(1), 10);
        assert!(attribution.is_settling() && attribution.due(10 + LINGER).is_empty());
        let at = 10 + 2 * LINGER;
        attribution.see(seen(7, 1000, "late"), at);
        if settles {
            attribution.settle(at);
            assert!(!attribution.is_settling());
        }
        let told = attribution.due(at + DUE);
        assert_eq!(names(&told), [(session(1), "late".to_owned())]);
        assert_eq!(told[0].last, settles);
        if !settles {
            let told = attribution.due(10 + MOST_LINGER);
            assert!(told[0].last && told[0].lost == 1, "{told:?}");
        }
        assert!(attribution.is_empty());
    }
}

#[test]
fn a_login_is_known_by_its_account_also_where_the_kernel_is_not_waited_for() {
    for stops in [true, false] {
        let mut attribution = Attribution::default();
        attribution.watch(session(1), Some(1000), 0);
        attribution.over(session(1), 10);
        attribution.see(seen(7, 1000, "uptime"), 11);
        let told = if stops { attribution.all(10 + LINGER) } else { attribution.due(10 + MOST_LINGER) };
        assert_eq!(names(&told), [(session(1), "uptime".to_owned())]);
        assert!(told.iter().any(|one| one.last), "{told:?}");
    }
}

#[test]
fn a_login_that_was_gone_at_once_is_known_by_its_account_when_no_other_can_be_meant() {
    // Whether another session may be meant, and whether the end is known before the exec is.
    for (rivals, late, expected) in [(false, false, 1), (false, true, 1), (true, false, 0), (true, true, 0)] {
        let mut attribution = Attribution::default();
        attribution.watch(session(1), Some(1000), 0);
        if rivals {
            attribution.watch(session(2), Some(1000), 0);
        }
        if late {
            attribution.over(session(1), 10);
        }
        attribution.see(seen(7, 1000, "uptime"), 11);
        attribution.over(session(1), 12);
        attribution.settle(12);
        let told = attribution.due(12 + LINGER);
        assert_eq!(names(&told).len(), expected);
        assert_eq!(told[0].lost > 0, rivals, "what is in no session is told");
    }
}

#[test]
fn no_page_is_over_its_bound_and_nothing_is_lost_between_two() {
    let mut attribution = Attribution::default();
    attribution.watch(session(1), Some(1000), 0);
    attribution.claim(session(1), 7, 0);
    (0..1000).for_each(|number| {
        attribution.see(seen(7, 1000, &format!("{number}{}", "x".repeat(500))), 0);
    });
    let mut all = Vec::new();
    while let Some(at) = attribution.next() {
        let told = attribution.due(at);
        assert!(told.iter().all(|one| one.execs.len() <= MOST_EXECS));
        let size = |one: &Told| one.execs.iter().map(|exec| exec.exe.as_str().len()).sum::<usize>();
        assert!(told.iter().all(|one| size(one) <= FULL));
        all.extend(names(&told));
    }
    assert_eq!(all.len(), 1000);
    assert!(all.iter().enumerate().all(|(place, (_, name))| name.starts_with(&place.to_string())));
}

#[test]
fn an_agent_that_stops_tells_everything_and_ends_what_is_over() {
    let mut attribution = Attribution::default();
    for number in [1, 2] {
        attribution.watch(session(number), Some(1000), 0);
        attribution.claim(session(number), u32::try_from(number).unwrap(), 0);
    }
    (0..600).for_each(|_| {
        attribution.see(seen(1, 1000, "x"), DUE);
    });
    attribution.over(session(2), DUE);
    let told = attribution.all(DUE + LINGER);
    assert_eq!(names(&told).len(), 600);
    let last: Vec<SessionId> = told.iter().filter(|one| one.last).map(|one| one.session).collect();
    assert_eq!(last, [session(2)]);
}

#[test]
fn what_nobody_claims_is_bounded_and_what_did_not_fit_is_counted() {
    let mut attribution = Attribution::default();
    attribution.watch(session(1), Some(1000), 0);
    for ses in 0..1000 {
        attribution.see(seen(ses, 5, "x"), u64::from(ses));
    }
    assert_eq!(attribution.unclaimed.len(), MOST_UNCLAIMED);
    let told = attribution.due(u64::MAX);
    assert_eq!(told[0].lost, 1000 - 64, "what made way is told");
    (0..200).for_each(|_| {
        attribution.see(seen(2000, 1000, "y"), 2000);
    });
    attribution.claim(session(1), 2000, 2000);
    let told = attribution.due(u64::MAX);
    // One more made way for it.
    assert_eq!((told[0].execs.len(), told[0].lost), (MOST_KEPT, 200 - 128 + 1));
}

#[test]
fn a_new_login_is_looked_at_as_it_runs_until_it_is_claimed_or_no_news() {
    let mut attribution = Attribution::default();
    attribution.login(6, 0);
    assert!(!attribution.is_curious(0), "no session lives");
    attribution.watch(session(1), Some(1000), 0);
    attribution.login(7, 0);
    assert!(attribution.is_curious(FRESH - 1));
    attribution.claim(session(1), 7, 1);
    assert!(!attribution.is_curious(1));
    attribution.login(8, 1);
    assert!(!attribution.is_curious(1 + FRESH), "a login of nobody");
}
