use proptest::prelude::*;

use super::super::digest::sha256;
use super::super::{Asked, Observer as Any};
use super::*;

fn told(command: &str, pieces: &[(Side, &[u8])]) -> (Vec<Finding>, Vec<Finding>) {
    let asked = Asked::by(command.as_bytes()).unwrap();
    let (mut observer, mut during, mut after) = (Any::new(&asked), Vec::new(), Vec::new());
    pieces.iter().for_each(|(side, bytes)| observer.feed(*side, bytes, &mut during));
    observer.end(&mut after);
    let listed = |finding: &Finding| !matches!(finding, Finding::Aside(..));
    during.retain(listed);
    after.retain(listed);
    (during, after)
}

/// What is kept aside of what a side sent.
fn asides(command: &str, of: Side, pieces: &[(Side, &[u8])]) -> String {
    let (mut observer, mut found) = (Any::new(&Asked::by(command.as_bytes()).unwrap()), Vec::new());
    pieces.iter().for_each(|(side, bytes)| observer.feed(*side, bytes, &mut found));
    observer.end(&mut found);
    let kept = found.into_iter().filter_map(|finding| match finding {
        Finding::Aside(side, bytes) if side == of => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => None,
    });
    kept.collect()
}

#[test]
fn what_a_program_says_that_only_calls_itself_scp_is_kept_from_its_start() {
    let shell: [(Side, &[u8]); 4] =
        [(Client, b"\0"), (Device, b"uid=0"), (Device, b"(root)\n"), (Client, b"id")];
    assert_eq!(asides("scp -f x", Device, &shell), "uid=0(root)\n");
    assert_eq!(asides("scp -f x", Device, &shell[..2]), "uid=0", "the channel ends before it is decided");
    let early = [shell[0], shell[1], (Client, b"id\n")];
    assert_eq!(asides("scp -f x", Device, &early), "uid=0", "the client ends it");
    assert_eq!(asides("scp -t x", Device, &[(Device, b"\0hello"), (Device, b" you")]), "\0hello");
}

#[test]
fn what_passes_in_order_and_is_in_no_list_is_kept_aside() {
    let tree: [(Side, &[u8]); 6] = [
        (Client, b"\0"),
        (Device, b"T1 0 1 0\nD0755 0 uid=0(root)\n"),
        (Client, b"\0\0"),
        (Device, b"E\n\x01scp: of an error\n"),
        (Client, b"\0"),
        (Device, b"C0644 4 x\nbody\x01end of a file\n"),
    ];
    let kept = asides("scp -r -f x", Device, &tree);
    assert_eq!(kept, "uid=0(root)of an errorend of a file");
    assert_eq!(asides("scp -t x", Device, &[(Device, b"\x01scp: of an answer\n")]), "\u{1}scp: of an answer");
    for times in ["T1 0 1 0 id", "Tid", "T1 0 x 0", "T1 0 1", "T 0 1 0", "T111111111111111111111 0 1 0"] {
        let pieces: [(Side, &[u8]); 2] = [(Client, b"\0"), (Device, &[times.as_bytes(), b"\n"].concat())];
        let (listed, _) = told("scp -f x", &pieces);
        assert_eq!(listed, [Finding::Lost(Lost::Nonsense("device", "SCP"))], "{times}");
    }
}

fn finding(way: Way, path: &str, bytes: &[u8], outcome: Outcome, detail: Option<&str>) -> Finding {
    let sha256 = (outcome == Outcome::Done).then(|| sha256(bytes));
    let detail = detail.map(Note::new);
    Finding::Transfer(Transfer { way, path: path.into(), bytes: bytes.len() as u64, sha256, outcome, detail })
}

use Outcome::{Cut, Done, Failed, Unknown};
use Side::{Client, Device};
use Way::{Download, Upload};

