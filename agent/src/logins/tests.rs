use super::known::*;
use super::origin::{Client, Made, Origin};
use super::*;

fn session(number: u64) -> SessionId {
    SessionId::new(number, 0)
}

fn login(ses: u32) -> Login {
    Login { ses: Some(ses), pid: ses + 1000, before: None }
}

fn from(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn elsewhere(port: u16) -> Made {
    Made {
        from: vec![from(port)],
        origin: Origin::Elsewhere(from(port)),
        contained: false,
        leader: Some((u32::from(port), 1)),
    }
}

/// By a process of that audit session, or of none.
fn by(pid: u32, ses: Option<u32>) -> Made {
    let clients = vec![Client { process: (pid, 1), ses }];
    Made { from: Vec::new(), origin: Origin::Clients(clients), contained: false, leader: Some((pid + 1, 1)) }
}

fn owned(of: SessionId, logins: &[u32]) -> Vec<News> {
    logins.iter().map(|ses| News::Owned { session: of, ses: *ses }).collect()
}

/// Two sessions of account 1000; the first has login 7 by its connection.
fn known() -> Known {
    let mut known = Known::default();
    known.begin(session(1), Some(1000));
    known.begin(session(2), Some(1000));
    known.dialled(session(1), from(1));
    assert_eq!(known.made(login(7), elsewhere(1), 0), owned(session(1), &[7]));
    known.attached(session(1), 0);
    known
}

const LATER: u64 = 2_000_000;

#[test]
fn a_login_on_the_proxys_connection_is_its_sessions_whichever_is_told_first() {
    let mut known = known();
    assert_eq!(known.made(login(8), elsewhere(2), 0), []);
    assert_eq!(known.dialled(session(2), from(2)), owned(session(2), &[8]));
    assert_eq!(known.made(login(9), elsewhere(1), 0), [], "one connection, one login");
    // Whatever else was thought of it meanwhile.
    let local = Made { from: vec![from(3)], ..by(30, None) };
    assert_eq!(known.made(login(10), local, 0), [News::Asked]);
    assert_eq!(known.dialled(session(2), from(3)), owned(session(2), &[10]));
    assert!(known.is_foreign(9, 1000) && !known.is_foreign(7, 1000));
}

#[test]
fn a_login_whose_client_is_in_a_session_is_the_sessions_over_however_many_logins() {
    let mut known = known();
    assert_eq!(known.made(login(8), by(80, Some(7)), 0), owned(session(1), &[8]));
    assert_eq!(known.made(login(9), by(90, Some(8)), 0), owned(session(1), &[9]));
    // Told in another order: what is not known yet is asked, and follows what it came from.
    assert_eq!(known.made(login(12), by(120, Some(11)), 0), [News::Asked]);
    assert_eq!(known.made(login(11), by(110, None), 0), [News::Asked]);
    assert_eq!(known.clients(), BTreeSet::from([(120, 1), (110, 1)]));
    assert_eq!(known.belongs(session(1), (110, 1)), owned(session(1), &[11, 12]));
    // One that was made from within: login(1) takes the process itself along.
    let again = Login { before: Some(12), ..login(13) };
    assert_eq!(known.made(again, by(120, Some(13)), 0), owned(session(1), &[13]));
    let mut traces = Traces::default();
    known.add_to(session(1), &mut traces);
    assert_eq!(traces.audit, BTreeSet::from([7, 8, 9, 11, 12, 13]));
}

#[test]
fn a_login_of_somebody_else_on_the_host_is_not_told_and_one_that_cannot_be_told_apart_is() {
    let mut known = known();
    known.made(login(20), elsewhere(20), 0);
    known.made(login(21), by(210, Some(20)), 0);
    known.made(login(22), by(220, None), 0);
    let hidden = |contained| {
        let origin = Origin::Hidden("from ::1".to_owned());
        Made { from: Vec::new(), origin, contained, leader: None }
    };
    known.made(login(23), hidden(false), 0);
    known.made(login(24), hidden(true), 0);
    assert_eq!(known.tick(1), [], "it may turn out yet");
    let told: Vec<String> = known
        .tick(LATER)
        .into_iter()
        .map(|news| if let News::Doubt { what } = news { what } else { panic!("{news:?}") })
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("process 220") && told[1] == "from ::1", "{told:?}");
    assert_eq!(known.tick(2 * LATER), [], "once");
}

#[test]
fn a_marker_counts_for_a_session_that_no_connection_told_of_and_its_own_account_only() {
    let mut known = known();
    for (of, auid, scope) in [(1, 1000, None), (2, 1001, None), (2, 1000, Some(1001))] {
        known.marked(session(of), 30, Some(auid), scope, 0);
        assert!(!known.believes(session(of), 30));
    }
    known.attached(session(2), 0);
    assert_eq!(known.tick(LATER), []);
    known.marked(session(2), 30, Some(1000), Some(1000), LATER);
    assert!(!known.believes(session(2), 30), "not before its login has surely been made");
    assert_eq!(known.tick(LATER), owned(session(2), &[30]));
    assert!(known.believes(session(2), 30) && !known.believes(session(1), 30));
    assert!(known.believes(session(5), 31), "nobody has told of that session");
}

#[test]
fn two_logins_that_say_they_are_the_same_session_are_neither_and_that_is_told() {
    let mut known = known();
    for ses in [30, 31] {
        known.marked(session(2), ses, Some(1000), None, 0);
    }
    known.over(session(2), 1);
    assert_eq!(known.tick(1), [News::Rivals { session: session(2) }]);
    assert_eq!(known.tick(2), []);
    assert_eq!((known.session_of(30), known.session_of(31)), (None, None));
}

#[test]
fn who_takes_itself_out_of_a_sessions_login_is_told_and_stays_the_sessions() {
    let mut known = known();
    assert_eq!(known.left(7, (70, 1)), [News::Left { session: session(1), pid: 70 }]);
    let again = known.made(login(40), by(70, None), 0);
    assert_eq!(again, owned(session(1), &[40]), "what it logs in to");
    // Of a login that turns out to be a session's only afterwards.
    known.made(login(41), elsewhere(41), 0);
    assert_eq!(known.left(41, (410, 1)), []);
    let told = known.dialled(session(2), from(41));
    assert!(told.contains(&News::Left { session: session(2), pid: 410 }), "{told:?}");
}

#[test]
fn what_is_remembered_is_bounded_and_goes_a_while_after_the_end() {
    let mut known = known();
    let told: Vec<News> =
        (100..3000).flat_map(|ses| known.made(login(ses), by(ses, None), u64::from(ses))).collect();
    let doubts = told.iter().filter(|news| matches!(news, News::Doubt { .. })).count();
    assert_eq!(doubts, 2900 - 1024, "each that made way is told");
    assert!(!known.is_news(login(7)) && !known.is_news(login(2999)) && known.is_news(login(5000)));
    for of in [1, 2] {
        known.over(session(of), 0);
    }
    known.tick(1);
    assert_eq!(known.session_of(7), Some(session(1)), "somebody may come late");
    known.tick(u64::MAX);
    assert!(known.session_of(7).is_none() && !known.is_news(login(5000)) && known.next().is_none());
}
