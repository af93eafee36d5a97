//! Users who are made with a user group, and go with the last of their remote accesses.

mod later;

use tidegate_common::audit::Verb;
use tidegate_common::id::RequestId;
use tidegate_common::notice::Channel;

use super::*;
use crate::requests::Narrowed;
use crate::testing::request;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA";
const OUTSIDE: &str = "203.0.113.9";

const RESOURCES: &str = r#"
[[user]]
name = "olga"
email = "o@example.org"
[[user]]
name = "boss"
roles = ["admin"]
[[user]]
name = "chief"
[[device]]
name = "db01"
[[credential]]
name = "ops@db01"
[[reason]]
name = "visit"
[[user_group]]
name = "field"
users = ["olga"]
limited_users = [{ name = "jane", email = "jane@example.com" }, { name = "joe", phone = "+34600123456" }]
[[access_group]]
name = "dba"
users = ["olga", "jane"]
criteria = { devices = ["db01"] }
session = {}
"#;

fn border() -> Border {
    Border { inside: vec!["10.0.0.0/8".parse().unwrap()], ..Border::default() }
}

async fn world(approvers: &[&str]) -> World {
    let world = World::within(border(), RESOURCES).await;
    let approvers = approvers.iter().map(|name| user(name)).collect();
    world.with_remote_accesses(Settings { approvers, ..Settings::default() })
}

fn limited(user: Option<&str>) -> NewRemoteAccess {
    let scope = Limited {
        devices: vec!["db01".parse().unwrap()],
        credentials: Vec::new(),
        times: Limitation::default(),
        sessions: None,
    };
    NewRemoteAccess { scope: Scope::Limited(scope), ..new(user) }
}

impl World {
    async fn gives(&self, name: &str) -> RemoteAccessId {
        self.remote_accesses.create(&limited(Some(name)), &by("boss")).await.unwrap()[0].id
    }

    async fn cancels(&self, id: RemoteAccessId) {
        self.remote_accesses.cancel(id, &by("boss"), None).await.unwrap();
    }

    /// A request for a session.
    async fn wants(&self, name: &str) -> RequestId {
        self.requests.create(request(name, "ops@db01")).await.unwrap().id
    }

    async fn approves(&self, id: RequestId) {
        let (chief, by) = (user("chief"), by("chief"));
        self.requests.approve(id, &chief, &by, None, Narrowed::default()).await.unwrap();
    }

    /// What became of each request.
    async fn became<const N: usize>(&self, all: [RequestId; N]) -> [&'static str; N] {
        let mut words = [""; N];
        for (word, id) in words.iter_mut().zip(all) {
            *word = self.requests.get(id).await.unwrap().state.word();
        }
        words
    }

    /// Which requests the gate itself cancelled, as the audit log has it.
    async fn cancelled_requests(&self) -> Vec<RequestId> {
        let of = |record: Record| match (record.event, record.actor) {
            (Event::RequestCancelled { request, .. }, Actor::Proxy) => Some(request),
            _ => None,
        };
        self.records().await.into_iter().filter_map(of).collect()
    }

    fn has_user(&self, name: &str) -> bool {
        self.access.snapshot().user(&user(name)).is_some()
    }

    /// Who went, as the audit log has it.
    async fn went(&self) -> Vec<String> {
        let line = |record: Record| match &record.event {
            Event::RemoteAccess { step: RemoteAccessStep::UserRemoved, .. } => {
                Some(format!("{}: {}", record.actor, record.event))
            }
            _ => None,
        };
        self.records().await.into_iter().filter_map(line).collect()
    }
}

