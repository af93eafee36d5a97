//! Recordings to make videos of, and the programs that make and look at them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, PrivateKey};
use tidegate_common::id::SessionId;
use tidegate_common::recording::{Cast, Chain, Control, FORMAT, Header, Kind, Packer, Size, Stream};

/// A directory that is gone after the test.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-video-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The names of all files in it.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key() -> PrivateKey {
    PrivateKey::new(KeypairData::from(Ed25519Keypair::from_seed(&[7; 32])), "test").unwrap()
}

/// The key that [`recording`] is signed with.
pub fn public_key() -> String {
    key().public_key().to_openssh().unwrap()
}

/// The last link of a recording, as the gate shows it.
pub struct Sealed {
    pub bytes: Vec<u8>,
    pub link: String,
    pub session: String,
}

/// A session of 20 seconds with two commands; each has a frame of the file of its own.
pub fn recording() -> Sealed {
    let session = SessionId::new(1, 2);
    let mut cast = Cast::new(&Header {
        format: FORMAT,
        session,
        user: "alice".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        origin: "192.0.2.7".parse().unwrap(),
        started: "2026-11-28T13:02:21.512Z".parse().unwrap(),
        group: None,
        request: None,
        emergency: false,
        input: false,
        exec_output_limit: 8 << 20,
    });
    let size = Some(Size { cols: 80, rows: 24 });
    let (mut packer, mut chain, mut bytes) = (Packer::new(3).unwrap(), Chain::default(), Vec::new());
    let (term, command) = (Some("xterm".to_owned()), None);
    cast.control(0, &Control::Opened { channel: 1, kind: Kind::Terminal, command, term, size });
    cast.data(100, 1, Stream::Output, b"ops@db01:~$ ");
    for (at, command, shown) in [
        (2_000, "uptime", &b"uptime\r\n 13:02 up 10 days, load average: 0.01\r\nops@db01:~$ "[..]),
        (12_000, "ls /srv", &b"ls /srv\r\n\x1b[1;34mbackup\x1b[m  \x1b[1;34mwww\x1b[m\r\nops@db01:~$ "[..]),
    ] {
        cast.control(at, &Control::Marker { label: command.to_owned() });
        cast.data(at, 1, Stream::Output, shown);
        cast.take(|text| chain.frame(&mut packer, text, &mut bytes)).unwrap();
    }
    cast.control(20_000, &Control::Ended { exit: Some(0), cause: "logout".to_owned() });
    cast.take(|text| chain.frame(&mut packer, text, &mut bytes)).unwrap();
    let sign = |text: &[u8]| {
        let signed = key().sign("recording@tidegate", HashAlg::Sha512, text)?;
        Ok::<_, ssh_key::Error>(signed.signature_bytes().try_into().unwrap())
    };
    bytes.extend(chain.end(sign).unwrap());
    Sealed { bytes, link: chain.link.to_string(), session: session.to_string() }
}

/// Events of asciicast v2, each with its time in seconds.
pub fn cast(columns: u32, rows: u32, events: &[(f64, &str, &str)]) -> String {
    let mut text = format!("{{\"version\": 2, \"width\": {columns}, \"height\": {rows}}}\n");
    for event in events {
        text.push_str(&serde_json::to_string(event).unwrap());
        text.push('\n');
    }
    text
}

pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidegate-video"))
}

/// Runs the program to its end.
pub fn run(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    program().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs it, and expects a video.
pub fn make(arguments: &[&dyn AsRef<std::ffi::OsStr>]) {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs it with something on standard input.
pub fn run_with(input: &[u8], arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut child = program()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// What ffprobe says of a file.
pub fn probe(path: &Path) -> Value {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "json",
            "-show_format",
            "-show_streams",
            "-show_chapters",
            "-count_packets",
        ])
        .arg(path)
        .output()
        .expect("ffprobe is needed (Debian: ffmpeg)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The luma of the frame that a video shows at a time: as many bytes as it has pixels.
pub fn luma(path: &Path, seconds: &str) -> Vec<u8> {
    raw(path, &["-ss", seconds, "-frames:v", "1", "-pix_fmt", "gray"])
}

/// Every frame of a video: the millisecond that it comes at, and its luma (16 to 235).
pub fn frames(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe is needed (Debian: ffmpeg)");
    let probed = String::from_utf8(probed.stdout).unwrap();
    let milliseconds = |line: &str| (line.trim_matches(',').parse::<f64>().unwrap() * 1000.0).round() as u64;
    let times: Vec<u64> = probed.lines().map(milliseconds).collect();
    // As they are in the file; for grey alone they would be spread to the full range.
    let planes = raw(path, &["-vsync", "passthrough", "-pix_fmt", "yuv420p"]);
    assert!(!times.is_empty() && planes.len().is_multiple_of(times.len()));
    let size = planes.len() / times.len();
    times.iter().copied().zip(planes.chunks(size).map(|frame| frame[..size / 3 * 2].to_vec())).collect()
}

fn raw(path: &Path, which: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(which)
        .args(["-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The stream of a kind.
pub fn stream<'a>(probed: &'a Value, kind: &str) -> &'a Value {
    let streams = probed["streams"].as_array().unwrap();
    streams.iter().find(|stream| stream["codec_type"] == kind).unwrap_or(&Value::Null)
}

/// A number that ffprobe tells as text.
pub fn seconds(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

/// What a program complained of.
pub fn sentence(output: &std::process::Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
