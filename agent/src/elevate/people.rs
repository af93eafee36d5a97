//! The processes of a user id that goes: TERM, then KILL, until none is left.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate_common::grant::Leftover;

use super::program::run;
use crate::paths::Paths;
use crate::residue::command_of;

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_millis(300);

/// How long to wait for the kernel at most.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often to look.
const LOOK: Duration = Duration::from_millis(5);

/// How long systemd may take to end what it runs for the user.
const MANAGER: Duration = Duration::from_secs(5);

/// Ends them all, and returns those that were there.
pub fn end(paths: &Paths, uid: u32) -> Result<Vec<Leftover>, String> {
    let mut ended: Vec<Leftover> = Vec::new();
    let started = Instant::now();
    loop {
        let left = of(paths, uid);
        if left.is_empty() {
            break;
        }
        let late = started.elapsed() >= GRACE;
        if started.elapsed() > PATIENCE {
            return Err(format!(
                "{} processes of the user id {uid} outlive SIGKILL; does a device hang?",
                left.len()
            ));
        }
        for (pid, comm) in left {
            let known = ended.iter_mut().find(|leftover| leftover.pid == pid);
            if late || known.is_none() {
                send(pid, if late { Signal::SIGKILL } else { Signal::SIGTERM });
            }
            match known {
                Some(leftover) => leftover.killed |= late,
                None => {
                    ended.push(Leftover { pid, comm, command: command_of(&paths.proc, pid), killed: late })
                }
            }
        }
        std::thread::sleep(LOOK);
    }
    // systemd's own for the user are no leftovers of anybody.
    ended.retain(|leftover| leftover.comm != "systemd" && leftover.comm != "(sd-pam)");
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
    Ok(ended)
}

fn send(pid: u32, signal: Signal) {
    // Never 0 or 1: those would mean more than one process, or init.
    if let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 1) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Processes any of whose four user ids it is (proc(5)), but for those that have ended.
fn of(paths: &Paths, uid: u32) -> Vec<(u32, String)> {
    let Ok(entries) = std::fs::read_dir(&paths.proc) else { return Vec::new() };
    let found = entries.flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let ids = field("Uid:")?;
        let gone = field("State:").is_some_and(|state| state.starts_with(['Z', 'X']));
        let its = ids.split_whitespace().any(|id| id.parse() == Ok(uid));
        (its && !gone).then(|| (pid, field("Name:").unwrap_or_default().to_owned()))
    });
    found.collect()
}
