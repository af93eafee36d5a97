//! Execs from records: those of one event are collected by its serial number until
//! the kernel says that it is complete.
//!
//! Bounds: [`MOST_OPEN`] events at once, [`MOST_ARGS`] arguments and
//! [`MOST_ARG_BYTES`] bytes of them for each. What is left out is counted. Events that
//! never become complete are given up after [`PATIENCE`] and told as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_common::audit::{CommandText, Note};
use tidegate_common::wire::{Exec, MOST_ARG_BYTES, MOST_ARGS};

use super::record::{self, Fields, NO_SESSION, Record, Value, field};

/// Events that may be incomplete at the same time.
const MOST_OPEN: usize = 1024;

/// How long the rest of an event may take, in microseconds.
const PATIENCE: u64 = 2_000_000;

/// The longest path the kernel knows, in bytes.
const MOST_PATH: usize = 4096;

/// Where execve(2) and execveat(2) are in the table of each architecture
/// (linux/audit.h, syscall(2)).
pub const EXEC_CALLS: [(u32, [u32; 2]); 5] = [
    (0xc000_003e, [59, 322]),
    (0x4000_0003, [11, 358]),
    (0xc000_00b7, [221, 281]),
    (0x4000_0028, [11, 387]),
    (0xc000_00f3, [221, 281]),
];

/// An exec, and which login it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The kernel's audit session.
    pub ses: u32,
    /// The user who logged in.
    pub auid: u32,
    pub exec: Exec,
    /// Whether records of it are missing.
    pub whole: bool,
}

/// Events on their way.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Assembler {
    open: BTreeMap<u64, Open>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Open {
    since: u64,
    seen: Seen,
    /// Arguments that the kernel announced, and how many are there.
    argc: usize,
    kept: Vec<Vec<u8>>,
    bytes: usize,
}

impl Assembler {
    /// Takes one message of the kernel; returns an exec when it is complete, or one
    /// that gave way to it.
    pub fn take(&mut self, kind: u16, payload: &[u8], now: u64) -> Option<Seen> {
        let record = record::parse(payload)?;
        match kind {
            record::SYSCALL => {
                let open = begin(&record, now)?;
                self.open.insert(record.serial, open);
                let over = self.open.len() > MOST_OPEN;
                return over.then(|| self.open.pop_first()).flatten().map(|(_, open)| open.finish(false));
            }
            record::END => return self.open.remove(&record.serial).map(|open| open.finish(true)),
            _ => {}
        }
        let open = self.open.get_mut(&record.serial)?;
        match kind {
            record::EXECVE => open.arguments(record.fields),
            record::CWD => {
                if let Some(cwd) = field(record.fields, b"cwd") {
                    open.seen.exec.cwd = CommandText::from_bytes(&cwd.untrusted(MOST_PATH));
                }
            }
            record::PATH => open.path(record.fields),
            _ => {}
        }
        None
    }

    /// Events that waited too long, as they are.
    pub fn give_up(&mut self, now: u64) -> Vec<Seen> {
        let late: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.since.saturating_add(PATIENCE) <= now)
            .map(|(serial, _)| *serial)
            .collect();
        late.iter().filter_map(|serial| self.open.remove(serial)).map(|open| open.finish(false)).collect()
    }

    /// Whether any event is incomplete.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}

/// An exec in a login; `None` for every other event.
fn begin(record: &Record<'_>, now: u64) -> Option<Open> {
    let (mut arch, mut call, mut exit) = (None, None, None);
    let (mut pid, mut ppid, mut uid, mut auid, mut ses) = (None, None, None, None, None);
    let (mut tty, mut exe) = (Note::default(), CommandText::default());
    for (key, value) in Fields(record.fields) {
        match key {
            b"arch" => arch = value.hex(),
            b"syscall" => call = value.number::<u32>(),
            b"exit" => exit = value.number::<i32>(),
            b"ppid" => ppid = value.number(),
            b"pid" => pid = value.number(),
            b"auid" => auid = value.number(),
            b"euid" => uid = value.number(),
            b"ses" => ses = value.number::<u32>().filter(|ses| *ses != NO_SESSION),
            b"tty" if value.raw() != b"(none)" => tty = Note::from_bytes(value.raw()),
            b"exe" => exe = CommandText::from_bytes(&value.untrusted(MOST_PATH)),
            _ => {}
        }
    }
    let (arch, call) = (arch?, call?);
    EXEC_CALLS.iter().find(|(of, calls)| *of == arch && calls.contains(&call))?;
    let exec = Exec {
        at: record.at,
        pid: pid?,
        ppid: ppid.unwrap_or_default(),
        uid: uid.unwrap_or_default(),
        exit: exit.unwrap_or_default(),
        tty,
        exe,
        argv: Vec::new(),
        cut: 0,
        cwd: CommandText::default(),
    };
    let seen = Seen { ses: ses?, auid: auid.unwrap_or(u32::MAX), exec, whole: true };
    Some(Open { since: now, seen, argc: 0, kept: Vec::new(), bytes: 0 })
}

