use tidegate_common::change::{DraftError, NoApproval, Outcome};
use tidegate_common::id::SessionId;

use super::*;
use crate::store::testing::on_both;
use crate::testing::{World, by, user};

mod watching;

const RESOURCES: &str = r#"
[[user]]
name = "operator"
[[user]]
name = "approver"
[[user]]
name = "olga"
email = "olga@example.org"
[[user]]
name = "adam"
roles = ["admin"]
[[user]]
name = "stranger"
[[device]]
name = "db01"
[[credential]]
name = "ops@db01"
[[access_group]]
name = "dba"
users = ["operator"]
approvers = ["approver"]
criteria = { devices = ["db*"] }
session = { change = true }
"#;

/// A change that is approved, from an hour ago for two hours, on `db01`; nothing is checked.
pub(crate) fn change(id: &str, group: &str, expected: &[&str]) -> Change {
    let now = moment();
    let hour = jiff::Span::new().hours(1);
    let expected = expected
        .iter()
        .map(|line| tidegate_common::change::Expected { command: line.parse().unwrap(), optional: false });
    Change {
        id: id.parse().unwrap(),
        title: "Restart the database".parse().unwrap(),
        description: None,
        start: now.checked_sub(hour).unwrap(),
        due: now.checked_add(hour).unwrap(),
        group: group.parse().unwrap(),
        devices: vec!["db01".parse().unwrap()],
        expected: expected.collect(),
        ordered: false,
        responsible: vec!["olga".parse().unwrap()],
        interrupt: false,
        author: "operator".parse().unwrap(),
        created: now,
        state: ChangeState::Approved { by: "approver".to_owned(), at: now, comment: None },
    }
}

/// The same, written.
pub(crate) async fn approved(store: &Store, id: &str, group: &str) {
    assert!(store.takes(Store::change_made(change(id, group, &[]))).await);
}

impl World {
    async fn create(&self, id: &str) -> Result<Change, ChangeError> {
        self.changes.create(draft(id), &user("operator"), &by("operator")).await
    }

    async fn act(&self, who: &str, deed: Deed) -> Result<Change, String> {
        let user = (who != "root").then(|| user(who));
        let doer = Doer { user, administrator: matches!(who, "adam" | "root"), by: by(who) };
        let done = self.changes.act(&"CHG-1".parse().unwrap(), &deed, &doer).await;
        done.map_err(|error| error.to_string())
    }

    async fn compared(&self, session: u64, ran: &[bool]) {
        let expected = ["stop", "start"].iter().zip(ran).map(|(command, ran)| Outcome {
            command: (*command).to_owned(),
            optional: false,
            source: ran.then_some(tidegate_common::audit::CommandSource::Exec),
        });
        let report = Report { expected: expected.collect(), ..Report::default() };
        let comparison = Comparison {
            session: SessionId::new(session, 1),
            change: "CHG-1".parse().unwrap(),
            complete: true,
            witnessed: false,
            report,
        };
        assert!(self.store.takes(Store::compared(comparison)).await);
    }
}

fn draft(id: &str) -> Draft {
    let Change { id, title, start, due, group, devices, expected, responsible, .. } =
        change(id, "dba", &["stop", "start"]);
    let commands = expected;
    let (description, ordered, interrupt) = (None, false, false);
    Draft { id, title, description, start, due, group, devices, commands, ordered, responsible, interrupt }
}

async fn a_change_is_approved_by_somebody_else_and_closed_by_what_ran() {
    let world = World::new(RESOURCES).await;
    let made = world.create("CHG-1").await.unwrap();
    assert_eq!(made.state, ChangeState::WaitingApproval);
    assert!(matches!(world.create("CHG-1").await, Err(ChangeError::Taken(_))));
    let own = world.act("operator", Deed::Approve(None)).await.unwrap_err();
    assert_eq!(own, format!("change `CHG-1` takes no approval of yours: {}", NoApproval::Own));
    let stranger = world.act("stranger", Deed::Approve(None)).await.unwrap_err();
    assert!(stranger.contains("that concerns you"), "{stranger}");
    let olga = world.act("olga", Deed::Approve(None)).await.unwrap_err();
    let adam = world.act("adam", Deed::Approve(None)).await.unwrap_err();
    assert_eq!(adam, olga, "administrators do not approve");
    assert!(olga.ends_with(&NoApproval::Stranger.to_string()), "{olga}");
    let mut looks = world.changes.0.access.changed();
    let approved = world.act("approver", Deed::Approve(None)).await.unwrap();
    assert!(looks.has_changed().unwrap(), "who rests on it looks again");
    looks.mark_unchanged();
    assert_eq!(approved.state_word(), ChangeStateWord::Approved);
    let again = world.act("approver", Deed::Reject(None)).await.unwrap_err();
    assert_eq!(again, "change `CHG-1` is approved already");

    world.compared(1, &[true, false]).await;
    let report = world.changes.report(&made.id).await.unwrap();
    assert_eq!(report.total.score().percent(), 50);
    world.compared(2, &[false, true]).await;
    let closed = world.act("olga", Deed::Close(None)).await.unwrap();
    assert_eq!(closed.state_word(), ChangeStateWord::Executed);
    assert!(world.act("root", Deed::Cancel(None)).await.unwrap_err().contains("is executed already"));
    assert_eq!(world.changes.get(&made.id).await.unwrap(), closed);
}

async fn what_had_to_run_and_did_not_makes_it_partially_executed() {
    let world = World::new(RESOURCES).await;
    world.create("CHG-1").await.unwrap();
    assert!(world.act("operator", Deed::Close(None)).await.unwrap_err().contains("still waits"));
    world.act("approver", Deed::Approve(Some("go".parse().unwrap()))).await.unwrap();
    let closed = world.act("root", Deed::Close(None)).await.unwrap();
    assert_eq!(closed.state_word(), ChangeStateWord::PartiallyExecuted, "no session rested on it");
}

async fn what_is_wrong_is_told_and_nothing_is_written() {
    let world = World::new(RESOURCES).await;
    let wrong = Draft { devices: vec!["db09".parse().unwrap()], ..draft("CHG-1") };
    let refused = world.changes.create(wrong, &user("operator"), &by("operator")).await.unwrap_err();
    let told = format!("change `CHG-1` was not made:\n  {}", DraftError::Device("db09".parse().unwrap()));
    assert_eq!(refused.to_string(), told);
    assert_eq!(world.changes.list(&ChangeFilter::default()).await.unwrap(), []);
    world.create("CHG-1").await.unwrap();
    let cancelled = world.act("operator", Deed::Cancel(None)).await.unwrap();
    assert_eq!(cancelled.state_word(), ChangeStateWord::Cancelled);
    assert!(world.act("approver", Deed::Approve(None)).await.unwrap_err().contains("is cancelled already"));
}

on_both! {
    a_change_is_approved_by_somebody_else_and_closed_by_what_ran,
    what_had_to_run_and_did_not_makes_it_partially_executed,
    what_is_wrong_is_told_and_nothing_is_written,
}