async fn a_limited_user_is_given_limited_accesses_only_and_a_full_batch_leaves_them_out() {
    let world = world(&[]).await;
    let told = world.remote_accesses.create(&new(Some("jane")), &by("boss")).await.unwrap_err().to_string();
    assert_eq!(
        told,
        "`jane` is a limited user of user group `field`, who is given a limited access only; name devices or \
         credentials (--device, --credential)"
    );
    let users = |made: &[RemoteAccess]| made.iter().map(|one| one.user.to_string()).collect::<Vec<_>>();
    let full = world.remote_accesses.create(&new(None), &by("boss")).await.unwrap();
    assert_eq!(users(&full), ["olga"]);
    let left_out = world.remote_accesses.left_out(&new(None));
    let left_out: Vec<_> = left_out.iter().map(ToString::to_string).collect();
    assert!(left_out.len() == 2 && left_out[0] == told && left_out[1].starts_with("`joe` is a limited user"));
    let all = world.remote_accesses.create(&limited(None), &by("boss")).await.unwrap();
    assert_eq!(users(&all), ["olga", "jane", "joe"]);
    assert!(world.remote_accesses.left_out(&limited(None)).is_empty());
    // Where nobody else is in the group, nothing is made.
    world
        .apply("[[user_group]]\nname = \"guests\"\nlimited_users = [{ name = \"ann\", email = \"a@b.c\" }]\n")
        .await;
    let guests = NewRemoteAccess { group: "guests".parse().unwrap(), ..new(None) };
    let told = world.remote_accesses.create(&guests, &by("boss")).await.unwrap_err().to_string();
    assert!(told.starts_with("`ann` is a limited user of user group `guests`"), "{told}");
}

async fn a_code_lets_a_limited_user_in_from_outside_and_enrols_a_key_until_they_go() {
    let world = world(&[]).await;
    let id = world.gives("jane").await;
    let proved = world.redeem("jane", &world.code(id).await).await.unwrap();
    assert_eq!(world.access.still_in(&proved), Ok(()));
    let key = KEY.parse().unwrap();
    world.remote_accesses.enrol(id, &key, &by("jane")).await.unwrap();
    let login = world.access.enrolled(&user("jane"), &key).unwrap();
    let from = |address: &str| {
        let origin = address.parse().unwrap();
        world.access.still_in(&Proved { user: user("jane"), login: login.clone().into(), origin })
    };
    assert_eq!(from(OUTSIDE), Ok(()));
    let inside = from("10.1.2.3").unwrap_err().to_string();
    assert_eq!(inside, "you come from inside, and a limited user enters from outside only");
    world.cancels(id).await;
    assert_eq!(from(OUTSIDE), Err(tidegate_common::policy::EndReason::UserDisabled));
    // A code goes to the address that there is.
    let id = world.gives("joe").await;
    let told = world.remote_accesses.forward(id, Channel::Mail, &by("boss")).await.unwrap_err().to_string();
    assert!(told.starts_with("user `joe` cannot be reached by mail"), "{told}");
    world.remote_accesses.forward(id, Channel::Sms, &by("boss")).await.unwrap();
}

async fn a_limited_user_stays_while_an_access_is_open_and_goes_with_the_last_out_of_access_groups_too() {
    let world = world(&[]).await;
    let (first, second) = (world.gives("jane").await, world.gives("jane").await);
    world.cancels(first).await;
    assert!(world.has_user("jane"), "the second is open");
    world.cancels(second).await;
    assert!(!world.has_user("jane"));
    let left = world.access.resources().await.unwrap();
    assert_eq!(left.access_groups[0].users, [user("olga")]);
    let names: Vec<_> = left.limited_users().map(|(_, limited)| limited.name.as_str()).collect();
    assert_eq!(names, ["joe"], "who never had an access stays");
    assert_eq!(left.check(), []);
    let said =
        "proxy: remote access 2 of jane in field takes its limited user away: out of access groups dba";
    assert_eq!(world.went().await, [said]);
    let changed = world.records().await.into_iter().filter_map(|record| match record.event {
        Event::ResourceApplied { name, verb: Verb::Changed, .. } => Some((record.actor, name.to_string())),
        _ => None,
    });
    let changed: Vec<_> = changed.collect();
    assert_eq!(changed, [(Actor::Proxy, "field".to_owned()), (Actor::Proxy, "dba".to_owned())]);
    // A user of the same group stays.
    let olga = world.gives("olga").await;
    world.cancels(olga).await;
    assert!(world.has_user("olga"));
}

