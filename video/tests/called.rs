//! The program as people and other programs call it: what it takes, what it says, how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Directory, cast, make, probe, recording, run, run_with, sentence, stream};

#[test]
fn a_recording_is_taken_from_standard_input_and_a_video_given_to_standard_output() {
    let directory = Directory::new("pipes");
    let text = cast(30, 5, &[(0.5, "o", "one")]);
    let output = run_with(text.as_bytes(), &[&"-", &"-"]);
    assert!(output.status.success(), "{}", sentence(&output));
    let from = directory.write("a.cast", &text);
    make(&[&from, &directory.path("a.mp4")]);
    assert!(output.stdout == std::fs::read(directory.path("a.mp4")).unwrap());
}

#[test]
fn a_reader_that_goes_away_is_told_in_a_sentence() {
    let directory = Directory::new("gone");
    let from = directory.write("a.cast", cast(30, 5, &[(0.5, "o", "one")]));
    let mut child =
        support::program().arg(&from).arg("-").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(sentence(&output).contains("went away"), "{}", sentence(&output));
}

#[test]
fn a_program_is_told_how_far_it_is_in_lines_of_json() {
    let directory = Directory::new("json");
    let from = directory.write("a.cast", cast(30, 5, &[(0.5, "o", "one")]));
    let told = |arguments: &[&dyn AsRef<std::ffi::OsStr>]| -> Vec<Value> {
        let text = sentence(&run(arguments));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let lines = told(&[&from, &directory.path("a.mp4"), &"--progress=json"]);
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], &last["milliseconds"]), (&"done".into(), &1000.into()));
    let lines = told(&[&directory.path("none"), &directory.path("b.mp4"), &"--progress=json"]);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["type"], "failed");
}

#[test]
fn what_takes_longer_is_told_as_it_goes_on_with_what_is_left() {
    let directory = Directory::new("progress");
    // A minute in which each frame is another.
    let texts: Vec<String> =
        (0..1500).map(|n: u32| format!("line {n} {:x}\r\n", n.wrapping_mul(2_654_435_761))).collect();
    let events: Vec<_> =
        texts.iter().zip(0u32..).map(|(text, n)| (f64::from(n) * 0.04, "o", text.as_str())).collect();
    let from = directory.write("a.cast", cast(80, 24, &events));
    let output = run(&[&from, &directory.path("a.mp4"), &"--progress=json"]);
    assert!(output.status.success(), "{}", sentence(&output));
    let lines: Vec<Value> =
        sentence(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<&Value> = lines.iter().filter(|line| line["type"] == "progress").collect();
    let parts: Vec<f64> = told.iter().map(|line| line["part"].as_f64().unwrap()).collect();
    assert!(parts.len() >= 2 && parts.is_sorted() && parts[0] < parts[parts.len() - 1], "{parts:?}");
    assert!(parts.iter().all(|part| (0.0..=1.0).contains(part)), "{parts:?}");
    assert!(told.iter().any(|line| line["left"].as_f64().is_some_and(|left| left > 0.0)), "{told:?}");
    assert!(told.last().unwrap()["frames"].as_u64().unwrap() > 0);
    assert_eq!(lines.last().unwrap()["type"], "done");
}

#[test]
fn a_signal_leaves_no_file_and_no_process() {
    // Days take longer than the test needs.
    let days: Vec<(f64, &str, &str)> = (0..7).map(|day| (f64::from(day) * 86_000.0, "o", "x")).collect();
    let days = cast(80, 24, &days);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let directory = Directory::new(&format!("signal-{signal}"));
        let from = directory.write("a.cast", &days);
        let mut child =
            support::program().args([&from, &directory.path("a.mp4")]).stderr(Stdio::null()).spawn().unwrap();
        let id = i32::try_from(child.id()).unwrap();
        let confined = wait_for(|| children(id).into_iter().next());
        // Confined before it reads anything, and for good.
        wait_for(|| (status(confined, "Seccomp") == "2").then_some(()));
        assert_eq!(status(confined, "NoNewPrivs"), "1");
        wait_for(|| directory.names().iter().any(|name| name.ends_with(".part")).then_some(()));
        kill(Pid::from_raw(id), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal as i32));
        assert_eq!(directory.names(), ["a.cast"]);
        wait_for(|| (!matches!(status(confined, "State").as_str(), "R" | "S" | "D")).then_some(()));
    }
}

/// Waits until there is something, ten seconds at most.
fn wait_for<T>(what: impl Fn() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(there) = what() {
            return there;
        }
        assert!(began.elapsed().as_secs() < 10, "it did not come");
        std::thread::yield_now();
    }
}

