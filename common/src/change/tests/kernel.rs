//! What a host's kernel saw, of shells and what they run.

use super::*;

/// A host that runs programs; `pid` counts on.
struct Host {
    comparer: Comparer,
    pid: u32,
    clock: i64,
    tty: &'static str,
}

fn host(expected: &[&str], tty: &'static str) -> Host {
    Host { comparer: Comparer::new(&change(expected)), pid: 100, clock: 0, tty }
}

impl Host {
    /// A process of `parent` runs a program; its pid, and whether it was unexpected.
    fn runs(&mut self, parent: u32, words: &[&str]) -> (u32, bool) {
        self.pid += 1;
        (
            self.pid,
            self.execs(
                self.pid,
                parent,
                &format!("/usr/bin/{}", base(words[0].trim_start_matches('-'))),
                words,
            ),
        )
    }

    fn execs(&mut self, pid: u32, ppid: u32, exe: &str, words: &[&str]) -> bool {
        let exec = Exec {
            at: after(self.clock),
            pid,
            ppid,
            uid: 1000,
            exit: 0,
            tty: Note::new(self.tty),
            exe: CommandText::new(exe),
            argv: words.iter().map(CommandText::new).collect(),
            cut: 0,
            cwd: CommandText::new("/"),
        };
        self.comparer.exec(&exec).is_some()
    }

    /// A login shell at a terminal, at whose prompt a line was typed.
    fn at_a_prompt(&mut self) -> u32 {
        let (shell, _) = self.runs(1, &["-bash"]);
        let _ = self.comparer.line(CommandSource::Typed, "true");
        self.clock += 1;
        shell
    }
}

#[test]
fn what_a_login_shells_own_files_run_is_not_unexpected_and_what_runs_after_a_line_is() {
    let mut host = host(&["df -h"], "pts0");
    let (shell, told) = host.runs(1, &["-bash"]);
    assert!(!told);
    for words in [&["/usr/bin/dircolors", "-b"][..], &["own-tool", "--init"]] {
        assert!(!host.runs(shell, words).1, "{words:?}");
    }
    let _ = host.comparer.line(CommandSource::Typed, "df -h");
    assert!(host.runs(shell, &["own-tool", "--init"]).1);
    assert!(!host.runs(shell, &["df", "-h"]).1);
    assert!(!host.runs(shell, &["/usr/bin/clear_console", "-q"]).1, "Debian's ~/.bash_logout");
    assert_eq!(host.comparer.report().expected[0].source, Some(CommandSource::Witness));
}

#[test]
fn a_shell_that_the_kernel_tells_of_after_a_line_was_typed_has_started_when_that_line_runs() {
    let mut host = host(&["stty -echo"], "pts0");
    let _ = host.comparer.line(CommandSource::Typed, "stty -echo");
    let (shell, _) = host.runs(1, &["-bash"]);
    assert!(!host.runs(shell, &["own-tool", "--init"]).1);
    assert!(!host.runs(shell, &["stty", "-echo"]).1);
    assert!(host.runs(shell, &["own-tool", "--hidden"]).1);
}

#[test]
fn a_shell_that_nobody_types_at_has_started_after_ten_seconds() {
    let mut host = host(&[], "pts0");
    let (shell, _) = host.runs(1, &["-bash"]);
    host.clock = 9;
    assert!(!host.runs(shell, &["own-tool"]).1);
    host.clock = 11;
    assert!(host.runs(shell, &["own-tool"]).1);
}

#[test]
fn without_a_terminal_only_the_usual_start_up_commands_pass() {
    let mut host = host(&[], "");
    let (shell, _) = host.runs(1, &["-bash"]);
    assert!(!host.runs(shell, &["id", "-u"]).1);
    assert!(host.runs(shell, &["rm", "x"]).1);
}

#[test]
fn a_script_s_own_commands_are_the_script_s() {
    let mut host = host(&["./deploy.sh *", "backup.sh"], "pts0");
    let shell = host.at_a_prompt();
    let (script, told) = host.runs(shell, &["/bin/sh", "./deploy.sh", "now"]);
    assert!(!told, "a kernel names the interpreter of a script first");
    assert!(!host.runs(script, &["rm", "x"]).1);
    let forked = 9000;
    assert!(!host.runs(forked, &["rm", "y"]).1, "a subshell of the script");
    assert!(!host.runs(shell, &["/bin/sh", "/usr/local/bin/backup.sh"]).1);
    assert!(host.runs(shell, &["/bin/sh", "/tmp/backup.sh"]).1);
}

#[test]
fn a_subshell_and_a_shell_within_the_shell_are_the_persons() {
    let mut host = host(&["bash"], "pts0");
    let shell = host.at_a_prompt();
    let forked = 9000;
    assert!(host.runs(forked, &["rm", "x"]).1, "(rm x; true)");
    let (inner, told) = host.runs(shell, &["bash"]);
    assert!(!told);
    let _ = host.comparer.line(CommandSource::Typed, "bash");
    assert!(host.runs(inner, &["rm", "y"]).1);
    assert!(host.runs(shell, &["bash", "-c", "rm z"]).1, "code in arguments");
}

