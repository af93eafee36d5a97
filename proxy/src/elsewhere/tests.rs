//! Several gates on one database of PostgreSQL.

mod hindered;

use std::ops::Deref;

use tidegate_common::audit::{EndCause, Event, Note};
use tidegate_common::id::{RequestId, SessionId};
use tidegate_common::model::{Action, Claims, PanicScope, RequestState, Resources};
use tidegate_common::policy::{Decision, EndReason, Proved};
use tokio::sync::mpsc;

use super::*;
use crate::access::{Border, By};
use crate::audit_log::AuditError;
use crate::requests::{Narrowed, RequestError};
use crate::store::testing::postgres::Server;
use crate::store::testing::{Temporary, server, session};
use crate::store::{RequestFilter, SessionRow, StoreUrl};
use crate::testing::{World, by, request, until, user};

const RESOURCES: &str = r#"
[[user]]
name = "operator"
[[user]]
name = "one"
[[user]]
name = "two"
[[device]]
name = "db01"
[[credential]]
name = "ops@db01"
[[access_group]]
name = "dba"
users = ["operator"]
approvers = ["one", "two"]
criteria = { accounts = ["ops"] }
session = { approval = { needed = 2 } }
"#;

/// A gate that listens nowhere.
struct Gate {
    world: World,
    /// The sessions that it was asked to end, and by whom.
    ended: mpsc::UnboundedSender<(SessionId, String)>,
    asked: mpsc::UnboundedReceiver<(SessionId, String)>,
}

impl Deref for Gate {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Gate {
    async fn new(url: &StoreUrl, name: &str) -> Self {
        let world = World::on(Temporary::of_gate(name, url).await, Border::default()).await;
        let (ended, asked) = mpsc::unbounded_channel();
        Self { world, ended, asked }
    }

    /// Keeps up with the others until the test ends.
    async fn keep_up(&self) {
        let watch = self.store.watch().await.unwrap();
        let (access, requests, ended) = (self.access.clone(), self.requests.clone(), self.ended.clone());
        let end = move |id, by: &str| drop(ended.send((id, by.to_owned())));
        let local = Local { access, requests, end: Box::new(end) };
        tokio::spawn(keep_up(self.store.clone(), watch, local));
    }

    async fn ask(&self) -> Result<RequestId, RequestError> {
        self.requests.create(request("operator", "ops@db01")).await.map(|made| made.id)
    }

    async fn approve(&self, id: RequestId, who: &str) -> Result<RequestState, RequestError> {
        let voted = self.requests.approve(id, &user(who), &by(who), None, Narrowed::default()).await;
        voted.map(|request| request.state)
    }

    async fn decide(&self, proved: &Proved) -> Result<Decision, AccessError> {
        let (target, origin) = ("ops@db01".parse().unwrap(), "192.0.2.7".parse().unwrap());
        self.access.decide(proved, &target, Action::Session, origin, &Claims::default()).await
    }

    /// What its database answers.
    fn sql(&self, statement: &str) -> String {
        let StoreUrl::Postgres(options) = self.store.url() else { panic!() };
        server().sql(options.get_database().unwrap(), statement).unwrap()
    }