#[test]
fn a_tree_that_is_sent_is_listed_file_by_file() {
    let pieces: [(Side, &[u8]); 16] = [
        (Device, b"\0"),
        (Client, b"D0755 0 tree\n"),
        (Device, b"\0"),
        (Client, b"T1 0 1 0\n"),
        (Device, b"\0"),
        (Client, b"C0644 3 one\n"),
        (Device, b"\0"),
        (Client, b"abc\0"),
        (Device, b"\0"),
        (Client, b"C0600 0 e f\n"),
        (Device, b"\0"),
        (Client, b"\0"),
        (Device, b"\0"),
        (Client, b"E\n"),
        (Device, b"\0"),
        (Client, b""),
    ];
    let listed = told("scp -r -p -d -t /tmp", &pieces);
    let files = vec![
        finding(Upload, "/tmp/tree/one", b"abc", Done, None),
        finding(Upload, "/tmp/tree/e f", b"", Done, None),
    ];
    assert_eq!(listed, (files, vec![]));
    let (listed, _) = told("scp -r -p -t /tmp/new", &pieces);
    let aside = Some("or in it as `tree`, if it is a directory");
    assert_eq!(listed[0], finding(Upload, "/tmp/new/one", b"abc", Done, aside));
}

#[test]
fn names_that_are_no_text_are_listed_each_as_itself() {
    let pieces: [(Side, &[u8]); 9] = [
        (Device, b"\0"),
        (Client, b"C0644 3 gr\xfcn\n"),
        (Device, b"\0"),
        (Client, b"abc\0"),
        (Device, b"\0"),
        (Client, b"C0644 3 gr\\xfcn\n"),
        (Device, b"\0"),
        (Client, b"abc\0"),
        (Device, b"\0"),
    ];
    let file = |shown: &str| {
        let Finding::Transfer(mut transfer) = finding(Upload, "", b"abc", Done, None) else { panic!() };
        transfer.path = CommandText::try_from(shown.to_owned()).unwrap();
        Finding::Transfer(transfer)
    };
    let (listed, _) = told("scp -t /tmp/", &pieces);
    assert_eq!(listed, [file("/tmp/gr\\xfcn"), file("/tmp/gr\\\\xfcn")]);
}

#[test]
fn what_is_fetched_is_listed_under_the_path_that_was_asked_for() {
    let pieces: [(Side, &[u8]); 4] =
        [(Client, b"\0\0"), (Device, b"C0644 3 motd\n"), (Device, b"abc\0"), (Client, b"\0")];
    for (command, path) in
        [("scp -f /etc/motd", "/etc/motd"), ("scp -f /etc/m*", "/etc/motd"), ("scp -f motd x", "motd")]
    {
        // The first answer is to the start, the second comes before the line it is for.
        let [start, line, data, end] = pieces;
        let pieces = [(Client, &start.1[..1]), line, (Client, &start.1[1..]), data, end];
        assert_eq!(told(command, &pieces).0, [finding(Download, path, b"abc", Done, None)], "{command}");
    }
    let (listed, _) = told("scp -f motd x", &pieces);
    assert_eq!(listed, [Finding::Lost(Lost::Nonsense("client", "SCP"))], "an answer to nothing");
}

#[test]
fn refusals_are_listed_with_their_reason_and_the_list_goes_on() {
    let pieces: [(Side, &[u8]); 8] = [
        (Device, b"\0"),
        (Client, b"C0644 3 a\n"),
        (Device, b"\x01scp: /root/a: Permission denied\n"),
        (Client, b"C0644 3 b\n"),
        (Device, b"\0"),
        (Client, b"abc\0"),
        (Device, b"\x01scp: /root/b: No space left on device\n"),
        (Client, b"\x01scp: c: No such file or directory\n"),
    ];
    let (listed, _) = told("scp -t /root/", &pieces);
    assert_eq!(
        listed,
        [
            finding(Upload, "/root/a", b"", Failed, Some("/root/a: Permission denied")),
            finding(Upload, "/root/b", b"abc", Failed, Some("/root/b: No space left on device")),
            finding(Upload, "/root/", b"", Failed, Some("c: No such file or directory")),
        ]
    );
}

