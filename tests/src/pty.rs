//! A command on a terminal, as a person sits before it: what it shows is read in
//! the background, and the person waits for words to appear before typing.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::OFlag;

use crate::run;
use crate::wait;

/// What a person waits for an answer at most, when nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long what a command showed last may be on its way; a process that it left may hold the
/// terminal.
const LINGER: Duration = Duration::from_secs(10);

/// A command that runs on a terminal of its own; it is killed when dropped.
#[derive(Debug)]
pub struct Pty {
    child: Child,
    keyboard: File,
    name: PathBuf,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    seen: usize,
    line: String,
}

impl Pty {
    /// Starts `args` on a terminal of 80 columns and 24 rows.
    pub fn start<S: AsRef<OsStr>>(args: &[S]) -> Result<Self> {
        let (child, keyboard, name) = on_terminal(args)?;
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (shown, reader) = (Arc::clone(&screen), keyboard.try_clone()?);
        let reader = thread::spawn(move || collect(reader, &shown));
        let words = args.iter().map(|word| run::quoted(&word.as_ref().to_string_lossy()));
        let line = words.collect::<Vec<_>>().join(" ");
        Ok(Self { child, keyboard, name, screen, reader, seen: 0, line })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// Everything shown so far, as text.
    #[must_use]
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// What was shown after the last words that were expected.
    #[must_use]
    pub fn unread(&self) -> String {
        String::from_utf8_lossy(self.bytes().get(self.seen..).unwrap_or_default()).into_owned()
    }

    fn bytes(&self) -> Vec<u8> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `words` are shown, after whatever was expected before; returns
    /// what was shown up to and with them.
    pub fn expect(&mut self, words: &str) -> Result<String> {
        self.expect_within(words, PATIENCE)
    }

    /// As [`Self::expect`], with a bound of its own.
    pub fn expect_within(&mut self, words: &str, within: Duration) -> Result<String> {
        let found = wait::until(words, within, || {
            // Looked at before what it showed: once the reader has ended too, nothing more can come.
            let ended = self.child.try_wait().ok().flatten().filter(|_| self.reader.is_finished());
            let bytes = self.bytes();
            let unread = bytes.get(self.seen..).unwrap_or_default();
            let place = unread.windows(words.len()).position(|window| window == words.as_bytes());
            match place.and_then(|place| unread.get(..place + words.len())) {
                Some(shown) => Some(Ok(shown.to_vec())),
                None => ended.map(Err),
            }
        });
        match found {
            Ok(Ok(shown)) => {
                self.seen += shown.len();
                Ok(String::from_utf8_lossy(&shown).into_owned())
            }
            Ok(Err(status)) => Err(anyhow!(
                "`{}` ended ({status}) and never showed {words:?}; it showed:\n{}",
                self.line,
                self.screen()
            )),
            Err(_) => Err(anyhow!(
                "`{}` did not show {words:?} within {:.0} s; it showed:\n{}",
                self.line,
                within.as_secs_f64(),
                self.screen()
            )),
        }
    }

    /// Types `keys`.
    pub fn send(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes())?;
        Ok(())
    }

    /// Types a line and Enter.
    pub fn send_line(&mut self, line: &str) -> Result<()> {
        self.send(&format!("{line}\r"))
    }

    /// Presses Ctrl-C until the shell's prompt is there: bash misses the key while it starts a
    /// program, and a person would press it again.
    pub fn interrupt(&mut self) -> Result<()> {
        wait::until_true("Ctrl-C interrupts", PATIENCE, || {
            self.send("\x03").is_ok() && self.expect_within("$ ", Duration::from_secs(1)).is_ok()
        })
    }

    /// Gives the terminal another size; what runs on it is told by SIGWINCH.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        resize(&self.name, rows, columns)
    }

    /// Whether the command still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the command's end; returns how it ended.
    pub fn end(&mut self, within: Duration) -> Result<ExitStatus> {
        let status = wait::until("", within, || self.child.try_wait().ok().flatten());
        let Ok(status) = status else {
            bail!(
                "`{}` did not end within {:.0} s; it showed:\n{}",
                self.line,
                within.as_secs_f64(),
                self.screen()
            );
        };
        let _ = wait::until_true("", LINGER, || self.reader.is_finished());
        Ok(status)
    }

    /// Ends it with SIGKILL, as a client that dies.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `args` on a terminal of 80 columns and 24 rows; returns it with the
/// terminal's other side and its name.
pub fn on_terminal<S: AsRef<OsStr>>(args: &[S]) -> Result<(Child, File, PathBuf)> {
    let master = nix::pty::posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    nix::pty::grantpt(&master)?;
    nix::pty::unlockpt(&master)?;
    let name = PathBuf::from(nix::pty::ptsname_r(&master)?);
    let slave = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(&name)?;
    resize(&name, 24, 80)?;
    let child = Command::new("setsid")
        .arg("--ctty")
        .args(args)
        .env("TERM", "xterm-256color")
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(slave)
        .spawn()
        .context("cannot start a command on a terminal")?;
    Ok((child, File::from(OwnedFd::from(master)), name))
}

fn resize(terminal: &Path, rows: u16, columns: u16) -> Result<()> {
    let (rows, columns) = (rows.to_string(), columns.to_string());
    run::Run::new("stty").arg("-F").arg(terminal).args(["rows", &rows, "cols", &columns]).ok()?;
    Ok(())
}

fn collect(mut terminal: File, screen: &Mutex<Vec<u8>>) {
    let mut chunk = vec![0; 64 * 1024];
    // The read fails with EIO once nothing has the terminal open any more.
    while let Ok(count) = terminal.read(&mut chunk) {
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
        screen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(read);
    }
}
