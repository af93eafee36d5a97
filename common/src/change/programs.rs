//! What programs are by their names: a heuristic. One under another name is not known.

/// Shells, which run what they are given.
const SHELLS: [&str; 10] = ["sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "ash", "csh", "tcsh"];
const INTERPRETERS: [&str; 9] =
    ["python", "perl", "ruby", "node", "php", "lua", "tclsh", "expect", "Rscript"];

/// Where a system keeps programs that are called without their directory.
const SYSTEM: [&str; 6] =
    ["/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"];

/// Programs that run another with what they were started with.
const WRAPPERS: [&str; 14] = [
    "sudo", "doas", "env", "nice", "ionice", "nohup", "setsid", "stdbuf", "time", "timeout", "chrt",
    "taskset", "exec", "command",
];

/// The name of a program without its directory.
#[must_use]
pub fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether it is a shell, by its name.
#[must_use]
pub fn is_shell(name: &str) -> bool {
    SHELLS.contains(&base(name.trim_start_matches('-')))
}

/// Whether it is a shell or another interpreter, by its name.
#[must_use]
pub fn is_interpreter(name: &str) -> bool {
    is_shell(name) || INTERPRETERS.iter().any(|known| is_version_of(base(name), known))
}

/// `python`, `python3`, `python3.13`
fn is_version_of(name: &str, known: &str) -> bool {
    let rest = name.strip_prefix(known);
    rest.is_some_and(|rest| rest.chars().all(|letter| letter.is_ascii_digit() || letter == '.'))
}

pub(super) fn is_wrapper(name: &str) -> bool {
    WRAPPERS.contains(&name)
}

/// A program of the system's own directories without its directory; others as they are.
pub(super) fn plain(program: &str) -> &str {
    let name = base(program);
    let of_system = SYSTEM.iter().any(|directory| program.strip_prefix(directory) == Some(name));
    if of_system { name } else { program }
}

/// Whether the file lies where a system keeps its programs, or somewhere below.
pub(super) fn is_of_system(file: &str) -> bool {
    SYSTEM.iter().any(|directory| file.starts_with(directory))
        || ["/usr/", "/opt/", "/snap/", "/nix/store/"].iter().any(|directory| file.starts_with(directory))
}
