use std::io::Write as _;

use proptest::prelude::*;

use super::super::tests::{check, file};
use super::*;

fn open(bytes: &[u8]) -> Result<Recording<&[u8]>, OpenError> {
    Recording::open(bytes, Some(Box::new(check)))
}

/// All events, what went wrong, and how it stands at the end.
fn all(bytes: &[u8]) -> (Vec<Event>, Option<OpenError>, Standing) {
    let mut recording = open(bytes).unwrap();
    let mut events = Vec::new();
    let error = loop {
        match recording.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(recording.next_event().unwrap().is_none(), "nothing comes after the end or an error");
    (events, error, recording.standing())
}

fn event(millis: u64, what: What) -> Event {
    Event { at: Duration::from_millis(millis), what }
}

fn output(millis: u64, text: &str) -> Event {
    event(millis, What::Output(text.to_owned()))
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

const WHOLE: Standing = Standing::Foreign { cut: false };
const CUT: Standing = Standing::Foreign { cut: true };

const V1: &str = r#"{
  "version": 1, "width": 100, "height": 30, "duration": 1.5, "command": "/bin/bash", "title": null, "env": {"TERM": "a]b"},
  "stdout": [
    [0.25, "one ] \" \\"],
    [1.25, "two\r\n"]
  ]
}
"#;
const V2: &str = concat!(
    r#"{"version": 2, "width": 100, "height": 30, "timestamp": 1700000000, "title": "t", "idle_time_limit": 2.5}"#,
    "\n[0.25, \"o\", \"one\"]\n[1.5, \"i\", \"k\"]\n[2, \"r\", \"90x20\"]\n[2.5, \"m\", \"here\"]\n[3, \"z\", {\"a\": 1}]\n",
);
const V3: &str = concat!(
    r##"{"version": 3, "term": {"cols": 100, "rows": 30, "theme": {"fg": "#010203", "bg": "#ffffff", "palette": "#000000:#111111:#222222:#333333:#444444:#555555:#666666:#777777"}}, "command": "sh"}"##,
    "\n# a comment\n[0.25, \"o\", \"one\"]\n\n[1.25, \"i\", \"k\"]\n[0.5, \"r\", \"90x20\"]\n[0.5, \"m\", \"here\"]\n[0, \"x\", \"0\"]\n",
);

#[test]
fn version_1_is_read_compressed_or_not() {
    for bytes in [V1.as_bytes().to_vec(), compressed(V1.as_bytes()), V1.replace('\n', "").into_bytes()] {
        let head = open(&bytes).unwrap().head().clone();
        assert_eq!((head.version, head.size), (1, Size { cols: 100, rows: 30 }));
        assert_eq!((head.command.as_deref(), head.title), (Some("/bin/bash"), None));
        let (events, error, standing) = all(&bytes);
        assert_eq!(events, [output(250, "one ] \" \\"), output(1500, "two\r\n")]);
        assert!(error.is_none());
        assert_eq!(standing, WHOLE);
    }
}

#[test]
fn versions_2_and_3_are_read_compressed_or_not() {
    let middle = [
        output(250, "one"),
        event(1500, What::Input("k".to_owned())),
        event(2000, What::Resize(Size { cols: 90, rows: 20 })),
        event(2500, What::Marker("here".to_owned())),
    ];
    let exit = event(2500, What::Exit("0".to_owned()));
    let three = [middle.as_slice(), &[exit]].concat();
    for (text, expected) in [(V2, middle.as_slice()), (V3, &three)] {
        for bytes in [text.as_bytes().to_vec(), compressed(text.as_bytes())] {
            assert_eq!(open(&bytes).unwrap().head().size, Size { cols: 100, rows: 30 });
            let (events, error, standing) = all(&bytes);
            assert_eq!(events, expected);
            assert!(error.is_none());
            assert_eq!(standing, WHOLE);
        }
    }
    let head = open(V2.as_bytes()).unwrap().head().clone();
    assert_eq!((head.title.as_deref(), head.idle_limit), (Some("t"), Some(Duration::from_millis(2500))));
    assert_eq!(head.started, Some("2023-11-14T22:13:20Z".parse().unwrap()));
    let theme = open(V3.as_bytes()).unwrap().head().theme.clone().unwrap();
    assert_eq!((theme.foreground, theme.palette.len(), theme.palette[7]), ([1, 2, 3], 8, [0x77; 3]));
}

#[test]
fn a_recording_of_ours_says_whose_it_is_and_that_it_is_whole() {
    let bytes = file(3);
    let recording = open(&bytes).unwrap();
    let header = recording.head().tidegate.clone().unwrap();
    assert_eq!((header.user.as_str(), header.target.to_string().as_str()), ("operator", "ops@db01"));
    let (events, error, standing) = all(&bytes);
    let shown = "$ uptime\r\n load average: 0.01\r\n";
    assert_eq!(events, [output(0, shown), output(900, shown), output(1800, shown)]);
    assert!(error.is_none());
    let Standing::Judged(Verdict::Whole(chain)) = standing else { panic!("{standing:?}") };
    assert_eq!(chain.frames, 3);
}

#[test]
fn without_a_key_a_chain_that_holds_is_not_called_whole() {
    let bytes = file(1);
    let mut recording = Recording::open(bytes.as_slice(), None).unwrap();
    while recording.next_event().unwrap().is_some() {}
    assert!(matches!(recording.standing(), Standing::Unchecked(chain) if chain.frames == 1));
    let mut other = Recording::open(bytes.as_slice(), Some(Box::new(|_, _| false))).unwrap();
    while other.next_event().unwrap().is_some() {}
    assert!(matches!(
        other.standing(),
        Standing::Judged(Verdict::Altered { what: Alteration::Signature, .. })
    ));
}

#[test]
fn a_recording_of_ours_that_was_cut_gives_its_whole_frames_and_says_so() {
    let bytes = file(3);
    let (events, error, standing) = all(&bytes[..bytes.len() - 200]);
    assert_eq!((events.len(), error.is_none()), (2, true));
    assert!(matches!(standing, Standing::Judged(Verdict::Incomplete { chain, .. }) if chain.frames == 2));
}

/// Wherever a recording of ours is changed or cut, nothing comes out of it as whole.
#[test]
fn every_byte_changed_or_cut_off_shows() {
    let bytes = file(2);
    let whole = |standing| matches!(standing, Standing::Judged(Verdict::Whole(_)) | Standing::Unchecked(_));
    assert!(whole(all(&bytes).2));
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        for altered in [changed.as_slice(), &bytes[..place]] {
            if let Ok(mut recording) = open(altered) {
                while let Ok(Some(_)) = recording.next_event() {}
                assert!(!whole(recording.standing()), "byte {place}");
            }
        }
    }
    let (_, _, standing) = all(&[bytes.as_slice(), b"more"].concat());
    assert!(matches!(standing, Standing::Judged(Verdict::Altered { what: Alteration::Appended(_), .. })));
}

