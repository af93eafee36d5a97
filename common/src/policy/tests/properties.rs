//! What must hold in every world: random ones, each decided, explained and held against a second
//! evaluator.

use proptest::prelude::*;

use super::naive::{Answer, Question, Ruled, World, lapses, open};
use super::*;
use crate::model::{Confirmed, GroupReview, Panic, PanicScope, Rulings};

const USERS: [&str; 3] = ["operator", "other", "web"];
const TARGETS: [&str; 5] = ["ops@db01", "web@web01", "adm-operator@db01", "OPS@web01", "ops@db99"];
const MOMENTS: [&str; 6] = [
    "2026-06-01T12:00:00Z",
    "2026-06-01T05:59:59Z",
    "2026-06-01T06:00:00Z",
    "2026-06-06T22:30:00Z",
    "2026-03-29T01:10:00Z",
    "2027-01-01T00:00:00Z",
];

/// One of these lines, or none.
fn line(lines: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(lines)
}

fn terms(change: bool) -> impl Strategy<Value = String> {
    let approval = line(&[
        "",
        "",
        "approval = { needed = 1 }",
        "approval = { needed = 1, when = { weekdays = [\"mon\"] } }",
        "approval = { needed = 1, when = { slots = [\"08:00-18:00\"] } }, emergency = true, emergency_window = \"30m\"",
    ]);
    (any::<bool>(), any::<bool>(), approval).prop_map(move |(justification, wants, approval)| {
        let parts = [
            if justification { "justification = true" } else { "" },
            if change && wants { "change = true" } else { "" },
            approval,
        ];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{{ {} }}", parts.join(", "))
    })
}

fn group() -> impl Strategy<Value = String> {
    let criteria = line(&[
        "devices = [\"*\"]",
        "devices = [\"db*\", \"nothing\"]",
        "accounts = [\"ops\"]",
        "accounts = [\"adm-[#USERNAME#]\", \"[#username#]\"]",
        "device_tags = [\"*prod*\"], accounts = [\"*\"]",
        "devices = [\"WEB01\"], accounts = [\"*o*\"]",
    ]);
    let limits = line(&[
        "",
        "",
        "limitation = { zone = \"Europe/Berlin\", slots = [\"08:00-18:00\"] }",
        "limitation = { weekdays = [\"mon\", \"sat\"] }",
        "limitation = { zone = \"America/New_York\", from = 2026-06-01, until = 2026-12-31 }",
        "limitation = { zone = \"Europe/Berlin\", slots = [\"02:00-02:30\", \"03:00-04:00\"] }",
    ]);
    let more = line(&["", "", "request = { governance = true }", "conditions = { longest = \"20m\" }"]);
    let review = line(&[
        "",
        "",
        "review = { owners = [\"boss\"], every = \"30d\", grace = \"1d\", from = 2026-05-01 }",
        "review = { owners = [\"boss\"], every = \"2 months\", grace = \"12h\", from = 2026-04-01 }",
    ]);
    let more = (more, review).prop_map(|(more, review)| format!("{more}\n{review}"));
    let users = prop::sample::subsequence(USERS.to_vec(), 0..=3);
    (users, criteria, limits, more, prop::option::weighted(0.8, terms(true)), prop::option::of(terms(false)))
        .prop_map(|(users, criteria, limits, more, session, password)| {
            let session = session.or(password.is_none().then(|| "{}".to_owned()));
            let session = session.map(|terms| format!("session = {terms}\n")).unwrap_or_default();
            let password = password.map(|terms| format!("password = {terms}\n")).unwrap_or_default();
            format!(
                "users = {users:?}\napprovers = [\"boss\", \"second\"]\ncriteria = {{ {criteria} }}\n\
                 {session}{password}{limits}\n{more}\n"
            )
        })
}

/// Exceptional accesses, which end at different moments.
fn exceptions() -> impl Strategy<Value = Vec<String>> {
    let one = || {
        let users = prop::sample::subsequence(USERS.to_vec(), 1..=3);
        let allows = line(&["", "view_password = true", "session = false\nview_password = true"]);
        let from = line(&["", "from = 2026-06-01T06:00:00Z"]);
        (
            users,
            prop::sample::select(TARGETS[..4].to_vec()),
            allows,
            from,
            prop::sample::select(vec![0i64, 1, 6, 300]),
        )
    };
    prop::collection::vec(one(), 0..3).prop_map(|all| {
        let each = all.into_iter().enumerate().map(|(place, (users, target, allows, from, days))| {
            // Some end at the moments that are asked for.
            let length = Span::new().hours(days * 24).minutes(i64::try_from(place).unwrap());
            let until = noon().checked_add(length).unwrap();
            format!(
                "[[exceptional_access]]\nname = \"e{place}\"\nusers = {users:?}\ncredential = \"{target}\"\n\
                 {allows}\n{from}\nuntil = {until}\n"
            )
        });
        each.collect()
    })
}

