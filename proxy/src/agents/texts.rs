//! What agents say in words, made harmless where it comes in: on one line, bounded, without
//! what moves a cursor or hides. Nobody behind the link has to think of it again.
//!
//! Each message and each of its parts is taken apart by name here, so that one that is new
//! does not compile before somebody has looked at its words.

use tidegate_common::audit::Note;
use tidegate_common::grant::{Drift, Ended, Failure, Leftover, MOST_UNSEEN, Receipt, Standing};
use tidegate_common::residue::Residue;
use tidegate_common::wire::{Exec, FromAgent, Hello, MOST_ARGS, MOST_EXECS, Sight, Witnessed};

/// Sentences of one kind in one message, at most.
const MOST_SENTENCES: usize = 128;
/// Processes that one end tells of, at most.
const MOST_LEFTOVERS: usize = 4096;
/// Kinds of privileges, at most; there are five.
const MOST_KINDS: usize = 32;

/// A sentence.
type Sentence = Note<512>;
/// A program's name, or a version.
type Word = Note<64>;

fn text<const MOST: usize>(text: &str) -> String {
    Note::<MOST>::new(text).into()
}

fn sentences(mut all: Vec<String>) -> Vec<String> {
    all.truncate(MOST_SENTENCES);
    all.iter_mut().for_each(|one| *one = Sentence::new(&*one).into());
    all
}

/// The message with harmless words.
pub(super) fn harmless(message: FromAgent) -> FromAgent {
    match message {
        FromAgent::Hello(said) => FromAgent::Hello(hello(said)),
        FromAgent::Granted { session, receipt: Receipt { applied, micros } } => {
            FromAgent::Granted { session, receipt: Receipt { applied: sentences(applied), micros } }
        }
        FromAgent::Refused { session, failure } => {
            FromAgent::Refused { session, failure: self::failure(failure) }
        }
        FromAgent::NotExtended { session, until, why } => {
            FromAgent::NotExtended { session, until, why: why.anew() }
        }
        FromAgent::Ended { session, ended } => FromAgent::Ended { session, ended: self::ended(ended) },
        FromAgent::Standing { standing } => {
            FromAgent::Standing { standing: standing.into_iter().map(stands).collect() }
        }
        FromAgent::Residue { session, residue } => {
            let Residue { findings, more, unseen, millis } = residue;
            let residue = Residue { findings, more, unseen, millis }.bounded();
            FromAgent::Residue { session, residue }
        }
        FromAgent::Witnessed(said) => FromAgent::Witnessed(witnessed(said)),
        FromAgent::Planned { question, lines } => FromAgent::Planned { question, lines: sentences(lines) },
        FromAgent::Explained { question, lines } => {
            FromAgent::Explained { question, lines: sentences(lines) }
        }
        // A token's secret and a request for a certificate are compared and parsed, never shown.
        wordless @ (FromAgent::Enrol(_)
        | FromAgent::Later { .. }
        | FromAgent::Extended { .. }
        | FromAgent::Replaced
        | FromAgent::Renew { .. }
        | FromAgent::Alive) => wordless,
    }
}

fn hello(said: Hello) -> Hello {
    // Host keys are parsed, and shown by their fingerprints.
    let Hello {
        protocol,
        oldest,
        version,
        host_keys,
        mut kinds,
        live,
        standing,
        witness,
        bound,
        explains,
        remarks,
    } = said;
    kinds.truncate(MOST_KINDS);
    let witness = match witness {
        Sight::Sees => Sight::Sees,
        Sight::Blind { why } => Sight::Blind { why: why.anew() },
    };
    let version = Word::new(version).into();
    let standing = standing.into_iter().map(stands).collect();
    Hello { protocol, oldest, version, host_keys, kinds, live, standing, witness, bound, explains, remarks }
}

fn failure(failure: Failure) -> Failure {
    let Failure { kind, why } = failure;
    Failure { kind, why: text::<512>(&why) }
}

fn stands(standing: Standing) -> Standing {
    let Standing { session, account, kind, what, why } = standing;
    Standing { session, account, kind, what: what.anew(), why: why.anew() }
}

fn ended(ended: Ended) -> Ended {
    let Ended { mut standing, mut drift, mut leftovers, more, mut unseen, micros } = ended;
    let over = u64::try_from(leftovers.len().saturating_sub(MOST_LEFTOVERS)).unwrap_or(u64::MAX);
    unseen.truncate(MOST_UNSEEN);
    standing.truncate(MOST_SENTENCES);
    drift.truncate(MOST_SENTENCES);
    leftovers.truncate(MOST_LEFTOVERS);
    Ended {
        standing: standing.into_iter().map(failure).collect(),
        drift: drift.into_iter().map(drifted).collect(),
        leftovers: leftovers.into_iter().map(leftover).collect(),
        more: more.saturating_add(over),
        unseen: unseen.iter().map(|unseen| text::<512>(unseen)).collect(),
        micros,
    }
}

fn drifted(drift: Drift) -> Drift {
    let Drift { kind, found } = drift;
    Drift { kind, found: text::<512>(&found) }
}

fn leftover(process: Leftover) -> Leftover {
    let Leftover { pid, comm, command, killed } = process;
    Leftover { pid, comm: text::<64>(&comm), command: text::<512>(&command), killed }
}

