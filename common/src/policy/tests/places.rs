//! Managers and deputies: in whose place somebody approves.

use super::*;
use crate::name::UserName;

const PLACES: &str = r#"
[[user]]
name = "boss"
deputy = { user = "second", from = 2026-06-01, until = 2026-06-07 }
[[user]]
name = "approver"
deputy = { user = "operator", from = 2026-06-01, until = 2026-06-07, zone = "Europe/Berlin" }
[[user]]
name = "operator"
manager = "boss"
[[user]]
name = "other"
manager = "boss"
"#;

fn managed(approvers: &str, needed: u8) -> Snapshot {
    let people: String = PEOPLE.split("[[device]]").skip(1).map(|rest| format!("[[device]]{rest}")).collect();
    let text = format!(
        "{PLACES}[[user]]\nname = \"second\"\n{people}[[access_group]]\nname = \"dba\"\n\
         users = [\"operator\", \"other\"]\ncriteria = {{ {ALL} }}\napprovers = [{approvers}]\n\
         session = {{ approval = {{ needed = {needed} }} }}\n"
    );
    Snapshot::new(&Resources::read(&text).unwrap()).unwrap()
}

fn may_at(
    snapshot: &Snapshot,
    votes: Vec<Vote>,
    voter: &str,
    now: Timestamp,
) -> Result<Option<String>, NoVote> {
    let group = snapshot.group(&"dba".parse().unwrap()).unwrap();
    let request = Request { votes, ..request(RequestState::Pending) };
    let ballot = ballot(snapshot, group, &request, &voter.parse().unwrap(), now);
    ballot.map(|ballot| ballot.stands_in_for.map(|person| person.to_string()))
}

fn standing(snapshot: &Snapshot, votes: Vec<Vote>) -> Tally {
    let group = snapshot.group(&"dba".parse().unwrap()).unwrap();
    tally(snapshot, group, &Request { votes, ..request(RequestState::Pending) })
}

fn for_boss(by: &str) -> Vote {
    Vote { stands_in_for: Some("boss".parse().unwrap()), ..vote(by, 1, Verdict::Approve) }
}

#[test]
fn the_requesters_manager_approves_where_the_group_asks_them() {
    let snapshot = managed("{ manager = true }", 1);
    assert_eq!(may_at(&snapshot, vec![], "boss", noon()), Ok(None));
    assert_eq!(may_at(&snapshot, vec![], "approver", noon()), Err(NoVote::Stranger));
    assert_eq!(standing(&snapshot, vec![vote("boss", 1, Verdict::Approve)]), Tally::Approved);
    let waits = Tally::Waiting { level: None, have: 0, need: 1 };
    assert_eq!(standing(&snapshot, vec![vote("approver", 1, Verdict::Approve)]), waits);
    let approves = approves_for(&snapshot, &"boss".parse().unwrap(), noon());
    assert_eq!(approves.managed, ["operator".parse().unwrap(), "other".parse().unwrap()]);
    assert_eq!((approves.groups.len(), approves.managers.len()), (0, 1));
    assert!(approves_for(&snapshot, &"approver".parse().unwrap(), noon()).is_none());
}

#[test]
fn a_deputy_has_the_place_on_their_days_only_and_the_place_counts_once() {
    let snapshot = managed("\"boss\", \"approver\"", 1);
    assert_eq!(may_at(&snapshot, vec![], "second", noon()), Ok(Some("boss".to_owned())));
    let (before, after) = (after(-13 * 60), after(7 * 24 * 60));
    assert_eq!(may_at(&snapshot, vec![], "second", before), Err(NoVote::Stranger));
    assert_eq!(may_at(&snapshot, vec![], "second", after), Err(NoVote::Stranger));
    assert_eq!(
        may_at(&snapshot, vec![vote("boss", 1, Verdict::Approve)], "second", noon()),
        Err(NoVote::Taken)
    );
    assert_eq!(may_at(&snapshot, vec![for_boss("second")], "boss", noon()), Err(NoVote::Taken));
    let two = managed("\"boss\", \"approver\", \"second\"", 2);
    // Who has a place of their own votes in that, and once whatever the place.
    assert_eq!(may_at(&two, vec![], "second", noon()), Ok(None));
    assert_eq!(
        may_at(&two, vec![vote("second", 1, Verdict::Approve)], "second", noon()),
        Err(NoVote::Already)
    );
    let once = Tally::Waiting { level: None, have: 1, need: 2 };
    assert_eq!(standing(&two, vec![vote("boss", 1, Verdict::Approve), for_boss("second")]), once);
    assert_eq!(
        standing(&two, vec![for_boss("second"), vote("approver", 1, Verdict::Approve)]),
        Tally::Approved
    );
}