impl Open {
    /// `argc=2 a0="sh" a1=…`; a long argument comes as `a1_len=9000 a1[0]=… a1[1]=…`,
    /// over several records.
    fn arguments(&mut self, fields: &[u8]) {
        for (key, value) in Fields(fields) {
            match key {
                b"argc" => self.argc = value.number().unwrap_or_default(),
                [b'a', rest @ ..] => {
                    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    let (index, more) = rest.split_at(digits);
                    let index: Option<usize> = std::str::from_utf8(index).ok().and_then(|it| it.parse().ok());
                    if let (Some(index), b"" | [b'[', ..]) = (index, more) {
                        self.argument(index, value);
                    }
                }
                _ => {}
            }
        }
    }

    fn argument(&mut self, index: usize, value: Value<'_>) {
        self.argc = self.argc.max(index.saturating_add(1));
        let room = MOST_ARG_BYTES.saturating_sub(self.bytes);
        if index >= MOST_ARGS || index > self.kept.len() || (room == 0 && value.length() > 0) {
            return;
        }
        let piece = value.untrusted(room);
        self.bytes += piece.len();
        match self.kept.get_mut(index) {
            Some(argument) => argument.extend(piece),
            None => self.kept.push(piece),
        }
        if value.length() > room
            && let Some(argument) = self.kept.get_mut(index)
        {
            argument.extend("…".as_bytes());
        }
    }

    /// The first path is the file that was asked for.
    fn path(&mut self, fields: &[u8]) {
        let first = field(fields, b"item").and_then(Value::number::<u32>) == Some(0);
        if first
            && self.seen.exec.exit < 0
            && let Some(name) = field(fields, b"name")
        {
            self.seen.exec.exe = CommandText::from_bytes(&name.untrusted(MOST_PATH));
        }
    }

    fn finish(self, whole: bool) -> Seen {
        let Self { mut seen, argc, kept, .. } = self;
        seen.exec.cut = u32::try_from(argc.saturating_sub(kept.len())).unwrap_or(u32::MAX);
        seen.exec.argv = kept.iter().map(|argument| CommandText::from_bytes(argument)).collect();
        seen.whole = whole;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As a kernel 6.18 sent it.
    const CAPTURED: &str = include_str!("fixtures/execs.txt");

    fn messages() -> Vec<(u16, &'static [u8])> {
        let line = |line: &'static str| {
            let (kind, payload) = line.split_once(' ')?;
            Some((kind.parse().ok()?, payload.as_bytes()))
        };
        CAPTURED.lines().filter_map(line).collect()
    }

    fn all(messages: &[(u16, &[u8])]) -> Vec<Seen> {
        let mut assembler = Assembler::default();
        let mut seen: Vec<Seen> =
            messages.iter().filter_map(|(kind, payload)| assembler.take(*kind, payload, 0)).collect();
        seen.extend(assembler.give_up(u64::MAX));
        seen
    }

    fn line(seen: &Seen) -> String {
        let argv: Vec<&str> = seen.exec.argv.iter().map(CommandText::as_str).collect();
        format!("{} {} [{}] {}", seen.exec.exit, seen.exec.exe, argv.join("|"), seen.exec.cwd)
    }

