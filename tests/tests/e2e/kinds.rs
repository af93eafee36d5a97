//! Every kind of session, on every way.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::support::{Scratch, random_bytes};
use crate::ways::on_each_way;

#[test]
fn a_command_keeps_its_two_streams_apart_and_its_exit_status() {
    needs_devices!();
    on_each_way(|way| {
        let done = way.ssh(&[], "echo out; echo err >&2; exit 42").run().unwrap();
        assert_eq!((done.out().as_str(), done.err().as_str(), done.code()), ("out\n", "err\n", Some(42)));
    });
}

#[test]
fn every_byte_and_the_end_of_input_reach_the_command_and_come_back() {
    needs_devices!();
    let sent = random_bytes(3_000_001);
    on_each_way(|way| {
        let done = way.ssh(&[], "cat; echo end").stdin(sent.clone()).ok().unwrap();
        let (echoed, end) = done.stdout.split_at(sent.len().min(done.stdout.len()));
        assert!(echoed == sent && end == b"end\n", "{} bytes came back", done.stdout.len());
    });
}

#[test]
fn a_command_that_closes_its_output_can_still_read() {
    needs_devices!();
    on_each_way(|way| {
        let done = way.ssh(&[], "exec >&-; wc -c >&2; exit 3").stdin(random_bytes(500_000)).run().unwrap();
        assert_eq!((done.err().trim(), done.code()), ("500000", Some(3)));
    });
}

#[test]
fn a_command_that_closed_its_output_still_tells_its_exit_status() {
    needs_devices!();
    on_each_way(|way| {
        let done = way.ssh(&[], "exec >&- 2>&-; sleep 0.3; exit 3").run().unwrap();
        assert_eq!(done.code(), Some(3), "{}", done.all());
    });
}

#[test]
fn a_command_that_does_not_read_ends_nevertheless() {
    needs_devices!();
    on_each_way(|way| {
        let done = way.ssh(&[], "exit 7").stdin(random_bytes(5_000_000)).run().unwrap();
        assert_eq!(done.code(), Some(7));
    });
}

#[test]
fn a_command_ended_by_a_signal_is_reported_as_such() {
    needs_devices!();
    on_each_way(|way| {
        let done = way.ssh(&["-v"], "kill -TERM $$").run().unwrap();
        assert_eq!(done.code(), Some(255));
        assert!(done.err().contains("rtype exit-signal"), "{}", done.err());
    });
}

#[test]
fn a_command_can_have_a_terminal() {
    needs_devices!();
    on_each_way(|way| {
        let mut pty = way.terminal(&["-t"], &["tty; stty size; echo $TERM; exit 5"]);
        let status = pty.end(PATIENCE).unwrap();
        let screen = pty.screen();
        assert_eq!(status.code(), Some(5), "{screen}");
        for shown in ["/dev/pts/", "24 80", "xterm-256color"] {
            assert!(screen.contains(shown), "{screen}");
        }
    });
}

#[test]
fn a_shell_has_a_terminal_whose_size_follows_and_whose_keys_signal() {
    needs_devices!();
    on_each_way(|way| {
        let mut pty = way.terminal(&[], &[]);
        pty.expect("$ ").unwrap();
        pty.send_line("echo $((6 * 7)); trap 'stty size' WINCH; sleep 0.01").unwrap();
        pty.expect("42\r\n").unwrap();
        pty.expect("$ ").unwrap();
        pty.resize(40, 100).unwrap();
        wait::until_true("the new size arrives", PATIENCE, || {
            pty.send_line("stty size").is_ok() && pty.expect_within("40 100", Duration::from_secs(1)).is_ok()
        })
        .unwrap();
        pty.send_line("trap - WINCH; echo sleeping; sleep 1000").unwrap();
        pty.expect("sleeping\r\n").unwrap();
        pty.interrupt().unwrap();
        pty.send_line("echo status=$?").unwrap();
        pty.expect("status=130").unwrap();
        pty.send_line("exit 9").unwrap();
        assert_eq!(pty.end(PATIENCE).unwrap().code(), Some(9), "{}", pty.screen());
    });
}