async fn a_rejection_is_an_end_too_and_what_waits_for_approval_is_none() {
    let world = world(&["chief", "jane"]).await;
    let (first, second) = (world.gives("jane").await, world.gives("jane").await);
    let (access, chief) = (&world.remote_accesses, user("chief"));
    access.reject(first, &chief, &by("chief"), None).await.unwrap();
    assert!(world.has_user("jane"), "the second waits");
    // Who is limited approves nothing, whatever the settings say.
    let other = world.gives("olga").await;
    let told = access.approve(other, &user("jane"), &by("jane"), None).await.unwrap_err().to_string();
    assert!(told.starts_with("you do not approve remote accesses"), "{told}");
    access.reject(second, &chief, &by("chief"), None).await.unwrap();
    assert!(!world.has_user("jane"));
}

async fn who_is_made_again_by_the_name_of_one_who_went_stays_until_an_access_of_their_own_ends() {
    let world = world(&[]).await;
    let id = world.gives("jane").await;
    world.cancels(id).await;
    world.apply(RESOURCES).await;
    assert!(world.has_user("jane"));
    assert_eq!(world.access.remove_limited_users(moment()).await.unwrap(), Vec::new());
    assert!(world.has_user("jane"), "the access was over before");
    let id = world.gives("jane").await;
    world.cancels(id).await;
    assert!(!world.has_user("jane"));
}

/// The same where a session needs approval.
fn approved_by_chief() -> String {
    RESOURCES.replace("session = {}", "approvers = [\"chief\"]\nsession = { approval = { needed = 1 } }")
}

/// The same without `jane`.
fn without_jane(resources: &str) -> String {
    resources
        .replace("{ name = \"jane\", email = \"jane@example.com\" }, ", "")
        .replace("[\"olga\", \"jane\"]", "[\"olga\"]")
}

