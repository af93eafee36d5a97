mod talk;

use proptest::prelude::*;
use tidegate_common::audit::{Changed, Transfer, Way};

use super::super::digest::sha256;
use super::*;
use crate::follow::transfers::sftp::packet::{CREATE, TRUNCATE, WRITE};
use talk::Field::{Long, Number, Text};
use talk::{Talk, asides, holds, packet, told};

/// `SSH_FXF_READ`
const READ: u32 = 1;

#[test]
fn what_a_server_says_beside_files_is_kept_aside_wherever_it_says_it() {
    let mut talk = Talk::new();
    talk.client(17, &[Number(1), Text(b".")]);
    let asked = |talk: &Talk| asides(talk.0.iter().map(|(side, bytes)| (*side, bytes.as_slice())));
    let plain = talk.clone().device(101, &[Number(1), Number(2), Text(b"No such file"), Text(b"")]).clone();
    assert!(!holds(&asked(&plain), b"No such file"));
    // The texts of a status, its language, and what stands behind them.
    for reply in [
        [Number(1), Number(2), Text(b"uid=0(root)"), Text(b"")],
        [Number(1), Number(2), Text(b"Failure"), Text(b"uid=0(root)")],
        [Number(1), Number(2), Text(b""), Text(b"uid=0(root)")],
    ] {
        assert!(holds(&asked(talk.clone().device(101, &reply)), b"uid=0(root)"));
    }
    let behind = [Number(1), Number(2), Text(b"Failure"), Text(b""), Text(b"uid=0(root)")];
    assert!(holds(&asked(talk.clone().device(101, &behind)), b"uid=0(root)"));
    // A version, a name, a handle, an extended reply, also one that is long.
    let mut talk = Talk::default();
    talk.client(1, &[Number(3)]).device(2, &[Number(3), Text(b"x"), Text(b"of the version")]);
    talk.client(16, &[Number(2), Text(b".")]).device(104, &[Number(2), Number(1), Text(b"of a name")]);
    talk.client(11, &[Number(3), Text(b"/")]).device(102, &[Number(3), Text(b"of a handle")]);
    talk.client(200, &[Number(4), Text(b"limits@openssh.com")]);
    let long = [&vec![b'y'; 100_000][..], b"of the extension"].concat();
    talk.device(201, &[Number(4), Text(&long)]);
    let kept = asked(&talk);
    for part in [&b"of the version"[..], b"of a name", b"of a handle", b"of the extension"] {
        assert!(holds(&kept, part), "{}", String::from_utf8_lossy(part));
    }
    assert!(matches!(talk.told().0.as_slice(), []), "it is followed all the same");
}

#[test]
fn of_files_nothing_is_kept_aside() {
    let mut talk = Talk::new();
    talk.open(1, b"x", READ, b"h").read(2, b"h", 0).data(2, b"the content").status(3, 1);
    assert!(!holds(&asides(talk.0.iter().map(|(side, bytes)| (*side, bytes.as_slice()))), b"content"));
}

#[test]
fn an_extension_that_openssh_does_not_have_ends_the_list_and_all_from_there_on_is_kept() {
    let mut talk = Talk::new();
    talk.client(200, &[Number(1), Text(b"shell@example.org"), Text(b"id")]);
    assert_eq!(talk.told(), (vec![Finding::Lost(Lost::Extension)], vec![]));
    let mut talk = Talk::new();
    talk.client(3, &[Number(1), Text(&[b'x'; 4097]), Number(READ), Number(0)]);
    assert_eq!(talk.told(), (vec![Finding::Lost(Lost::Nonsense("client", "SFTP"))], vec![]));
}

#[test]
fn what_was_not_decided_is_kept_from_its_start_when_the_list_ends_or_the_channel() {
    let mut talk = Talk::new();
    let sent = packet(101, &[Number(7), Number(0), Text(b""), Text(b"")]);
    for byte in &sent {
        talk.0.push((Side::Device, vec![*byte]));
    }
    let pieces = |talk: &Talk| talk.0.clone();
    let version = packet(2, &[Number(3)]);
    let kept =
        |talk: Vec<(Side, Vec<u8>)>| asides(talk.iter().map(|(side, bytes)| (*side, bytes.as_slice())));
    assert_eq!(kept(pieces(&talk)), [&version[4..], &sent].concat(), "an answer to nothing");
    // The other side ends it, or the channel does.
    talk.0.pop();
    assert_eq!(kept(pieces(&talk)), [&version[4..], &sent[..sent.len() - 1]].concat());
    talk.0.push((Side::Client, b"\xff\xff\xff\xff".to_vec()));
    assert_eq!(kept(pieces(&talk)), [&version[4..], &sent[..sent.len() - 1]].concat());
}

