//! Requests for several credentials, bounded to days, times and a number of sessions.

use super::*;

fn limited(limits: Limits) -> Request {
    Request { limits, ..approved() }
}

fn mondays(slot: &str) -> Limits {
    Limits {
        weekdays: vec!["mon".parse().unwrap()],
        slots: vec![slot.parse().unwrap()],
        zone: None,
        sessions: None,
    }
}

#[test]
fn one_request_opens_each_of_its_credentials_and_no_other() {
    let snapshot = group(ALL, APPROVED);
    let both =
        Request { targets: vec!["ops@db01".parse().unwrap(), "ops@web01".parse().unwrap()], ..approved() };
    for target in ["ops@db01", "ops@web01"] {
        assert_eq!(permit(ask(target).with(both.clone()).of(&snapshot)).request(), Some(RequestId(7)));
    }
    assert!(needs(ask("adm-operator@db01").with(both).of(&snapshot)).approval.is_some());
}

#[test]
fn outside_its_days_and_times_a_request_opens_nothing_and_says_when_it_does() {
    let snapshot = group(ALL, APPROVED);
    let open = permit(ask("ops@db01").with(limited(mondays("12:00-12:30"))).of(&snapshot));
    assert_eq!(open.expires(), Some(after(30)), "it closes before its window ends");
    let later = needs(ask("ops@db01").with(limited(mondays("12:30-12:45"))).of(&snapshot));
    let (id, held) = later.held.unwrap();
    let said =
        "request 7 is approved, but is only for mon 12:30-12:45 (UTC); come again at 2026-06-01T12:30:00Z";
    assert_eq!(held.sentence(id), said);
    assert!(held.opens());
    let never = needs(ask("ops@db01").with(limited(mondays("18:00-19:00"))).of(&snapshot));
    let (id, held) = never.held.unwrap();
    assert_eq!(
        held.sentence(id),
        "request 7 is approved, but is only for mon 18:00-19:00 (UTC), and that does not come again before its end"
    );
    assert!(!held.opens());
}

#[test]
fn the_close_of_its_times_ends_a_live_session() {
    let snapshot = group(ALL, APPROVED);
    let request = limited(mondays("12:00-12:30"));
    let given = permit(ask("ops@db01").with(request.clone()).of(&snapshot));
    assert!(
        recheck(&snapshot, &given, after(29), Coming::ASKED, std::slice::from_ref(&request), &[]).is_ok()
    );
    let end = recheck(&snapshot, &given, after(30), Coming::ASKED, &[request], &[]).unwrap_err();
    assert_eq!(end, EndReason::TimeOver);
}

#[test]
fn a_request_for_so_many_sessions_opens_no_more_and_those_that_live_go_on() {
    let snapshot = group(ALL, APPROVED);
    let two = |used| Request { used, ..limited(Limits { sessions: Some(2), ..Limits::default() }) };
    let last = permit(ask("ops@db01").with(two(1)).of(&snapshot));
    assert_eq!(last.sessions(), Some(2));
    assert!(recheck(&snapshot, &last, after(1), Coming::ASKED, &[two(2)], &[]).is_ok());
    let (id, held) = needs(ask("ops@db01").with(two(2)).of(&snapshot)).held.unwrap();
    let said = "request 7 is approved, but its 2 sessions are used up; `request create` asks for more";
    assert_eq!((held.sentence(id).as_str(), held.opens()), (said, false));
    let other = Request { id: RequestId(8), ..approved() };
    let asked = Ask { requests: vec![two(2), other], ..ask("ops@db01") };
    assert_eq!(permit(asked.of(&snapshot)).request(), Some(RequestId(8)), "another one is not held");
}

#[test]
fn a_reason_is_required_where_the_group_says_so_and_a_disabled_one_is_none() {
    let text = |enabled: bool| {
        format!(
            "[[reason]]\nname = \"incident\"\n[[reason]]\nname = \"audit\"\nenabled = {enabled}\n\
             [[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n\
             request = {{ reason = true }}\n{FREE}\n"
        )
    };
    let (both, one) = (world(&text(true)), world(&text(false)));
    assert_eq!(needs(ask("ops@db01").of(&both)).reasons.len(), 2);
    let claims = |reason: &str| Claims { reason: Some(reason.parse().unwrap()), ..Claims::default() };
    let _ = permit(ask("ops@db01").claiming(claims("audit")).of(&both));
    assert_eq!(
        needs(ask("ops@db01").claiming(claims("audit")).of(&one)).reasons,
        ["incident".parse().unwrap()]
    );
    let none = text(false).replacen("name = \"incident\"", "name = \"incident\"\nenabled = false", 1);
    let why = Resources::read(&format!("{PEOPLE}{none}")).unwrap_err().to_string();
    assert!(why.contains("no reason is registered and enabled that could be chosen"), "{why}");
}

#[test]
fn a_reason_that_is_disabled_later_takes_back_no_approval() {
    let text = |enabled: bool| {
        format!(
            "[[reason]]\nname = \"incident\"\n[[reason]]\nname = \"audit\"\nenabled = {enabled}\n\
             [[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n{APPROVED}\n"
        )
    };
    let mut request = approved();
    request.claims.reason = Some("audit".parse().unwrap());
    let _ = permit(ask("ops@db01").with(request.clone()).of(&world(&text(true))));
    let _ = permit(ask("ops@db01").with(request).of(&world(&text(false))));
}

proptest::proptest! {
    /// Whatever days, times and number of sessions: a permit is only for a moment that they
    /// allow, and never outlasts them.
    #[test]
    fn no_permit_is_given_outside_the_limits_of_its_request(
        minute in 0i64..(7 * 24 * 60),
        from in 0u16..95, long in 1u16..40,
        days in proptest::collection::vec(0usize..7, 0..4),
        most in 1u32..4, used in 0u32..5,
    ) {
        let snapshot = group(ALL, APPROVED);
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let until = (from + long).min(96);
        let clock = |quarter: u16| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
        let limits = Limits {
            weekdays: days.iter().map(|day| names[*day].parse().unwrap()).collect(),
            slots: vec![format!("{}-{}", clock(from), clock(until)).parse().unwrap()],
            zone: None,
            sessions: Some(most),
        };
        let window = Window { start: noon(), end: after(8 * 24 * 60) };
        let request = Request { used, limits, ..request(RequestState::Approved { window }) };
        let now = after(minute);
        // Naively: noon() is a Monday's.
        let since = 12 * 60 + minute;
        let today = usize::try_from(since / (24 * 60) % 7).unwrap();
        let quarter = u16::try_from(since % (24 * 60) / 15).unwrap();
        let open = (days.is_empty() || days.contains(&today)) && from <= quarter && quarter < until;
        match ask("ops@db01").at(now).with(request.clone()).of(&snapshot) {
            Decision::Permitted(permit) => {
                proptest::prop_assert!(open && used < most);
                let end = permit.expires().unwrap();
                proptest::prop_assert!(end > now && end <= window.end);
                proptest::prop_assert!(request.limits.closes(now).is_none_or(|closes| end <= closes));
            }
            _ => proptest::prop_assert!(!open || used >= most),
        }
    }
}
