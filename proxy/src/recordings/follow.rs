//! A recording read while it is written, for who watches its session.
//!
//! Nobody who writes it waits for that, and nothing is shown that is not on its way to the disk.
//! While somebody follows, what was recorded is written within 50 ms instead of a second; else
//! following costs nothing.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use tidegate_common::recording::{Script, ScriptLine, Verdict};
use tokio::sync::watch;

use super::read::{Source, Step, blocking};
use super::recorder::Inner;
use super::{Known, RecordError, Recording};

/// Frames that are read in one go, so that who leaves is not waited for.
const MOST_FRAMES: usize = 64;

/// Where a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// There is more at once.
    More,
    /// All that is written.
    Now,
    /// The end.
    End(Verdict),
}

/// Reads a recording as it is written.
pub struct Follow {
    recording: Recording,
    /// None after a read that failed.
    source: Option<(Source, Script)>,
    writes: watch::Receiver<()>,
    over: bool,
    _eager: Eager,
}

/// Has what is recorded written sooner, until it is dropped.
struct Eager(Weak<Inner>);

impl Eager {
    fn new(inner: &Arc<Inner>) -> Self {
        inner.pending().followers += 1;
        // What waits now is due sooner.
        inner.wake.notify_one();
        Self(Arc::downgrade(inner))
    }
}

impl Drop for Eager {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            let mut pending = inner.pending();
            pending.followers = pending.followers.saturating_sub(1);
        }
    }
}

impl Recording {
    /// Follows it from its beginning; none where it is not written now.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn follow(&self) -> Result<Option<Follow>, RecordError> {
        let Some(session) = self.session else { return Ok(None) };
        let Some(inner) = self.recordings.0.writing(session) else { return Ok(None) };
        let known = Known { session, begun: true, end: None };
        let source = Source::open(&self.path, &self.key(), Some(known))?;
        Ok(Some(Follow {
            recording: self.clone(),
            source: Some((source, Script::new())),
            writes: inner.written.subscribe(),
            over: false,
            _eager: Eager::new(&inner),
        }))
    }
}

impl Follow {
    /// Reads on, and gives `state` and each thing that is said to `take`, where it may take its
    /// time.
    ///
    /// # Errors
    /// When the recording can't be read, or is none.
    pub async fn read<S: Send + 'static>(
        &mut self,
        mut state: S,
        take: fn(&mut S, ScriptLine),
    ) -> Result<(S, Reached), RecordError> {
        let path = self.recording.path.clone();
        let Some((mut source, mut script)) = self.source.take() else {
            let gone = std::io::Error::other("an earlier read failed");
            return Err(RecordError::Read { path, source: gone });
        };
        // Asked before reading: what is written last may come in between.
        let over = self.over;
        let of = path.clone();
        let work = move || {
            for _ in 0..MOST_FRAMES {
                let lines = match source.step()? {
                    Step::Lines(lines) => lines,
                    Step::Over(Verdict::Incomplete { .. }) if !over => {
                        return Ok((source, script, state, Reached::Now));
                    }
                    Step::Over(verdict) => return Ok((source, script, state, Reached::End(verdict))),
                };
                for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let said = script.line(line);
                    let wrong = |source| RecordError::Script { path: of.clone(), source };
                    if let Some(said) = said.map_err(wrong)? {
                        take(&mut state, said);
                    }
                }
            }
            Ok((source, script, state, Reached::More))
        };
        let (source, script, state, reached) = blocking(&path, work).await?;
        self.source = Some((source, script));
        Ok((state, reached))
    }

    /// Waits until more was written, or nobody writes any more. Cancel safe.
    pub async fn written(&mut self) {
        self.over |= self.writes.changed().await.is_err();
    }
}