    async fn cancel(&self, id: RequestId) -> Result<RequestState, RequestError> {
        let cancelled = self.requests.cancel(id, &user("operator"), &by("operator")).await;
        cancelled.map(|request| request.state)
    }
}

fn url(server: &Server) -> StoreUrl {
    server.database().unwrap().parse().unwrap()
}

async fn two_gates() -> (Gate, Gate) {
    let url = url(server());
    let one = Gate::new(&url, "gate1").await;
    one.apply(RESOURCES).await;
    (one, Gate::new(&url, "gate2").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_gate_changes_another_decides_by_within_a_second() {
    let (one, two) = two_gates().await;
    two.keep_up().await;
    let within = std::time::Duration::from_secs(1);
    let mut changed = two.access.changed();
    changed.mark_unchanged();
    one.apply("[[user]]\nname = \"late\"\n").await;
    let seen = async {
        while two.access.snapshot().user(&user("late")).is_none() {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(within, seen).await.expect("the other gate knows the user");
    let stops = PanicScope::User(user("operator"));
    one.access.begin_panic(stops.clone(), "a drill".parse().unwrap(), &By::proxy()).await.unwrap();
    let mut stopped = async |stands: bool| {
        while two.access.snapshot().rulings().is_stopped(&stops) != stands {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(within, stopped(true)).await.expect("the other gate stops the user");
    two.access.lift_panic(&stops, &By::proxy()).await.unwrap();
    one.access.refresh_rulings().await.unwrap();
    let mut changed = two.requests.changed();
    changed.mark_unchanged();
    one.ask().await.unwrap();
    tokio::time::timeout(within, changed.changed()).await.expect("the other gate looks again").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gates_that_vote_and_decide_at_once_nothing_is_lost() {
    let (one, two) = two_gates().await;
    for _ in 0..20 {
        let id = one.ask().await.unwrap();
        let (first, second) = tokio::join!(one.approve(id, "one"), two.approve(id, "two"));
        let complete = [first.unwrap(), second.unwrap()];
        let complete = complete.iter().filter(|state| matches!(state, RequestState::Approved { .. })).count();
        assert_eq!(complete, 1, "the later of both completes it");
        let request = two.requests.get(id).await.unwrap();
        assert!(matches!(request.state, RequestState::Approved { .. }), "{request:?}");
        assert_eq!(request.votes.len(), 2, "{request:?}");
        two.cancel(id).await.unwrap();
    }
    for _ in 0..20 {
        // A vote that completes it, and its end.
        let id = one.ask().await.unwrap();
        one.approve(id, "one").await.unwrap();
        let (approved, cancelled) = tokio::join!(one.approve(id, "two"), two.cancel(id));
        cancelled.unwrap();
        let request = one.requests.get(id).await.unwrap();
        assert!(matches!(request.state, RequestState::Cancelled { .. }), "{request:?}");
        match approved {
            Ok(_) => assert_eq!(request.votes.len(), 2),
            Err(RequestError::State { state: "cancelled", .. }) => assert_eq!(request.votes.len(), 1),
            Err(other) => panic!("{other}"),
        }
    }
    let verified = one.audit.verify().await.unwrap();
    let others: u64 = verified.others.iter().map(|(_, end)| end.seq).sum();
    let kinds = ["request-created", "request-approved", "request-cancelled"];
    let mut counts = [0; 3];
    let records = one.audit.last(10_000).await;
    for record in &records {
        let text = serde_json::to_string(&record.event).unwrap();
        for (count, kind) in counts.iter_mut().zip(kinds) {
            *count += usize::from(text.contains(kind));
        }
    }
    assert_eq!(records.len() as u64, verified.records + others, "the end of the log has the records of both");
    let votes = one.requests.list(&RequestFilter::default()).await.unwrap();
    let votes: usize = votes.iter().map(|request| request.votes.len()).sum();
    assert_eq!(counts, [40, votes, 40], "a record for each step, and none for what was not done");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gates_that_make_the_same_request_at_once_one_does_and_no_number_is_given_twice() {
    let (one, two) = two_gates().await;
    for _ in 0..20 {
        let (first, second) = tokio::join!(one.ask(), two.ask());
        let (made, refused) = match (first, second) {
            (Ok(made), Err(refused)) | (Err(refused), Ok(made)) => (made, refused),
            other => panic!("{other:?}"),
        };
        assert!(matches!(refused, RequestError::Waiting { id, .. } if id == made), "{refused}");
        two.cancel(made).await.unwrap();
    }
    let all = one.requests.list(&RequestFilter::default()).await.unwrap();
    assert_eq!(
        all.iter().map(|request| request.id.0).collect::<Vec<_>>(),
        (1..=20).rev().collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_that_two_gates_apply_at_once_are_all_there() {
    let (one, two) = two_gates().await;
    for number in 0..20 {
        let text = |gate: &str| format!("[[user]]\nname = \"{gate}-{number}\"\n");
        let (first, second) = (text("one"), text("two"));
        let proxy = By::proxy();
        let done =
            tokio::join!(one.access.apply(&first, &proxy, false), two.access.apply(&second, &proxy, false));
        assert!(done.0.is_ok() && done.1.is_ok(), "{done:?}");
    }
    let Resources { users, .. } = one.access.resources().await.unwrap();
    assert_eq!(users.len(), 3 + 40);
    one.access.refresh().await.unwrap();
    assert!(one.access.snapshot().user(&user("two-19")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_starts_again_interrupts_its_own_sessions_only() {
    let (one, two) = two_gates().await;
    one.store.session_put(&session(1)).await.unwrap();
    let second = SessionRow { gate: two.store.own_gate(), ..session(2) };
    two.store.session_put(&second).await.unwrap();
    assert_eq!(two.store.sessions_without_end().await.unwrap(), [second]);
    let interrupted = Store::sessions_interrupted(vec![session(2).id], jiff::Timestamp::now());
    assert!(two.store.takes(interrupted).await);
    assert!(one.store.session(session(1).id).await.unwrap().unwrap().lives());
    assert!(!one.store.session(session(2).id).await.unwrap().unwrap().lives());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_s_end_is_asked_of_its_own_gate_and_one_that_is_silent_is_known_to_be_away() {
    let (mut one, mut two) = two_gates().await;
    one.keep_up().await;
    two.keep_up().await;
    let on_two = SessionRow { gate: two.store.own_gate(), ..session(2) };
    for row in [&session(1), &on_two] {
        one.store.session_put(row).await.unwrap();
    }
    assert!(one.store.takes(Store::session_end_asked(on_two.id, "olga".to_owned())).await);
    let within = std::time::Duration::from_secs(1);
    let asked = tokio::time::timeout(within, two.asked.recv()).await.expect("the other gate is told");
    assert_eq!(asked, Some((on_two.id, "olga".to_owned())));
    assert!(one.asked.try_recv().is_err(), "it is not its own");
    // Whoever has ended is asked no more.
    two.store.session_end(on_two.id, EndCause::Killed, jiff::Timestamp::now()).await.unwrap();
    assert_eq!(two.store.ends_asked().await.unwrap(), []);

    let away = || async { one.store.gates().await.unwrap().iter().map(|gate| gate.away).collect::<Vec<_>>() };
    assert_eq!(away().await, [false, false]);
    assert_eq!(Gate::new(one.store.url(), "gate3").await.store.gates().await.unwrap().len(), 3);
    assert_eq!(away().await, [false, false, true], "one that never said that it runs");
    one.sql("UPDATE gate SET heard_millis = heard_millis - 60000 WHERE name = 'gate2'");
    assert_eq!(away().await, [false, true, true]);
    // It says so again.
    until("the gate is heard of", async || (away().await == [false, false, true]).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gate_has_a_chain_of_its_own_and_a_change_in_any_is_found() {
    let (one, two) = two_gates().await;
    let before = one.audit.newest();
    for number in 0..3 {
        one.audit.append(Event::ProxyStopped { why: Note::new(format!("one {number}")) }).await.unwrap();
        let seq = two.audit.append(Event::ProxyStopped { why: Note::new(format!("two {number}")) }).await;
        assert_eq!(seq.unwrap(), number + 1);
    }
    let verified = one.audit.verify().await.unwrap();
    assert_eq!(verified.records, before + 3);
    let others: Vec<_> = verified.others.iter().map(|(gate, end)| (gate.as_str(), end.seq)).collect();
    assert_eq!(others, [("gate2", 3)]);
    let change = "UPDATE audit SET body = replace(body, 'two 1', 'two 7') WHERE seq = 2 AND gate = \
                  (SELECT id FROM gate WHERE name = 'gate2')";
    two.sql(change);
    let error = one.audit.verify().await.unwrap_err();
    assert!(matches!(&error, AuditError::Other { gate, .. } if gate.as_str() == "gate2"), "{error}");
    assert!(error.to_string().contains("record 2 was altered"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_with_a_gate_s_name_is_refused_until_the_first_has_ended() {
    let url = url(server());
    let first = Gate::new(&url, "gate1").await;
    let held = first.store.watch().await.unwrap();
    let second = Gate::new(&url, "gate1").await;
    let refused = second.store.watch().await.err().unwrap().to_string();
    assert!(refused.contains("another gate named `gate1` uses the database"), "{refused}");
    assert!(Gate::new(&url, "gate2").await.store.watch().await.is_ok());
    let (taken, ()) = tokio::join!(second.store.watch(), async { drop(held) });
    assert!(taken.is_ok());
}