/// Groups named by their place, the oldest first.
fn text(groups: &[String], exceptions: &[String]) -> String {
    let people = "[[user]]\nname = \"operator\"\n[[user]]\nname = \"other\"\nenabled = false\n[[user]]\nname = \"web\"\n\
                  [[user]]\nname = \"boss\"\n[[user]]\nname = \"second\"\n\
                  [[device]]\nname = \"db01\"\ntags = [\"Production\"]\n[[device]]\nname = \"web01\"\n\
                  [[credential]]\nname = \"ops@db01\"\n[[credential]]\nname = \"web@web01\"\n\
                  [[credential]]\nname = \"adm-operator@db01\"\n[[credential]]\nname = \"OPS@web01\"\n";
    let groups = groups
        .iter()
        .enumerate()
        .map(|(place, group)| format!("[[access_group]]\nname = \"g{place}\"\n{group}"));
    groups.chain(exceptions.iter().cloned()).fold(people.to_owned(), |text, one| text + &one)
}

fn claims() -> impl Strategy<Value = Claims> {
    let said = || prop::option::of(Just("x".to_owned()));
    (said(), said(), said()).prop_map(|(justification, change, governance)| Claims {
        justification: justification.map(|text| text.parse().unwrap()),
        change: change.map(|text| text.parse().unwrap()),
        governance: governance.map(|text| text.parse().unwrap()),
        ..Claims::default()
    })
}

fn asking() -> impl Strategy<Value = Question> {
    let states = (0usize..3, 0i64..90, 1i64..120);
    let limits = (
        prop::sample::select(vec![None, None, Some(1)]),
        line(&["", "", "mon", "sat"]),
        line(&["", "", "08:00-14:00"]),
        0u32..2,
    );
    let requests = (0usize..4, claims(), any::<bool>(), states, prop::bool::weighted(0.7), limits);
    let action = prop::sample::select(vec![Action::Session, Action::Session, Action::ViewPassword]);
    (
        line(&["operator", "other", "web", "boss", "nobody"]),
        line(&TARGETS),
        action,
        line(&MOMENTS),
        claims(),
        requests,
    )
        .prop_map(|(user, target, action, now, claims, (group, said, urgent, state, some, limits))| {
            let now: Timestamp = now.parse().unwrap();
            let minutes = |minutes: i64| Span::new().minutes(minutes);
            let (state, before, length) = state;
            let start = now - minutes(before);
            let state = match state {
                0 => RequestState::Pending,
                1 => RequestState::Rejected { at: start },
                _ => RequestState::Approved { window: Window { start, end: start + minutes(length) } },
            };
            let (sessions, day, slot, used) = limits;
            let zone = (!slot.is_empty()).then(|| "Europe/Berlin".parse().unwrap());
            let limits = Limits {
                weekdays: Some(day)
                    .filter(|day| !day.is_empty())
                    .map(|day| day.parse().unwrap())
                    .into_iter()
                    .collect(),
                slots: Some(slot)
                    .filter(|slot| !slot.is_empty())
                    .map(|slot| slot.parse().unwrap())
                    .into_iter()
                    .collect(),
                zone,
                sessions,
            };
            let emergency = urgent.then(|| "it burns".parse().unwrap());
            let request = Request {
                user: user.parse().unwrap(),
                targets: vec![target.parse().unwrap()],
                action,
                group: format!("g{group}").parse().unwrap(),
                claims: Claims { emergency, ..said },
                expires: now + minutes(60),
                limits,
                used,
                // Approved by somebody, or by the rules alone.
                votes: if before % 2 == 0 { vec![vote("approver", 1, Verdict::Approve)] } else { Vec::new() },
                ..request(state)
            };
            let requests = if some { vec![request] } else { Vec::new() };
            Question { user: user.to_owned(), target: target.to_owned(), action, now, claims, requests }
        })
}