#[test]
fn only_the_environment_that_sshd_allows_passes() {
    needs_devices!();
    on_each_way(|way| {
        let options = ["-o", "SendEnv=LC_TIDE FOREIGN"];
        let done = way
            .ssh(&options, "echo $LC_TIDE/$FOREIGN")
            .env("LC_TIDE", "high")
            .env("FOREIGN", "no")
            .ok()
            .unwrap();
        assert_eq!(done.out(), "high/\n");
    });
}

#[test]
fn sftp_carries_files_both_ways() {
    needs_devices!();
    on_each_way(|way| {
        let scratch = Scratch::new("sftp");
        let (sent, back) = (scratch.file("sent", &random_bytes(1_500_000)), scratch.path("back"));
        let there = format!("/tmp/sftp-{}-{}", way.name, std::process::id());
        let batch = format!(
            "put {} {there}\nget {there} {}\nls -l {there}\nrename {there} {there}.new\nrm {there}.new\n",
            sent.display(),
            back.display()
        );
        let done = way.program("sftp").args(["-b", "-", way.name]).stdin(batch).ok().unwrap();
        assert!(done.out().contains("1500000"), "{}", done.all());
        assert_eq!(fs::read(sent).unwrap(), fs::read(back).unwrap());
    });
}

#[test]
fn scp_carries_files_both_ways_over_both_protocols() {
    needs_devices!();
    on_each_way(|way| {
        for protocol in ["-O", "-s"] {
            let scratch = Scratch::new("scp");
            fs::create_dir(scratch.path("tree")).unwrap();
            scratch.file("tree/one", &random_bytes(700_000));
            scratch.file("tree/empty", b"");
            let there = format!("/tmp/scp-{}-{}{protocol}", way.name, std::process::id());
            let (tree, back) = (scratch.path("tree").display().to_string(), scratch.path("back"));
            let scp = || way.program("scp").args([protocol, "-r", "-p"]);
            scp().args([&tree, &format!("{}:{there}", way.name)]).ok().unwrap();
            scp().arg(format!("{}:{there}", way.name)).arg(&back).ok().unwrap();
            same_trees(&scratch.path("tree"), &back);
            let missing = scp().args([&format!("{}:{there}/none", way.name), "/dev/null"]).run().unwrap();
            assert!(!missing.success() && missing.err().contains("No such file"), "{}", missing.all());
        }
    });
}

#[test]
fn rsync_carries_trees() {
    needs_devices!();
    on_each_way(|way| {
        let scratch = Scratch::new("rsync");
        fs::create_dir(scratch.path("tree")).unwrap();
        scratch.file("tree/one", &random_bytes(900_000));
        scratch.file("tree/two", b"two");
        let there = format!("{}:/tmp/rsync-{}-{}", way.name, way.name, std::process::id());
        let rsync = || Run::new("rsync").args(["-a", "-e", &way.shell_words()]);
        let tree = format!("{}/", scratch.path("tree").display());
        rsync().args([&tree, &there]).ok().unwrap();
        scratch.file("tree/two", b"changed");
        rsync().args([&tree, &there]).ok().unwrap();
        rsync().arg(format!("{there}/")).arg(scratch.path("back")).ok().unwrap();
        same_trees(&scratch.path("tree"), &scratch.path("back"));
    });
}

#[test]
fn git_pushes_and_clones() {
    needs_devices!();
    on_each_way(|way| {
        let scratch = Scratch::new("git");
        let bare = format!("git-{}-{}", way.name, std::process::id());
        way.ssh(&[], &format!("git init -q --bare {bare}")).ok().unwrap();
        let git = |dir: PathBuf, args: &[&str]| {
            let settings =
                ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"];
            let run =
                Run::new("git").args(settings).args(args).dir(dir).env("GIT_SSH_COMMAND", way.shell_words());
            run.env("GIT_CONFIG_GLOBAL", "/dev/null").ok().unwrap()
        };
        let url = format!("{}:{bare}", way.name);
        fs::create_dir(scratch.path("work")).unwrap();
        scratch.file("work/file", &random_bytes(200_000));
        git(scratch.path("work"), &["init", "-q"]);
        git(scratch.path("work"), &["add", "."]);
        git(scratch.path("work"), &["commit", "-q", "-m", "one"]);
        git(scratch.path("work"), &["push", "-q", &url, "HEAD:refs/heads/main"]);
        git(scratch.path(""), &["clone", "-q", "-b", "main", &url, "clone"]);
        assert_eq!(
            fs::read(scratch.path("work/file")).unwrap(),
            fs::read(scratch.path("clone/file")).unwrap()
        );
    });
}

