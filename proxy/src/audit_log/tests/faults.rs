//! The store and the log on a disk that fails: every write, sync and truncation, one after
//! the other, once and for good, and with the power cut right after it.
//!
//! The test runs itself anew with `faults.c` loaded, which fails the calls.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit::{EndCause, Event, Note};
use tidegate_common::id::SessionId;
use tidegate_common::model::Resources;
use tidegate_common::name::DeviceName;
use tidegate_common::secret::Secret;

use super::{lines, wait_for_the_end};
use crate::audit_log::AuditLog;
use crate::store::testing::{gate, session};
use crate::store::{Enrolled, Store, StoreUrl};

const CONTROL: &str = "TIDEGATE_FAULTS_CONTROL";
const DIR: &str = "TIDEGATE_FAULTS_DIR";

/// What fails, as `faults.c` numbers it, and whether for good.
const FAULTS: [(&str, i64, bool); 5] = [
    ("one call finds the disk full", 0, false),
    ("the disk is full from here on", 0, true),
    ("one call fails", 1, false),
    ("all calls fail from here on", 1, true),
    ("half is written, then the disk is full", 2, true),
];

#[test]
fn what_was_acknowledged_is_stored_and_the_log_holds_wherever_the_disk_fails() {
    match std::env::var_os(CONTROL) {
        None => run_with_faults(),
        Some(control) => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(every_fault(Path::new(&control)));
        }
    }
}

/// Runs this very test with the library loaded.
fn run_with_faults() {
    let scratch = nix::unistd::mkdtemp(&std::env::temp_dir().join("tidegate-faults-XXXXXX")).unwrap();
    let (library, control, dir) = (scratch.join("faults.so"), scratch.join("control"), scratch.join("disk"));
    fs::create_dir(&dir).unwrap();
    fs::write(&control, [0xff; 32]).unwrap();
    let source = scratch.join("faults.c");
    fs::write(&source, include_str!("faults.c")).unwrap();
    let cc = Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(cc.unwrap().success(), "cc makes faults.so");
    let name = std::thread::current().name().unwrap().to_owned();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env("LD_PRELOAD", &library)
        .env(CONTROL, &control)
        .env(DIR, &dir)
        .output()
        .unwrap();
    fs::remove_dir_all(&scratch).unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("places of each fault"), "{said}");
    print!("{said}");
}

async fn every_fault(control: &Path) {
    let disk = PathBuf::from(std::env::var_os(DIR).unwrap());
    let faults = Faults(OpenOptions::new().read(true).write(true).open(control).unwrap());
    faults.disarm();
    let template = disk.join("template");
    fs::create_dir(&template).unwrap();
    let store = Store::open(&url(&template), &gate("gate1")).await.unwrap();
    for when in ["before", "after"] {
        let (device, token) = revoked(when);
        store.enrol(&device, "old", NOW).await;
        assert!(store.takes(Store::agent_revoked(&device)).await);
        let expires = NOW + Duration::from_secs(60);
        assert!(store.takes(Store::token_minted(&device, &token, NOW, expires)).await);
    }
    store.close().await.unwrap();
    let mut places = Vec::new();
    for (what, fault, for_good) in FAULTS {
        let mut place = 0;
        loop {
            let dir = disk.join(format!("{fault}-{for_good}-{place}"));
            copy(&template, &dir);
            let context = format!("{what}, at call {place}");
            let struck = one_fault(&faults, &dir, (place, fault, for_good), &context).await;
            fs::remove_dir_all(&dir).unwrap();
            if !struck {
                break;
            }
            place += 1;
        }
        assert!(place > 20, "{what}: only {place} calls were struck");
        places.push(place);
    }
    println!("{places:?} places of each fault");
}

/// Plays the scene with one fault; `false` when it was never met.
async fn one_fault(faults: &Faults, dir: &Path, fault: (i64, i64, bool), context: &str) -> bool {
    let store = Store::open(&url(dir), &gate("gate1")).await.unwrap();
    let log = AuditLog::open(store.clone(), &dir.join("audit")).await.unwrap();
    faults.arm(fault);
    let mut known = Known::default();
    known.play(&store, &log, "before").await;
    let failed = faults.failed();
    // The power fails now: what the disk has is what was written.
    let crashed = dir.with_extension("crashed");
    copy(dir, &crashed);
    faults.disarm();
    known.hold_in(&crashed, context, false).await;
    fs::remove_dir_all(&crashed).unwrap();

    // There is room again, and everything goes on by itself.
    let refused = known.refused.len();
    known.play(&store, &log, "after").await;
    assert_eq!(known.refused.len(), refused, "{context}: {:?} with room", known.refused);
    let end = log.newest.clone();
    log.verify().await.unwrap_or_else(|error| panic!("{context}: {error}"));
    drop(log);
    wait_for_the_end(end).await;
    store.close().await.unwrap();
    known.hold_in(dir, context, true).await;
    failed > 0
}

/// What was said of each step of a scene.
#[derive(Default)]
struct Known {
    /// Numbers and texts of records that were said to be on the disk.
    records: Vec<(u64, String)>,
    /// Texts of what has happened, whatever was said.
    told: Vec<String>,
    users: Vec<String>,
    enrolled: Vec<DeviceName>,
    began: Vec<SessionId>,
    ended: Vec<SessionId>,
    /// What was said not to be done.
    refused: Vec<String>,
}

