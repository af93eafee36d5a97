//! The format as a whole: what goes in comes out, and nothing that was changed passes.

use super::*;
use crate::id::SessionId;
use proptest::prelude::*;

fn header() -> Header {
    Header {
        format: FORMAT,
        session: SessionId::new(1, 2),
        user: "operator".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        origin: "192.0.2.7".parse().unwrap(),
        started: jiff::Timestamp::UNIX_EPOCH,
        group: None,
        request: None,
        emergency: false,
        input: true,
        exec_output_limit: 8 << 20,
    }
}

fn opened(channel: u32, kind: Kind) -> Control {
    Control::Opened { channel, kind, command: None, term: None, size: None }
}

/// No key is needed to test the chain: a signature is a hash of what it signs.
fn sign(text: &[u8]) -> Signature {
    let mut signature = [7; 64];
    signature[..32].copy_from_slice(blake3::hash(text).as_bytes());
    signature
}

pub(super) fn check(text: &[u8], signature: &Signature) -> bool {
    sign(text) == *signature
}

/// A file of `frames` frames.
pub(super) fn file(frames: usize) -> Vec<u8> {
    let mut cast = Cast::new(&header());
    cast.control(0, &opened(1, Kind::Terminal));
    let mut packer = Packer::new(1).unwrap();
    let mut chain = Chain::default();
    let mut out = Vec::new();
    for frame in 0..frames {
        cast.data(
            u64::try_from(frame).unwrap() * 900,
            1,
            Stream::Output,
            b"$ uptime\r\n load average: 0.01\r\n",
        );
        cast.take(|text| chain.frame(&mut packer, text, &mut out)).unwrap();
    }
    out.extend(chain.end(|text| Ok::<_, ()>(sign(text))).unwrap());
    out
}

/// Every line that a file holds as far as it is good, and what it is.
fn read(file: &[u8]) -> (Vec<ScriptLine>, Verdict) {
    let mut reader = Reader::new();
    reader.feed(file);
    let mut script = Script::new();
    let mut said = Vec::new();
    while let Ok(Some(part)) = reader.next_part() {
        if let Part::Lines(lines) = part {
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                said.extend(script.line(line).unwrap());
            }
        }
    }
    (said, verify(file, check))
}

/// The bytes of one stream, put together.
fn bytes_of(said: &[ScriptLine], wanted: (u32, Stream)) -> Vec<u8> {
    said.iter()
        .filter_map(|said| match said {
            ScriptLine::Data { channel, stream, bytes, .. } if (*channel, *stream) == wanted => {
                Some(bytes.clone())
            }
            _ => None,
        })
        .flatten()
        .collect()
}

#[test]
fn a_recording_left_alone_is_whole() {
    let (said, verdict) = read(&file(3));
    assert!(matches!(verdict, Verdict::Whole(Chain { frames: 3, .. })), "{verdict:?}");
    assert!(matches!(&said[0], ScriptLine::Header(read) if **read == header()));
}

#[test]
fn every_single_byte_changed_is_altered() {
    let file = file(3);
    for place in 0..file.len() {
        for flip in [0x01, 0x08, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[place] ^= flip;
            let verdict = verify(&changed, check);
            assert!(matches!(verdict, Verdict::Altered { .. }), "byte {place} ^ {flip:#x}: {verdict:?}");
        }
    }
}

#[test]
fn a_recording_cut_off_at_any_byte_is_incomplete_and_plays_up_to_there() {
    let file = file(3);
    let mut most = 0;
    for length in 0..file.len() {
        let (said, verdict) = read(&file[..length]);
        let Verdict::Incomplete { good, chain } = verdict else {
            panic!("cut at {length}: {verdict:?}");
        };
        assert!(good <= u64::try_from(length).unwrap());
        assert!(said.len() >= most, "less plays at {length} than before");
        assert_eq!(said.is_empty(), chain.frames == 0);
        most = said.len();
    }
}

