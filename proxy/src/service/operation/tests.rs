//! What each role may: every operation, tried by everybody.

mod scene;

use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::{Event, Record};
use tidegate_common::change::Draft;
use tidegate_common::id::{NotificationId, RemoteAccessId, RequestId, SessionId};
use tidegate_common::model::{Action, Claims, Kind, Limits, PanicScope, Scope, Wish};
use tidegate_common::notice::{Channel, NoticeKind};
use tidegate_common::policy::{self, MatrixFilter};
use tidegate_common::time::Length;

use super::*;
use crate::agents::{GrantSeen, GrantState, What};
use crate::outside::NewRemoteAccess;
use crate::recordings::Recorder;
use crate::requests::Narrowed;
use crate::service::requests::Deed;
use crate::service::testing::{World, shown};
use crate::service::{
    Each, access, agents, audit, changes, commands, grants, group_reviews, live, notifications, overview,
    panics, passwords, recordings, remote_accesses, requests, resources, secrets, sessions,
};
use crate::session::{Keyboard, LiveSession};
use scene::{OneLook, OneWord, Scene, Taken, approve, draft, remote, wanted};

/// Who tries. `operator` is the user whose things they are, `stranger` another without a role;
/// `approver` approves for `operator`; `root` is the local administrator; `gone` was an
/// administrator when the connection began, and is disabled.
const ROLES: [&str; 8] = ["operator", "stranger", "approver", "auditor", "admin", "monitor", "root", "gone"];

/// For each operation what comes of it: `yes`, `none` where it works and shows nothing, or the
/// number of the sentence that refuses it. After a colon is whose things are asked for, where
/// that makes a difference.
const CELLS: &str = include_str!("tests/cells.txt");

const SENTENCES: [(&str, &str); 25] = [
    ("1", "your account in Tidegate is disabled; ask an administrator"),
    ("2", "this needs an administrator"),
    ("3", "this needs an auditor or an administrator"),
    (
        "4",
        "the local administrator is no user, so has no access to ask for and no vote; log in with ssh for that",
    ),
    ("5", "access to ops@db01 is not given to you; `access list` shows what you may reach"),
    ("6", "there is no request 1 that concerns you; `request list` shows those that do"),
    ("7", "request 1 takes no vote of yours: nobody approves their own request"),
    (
        "8",
        "request 1 takes no review of yours: nobody reviews their own emergency; an approver of the access \
         group does",
    ),
    ("9", "request 1 is not yours to cancel; `request revoke` takes it back"),
    ("10", "request 1 is your own; `request cancel` takes it back"),
    ("12", "there is no request 2 that concerns you; `request list` shows those that do"),
    ("13", "request 2 is not yours to extend; its requester asks for more time"),
    ("16", "only who entered with the code of a link enrols a key; `get user` shows the keys of others"),
    ("17", "remote access 1 is pending already"),
    ("14", "you do not approve remote accesses; the gate's settings name who does"),
    ("15", "there is no remote access 1 that concerns you; `remote-access list` shows those that do"),
    ("11", "there is no session `SESSION`; `session list` shows them"),
    ("18", "this needs a monitor"),
    (
        "19",
        "change `CHG-2` was not made:\n  access group `dba` does not name you; its users, its approvers and \
         administrators write changes for it",
    ),
    ("20", "there is no change `CHG-1` that concerns you; `change list` shows those that do"),
    ("21", "change `CHG-1` takes no approval of yours: nobody approves their own change"),
    ("23", "change `CHG-1` takes no approval of yours: only an approver of its access group does that"),
    (
        "24",
        "change `CHG-2` was not made:\n  access group `dba` names no approver but you, so nobody could approve it",
    ),
    (
        "25",
        "you own no access group `urgent` that asks for a review; `group-review list` shows those that concern you",
    ),
    ("22", "change `CHG-1` still waits for approval; `change cancel` takes it back"),
];

