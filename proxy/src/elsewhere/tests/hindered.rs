//! Gates that stop, are too old for what others wrote, or whose database is away.

use std::time::Instant;

use tidegate_common::policy;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_stops_in_the_middle_of_a_step_holds_up_the_others_for_seconds_only() {
    let (one, two) = two_gates().await;
    let resting = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = \
                   current_database()";
    let stopped = one.store.audit_append_all(Vec::new(), Some(Store::stopped_step()));
    tokio::select! {
        ended = stopped => panic!("{ended:?}"),
        () = async {
            while one.sql(resting) != "1" {
                tokio::task::yield_now().await;
            }
            let start = Instant::now();
            two.apply("[[user]]\nname = \"late\"\n").await;
            assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
        } => {}
    }
    // Its step was not taken, and it goes on.
    one.apply("[[user]]\nname = \"later\"\n").await;
    assert!(one.access.snapshot().user(&user("late")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_cannot_read_what_a_newer_one_wrote_begins_nothing_new_until_it_can() {
    let (one, two) = two_gates().await;
    let id = one.ask().await.unwrap();
    one.approve(id, "one").await.unwrap();
    one.approve(id, "two").await.unwrap();
    let proved = crate::access::tests::proved("operator");
    let decide = || two.decide(&proved);
    let Ok(Decision::Permitted(permit)) = decide().await else { panic!() };
    let (now, mut basis) = (jiff::Timestamp::now(), crate::access::Basis::default());
    assert!(two.access.still_lives(&permit, &mut basis, now).await.is_ok());
    two.keep_up().await;

    for (table, what, named) in [
        ("resource WHERE kind = 'access_group'", "resources", "access_group `dba`"),
        ("request WHERE true", "requests", "request 1"),
    ] {
        let (table, which) = table.split_once(' ').unwrap();
        let written = |document: &str| {
            one.sql(&format!(
                "UPDATE {table} SET document = {document} {which}; \
                 UPDATE revision SET number = number + 1 WHERE what = '{what}'; NOTIFY tidegate"
            ));
        };
        written("'{\"tea\":true,' || substr(document, 2)");
        let start = "nothing new begins on this gate: it cannot read what a newer one wrote";
        let refused = || async { decide().await.err().map(|error| error.to_string()) };
        let refused =
            until("it is refused", async || refused().await.filter(|why| why.starts_with(start))).await;
        assert!(refused.ends_with("ask an administrator to upgrade it"), "{refused}");
        let detail = two.access.is_current().unwrap_err().detail();
        for part in ["the store holds", named, "tea", "upgrade this one"] {
            assert!(detail.contains(part), "{part}: {detail}");
        }
        assert!(two.access.still_lives(&permit, &mut basis, now).await.is_ok());
        assert_eq!(two.access.still_permits(&permit).await.unwrap_err(), EndReason::Behind);
        let refused = two.ask().await.unwrap_err().to_string();
        assert!(refused.starts_with("nothing new begins on this gate"), "{refused}");
        written("'{' || substr(document, 13)");
        until("it is decided again", async || decide().await.is_ok().then_some(())).await;
        assert!(two.access.still_permits(&permit).await.is_ok());
    }
    // What it cannot read may stop anybody.
    for (change, is_current) in
        [("INSERT INTO panic VALUES ('all', '{\"tea\":true}')", false), ("DELETE FROM panic", true)]
    {
        let told = "UPDATE revision SET number = number + 1 WHERE what = 'rulings'; NOTIFY tidegate";
        one.sql(&format!("{change}; {told}"));
        until("the gate knows", async || (two.access.is_current().is_ok() == is_current).then_some(())).await;
        assert_eq!(decide().await.is_ok(), is_current, "{change}");
        assert_eq!(two.access.still_permits(&permit).await.is_ok(), is_current, "{change}");
        assert!(two.access.still_lives(&permit, &mut basis, now).await.is_ok());
    }
    // What is over ends what rests on it, however little of it this gate can read.
    one.sql("UPDATE request SET state = 'revoked', document = '{\"tea\":true,' || substr(document, 2)");
    let ended = two.access.still_lives(&permit, &mut basis, now).await.unwrap_err();
    assert_eq!(ended, EndReason::Unchecked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_reaches_a_gate_that_cannot_read_a_review_or_another_panic() {
    let (one, two) = two_gates().await;
    let reviewed = "[[device]]\nname = \"web01\"\n[[credential]]\nname = \"adm@web01\"\n[[access_group]]\n\
                    name = \"web\"\nusers = [\"operator\"]\ncriteria = { accounts = [\"adm\"] }\nsession = {}\n\
                    review = { owners = [\"one\"], every = \"30d\", from = 2999-01-01 }\n";
    one.apply(reviewed).await;
    two.keep_up().await;
    let (proved, target) = (crate::access::tests::proved("operator"), "adm@web01".parse().unwrap());
    let (origin, claims) = ("192.0.2.7".parse().unwrap(), Claims::default());
    let decide = || two.access.decide(&proved, &target, Action::Session, origin, &claims);
    let permitted = async |is: bool| {
        let decided = async || matches!(decide().await, Ok(Decision::Permitted(_)));
        until("it is decided so", async || (decided().await == is).then_some(())).await;
    };
    let changed = |change: &str| {
        let told = "UPDATE revision SET number = number + 1 WHERE what = 'rulings'; NOTIFY tidegate";
        one.sql(&format!("{change}; {told}"));
    };
    permitted(true).await;
    changed("INSERT INTO group_review VALUES ('web', '{\"confirmed\":1}')");
    permitted(false).await;
    // Of the group that it is of, and of no other.
    assert!(two.access.is_current().is_ok() && two.ask().await.is_ok());
    let (group, owner) = ("web".parse().unwrap(), user("one"));
    let seen = policy::digest_of_users(one.access.snapshot().group(&group).unwrap());
    let refused = one.access.confirm_group(&group, &owner, &seen, &by("one")).await.unwrap_err();
    assert!(matches!(refused, AccessError::UnreadReview(_)), "{refused}");
    // The gate on which it begins cannot read the review, nor can the one that hears of it.
    let stops = async |name: &str| {
        let (scope, why) = (PanicScope::User(user(name)), "a drill".parse().unwrap());
        one.access.begin_panic(scope.clone(), why, &By::proxy()).await.unwrap();
        until("it is stopped", async || two.access.snapshot().rulings().is_stopped(&scope).then_some(()))
            .await;
        scope
    };
    let scope = stops("operator").await;
    one.access.lift_panic(&scope, &By::proxy()).await.unwrap();
    until("it is lifted", async || (!two.access.snapshot().rulings().is_stopped(&scope)).then_some(())).await;
    changed("DELETE FROM group_review");
    permitted(true).await;
    // Nor does a panic that cannot be read keep one that can from being known.
    changed("INSERT INTO panic VALUES ('all', '{\"tea\":true}')");
    until("the gate knows", async || two.access.is_current().is_err().then_some(())).await;
    stops("operator").await;
    assert!(two.access.still_in(&proved).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_refuses_what_is_new_keeps_what_happened_and_all_goes_on_when_it_is_back() {
    let server = Server::start().unwrap();
    let gate = Gate::new(&url(&server), "gate1").await;
    gate.apply(RESOURCES).await;
    gate.keep_up().await;
    let id = gate.ask().await.unwrap();
    gate.approve(id, "one").await.unwrap();
    gate.approve(id, "two").await.unwrap();
    let decided = gate.decide(&crate::access::tests::proved("operator")).await;
    let Decision::Permitted(permit) = decided.unwrap() else { panic!() };
    assert_eq!(permit.request(), Some(id));
    let (now, mut basis) = (jiff::Timestamp::now(), crate::access::Basis::default());
    assert!(gate.access.still_lives(&permit, &mut basis, now).await.is_ok());

    server.stop().unwrap();
    let refused = gate.cancel(id).await.unwrap_err().to_string();
    assert!(refused.contains("away") && refused.contains("nothing new begins until it is back"), "{refused}");
    let refused = gate.audit.append(Event::ProxyStopped { why: Note::new("to be") }).await.unwrap_err();
    assert!(refused.to_string().contains("so nothing was done"), "{refused}");
    let start = Instant::now();
    assert!(gate.audit.append(Event::ProxyStopped { why: Note::new("to be too") }).await.is_err());
    assert!(start.elapsed().as_secs() < 8, "nobody waits long: {:?}", start.elapsed());
    let told = gate.audit.tell(Event::ProxyStopped { why: Note::new("has been") }).await.unwrap_err();
    assert!(matches!(told, AuditError::Kept(_)), "{told}");
    assert!(gate.access.still_lives(&permit, &mut basis, now).await.is_ok(), "what lives goes on");
    assert!(basis.stale, "and looks again soon");
    assert!(gate.access.still_permits(&permit).await.is_err(), "nothing new begins on it");
    let over = permit.expires().unwrap();
    let ended = gate.access.still_lives(&permit, &mut basis, over).await.unwrap_err();
    assert_eq!(ended, EndReason::TimeOver);

    let mut changed = gate.access.changed();
    changed.mark_unchanged();
    server.go_on().unwrap();
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, changed.changed()).await.expect("everybody looks again").unwrap();
    gate.cancel(id).await.unwrap();
    assert!(gate.access.still_permits(&permit).await.is_err(), "it was taken back");
    let verified = gate.audit.verify().await.unwrap();
    let rows = gate.store.audit_from(gate.store.own_gate(), 1, 1000).await.unwrap();
    assert_eq!(verified.records, rows.len() as u64);
    let has = |text: &str| rows.iter().filter(|row| row.body.contains(&format!("\"{text}\""))).count();
    assert_eq!([has("to be"), has("to be too"), has("has been")], [0, 0, 1]);
}