async fn what_stands_of_who_was_put_out_by_an_edit_ends_when_another_of_the_name_is_made() {
    let world = world(&[]).await;
    let resources = approved_by_chief();
    world.apply(&resources).await;
    let id = world.gives("jane").await;
    world.redeem("jane", &world.code(id).await).await.unwrap();
    let key = KEY.parse().unwrap();
    world.remote_accesses.enrol(id, &key, &by("jane")).await.unwrap();
    let unused = world.code(id).await;
    let approved = world.wants("jane").await;
    world.approves(approved).await;
    let (waits, other) = (world.wants("jane").await, world.wants("olga").await);
    world.apply(&without_jane(&resources)).await;
    assert!(!world.has_user("jane"));
    // Nobody has it.
    assert_eq!(world.remote_accesses.get(id).await.unwrap().state, RemoteAccessState::Granted);
    world.apply(&resources).await;
    assert!(world.has_user("jane"));
    let access = world.remote_accesses.get(id).await.unwrap();
    let RemoteAccessState::Cancelled { by: who, .. } = &access.state else { panic!("{access:?}") };
    assert_eq!((who.as_str(), access.keys.len(), access.before_user), ("the gate", 0, true));
    assert_eq!(world.access.enrolled(&user("jane"), &key), None);
    assert!(world.redeem("jane", &unused).await.is_err(), "the code was the other's");
    assert_eq!(world.became([approved, waits, other]).await, ["cancelled", "cancelled", "pending"]);
    assert_eq!(world.cancelled_requests().await, [approved, waits]);
    let told = world.records().await.into_iter().filter_map(|record| match record.event {
        Event::RemoteAccess { access, step: RemoteAccessStep::Cancelled, .. } => Some((access, record.actor)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(id, Actor::Proxy)]);
    // It does not take the new one along, and an edit of who is there ends nothing.
    assert_eq!(world.access.remove_limited_users(moment()).await.unwrap(), Vec::new());
    let (own, request) = (world.gives("jane").await, world.wants("jane").await);
    world.apply(&resources.replace("jane@example.com", "jane@example.org")).await;
    assert_eq!(world.remote_accesses.get(own).await.unwrap().state, RemoteAccessState::Granted);
    assert_eq!(world.became([request]).await, ["pending"]);
}

async fn the_requests_of_a_limited_user_end_when_they_go() {
    let world = world(&[]).await;
    world.apply(&approved_by_chief()).await;
    let id = world.gives("jane").await;
    let approved = world.wants("jane").await;
    world.approves(approved).await;
    let waits = world.wants("jane").await;
    let other = world.wants("olga").await;
    world.cancels(id).await;
    assert!(!world.has_user("jane"));
    assert_eq!(world.became([approved, waits, other]).await, ["cancelled", "cancelled", "pending"]);
    assert_eq!(world.cancelled_requests().await, [approved, waits]);
}

async fn a_gate_that_has_not_seen_a_limited_user_go_gives_them_nothing() {
    let world = world(&[]).await;
    let other = Access::load(world.store.clone(), world.audit.clone(), border()).await.unwrap();
    let (store, audit, vault) = (world.store.clone(), world.audit.clone(), world.vault.clone());
    let behind = RemoteAccesses::new(store, other, audit, vault, Settings::default());
    let id = world.gives("jane").await;
    world.cancels(id).await;
    let told = behind.create(&limited(Some("jane")), &by("boss")).await.unwrap_err().to_string();
    assert_eq!(told, "user `jane` is not in user group `field`; add them to it first");
}

async fn of_two_gates_that_see_the_last_access_run_out_one_takes_the_user_away() {
    let world = world(&[]).await;
    world.gives("jane").await;
    let other = Access::load(world.store.clone(), world.audit.clone(), border()).await.unwrap();
    assert_eq!(world.access.remove_limited_users(moment()).await.unwrap(), Vec::new());
    let later = moment() + jiff::SignedDuration::from_hours(3);
    let (one, two) =
        tokio::join!(world.access.remove_limited_users(later), other.remove_limited_users(later));
    assert_eq!([one.unwrap(), two.unwrap()].concat(), [user("jane")]);
    assert_eq!(world.went().await.len(), 1);
    let left = world.access.resources().await.unwrap();
    assert_eq!(left.limited_users().count(), 1);
    assert_eq!(other.remove_limited_users(later).await.unwrap(), Vec::new());
}

async fn who_is_limited_is_told_of_the_end_of_their_own_access_and_of_no_other() {
    let world = World::within(border(), RESOURCES).await;
    let tell = vec![user("jane")];
    let world = world.with_remote_accesses(Settings { tell, ..Settings::default() });
    let later = moment() + jiff::SignedDuration::from_hours(49);
    for (name, told) in [("olga", vec!["olga"]), ("jane", vec!["jane", "olga"])] {
        let long = NewRemoteAccess { duration: Length::hours(72), ..limited(Some(name)) };
        world.remote_accesses.create(&long, &by("boss")).await.unwrap();
        assert_eq!(world.remote_accesses.tell_of_ends(later).await.unwrap(), 1);
        let rows = world.store.notifications(&NotificationFilter::default()).await.unwrap();
        let ends = rows.iter().filter(|row| matches!(row.notice, Notice::EndsSoon { .. }));
        let mut whom: Vec<_> = ends.map(|row| row.recipient.to_string()).collect();
        whom.sort_unstable();
        assert_eq!(whom, told);
    }
}

async fn what_is_only_reported_of_others_is_refused_to_a_limited_user() {
    let border = Border { report_only: true, ..border() };
    let world = World::within(border, RESOURCES).await;
    let origin = OUTSIDE.parse().unwrap();
    let enters = |name: &str| {
        let login = Login::Certificate { principals: Vec::new(), until: None }.into();
        world.access.enter(&Proved { user: user(name), login, origin })
    };
    assert!(enters("olga").unwrap().is_some(), "it is told");
    let told = enters("jane").unwrap_err().to_string();
    assert!(told.contains("have no remote access"), "{told}");
}

on_both! {
    a_limited_user_is_given_limited_accesses_only_and_a_full_batch_leaves_them_out,
    a_code_lets_a_limited_user_in_from_outside_and_enrols_a_key_until_they_go,
    a_limited_user_stays_while_an_access_is_open_and_goes_with_the_last_out_of_access_groups_too,
    a_rejection_is_an_end_too_and_what_waits_for_approval_is_none,
    who_is_made_again_by_the_name_of_one_who_went_stays_until_an_access_of_their_own_ends,
    what_stands_of_who_was_put_out_by_an_edit_ends_when_another_of_the_name_is_made,
    the_requests_of_a_limited_user_end_when_they_go,
    a_gate_that_has_not_seen_a_limited_user_go_gives_them_nothing,
    of_two_gates_that_see_the_last_access_run_out_one_takes_the_user_away,
    who_is_limited_is_told_of_the_end_of_their_own_access_and_of_no_other,
    what_is_only_reported_of_others_is_refused_to_a_limited_user,
}