#[test]
fn a_file_that_ends_in_the_middle_gives_what_is_whole_and_says_so() {
    for (text, cut) in [(V1, "two"), (V2, "\"here"), (V3, "\"here")] {
        let end = text.find(cut).unwrap() + 2;
        let (events, error, standing) = all(&text.as_bytes()[..end]);
        assert!(error.is_none());
        assert_eq!(standing, CUT);
        assert_eq!(events[0].at, Duration::from_millis(250));
    }
    let long = format!("{V2}{}", "[3, \"o\", \"abc\"]\n".repeat(100_000));
    let packed = compressed(long.as_bytes());
    let (events, error, standing) = all(&packed[..packed.len() - 3]);
    assert!(error.is_none());
    assert!(!events.is_empty());
    assert_eq!(standing, CUT);
    // No line feed at the end is no cut.
    assert_eq!(all(V2.trim_end().as_bytes()).2, WHOLE);
}

#[test]
fn a_mistake_says_where_it_is() {
    let of = |text: &str| match open(text.as_bytes()) {
        Err(error) => error.to_string(),
        Ok(_) => all(text.as_bytes()).1.map_or_else(String::new, |error| error.to_string()),
    };
    let head = "{\"version\": 2, \"width\": 80, \"height\": 24}\n";
    for (text, expected) in [
        (String::new(), "the recording is empty"),
        ("\n \n".to_owned(), "the recording is empty"),
        (
            "hello\n".to_owned(),
            "the recording does not begin with a header of asciicast: it is no JSON object",
        ),
        ("{\"version\": 7}\n".to_owned(), "the recording is asciicast of version 7; known are 1, 2 and 3"),
        (
            "{\"a\": 7}\n".to_owned(),
            "the recording does not begin with a header of asciicast: it names no version",
        ),
        ("{\"version\": 1}".to_owned(), "it holds no events, neither in lines nor as `stdout`"),
        (
            format!("{head}[1, \"o\", \"a\"]\n[1, \"o\"]\n"),
            "line 3 is no event of asciicast: invalid length 2",
        ),
        (
            format!("{head}[1, \"o\", \"a\0\"]\n[1, \"o\"]\n"),
            "line 2 is no event of asciicast: control character",
        ),
        (format!("{head}{{}}\n"), "line 2 is no event of asciicast: invalid type: map"),
        (format!("{head}[NaN, \"o\", \"\"]\n"), "line 2 is no event of asciicast: expected value"),
        (format!("{head}[1e999, \"o\", \"\"]\n"), "line 2 is no event of asciicast: number out of range"),
        (format!("{head}[1, \"r\", \"80\"]\n"), "line 2 holds no size as in `80x24`"),
        (format!("{head}[1, \"r\", \"-1x5\"]\n"), "line 2 holds no size as in `80x24`"),
        (format!("{head}[1e300, \"o\", \"\"]\n"), "line 2 is 1e300 seconds after"),
        (format!("{head}[40000000, \"o\", \"\"]\n"), "line 2 is 4e7 seconds after"),
        (
            "{\"version\": 1, \"stdout\": [[0, \"a\"], [1, 2]]}".to_owned(),
            "event 2 is no event of asciicast: invalid type",
        ),
    ] {
        let said = of(&text);
        assert!(said.contains(expected), "{text:?} gives {said:?}");
    }
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend(b"[1, \"o\", \"\xff\xfe\"]\n");
    assert!(matches!(all(&bytes).1, Some(OpenError::Event { position: Position::Line(2), .. })));
}