fn transfer(way: Way, path: &str, bytes: &[u8]) -> Finding {
    Finding::Transfer(Transfer {
        way,
        path: path.into(),
        bytes: bytes.len() as u64,
        sha256: Some(sha256(bytes)),
        outcome: Outcome::Done,
        detail: None,
    })
}

fn without_digest(way: Way, path: &str, bytes: u64, outcome: Outcome, detail: Option<&str>) -> Finding {
    Finding::Transfer(Transfer {
        way,
        path: path.into(),
        bytes,
        sha256: None,
        outcome,
        detail: detail.map(Note::new),
    })
}

const PUT: u32 = WRITE | CREATE | TRUNCATE;
const PART: &str = "only a part of the file went through, so its digest is not known";

#[test]
fn overlapping_reads_answered_in_any_order_have_the_digest_of_the_file() {
    let mut talk = Talk::new();
    talk.open(1, b"/etc/motd", READ, b"h");
    talk.read(2, b"h", 0).read(3, b"h", 3).read(4, b"h", 6).read(5, b"h", 9);
    talk.data(4, b"ghi").status(5, 1).data(2, b"abc").data(3, b"def").close(6, b"h");
    assert_eq!(talk.told(), (vec![transfer(Way::Download, "/etc/motd", b"abcdefghi")], vec![]));
}

#[test]
fn a_download_that_stops_before_the_end_has_no_digest_unless_its_length_is_known() {
    let mut talk = Talk::new();
    talk.open(1, b"x", READ, b"h").read(2, b"h", 0).data(2, b"abc");
    let mut known = talk.clone();
    talk.close(3, b"h");
    assert_eq!(talk.told().0, [without_digest(Way::Download, "x", 3, Outcome::Done, Some(PART))]);
    known.client(8, &[Number(3), Text(b"h")]).device(105, &[Number(3), Number(1), Long(3)]).close(4, b"h");
    assert_eq!(known.told().0, [transfer(Way::Download, "x", b"abc")]);
}

#[test]
fn an_upload_is_listed_when_it_is_closed() {
    let mut talk = Talk::new();
    talk.open(1, b"/tmp/a", PUT, b"h").write(2, b"h", 0, b"abc").write(3, b"h", 3, b"de");
    talk.status(2, 0).status(3, 0);
    assert_eq!(talk.told().0, []);
    talk.close(4, b"h");
    assert_eq!(talk.told(), (vec![transfer(Way::Upload, "/tmp/a", b"abcde")], vec![]));
}

#[test]
fn an_empty_upload_is_listed_and_an_unused_file_is_not() {
    let mut talk = Talk::new();
    talk.open(1, b"/tmp/empty", PUT, b"h").close(2, b"h").open(3, b"/tmp/unused", READ, b"h").close(4, b"h");
    assert_eq!(talk.told().0, [transfer(Way::Upload, "/tmp/empty", b"")]);
}

#[test]
fn a_file_overwritten_in_place_has_a_digest_when_it_is_cut_to_what_was_written() {
    let mut talk = Talk::new();
    talk.open(1, b"x", WRITE | CREATE, b"h").write(2, b"h", 0, b"abc").status(2, 0);
    let mut uncut = talk.clone();
    talk.client(10, &[Number(3), Text(b"h"), Number(1), Long(3)]).status(3, 0).close(4, b"h");
    assert_eq!(talk.told().0, [transfer(Way::Upload, "x", b"abc")]);
    uncut.close(4, b"h");
    assert_eq!(uncut.told().0, [without_digest(Way::Upload, "x", 3, Outcome::Done, Some(PART))]);
}

