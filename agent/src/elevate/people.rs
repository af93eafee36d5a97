//! The processes of a user id that goes: TERM, then KILL, until none is left.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate_common::grant::{Leftover, MOST_LEFTOVERS};

use crate::core::Reaped;
use crate::paths::Paths;
use crate::process::{Status, command_of, is_gone, shown};
use crate::program::run;

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_millis(300);

/// How long to wait for the kernel at most.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often to look.
const LOOK: Duration = Duration::from_millis(5);

/// How long systemd may take to end what it runs for the user.
const MANAGER: Duration = Duration::from_secs(5);

/// Ends them all; those that were there are added to `reaped`.
///
/// # Errors
/// When some stay, or it is not certain that none does.
pub fn end(paths: &Paths, uid: u32, reaped: &mut Reaped) -> Result<(), String> {
    end_processes(paths, uid, reaped)?;
    let runtime = paths.root.join(format!("run/user/{uid}"));
    if paths.is_host() && runtime.exists() {
        let units = [format!("user@{uid}.service"), format!("user-runtime-dir@{uid}.service")];
        let [manager, directory] = &units;
        let stopped = run("systemctl", &["stop", manager, directory], MANAGER);
        if runtime.exists() {
            let said = stopped.map_or_else(|error| error.to_string(), |answer| answer.line());
            return Err(format!("{} is still there: {said}", runtime.display()));
        }
    }
    Ok(())
}

fn end_processes(paths: &Paths, uid: u32, reaped: &mut Reaped) -> Result<(), String> {
    let mut known: BTreeMap<u32, Option<usize>> = BTreeMap::new();
    let mut before = Crowd::default();
    let started = Instant::now();
    loop {
        let crowd = Crowd::of(&paths.proc, uid)?;
        // Who forks faster than it is looked for is in none of two looks.
        let certain = crowd.whole && crowd.listed == before.listed;
        if crowd.its.is_empty() && before.its.is_empty() && certain {
            return Ok(());
        }
        let elapsed = started.elapsed();
        if elapsed > PATIENCE {
            return Err(match crowd.its.len() {
                0 => format!(
                    "too many processes come and go to be certain that none is left of the user id {uid}"
                ),
                left => format!("{left} processes of the user id {uid} outlive SIGKILL; does a device hang?"),
            });
        }
        let late = elapsed >= GRACE;
        for (pid, name) in &crowd.its {
            let fresh = !known.contains_key(pid);
            if fresh {
                let leftover = Leftover {
                    pid: *pid,
                    comm: shown(name),
                    command: command_of(&paths.proc, *pid),
                    killed: late,
                };
                known.insert(*pid, list(reaped, leftover));
            }
            if late || fresh {
                send(*pid, if late { Signal::SIGKILL } else { Signal::SIGTERM });
            }
            if let Some(listed) = known.get(pid).copied().flatten().filter(|_| late)
                && let Some(leftover) = reaped.leftovers.get_mut(listed)
            {
                leftover.killed = true;
            }
        }
        if late && !(crowd.its.is_empty() && certain) {
            kill_at_once(uid);
        }
        // Right away, where the last look is only to be borne out.
        if !(crowd.its.is_empty() && crowd.whole) {
            std::thread::sleep(LOOK);
        }
        before = crowd;
    }
}

/// Where it is listed, if it is. systemd's own for the user are no leftovers of anybody.
fn list(reaped: &mut Reaped, leftover: Leftover) -> Option<usize> {
    if matches!(leftover.comm.as_str(), "systemd" | "(sd-pam)") {
        return None;
    }
    if reaped.leftovers.len() >= MOST_LEFTOVERS {
        reaped.more += 1;
        return None;
    }
    reaped.leftovers.push(leftover);
    Some(reaped.leftovers.len() - 1)
}

/// All in one step of the kernel's, so that nobody forks in between: what the user may signal
/// itself (kill(2), -1). Not the user's part of the tree of control groups, in which systemd's own
/// helper takes /run/user away.
fn kill_at_once(uid: u32) {
    if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
        return;
    }
    let mut all = Command::new("/bin/sh");
    all.args(["-c", "kill -KILL -1"]).uid(uid).gid(uid).current_dir("/").env_clear();
    let all = all.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = all.status() {
        tracing::debug!(%error, "the processes of an account end one by one");
    }
}

fn send(pid: u32, signal: Signal) {
    // Never 0 or 1: those would mean more than one process, or init.
    if let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 1) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Who is there at one moment.
#[derive(Debug, Default)]
struct Crowd {
    listed: BTreeSet<u32>,
    /// Processes any of whose four user ids it is (proc(5)), but for those that have ended.
    its: Vec<(u32, Vec<u8>)>,
    /// Whether all that were listed were still there to be asked.
    whole: bool,
}

impl Crowd {
    fn of(proc: &Path, uid: u32) -> Result<Self, String> {
        let wrong = |error: &std::io::Error| {
            format!("{} could not be read, so processes may be left: {error}", proc.display())
        };
        let mut crowd = Self { whole: true, ..Self::default() };
        for entry in std::fs::read_dir(proc).map_err(|error| wrong(&error))? {
            let entry = entry.map_err(|error| wrong(&error))?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            crowd.listed.insert(pid);
            match std::fs::read(entry.path().join("status")) {
                Ok(status) => {
                    let status = Status::parse(&status);
                    crowd.whole &= status.is_some();
                    let its = status.filter(|status| status.uids.contains(&uid) && !status.over);
                    crowd.its.extend(its.map(|status| (pid, status.name)));
                }
                Err(error) if is_gone(&error) => crowd.whole = false,
                Err(error) => return Err(wrong(&error)),
            }
        }
        Ok(crowd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    fn status(name: &[u8], uid: &str, more: &str) -> Vec<u8> {
        [b"Name:\t", name, b"\nUid:\t", uid.as_bytes(), b"\n", more.as_bytes()].concat()
    }

    #[test]
    fn a_process_is_its_whatever_its_name_is_and_while_one_thread_of_it_lives() {
        let scratch = Scratch::new();
        let proc = scratch.path().join("proc");
        let put = |pid: &str, status: &[u8]| {
            std::fs::create_dir_all(proc.join(pid)).unwrap();
            std::fs::write(proc.join(pid).join("status"), status).unwrap();
        };
        put("10", &status(b"y\xff", "0 4100 0 0", "State:\tS (sleeping)\nThreads:\t1\n"));
        put("11", &status(b"over", "4100 4100 4100 4100", "State:\tZ (zombie)\nThreads:\t1\n"));
        put("12", &status(b"headless", "4100 4100 4100 4100", "State:\tZ (zombie)\nThreads:\t2\n"));
        put("13", &status(b"other", "41000 1 1 1", "State:\tS\n"));
        let mut crowd = Crowd::of(&proc, 4100).unwrap();
        crowd.its.sort();
        assert_eq!(crowd.its, [(10, b"y\xff".to_vec()), (12, b"headless".to_vec())]);
        assert!(crowd.whole);
        std::fs::create_dir(proc.join("14")).unwrap();
        assert!(!Crowd::of(&proc, 4100).unwrap().whole, "one went as it was looked at");
        std::fs::create_dir(proc.join("14/status")).unwrap();
        assert!(Crowd::of(&proc, 4100).unwrap_err().contains("processes may be left"));
    }
}