fn ruled() -> impl Strategy<Value = Ruled> {
    let at = || line(&["", "", "2026-05-20T00:00:00Z", "2026-05-31T12:00:00Z", "2026-06-01T07:00:00Z"]);
    (panics(), at(), at()).prop_map(|(panics, first, second)| {
        let each = [("g0", first), ("g1", second)].into_iter().filter(|(_, at)| !at.is_empty());
        let confirmed = each.map(|(group, at)| (group.to_owned(), at.parse().unwrap())).collect();
        Ruled { panics, confirmed }
    })
}

fn panics() -> impl Strategy<Value = Vec<PanicScope>> {
    let all = vec![
        PanicScope::All,
        PanicScope::User("operator".parse().unwrap()),
        PanicScope::Device("db01".parse().unwrap()),
        PanicScope::AccessGroup("g0".parse().unwrap()),
        PanicScope::AccessGroup("g1".parse().unwrap()),
    ];
    prop_oneof![3 => Just(Vec::new()), 1 => prop::sample::subsequence(all, 0..=2)]
}

fn open_change(needs: &Needs) -> Change {
    Change {
        id: "x".parse().unwrap(),
        group: needs.group.clone(),
        devices: vec!["db01".parse().unwrap(), "web01".parse().unwrap()],
        start: Timestamp::MIN,
        due: Timestamp::MAX,
        ..changes::change("x")
    }
}

fn decided(snapshot: &Snapshot, ask: &Question) -> (Decision, Explanation) {
    let (user, target) = (ask.user.parse().unwrap(), ask.target.parse().unwrap());
    let facts = Facts {
        now: ask.now,
        user: &user,
        login: None,
        target: &target,
        action: ask.action,
        origin: None,
        coming: Coming::ASKED,
        claims: &ask.claims,
        refused_code: None,
        requests: &ask.requests,
        live: &[],
        changes: &[],
    };
    // Where a change is demanded, the one that everybody names is open.
    let changes: Vec<_> = match decide(snapshot, &facts) {
        Decision::Needs(needs) if needs.change.is_some() => vec![open_change(&needs)],
        _ => Vec::new(),
    };
    let facts = Facts { changes: &changes, ..facts };
    (decide(snapshot, &facts), explain(snapshot, &facts))
}

fn told(decision: &Decision) -> Answer {
    match decision {
        Decision::Permitted(permit) => Answer::Yes(permit.group().to_string()),
        Decision::Needs(needs) => {
            let asks =
                [needs.justification, needs.change.is_some(), needs.governance, needs.approval.is_some()];
            Answer::Asks(needs.group.to_string(), asks)
        }
        Decision::Refused(_) => Answer::No,
    }
}

fn snapshot(resources: &Resources, ruled: &Ruled) -> Snapshot {
    let panic = |scope: &PanicScope| Panic {
        scope: scope.clone(),
        since: noon(),
        by: "admin".to_owned(),
        justification: "a drill".parse().unwrap(),
    };
    let review = |(group, at): &(String, Timestamp)| {
        let confirmed = Some(Confirmed { at: *at, by: "boss".parse().unwrap(), stands_in_for: None });
        (group.parse().unwrap(), GroupReview { confirmed, told: None })
    };
    let rulings = Rulings {
        panics: ruled.panics.iter().map(panic).collect(),
        reviews: ruled.confirmed.iter().map(review).collect(),
        ..Rulings::default()
    };
    Snapshot::new(resources).unwrap().with_rulings(std::sync::Arc::new(rulings))
}

