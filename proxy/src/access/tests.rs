mod editors;
mod exceptional;
mod reviews;

use tidegate_common::audit;
use tidegate_common::model::{Kind, PanicScope};

use tidegate_common::policy::Login;

use super::*;
use crate::store::Revision;
use crate::store::testing::{Temporary, on_both};

const WORLD: &str = "[[user]]\nname = \"operator\"\n[[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n\
    [[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = { devices = [\"*\"] }\nsession = {}\n";

async fn access(temporary: &Temporary) -> Access {
    let store = temporary.store.clone();
    let audit = AuditLog::open(store.clone(), &temporary.directory().join("audit")).await.unwrap();
    Access::load(store, audit, Border::default()).await.unwrap()
}

/// Who has come with a certificate that names them.
pub(crate) fn proved(user: &str) -> Proved {
    let login = Login::Certificate { principals: vec![user.to_owned()], until: None };
    Proved { user: user.parse().unwrap(), login: login.into(), origin: std::net::Ipv4Addr::LOCALHOST.into() }
}

impl Access {
    /// Decides now, after the governance code that is claimed was checked.
    pub(crate) async fn decide(
        &self,
        proved: &Proved,
        target: &CredentialName,
        action: Action,
        origin: IpAddr,
        claims: &Claims,
    ) -> Result<Decision, AccessError> {
        let checked = self.checked(claims.governance.as_ref()).await;
        self.decide_checked(proved, target, action, origin, claims, &checked).await
    }
}

async fn permitted(access: &Access) -> bool {
    let target = "ops@db01".parse().unwrap();
    let origin = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let decision =
        access.decide(&proved("operator"), &target, Action::Session, origin, &Claims::default()).await;
    matches!(decision.unwrap(), Decision::Permitted(_))
}

fn told(written: &[(ResourceName, Written)]) -> Vec<String> {
    written.iter().map(|(name, did)| format!("{name} {did}")).collect()
}

async fn what_is_applied_counts_at_once_and_after_a_restart() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let mut changed = access.changed();
    assert!(!permitted(&access).await);
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    assert!(permitted(&access).await);
    let again = access.apply(WORLD, &By::proxy(), false).await.unwrap();
    assert!(told(&again).iter().all(|line| line.ends_with("unchanged")), "{again:?}");
    assert!(!changed.has_changed().unwrap(), "nothing changed, so nobody looks again");
    assert!(permitted(&super::tests::access(&temporary).await).await);
    assert_eq!(
        temporary.store.audit_last(temporary.store.own_gate()).await.unwrap().unwrap().seq,
        4,
        "one record for each resource"
    );
}

async fn a_dry_run_tells_and_changes_nothing() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let lines = told(&access.apply(WORLD, &By::proxy(), true).await.unwrap());
    assert_eq!(lines[2], "credential `ops@db01` created");
    assert_eq!(access.resources().await.unwrap(), Resources::default());
    assert_eq!(temporary.store.audit_last(temporary.store.own_gate()).await.unwrap(), None);
}

async fn a_text_with_a_mistake_changes_nothing() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let error = access.apply("[[user]]\nname = \"a\"\n[[user]]\nnmae = \"b\"\n", &By::proxy(), false).await;
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("nothing was applied:\nline 3, column"), "{error}");
    assert_eq!(access.resources().await.unwrap(), Resources::default());
}

async fn what_others_lean_on_is_not_deleted_before_them() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    let name = |kind, name: &str| ResourceName { kind, name: name.to_owned() };
    let (user, group) = (name(Kind::User, "operator"), name(Kind::AccessGroup, "dba"));
    let error = access.delete(std::slice::from_ref(&user), &By::proxy()).await.unwrap_err().to_string();
    assert!(
        error.contains("user `operator` is still in use") && error.contains("access group `dba`"),
        "{error}"
    );
    assert!(permitted(&access).await);
    access.delete(&[user, group.clone()], &By::proxy()).await.unwrap();
    assert!(!permitted(&access).await);
    assert!(matches!(access.delete(&[group], &By::proxy()).await, Err(AccessError::Unknown(_))));
}

async fn what_is_exported_applies_to_an_empty_store() {
    let (first, second) = (Temporary::new().await, Temporary::new().await);
    let (from, to) = (access(&first).await, access(&second).await);
    from.apply(include_str!("../../../config/resources.toml"), &By::proxy(), false).await.unwrap();
    to.apply(&from.resources().await.unwrap().to_toml().unwrap(), &By::proxy(), false).await.unwrap();
    assert_eq!(to.resources().await.unwrap(), from.resources().await.unwrap());
}

async fn nothing_changes_when_the_audit_log_cannot_be_written() {
    let temporary = Temporary::new().await;
    let dead = Temporary::new().await;
    let audit = AuditLog::open(dead.store.clone(), &dead.directory().join("audit")).await.unwrap();
    dead.store.clone().close().await.unwrap();
    let access = Access::load(temporary.store.clone(), audit, Border::default()).await.unwrap();
    assert!(matches!(access.apply(WORLD, &By::proxy(), false).await, Err(AccessError::Audit(_))));
    assert_eq!(access.resources().await.unwrap(), Resources::default());
    assert!(!permitted(&access).await);
}

