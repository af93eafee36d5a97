//! A channel of a recording, as its relay uses it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tidegate_common::recording::{Control, Kind, Size, Stream, Total};

use super::super::RecordError;
use super::super::meter::Meter;
use super::{Inner, Recorder, lock};

/// One channel of it.
#[derive(Clone)]
pub struct Channel(Arc<Meters>);

/// How a channel begins.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// What it carries.
    pub kind: Kind,
    /// The command of an exec request, or the name of a subsystem.
    pub command: Option<&'a str>,
    /// The terminal's type, for example `xterm-256color`.
    pub term: Option<&'a str>,
    /// The terminal's size.
    pub size: Option<Size>,
}

struct Meters {
    recorder: Arc<Inner>,
    id: u32,
    command: Option<String>,
    input: Mutex<Meter>,
    output: Mutex<Meter>,
    stderr: Mutex<Meter>,
}

impl Channel {
    pub(super) fn new(recorder: Arc<Inner>, id: u32, kind: Kind, command: Option<String>) -> Self {
        let meter = |stream| Mutex::new(Meter::new(stream, kind, recorder.input, recorder.exec_output_limit));
        let (input, output, stderr) = (meter(Stream::Input), meter(Stream::Output), meter(Stream::Stderr));
        Self(Arc::new(Meters { recorder, id, command, input, output, stderr }))
    }

    /// Bytes for the user's screen or standard output.
    ///
    /// # Errors
    /// When the recording failed or is sealed: the bytes must not go on.
    pub async fn output(&self, bytes: &[u8]) -> Result<(), RecordError> {
        self.pass(Stream::Output, &self.0.output, bytes).await
    }

    /// Bytes for the user's standard error.
    ///
    /// # Errors
    /// As for [`Self::output`].
    pub async fn stderr(&self, bytes: &[u8]) -> Result<(), RecordError> {
        self.pass(Stream::Stderr, &self.0.stderr, bytes).await
    }

    /// Bytes from the user.
    ///
    /// # Errors
    /// As for [`Self::output`].
    pub async fn input(&self, bytes: &[u8]) -> Result<(), RecordError> {
        self.pass(Stream::Input, &self.0.input, bytes).await
    }

    /// Bytes of a transfer that its list does not tell of: kept as a command's are. They
    /// were counted as they passed.
    ///
    /// # Errors
    /// As for [`Self::output`].
    pub async fn pick(&self, stream: Stream, bytes: &[u8]) -> Result<(), RecordError> {
        let meter = match stream {
            Stream::Input => &self.0.input,
            Stream::Output => &self.0.output,
            Stream::Stderr => &self.0.stderr,
        };
        let taken = lock(meter).pick(bytes);
        self.keep(stream, meter, bytes, taken).await
    }

    /// The channel carries no transfer that could be followed: from here on it is shown as
    /// the command that it is.
    ///
    /// # Errors
    /// As for [`Self::output`].
    pub async fn is_command(&self) -> Result<(), RecordError> {
        let Meters { recorder, id, command, .. } = &*self.0;
        let (channel, command) = (*id, command.clone());
        recorder.control(Control::Opened { channel, kind: Kind::Exec, command, term: None, size: None }).await
    }

    /// The terminal has another size.
    ///
    /// # Errors
    /// As for [`Self::output`].
    pub async fn resize(&self, size: Size) -> Result<(), RecordError> {
        self.0.recorder.control(Control::Resized { channel: self.0.id, size }).await
    }

    /// A place to jump to, for a person.
    ///
    /// # Errors
    /// As for [`Self::output`].
    pub async fn mark(&self, label: &str) -> Result<(), RecordError> {
        Recorder(Arc::clone(&self.0.recorder)).mark(label).await
    }

    /// The channel is over. What went through it is told to the audit log too.
    ///
    /// # Errors
    /// As for [`Self::output`].
    pub async fn close(&self, exit: Option<u32>, signal: Option<&str>) -> Result<Vec<Total>, RecordError> {
        let totals = self.totals();
        let signal = signal.map(|signal| signal.chars().take(32).collect());
        let control = Control::Closed { channel: self.0.id, exit, signal, totals: totals.clone() };
        self.0.recorder.control(control).await?;
        Ok(totals)
    }

    /// What went through each stream so far.
    #[must_use]
    pub fn totals(&self) -> Vec<Total> {
        [&self.0.input, &self.0.output, &self.0.stderr].map(|meter| lock(meter).total()).to_vec()
    }

    async fn pass(&self, stream: Stream, meter: &Mutex<Meter>, bytes: &[u8]) -> Result<(), RecordError> {
        let taken = lock(meter).pass(bytes);
        self.keep(stream, meter, bytes, taken).await
    }

    async fn keep(
        &self,
        stream: Stream,
        meter: &Mutex<Meter>,
        bytes: &[u8],
        (keep, limited): (usize, bool),
    ) -> Result<(), RecordError> {
        let Meters { recorder, id, .. } = &*self.0;
        match bytes.get(..keep) {
            Some(kept) if !kept.is_empty() => recorder.data(*id, stream, kept).await?,
            _ if recorder.broken.load(Ordering::Relaxed) => return Err(recorder.failure()),
            _ => {}
        }
        if limited {
            let kept = lock(meter).kept();
            recorder.control(Control::Limited { channel: *id, stream, kept }).await?;
        }
        Ok(())
    }
}
