use std::path::Path;

use tidegate_common::audit::{Actor, CommandText, Event, Record, Verdict};
use tidegate_common::wire::Exec;

use super::*;
use crate::witness::check::{Checked, Logged, check};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-witness-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("2026/01/01/x.commands.jsonl")
    }

    fn key(&self) -> RecordingKey {
        RecordingKey::open(&self.0).unwrap()
    }

    fn open(&self) -> Ledger {
        Ledger::open(self.file()).unwrap()
    }

    /// Writes the file anew, whatever its mode.
    fn put(&self, text: &str) {
        fs::remove_file(self.file()).unwrap();
        fs::write(self.file(), text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// The numbers of the messages, and what the file is found to be.
    fn read(&self, logged: Option<Logged>) -> (Vec<u64>, Option<Checked>) {
        let mut numbers = Vec::new();
        let (key, session) = (self.key().public(), session());
        let checked = check(&self.file(), session, &key, logged, |said| numbers.push(said.number));
        (numbers, checked.unwrap())
    }

    fn told(&self, logged: Option<Logged>) -> (Verdict, String) {
        let checked = self.read(logged).1.unwrap();
        (checked.verdict, checked.told)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn session() -> SessionId {
    SessionId::new(1, 1)
}

fn said(number: u64, name: &str) -> Witnessed {
    let exec = Exec {
        at: jiff::Timestamp::UNIX_EPOCH,
        pid: 1,
        ppid: 1,
        uid: 0,
        exit: 0,
        tty: Note::default(),
        exe: CommandText::new(name),
        argv: vec![CommandText::new(name)],
        cut: 0,
        cwd: CommandText::new("/"),
    };
    Witnessed { number, session: session(), execs: vec![exec], lost: 1, remarks: Vec::new(), last: false }
}

fn last(number: u64, name: &str) -> Witnessed {
    Witnessed { last: true, ..said(number, name) }
}

/// As the audit log has the end of a file.
fn logged(ledger: &Ledger) -> Option<Logged> {
    let Account { execs, lost } = ledger.account();
    let target = "ops@db01".parse().unwrap();
    let event = Event::CommandsWitnessed { session: session(), target, execs, lost, link: ledger.link() };
    let (at, actor) = (jiff::Timestamp::UNIX_EPOCH, Actor::Proxy);
    Logged::find(session(), &[Record { seq: 1, at, actor, origin: None, event }])
}

/// A file of two messages, sealed, and its end in the log.
fn sealed(scratch: &Scratch) -> Option<Logged> {
    let key = scratch.key();
    let ledger = scratch.open().append(said(1, "rm"), &key).unwrap().append(last(2, "b"), &key).unwrap();
    logged(&ledger)
}

#[test]
fn of_a_flood_of_numbers_the_newest_are_remembered() {
    let mut numbers = BTreeSet::new();
    for number in 0..100_000 {
        remember(&mut numbers, number);
    }
    assert_eq!(numbers.len(), MOST_NUMBERS);
    assert!(numbers.contains(&99_999) && numbers.first() == Some(&(100_000 - 4096)));
}

#[test]
fn a_message_that_comes_again_is_kept_once_also_after_a_restart() {
    let scratch = Scratch::new("again");
    let key = scratch.key();
    let ledger = scratch.open().append(said(5, "a"), &key).unwrap();
    ledger.append(said(5, "a"), &key).unwrap().append(said(6, "b"), &key).unwrap();
    let ledger = scratch.open().append(said(6, "b"), &key).unwrap();
    assert_eq!(ledger.account(), Account { execs: 2, lost: 2 });
    let (numbers, checked) = scratch.read(None);
    assert_eq!((numbers, checked.unwrap().verdict), (vec![5, 6], Verdict::Incomplete));
}

#[test]
fn a_line_cut_short_is_dropped_and_what_follows_holds() {
    let scratch = Scratch::new("torn");
    scratch.open().append(said(1, "a"), &scratch.key()).unwrap();
    let whole = scratch.text();
    scratch.put(&format!("{whole}{}", &whole[..20]));
    let ledger = scratch.open().append(last(2, "b"), &scratch.key()).unwrap();
    assert_eq!(scratch.read(logged(&ledger)).0, [1, 2]);
    assert_eq!(scratch.told(logged(&ledger)).0, Verdict::Whole);
}

#[test]
fn a_sealed_file_is_whole_and_takes_nothing_more() {
    let scratch = Scratch::new("sealed");
    let end = sealed(&scratch);
    assert_eq!(scratch.told(end).1, "whole: 2 commands, 2 records lost on the way, signed");
    assert!(fs::metadata(scratch.file()).unwrap().permissions().readonly());
    let before = scratch.text();
    let again = scratch.open().append(last(2, "b"), &scratch.key()).unwrap();
    let later = again.append(said(3, "late"), &scratch.key()).unwrap();
    assert_eq!((scratch.text(), logged(&later)), (before, end));
}

#[test]
fn an_end_that_a_crash_kept_from_the_log_is_told_again_and_signed_once() {
    let scratch = Scratch::new("crash");
    let end = sealed(&scratch);
    // The last message was written, its end was not.
    let text = scratch.text();
    let cut = text.lines().take(2).map(|line| format!("{line}\n")).collect::<String>();
    scratch.put(&cut);
    let ledger = scratch.open().append(last(2, "b"), &scratch.key()).unwrap();
    assert_eq!((scratch.text(), logged(&ledger)), (text, end));
}

#[test]
fn a_file_is_incomplete_until_its_end_is_there_and_logged() {
    let scratch = Scratch::new("incomplete");
    assert_eq!(scratch.read(None).1, None, "nothing is known, nothing is missing");
    scratch.open().append(said(1, "a"), &scratch.key()).unwrap();
    let (verdict, told) = scratch.told(None);
    let so_far = "incomplete so far: 1 commands, and the agent has not told the last of it yet";
    assert!(verdict == Verdict::Incomplete && told.starts_with(so_far), "{told}");
    fs::remove_file(scratch.file()).unwrap();
    let end = sealed(&scratch);
    assert_eq!(scratch.told(None).1, "incomplete: signed, but not yet in the audit log");
    assert_eq!(scratch.told(end).0, Verdict::Whole);
}

#[test]
fn whatever_is_changed_taken_or_added_shows() {
    let scratch = Scratch::new("changed");
    let end = sealed(&scratch);
    let text = scratch.text();
    let lines: Vec<&str> = text.lines().collect();
    let signature = lines[2].rsplit_once("\"signature\":\"").unwrap().1;
    let other = signature.replacen(&signature[..1], if signature.starts_with('0') { "1" } else { "0" }, 1);
    for (changed, why) in [
        (text.replace("\"rm\"", "\"ls\""), "line 1 does not follow from those before it"),
        (format!("{}\n{}\n", lines[1], lines[2]), "line 1 does not follow from those before it"),
        (format!("{}\n{}\n", lines[0], lines[2]), "line 2 does not follow from those before it"),
        (format!("{}\n{}\n", lines[0], lines[1]), "the audit log knows its end, and it has none"),
        (format!("{text}{}\n", lines[1]), "line 4 stands after the end"),
        (format!("{}\n{{}}\n", lines[0]), "line 2 is none of the gate's"),
        (text.replace(signature, &other), "the signature of its end does not hold"),
        (text.replace("\"execs\":2", "\"execs\":3"), "the signature of its end does not hold"),
    ] {
        assert_ne!(changed, text, "{why}");
        scratch.put(&changed);
        assert_eq!(scratch.told(end), (Verdict::Altered, format!("altered: {why}")));
    }
    fs::remove_file(scratch.file()).unwrap();
    assert_eq!(scratch.told(end).0, Verdict::Altered, "a file that is gone");
    // A shorter story, signed by the same gate, is not the one that the log knows.
    scratch.open().append(last(1, "rm"), &scratch.key()).unwrap();
    assert_eq!(scratch.told(end).1, "altered: the audit log knows another end of it");
}

#[test]
fn the_signed_file_of_another_session_shows() {
    let scratch = Scratch::new("another");
    let key = scratch.key();
    let other = Witnessed { session: SessionId::new(2, 2), ..last(1, "ls") };
    let ledger = scratch.open().append(other, &key).unwrap();
    assert_eq!(scratch.told(logged(&ledger)).1, "altered: line 1 tells of another session");
    assert_eq!(scratch.read(logged(&ledger)).0.len(), 0, "and nothing of it, neither commands nor gaps");
}

#[test]
fn over_its_bound_a_file_only_counts() {
    let scratch = Scratch::new("bound");
    let (mut ledger, key) = (scratch.open(), scratch.key());
    ledger.bytes = MOST_BYTES + SLACK + 1;
    let ledger = ledger.append(said(1, "a"), &key).unwrap().append(last(2, "b"), &key).unwrap();
    assert_eq!(ledger.account(), Account { execs: 0, lost: 4 });
    assert!(Path::new(&scratch.file()).exists());
    assert_eq!(scratch.told(logged(&ledger)).1, "whole: 0 commands, 4 records lost on the way, signed");
}