fn read(groups: &[String], exceptions: &[String]) -> Resources {
    Resources::read(&text(groups, exceptions)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_second_evaluator_written_from_the_meaning_agrees_on_random_worlds(
        groups in prop::collection::vec(group(), 0..4), exceptions in exceptions(), ask in asking(), ruled in ruled(),
    ) {
        let resources = read(&groups, &exceptions);
        let (decision, _) = decided(&snapshot(&resources, &ruled), &ask);
        let world = World { resources, ruled };
        prop_assert_eq!(told(&decision), world.answer(&ask), "{}", text(&groups, &exceptions));
    }

    #[test]
    fn what_is_explained_is_what_is_decided(
        groups in prop::collection::vec(group(), 0..4), exceptions in exceptions(), ask in asking(), ruled in ruled(),
    ) {
        let (decision, explained) = decided(&snapshot(&read(&groups, &exceptions), &ruled), &ask);
        prop_assert_eq!(told(&explained.decision), told(&decision));
        let governs: Vec<_> = explained.groups.iter().filter(|(_, verdict)| matches!(verdict, GroupVerdict::Governs { .. } | GroupVerdict::Excepts(_))).collect();
        match told(&decision) {
            Answer::Yes(group) | Answer::Asks(group, _) => {
                prop_assert_eq!(governs.len(), 1);
                prop_assert_eq!(governs[0].0.as_str(), group);
            }
            Answer::No => {}
        }
        let (last, before) = explained.steps.split_last().unwrap();
        prop_assert!(before.iter().all(|step| step.holds), "{:?}", explained.steps);
        prop_assert_eq!(last.holds, matches!(decision, Decision::Permitted(_)), "{:?}", explained.steps);
        if let Decision::Refused(refusal) = &decision {
            prop_assert_eq!(&last.said, &refusal.why().to_string());
        }
    }

    #[test]
    fn another_group_gives_nobody_without_approval_what_needed_it_before(
        groups in prop::collection::vec(group(), 1..4), one in group(), ask in asking(),
    ) {
        let more = [&groups[..], &[one]].concat();
        let before = told(&decided(&snapshot(&read(&groups, &[]), &Ruled::default()), &ask).0);
        let after = told(&decided(&snapshot(&read(&more, &[]), &Ruled::default()), &ask).0);
        if let (Answer::Asks(_, [.., true]), Answer::Yes(group)) = (&before, &after) {
            prop_assert!(false, "{group} widens it: {}", text(&more, &[]));
        }
    }

    #[test]
    fn nothing_is_permitted_outside_a_window_and_no_permit_lasts_beyond_it(
        groups in prop::collection::vec(group(), 1..4), exceptions in exceptions(), ask in asking(),
    ) {
        let resources = read(&groups, &exceptions);
        let snapshot = snapshot(&resources, &Ruled::default());
        if let Decision::Permitted(permit) = decided(&snapshot, &ask).0 {
            let group = snapshot.governing(permit.group()).unwrap();
            prop_assert!(open(group, ask.now), "{}", text(&groups, &exceptions));
            if let Some(access) = resources.exceptional_accesses.iter().find(|one| one.name == *permit.group()) {
                prop_assert!(access.from.is_none_or(|from| from <= ask.now) && ask.now < access.until);
                prop_assert!(permit.expires().is_some_and(|end| end <= access.until));
            }
            if let Some(lapses) = lapses(group, &Ruled::default()) {
                prop_assert!(permit.expires().is_some_and(|end| ask.now < end && end <= lapses));
            }
            if let Some(closes) = group.limitation.closes(ask.now) {
                prop_assert!(permit.expires().is_some_and(|end| ask.now < end && end <= closes));
            }
            if let Some(id) = permit.request() {
                let RequestState::Approved { window } = &ask.requests.iter().find(|request| request.id == id).unwrap().state else {
                    panic!("it rests on a request that is not approved");
                };
                prop_assert!(window.contains(ask.now) && permit.expires().unwrap() <= window.end);
            }
        }
    }

    #[test]
    fn the_order_of_all_but_groups_that_demand_the_same_makes_no_difference(
        groups in prop::collection::vec(group(), 0..4), ask in asking(), turn in 0usize..5,
    ) {
        let mut resources = read(&groups, &[]);
        let before = told(&decided(&snapshot(&resources, &Ruled::default()), &ask).0);
        let turned = |length: usize| if length == 0 { 0 } else { turn % length };
        let by = turned(resources.users.len());
        resources.users.rotate_left(by);
        let by = turned(resources.devices.len());
        resources.devices.rotate_left(by);
        resources.credentials.reverse();
        for group in &mut resources.access_groups {
            group.users.reverse();
            group.approvers.reverse();
            group.criteria.devices.reverse();
            group.criteria.accounts.reverse();
        }
        prop_assert_eq!(&told(&decided(&snapshot(&resources, &Ruled::default()), &ask).0), &before);
        // Groups: whichever of two equals governs, what is demanded first is the same.
        let demands = |resources: &Resources| {
            let (_, explained) = decided(&snapshot(resources, &Ruled::default()), &ask);
            explained.groups.into_iter().find_map(|(_, verdict)| match verdict {
                GroupVerdict::Governs { demands, .. } => Some(demands),
                _ => None,
            })
        };
        let was = demands(&resources);
        resources.access_groups.reverse();
        prop_assert_eq!(demands(&resources), was);
    }
}