impl Known {
    async fn play(&mut self, store: &Store, log: &AuditLog, when: &str) {
        for number in 0..2 {
            let text = format!("{when} {number}");
            match log.append(record(&text)).await {
                Ok(seq) => self.records.push((seq, text)),
                Err(_) => self.refused.push(text),
            }
        }
        let user = format!("user-{when}");
        let resources = Resources::default().update(&format!("[[user]]\nname = \"{user}\"\n")).unwrap();
        let put: Vec<_> = resources.written.into_iter().map(|(resource, _)| resource).collect();
        let (_, was) = store.resources_to_change().await.unwrap();
        let applied = record(&format!("{user} is there"));
        match log.step(vec![applied], Store::resources_step(put, Vec::new(), was)).await {
            Ok(()) => self.users.push(user),
            Err(_) => self.refused.push(user),
        }
        let (device, token) = revoked(when);
        let anew = Enrolled { device: &device, certificate: "new", public_key: "new" };
        let enrolled = record(&format!("{device} is enrolled"));
        match log.step(vec![enrolled], Store::token_redeemed(&token, &anew, NOW)).await {
            Ok(()) => self.enrolled.push(device),
            Err(_) => self.refused.push(device.to_string()),
        }
        let session = session(if when == "before" { 1 } else { 2 });
        match store.session_put(&session).await {
            Ok(()) => self.began.push(session.id),
            Err(_) => self.refused.push(format!("session {when}")),
        }
        let happened = format!("happened {when}");
        let _ = log.tell(record(&happened)).await;
        self.told.push(happened);
        match store.session_end(session.id, EndCause::User, session.started).await {
            Ok(()) if self.began.contains(&session.id) => self.ended.push(session.id),
            Ok(()) => {}
            Err(_) => self.refused.push(format!("end of session {when}")),
        }
    }

    /// Opens what a disk has and looks for all of it; `later` is after all could be written.
    async fn hold_in(&self, dir: &Path, context: &str, later: bool) {
        let store =
            Store::open(&url(dir), &gate("gate1")).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        let rows = store.audit_from(store.own_gate(), 1, 1000).await.unwrap();
        let has = |text: &str| rows.iter().filter(|row| row.body.contains(&format!("\"{text}\""))).count();
        for (seq, text) in &self.records {
            let row = rows.iter().find(|row| row.seq == i64::try_from(*seq).unwrap());
            assert!(
                row.is_some_and(|row| row.body.contains(text)),
                "{context}: record {seq}, `{text}`, is not there"
            );
        }
        let resources = store.resources().await.unwrap();
        for user in ["user-before", "user-after"] {
            let there = resources.users.iter().any(|known| known.name.as_str() == user);
            let said = self.users.iter().any(|known| known == user);
            assert!(there || !said, "{context}: {user} was said to be there");
            assert_eq!(has(&format!("{user} is there")), usize::from(there), "{context}: {user} in the log");
            assert!(!there || said || !later, "{context}: {user} was said not to be there");
        }
        let (agents, tokens) = (store.agents().await.unwrap(), store.tokens().await.unwrap());
        for device in ["before", "after"].map(|when| revoked(when).0) {
            let agent = agents.iter().find(|agent| agent.device == device).unwrap();
            let there = !agent.revoked;
            let said = self.enrolled.contains(&device);
            assert!(there || !said, "{context}: {device} was said to be enrolled");
            assert_eq!(agent.certificate == "new", there, "{context}: the certificate of {device}");
            let used = tokens.iter().any(|token| token.device == device && token.used.is_some());
            assert_eq!(used, there, "{context}: the token of {device}");
            let logged = has(&format!("{device} is enrolled"));
            assert_eq!(logged, usize::from(there), "{context}: {device} in the log");
            assert!(!there || said || !later, "{context}: {device} was said not to be enrolled");
        }
        for id in &self.began {
            assert!(store.session(*id).await.unwrap().is_some(), "{context}: session {id}");
        }
        for id in &self.ended {
            let session = store.session(*id).await.unwrap().unwrap();
            assert!(session.ended.is_some(), "{context}: session {id} was said to be over");
        }
        if later {
            for text in &self.told {
                assert_eq!(has(text), 1, "{context}: `{text}`");
            }
            for text in self.refused.iter().filter(|text| text.starts_with("before ")) {
                assert_eq!(has(text), 0, "{context}: `{text}` was said not to be done");
            }
            let copied = lines(&dir.join("audit"));
            assert_eq!(copied.len(), rows.len(), "{context}: lines of the copy");
        }
        let log = AuditLog::open(store.clone(), &dir.join("audit")).await.unwrap();
        let verified = log.verify().await.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(verified.records, rows.len() as u64, "{context}");
        let end = log.newest.clone();
        drop(log);
        wait_for_the_end(end).await;
        store.close().await.unwrap();
    }
}

/// The file through which `faults.c` is armed.
struct Faults(File);

impl Faults {
    fn put(&self, field: u64, value: i64) {
        self.0.write_all_at(&value.to_ne_bytes(), field * 8).unwrap();
    }

    fn arm(&self, (calls, fault, for_good): (i64, i64, bool)) {
        self.put(3, 0);
        self.put(2, i64::from(for_good));
        self.put(1, fault);
        self.put(0, calls);
    }

    fn disarm(&self) {
        self.put(0, -1);
    }

    fn failed(&self) -> i64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 24).unwrap();
        i64::from_ne_bytes(bytes)
    }
}

/// When tokens are made and used.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A device whose agent was revoked, and the token that enrols it anew.
fn revoked(when: &str) -> (DeviceName, Secret) {
    (format!("device-{when}").parse().unwrap(), Secret::new(format!("token {when}")))
}

fn record(text: &str) -> Event {
    Event::ProxyStopped { why: Note::new(text) }
}

fn url(dir: &Path) -> StoreUrl {
    StoreUrl::Sqlite(dir.join("t.db"))
}

/// Copies a directory, but for SQLite's shared memory, which no power cut leaves.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if !name.to_string_lossy().ends_with("-shm") {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
