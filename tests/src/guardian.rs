//! Who cleans up. A guardian is a shell in a session of its own that waits for
//! the end of its standard input, whose other end only this process holds: when
//! this process drops it, panics, is interrupted or is killed, the guardian runs
//! its script. So there is one way to clean up, and it always runs.

use std::fs::File;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

/// Runs a script when it is dropped, or when this process ends.
#[derive(Debug)]
pub struct Guardian {
    shell: Child,
    held: Option<ChildStdin>,
}

impl Guardian {
    /// `script` is for sh(1) and gets `args` as `$1`…; it keeps `lock` open, so that
    /// a lock on that file lives until the script has ended.
    pub fn new(script: &str, args: &[&str], lock: Option<&File>) -> Result<Self> {
        let whole = format!("trap '' INT TERM HUP; read -r _\n{script}");
        let stdout = match lock {
            Some(file) => Stdio::from(file.try_clone()?),
            None => Stdio::null(),
        };
        let mut shell = Command::new("setsid")
            .args(["sh", "-c", &whole, "tidegate-guardian"])
            .args(args)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start setsid(1) with sh(1), which cleans up at the end")?;
        let held = shell.stdin.take();
        Ok(Self { shell, held })
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.held.take());
        // The script is bounded; nobody could do anything about its failure here.
        let _ = self.shell.wait();
    }
}
