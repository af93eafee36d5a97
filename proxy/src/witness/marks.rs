//! What to look at twice among the commands that a kernel saw: a heuristic by names
//! and arguments. A program under another name, or one that interprets what it reads
//! without being known for it, is not marked; a harmless script is.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use tidegate_common::change::{base, is_interpreter, is_shell};
use tidegate_common::wire::Exec;

/// What is notable of one exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The shell of the login.
    Login,
    /// Just what the client asked for.
    Asked,
    /// It runs code that stands in its arguments.
    Code,
    /// It runs what comes in on its input, which may be anything.
    Input,
    /// It runs a file of commands.
    Script,
    /// No line that the proxy knows names it.
    Unnamed,
    /// It did not start.
    Failed,
    /// Of a line: the kernel saw none of its words run. A shell's own command, an alias,
    /// or an answer to a program.
    Unseen,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Login => "login shell",
            Self::Asked => "as asked",
            Self::Code => "code in arguments",
            Self::Input => "runs its input",
            Self::Script => "script",
            Self::Unnamed => "not named",
            Self::Failed => "failed",
            Self::Unseen => "not seen",
        })
    }
}

/// The marks of one exec; `asked` are the lines that the proxy knows. Without any there
/// is nothing to compare with, and nothing is called unnamed.
#[must_use]
pub fn marks(exec: &Exec, asked: &[String]) -> Vec<Mark> {
    let mut marks = Vec::new();
    if exec.exit < 0 {
        marks.push(Mark::Failed);
    }
    let first = exec.argv.first().map_or(exec.exe.as_str(), |first| first.as_str());
    let name = base(first.trim_start_matches('-'));
    let shell = is_shell(name) || is_shell(exec.exe.as_str());
    let interpreter = shell || is_interpreter(name);
    let login = shell && first.starts_with('-');
    if interpreter && exec.exit >= 0 {
        marks.extend(interpreted(exec, asked, shell, login));
    }
    let named = || asked.iter().any(|line| words(line).any(|word| base(word) == name));
    if !asked.is_empty() && !login && !marks.contains(&Mark::Asked) && !named() {
        marks.push(Mark::Unnamed);
    }
    marks
}

/// What programs are called that a kernel saw.
#[must_use]
pub fn names<'a>(execs: impl IntoIterator<Item = &'a Exec>) -> HashSet<&'a str> {
    let of = |exec: &'a Exec| {
        let first = exec.argv.first().map_or("", |first| first.as_str());
        [base(exec.exe.as_str()), base(first.trim_start_matches('-'))]
    };
    execs.into_iter().flat_map(of).filter(|name| !name.is_empty()).collect()
}

/// The mark of a line that the proxy knows, beside what a kernel saw.
#[must_use]
pub fn mark_of_line(line: &str, seen: &HashSet<&str>) -> Option<Mark> {
    let is_seen = words(line).any(|word| seen.contains(base(word)));
    (!seen.is_empty() && !is_seen).then_some(Mark::Unseen)
}

/// What a shell or an interpreter runs.
fn interpreted(exec: &Exec, asked: &[String], shell: bool, login: bool) -> Option<Mark> {
    let mut arguments = exec.argv.iter().skip(1).map(|argument| argument.as_str());
    let plain = arguments.clone().find(|argument| !argument.starts_with('-'));
    let code = arguments.clone().any(|argument| {
        let letters = argument.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        letters.is_some_and(|letters| if shell { letters.contains('c') } else { is_code(letters) })
    });
    match plain {
        Some(plain) if code && shell && asked.iter().any(|line| line == plain) => Some(Mark::Asked),
        _ if code => Some(Mark::Code),
        Some(_) => Some(Mark::Script),
        None if login => Some(Mark::Login),
        // At a terminal it most likely talks to a person.
        None if !exec.tty.is_empty() && arguments.all(|argument| argument != "-s") => None,
        None => Some(Mark::Input),
    }
}

/// `-c` of Python, `-e` of Perl, Ruby and Node, `-r` of PHP.
fn is_code(letters: &str) -> bool {
    matches!(letters.chars().next(), Some('c' | 'e' | 'E' | 'r'))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !(letter.is_alphanumeric() || "._-+/".contains(letter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_common::audit::{CommandText, Note};

    fn exec(words: &[&str], tty: &str) -> Exec {
        Exec {
            at: jiff::Timestamp::UNIX_EPOCH,
            pid: 1,
            ppid: 1,
            uid: 0,
            exit: 0,
            tty: Note::new(tty),
            exe: CommandText::new(format!("/usr/bin/{}", words[0].trim_start_matches('-'))),
            argv: words.iter().map(CommandText::new).collect(),
            cut: 0,
            cwd: CommandText::new("/"),
        }
    }

    #[test]
    fn what_runs_other_commands_is_marked_with_how_it_gets_them() {
        let asked = ["echo bHM= | base64 -d | sh".to_owned()];
        for (words, tty, expected) in [
            (&["bash", "-c", "echo bHM= | base64 -d | sh"][..], "", vec![Mark::Asked]),
            (&["base64", "-d"], "", vec![]),
            (&["sh"], "", vec![Mark::Input]),
            (&["ls"], "", vec![Mark::Unnamed]),
            (&["bash", "-c", "rm -r /srv"], "", vec![Mark::Code, Mark::Unnamed]),
            (&["python3.13", "-c", "print()"], "", vec![Mark::Code, Mark::Unnamed]),
            (&["perl", "tool.pl"], "", vec![Mark::Script, Mark::Unnamed]),
            (&["sh", "./deploy.sh"], "", vec![Mark::Script]),
            (&["-bash"], "pts0", vec![Mark::Login]),
            (&["sh"], "pts0", vec![]),
            (&["sh", "-s"], "pts0", vec![Mark::Input]),
        ] {
            assert_eq!(marks(&exec(words, tty), &asked), expected, "{words:?}");
        }
    }

    #[test]
    fn without_a_line_to_compare_with_nothing_is_called_unnamed() {
        assert_eq!(marks(&exec(&["ls"], "pts0"), &[]), []);
        assert_eq!(marks(&exec(&["ls"], "pts0"), &["df".to_owned()]), [Mark::Unnamed]);
    }

    #[test]
    fn a_line_of_which_the_kernel_saw_nothing_is_marked() {
        let mut failed = exec(&["/nosuch"], "pts0");
        failed.argv.clear();
        let execs = [exec(&["-bash"], "pts0"), exec(&["/usr/bin/ls", "-l"], "pts0"), failed];
        let seen = names(&execs);
        for (line, expected) in [
            ("ls /tmp", None),
            ("cd /tmp && /bin/ls", None),
            ("cd /tmp", Some(Mark::Unseen)),
            ("cd /", Some(Mark::Unseen)),
            ("history -c", Some(Mark::Unseen)),
            ("", Some(Mark::Unseen)),
        ] {
            assert_eq!(mark_of_line(line, &seen), expected, "{line:?}");
        }
        assert_eq!(mark_of_line("cd", &names(&[])), None, "no kernel was asked");
    }

    #[test]
    fn one_that_did_not_start_is_marked_and_ran_nothing() {
        let mut failed = exec(&["sh"], "");
        failed.exit = -13;
        assert_eq!(marks(&failed, &[]), [Mark::Failed]);
    }
}
