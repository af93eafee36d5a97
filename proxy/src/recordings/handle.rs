//! One recording, for whoever knows its session. Where its file is, nobody else has to know.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_common::id::SessionId;
use tidegate_common::recording::Verdict;
use tokio::io::AsyncWrite;

use super::read::{self, Checked, DumpFormat};
use super::{Ending, Known, PublicKey, RecordError, Recordings};

/// One recording: written now, sealed, cut short, or not there.
#[derive(Clone)]
pub struct Recording {
    pub(super) recordings: Recordings,
    pub(super) path: PathBuf,
    /// Whose it is; none of a copy.
    pub(super) session: Option<SessionId>,
}

impl Recordings {
    /// The recording of a session.
    #[must_use]
    pub fn of(&self, session: SessionId) -> Recording {
        Recording { recordings: self.clone(), path: self.path(session), session: Some(session) }
    }

    /// A copy of a recording that is kept elsewhere, for the local administrator to check.
    #[must_use]
    pub fn copy(&self, file: &str) -> Recording {
        Recording { recordings: self.clone(), path: PathBuf::from(file), session: None }
    }

    /// The file of this ending for what else is kept of a session, beside its recording.
    #[must_use]
    pub fn beside(&self, session: SessionId, ending: &str) -> PathBuf {
        self.path(session).with_file_name(format!("{session}.{ending}"))
    }

    /// How far the recording of a session that lives is on the disk by now.
    pub async fn written(&self, session: SessionId) -> Option<Ending> {
        self.0.written(session).await
    }
}

impl Recording {
    pub(super) fn key(&self) -> PublicKey {
        self.recordings.public_key()
    }

    /// Where its file is, for people to read.
    #[must_use]
    pub fn location(&self) -> &Path {
        &self.path
    }

    /// Whether this gate's disk has it.
    pub async fn is_here(&self) -> bool {
        tokio::fs::try_exists(&self.path).await.unwrap_or_default()
    }

    /// Plays it as it was, `speed` times as fast, with pauses cut to `idle_limit`. Drop the
    /// future to stop.
    ///
    /// # Errors
    /// When it can't be read or `out` takes no more.
    pub async fn play(
        &self,
        known: Option<Known>,
        out: &mut (impl AsyncWrite + Unpin),
        speed: f64,
        idle_limit: Option<Duration>,
    ) -> Result<Verdict, RecordError> {
        read::play(&self.path, &self.key(), known, out, speed, idle_limit).await
    }

    /// Hands out its lines, as far as they are good.
    ///
    /// # Errors
    /// When it can't be read or `out` takes no more.
    pub async fn dump(
        &self,
        known: Option<Known>,
        out: &mut (impl AsyncWrite + Unpin),
        format: DumpFormat,
    ) -> Result<Verdict, RecordError> {
        read::dump(&self.path, &self.key(), known, out, format).await
    }

    /// Judges it: its chain, its signature, that it is the one it is named after, and that it is
    /// what is `known` of it.
    ///
    /// # Errors
    /// When it can't be read. What is wrong with it is no error but the verdict.
    pub async fn verify(&self, known: Option<Known>) -> Result<Checked, RecordError> {
        read::verify(&self.path, &self.key(), known).await
    }
}
