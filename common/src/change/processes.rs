//! Which of the commands that a kernel saw a person ran, and which came of those: the second are
//! not held against a change, because a script's own commands are the script's.
//!
//! A command is a person's where its parent is a shell that reads what they type or send: the
//! session's login shell, the shell that runs an exec request, and every shell that is started
//! without a script (also by `sudo`). A parent that no exec was seen of is a fork: a subshell of
//! the shell that was started last. What a login shell's own files run is not the person's: while
//! it is at a terminal, until a line is typed there or one that was typed before runs, for
//! [`STARTING`] at most; and what [`is_of_own_files`] knows at any time.
//!
//! Where it fails: what those files run is not compared, whoever wrote them; after a script, a
//! subshell's commands count as the script's until the next line is typed; what an editor or a
//! pager starts counts as the editor's.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::command::{Piece, pieces, takes};
use super::programs::{base, is_shell, plain};
use crate::wire::Exec;

/// How long a shell's start may take.
const STARTING: SignedDuration = SignedDuration::from_secs(10);

/// Processes that are remembered.
const MOST: usize = 4096;

/// Commands of typed lines that are remembered.
const MOST_LINES: usize = 64;

/// Commands of shells' usual start-up and logout files, which run also where nobody is at a terminal.
const OWN_FILES: [&str; 23] = [
    "id -u",
    "id -un",
    "id -ru",
    "id -g",
    "id -gn",
    "id -u -n",
    "id -g -n",
    "tty -s",
    "mesg n",
    "hostname",
    "uname -n",
    "tput colors",
    "tput setaf 1",
    "dircolors -b",
    "dircolors -b *",
    "dircolors --sh *",
    "sh /usr/bin/lesspipe",
    "basename /usr/bin/lesspipe",
    "dirname /usr/bin/lesspipe",
    "locale-check *",
    "/usr/libexec/grepconf.sh *",
    "sh -c *run-parts*/etc/update-motd.d*",
    "clear_console -q",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A shell that runs what a person gives it.
    Persons,
    /// Anything else.
    Other,
}

/// What is known of a session's processes.
#[derive(Debug, Default)]
pub(super) struct Processes {
    roles: HashMap<u32, Role>,
    /// The oldest first.
    order: VecDeque<u32>,
    /// Whether the shell that was started last is a person's.
    last_is_persons: bool,
    /// Since when a shell at a terminal starts, by the host's clock.
    starting: Option<Timestamp>,
    /// Commands of the lines that were typed last: the kernel may tell of a shell only after the
    /// first line is typed at it.
    lines: VecDeque<String>,
}

impl Processes {
    /// A person has typed a line of these commands: the shell they are at has started.
    pub(super) fn typed(&mut self, commands: &[String]) {
        self.starting = None;
        self.last_is_persons = true;
        self.lines.extend(commands.iter().take(MOST_LINES).cloned());
        while self.lines.len() > MOST_LINES {
            self.lines.pop_front();
        }
    }

    /// Whether a person ran it themselves; `asked` are the exec requests.
    pub(super) fn is_persons(&mut self, exec: &Exec, asked: &[String]) -> bool {
        if exec.exit < 0 {
            return false;
        }
        let parent = self.roles.get(&exec.pid).or_else(|| self.roles.get(&exec.ppid));
        let given = parent.map_or(self.last_is_persons, |role| *role == Role::Persons);
        let (role, own) = role(exec, asked);
        self.remember(exec.pid, role);
        if is_shell_of(exec) {
            self.last_is_persons = role == Role::Persons;
        }
        if role == Role::Persons && !exec.tty.is_empty() {
            self.starting = Some(exec.at);
        }
        if role == Role::Other && forms(exec).iter().any(|form| self.lines.contains(form)) {
            self.starting = None;
        }
        given && !own && !self.starts(exec.at, role) && !is_of_own_files(exec)
    }

    /// Whether a shell still starts, so that what runs comes of its files.
    fn starts(&self, at: Timestamp, role: Role) -> bool {
        role == Role::Other && self.starting.is_some_and(|since| at.duration_since(since) <= STARTING)
    }

    fn remember(&mut self, pid: u32, role: Role) {
        if self.roles.insert(pid, role).is_none() {
            self.order.push_back(pid);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.roles.remove(&oldest);
        }
    }
}

fn is_shell_of(exec: &Exec) -> bool {
    exec.argv.first().is_some_and(|first| is_shell(first.as_str())) || is_shell(exec.exe.as_str())
}

/// What a process is, and whether it is the session's own: its login shell, the shell of an exec
/// request, or the server of SFTP.
fn role(exec: &Exec, asked: &[String]) -> (Role, bool) {
    if !is_shell_of(exec) {
        let name = base(exec.exe.as_str());
        return (Role::Other, matches!(name, "sftp-server" | "run-parts"));
    }
    let first = exec.argv.first().map_or("", |first| first.as_str());
    let mut code = false;
    let mut operand = None;
    for argument in exec.argv.iter().skip(1).map(|argument| argument.as_str()) {
        match argument.strip_prefix('-').or_else(|| argument.strip_prefix('+')) {
            Some(letters) if !letters.starts_with('-') => code |= letters.contains('c'),
            Some(_) => {}
            None => {
                operand = Some(argument);
                break;
            }
        }
    }
    match operand {
        Some(operand) if code && asked.iter().any(|line| line == operand) => (Role::Persons, true),
        Some(operand) if code && base(operand) == "sftp-server" => (Role::Other, true),
        Some(_) => (Role::Other, false),
        None => (Role::Persons, first.starts_with('-')),
    }
}

/// Whether it is one of the usual commands of shells' own files.
fn is_of_own_files(exec: &Exec) -> bool {
    let words = exec.argv.iter().map(|argument| argument.as_str().to_owned());
    let Some(ran) = Piece::of_words(words).map(|piece| piece.normal()) else { return false };
    OWN_FILES.iter().flat_map(|line| pieces(line)).any(|known| takes(&known.normal(), &ran))
}

/// The forms in which a command that a kernel saw is compared, the whole first; none where it had
/// no arguments.
pub(super) fn forms(exec: &Exec) -> Vec<String> {
    let mut words: Vec<String> = exec.argv.iter().map(|argument| argument.as_str().to_owned()).collect();
    let Some(program) = words.first_mut() else { return Vec::new() };
    let exe = exec.exe.as_str();
    // A name without a directory is a system's program; one that is not is told by its file.
    if !plain(program).contains('/') && !super::programs::is_of_system(exe) {
        *program = exe.to_owned();
    }
    let interpreted = super::programs::is_interpreter(program) || is_shell(exe);
    // What distributions' aliases add.
    words.retain(|word| word != "--color=auto");
    let script = interpreted.then(|| {
        let operands = words.iter().skip(1).skip_while(|word| word.starts_with('-'));
        Piece::of_words(operands.cloned())
    });
    let whole = Piece::of_words(words.iter().cloned());
    whole.into_iter().chain(script.flatten()).map(|piece| piece.normal()).collect()
}
