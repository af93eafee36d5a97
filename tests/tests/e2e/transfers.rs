//! Files that stock clients carry are listed: which way, path, size, SHA-256, result.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::support::{Scratch, random_bytes};
use crate::ways::{Way, on_each_way, street};

const LARGE: usize = 64 * 1024 * 1024;

/// What is told of a file, of whichever kind the event is.
fn of_file(event: &Value) -> &Value {
    event.get("transfer").or_else(|| event.get("changed")).unwrap_or(&Value::Null)
}

/// What is listed of the session that touched `path`, once `count` entries are.
fn listed(path: &str, count: usize) -> (String, Vec<Value>) {
    let world = &street().world;
    let told = |event: &Value| of_file(event)["path"].as_str() == Some(path);
    let session = wait::until("the transfer is in the audit log", PATIENCE, || {
        let records = world.json(&["audit", "tail", "-n", "2000"]).unwrap();
        let mut records = records.as_array().unwrap().iter();
        let record = records.find(|record| told(&record["event"]))?;
        Some(record["event"]["session"].as_str()?.to_owned())
    });
    let session = session.unwrap();
    let transfers = wait::until("the session's transfers are listed", PATIENCE, || {
        let shown = world.json(&["session", "show", &session]).unwrap();
        let transfers = shown["transfers"].as_array().unwrap().clone();
        (transfers.len() >= count && !shown["live"].as_bool()?).then_some(transfers)
    });
    let transfers = transfers.unwrap();
    assert_eq!(transfers.len(), count, "{transfers:#?}");
    (session, transfers.iter().map(of_file).cloned().collect())
}

/// Which way, path, bytes, digest and result of each.
fn files(transfers: &[Value]) -> Vec<(&str, &str, u64, &str, &str)> {
    let mut files = Vec::new();
    for one in transfers {
        let text = |name: &str| one[name].as_str().unwrap_or_default();
        let bytes = one["bytes"].as_u64().unwrap_or_default();
        files.push((text("way"), text("path"), bytes, text("sha256"), text("outcome")));
    }
    files
}

fn sha256sum(path: &Path) -> String {
    let done = Run::new("sha256sum").arg(path).ok().unwrap();
    done.out().split_whitespace().next().unwrap().to_owned()
}

fn through_the_gate(test: impl Fn(&Way)) {
    on_each_way(|way| {
        if way.name != "direct" {
            test(way);
        }
    });
}

fn there(what: &str, way: &Way) -> String {
    format!("/tmp/{what}-{}-{}", way.name, std::process::id())
}

#[test]
fn a_file_that_sftp_carries_is_listed_with_the_digest_that_sha256sum_has() {
    needs_devices!();
    let scratch = Scratch::new("listed");
    let sent = scratch.file("sent", &random_bytes(LARGE));
    let digest = sha256sum(&sent);
    through_the_gate(|way| {
        let (path, back) = (there("listed", way), scratch.path("back"));
        let batch = format!("put {} {path}\nget {path} {}\nrm {path}\n", sent.display(), back.display());
        let sftp = way.program("sftp").args(["-b", "-", way.name]).stdin(batch);
        sftp.within(Duration::from_secs(300)).ok().unwrap();
        let (session, transfers) = listed(&path, 3);
        let bytes = LARGE as u64;
        assert_eq!(
            files(&transfers)[..2],
            [("upload", &*path, bytes, &*digest, "done"), ("download", &*path, bytes, &*digest, "done")]
        );
        assert_eq!((&transfers[2]["change"], &transfers[2]["outcome"]), (&"remove".into(), &"done".into()));
        let world = &street().world;
        let shown = world.admin(&["session", "show", &session]).unwrap().ok().unwrap().out();
        assert!(shown.contains("SHA-256") && shown.contains(&digest), "{shown}");
        let export = world.admin(&["session", "export", &session]).unwrap().ok().unwrap().out();
        assert!(export.contains(&format!("upload of {path}, {bytes} bytes, done")), "{export}");
    });
}

