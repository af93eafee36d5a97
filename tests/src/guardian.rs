//! Who cleans up. A guardian is a shell in a session of its own that waits for
//! the end of its standard input, whose other end only this process holds: when
//! this process drops it, panics, is interrupted or is killed, the guardian runs
//! its script. So there is one way to clean up, and it always runs.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// What every script may use. A server that belongs to a directory runs in it, or reads
/// its configuration there (sshd(8) leaves for `/`).
const HELP: &str = r#"
of_directory() {
    for process in /proc/[0-9]*; do
        if [ "$(readlink "$process/cwd" 2>/dev/null)" = "$1" ]; then
            echo "${process#/proc/}"
        elif [ "$(cat "$process/comm" 2>/dev/null)" = sshd ]; then
            case "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" in
                *" $1/"*) echo "${process#/proc/}" ;;
            esac
        fi
    done
}
# Ends whatever processes the command lists, until the last is gone: a lock that one holds is
# free only then.
end_all() {
    turn=0
    while pids=$("$@"); [ -n "$pids" ] && [ $turn -lt 500 ]; do
        kill -9 $pids 2>/dev/null
        turn=$((turn + 1))
        sleep 0.01
    done
}
end_of_directory() { end_all of_directory "$1"; }
"#;

/// What a program exits with that Ctrl-C ended, as a shell has it: 128 and SIGINT.
pub const ENDED_BY_SIGNAL: i32 = 130;

/// All guardians of this process, by number; the youngest is the last.
static ALL: Mutex<Vec<(u64, Shell)>> = Mutex::new(Vec::new());

/// Runs a script when it is dropped, or when this process ends.
#[derive(Debug)]
pub struct Guardian(u64);

#[derive(Debug)]
struct Shell {
    process: Child,
    held: Option<ChildStdin>,
}

impl Guardian {
    /// `script` is for sh(1) and gets `args` as `$1`…; it keeps `lock` open, so that
    /// a lock on that file lives until the script has ended.
    pub fn new(script: &str, args: &[&str], lock: Option<&File>) -> Result<Self> {
        let whole = format!("trap '' INT TERM HUP; read -r _\n{HELP}\n{script}");
        let stdout = match lock {
            Some(file) => Stdio::from(file.try_clone()?),
            None => Stdio::null(),
        };
        let mut process = Command::new("setsid")
            .args(["sh", "-c", &whole, "tidegate-guardian"])
            .args(args)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start setsid(1) with sh(1), which cleans up at the end")?;
        let held = process.stdin.take();
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.iter().map(|(number, _)| number + 1).max().unwrap_or_default();
        all.push((number, Shell { process, held }));
        Ok(Self(number))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|(number, _)| *number == self.0);
        let shell = place.map(|place| all.remove(place).1);
        drop(all);
        shell.into_iter().for_each(Shell::clean);
    }
}

impl Shell {
    fn clean(mut self) {
        drop(self.held.take());
        // The script is bounded; nobody could do anything about its failure here.
        let _ = self.process.wait();
    }
}

/// Cleans up everything now, the youngest first, as before an exit that drops nothing.
pub fn clean_all() {
    loop {
        let last = ALL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((_, shell)) = last else { return };
        shell.clean();
    }
}

/// Has `first` called, takes back what was made and ends this process with the code that
/// `first` answers, when a signal asks it to end. The signal is caught, not blocked: what this
/// process starts would have it blocked as well, and could not be ended with it.
pub fn clean_all_on_signals(first: impl FnOnce() -> i32 + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let inside = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(inside);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        // Whatever becomes of it, what was made is taken back.
        let code = std::panic::catch_unwind(AssertUnwindSafe(first)).unwrap_or(ENDED_BY_SIGNAL);
        clean_all();
        std::process::exit(code);
    });
    Ok(())
}