#[test]
fn a_source_that_does_not_wait_is_followed_until_it_is_refused() {
    let sent: &[u8] = b"C0644 3 a\nabc\0C0644 2 b\nde\0";
    let (listed, _) = told("scp -t /tmp/", &[(Client, sent), (Device, b"\0\0\0\0\0")]);
    let files = [finding(Upload, "/tmp/a", b"abc", Done, None), finding(Upload, "/tmp/b", b"de", Done, None)];
    assert_eq!(listed, files);
    let (listed, _) = told("scp -t /tmp/", &[(Client, sent), (Device, b"\0\x01no\n")]);
    assert_eq!(
        listed,
        [
            finding(Upload, "/tmp/a", b"abc", Unknown, None),
            finding(Upload, "/tmp/b", b"de", Unknown, None),
            Finding::Lost(Lost::SentOn)
        ]
    );
}

#[test]
fn a_file_that_is_cut_off_is_listed_with_the_bytes_that_passed() {
    let pieces: [(Side, &[u8]); 4] =
        [(Device, b"\0"), (Client, b"C0644 9 a\n"), (Device, b"\0"), (Client, b"abc")];
    assert_eq!(told("scp -t /tmp/", &pieces).1, [finding(Upload, "/tmp/a", b"abc", Cut, None)]);
    let pieces = [&pieces[..], &[(Device, b"\x01scp: dropped connection\n")]].concat();
    let cut = finding(Upload, "/tmp/a", b"abc", Cut, Some("dropped connection"));
    assert_eq!(told("scp -t /tmp/", &pieces), (vec![], vec![cut]));
}

#[test]
fn what_is_no_scp_is_said_once() {
    let (listed, after) =
        told("scp -f x", &[(Client, b"\0"), (Device, b"hello\nC0644 1 a\n"), (Device, b"\n")]);
    assert_eq!((listed, after), (vec![Finding::Lost(Lost::Nonsense("device", "SCP"))], vec![]));
    let long = [b"C0644 1 ".as_slice(), &[b'x'; 5000]].concat();
    let (listed, _) = told("scp -t x", &[(Client, &long)]);
    assert_eq!(listed, [Finding::Lost(Lost::Nonsense("client", "SCP"))]);
    let deep = b"D0755 0 d\n".repeat(200);
    let (listed, _) = told("scp -rt x", &[(Client, &deep)]);
    assert_eq!(listed, [Finding::Lost(Lost::TooMuch("directories in one another"))]);
}

proptest! {
    #[test]
    fn however_a_conversation_is_cut_the_list_is_the_same(cuts in prop::collection::vec(1usize..9, 1..60)) {
        let whole: [(Side, &[u8]); 8] = [
            (Device, b"\0"),
            (Client, b"C0644 3 a\n"),
            (Device, b"\x01scp: no\n"),
            (Client, b"C0644 300 b\n"),
            (Device, b"\0"),
            (Client, &[b'x'; 300]),
            (Client, b"\x01scp: b: read error\n"),
            (Device, b"\0"),
        ];
        let mut cuts = cuts.into_iter().cycle();
        let mut pieces = Vec::new();
        for (side, bytes) in whole {
            let mut rest = bytes;
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                pieces.push((side, piece));
                rest = more;
            }
        }
        let listed = told("scp -t /tmp/", &whole);
        prop_assert_eq!(listed.0.len(), 2);
        prop_assert_eq!(told("scp -t /tmp/", &pieces), listed);
    }

    #[test]
    fn whatever_the_peers_send_the_observer_stays_sane(
        pieces in prop::collection::vec(
            (any::<bool>(), "[\\x00-\\x02CDET0-9a \\n]{0,20}|C0644 [0-9]{1,3} a\\n|D0755 0 d\\n|\\x00|(?s).{0,30}"),
            0..40,
        ),
        down in any::<bool>(),
    ) {
        let pieces: Vec<_> =
            pieces.iter().map(|(client, text)| (if *client { Client } else { Device }, text.as_bytes())).collect();
        let (during, after) = told(if down { "scp -f x y" } else { "scp -t x" }, &pieces);
        let lost = during.iter().chain(&after).filter(|finding| matches!(finding, Finding::Lost(_))).count();
        prop_assert!(lost <= 1);
    }
}