    #[test]
    fn what_a_kernel_sent_reads_as_the_commands_that_ran() {
        let seen = all(&messages());
        let lines: Vec<String> = seen.iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "0 /usr/bin/dash [/bin/sh|-c|/bin/echo 'a b' \"\" \"x\\ny\"; :] /tmp",
                "0 /usr/bin/echo [/bin/echo|a b||x\\ny] /tmp",
                "0 /usr/bin/env [/usr/bin/env|nosuch] /tmp",
                "-2 /usr/sbin/nosuch [] /tmp",
                "0 /usr/bin/dash [/bin/sh] /tmp",
            ]
        );
        assert!(seen.iter().all(|seen| seen.whole && seen.ses == 2 && seen.auid == 0));
        assert_eq!((seen[1].exec.pid, seen[1].exec.ppid), (29523, 29522));
    }

    #[test]
    fn events_that_come_mixed_are_told_apart_by_their_serial() {
        let mut mixed = messages();
        // Stable: the records of each event stay in their order.
        mixed.sort_by_key(|(kind, _)| (*kind == record::END, *kind != record::SYSCALL));
        let mut one = all(&messages());
        let mut other = all(&mixed);
        for seen in [&mut one, &mut other] {
            seen.sort_by_key(|seen| (seen.exec.at, seen.exec.pid, seen.exec.exe.to_string()));
        }
        assert_eq!(one, other);
    }

    #[test]
    fn a_long_argument_comes_in_pieces_and_over_the_bound_is_cut_and_counted() {
        let head = messages()[0];
        let pieces = [
            b"audit(1795478155.099:29): argc=70 a0=\"x\" a1_len=7 a1[0]=\"abc\"".to_vec(),
            b"audit(1795478155.099:29): a1[1]=6465 a1[2]=\"fg\"".to_vec(),
            format!("audit(1795478155.099:29): a2=\"{}\"", "y".repeat(10_000)).into_bytes(),
            b"audit(1795478155.099:29): a3=\"z\"".to_vec(),
        ];
        let mut sent = vec![head];
        sent.extend(pieces.iter().map(|piece| (record::EXECVE, piece.as_slice())));
        let seen = all(&sent);
        let argv = &seen[0].exec.argv;
        assert_eq!((argv[0].as_str(), argv[1].as_str()), ("x", "abcdefg"));
        assert!(argv[2].as_str().len() <= 4096 && argv[2].as_str().ends_with('…'));
        assert_eq!((argv.len(), seen[0].exec.cut), (3, 67));
        assert!(!seen[0].whole, "its end never came");
    }

    #[test]
    fn what_is_no_exec_or_in_no_login_is_left_out() {
        let (kind, payload) = messages()[0];
        let text = std::str::from_utf8(payload).unwrap();
        for (from, to) in [("syscall=59", "syscall=1"), ("ses=2 ", "ses=4294967295 ")] {
            assert_eq!(all(&[(kind, text.replace(from, to).as_bytes())]).len(), 0, "{to}");
        }
        assert_eq!(all(&[(kind, payload)]).len(), 1);
    }

    proptest! {
        #[test]
        fn noise_never_panics_and_never_piles_up(
            noise in proptest::collection::vec((1298u16..1325, proptest::collection::vec(any::<u8>(), 0..120)), 0..40)
        ) {
            let mut assembler = Assembler::default();
            for (kind, bytes) in &noise {
                let _ = assembler.take(*kind, bytes, 0);
                let _ = assembler.take(*kind, &[b"audit(1.000:1): ".as_slice(), bytes].concat(), 0);
            }
            assembler.give_up(u64::MAX);
            prop_assert!(assembler.is_idle());
        }

        #[test]
        fn a_record_that_is_cut_anywhere_does_no_harm(which in 0usize..40, cut in 0usize..400) {
            let mut sent = messages();
            let which = which % sent.len();
            let payload = sent[which].1;
            sent[which].1 = &payload[..cut.min(payload.len())];
            prop_assert!(all(&sent).len() <= 5);
        }

        #[test]
        fn never_more_than_the_bound_is_open(count in 1000u64..1100) {
            let payload = std::str::from_utf8(messages()[0].1).unwrap();
            let mut assembler = Assembler::default();
            let told = (0..count)
                .filter_map(|serial| {
                    assembler.take(record::SYSCALL, payload.replace(":29)", &format!(":{serial})")).as_bytes(), 0)
                })
                .count();
            prop_assert!(assembler.open.len() <= MOST_OPEN);
            prop_assert_eq!(told + assembler.open.len(), usize::try_from(count).unwrap());
        }
    }
}