#[test]
fn a_sparse_file_has_no_digest() {
    let mut talk = Talk::new();
    talk.open(1, b"x", PUT, b"h").write(2, b"h", 100, b"abc").status(2, 0).close(3, b"h");
    let why = "it did not go through in order, so its digest is not known";
    assert_eq!(talk.told().0, [without_digest(Way::Upload, "x", 3, Outcome::Done, Some(why))]);
}

#[test]
fn a_refused_open_and_a_refused_write_are_listed_with_the_reason() {
    let mut talk = Talk::new();
    talk.client(3, &[Number(1), Text(b"/etc/shadow"), Number(READ), Number(0)]).status(1, 3);
    talk.open(2, b"/full", PUT, b"h").write(3, b"h", 0, b"abc").status(3, 0);
    talk.write(4, b"h", 3, b"de").device(101, &[Number(4), Number(4), Text(b"No space left"), Text(b"")]);
    talk.close(5, b"h");
    assert_eq!(
        talk.told().0,
        [
            without_digest(Way::Download, "/etc/shadow", 0, Outcome::Failed, Some("permission denied")),
            without_digest(Way::Upload, "/full", 3, Outcome::Failed, Some("failure: No space left")),
        ]
    );
}

#[test]
fn what_the_channels_end_cuts_off_is_listed_with_the_bytes_that_passed() {
    let mut talk = Talk::new();
    talk.open(1, b"x", PUT, b"h").write(2, b"h", 0, b"abc").status(2, 0).write(3, b"h", 3, b"defgh");
    talk.client(13, &[Number(4), Text(b"y")]);
    let (_, last) = talk.0.get_mut(6).unwrap();
    last.truncate(last.len() - 2);
    talk.0.truncate(7);
    assert_eq!(talk.told().1, [without_digest(Way::Upload, "x", 6, Outcome::Cut, None)]);
}

#[test]
fn changes_are_listed_with_both_paths_and_their_result() {
    let mut talk = Talk::new();
    talk.client(18, &[Number(1), Text(b"a"), Text(b"b")]).status(1, 0);
    talk.client(200, &[Number(2), Text(b"posix-rename@openssh.com"), Text(b"b"), Text(b"c")]).status(2, 4);
    talk.client(9, &[Number(3), Text(b"c"), Number(4), Number(0o100_755)]).status(3, 0);
    talk.client(20, &[Number(4), Text(b"target"), Text(b"link")]).status(4, 0);
    talk.client(15, &[Number(5), Text(b"d")]);
    let change = |change, path: &str, to: Option<&str>, outcome, detail: Option<&str>| {
        Finding::Change(Changed {
            change,
            path: path.into(),
            to: to.map(Into::into),
            attributes: (change == FileChange::SetAttributes).then(|| "mode 0755".into()),
            outcome,
            detail: detail.map(Into::into),
        })
    };
    let (during, after) = talk.told();
    assert_eq!(
        during,
        [
            change(FileChange::Rename, "a", Some("b"), Outcome::Done, None),
            change(FileChange::Rename, "b", Some("c"), Outcome::Failed, Some("failure")),
            change(FileChange::SetAttributes, "c", None, Outcome::Done, None),
            change(FileChange::SymbolicLink, "link", Some("target"), Outcome::Done, None),
        ]
    );
    let unanswered = Some("the device did not answer");
    assert_eq!(after, [change(FileChange::RemoveDirectory, "d", None, Outcome::Cut, unanswered)]);
}

#[test]
fn data_copied_on_the_device_leaves_no_digest() {
    let mut talk = Talk::new();
    talk.open(1, b"a", READ, b"g").open(2, b"b", PUT, b"h");
    let fields = [Number(3), Text(b"copy-data"), Text(b"g"), Long(0), Long(0), Text(b"h"), Long(0)];
    talk.client(200, &fields).status(3, 0).close(4, b"h");
    let (during, _) = talk.told();
    assert!(
        matches!(&during[0], Finding::Change(Changed { change: FileChange::Copy, path, .. }) if path.as_str() == "a"),
        "{during:?}"
    );
    assert_eq!(during[1..], [without_digest(Way::Upload, "b", 0, Outcome::Done, Some(PART))]);
}

