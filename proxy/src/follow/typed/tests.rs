use proptest::prelude::*;

use super::*;

/// Both sides of a terminal, in the order in which they pass: `Key` to the device, `See`
/// to the screen.
enum Step<'a> {
    Key(&'a str),
    See(&'a str),
    Full(&'a str),
}
use Step::{Full, Key, See};

fn found(steps: &[Step<'_>]) -> Vec<String> {
    let mut lines = Lines::new(80);
    let mut found = Vec::new();
    for step in steps {
        match step {
            Key(keys) => lines.typed(keys.as_bytes()),
            See(text) => found.extend(lines.shown(text.as_bytes(), false)),
            Full(text) => found.extend(lines.shown(text.as_bytes(), true)),
        }
    }
    found
}

/// Typed letter by letter, each echoed; then Enter and what it brings.
fn typed(prompt: &str, line: &str, after: &str) -> Vec<String> {
    let mut lines = Lines::new(80);
    let mut found = lines.shown(prompt.as_bytes(), false);
    for letter in line.chars() {
        lines.typed(letter.to_string().as_bytes());
        found.extend(lines.shown(letter.to_string().as_bytes(), false));
    }
    lines.typed(b"\r");
    found.extend(lines.shown(after.as_bytes(), false));
    found
}

#[test]
fn a_line_is_what_stands_behind_the_prompt_when_enter_is_answered() {
    for prompt in ["", "$ ", "\x1b[?2004h\x1b[01;32mops@db01\x1b[00m:~$ ", "motd\r\n\x1b]0;t\x07db> "] {
        assert_eq!(typed(prompt, "ls -l /tmp", "\r\nx  y\r\n$ "), ["ls -l /tmp"], "{prompt:?}");
    }
    assert_eq!(typed("$ ", "", "\r\n$ "), [""; 0], "an empty line is none");
    assert_eq!(typed("$ ", "grüße €", "\r\n"), ["grüße €"]);
}

#[test]
fn what_is_not_echoed_is_in_no_line() {
    let prompt = "[sudo] password for ops: ";
    assert_eq!(
        found(&[See(prompt), Key("tide"), Key("gate"), Key("\r"), See("\r\nuid=0(root)\r\n$ ")]),
        [""; 0]
    );
    // Its last letter is the prompt's, or it comes up later.
    assert_eq!(found(&[See("PIN: 4"), Key("4"), Key("\r"), See("\r\n4\r\n")]), [""; 0]);
    // Twin: the same with an echo.
    assert_eq!(found(&[See(prompt), Key("tide"), See("tide"), Key("\r"), See("\r\n")]), ["tide"]);
    // A star for each letter (sudo's pwfeedback), also when it was corrected with a key
    // that leaves only the screen to go by.
    for key in ["", "\x1b[D"] {
        assert_eq!(
            found(&[See(prompt), Key("tide"), See("****"), Key(key), Key("\r"), See("\r\n")]),
            [""; 0]
        );
    }
}

#[test]
fn a_line_that_was_edited_is_read_from_the_screen() {
    for (what, steps) in [
        ("backspace", vec![Key("lx"), See("lx"), Key("\x7f"), See("\x08 \x08"), Key("s"), See("s")]),
        ("history", vec![Key("\x1b[A"), See("make"), Key("\x1b[A"), See("\x08\x08\x08\x08ls\x1b[K")]),
        ("completion", vec![Key("l\t"), See("ls")]),
        ("insertion", vec![Key("s"), See("s"), Key("\x1b[D"), See("\x08"), Key("l"), See("ls\x08")]),
        ("insertion by the terminal", vec![Key("s\x1b[D"), See("s\x08"), Key("l"), See("\x1b[@l")]),
        ("deletion", vec![Key("las\x1b[D\x08"), See("las\x08\x1b[D\x1b[P")]),
        ("search", vec![Key("\x12"), See("\r(search)`': \x08"), Key("l"), See("\r\x1b[C\x1b[Cls\x1b[K")]),
        ("a paste", vec![Key("\x1b[200~ls\x1b[201~"), See("\x1b[7mls\x1b[27m")]),
        ("kill", vec![Key("rm"), See("rm"), Key("\x15"), See("\x08\x08\x1b[K"), Key("ls"), See("ls")]),
    ] {
        let steps = [vec![See("$ ")], steps, vec![Key("\r"), See("\r\n")]].into_iter().flatten();
        assert_eq!(found(&steps.collect::<Vec<_>>()), ["ls"], "{what}");
    }
}

#[test]
fn a_list_of_completions_or_a_cleared_screen_keeps_the_line() {
    let list = [See("$ "), Key("ls /t\t\t"), See("ls /t\x07\r\ntmp  tty\r\n$ ls /t"), Key("mp"), See("mp")];
    let clear = [See("$ "), Key("ls /t"), See("ls /t"), Key("\x0c"), See("\x1b[H\x1b[2J$ ls /t"), Key("mp")];
    let clear = clear.into_iter().chain([See("mp")]);
    for steps in [list.into_iter().collect::<Vec<_>>(), clear.collect()] {
        let steps: Vec<_> = steps.into_iter().chain([Key("\r"), See("\r\n")]).collect();
        assert_eq!(found(&steps), ["ls /tmp"]);
    }
}

#[test]
fn a_line_longer_than_the_screen_is_one_line() {
    let long: String = ('a'..='z').cycle().take(200).collect();
    assert_eq!(typed("$ ", &long, "\r\n"), [long.as_str()]);
    // Edited: up a row, one letter more, the rest drawn again, and down again.
    let keys = format!("{long}\x1b[A");
    let rows =
        found(&[See("$ "), Key(&keys), See(&long), Key("X"), See("\x1b[AX"), Key("\r"), See("\n\r\n")]);
    let at = 200 - 80;
    let expected = format!("{}X{}", &long[..at], &long[at + 1..]);
    assert_eq!(rows, [expected]);
}

#[test]
fn lines_typed_ahead_or_pasted_are_told_from_output() {
    // A shell that echoes each line only when it reads it.
    let paste = [See("$ "), Key("one\rtwo\r"), See("one\r\nout\r\n"), See("two: no\r\n$ two\r\nout\r\n$ ")];
    assert_eq!(found(&paste), ["one", "two"]);
    // A terminal that echoes at once, while a program runs.
    let ahead = [See("run\r\n"), Key("id\r"), See("id\r\n"), See("done\r\n$ id\r\nuid=0\r\n$ ")];
    assert_eq!(found(&ahead), ["id"]);
}

#[test]
fn each_line_of_a_bracketed_paste_is_one_whatever_is_done_to_the_last_before_enter() {
    let paste = |end: &'static str| {
        vec![
            See("$ "),
            Key("\x1b[200~echo one\recho two\recho three\x1b[201~"),
            See("\x1b[7mecho one\r\necho two\r\necho three\x1b[27m"),
            Key(end),
        ]
    };
    let enter = [Key("\r"), See("\x1b[A\x1b[A\r\x1b[C\x1b[Cecho one\r\necho two\r\necho three\r\n")];
    let plain: Vec<_> = paste("").into_iter().chain(enter).collect();
    assert_eq!(found(&plain), ["echo one", "echo two", "echo three"]);
    let more: Vec<_> = paste("!").into_iter().chain([See("!"), Key("\r"), See("\r\n")]).collect();
    assert_eq!(found(&more), ["echo one", "echo two", "echo three!"]);
    // bash draws all of it anew when a key moves the cursor.
    let anew = "\x1b[A\x1b[A\r$ echo one\r\necho two\r\necho three\x08";
    let edited = [See(anew), Key("X"), See("Xe\x08"), Key("\r"), See("\r\n")];
    let edited: Vec<_> = paste("\x1b[D").into_iter().chain(edited).collect();
    assert_eq!(found(&edited), ["echo one", "echo two", "echo threXe"]);
    // One that is edited before anything was echoed is not known, and no other is taken for it.
    let blind = [See("$ "), Key("one\rtwp\x1b[Do\r"), See("one\r\n$ one\r\n$ two\r\n")];
    assert_eq!(found(&blind), ["one"]);
}

#[test]
fn a_letter_that_is_cut_between_two_packets_is_whole() {
    let text = "grüße €😀";
    for cut in 1..text.len() {
        let (start, end) = text.as_bytes().split_at(cut);
        let mut lines = Lines::new(80);
        lines.shown(b"$ ", false);
        for piece in [start, end] {
            lines.typed(piece);
            lines.shown(piece, false);
        }
        lines.typed(b"\r");
        assert_eq!(lines.shown(b"\r\n", false), [text], "cut at {cut}");
        // Read from the screen alone, after a key that edits.
        let mut lines = Lines::new(80);
        lines.shown(b"$ ", false);
        lines.typed(b"\x1b[A");
        lines.shown(start, false);
        lines.shown(end, false);
        lines.typed(b"\r");
        assert_eq!(lines.shown(b"\r\n", false), [text], "cut at {cut}");
    }
}

#[test]
fn what_breaks_a_line_off_and_what_a_terminal_sends_by_itself_is_none() {
    assert_eq!(found(&[See("$ "), Key("rm"), See("rm"), Key("\x03"), See("^C\r\n$ ")]), [""; 0]);
    let answers = "\x1b[5;1R\x1b[?64;1c\x1b[I\x1b]11;rgb:0/0/0\x1b\\\x1bP1$r0m\x1b\\";
    assert_eq!(found(&[Key(answers), See("$ "), Key("ls"), See("ls"), Key("\r"), See("\r\n")]), ["ls"]);
}

#[test]
fn a_program_with_the_alternate_screen_has_no_lines() {
    let editor = [See("$ "), Key("vi\r"), See("vi\r\n"), Full("~"), Key("isecret\r"), Full("secret\r\n")];
    let after = [Key(":q\r"), Full(":q"), See("$ "), Key("id"), See("id"), Key("\r"), See("\r\n")];
    assert_eq!(found(&editor.into_iter().chain(after).collect::<Vec<_>>()), ["vi", "id"]);
}

#[test]
fn what_never_shows_is_given_up() {
    let mut lines = Lines::new(80);
    lines.typed(b"ghost\r");
    let flood = "x\r\n".repeat(PATIENCE);
    assert_eq!(lines.shown(flood.as_bytes(), false), [""; 0]);
    assert_eq!(lines.shown(b"$ ghost\r\n", false), [""; 0]);
    assert!(lines.keys.is_idle());
}

#[test]
fn bulk_leaves_the_last_row_and_the_prompt_after_it_counts() {
    for bulk in ["line\r\n".repeat(9000), "x".repeat(100_000), format!("{}\r", "x".repeat(100_000))] {
        let mut lines = Lines::new(80);
        lines.shown(bulk.as_bytes(), false);
        lines.shown(b"\r\n$ ", false);
        lines.typed(b"\x1b[A");
        lines.shown(b"ls", false);
        lines.typed(b"\r");
        assert_eq!(lines.shown(b"\r\n", false), ["ls"]);
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known =
        ["$ ", "ls", "\r\n", "\r", "\x08", "\x1b[K", "\x1b[99999C", "\x1b[A", "\x1b[9@", "\x1b]0;", "€"];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #[test]
    fn whatever_passes_memory_is_bounded_and_a_line_was_on_the_screen(
        steps in proptest::collection::vec((any::<bool>(), any::<bool>(), piece()), 0..60),
        columns in 0u32..200,
    ) {
        let mut lines = Lines::new(columns);
        for (screen, alternate, bytes) in &steps {
            if *screen {
                for line in lines.shown(bytes, *alternate && bytes.len() % 2 == 0) {
                    prop_assert!(!line.is_empty() && line.chars().count() <= row::MOST);
                }
            } else {
                lines.typed(bytes);
            }
            prop_assert!(lines.row.cells().letters().len() <= row::MOST);
        }
    }
}
