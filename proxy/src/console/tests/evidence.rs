//! A recording or a list that is not the session's, or not what was written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tidegate_common::audit::{Changed, Event, FileChange, Note, Outcome};
use tidegate_common::id::SessionId;
use tidegate_common::name::DeviceName;
use tidegate_common::recording::Kind;
use tidegate_common::wire::Witnessed;

use super::world::World;
use crate::recordings::{Open, Recordings, Settings};
use crate::service::testing::{DONE, shown};
use crate::witness::Witnesses;

/// A world with a session.
async fn begun() -> (World, SessionId) {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    let session = world.session().await;
    (world, session)
}

/// Other recordings, signed with the same key.
fn elsewhere(world: &World, name: &str) -> Recordings {
    let settings = Settings::testing(world.temporary.directory().join(name));
    Recordings::open(settings, world.services.recordings.key()).unwrap()
}

fn replace(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
}

/// What `verify` says is wrong, as `play` and `export` do; none shows another session's.
async fn wrong(world: &World, session: SessionId) -> String {
    let verified = world.says("root", &format!("session verify {session}")).await;
    assert_eq!(verified.status, 1, "{}", verified.out);
    for command in ["play", "export"] {
        let done = world.says("root", &format!("session {command} {session}")).await;
        assert_eq!(done.status, 1, "{command}: {}{}", done.out, done.err);
        assert!(done.err.contains("altered"), "{command}: {}", done.err);
        assert!(!done.out.contains("of another session"), "{command} shows it: {}", done.out);
    }
    verified.out
}