#[test]
fn a_write_to_a_handle_that_was_only_guessed_ends_the_list_and_says_so() {
    let mut talk = Talk::new();
    talk.client(3, &[Number(1), Text(b"x"), Number(PUT), Number(0)]).write(2, b"h", 0, b"hidden");
    talk.device(102, &[Number(1), Text(b"h")]).status(2, 0).open(3, b"y", PUT, b"i");
    let open = without_digest(Way::Upload, "x", 0, Outcome::Unknown, None);
    assert_eq!(talk.told(), (vec![open, Finding::Lost(Lost::Guessed)], vec![]));
}

#[test]
fn what_is_no_sftp_is_said_once() {
    let lost = |talk: &Talk, why| assert_eq!(talk.told(), (vec![Finding::Lost(why)], vec![]));
    let mut talk = Talk::default();
    talk.client(1, &[Number(6)]).device(2, &[Number(6)]).client(99, &[]);
    lost(&talk, Lost::Version(6));
    let mut talk = Talk::new();
    talk.status(7, 0).status(7, 0);
    lost(&talk, Lost::Nonsense("device", "SFTP"));
    let mut talk = Talk::new();
    talk.0.push((Side::Client, b"\xff\xff\xff\xff and so on".to_vec()));
    lost(&talk, Lost::Nonsense("client", "SFTP"));
}

#[test]
fn requests_and_files_beyond_the_bounds_end_the_list() {
    let mut talk = Talk::new();
    for id in 0..=u32::try_from(PENDING).unwrap() {
        talk.client(16, &[Number(id), Text(b".")]);
    }
    assert_eq!(talk.told().0, [Finding::Lost(Lost::TooMuch("requests at once"))]);
    let mut talk = Talk::new();
    let path = vec![b'x'; 4000];
    for id in 0..1100 {
        talk.client(13, &[Number(id), Text(&path)]);
    }
    assert!(talk.told().0.contains(&Finding::Lost(Lost::TooMuch("requests at once"))));
    let mut talk = Talk::new();
    for id in 0..=u32::try_from(FILES).unwrap() {
        talk.open(id, b"x", READ, &id.to_be_bytes());
    }
    assert!(talk.told().0.contains(&Finding::Lost(Lost::TooMuch("open files"))));
}

/// A conversation with a bit of everything.
fn everything() -> Talk {
    let mut talk = Talk::new();
    talk.open(1, b"up", PUT, b"h").open(2, b"down", READ, b"g");
    let large: Vec<u8> = (0..=255).cycle().take(5000).collect();
    talk.write(3, b"h", 0, &large).read(4, b"g", 0).status(3, 0).data(4, &large).read(5, b"g", 5000);
    talk.client(12, &[Number(6), Text(b"dir")]).device(104, &[Number(6), Number(0)]);
    talk.status(5, 1).close(7, b"h").close(8, b"g").client(14, &[Number(9), Text(b"new")]).status(9, 3);
    talk
}

proptest! {
    #[test]
    fn however_a_conversation_is_cut_the_list_is_the_same(
        cuts in prop::collection::vec(1usize..40, 1..400),
    ) {
        let talk = everything();
        let mut cuts = cuts.into_iter().cycle();
        let mut pieces = Vec::new();
        for (side, bytes) in &talk.0 {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                pieces.push((*side, piece));
                rest = more;
            }
        }
        let kept = asides(pieces.iter().copied());
        prop_assert_eq!(kept, asides(talk.0.iter().map(|(side, bytes)| (*side, bytes.as_slice()))));
        prop_assert_eq!(told(pieces), talk.told());
    }

    #[test]
    fn whatever_the_peers_send_the_observer_stays_sane(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..40),
        flips in prop::collection::vec((0usize..24, any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut talk = everything();
        for (packet, place, byte) in flips {
            let packet = packet % talk.0.len();
            let bytes = &mut talk.0[packet].1;
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        talk.0.extend(pieces.into_iter().map(|(client, bytes)| {
            (if client { Side::Client } else { Side::Device }, bytes)
        }));
        let (during, after) = talk.told();
        let lost = during.iter().chain(&after).filter(|finding| matches!(finding, Finding::Lost(_))).count();
        prop_assert!(lost <= 1);
        if lost == 1 {
            prop_assert!(after.is_empty() && matches!(during.last(), Some(Finding::Lost(_))));
        }
    }
}