#[test]
fn one_connection_carries_many_channels() {
    needs_devices!();
    on_each_way(|way| {
        let scratch = Scratch::new("mux");
        let control = format!("ControlPath={}", scratch.path("s").display());
        let master = way.program("ssh").args(["-o", &control, "-M", "-N", way.name]).start().unwrap();
        wait::until_true("the master is up", PATIENCE, || scratch.path("s").exists()).unwrap();
        let running: Vec<_> = (0..8)
            .map(|number| {
                let command = format!("head -c 400000 /dev/zero | wc -c; exit {number}");
                way.ssh(&["-o", &control], &command).start().unwrap()
            })
            .collect();
        for (number, running) in running.into_iter().enumerate() {
            let done = running.done().unwrap();
            let ended = (done.out(), done.code());
            assert_eq!(ended, ("400000\n".to_owned(), i32::try_from(number).ok()), "{}", done.err());
        }
        way.program("ssh").args(["-o", &control, "-O", "exit", way.name]).ok().unwrap();
        master.done().unwrap();
    });
}

#[test]
fn keys_are_renewed_under_load_without_a_byte_lost() {
    needs_devices!();
    let sent = random_bytes(12_000_000);
    on_each_way(|way| {
        let done = way.ssh(&["-o", "RekeyLimit=1M"], "cat").stdin(sent.clone()).ok().unwrap();
        assert!(done.stdout == sent, "{} bytes came back", done.stdout.len());
    });
}

/// Every kind of session while keys are exchanged anew again and again; the terminal's output
/// is what a person would have seen.
#[test]
fn keys_are_renewed_under_files_and_a_terminal_too() {
    needs_devices!();
    const RENEWED: [&str; 2] = ["-o", "RekeyLimit=512K"];
    on_each_way(|way| {
        let scratch = Scratch::new("rekey");
        fs::create_dir(scratch.path("tree")).unwrap();
        scratch.file("tree/one", &random_bytes(2_000_000));
        let tree = scratch.path("tree").display().to_string();
        for protocol in ["-O", "-s"] {
            let there = format!("{}:/tmp/rekey-{}-{}{protocol}", way.name, way.name, std::process::id());
            let back = scratch.path(&format!("scp{protocol}"));
            let scp = || way.program("scp").args(RENEWED).args([protocol, "-r"]);
            scp().args([&tree, &there]).ok().unwrap();
            scp().arg(&there).arg(&back).ok().unwrap();
            same_trees(&scratch.path("tree"), &back);
        }
        let there = format!("{}:/tmp/rekey-{}-{}-rsync", way.name, way.name, std::process::id());
        let shell = format!("{} {}", way.shell_words(), RENEWED.join(" "));
        let rsync = || Run::new("rsync").args(["-a", "-e", &shell]);
        rsync().args([&format!("{tree}/"), &there]).ok().unwrap();
        rsync().arg(format!("{there}/")).arg(scratch.path("rsync")).ok().unwrap();
        same_trees(&scratch.path("tree"), &scratch.path("rsync"));
        let done = way.ssh(&[&RENEWED[..], &["-tt", "-v"]].concat(), "seq 1 300000").ok().unwrap();
        let lines: Vec<u32> = done.out().lines().filter_map(|line| line.trim().parse().ok()).collect();
        assert!(lines == (1..=300_000).collect::<Vec<u32>>(), "{} lines came", lines.len());
        let renewals = done.err().matches("SSH2_MSG_NEWKEYS received").count();
        assert!(renewals > 2, "keys were exchanged {renewals} times: {}", done.err());
    });
}

fn same_trees(one: &std::path::Path, other: &std::path::Path) {
    let done = Run::new("diff").arg("-r").arg(one).arg(other).run().unwrap();
    assert!(done.success(), "{}", done.all());
}