#[tokio::test]
async fn a_recording_that_is_anothers_cut_older_or_gone_is_altered_for_the_log_knows_better() {
    let (world, session) = begun().await;
    let path = world.sealed(session, "the right one").await;
    let whole = fs::read(&path).unwrap();
    let verified = world.says("root", &format!("session verify {session}")).await;
    assert!(verified.status == 0 && verified.out.contains("whole"), "{}", verified.out);
    let played = world.says("root", &format!("session play {session}")).await;
    assert!(played.out.contains("the right one"), "{}", played.out);

    // Cut off at its end: by itself it is only incomplete.
    replace(&path, &whole[..whole.len() - tidegate_common::recording::END_LENGTH]);
    assert!(wrong(&world, session).await.contains("altered after frame 3: its end was cut off"));
    let copy = world.says("root", &format!("session verify '{}'", path.display())).await;
    assert!(copy.status == 1 && copy.out.contains("altered after frame 3"), "{}", copy.out);
    // Another session's, whole and signed.
    let other = elsewhere(&world, "other");
    let recorder = shown(&other, SessionId::new(1_800_000_000_000, 8), "of another session").await;
    replace(&path, &fs::read(recorder.seal(DONE).await.unwrap().path).unwrap());
    assert!(wrong(&world, session).await.contains("altered after frame 1: it is the recording of another"));
    // One of the same session that says something else.
    let again = elsewhere(&world, "again");
    let recorder = shown(&again, session, "another one").await;
    replace(&path, &fs::read(recorder.seal(DONE).await.unwrap().path).unwrap());
    let said = wrong(&world, session).await;
    assert!(said.contains("another recording of the session is known to have been written"), "{said}");
    // None at all.
    fs::remove_file(&path).unwrap();
    assert!(wrong(&world, session).await.contains("altered after frame 0: its file is gone"));
    // Something that nobody ever writes to, or that is no file.
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(wrong(&world, session).await.contains("altered after frame 0: its file is gone"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(wrong(&world, session).await.contains("altered after frame 0: its file is gone"));
    fs::remove_dir(&path).unwrap();
    replace(&path, &whole);
    assert_eq!(world.says("root", &format!("session verify {session}")).await.status, 0);
}

#[tokio::test]
async fn a_live_recording_that_was_set_back_is_altered_and_one_that_was_not_is_only_incomplete() {
    let (world, session) = begun().await;
    let recorder = shown(&world.services.recordings, session, "first").await;
    let path = recorder.location().to_owned();
    let first = fs::read(&path).unwrap();
    let verify = async || world.says("root", &format!("session verify {session}")).await.out;
    assert!(verify().await.contains("incomplete"), "{}", verify().await);
    recorder.open(1, Open { kind: Kind::Exec, command: Some("ls"), term: None, size: None }).await.unwrap();
    recorder.rested().await;
    let second = fs::read(&path).unwrap();
    replace(&path, &first);
    assert!(verify().await.contains("altered after frame 2: its end was cut off"), "{}", verify().await);
    replace(&path, &second);
    assert!(verify().await.contains("incomplete"), "{}", verify().await);
    // Nobody is told that what is still written was cut off.
    let [verify, play, export] =
        ["verify", "play", "export"].map(|command| format!("session {command} {session}"));
    let (verified, played, exported) =
        tokio::join!(world.says("root", &verify), world.says("root", &play), world.says("root", &export));
    for said in [verified.out, played.err, exported.err] {
        assert!(said.contains("incomplete") && said.contains("not sealed yet: its session lives"), "{said}");
    }
}

#[tokio::test]
async fn whoever_asks_for_a_recording_while_it_is_being_sealed_gets_it_whole() {
    for command in ["verify", "play", "export"] {
        let (world, session) = begun().await;
        let recorder = shown(&world.services.recordings, session, "the last words").await;
        let line = format!("session {command} {session}");
        let sealing = async {
            // A disk that takes its time.
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.seal(session, recorder).await;
            world.all_left();
        };
        let (done, ()) = tokio::join!(world.says("root", &line), sealing);
        let said = format!("{}{}", done.out, done.err);
        assert!(done.status == 0 && said.contains(" is whole: "), "{line}: {said}");
        assert!(command == "verify" || said.contains("the last words"), "{line}: {said}");
    }
}

#[tokio::test]
async fn a_recording_is_whole_while_the_agent_has_not_told_the_last_of_what_ran() {
    let (world, session) = begun().await;
    world.sealed(session, "the right one").await;
    let witnesses = Witnesses::new(world.services.recordings.clone(), world.services.store.clone());
    let db01: DeviceName = "db01".parse().unwrap();
    let said = Witnessed { number: 1, session, execs: Vec::new(), lost: 1, remarks: Vec::new(), last: false };
    witnesses.take(&db01, said, |_| true).await.unwrap();
    let verified = world.says("root", &format!("session verify {session}")).await;
    let so_far = "incomplete so far: 0 commands, and the agent has not told the last of it yet";
    assert!(verified.out.contains(" is whole: ") && verified.out.contains(so_far), "{}", verified.out);
    assert_eq!(verified.status, 0, "{}", verified.out);
}

#[tokio::test]
async fn a_whole_recording_whose_kernel_nobody_listened_to_is_told_with_its_gap() {
    let (world, session) = begun().await;
    world.sealed(session, "the right one").await;
    let witnesses = Witnesses::new(world.services.recordings.clone(), world.services.store.clone());
    let db01: DeviceName = "db01".parse().unwrap();
    let remarks = vec![Note::new("nobody saw what ran")];
    let said = Witnessed { number: 1, session, execs: Vec::new(), lost: 0, remarks, last: true };
    let taken = witnesses.take(&db01, said, |_| true).await.unwrap();
    world.services.audit.append(taken.event.unwrap()).await.unwrap();
    let gap = "What the host's kernel told has GAPS, the agent says:\n  nobody saw what ran\n";
    for command in ["show", "verify"] {
        let told = world.says("root", &format!("session {command} {session}")).await;
        assert!(told.status == 0 && told.out.contains(gap), "{command}: {}", told.out);
    }
}

#[tokio::test]
async fn a_list_of_transfers_that_is_not_the_logs_shows() {
    let (world, session) = begun().await;
    world.sealed(session, "the right one").await;
    let removed = |path: &str| Event::FileChanged {
        session,
        channel: 0,
        changed: Changed {
            change: FileChange::Remove,
            path: path.into(),
            to: None,
            attributes: None,
            outcome: Outcome::Done,
            detail: None,
        },
    };
    let verify = async || world.says("root", &format!("session verify {session}")).await;
    let list = async |events: &[Event]| {
        world.services.store.transfers_add(session, jiff::Timestamp::now(), events).await.unwrap();
    };
    for path in ["a", "b"] {
        world.services.audit.append(removed(path)).await.unwrap();
    }
    list(&[removed("a")]).await;
    world
        .services
        .store
        .session_end(session, tidegate_common::audit::EndCause::User, jiff::Timestamp::now())
        .await
        .unwrap();
    let one_less = verify().await;
    assert!(
        one_less.out.contains("incomplete: 1 entries that the audit log has are missing"),
        "{}",
        one_less.out
    );
    assert_eq!(one_less.status, 1);
    list(&[removed("b")]).await;
    let same = verify().await;
    assert!(same.status == 0 && same.out.contains("whole: 2 entries"), "{}", same.out);
    list(&[removed("c")]).await;
    let other = verify().await;
    assert!(other.status == 1 && other.out.contains("altered: 1 entries"), "{}", other.out);
}
