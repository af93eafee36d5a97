//! What is kept of a channel: its recording, and the lists of what was typed and of the
//! files that pass. What can't be kept must not go on; the errors are sentences for the user.

use bytes::Bytes;
use tidegate_common::audit::Note;

use super::Size;
use crate::follow::transfers::Watch;
use crate::follow::typed::Typed;
use crate::recordings;
use crate::session::Open;

/// How a program ended (RFC 4254, 6.10).
pub(super) enum Exit {
    Status(u32),
    Signal(String),
}

impl Exit {
    pub fn note(&self) -> Note {
        match self {
            Self::Status(status) => Note::new(status.to_string()),
            Self::Signal(name) => Note::new(format!("signal {name}")),
        }
    }
}

pub(super) struct Recorded {
    pub recorder: recordings::Channel,
    pub transfers: Watch,
    pub typed: Typed,
}

impl Recorded {
    /// Output of the device, and whether a program has the terminal's alternate screen.
    pub async fn output(&self, data: &Bytes, alternate: bool) -> Result<(), String> {
        self.recorder.output(data).await.map_err(said)?;
        self.typed.device(data, alternate).await.map_err(said)?;
        self.transfers.device(data).await.map_err(said)
    }

    pub async fn stderr(&self, data: &Bytes) -> Result<(), String> {
        self.recorder.stderr(data).await.map_err(said)
    }

    pub async fn input(&self, data: &Bytes) -> Result<(), String> {
        self.recorder.input(data).await.map_err(said)?;
        self.typed.client(data);
        self.transfers.client(data).await.map_err(said)
    }

    /// A size that the client does not know leaves the one before.
    pub async fn resize(&self, size: Size) -> Result<(), String> {
        let Some(shown) = size.known() else { return Ok(()) };
        self.typed.resize(shown.cols);
        self.recorder.resize(shown).await.map_err(said)
    }

    /// The channel is over.
    pub async fn close(self, open: &Open, exit: Option<&Exit>) {
        let (status, signal) = match exit {
            Some(Exit::Status(status)) => (Some(*status), None),
            Some(Exit::Signal(name)) => (None, Some(name.as_str())),
            None => (None, None),
        };
        if let Err(error) = self.typed.end().await {
            tracing::error!(session = %open.id, %error, "a channel's typed lines are not all listed");
        }
        if let Err(error) = self.transfers.end().await {
            tracing::error!(session = %open.id, %error, "a channel's transfers are not all listed");
        }
        if let Err(error) = self.recorder.close(status, signal).await {
            tracing::warn!(session = %open.id, %error, "a channel's end could not be recorded");
        }
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