#[test]
fn trees_that_scp_carries_are_listed_over_both_protocols() {
    needs_devices!();
    through_the_gate(|way| {
        for protocol in ["-O", "-s"] {
            let scratch = Scratch::new("tree");
            std::fs::create_dir(scratch.path("tree")).unwrap();
            let one = sha256sum(&scratch.file("tree/one", &random_bytes(700_000)));
            let empty = sha256sum(&scratch.file("tree/empty", b""));
            let path = format!("{}{protocol}", there("tree", way));
            let (tree, back) = (scratch.path("tree"), scratch.path("back"));
            let scp = || way.program("scp").args([protocol, "-r", "-p"]);
            scp().arg(&tree).arg(format!("{}:{path}", way.name)).ok().unwrap();
            let expected = |direction: &'static str, listed: Vec<Value>| {
                let mut listed: Vec<_> =
                    files(&listed).into_iter().filter(|(way, ..)| !way.is_empty()).collect();
                listed.sort_unstable();
                let (first, second) = (format!("{path}/empty"), format!("{path}/one"));
                let wanted: [(&str, &str, u64, &str, &str); 2] =
                    [(direction, &first, 0, &empty, "done"), (direction, &second, 700_000, &one, "done")];
                assert_eq!(listed, wanted, "{protocol}");
            };
            // Over SFTP the directory and the attributes that -p keeps are changes of their own.
            let changes = if protocol == "-O" { 0 } else { 4 };
            expected("upload", listed(&format!("{path}/one"), 2 + changes).1);
            way.ssh(&[], &format!("mv {path} {path}.new")).ok().unwrap();
            let path = format!("{path}.new");
            scp().arg(format!("{}:{path}", way.name)).arg(&back).ok().unwrap();
            let (_, down) = listed(&format!("{path}/one"), 2);
            let names: Vec<_> =
                files(&down).into_iter().map(|(way, _, bytes, sha, _)| (way, bytes, sha)).collect();
            assert!(names.contains(&("download", 700_000, &one)), "{names:?}");
            assert!(names.contains(&("download", 0, &empty)), "{names:?}");
        }
    });
}

#[test]
fn names_that_are_no_utf8_are_listed_each_as_itself_over_both_protocols_and_their_content_is_not_kept() {
    needs_devices!();
    through_the_gate(|way| {
        for protocol in ["-O", "-s"] {
            let scratch = Scratch::new("bytes");
            std::fs::create_dir(scratch.path("sent")).unwrap();
            let directory = format!("{}{protocol}", there("bytes", way));
            way.ssh(&[], &format!("mkdir {directory}")).ok().unwrap();
            let content = format!("content over {protocol} {}\n", way.name).repeat(100);
            // The second looks like the first where bytes are only shown.
            let names = [&b"gr\xfcn"[..], b"gr\\xfcn"].map(OsStr::from_bytes);
            for name in names {
                std::fs::write(scratch.path("sent").join(name), &content).unwrap();
            }
            let remote = |name: &OsStr| {
                let mut remote = OsString::from(format!("{}:{directory}/", way.name));
                remote.push(name);
                remote
            };
            let scp = || way.program("scp").arg(protocol);
            let sent = names.map(|name| scratch.path("sent").join(name));
            scp().args(&sent).arg(remote(OsStr::new(""))).ok().unwrap();
            // Of the protocol of old the far shell reads the name, and would eat its backslash.
            scp().arg(remote(names[0])).arg(scratch.path("back")).ok().unwrap();
            assert_eq!(std::fs::read_to_string(scratch.path("back")).unwrap(), content);
            let shown = [format!("{directory}/gr\\xfcn"), format!("{directory}/gr\\\\xfcn")];
            let digest = sha256sum(&scratch.path("back"));
            let bytes = content.len() as u64;
            let mut sessions = Vec::new();
            let world = &street().world;
            let told = || -> Vec<Value> {
                let records = world.json(&["audit", "tail", "-n", "2000"]).unwrap();
                let events = records.as_array().unwrap().iter().map(|record| record["event"].clone());
                let here = |event: &Value| {
                    event["transfer"]["path"].as_str().is_some_and(|path| path.starts_with(&directory))
                };
                events.filter(here).collect()
            };
            wait::until_true("all three are listed", PATIENCE, || told().len() >= 3).unwrap();
            let mut listed = Vec::new();
            for event in told() {
                sessions.push(event["session"].as_str().unwrap().to_owned());
                listed.push(event["transfer"].clone());
            }
            let mut listed = files(&listed);
            listed.sort_unstable();
            let file = |way: &'static str, path: usize| (way, &*shown[path], bytes, &*digest, "done");
            assert_eq!(listed, [file("download", 0), file("upload", 1), file("upload", 0)], "{protocol}");
            for session in sessions {
                let export = world.admin(&["session", "export", &session]).unwrap().ok().unwrap().out();
                assert!(!export.contains("content over"), "{protocol}: {export}");
            }
        }
    });
}

#[test]
fn a_transfer_whose_client_is_killed_is_listed_as_cut_off_with_the_bytes_that_passed() {
    needs_devices!();
    let scratch = Scratch::new("cut");
    let sent = scratch.file("sent", &random_bytes(LARGE));
    through_the_gate(|way| {
        for (program, options) in
            [("sftp", vec!["-b", "-", "-l", "8000", way.name]), ("scp", vec!["-O", "-l", "8000"])]
        {
            let path = format!("{}-{program}", there("cut", way));
            let run = way.program(program).args(options);
            let run = match program {
                "scp" => run.arg(&sent).arg(format!("{}:{path}", way.name)),
                _ => run.stdin(format!("put {} {path}\n", sent.display())),
            };
            let running = run.start().unwrap();
            wait::until_true("the first bytes are there", PATIENCE, || {
                way.ssh(&[], &format!("test -s {path}")).run().unwrap().success()
            })
            .unwrap();
            running.kill().unwrap();
            let (_, transfers) = listed(&path, 1);
            let (direction, _, bytes, digest, outcome) = files(&transfers)[0];
            assert_eq!((direction, digest, outcome), ("upload", "", "cut"), "{transfers:#?}");
            assert!(bytes > 0 && bytes < LARGE as u64, "{bytes}");
        }
    });
}