#[test]
fn what_sudo_runs_is_the_line_that_called_it() {
    let mut host = host(&["sudo -u postgres psql -c *"], "pts0");
    let shell = host.at_a_prompt();
    let (sudo, told) = host.runs(shell, &["sudo", "-u", "postgres", "psql", "-c", "select 1"]);
    assert!(!told);
    assert!(!host.runs(sudo, &["psql", "-c", "select 1"]).1);
    let monitor = 9000;
    assert!(!host.runs(monitor, &["psql", "-c", "select 1"]).1, "sudo runs it below a process of its own");
    assert!(host.runs(shell, &["sudo", "-u", "postgres", "sh", "-c", "x"]).1);
}

#[test]
fn a_root_shell_of_sudo_is_the_persons_too() {
    let mut host = host(&["sudo -i"], "pts0");
    let shell = host.at_a_prompt();
    let (sudo, _) = host.runs(shell, &["sudo", "-i"]);
    let (root, told) = host.runs(sudo, &["-bash"]);
    assert!(!told);
    assert!(!host.runs(root, &["mesg", "n"]).1);
    let _ = host.comparer.line(CommandSource::Typed, "sudo -i");
    assert!(host.runs(root, &["rm", "x"]).1);
}

#[test]
fn of_an_exec_request_the_shell_is_no_command_and_what_it_runs_is() {
    let mut host = host(&["cd /srv && make all"], "");
    assert_eq!(host.comparer.line(CommandSource::Exec, "cd /srv && make all"), None);
    let (shell, told) = host.runs(1, &["bash", "-c", "cd /srv && make all"]);
    assert!(!told);
    assert!(
        !host.execs(shell, 1, "/usr/bin/make", &["make", "all"]),
        "a shell's last command takes its place"
    );
    assert!(!host.runs(shell, &["cc", "x.c"]).1, "make runs it");
    let told = host.comparer.line(CommandSource::Exec, "make clean").unwrap();
    assert_eq!(told.command.as_str(), "make clean");
    let (shell, _) = host.runs(1, &["bash", "-c", "make clean"]);
    assert!(!host.execs(shell, 1, "/usr/bin/make", &["make", "clean"]), "it was told already");
    assert_eq!(host.comparer.report().unexpected.len(), 1);
}

#[test]
fn a_program_of_a_known_name_from_elsewhere_is_told_by_its_file() {
    let mut host = host(&["systemctl status *"], "pts0");
    let shell = host.at_a_prompt();
    assert!(!host.execs(201, shell, "/usr/bin/systemctl", &["systemctl", "status", "x"]));
    assert!(host.execs(202, shell, "/tmp/bin/systemctl", &["systemctl", "status", "x"]));
    let report = host.comparer.report();
    assert!(report.unexpected[1].command.as_str().contains("/tmp/bin/systemctl"), "{report:?}");
}

#[test]
fn what_a_shell_replaces_is_anything_to_the_kernel() {
    let plan = ["ls -l /srv/?.log", "cat ~/notes", "kill $PID", "LANG=C sort x > /tmp/y", "grep '>' x"];
    let mut host = host(&plan, "pts0");
    let shell = host.at_a_prompt();
    for words in [
        &["ls", "--color=auto", "-l", "/srv/a.log", "/srv/b.log"][..],
        &["cat", "/home/ops/notes"],
        &["kill", "17"],
        &["sort", "x"],
        &["grep", ">", "x"],
    ] {
        assert!(!host.runs(shell, words).1, "{words:?}");
    }
    assert_eq!(score(&host.comparer.report()).0, 5);
}

#[test]
fn sftp_and_what_did_not_start_are_no_commands() {
    let mut host = host(&[], "");
    assert!(!host.runs(1, &["bash", "-c", "/usr/lib/openssh/sftp-server"]).1);
    let (pid, _) = host.runs(1, &["-bash"]);
    let failed = Exec { exit: -2, ..exec_of(pid) };
    assert_eq!(host.comparer.exec(&failed), None);
}

fn exec_of(ppid: u32) -> Exec {
    Exec {
        at: noon(),
        pid: 7,
        ppid,
        uid: 0,
        exit: 0,
        tty: Note::new(""),
        exe: CommandText::new("/nosuch"),
        argv: vec![CommandText::new("nosuch")],
        cut: 0,
        cwd: CommandText::new("/"),
    }
}

proptest! {
    #[test]
    fn whatever_a_kernel_tells_each_is_told_once_and_the_rest_is_bounded(
        execs in proptest::collection::vec((0u32..6, 0u32..6, "(-?bash|sh|sudo|rm|ls)", "(-c|-i|x)?", any::<bool>()), 0..60)
    ) {
        let mut comparer = Comparer::new(&change(&["ls *"]));
        let mut told = std::collections::HashSet::new();
        for (pid, ppid, program, argument, tty) in execs {
            let words = [program.as_str(), argument.as_str()];
            let argv = words.iter().filter(|word| !word.is_empty()).map(CommandText::new).collect();
            let exe = CommandText::new(format!("/usr/bin/{}", program.trim_start_matches('-')));
            let tty = Note::new(if tty { "pts0" } else { "" });
            let exec = Exec { pid, argv, exe, tty, ..exec_of(ppid) };
            if let Some(unexpected) = comparer.exec(&exec) {
                prop_assert!(told.insert(unexpected.command.to_string()), "{}", unexpected.command);
                prop_assert!(!unexpected.command.as_str().starts_with("ls "));
            }
        }
        prop_assert_eq!(comparer.report().unexpected.len(), told.len());
    }
}
