//! The recorder against a real disk, a full one and one that fails.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_common::digest::Digest;
use tidegate_common::id::SessionId;
use tidegate_common::recording::{Alteration, Cast, Chain, FORMAT, Header, Kind, Stream, Verdict};

use super::flush::Writing;
use super::read::{dump, play, verify};
use super::*;

/// A directory of one test, gone with it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("tidegate-record-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    pub fn recordings(&self) -> Recordings {
        self.with(|settings| settings)
    }

    fn with(&self, change: impl FnOnce(Settings) -> Settings) -> Recordings {
        let key = RecordingKey::open(&self.0).unwrap();
        Recordings::open(change(Settings::testing(self.0.join("recordings"))), key).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn header(number: u128) -> Header {
    Header {
        format: FORMAT,
        session: SessionId::new(1_790_000_000_000, number),
        user: "operator".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        origin: "192.0.2.7".parse().unwrap(),
        started: jiff::Timestamp::from_millisecond(1_790_000_000_000).unwrap(),
        group: None,
        request: None,
        emergency: false,
        input: false,
        exec_output_limit: 100,
    }
}

pub fn shell() -> Open<'static> {
    Open { kind: Kind::Terminal, command: None, term: Some("xterm"), size: None }
}

fn exec(command: &str) -> Open<'_> {
    Open { kind: Kind::Exec, command: Some(command), term: None, size: None }
}

pub const DONE: End<'static> = End { exit: Some(0), cause: "the user left" };

/// What a player shows, without its pauses.
async fn shown(path: &Path, key: &PublicKey) -> (String, Verdict) {
    let mut out = Vec::new();
    let verdict = play(path, key, None, &mut out, 1000.0, Some(std::time::Duration::ZERO)).await.unwrap();
    (String::from_utf8(out).unwrap(), verdict)
}

#[tokio::test]
async fn a_session_is_recorded_sealed_verified_and_played() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let recorder = recordings.begin(header(1)).await.unwrap();
    let channel = recorder.open(0, shell()).await.unwrap();
    for _ in 0..1000 {
        channel.output("$ ls\r\nété\r\n".as_bytes()).await.unwrap();
    }
    channel.input(b"never kept").await.unwrap();
    let totals = channel.close(Some(0), None).await.unwrap();
    let sealed = recorder.seal(DONE).await.unwrap();

    assert!(totals.iter().any(|total| (total.stream, total.bytes, total.kept) == (Stream::Input, 10, 0)));
    assert_eq!(sealed.path, recordings.path(header(1).session));
    assert!(sealed.path.parent().unwrap().ends_with("recordings/2026/09/21"), "{:?}", sealed.path);
    assert_eq!(sealed.bytes, fs::metadata(&sealed.path).unwrap().len());
    assert_eq!(fs::metadata(&sealed.path).unwrap().permissions().mode() & 0o777, 0o400);
    let checked = verify(&sealed.path, &recordings.public_key(), None).await.unwrap();
    assert!(matches!(checked.verdict, Verdict::Whole(chain) if chain.link == sealed.link));
    assert_eq!(checked.header, Some(header(1)));
    let (text, _) = shown(&sealed.path, &recordings.public_key()).await;
    assert_eq!(text, "$ ls\r\nété\r\n".repeat(1000));
    assert!(recordings.unsealed().await.unwrap().is_empty());
}

#[tokio::test]
async fn stock_zstd_reads_a_recording() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let recorder = recordings.begin(header(1)).await.unwrap();
    let channel = recorder.open(0, shell()).await.unwrap();
    channel.output(b"hello\r\n").await.unwrap();
    let sealed = recorder.seal(DONE).await.unwrap();

    let mut dumped = Vec::new();
    let verdict =
        dump(&sealed.path, &recordings.public_key(), None, &mut dumped, DumpFormat::V3).await.unwrap();
    assert!(matches!(verdict, Verdict::Whole(_)));
    let Ok(stock) = Command::new("zstd").arg("-dc").arg(&sealed.path).output() else {
        println!("SKIPPED: zstd is not installed");
        return;
    };
    assert!(stock.status.success(), "{stock:?}");
    assert_eq!(stock.stdout, dumped);
    let mut old = Vec::new();
    let _ = dump(&sealed.path, &recordings.public_key(), None, &mut old, DumpFormat::V2).await.unwrap();
    let old = String::from_utf8(old).unwrap();
    assert!(old.contains("\"version\":2") && old.contains("\"o\", \"hello\\r\\n\""), "{old}");
}