#[test]
fn blank_lines_before_the_header_are_skipped_however_the_file_is_read() {
    for text in [V1, V2, V3] {
        let text = format!("\n \n\r\n{text}");
        let mut slow = Vec::new();
        let mut recording = Recording::open(Slow(text.as_bytes()), None).unwrap();
        while let Some(event) = recording.next_event().unwrap() {
            slow.push(event);
        }
        assert_eq!(slow, all(text.as_bytes()).0);
        assert!(slow.len() > 1);
    }
    let wrong = "\n\n{\"version\":2}\n[1]\n";
    assert!(matches!(all(wrong.as_bytes()).1, Some(OpenError::Event { position: Position::Line(4), .. })));
}

/// Gives one byte at a time.
struct Slow<'a>(&'a [u8]);

impl io::Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(1);
        self.0.read(&mut out[..most])
    }
}

#[test]
fn times_that_go_back_stand_still_and_are_counted() {
    let text = format!("{V2}[1, \"o\", \"a\"]\n[-5, \"o\", \"b\"]\n[4, \"o\", \"c\"]\n");
    let mut recording = open(text.as_bytes()).unwrap();
    let times: Vec<_> = recording.by_ref().map(|event| event.unwrap().at.as_millis()).collect();
    assert_eq!(times, [250, 1500, 2000, 2500, 3000, 3000, 4000]);
    assert_eq!(recording.backwards(), 2);
    let text = "{\"version\":3}\n[1, \"o\", \"a\"]\n[-1, \"o\", \"b\"]\n[1, \"o\", \"c\"]\n";
    let times: Vec<_> = open(text.as_bytes()).unwrap().map(|event| event.unwrap().at.as_millis()).collect();
    assert_eq!(times, [1000, 1000, 2000]);
}

#[test]
fn any_size_is_read_and_none_is_a_crash() {
    let text = "{\"version\":3,\"term\":{\"cols\":0,\"rows\":99999999999}}\n[0,\"r\",\"0x0\"]\n[0,\"r\",\"1000x99999999999\"]\n";
    let mut recording = open(text.as_bytes()).unwrap();
    assert_eq!(recording.head().size, Size { cols: 0, rows: u32::MAX });
    let sizes: Vec<_> = recording.by_ref().map(|event| event.unwrap().what).collect();
    let size = |cols, rows| What::Resize(Size { cols, rows });
    assert_eq!(sizes, [size(0, 0), size(1000, u32::MAX)]);
}

/// Gives some bytes, then the same ones without end.
struct Endless {
    start: &'static [u8],
    again: &'static [u8],
    given: usize,
}

impl io::Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        for byte in out.iter_mut() {
            let later = (self.given.saturating_sub(self.start.len())) % self.again.len();
            *byte = self.start.get(self.given).copied().unwrap_or(self.again[later]);
            self.given += 1;
        }
        Ok(out.len())
    }
}

#[test]
fn what_never_ends_is_given_up_after_a_bounded_part() {
    let endless = |start, again| Endless { start, again, given: 0 };
    for (start, again) in [
        (&b""[..], &b"x"[..]),
        (b"", b"\0"),
        (b"{\"version\":2}\n[1,\"o\",\"", b"a"),
        (b"{\"version\":1,\"title\":\"", b"a"),
        (b"{\"version\":1,\"stdout\":[[1,\"", b"a"),
        (b"{\"version\":1,\"stdout\":", b"[["),
        (b"{\"version\":2,\"title\":\"", b"a"),
        (b"{", b"\"a\":1,"),
    ] {
        let error = match Recording::open(endless(start, again), None) {
            Ok(mut recording) => recording.next_event().unwrap_err(),
            Err(error) => error,
        };
        let bounded = matches!(error, OpenError::Head(_) | OpenError::Long(_) | OpenError::Event { .. });
        assert!(bounded, "{} gives {error}", String::from_utf8_lossy(start));
    }
}

#[test]
fn a_stream_that_refers_back_too_far_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(V2.as_bytes()).unwrap();
    let bytes = encoder.finish().unwrap();
    assert!(matches!(open(&bytes), Err(OpenError::Compression { .. })));
}

proptest! {
    #[test]
    fn whatever_the_bytes_it_ends(
        start in proptest::sample::select(vec!["", V1, V2, V3, "{\"version\":1,\"stdout\":[", "{\"version\":3}\n"]),
        keep in 0usize..400,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        pack in any::<bool>(),
    ) {
        let mut whole = start.as_bytes().iter().copied().take(keep).collect::<Vec<_>>();
        whole.extend(&bytes);
        if pack {
            whole = compressed(&whole);
        }
        if let Ok(recording) = open(&whole) {
            let mut last = Duration::ZERO;
            for event in recording.map_while(Result::ok) {
                prop_assert!(event.at >= last && event.at <= MAX_TIME);
                last = event.at;
            }
        }
    }
}
