//! What ran in a session, as it was asked, typed and seen.

use tidegate_common::audit::{CommandSource, CommandText, Event, Note};
use tidegate_common::name::DeviceName;
use tidegate_common::wire::{Exec, Witnessed};

use super::world::World;
use crate::witness::Witnesses;

#[tokio::test]
async fn a_sessions_commands_show_what_was_asked_beside_what_the_kernel_saw() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    let session = world.session().await;
    let (audit, store) = (&world.services.audit, &world.services.store);
    let command = CommandText::new("echo bHM= | base64 -d | sh");
    let asked = Event::CommandRun { session, channel: 1, source: CommandSource::Exec, command };
    audit.append(asked).await.unwrap();
    for line in ["rm -r '/srv/a b'", "cd /"] {
        let (source, command) = (CommandSource::Typed, CommandText::new(line));
        audit.append(Event::CommandRun { session, channel: 2, source, command }).await.unwrap();
    }
    let witnesses = Witnesses::new(world.services.recordings.clone(), store.clone());
    let exec = |words: &[&str], exit| Exec {
        at: jiff::Timestamp::now(),
        pid: 7,
        ppid: 6,
        uid: 0,
        exit,
        tty: Note::default(),
        exe: CommandText::new(words[0]),
        argv: words.iter().map(CommandText::new).collect(),
        cut: 0,
        cwd: CommandText::new("/"),
    };
    let ran = [&["sh"][..], &["rm", "-r", "/srv/a b"], &["mkfs", "/dev/x"]].map(|words| exec(words, 0));
    let execs = [&ran[..], &[exec(&["nosuch"], -2)]].concat();
    let said =
        Witnessed { number: 1, session, execs, lost: 3, remarks: vec![Note::new("too fast")], last: true };
    let other: DeviceName = "db02".parse().unwrap();
    let taken = witnesses.take(&other, said.clone(), |_| true).await.unwrap();
    assert!(taken.event.is_none() && taken.lost == 0, "{taken:?}");
    let none = world.says("auditor", &format!("session commands {session}")).await;
    assert!(!none.out.contains("mkfs") && none.out.contains("exec request"), "{}", none.out);
    let db01: DeviceName = "db01".parse().unwrap();
    let taken = witnesses.take(&db01, said.clone(), |_| true).await.unwrap();
    let event = taken.event;
    assert!(matches!(event, Some(Event::CommandsWitnessed { execs: 4, lost: 3, .. })), "{event:?}");
    let again = witnesses.take(&db01, said, |_| true).await.unwrap().lost;
    assert_eq!((taken.lost, again), (3, 0), "a loss that is told again is none");
    let unlogged = world.says("auditor", &format!("session commands {session}")).await;
    assert!(unlogged.err.contains("not yet in the audit log"), "{}", unlogged.err);
    audit.append(event.unwrap()).await.unwrap();
    let shown = world.says("auditor", &format!("session commands {session}")).await;
    assert_eq!(shown.status, 0, "{}", shown.err);
    let lines: Vec<Vec<&str>> =
        shown.out.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
    for (source, command, mark) in [
        ("exec request", "echo bHM= | base64 -d | sh", ""),
        ("typed", "rm -r '/srv/a b'", ""),
        ("typed", "cd /", "not seen"),
        ("witness", "sh", "runs its input"),
        ("witness", "rm -r '/srv/a b'", ""),
        ("witness", "mkfs /dev/x", "not named"),
    ] {
        let line = lines.iter().find(|line| line.contains(&source) && line.contains(&command));
        let last = line.and_then(|line| line.last()).copied();
        assert_eq!(last, Some(if mark.is_empty() { command } else { mark }), "{source}: {}", shown.out);
    }
    assert!(!shown.out.contains("nosuch"), "{}", shown.out);
    assert!(
        shown.err.contains("3 records of the witness were LOST") && shown.err.contains("too fast"),
        "{}",
        shown.err
    );
    assert!(world.says("auditor", &format!("session commands {session} --all")).await.out.contains("nosuch"));
    assert_eq!(world.says("operator", &format!("session commands {session}")).await.status, 1);
    let path = witnesses.path(session);
    let text = std::fs::read_to_string(&path).unwrap();
    let verified = world.says("auditor", &format!("session verify {session}")).await;
    assert!(verified.err.contains("could not be read"), "no recording was made: {}", verified.err);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, text.replace("/srv/a b", "/srv/c d")).unwrap();
    let altered = world.says("auditor", &format!("session commands {session}")).await;
    assert_eq!(altered.status, 1);
    assert!(altered.err.contains("ALTERED"), "{}", altered.err);
}

#[tokio::test]
async fn lines_beyond_those_that_are_told_are_counted() {
    let world = World::new().await;
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    let session = world.session().await;
    let run = |source, line: &str| {
        let command = CommandText::new(line);
        Event::CommandRun { session, channel: 1, source, command }
    };
    for number in 0..53 {
        let typed = run(CommandSource::Typed, &format!("line {number}"));
        world.services.audit.append(typed).await.unwrap();
    }
    let shown = world.says("auditor", &format!("session commands {session}")).await;
    assert!(shown.out.contains("line 49") && !shown.out.contains("line 50"), "{}", shown.out);
    assert!(shown.err.contains("3 MORE lines are in the audit log"), "{}", shown.err);
}