#[test]
fn nobody_approves_their_own_request_in_anybodys_place() {
    // `operator` stands in for `approver`.
    let snapshot = managed("\"boss\", \"approver\"", 1);
    assert_eq!(may_at(&snapshot, vec![], "operator", noon()), Err(NoVote::Own));
    let own =
        Vote { stands_in_for: Some("approver".parse().unwrap()), ..vote("operator", 1, Verdict::Approve) };
    assert_eq!(standing(&snapshot, vec![own]), Tally::Waiting { level: None, have: 0, need: 1 });
}

#[test]
fn a_group_that_asks_managers_is_refused_where_somebody_has_none_or_is_their_own() {
    let told = |text: &str| Resources::read(text).unwrap_err().to_string();
    let group = |rest: &str| {
        format!(
            "{PEOPLE}{rest}[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = {{ {ALL} }}\n\
             approvers = [{{ manager = true }}]\nsession = {{ approval = {{ needed = 1 }} }}\n"
        )
    };
    let without = told(&group(""));
    assert!(
        without.contains("1 approvals could never be collected for `operator`, who has no `manager`"),
        "{without}"
    );
    let two = told(&group("").replace("needed = 1", "needed = 2"));
    assert!(two.contains("2 approvals could never be collected: too few distinct approvers"), "{two}");
    let both = told(&group("").replace("manager = true", "manager = true, user = \"boss\""));
    assert!(both.contains("an approver is either a user or the requester's manager"), "{both}");
    for (user, sentence) in [
        ("manager = \"operator\"", "nobody is their own manager"),
        ("manager = \"nobody\"", "there is no user `nobody`"),
        ("deputy = { user = \"late\", from = 2026-06-01, until = 2026-06-02 }", "nobody is their own deputy"),
        (
            "deputy = { user = \"boss\", from = 2026-06-02, until = 2026-06-01 }",
            "the deputy's time ends on 2026-06-01, before it starts on 2026-06-02",
        ),
        ("deputy = { user = \"boss\", from = 2026-06-01 }", "until"),
    ] {
        let name = if user.starts_with("manager = \"op") { "operator" } else { "late" };
        let text = match name {
            "late" => format!("{PEOPLE}[[user]]\nname = \"late\"\n{user}\n"),
            _ => PEOPLE.replacen("name = \"operator\"", &format!("name = \"operator\"\n{user}"), 1),
        };
        let why = told(&text);
        assert!(why.contains(sentence), "{user}: {why}");
    }
}

proptest::proptest! {
    /// However people stand in for each other: no request is approved with fewer people, or in
    /// fewer places, than are needed.
    #[test]
    fn as_many_people_in_as_many_places_approve_as_are_needed(
        votes in proptest::collection::vec((0usize..5, proptest::option::of(0usize..5)), 0..7),
    ) {
        let names = ["operator", "other", "approver", "second", "boss"];
        let snapshot = managed("\"approver\", \"second\", { manager = true }", 2);
        let cast: Vec<_> = votes
            .iter()
            .map(|(by, place)| Vote {
                stands_in_for: place.map(|place| names[place].parse().unwrap()),
                ..vote(names[*by], 1, Verdict::Approve)
            })
            .collect();
        if standing(&snapshot, cast.clone()) == Tally::Approved {
            let valid: Vec<_> = cast
                .iter()
                .filter(|vote| vote.by.as_str() != "operator")
                .filter(|vote| ["approver", "second", "boss"].contains(&vote.place_of().as_str()))
                .collect();
            let distinct = |of: fn(&Vote) -> &UserName| {
                valid.iter().map(|vote| of(vote)).collect::<std::collections::HashSet<_>>().len()
            };
            proptest::prop_assert!(distinct(|vote| &vote.by) >= 2 && distinct(Vote::place_of) >= 2);
        }
    }
}