/// Whether anything is shown; of one deed done to several things, what became of the only one.
fn only<T>(each: Each<T>) -> Result<bool, Failure> {
    let Each { mut done, mut failed } = each;
    match (done.pop(), failed.pop()) {
        (Some(_), None) => Ok(true),
        (_, Some(failure)) => Err(failure),
        (None, None) => Ok(false),
    }
}

/// Tries an operation on `operator`'s things; says whether it shows or does anything.
async fn attempt(scene: &Scene, operation: Operation, whose: &str, actor: &Actor) -> Result<bool, Failure> {
    let (services, session) = (&*scene.world.services, scene.session.as_str());
    let operator = || "operator".parse().unwrap();
    let user = (whose == "of operator").then(operator);
    let one = remote_accesses::Which::Ids(vec![RemoteAccessId(1)]);
    let (ids, access, db01) = ([RequestId(1)], RemoteAccessId(1), "db01".parse().unwrap());
    let length: Length = "1h".parse().unwrap();
    let deal = async |deed: &Deed| requests::deal(services, actor, &ids, deed).await;
    let deal_remote = async |deed| remote_accesses::deal(services, actor, &one, &deed).await;
    let (change, ops) = ("CHG-1".parse().unwrap(), "ops@db01".parse().unwrap());
    match operation {
        Operation::Overview => overview::overview(services, actor).await.map(|_| true),
        Operation::AccessList => {
            access::list(services, actor, user.as_ref()).await.map(|reaches| !reaches.is_empty())
        }
        Operation::AccessExplain => {
            let (target, action) = ("ops@db01".parse().unwrap(), Action::Session);
            access::explain(services, actor, operator(), target, action, None, None).await.map(|_| true)
        }
        Operation::AccessMatrix => {
            access::matrix(services, actor, MatrixFilter::default()).await.map(|rows| !rows.is_empty())
        }
        Operation::GroupReviewList => {
            group_reviews::list(services, actor).await.map(|reviews| !reviews.is_empty())
        }
        Operation::GroupReviewShow => {
            group_reviews::show(services, actor, &"urgent".parse().unwrap()).await.map(|_| true)
        }
        Operation::GroupReviewConfirm => {
            let (group, snapshot) = ("urgent".parse().unwrap(), services.access.snapshot());
            let seen = policy::digest_of_users(snapshot.group(&group).unwrap());
            group_reviews::confirm(services, actor, &group, &seen).await.map(|_| true)
        }
        Operation::ResourcesApply => {
            let mut source = &b"[[user]]\nname = \"late\"\n"[..];
            let text = resources::Text { source: &mut source, called: None, dry_run: false };
            resources::apply(services, actor, text).await.map(|applied| !applied.resources.is_empty())
        }
        Operation::ResourcesList => {
            resources::list(services, actor, Kind::User).await.map(|all| !all.is_empty())
        }
        Operation::ResourcesGet => {
            resources::get(services, actor, Kind::User, "operator").await.map(|_| true)
        }
        Operation::ResourcesDelete => {
            let names = ["stranger".to_owned()];
            resources::delete(services, actor, Kind::User, &names).await.map(|gone| !gone.is_empty())
        }
        Operation::ResourcesExport => {
            resources::export(services, actor).await.map(|all| !all.users.is_empty())
        }
        Operation::RequestCreate => {
            let justified = Claims { justification: Some("x".parse().unwrap()), ..Claims::default() };
            let wanted = wanted(justified);
            let targets = vec!["ops@db01".parse().unwrap()];
            only(requests::create(services, actor, targets, &wanted).await?)
        }
        Operation::RequestList => {
            let filter = requests::Filter { user, limit: 10, ..requests::Filter::default() };
            requests::list(services, actor, &filter).await.map(|listed| !listed.requests.is_empty())
        }
        Operation::RequestShow => requests::show(services, actor, ids[0]).await.map(|_| true),
        Operation::RequestApprove => only(deal(&approve()).await?),
        Operation::RequestReject => only(deal(&Deed::Reject(None)).await?),
        Operation::RequestExtend => {
            let justified = Claims { justification: Some("x".parse().unwrap()), ..Claims::default() };
            only(requests::deal(services, actor, &[RequestId(2)], &Deed::Extend(length, justified)).await?)
        }
        Operation::RequestReview => only(deal(&Deed::Review(None)).await?),
        Operation::RequestCancel => only(deal(&Deed::Cancel).await?),
        Operation::RequestRevoke => only(deal(&Deed::Revoke(None)).await?),
        Operation::RemoteAccessPreview => {
            remote_accesses::preview(services, actor, &remote()).await.map(|made| !made.is_empty())
        }
        Operation::RemoteAccessRequest => {
            remote_accesses::create(services, actor, &remote()).await.map(|made| !made.is_empty())
        }
        Operation::RemoteAccessList => {
            let filter = remote_accesses::Filter { limit: 10, ..remote_accesses::Filter::default() };
            remote_accesses::list(services, actor, &filter).await.map(|listed| !listed.accesses.is_empty())
        }
        Operation::RemoteAccessShow => remote_accesses::show(services, actor, access).await.map(|_| true),
        Operation::RemoteAccessApprove => only(deal_remote(remote_accesses::Deed::Approve(None)).await?),
        Operation::RemoteAccessReject => only(deal_remote(remote_accesses::Deed::Reject(None)).await?),
        Operation::RemoteAccessCancel => only(deal_remote(remote_accesses::Deed::Cancel(None)).await?),
        Operation::RemoteAccessForward => {
            remote_accesses::forward(services, actor, access, Channel::Mail).await.map(|_| true)
        }
        Operation::RemoteAccessRevokeCode => {
            remote_accesses::revoke_code(services, actor, access).await.map(|_| true)
        }
        Operation::RemoteAccessEnrol => {
            let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
            remote_accesses::enrol(services, actor, &key.parse().unwrap()).await.map(|_| true)
        }
        Operation::ChangeCreate => {
            let draft = changes::Written::Draft(Box::new(draft("CHG-2")));
            changes::create(services, actor, draft).await.map(|_| true)
        }
        Operation::ChangeList => {
            let filter = changes::Filter { limit: 10, ..changes::Filter::default() };
            changes::list(services, actor, filter).await.map(|listed| !listed.changes.is_empty())
        }
        Operation::ChangeShow => changes::show(services, actor, &change).await.map(|_| true),
        Operation::ChangeApprove => only(changes::approve(services, actor, &[change], None).await?),
        Operation::ChangeReject => only(changes::reject(services, actor, &[change], None).await?),
        Operation::ChangeCancel => only(changes::cancel(services, actor, &[change], None).await?),
        Operation::ChangeClose => only(changes::close(services, actor, &[change], None).await?),
        Operation::ChangeReport => changes::report(services, actor, &change).await.map(|_| true),
        Operation::SessionList => {
            let filter = sessions::Filter { user, limit: 10, ..sessions::Filter::default() };
            sessions::list(services, actor, filter).await.map(|listed| !listed.is_empty())
        }
        Operation::SessionShow => sessions::show(services, actor, session).await.map(|_| true),
        Operation::SessionWatch => match live::watch(services, actor, session, &mut OneLook).await {
            Err(Failure::Stream(left)) if left.kind() == std::io::ErrorKind::BrokenPipe => Ok(true),
            other => other.map(|_| true),
        },
        Operation::SessionLock => {
            let _ = scene.live().set_keyboard(Keyboard::Free);
            live::lock(services, actor, session).await.map(|_| true)
        }
        Operation::SessionUnlock => {
            let _ = scene.live().set_keyboard(Keyboard::Locked("adam".into()));
            live::unlock(services, actor, session).await.map(|_| true)
        }
        Operation::SessionEnd => live::end(services, actor, session).await.map(|_| true),
        Operation::RecordingPlay => {
            let (mut out, speed) = (Vec::new(), recordings::Speed { times: 1000.0, longest_pause: length });
            recordings::play(services, actor, session, speed, &mut out).await.map(|_| !out.is_empty())
        }
        Operation::RecordingExport => {
            let (mut out, version) = (Vec::new(), recordings::Asciicast::V3);
            recordings::export(services, actor, session, version, &mut out).await.map(|_| !out.is_empty())
        }
        Operation::RecordingVerify => {
            recordings::verify(services, actor, session).await.map(|found| !found.is_bad())
        }
        Operation::CommandList => commands::list(services, actor, session, false).await.map(|_| true),
        Operation::GrantList => {
            let filter = grants::Filter { user, device: None };
            grants::list(services, actor, filter).await.map(|listed| !listed.is_empty())
        }
        Operation::NotificationList => {
            let filter = notifications::Filter { user, limit: 10, ..notifications::Filter::default() };
            notifications::list(services, actor, filter).await.map(|listed| !listed.is_empty())
        }
        Operation::NotificationRetry => {
            notifications::retry(services, actor, NotificationId(1)).await.map(|_| true)
        }
        Operation::NotificationTest => {
            let by = Some(Channel::Webhook);
            notifications::test(services, actor, &operator(), by).await.map(|_| true)
        }
        Operation::ChannelsShow => notifications::channels(services, actor, user).await.map(|_| true),
        Operation::ChannelsChoose => {
            notifications::choose(services, actor, NoticeKind::Test, Some(&[])).await.map(|_| true)
        }
        Operation::AgentToken => agents::token(services, actor, &db01, length).await.map(|_| true),
        Operation::AgentList => agents::list(services, actor).await.map(|listed| !listed.is_empty()),
        Operation::AgentRevoke => agents::revoke(services, actor, &db01).await.map(|_| true),
        Operation::SecretSet => {
            secrets::set(services, actor, &ops, &mut OneWord("hunter3")).await.map(|set| set.is_some())
        }
        Operation::SecretForget => secrets::forget(services, actor, &ops).await.map(|()| true),
        Operation::SecretList => secrets::list(services, actor).await.map(|all| !all.is_empty()),
        Operation::PasswordShow => {
            let (claims, mut viewer) = (Claims::default(), OneWord(""));
            passwords::show(services, actor, &ops, &claims, &mut viewer).await.map(|()| viewer.0 == "shown")
        }
        Operation::VaultRotate => {
            secrets::rotate(services, actor).await.map(|rotated| rotated.failed.is_empty())
        }
        Operation::VaultShow => secrets::master_keys(services, actor).await.map(|keys| keys.secrets > 0),
        Operation::PanicBegin => {
            let why = "a drill".parse().unwrap();
            panics::begin(services, actor, PanicScope::User(operator()), why).await.map(|_| true)
        }
        Operation::PanicLift => {
            panics::lift(services, actor, &PanicScope::Device("web01".parse().unwrap())).await.map(|()| true)
        }
        Operation::PanicList => panics::list(services, actor).await.map(|stands| !stands.is_empty()),
        Operation::AuditTail => {
            let mut taken = Taken::default();
            audit::tail(services, actor, 10, false, &mut taken).await.map(|()| taken.0 > 0)
        }
        Operation::AuditVerify => {
            let found = audit::verify(services, actor).await?;
            Ok(matches!(found, audit::Verified::Whole { .. }))
        }
    }
}