#[test]
fn frames_removed_or_put_elsewhere_are_altered() {
    let whole = file(4);
    // A link's magic begins no frame, so that cutting behind each gives frame and link.
    let ends: Vec<usize> = (0..whole.len())
        .filter(|place| whole[*place..].starts_with(b"\x57\x2a\x4d\x18\x24\0\0\0TGL1"))
        .map(|place| place + 44)
        .collect();
    let frame = |place: usize| &whole[if place == 0 { 0 } else { ends[place - 1] }..ends[place]];
    let end = &whole[ends[3]..];
    let again = [frame(0), frame(1), frame(2), frame(3), end].concat();
    assert!(matches!(verify(&again, check), Verdict::Whole(_)));
    for changed in [
        [frame(0), frame(2), frame(3), end].concat(),
        [frame(0), frame(2), frame(1), frame(3), end].concat(),
        [frame(0), frame(1), frame(2), end].concat(),
        [frame(1), frame(2), frame(3), end].concat(),
        [frame(0), frame(1), frame(1), frame(2), frame(3), end].concat(),
        [&whole, end].concat(),
        [&whole, frame(0)].concat(),
        [end].concat(),
    ] {
        assert!(matches!(verify(&changed, check), Verdict::Altered { .. }));
    }
}

#[test]
fn a_signature_of_another_key_is_altered() {
    let verdict = verify(&file(2), |_, _| false);
    assert!(matches!(verdict, Verdict::Altered { what: Alteration::Signature, .. }), "{verdict:?}");
}