async fn who_lost_the_role_or_the_log_in_while_their_text_was_on_its_way_changes_nothing() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let people = |roles: &str, more: &str| {
        format!(
            "[[user]]\nname = \"chief\"\nroles = [{roles}]\n{more}\n[[user]]\nname = \"second\"\nroles = [\"admin\"]\n"
        )
    };
    access.apply(&people("\"admin\"", ""), &By::proxy(), false).await.unwrap();
    let Proved { user, login, origin } = proved("chief");
    let chief = By { actor: audit::Actor::User(user), origin: Some(origin), login: Some(login) };
    let tries = async || {
        let text = "[[user]]\nname = \"late\"\n";
        let applied = access.apply(text, &chief, false).await.map(drop);
        let late = ResourceName { kind: Kind::User, name: "late".to_owned() };
        let deleted = access.delete(&[late], &chief).await;
        [applied, deleted].map(|done| done.map_err(|error| error.to_string()))
    };
    assert_eq!(tries().await, [Ok(()), Ok(())]);
    for (roles, more, why) in [
        ("", "", "nothing was changed: you are no administrator any more"),
        ("\"admin\"", "enabled = false", "nothing was changed: your account in Tidegate was disabled"),
        (
            "\"admin\"",
            "principals = [\"boss\"]",
            "nothing was changed: the certificate that you logged in with no longer names you",
        ),
    ] {
        access.apply(&people(roles, more), &By::proxy(), false).await.unwrap();
        assert_eq!(tries().await, [Err(why.to_owned()), Err(why.to_owned())]);
    }
    access.apply(&people("\"admin\"", ""), &By::proxy(), false).await.unwrap();
    assert_eq!(tries().await, [Ok(()), Ok(())]);
}

async fn a_store_of_before_in_which_two_users_have_a_key_opens_and_the_key_lets_neither_in() {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    let temporary = Temporary::new().await;
    let keyed = |user: &str| {
        let text = format!("[[user]]\nname = \"{user}\"\nkeys = [\"{KEY} of {user}\"]\n");
        Resources::read(&text).unwrap().users.into_iter().map(Box::new).map(Resource::User)
    };
    let both: Vec<_> = keyed("one").chain(keyed("two")).collect();
    let step = Store::resources_step(both.to_vec(), Vec::new(), Revision::default());
    temporary.store.audit_append_all(Vec::new(), Some(step)).await.unwrap();
    let access = access(&temporary).await;
    let by_key = |user: &str| Proved { login: Login::Key(KEY.parse().unwrap()).into(), ..proved(user) };
    for user in ["one", "two"] {
        let why = access.still_in(&by_key(user)).unwrap_err().to_string();
        assert!(why.contains("is another user's too"), "{why}");
    }
    // Another change goes through meanwhile, one of the two by that name does not.
    access.apply("[[device]]\nname = \"db01\"\n", &By::proxy(), false).await.unwrap();
    let two = format!("[[user]]\nname = \"two\"\nfull_name = \"Two\"\nkeys = [\"{KEY}\"]\n");
    let refused = access.apply(&two, &By::proxy(), false).await.unwrap_err().to_string();
    assert!(refused.contains("is user `one`'s already"), "{refused}");
    access.apply("[[user]]\nname = \"two\"\n", &By::proxy(), false).await.unwrap();
    assert_eq!(access.still_in(&by_key("one")), Ok(()));
    assert!(access.still_in(&by_key("two")).is_err());
}

async fn a_log_in_by_certificate_is_out_at_its_end_without_any_event() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    let until = Timestamp::now() + std::time::Duration::from_millis(300);
    let login = Login::Certificate { principals: vec!["operator".to_owned()], until: Some(until) };
    let short = Proved { login: login.into(), ..proved("operator") };
    let long = access.still_in(&proved("operator"));
    assert_eq!((access.still_in(&short), long), (Ok(()), Ok(())));
    let why = access.until_out(&short).await;
    assert!(Timestamp::now() >= until);
    assert_eq!(why.to_string(), "the certificate that you logged in with has expired");
    assert_eq!(access.still_in(&proved("operator")), Ok(()));
}

