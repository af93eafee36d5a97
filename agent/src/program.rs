//! Runs one of the host's own programs: fixed environment, no shell, a deadline,
//! and at most [`MOST_OUTPUT`] bytes of what it says.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Where programs are looked for, whatever the agent's own environment says.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How much of a program's output is read, in bytes.
pub const MOST_OUTPUT: u64 = 256 * 1024;

/// How long killed processes are waited for.
const DYING: Duration = Duration::from_secs(1);

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Not there, or not startable.
    #[error("{program} could not be started: {source}; is it installed?")]
    Start { program: String, source: std::io::Error },
    /// Did not end in time and was killed.
    #[error("{program} took longer than {} ms and was ended", .deadline.as_millis())]
    Late { program: String, deadline: Duration },
    /// The kernel refused to hand over its status.
    #[error("{program} could not be waited for: {source}")]
    Wait { program: String, source: std::io::Error },
}

/// Whether there is such a program, without asking it anything.
#[must_use]
pub fn is_there(program: &str) -> bool {
    PATH.split(':').any(|place| std::path::Path::new(place).join(program).is_file())
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Answer {
    pub status: ExitStatus,
    /// Both its outputs, as text; what is no UTF-8 in them is lost.
    pub text: String,
    /// The same as it came.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// What it said, on one line of bounded length, for a message.
    #[must_use]
    pub fn line(&self) -> String {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        words.join(" ").chars().filter(|letter| !letter.is_control()).take(300).collect()
    }
}

/// Runs it to its end.
///
/// # Errors
/// When it cannot be started or does not end within `deadline`.
pub fn run(program: &str, arguments: &[&str], deadline: Duration) -> Result<Answer, ProgramError> {
    run_with(program, program, arguments, &[], Stdio::null(), deadline)
}

/// As [`run`], on a terminal of its own, for programs that insist on one: its input is there,
/// and it is the one that controls the session. What it says still comes by a pipe.
///
/// # Errors
/// As [`run`], and when the host has no terminal left, or no setsid(1).
pub fn run_on_terminal(
    program: &str,
    arguments: &[&str],
    environment: &[(String, String)],
    deadline: Duration,
) -> Result<Answer, ProgramError> {
    let start = |source| ProgramError::Start { program: format!("{program} on a terminal"), source };
    let open = || {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname_r(&master)?;
        Ok::<_, nix::Error>((master, name))
    };
    let (master, name) = open().map_err(|error| start(error.into()))?;
    let slave = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(name);
    let slave = Stdio::from(slave.map_err(start)?);
    let words: Vec<&str> = ["--ctty", "--wait", program].iter().chain(arguments).copied().collect();
    let answer = run_with(program, "setsid", &words, environment, slave, deadline);
    // Whoever is still on it is hung up.
    drop(master);
    answer
}

/// As [`run`], with a name for messages, more in the environment, and an input.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    named: &str,
    program: &str,
    arguments: &[&str],
    environment: &[(String, String)],
    input: Stdio,
    deadline: Duration,
) -> Result<Answer, ProgramError> {
    let named = || named.to_owned();
    let started = Instant::now();
    let start = |source| ProgramError::Start { program: named(), source };
    let (mut reader, writer) = std::io::pipe().map_err(start)?;
    let mut child = {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            // A group of its own, so that what it started ends with it.
            .process_group(0)
            .stdin(input)
            .stdout(writer.try_clone().map_err(start)?)
            .stderr(writer);
        command.spawn().map_err(start)?
        // The command goes here, and with it our copies of the pipe's other end.
    };
    let (done, output) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = reader.by_ref().take(MOST_OUTPUT).read_to_end(&mut bytes);
        let _ = done.send(bytes);
    });
    let bytes = output.recv_timeout(deadline).ok();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if bytes.is_some() && started.elapsed() < deadline => {
                std::thread::sleep(Duration::from_micros(200));
            }
            Ok(None) => break None,
            Err(source) => return Err(ProgramError::Wait { program: named(), source }),
        }
    };
    match (status, bytes) {
        (Some(status), Some(bytes)) => {
            Ok(Answer { status, text: String::from_utf8_lossy(&bytes).into_owned(), bytes })
        }
        _ => {
            let group = i32::try_from(child.id()).map(Pid::from_raw);
            if let Ok(group) = group {
                let _ = killpg(group, Signal::SIGKILL);
            }
            let _ = child.kill();
            let _ = child.wait();
            // What it started dies a moment later.
            let killed = Instant::now();
            while group.is_ok_and(|group| killpg(group, None).is_ok()) && killed.elapsed() < DYING {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(ProgramError::Late { program: named(), deadline })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_sees_only_the_fixed_environment() {
        let answer = run("env", &[], Duration::from_secs(10)).unwrap();
        let mut lines: Vec<&str> = answer.text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["LC_ALL=C", &format!("PATH={PATH}"), "TZ=UTC"]);
    }

    #[test]
    fn a_program_that_insists_on_a_terminal_has_one_that_is_its_own() {
        let words = ["-c", "tty </dev/tty && test -t 0 && ! test -t 1"];
        let answer = run_on_terminal("sh", &words, &[], Duration::from_secs(10)).unwrap();
        assert!(answer.status.success() && answer.text.starts_with("/dev/"), "{answer:?}");
        assert!(!run("sh", &words, Duration::from_secs(10)).unwrap().status.success());
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_at_its_deadline() {
        let late = run("sleep", &["1000"], Duration::from_millis(30));
        assert!(matches!(late, Err(ProgramError::Late { .. })), "{late:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run("tidegate-no-such-program", &[], Duration::from_secs(1)).unwrap_err().to_string();
        assert!(error.contains("tidegate-no-such-program could not be started"), "{error}");
    }
}