/// The number of a sentence, or the sentence where it has none.
fn number(failure: &Failure, session: &str) -> String {
    let told = failure.to_string().replace(session, "SESSION");
    let known = SENTENCES.iter().find(|(_, sentence)| *sentence == told);
    known.map_or(told, |(number, _)| (*number).to_owned())
}

#[tokio::test]
async fn each_operation_is_for_those_it_is_for_and_refuses_the_others_in_these_words() {
    let mut lines = CELLS.lines().filter(|line| !line.is_empty());
    let heading: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ROLES);
    let (mut rows, mut wrong, mut scene) = (Vec::new(), Vec::new(), None);
    for line in lines {
        let (what, cells) = line.split_at(28);
        let (word, whose) = what.trim().split_once(": ").unwrap_or((what.trim(), ""));
        let operation = Operation::ALL.iter().find(|operation| operation.word() == word);
        let operation = *operation.unwrap_or_else(|| panic!("`{word}` is no operation"));
        rows.push(operation);
        // An emergency is only there to be reviewed.
        let emergency = operation == Operation::RequestReview;
        // A recording is watched while it is written.
        let now = operation == Operation::SessionWatch;
        scene = scene.filter(|scene: &Scene| scene.emergency == emergency && scene.recorder.is_some() == now);
        for (role, expected) in ROLES.into_iter().zip(cells.split_whitespace()) {
            if scene.is_none() {
                scene = Some(Scene::new(emergency, now).await);
            }
            let here = scene.as_ref().unwrap();
            let actor = here.actor(role);
            let before = here.newest(1).await.last().unwrap().seq;
            let done = attempt(here, operation, whose, &actor).await;
            let found = match &done {
                Ok(true) => "yes".to_owned(),
                Ok(false) => "none".to_owned(),
                Err(failure) => number(failure, &here.session),
            };
            if found != expected {
                wrong.push(format!("{role}: {what}: {found}, not {expected}"));
            }
            let new = here.newest(100).await.into_iter().filter(|record| record.seq > before);
            let new: Vec<_> = new.filter(|record| record.actor == actor.by().actor).collect();
            let (logged, refused) = told(&new, operation);
            let enabled = role != "gone";
            if logged != (enabled && operation.log() == Log::Before) {
                wrong.push(format!("{role}: {what}: in the log before: {logged}"));
            }
            if refused != done.as_ref().err().filter(|why| why.is_refusal()).map(ToString::to_string) {
                wrong.push(format!("{role}: {what}: the log has the refusal as {refused:?}"));
            }
            if done.is_ok() && changes(operation) {
                scene = None;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for operation in Operation::ALL {
        assert!(rows.contains(operation), "`{}` has no row: what may each role?", operation.word());
    }
}

/// Whether it leaves the scene so that somebody else could not try it again.
fn changes(operation: Operation) -> bool {
    use Operation::{
        AgentRevoke, ChangeApprove, ChangeCancel, ChangeCreate, ChangeReject, NotificationRetry, PanicBegin,
        PanicLift, RemoteAccessApprove, RemoteAccessCancel, RemoteAccessReject, RequestApprove,
        RequestCancel, RequestCreate, RequestReject, RequestReview, RequestRevoke, ResourcesDelete,
        SecretForget,
    };
    let once = [
        AgentRevoke,
        ChangeApprove,
        ChangeCancel,
        ChangeCreate,
        ChangeReject,
        NotificationRetry,
        PanicBegin,
        PanicLift,
        RemoteAccessApprove,
        RemoteAccessCancel,
        RemoteAccessReject,
        RequestApprove,
        RequestCancel,
        RequestCreate,
        RequestReject,
        RequestReview,
        RequestRevoke,
        ResourcesDelete,
        SecretForget,
    ];
    once.contains(&operation)
}

/// Whether the records have the operation first of all, and how they have its refusal.
fn told(records: &[Record], operation: Operation) -> (bool, Option<String>) {
    let logged = records.first().is_some_and(|record| match &record.event {
        Event::ConsoleCommand { command } => command.as_str() == operation.word(),
        _ => false,
    });
    let refused = records.iter().find_map(|record| match &record.event {
        Event::ConsoleRefused { command, why } if command.as_str() == operation.word() => {
            Some(why.to_string())
        }
        _ => None,
    });
    (logged, refused)
}