async fn a_panic_counts_at_once_and_after_a_restart_until_it_is_lifted() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    let (mut changed, scope) = (access.changed(), PanicScope::User("operator".parse().unwrap()));
    let begin = async |scope: &PanicScope| {
        let begun = access.begin_panic(scope.clone(), "a drill".parse().unwrap(), &By::proxy()).await;
        begun.map_err(|error| error.to_string())
    };
    changed.mark_unchanged();
    let panic = begin(&scope).await.unwrap();
    assert!(changed.has_changed().unwrap(), "whoever holds a permit looks again");
    assert!(!permitted(&access).await && access.still_in(&proved("operator")).is_err());
    // Resources that are written meanwhile do not lift it.
    access.apply("[[user]]\nname = \"late\"\n", &By::proxy(), false).await.unwrap();
    assert!(!permitted(&access).await);
    let again = begin(&scope).await.unwrap_err();
    assert!(again.starts_with("access of user `operator` is stopped already, by proxy since 20"), "{again}");
    let unknown = begin(&PanicScope::Device("db99".parse().unwrap())).await.unwrap_err();
    assert_eq!(
        unknown,
        "nothing was stopped: access to device `db99` cannot be, since there is none of that name"
    );
    let restarted = super::tests::access(&temporary).await;
    assert!(!permitted(&restarted).await);
    assert_eq!(restarted.snapshot().rulings().panics, [panic]);
    access.lift_panic(&scope, &By::proxy()).await.unwrap();
    assert!(permitted(&access).await);
    assert!(!permitted(&restarted).await, "it has not looked yet");
    restarted.refresh_rulings().await.unwrap();
    assert!(permitted(&restarted).await);
    let none = access.lift_panic(&scope, &By::proxy()).await.unwrap_err().to_string();
    assert_eq!(none, "access of user `operator` is not stopped; `panic list` shows what is");
    let log = temporary.store.audit_last(temporary.store.own_gate()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(log.body.as_ref()).contains("panic-lifted"));
}

async fn a_panic_that_cannot_be_read_is_neither_begun_again_nor_lifted() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    access.apply(WORLD, &By::proxy(), false).await.unwrap();
    let (known, other) =
        (PanicScope::User("operator".parse().unwrap()), PanicScope::Device("db01".parse().unwrap()));
    let begin = async |scope: &PanicScope| {
        let begun = access.begin_panic(scope.clone(), "a drill".parse().unwrap(), &By::proxy()).await;
        begun.map(drop).map_err(|error| error.to_string())
    };
    let lift = async |scope: &PanicScope| {
        access.lift_panic(scope, &By::proxy()).await.map_err(|error| error.to_string())
    };
    begin(&known).await.unwrap();
    // Of what was known before it was written anew, and of what never was.
    for scope in [known.clone(), PanicScope::All] {
        temporary.store.panic_unread(&scope).await;
        for done in [begin(&scope).await, lift(&scope).await] {
            let why = done.unwrap_err();
            assert!(why.starts_with("the store holds panic {") && why.ends_with("upgrade this one"), "{why}");
        }
    }
    // Its twin: one beside them that can be read.
    begin(&other).await.unwrap();
    lift(&other).await.unwrap();
    assert!(access.snapshot().rulings().is_stopped(&known), "what was known of it stands");
    assert_eq!(temporary.store.rulings().await.unwrap().panics.len(), 2);
}

async fn of_two_sessions_that_begin_at_once_where_one_may_one_does() {
    let temporary = Temporary::new().await;
    let access = access(&temporary).await;
    let bounded =
        WORLD.replace("session = {}", "session = {}\nconditions = { sessions_at_once = { per_user = 1 } }");
    access.apply(&bounded, &By::proxy(), false).await.unwrap();
    let (who, target, claims) = (proved("operator"), "ops@db01".parse().unwrap(), Claims::default());
    let origin = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let decide = || access.decide(&who, &target, Action::Session, origin, &claims);
    let permit = async || match decide().await.unwrap() {
        Decision::Permitted(permit) => permit,
        other => panic!("{other:?}"),
    };
    let (one, two) = (permit().await, permit().await);
    let begin = async |number: u64, permit: &Permit| {
        let id = tidegate_common::id::SessionId::new(number, 7);
        temporary
            .store
            .session_begin(id, permit, origin, Timestamp::now())
            .await
            .map_err(|error| error.to_string())
    };
    let (first, second) = tokio::join!(begin(1, &one), begin(2, &two));
    let refused = first.err().into_iter().chain(second.err()).collect::<Vec<_>>();
    let [refused] = &refused[..] else { panic!("{refused:?}") };
    assert!(
        refused.starts_with("access group `dba` allows you 1 session at once, and you have 1: ops@db01"),
        "{refused}"
    );
    let Decision::Refused(refusal) = decide().await.unwrap() else { panic!("it is full") };
    assert_eq!(&refusal.to_string(), refused);
    let explained =
        access.explain(&who.user, &target, Action::Session, None, Timestamp::now()).await.unwrap();
    assert_eq!(&explained.steps.last().unwrap().said, refused);
    // A request may be made ahead, and a session that lives goes on.
    assert!(access.still_permits(&one).await.is_ok());
}

on_both! {
    a_panic_that_cannot_be_read_is_neither_begun_again_nor_lifted,
    of_two_sessions_that_begin_at_once_where_one_may_one_does,
    a_panic_counts_at_once_and_after_a_restart_until_it_is_lifted,
    what_is_applied_counts_at_once_and_after_a_restart,
    a_dry_run_tells_and_changes_nothing,
    a_text_with_a_mistake_changes_nothing,
    what_others_lean_on_is_not_deleted_before_them,
    what_is_exported_applies_to_an_empty_store,
    nothing_changes_when_the_audit_log_cannot_be_written,
    who_lost_the_role_or_the_log_in_while_their_text_was_on_its_way_changes_nothing,
    a_store_of_before_in_which_two_users_have_a_key_opens_and_the_key_lets_neither_in,
    a_log_in_by_certificate_is_out_at_its_end_without_any_event,
}