#[tokio::test]
async fn a_proxy_killed_leaves_a_recording_that_is_incomplete_and_plays() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let recorder = recordings.begin(header(1)).await.unwrap();
    let channel = recorder.open(0, shell()).await.unwrap();
    channel.output(b"on the disk within a second").await.unwrap();
    recorder.rested().await;
    let path = recorder.location().to_owned();
    let (text, verdict) = shown(&path, &recordings.public_key()).await;
    assert_eq!(text, "on the disk within a second");
    assert!(matches!(verdict, Verdict::Incomplete { .. }), "{verdict:?}");
    let unsealed = Unsealed { session: header(1).session, location: path.clone() };
    assert_eq!(recordings.unsealed().await.unwrap(), [unsealed]);

    recorder.seal(DONE).await.unwrap();
    let whole = fs::read(&path).unwrap();
    let copy = scratch.0.join("copy.cast.zst");
    for length in (0..whole.len()).step_by(7) {
        fs::write(&copy, &whole[..length]).unwrap();
        let checked = verify(&copy, &recordings.public_key(), None).await.unwrap();
        assert!(matches!(checked.verdict, Verdict::Incomplete { .. }), "{length}: {checked:?}");
    }
}

#[tokio::test]
async fn an_idle_session_has_no_flusher_and_no_buffer() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let recorder = recordings.begin(header(1)).await.unwrap();
    let channel = recorder.open(0, shell()).await.unwrap();
    channel.output(b"$ ").await.unwrap();
    assert!(!recorder.at_rest());
    recorder.rested().await;
    assert!(recorder.at_rest());
    channel.output(b"more").await.unwrap();
    assert!(!recorder.at_rest());
    recorder.seal(DONE).await.unwrap();
    assert_eq!(shown(recorder.location(), &recordings.public_key()).await.0, "$ more");
}

#[tokio::test]
async fn a_command_s_output_over_its_limit_is_counted_and_hashed() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let recorder = recordings.begin(header(1)).await.unwrap();
    let channel = recorder.open(7, exec("cat big")).await.unwrap();
    for _ in 0..3 {
        channel.output(&[b'x'; 60]).await.unwrap();
    }
    let totals = channel.close(Some(0), None).await.unwrap();
    let sealed = recorder.seal(DONE).await.unwrap();
    let output = totals.iter().find(|total| total.stream == Stream::Output).unwrap();
    assert_eq!((output.bytes, output.kept), (180, 100));
    assert_eq!(output.blake3, Some(Digest::of(&[b'x'; 180])));
    let (text, _) = shown(&sealed.path, &recordings.public_key()).await;
    assert_eq!(text, "x".repeat(100));
    let mut lines = Vec::new();
    let _ = dump(&sealed.path, &recordings.public_key(), None, &mut lines, DumpFormat::V3).await.unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains("beyond 100 bytes is not kept"), "{lines}");
    assert!(lines.contains(&Digest::of(&[b'x'; 180]).to_string()), "{lines}");
}