fn children(id: i32) -> Vec<i32> {
    let path = format!("/proc/{id}/task/{id}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// A field of /proc/PID/status; empty when the process is gone.
fn status(id: i32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned()
}

#[test]
fn a_full_disk_is_told_in_a_sentence_and_leaves_no_file() {
    let directory = Directory::new("full");
    let events: Vec<(f64, String)> =
        (0..400).map(|n| (f64::from(n) * 0.1, format!("line {n} {:x}\r\n", n * 7919))).collect();
    let events: Vec<_> = events.iter().map(|(at, text)| (*at, "o", text.as_str())).collect();
    let from = directory.write("a.cast", cast(80, 24, &events));
    let full = Directory::new("full-disk");
    let script =
        r#"mount -t tmpfs -o size=32k tmpfs "$2" && cd "$2" && "$0" "$1" a.mp4; echo "status $?"; ls -A"#;
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, env!("CARGO_BIN_EXE_tidegate-video")])
        .args([&from, &full.0])
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8(output.stdout.clone()).unwrap(), sentence(&output));
    if !said.contains("status") {
        println!("SKIPPED a full disk: no file system can be mounted here: {told}");
        return;
    }
    assert_eq!(said, "status 1\n");
    assert!(told.contains("No space left on device"), "{told}");
}

#[test]
fn no_place_is_taken_that_must_not_be() {
    let directory = Directory::new("places");
    let from = directory.write("a.cast", cast(30, 5, &[(0.5, "o", "one")]));
    let told = |to: &std::path::Path| {
        let output = run(&[&from, &to]);
        assert!(!output.status.success());
        sentence(&output)
    };
    assert!(told(&from).contains("the recording itself"));
    assert!(told(&directory.0).contains("is a directory"));
    assert!(told("/dev/null".as_ref()).contains("no plain file"));
    assert!(told(&directory.path("none/a.mp4")).contains("could not be made"));
    assert_eq!(directory.names(), ["a.cast"]);
}

#[test]
fn bad_input_makes_a_sentence_or_a_video_and_never_a_crash() {
    let directory = Directory::new("bad");
    let many = |text: &str, times: usize| text.repeat(times);
    let sealed = recording().bytes;
    let one = |text: &str| cast(80, 24, &[(0.5, "o", text)]).into_bytes();
    let resizes: Vec<String> = (0..60).map(|n| format!("{}x{}", n * 7 % 1000, n * 13 % 1000)).collect();
    let storm: Vec<_> =
        resizes.iter().zip(0u32..).map(|(size, n)| (f64::from(n) * 0.01, "r", size.as_str())).collect();
    let good: [(&str, Vec<u8>); 14] = [
        ("a gigantic title", one(&format!("\x1b]0;{}\x07ok", many("x", 1 << 20)))),
        ("an endless DCS", one(&format!("\x1bP{}", many("q#0", 1 << 18)))),
        ("controls", one(&(0..=0x9f).filter_map(char::from_u32).collect::<String>())),
        (
            "all of CSI",
            one(&(0x40..=0x7e).map(|c| format!("\x1b[999999;0;65535{}", char::from(c))).collect::<String>()),
        ),
        ("all of ESC", one(&(0x20..=0x7e).map(|c| format!("\x1b{}", char::from(c))).collect::<String>())),
        ("NULs", one(&many("\0", 10_000))),
        ("no size", cast(0, 0, &[(0.5, "o", "x")]).into_bytes()),
        ("a huge size", cast(1000, 1000, &[(0.5, "o", "x\x1b[999;999Hy")]).into_bytes()),
        ("a storm of sizes", cast(80, 24, &storm).into_bytes()),
        (
            "time that goes back",
            cast(80, 24, &[(9.0, "o", "a"), (3.0, "o", "b"), (-1.0, "o", "c")]).into_bytes(),
        ),
        ("nothing", cast(80, 24, &[]).into_bytes()),
        ("only input", cast(80, 24, &[(1.0, "i", "secret")]).into_bytes()),
        ("cut in an event", one("hello")[..60].to_vec()),
        ("cut in a frame", sealed[..sealed.len() / 2].to_vec()),
    ];
    for (name, bytes) in good {
        let (from, to) = (directory.write("from", bytes), directory.path("a.mp4"));
        let output = run(&[&from, &to, &"--idle-limit=1"]);
        assert!(output.status.success(), "{name}: {}", sentence(&output));
        assert!(stream(&probe(&to), "video")["nb_read_packets"] != "0", "{name}");
        std::fs::remove_file(to).unwrap();
    }
    let mut start = sealed.clone();
    start[20] ^= 1;
    let bad: [(&str, Vec<u8>, &str); 8] = [
        ("empty", Vec::new(), "is empty"),
        ("no recording", b"hello".to_vec(), "header of asciicast"),
        (
            "noise",
            (0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            "header of asciicast",
        ),
        ("another version", b"{\"version\": 9}\n".to_vec(), "version 9"),
        ("another line", [one("x"), b"nonsense\n".to_vec()].concat(), "line 3"),
        ("years", cast(80, 24, &[(0.5, "o", "x"), (9e9, "o", "y")]).into_bytes(), "at most a year"),
        ("no time", b"{\"version\":2,\"width\":80,\"height\":24}\n[1e999,\"o\",\"x\"]\n".to_vec(), "line 2"),
        ("altered at its start", start, "altered"),
    ];
    for (name, bytes, expected) in bad {
        let (from, to) = (directory.write("from", bytes), directory.path("a.mp4"));
        let output = run(&[&from, &to]);
        let told = sentence(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {told}");
        assert!(told.starts_with("tidegate-video: ") && told.contains(expected), "{name}: {told}");
        assert_eq!(directory.names(), ["from"], "{name}");
    }
}