#[test]
fn a_terminal_takes_the_screen_from_a_command_and_gives_it_back() {
    let mut cast = Cast::new(&header());
    cast.control(0, &opened(1, Kind::Exec));
    cast.data(1, 1, Stream::Output, b"one\n");
    cast.control(2, &opened(2, Kind::Terminal));
    cast.data(3, 1, Stream::Output, b"two\n");
    cast.data(4, 2, Stream::Output, b"shell");
    cast.control(5, &Control::Closed { channel: 2, exit: Some(0), signal: None, totals: vec![] });
    cast.data(6, 1, Stream::Stderr, b"three\n");
    let text = cast.take(|text| String::from_utf8(text.to_vec())).unwrap();
    let shown: Vec<&str> = text.lines().filter(|line| line.contains("\"o\"")).collect();
    assert_eq!(
        shown,
        [
            r#"[0.000,"o","one\r\n"]"#,
            r#"[0.000,"o","\u001bc"]"#,
            r#"[0.000,"o","shell"]"#,
            r#"[0.000,"o","three\r\n"]"#
        ]
    );
    assert!(text.contains(r#"[0.000,"t","two\n"]"#), "{text}");
}

#[test]
fn output_of_a_command_that_is_no_text_is_kept_and_not_shown() {
    let mut cast = Cast::new(&header());
    cast.control(0, &opened(1, Kind::Exec));
    cast.data(1, 1, Stream::Output, b"PACK\0\0\0\x02");
    cast.data(1, 1, Stream::Output, b"\xff\xfe");
    let text = cast.take(|text| String::from_utf8(text.to_vec())).unwrap();
    assert!(!text.contains("\"o\""), "{text}");
    assert!(text.contains("\"k\",\"//4=\""), "{text}");
}

#[test]
fn bytes_that_are_no_text_show_as_replacements_on_a_terminal_and_are_kept_exactly() {
    let mut cast = Cast::new(&header());
    cast.control(0, &opened(1, Kind::Terminal));
    cast.data(0, 1, Stream::Output, b"a\xffb");
    let text = cast.take(|text| String::from_utf8(text.to_vec())).unwrap();
    assert!(text.ends_with("[0.000,\"b\",\"Yf9i\"]\n[0.000,\"o\",\"a\u{fffd}b\"]\n"), "{text}");
}

#[test]
fn the_worst_piece_still_fits_a_frame() {
    let mut cast = Cast::new(&header());
    cast.control(0, &opened(1, Kind::Terminal));
    cast.take(|_| ());
    for worst in [vec![0u8; MAX_PIECE], vec![0xff; MAX_PIECE], vec![1; MAX_PIECE]] {
        cast.data(0, 1, Stream::Output, &worst);
        assert!(cast.len() + FULL_FRAME < MAX_TEXT, "{}", cast.len());
        cast.take(|_| ());
    }
}

#[derive(Debug, Clone)]
struct Packet {
    channel: u32,
    stream: Stream,
    bytes: Vec<u8>,
    after: u64,
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let stream = prop_oneof![Just(Stream::Output), Just(Stream::Stderr), Just(Stream::Input)];
    let bytes = prop_oneof![
        "(?s).{0,8}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..8),
        "[\\r\\n\\xe9€]{0,4}".prop_map(|text| text.into_bytes().into_iter().skip(1).collect()),
        "[aé€😀]{1,3}".prop_map(|text| {
            let cut = text.len() - 1;
            text.into_bytes().into_iter().take(cut).collect()
        }),
    ];
    let packet = (1u32..4, stream, bytes, 0u64..3000).prop_map(|(channel, stream, bytes, after)| Packet {
        channel,
        stream,
        bytes,
        after,
    });
    proptest::collection::vec(packet, 0..24)
}

proptest! {
    #[test]
    fn every_byte_and_time_comes_back_whatever_the_channels_say(packets in packets(), frame_every in 1usize..5) {
        let mut cast = Cast::new(&header());
        cast.control(0, &opened(1, Kind::Terminal));
        cast.control(0, &opened(2, Kind::Exec));
        cast.control(0, &opened(3, Kind::Terminal));
        let mut packer = Packer::new(1).unwrap();
        let (mut chain, mut out, mut at) = (Chain::default(), Vec::new(), 0);
        for (place, packet) in packets.iter().enumerate() {
            at += packet.after;
            if place == packets.len() / 2 {
                cast.control(at, &Control::Closed { channel: 1, exit: None, signal: None, totals: vec![] });
                cast.control(at, &opened(1, Kind::Terminal));
            }
            cast.data(at, packet.channel, packet.stream, &packet.bytes);
            if place % frame_every == 0 {
                cast.take(|text| chain.frame(&mut packer, text, &mut out)).unwrap();
            }
        }
        cast.control(at, &Control::Ended { exit: Some(0), cause: "done".to_owned() });
        cast.take(|text| chain.frame(&mut packer, text, &mut out)).unwrap();
        out.extend(chain.end(|text| Ok::<_, ()>(sign(text))).unwrap());

        let (said, verdict) = read(&out);
        prop_assert!(matches!(verdict, Verdict::Whole(_)));
        for wanted in (1..4).flat_map(|channel| {
            [Stream::Input, Stream::Output, Stream::Stderr].map(|stream| (channel, stream))
        }) {
            let sent: Vec<u8> = packets
                .iter()
                .filter(|packet| (packet.channel, packet.stream) == wanted)
                .flat_map(|packet| packet.bytes.clone())
                .collect();
            prop_assert_eq!(bytes_of(&said, wanted), sent);
        }
        let last = said.iter().rev().find_map(|said| match said {
            ScriptLine::Exit { at, .. } => Some(*at),
            _ => None,
        });
        prop_assert_eq!(last, Some(at));
    }

    #[test]
    fn any_bytes_are_judged_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!matches!(verify(&bytes, check), Verdict::Whole(_)));
    }

    #[test]
    fn any_bytes_behind_good_frames_are_judged_without_harm(
        bytes in proptest::collection::vec(any::<u8>(), 1..200),
        keep in 0usize..400,
    ) {
        let mut changed = file(2);
        changed.truncate(keep);
        changed.extend(bytes);
        prop_assert!(!matches!(verify(&changed, check), Verdict::Whole(_)) || changed == file(2));
    }
    #[test]
    fn any_line_is_read_without_harm(
        since in prop_oneof![any::<f64>(), Just(f64::NAN)],
        code in "[osbkctirmx]|.{0,3}",
        data in ".{0,20}|[0-9]{1,12} (input|output)|[0-9]{1,12}x[0-9]{1,12}|[A-Za-z0-9+/=]{0,8}",
        junk in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut script = Script::new();
        let _ = script.line(&junk);
        for _ in 0..2 {
            let _ = script.line(serde_json::json!([since, code, data]).to_string().as_bytes());
        }
        let _ = script.line(&junk);
    }
}
