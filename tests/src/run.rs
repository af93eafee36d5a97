//! Running a command to its end, within a bound of time, with all it said.

use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What a command may take when nothing else is said.
const WITHIN: Duration = Duration::from_secs(180);

/// How long nothing may come once a command has ended, until its output counts as whole (a
/// background process that it left behind may hold it), in milliseconds.
const LINGER: u16 = 300;

/// How long one that such a process goes on writing is read.
const LONGEST: Duration = Duration::from_secs(10);

/// A command about to run.
#[derive(Debug)]
pub struct Run {
    command: Command,
    stdin: Option<Vec<u8>>,
    within: Duration,
}

impl Run {
    /// The program, looked up in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), stdin: None, within: WITHIN }
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in this directory.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What it reads; nothing without this.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The command as a person would type it.
    #[must_use]
    pub fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// Starts it, to be waited for later.
    pub fn start(mut self) -> Result<Running> {
        let line = self.line();
        let input = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C is for who started it, and takes everything back in its order.
        let mut child =
            self.command.process_group(0).spawn().with_context(|| format!("cannot start `{line}`"))?;
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.stdin.take()) {
            // A command that does not read all of it closes the pipe; its exit code tells.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        let stdout = Collector::of(child.stdout.take())?;
        let stderr = Collector::of(child.stderr.take())?;
        Ok(Running { child, stdout, stderr, line, within: self.within })
    }

    /// Runs it to its end.
    pub fn run(self) -> Result<Done> {
        self.start()?.done()
    }

    /// Runs it to its end, which must be a success.
    pub fn ok(self) -> Result<Done> {
        self.run()?.ok()
    }
}

/// Runs `args` and wants success.
pub fn ok(args: &[&str]) -> Result<Done> {
    let (program, rest) = args.split_first().context("no command")?;
    Run::new(program).args(rest).ok()
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Collector,
    stderr: Collector,
    line: String,
    within: Duration,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// What it has written to its standard output so far.
    #[must_use]
    pub fn stdout_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far()).into_owned()
    }

    /// What it has written to its standard error so far.
    #[must_use]
    pub fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; a command that takes too long is killed, which is an error.
    pub fn done(mut self) -> Result<Done> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > self.within {
                self.child.kill()?;
                self.child.wait()?;
                let (out, err) = (self.stdout.take(), self.stderr.take());
                bail!(
                    "`{}` did not end within {:.0} s; it said:\n{}{}",
                    self.line,
                    self.within.as_secs_f64(),
                    String::from_utf8_lossy(&out),
                    String::from_utf8_lossy(&err)
                );
            }
            thread::sleep(Duration::from_millis(2));
        };
        Ok(Done { status, stdout: self.stdout.take(), stderr: self.stderr.take(), line: self.line })
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) -> Result<Done> {
        self.child.kill()?;
        self.done()
    }
}

/// Reads one stream of a command in the background.
#[derive(Debug)]
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    /// Where the reader is told that the command has ended.
    ended: PipeWriter,
}

impl Collector {
    fn of<R: Read + AsFd + Send + 'static>(stream: Option<R>) -> Result<Self> {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (told, ended) = std::io::pipe()?;
        let reader = stream.map(|stream| {
            let bytes = Arc::clone(&bytes);
            thread::spawn(move || collect(stream, told, &bytes))
        });
        Ok(Self { bytes, reader, ended })
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&mut self) -> Vec<u8> {
        let start = Instant::now();
        // A reader that is gone has read everything.
        let _ = self.ended.write_all(b"x");
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished()) && start.elapsed() < LONGEST {
            thread::sleep(Duration::from_millis(1));
        }
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads to the end of the stream; once `ended` says so, what is there and what comes within
/// [`LINGER`]. So all that a command wrote is read, however late this gets to run.
fn collect(mut stream: impl Read + AsFd, ended: PipeReader, bytes: &Mutex<Vec<u8>>) {
    let mut chunk = vec![0; 64 * 1024];
    let (mut ended, mut patience) = (Some(ended), PollTimeout::NONE);
    loop {
        let mut watched = vec![PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        watched.extend(ended.as_ref().map(|ended| PollFd::new(ended.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, patience) {
            Err(Errno::EINTR) => continue,
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut found = watched.iter().map(|one| one.revents().unwrap_or(PollFlags::empty()));
        let (data, told) = (found.next().unwrap_or(PollFlags::empty()), found.next());
        if let Some(told) = told.filter(|told| !told.is_empty()) {
            // Without a word nobody waits for it any more, and the command may go on.
            if told.contains(PollFlags::POLLIN) {
                patience = PollTimeout::from(LINGER);
            }
            ended = None;
        }
        if !data.is_empty() {
            let Ok(count) = stream.read(&mut chunk) else { return };
            let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { return };
            bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(read);
        }
    }
}

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    line: String,
}

impl Done {
    /// Success, or an error with all it said.
    pub fn ok(self) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        bail!("`{}` failed ({}):\n{}{}", self.line, self.status, self.out(), self.err())
    }

    /// Whether it succeeded.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Its exit code; `None` when a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Its standard output as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its standard error as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Both, one after the other.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.out(), self.err())
    }
}

/// The word as a shell needs it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@=,+%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
