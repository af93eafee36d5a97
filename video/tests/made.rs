//! What the program makes, as ffprobe sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;
use support::{Directory, cast, make, probe, public_key, recording, run, seconds, sentence, stream};

#[test]
fn a_recording_becomes_an_mp4_that_leads_back_to_its_session() {
    let directory = Directory::new("mp4");
    let sealed = recording();
    let (from, key) =
        (directory.write("a.cast.zst", &sealed.bytes), directory.write("key.pub", public_key()));
    let video = directory.path("a.mp4");
    make(&[&from, &video, &"--key", &key]);
    let probed = probe(&video);

    let picture = stream(&probed, "video");
    assert_eq!((&picture["codec_name"], &picture["pix_fmt"]), (&"h264".into(), &"yuv420p".into()));
    assert_eq!((&picture["color_space"], &picture["color_range"]), (&"bt709".into(), &"tv".into()));
    assert_eq!((&picture["width"], &picture["height"]), (&816.into(), &524.into()));
    let length = seconds(&probed["format"]["duration"]);
    assert!((length - 20.0).abs() < 0.01, "{length}");
    // The empty screen, the prompt, two commands, and the clock: at 1.1, from 3 to 11, from 13 to 19 seconds.
    assert_eq!(picture["nb_read_packets"], "21");

    let chapters = probed["chapters"].as_array().unwrap();
    let titles: Vec<_> = chapters.iter().map(|chapter| chapter["tags"]["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["(start)", "uptime", "ls /srv"]);
    let starts: Vec<_> = chapters.iter().map(|chapter| seconds(&chapter["start_time"])).collect();
    assert_eq!(starts, [0.0, 2.0, 12.0]);
    assert_eq!(stream(&probed, "subtitle")["codec_name"], "mov_text");

    let tags = &probed["format"]["tags"];
    assert_eq!(tags["title"], "alice on ops@db01");
    assert_eq!(tags["tidegate_session"], sealed.session.as_str());
    assert_eq!(tags["tidegate_last_link"], sealed.link.as_str());
    assert!(tags["tidegate_verdict"].as_str().unwrap().starts_with("whole"), "{tags}");
    assert_eq!(tags["creation_time"], "2026-11-28T13:02:21.512Z");
}

#[test]
fn a_player_needs_only_the_start_of_a_file_to_begin() {
    let directory = Directory::new("start");
    let lines: Vec<String> =
        (0..200).map(|n: u32| format!("{:x}\r\n", n.wrapping_mul(2_654_435_761))).collect();
    let events = lines.iter().zip(0u32..).map(|(line, n)| (f64::from(n) / 10.0, "o", line.as_str()));
    let from = directory.write("a.cast", cast(80, 24, &events.collect::<Vec<_>>()));
    let video = directory.path("a.mp4");
    make(&[&from, &video]);
    let whole = support::frames(&video);
    assert!(whole.len() >= 200);
    // What a browser has after half of the way.
    let bytes = std::fs::read(&video).unwrap();
    let mut player = std::process::Command::new("ffmpeg")
        .args([
            "-v",
            "quiet",
            "-i",
            "pipe:0",
            "-vsync",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = player.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || input.write_all(&bytes[..bytes.len() / 2]));
    let shown = player.wait_with_output().unwrap().stdout;
    let _ = feeding.join().unwrap();
    let shown: Vec<&[u8]> = shown.chunks_exact(whole[0].1.len() / 2 * 3).collect();
    assert!(shown.len() >= 60, "only {} frames", shown.len());
    assert!(shown.iter().zip(&whole).take(60).all(|(shown, (_, luma))| shown.starts_with(luma)));
}

#[test]
fn the_best_quality_is_still_one_that_every_player_shows() {
    let directory = Directory::new("best");
    let from = directory.write("a.cast", cast(30, 5, &[(0.5, "o", "one")]));
    make(&[&from, &directory.path("a.mp4"), &"--quality=0"]);
    let probed = probe(&directory.path("a.mp4"));
    let profile = stream(&probed, "video")["profile"].as_str().unwrap();
    assert!(["Constrained Baseline", "Main", "High"].contains(&profile), "{profile}");
}

#[test]
fn commands_are_subtitles_at_their_time() {
    let directory = Directory::new("subtitles");
    let from = directory.write("a.cast.zst", recording().bytes);
    let video = directory.path("a.mp4");
    make(&[&from, &video]);
    let text = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&video)
        .args(["-map", "0:s:0", "-f", "srt", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    let shown: Vec<&str> =
        text.lines().filter(|line| line.contains("-->") || line.contains("</font>")).collect();
    let [first, uptime, second, ls] = shown[..] else { panic!("{text}") };
    assert_eq!((first, second), ("00:00:02,000 --> 00:00:07,000", "00:00:12,000 --> 00:00:17,000"));
    assert!(uptime.contains(">uptime<") && ls.contains(">ls /srv<"), "{text}");
}

#[test]
fn the_same_recording_makes_the_same_file_and_another_does_not() {
    let directory = Directory::new("same");
    let from = directory.write("a.cast.zst", recording().bytes);
    for name in ["1.mp4", "2.mp4", "1.gif", "2.gif", "1.webm", "2.webm"] {
        let wish = match name.split_once('.').unwrap().1 {
            "gif" => "--gif",
            "webm" => "--codec=vp9",
            _ => "--codec=h264",
        };
        make(&[&from, &directory.path(name), &wish, &"--to=3"]);
    }
    let bytes = |name: &str| std::fs::read(directory.path(name)).unwrap();
    assert!(bytes("1.mp4") == bytes("2.mp4"));
    assert!(bytes("1.gif") == bytes("2.gif"));
    assert!(bytes("1.webm") == bytes("2.webm"));
    make(&[&from, &directory.path("3.mp4"), &"--to=2.5"]);
    assert!(bytes("1.mp4") != bytes("3.mp4"));
}

#[test]
fn a_recording_that_was_altered_is_converted_as_far_as_it_is_good_and_marked() {
    let directory = Directory::new("altered");
    let mut bytes = recording().bytes;
    let whole = directory.write("whole.cast.zst", &bytes);
    // In the last frame of the lines, before the end's 128 bytes.
    let at = bytes.len() - 200;
    bytes[at] ^= 1;
    let from = directory.write("a.cast.zst", &bytes);
    let (key, video) = (directory.write("key.pub", public_key()), directory.path("a.mp4"));
    let output = run(&[&from, &video, &"--key", &key, &"--progress=none"]);
    assert!(output.status.success(), "{}", sentence(&output));
    assert!(sentence(&output).contains("altered"), "{}", sentence(&output));
    let tags = &probe(&video)["format"]["tags"];
    assert!(tags["tidegate_verdict"].as_str().unwrap().starts_with("altered"), "{tags}");
    // The bar shows it: the same moment of the whole one looks otherwise there.
    let (one, two) = (directory.path("one.png"), directory.path("two.png"));
    make(&[&from, &one, &"--key", &key, &"--frame=3"]);
    make(&[&whole, &two, &"--key", &key, &"--frame=3"]);
    assert!(std::fs::read(one).unwrap() != std::fs::read(two).unwrap());
}

#[test]
fn each_standing_is_told_in_the_metadata() {
    let directory = Directory::new("standings");
    let bytes = recording().bytes;
    let key = directory.write("key.pub", public_key());
    let verdict = |name: &str, bytes: &[u8], key: Option<&std::path::Path>| -> String {
        let (from, video) = (directory.write(name, bytes), directory.path("a.mp4"));
        match key {
            Some(key) => make(&[&from, &video, &"--to=1", &"--key", &key]),
            None => make(&[&from, &video, &"--to=1"]),
        }
        probe(&video)["format"]["tags"]["tidegate_verdict"].as_str().unwrap().to_owned()
    };
    assert!(verdict("whole", &bytes, Some(&key)).starts_with("whole"));
    assert!(verdict("unchecked", &bytes, None).contains("was not checked"));
    assert!(verdict("cut", &bytes[..bytes.len() - 128], Some(&key)).starts_with("incomplete"));
    let plain = zstd::decode_all(bytes.as_slice()).unwrap();
    assert!(verdict("plain", &plain, Some(&key)).contains("nothing proves it"));
    let foreign = cast(80, 24, &[(0.5, "o", "hello")]);
    assert_eq!(verdict("foreign", foreign.as_bytes(), Some(&key)), "not a Tidegate recording");
}

#[test]
fn other_files_are_what_they_are_asked_to_be() {
    let directory = Directory::new("others");
    let from =
        directory.write("a.cast", cast(30, 5, &[(0.5, "o", "one"), (1.0, "m", "mark"), (1.5, "o", " two")]));
    let codec = |probed: &Value| stream(probed, "video")["codec_name"].as_str().unwrap().to_owned();
    for (wish, name, expected) in [("vp9", "a.webm", "vp9"), ("av1", "b.webm", "av1")] {
        make(&[&from, &directory.path(name), &format!("--codec={wish}")]);
        let probed = probe(&directory.path(name));
        assert_eq!(codec(&probed), expected);
        assert!((seconds(&probed["format"]["duration"]) - 2.0).abs() < 0.05, "{}", probed["format"]);
        assert_eq!(probed["chapters"].as_array().unwrap().len(), 2);
    }
    make(&[&from, &directory.path("a.gif"), &"--gif"]);
    let probed = probe(&directory.path("a.gif"));
    assert_eq!(codec(&probed), "gif");
    assert!((seconds(&probed["format"]["duration"]) - 2.0).abs() < 0.05);
    make(&[&from, &directory.path("a.png"), &"--frame=1.2"]);
    assert_eq!(codec(&probe(&directory.path("a.png"))), "png");
}

#[test]
fn a_picture_has_the_colours_the_cursor_and_the_clock_that_are_asked_for() {
    let directory = Directory::new("looks");
    let from = directory.write("a.cast.zst", recording().bytes);
    let picture = directory.path("a.png");
    let looks = [
        ["--theme=dark", "--cursor=block", "--time-zone=UTC"],
        ["--theme=light", "--cursor=block", "--time-zone=UTC"],
        ["--theme=xterm", "--cursor=block", "--time-zone=UTC"],
        ["--theme=solarized", "--cursor=block", "--time-zone=UTC"],
        ["--theme=dark", "--cursor=none", "--time-zone=UTC"],
        ["--theme=dark", "--cursor=underline", "--time-zone=UTC"],
        ["--theme=dark", "--cursor=bar", "--time-zone=UTC"],
        ["--theme=dark", "--cursor=block", "--time-zone=Asia/Tokyo"],
    ];
    let pictures = looks.map(|[theme, cursor, zone]| {
        make(&[&from, &picture, &"--frame=1", &theme, &cursor, &zone]);
        std::fs::read(&picture).unwrap()
    });
    for (at, one) in pictures.iter().enumerate() {
        for (other, two) in pictures.iter().enumerate().skip(at + 1) {
            assert!(one != two, "{:?} and {:?} look the same", looks[at], looks[other]);
        }
    }
    std::fs::remove_file(&picture).unwrap();
    for (wish, says) in [
        ("--font=Nope", "no font is called Nope below /usr/share/fonts"),
        ("--time-zone=Mars/Olympus", "there is no time zone Mars/Olympus"),
    ] {
        let output = run(&[&from, &picture, &"--frame=1", &wish]);
        assert_eq!(output.status.code(), Some(1), "{wish}");
        assert!(sentence(&output).contains(says), "{}", sentence(&output));
    }
    assert_eq!(directory.names(), ["a.cast.zst"]);
}

#[test]
fn pauses_are_cut_time_is_divided_and_a_part_is_taken_as_asked() {
    let directory = Directory::new("pace");
    let events = [(1.0, "o", "a"), (61.0, "o", "b"), (63.0, "o", "c"), (65.0, "x", "0")];
    let from = directory.write("a.cast", cast(30, 5, &events));
    let length = |wishes: &[&str]| {
        let video = directory.path("a.mp4");
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&from, &video];
        wishes.iter().for_each(|wish| arguments.push(wish));
        make(&arguments);
        seconds(&probe(&video)["format"]["duration"])
    };
    let near = |one: f64, two: f64| assert!((one - two).abs() < 0.01, "{one} {two}");
    near(length(&[]), 65.0);
    near(length(&["--idle-limit=2"]), 7.0);
    near(length(&["--speed=4"]), 16.25);
    near(length(&["--from=1:00", "--to=1:03"]), 3.5);
    near(length(&["--from=60", "--to=64"]), 4.0);
}

#[test]
fn every_screen_that_stood_for_40_milliseconds_is_a_frame() {
    let directory = Directory::new("stood");
    let texts: Vec<String> = (0..100).map(|number| format!("\r{number:03}")).collect();
    let events: Vec<_> =
        texts.iter().zip(1u32..).map(|(text, n)| (f64::from(n) * 0.04, "o", text.as_str())).collect();
    let from = directory.write("a.cast", cast(30, 5, &events));
    let video = directory.path("a.mp4");
    make(&[&from, &video, &"--no-title"]);
    // And the empty screen before them.
    assert_eq!(stream(&probe(&video), "video")["nb_read_packets"], "101");
}

#[test]
fn a_storm_of_sizes_makes_no_more_frames_than_its_time_has() {
    let directory = Directory::new("storm");
    let sizes: Vec<String> = (0..1000).map(|n| format!("{}x{}", 2 + n * 7 % 300, 2 + n * 13 % 100)).collect();
    let events: Vec<_> =
        sizes.iter().zip(1u32..).map(|(size, n)| (f64::from(n) * 0.001, "r", size.as_str())).collect();
    let from = directory.write("a.cast", cast(30, 5, &events));
    let video = directory.path("a.mp4");
    make(&[&from, &video, &"--no-title"]);
    // Of a thousand screens in a second at most one each sixtieth of it is drawn and encoded.
    let frames = stream(&probe(&video), "video")["nb_read_packets"].as_str().unwrap().parse::<u32>().unwrap();
    assert!((2..=61).contains(&frames), "{frames}");
}