fn witnessed(said: Witnessed) -> Witnessed {
    let Witnessed { number, session, mut execs, mut lost, mut remarks, last } = said;
    // What is over the bound is no message of ours, and is told like any other loss.
    let over = u64::try_from(execs.len().saturating_sub(MOST_EXECS)).unwrap_or(u64::MAX);
    lost = lost.saturating_add(over);
    execs.truncate(MOST_EXECS);
    remarks.truncate(MOST_SENTENCES);
    let remarks = remarks.iter().map(Note::anew).collect();
    Witnessed { number, session, execs: execs.into_iter().map(exec).collect(), lost, remarks, last }
}

fn exec(exec: Exec) -> Exec {
    let Exec { at, pid, ppid, uid, exit, tty, exe, mut argv, mut cut, cwd } = exec;
    let over = u32::try_from(argv.len().saturating_sub(MOST_ARGS)).unwrap_or(u32::MAX);
    cut = cut.saturating_add(over);
    argv.truncate(MOST_ARGS);
    let argv = argv.iter().map(Note::anew).collect();
    Exec { at, pid, ppid, uid, exit, tty: tty.anew(), exe: exe.anew(), argv, cut, cwd: cwd.anew() }
}

#[cfg(test)]
mod tests {
    use tidegate_common::grant::PrivilegeKind;
    use tidegate_common::id::SessionId;
    use tidegate_common::residue::{Change, Finding, FindingKind};
    use tidegate_common::unseen::is_unseen;

    use super::*;

    /// Every message that has words, each with the worst of them.
    fn worst() -> Vec<FromAgent> {
        let bad = || format!("{}\u{9b}2J\u{202e}\u{1b}[2J\nx", "é".repeat(100_000));
        let session = SessionId::new(1, 1);
        let kind = PrivilegeKind::Sudo;
        let failure = || Failure { kind, why: bad() };
        let leftover = Leftover { pid: 1, comm: bad(), command: bad(), killed: true };
        let finding = Finding { kind: FindingKind::Cron, change: Change::New, what: bad(), detail: bad() };
        let residue = Residue { findings: vec![finding], unseen: vec![bad()], ..Residue::default() };
        let ended = Ended {
            standing: vec![failure(); 1000],
            drift: vec![Drift { kind, found: bad() }],
            leftovers: vec![leftover],
            more: 0,
            unseen: vec![bad(); 1000],
            micros: 1,
        };
        let hello = Hello {
            protocol: 1,
            oldest: None,
            version: bad(),
            host_keys: Vec::new(),
            kinds: vec![kind; 1000],
            live: Vec::new(),
            standing: Vec::new(),
            witness: Sight::default(),
            bound: true,
            explains: true,
            remarks: true,
        };
        vec![
            FromAgent::Hello(hello),
            FromAgent::Granted { session, receipt: Receipt { applied: vec![bad(); 1000], micros: 1 } },
            FromAgent::Refused { session, failure: failure() },
            FromAgent::NotExtended {
                session,
                until: jiff::Timestamp::UNIX_EPOCH,
                why: serde_json::from_str("\"x\u{fe0f}\u{3164}\"").unwrap(),
            },
            FromAgent::Ended { session, ended },
            FromAgent::Residue { session, residue },
            FromAgent::Planned { question: 1, lines: vec![bad(); 1000] },
            FromAgent::Explained { question: 1, lines: vec![bad(); 1000] },
        ]
    }

    fn words<'a>(value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
        match value {
            serde_json::Value::String(text) => found.push(text),
            serde_json::Value::Array(all) => all.iter().for_each(|one| words(one, found)),
            serde_json::Value::Object(all) => all.values().for_each(|one| words(one, found)),
            _ => {}
        }
    }

    #[test]
    fn whatever_an_agent_says_is_short_and_moves_no_cursor() {
        for message in worst() {
            let kept = serde_json::to_value(harmless(message)).unwrap();
            let mut all = Vec::new();
            words(&kept, &mut all);
            assert!(!all.is_empty() && all.len() <= 300, "{}: {}", kept["type"], all.len());
            for word in all {
                assert!(word.len() <= 512 && !word.chars().any(is_unseen), "{}: {word:?}", kept["type"]);
            }
        }
    }

    #[test]
    fn what_an_honest_agent_says_stays_as_it_is_and_what_is_over_a_bound_counts_as_lost() {
        let exec = |argv: usize| Exec {
            at: jiff::Timestamp::UNIX_EPOCH,
            pid: 1,
            ppid: 1,
            uid: 0,
            exit: 0,
            tty: "pts0".into(),
            exe: "/usr/bin/größe".into(),
            argv: vec!["-l".into(); argv],
            cut: 0,
            cwd: "/".into(),
        };
        let said = |execs: Vec<Exec>| Witnessed {
            number: 1,
            session: SessionId::new(1, 1),
            execs,
            lost: 1,
            remarks: vec!["the kernel's backlog was full".into()],
            last: false,
        };
        let honest = said(vec![exec(3); MOST_EXECS]);
        assert_eq!(witnessed(honest.clone()), honest);
        let much = witnessed(said(vec![exec(MOST_ARGS + 2); MOST_EXECS + 5]));
        assert_eq!((much.execs.len(), much.lost), (MOST_EXECS, 6));
        assert_eq!((much.execs[0].argv.len(), much.execs[0].cut), (MOST_ARGS, 2));
    }
}