#[tokio::test]
async fn a_fast_writer_waits_for_the_disk_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let recordings = scratch.with(|settings| Settings { pending_bound: 4096, ..settings });
    let recorder = recordings.begin(header(1)).await.unwrap();
    let writers = (0..4u32).map(|number| {
        let recorder = recorder.clone();
        tokio::spawn(async move {
            let channel = recorder.open(number, shell()).await.unwrap();
            for line in 0..2000 {
                channel.output(format!("{number}:{line}\n").as_bytes()).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let sealed = recorder.seal(DONE).await.unwrap();
    let checked = verify(&sealed.path, &recordings.public_key(), None).await.unwrap();
    assert!(matches!(checked.verdict, Verdict::Whole(_)));
    let mut lines = Vec::new();
    let _ = dump(&sealed.path, &recordings.public_key(), None, &mut lines, DumpFormat::V3).await.unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!((0..4).all(|number| lines.contains(&format!("{number}:1999\\n"))));
}

#[tokio::test]
async fn too_little_space_refuses_the_session_and_says_what_to_do() {
    let scratch = Scratch::new();
    let recordings = scratch.with(|mut settings| {
        settings.floors.floor = u64::MAX;
        settings
    });
    let Err(error) = recordings.begin(header(1)).await else {
        panic!("it began");
    };
    assert!(matches!(error, RecordError::Space { .. }));
    assert!(error.to_string().contains("remove old recordings"), "{error}");
}

#[tokio::test]
async fn a_session_is_never_recorded_over_another() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let first = recordings.begin(header(1)).await.unwrap();
    assert!(matches!(recordings.begin(header(1)).await, Err(RecordError::Create { .. })));
    assert!(recordings.begin(header(2)).await.is_ok());
    first.seal(DONE).await.unwrap();
    assert!(matches!(first.seal(DONE).await, Err(RecordError::Sealed)));
    let late = Open { kind: Kind::Exec, command: None, term: None, size: None };
    assert!(matches!(first.open(1, late).await, Err(RecordError::Sealed)));
}

#[tokio::test]
async fn another_key_or_another_name_is_altered() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let recordings = scratch.recordings();
    let sealed = recordings.begin(header(1)).await.unwrap().seal(DONE).await.unwrap();
    let checked = verify(&sealed.path, &other.recordings().public_key(), None).await.unwrap();
    assert!(matches!(checked.verdict, Verdict::Altered { what: Alteration::Signature, .. }), "{checked:?}");
    let misnamed = sealed.path.with_file_name(format!("{}.cast.zst", header(2).session));
    fs::copy(&sealed.path, &misnamed).unwrap();
    let checked = verify(&misnamed, &recordings.public_key(), None).await.unwrap();
    assert!(matches!(checked.verdict, Verdict::Altered { what: Alteration::Session, .. }), "{checked:?}");
}

#[tokio::test]
async fn the_key_stays_the_same_and_is_the_owner_s_alone() {
    let scratch = Scratch::new();
    let first = RecordingKey::open(&scratch.0).unwrap().public();
    assert_eq!(RecordingKey::open(&scratch.0).unwrap().public().fingerprint(), first.fingerprint());
    let mode = fs::metadata(scratch.0.join("recording_key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = fs::read_to_string(scratch.0.join("recording_key.pub")).unwrap();
    assert_eq!(
        ssh_key::PublicKey::from_openssh(&line).unwrap().fingerprint(ssh_key::HashAlg::Sha256).to_string(),
        first.fingerprint()
    );
    fs::write(scratch.0.join("recording_key"), "garbage").unwrap();
    let error = RecordingKey::open(&scratch.0).err().unwrap().to_string();
    assert!(error.contains("is no OpenSSH private key"), "{error}");
}

#[tokio::test]
async fn a_write_that_fails_ends_the_recording_for_everybody() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let writing = Writing { file, cast: Cast::new(&header(1)), chain: Chain::default(), length: 0 };
    let recorder = Recorder::new(recordings.store(), &header(1), "/dev/full".into(), writing);
    let channel = recorder.open(0, exec("x")).await.unwrap();
    channel.output(&[b'x'; 200]).await.unwrap();
    let failure = recorder.failed().await;
    assert!(failure.to_string().contains("/dev/full could not be written"), "{failure}");
    // Also what would not have been kept does not go on.
    assert!(matches!(channel.output(b"more").await, Err(RecordError::Failed(_))));
    assert!(matches!(channel.close(None, None).await, Err(RecordError::Failed(_))));
    assert!(matches!(recorder.seal(DONE).await, Err(RecordError::Failed(_))));
}

/// A small file system of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(dir: PathBuf) -> Option<Self> {
        fs::create_dir(&dir).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&dir).output();
        done.is_ok_and(|done| done.status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_recording_and_what_was_written_still_plays() {
    let scratch = Scratch::new();
    let Some(disk) = SmallDisk::mount(scratch.0.join("small")) else {
        println!("SKIPPED: a tmpfs can not be mounted here");
        return;
    };
    let dir = disk.0.join("recordings");
    let recordings = scratch.with(|_| Settings::testing(dir));
    let recorder = recordings.begin(header(1)).await.unwrap();
    let channel = recorder.open(0, shell()).await.unwrap();
    // Noise of printable characters, which does not compress away.
    let mut hash = blake3::hash(b"noise");
    let refused = loop {
        let line = hash.to_hex().repeat(16);
        hash = blake3::hash(hash.as_bytes());
        if let Err(error) = channel.output(line.as_bytes()).await {
            break error;
        }
        channel.output(b"\r\n").await.ok();
    };
    assert!(refused.to_string().contains("No space left on device"), "{refused}");
    let path = recorder.location();
    let (text, verdict) = shown(path, &recordings.public_key()).await;
    assert!(matches!(verdict, Verdict::Incomplete { .. }), "{verdict:?}");
    assert!(text.starts_with(blake3::hash(b"noise").to_hex().as_str()));
}

#[tokio::test]
async fn a_recording_that_would_fill_the_disk_is_told_to_end_and_is_sealed_and_small_ones_go_on() {
    let scratch = Scratch::new();
    let Some(disk) = SmallDisk::mount(scratch.0.join("small")) else {
        println!("SKIPPED: a tmpfs can not be mounted here");
        return;
    };
    let dir = disk.0.join("recordings");
    let floors = Floors { floor: 128 << 10, reserve: 48 << 10, places: vec![disk.0.clone()] };
    let recordings = scratch.with(|_| Settings { dir, floors, pending_bound: 8 << 10 });
    let (small, large) =
        (recordings.begin(header(1)).await.unwrap(), recordings.begin(header(2)).await.unwrap());
    let quiet = small.open(0, shell()).await.unwrap();
    quiet.output(b"quiet").await.unwrap();
    let flood = large.open(0, shell()).await.unwrap();
    let mut hash = blake3::hash(b"noise");
    let why = loop {
        // A bound that is reached makes it wait for the disk.
        flood.output(hash.to_hex().repeat(64).as_bytes()).await.unwrap();
        hash = blake3::hash(hash.as_bytes());
        if let Ok(why) = tokio::time::timeout(std::time::Duration::ZERO, large.crowded()).await {
            break why;
        }
    };
    assert!(why.contains("fills up") && why.contains("so the session ends"), "{why}");
    // It ends in order, the other lives on, and nobody else begins.
    assert!(large.seal(DONE).await.is_ok());
    quiet.output(b"still").await.unwrap();
    small.rested().await;
    assert!(tokio::time::timeout(std::time::Duration::ZERO, small.crowded()).await.is_err());
    assert!(matches!(recordings.begin(header(3)).await, Err(RecordError::Space { .. })));
    // Whatever else fills the disk: what is reserved no recording takes.
    fs::write(disk.0.join("filler"), vec![1; 90 << 10]).unwrap();
    quiet.output(b"too much").await.ok();
    let failure = small.failed().await.to_string();
    assert!(failure.contains("kept for the audit log and the console"), "{failure}");
}

#[tokio::test]
async fn throughput_is_told_for_a_terminal_and_for_a_command() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let block = "-rw-r--r-- 1 root root   1234 Nov 23 17:31 some_file_name.rs\r\n".repeat(512);
    for (number, open) in [(1, shell()), (2, exec("cat"))] {
        let recorder = recordings.begin(header(number)).await.unwrap();
        let channel = recorder.open(0, open).await.unwrap();
        let start = std::time::Instant::now();
        let rounds = 16 * (1 << 20) / block.len();
        for _ in 0..rounds {
            channel.output(block.as_bytes()).await.unwrap();
        }
        let sealed = recorder.seal(DONE).await.unwrap();
        let (took, bytes) = (start.elapsed(), sealed.bytes);
        println!("{:?}: 16 MiB in {took:?}, {bytes} bytes on disk", open.kind);
        assert!(matches!(
            verify(&sealed.path, &recordings.public_key(), None).await.unwrap().verdict,
            Verdict::Whole(_)
        ));
    }
}
