//! What each role may: every operation, tried by everybody.

mod attempt;
mod scene;

use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::{Event, Record};
use tidegate_common::change::Draft;
use tidegate_common::id::{NotificationId, RemoteAccessId, RequestId, SessionId};
use tidegate_common::model::{Action, Claims, Kind, Limits, PanicScope, Scope, Wish};
use tidegate_common::notice::{Channel, NoticeKind};
use tidegate_common::policy::{MatrixFilter, digest_of_users};
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
use crate::testing::deep;
use attempt::attempt;
use scene::{OneLook, OneWord, Scene, Taken, approve, draft, remote, wanted};

/// Who tries. `operator` is the user whose things they are, `stranger` another without a role;
/// `approver` approves for `operator`; `root` is the local administrator; `gone` was an
/// administrator when the connection began, and is disabled.
const ROLES: [&str; 8] = ["operator", "stranger", "approver", "auditor", "admin", "monitor", "root", "gone"];

/// For each operation what comes of it: `yes`, `none` where it works and shows nothing, or the
/// number of the sentence that refuses it. After a colon is whose things are asked for, where
/// that makes a difference.
const CELLS: &str = include_str!("tests/cells.txt");

const SENTENCES: [(&str, &str); 26] = [
    ("1", "your account in Tidegate is disabled; ask an administrator"),
    ("2", "this needs an administrator"),
    ("3", "this needs an auditor or an administrator"),
    (
        "4",
        "the local administrator is no user, so has no access to ask for and no vote; log in with ssh for that",
    ),
    ("5", "access to ops@db01 is not given to you; `access list` shows what you may reach"),
    ("26", "viewing the password of ops@db01 is not given to you; `access list` shows what you may reach"),
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

/// The number of a sentence, or the sentence where it has none.
fn number(failure: &Failure, session: &str) -> String {
    let told = failure.to_string().replace(session, "SESSION");
    let known = SENTENCES.iter().find(|(_, sentence)| *sentence == told);
    known.map_or(told, |(number, _)| (*number).to_owned())
}

#[test]
fn each_operation_is_for_those_it_is_for_and_refuses_the_others_in_these_words() {
    deep(each_operation);
}

async fn each_operation() {
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