#[test]
fn refused_and_failed_transfers_are_listed_with_their_reason() {
    needs_devices!();
    let scratch = Scratch::new("refused");
    let sent = scratch.file("sent", &random_bytes(100_000));
    through_the_gate(|way| {
        let path = format!("/root/{}-{}", way.name, std::process::id());
        let batch = format!("put {} {path}\n", sent.display());
        let done = way.program("sftp").args(["-b", "-", way.name]).stdin(batch).run().unwrap();
        assert!(!done.success());
        let refused = |transfers: Vec<Value>, why: &str| {
            let (_, _, bytes, digest, outcome) = files(&transfers)[0];
            assert_eq!((bytes, digest, outcome), (0, "", "failed"), "{transfers:#?}");
            let detail = transfers[0]["detail"].as_str().unwrap().to_ascii_lowercase();
            assert!(detail.contains(why), "{detail}");
        };
        refused(listed(&path, 1).1, "permission denied");
        let path = format!("{path}-O");
        let done = way.program("scp").arg("-O").arg(&sent).arg(format!("{}:{path}", way.name)).run().unwrap();
        assert!(!done.success());
        refused(listed(&path, 1).1, "permission denied");
        // A file that can be opened, on a device without room.
        let full = there("full", way);
        way.ssh(&[], &format!("ln -s /dev/full {full}")).ok().unwrap();
        let batch = format!("put {} {full}\n", sent.display());
        assert!(!way.program("sftp").args(["-b", "-", way.name]).stdin(batch).run().unwrap().success());
        refused(listed(&full, 1).1, "failure");
    });
}

#[test]
fn what_is_done_to_files_without_carrying_them_is_listed() {
    needs_devices!();
    through_the_gate(|way| {
        let path = there("changed", way);
        let batch = format!(
            "mkdir {path}\nchmod 700 {path}\nsymlink target {path}/link\nrename {path}/link {path}/moved\n\
             rm {path}/moved\nrmdir {path}\n-rmdir {path}\n"
        );
        way.program("sftp").args(["-b", "-", way.name]).stdin(batch).ok().unwrap();
        let (_, changes) = listed(&path, 7);
        let told: Vec<_> =
            changes.iter().map(|one| (one["change"].as_str(), one["outcome"].as_str())).collect();
        let told: Vec<_> = told.into_iter().map(|(one, two)| (one.unwrap(), two.unwrap())).collect();
        let wanted = [
            ("make-directory", "done"),
            ("set-attributes", "done"),
            ("symbolic-link", "done"),
            ("rename", "done"),
            ("remove", "done"),
            ("remove-directory", "done"),
            ("remove-directory", "failed"),
        ];
        assert_eq!(told, wanted, "{changes:#?}");
        assert_eq!(changes[1]["attributes"], "mode 0700");
        assert_eq!(changes[3]["to"], format!("{path}/moved"));
    });
}

#[test]
fn a_command_that_only_looks_like_scp_is_recorded_as_a_command() {
    needs_devices!();
    through_the_gate(|way| {
        let mark = there("looks", way);
        let command = format!("scp -f {mark}; echo seen {mark}");
        let done = way.ssh(&[], &command).stdin("\0").run().unwrap();
        assert!(done.out().contains(&format!("seen {mark}")), "{}", done.all());
        let world = &street().world;
        let session = wait::until("the session with the command is over", PATIENCE, || {
            let records = world.json(&["audit", "tail", "-n", "2000"]).unwrap();
            let events: Vec<_> = records.as_array()?.iter().map(|record| &record["event"]).collect();
            let ran = events.iter().find(|event| event["command"] == command.as_str())?;
            let over =
                |event: &&Value| event["type"] == "session-ended" && event["session"] == ran["session"];
            events.iter().any(over).then(|| ran["session"].as_str().unwrap().to_owned())
        });
        let export = world.admin(&["session", "export", &session.unwrap()]).unwrap().ok().unwrap().out();
        // Not as the command itself, which has no line's end; for a screen it ends in CR and LF.
        let shown = ["\\n", "\\r\\n"].map(|end| export.contains(&format!("seen {mark}{end}")));
        assert!(shown.contains(&true), "{export}");
    });
}
