//! Recordings read back: verified, played, handed out. A file is read piece by piece;
//! one that is still being written is read as far as it goes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_common::recording::{Alteration, Header, Part, Reader, Script, ScriptLine, Verdict, line_v2};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::store::ENDING;
use super::{Known, PublicKey, RecordError};
use crate::files::open_plain;

const PIECE: usize = 64 * 1024;

/// What was found of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The verdict.
    pub verdict: Verdict,
    /// Its header, where the first frame is good.
    pub header: Option<Header>,
}

/// Judges a recording: its chain, its signature, that it is the one it is named after, and
/// that it is what is `known` of it.
///
/// # Errors
/// When it can't be read. What is wrong with it is no error but the verdict.
pub async fn verify(path: &Path, key: &PublicKey, known: Option<Known>) -> Result<Checked, RecordError> {
    let mut source = Source::open(path, key, known)?;
    let work = move || {
        loop {
            match source.step()? {
                Step::Lines(_) => {}
                Step::Over(verdict) => {
                    let header = source.header.take();
                    return Ok(Checked { verdict: source.named(verdict, header.as_ref()), header });
                }
            }
        }
    };
    blocking(path, work).await
}

fn first_line(lines: &[u8]) -> Option<Header> {
    let line = lines.split(|byte| *byte == b'\n').next()?;
    match Script::new().line(line) {
        Ok(Some(ScriptLine::Header(header))) => Some(*header),
        _ => None,
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, RecordError> + Send + 'static,
) -> Result<T, RecordError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| {
        Err(RecordError::Read { path: path.to_owned(), source: std::io::Error::other(panic) })
    })
}

/// A file, frame by frame.
pub(super) struct Source {
    path: PathBuf,
    /// None when it is not there, and is known to have been.
    file: Option<File>,
    key: PublicKey,
    known: Option<Known>,
    reader: Reader,
    /// From the first frame.
    header: Option<Header>,
    piece: Vec<u8>,
    whole: Option<Verdict>,
}

pub(super) enum Step {
    /// Whole lines of a frame whose link holds.
    Lines(Vec<u8>),
    /// There is no more.
    Over(Verdict),
}

impl Source {
    pub(super) fn open(path: &Path, key: &PublicKey, known: Option<Known>) -> Result<Self, RecordError> {
        let begun = known.is_some_and(|known| known.begun);
        let file = match open_plain(path) {
            Ok(file) => Some(file),
            Err(error) if begun && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(RecordError::Read { path: path.to_owned(), source }),
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            key: key.clone(),
            known,
            reader: Reader::new(),
            header: None,
            piece: vec![0; PIECE],
            whole: None,
        })
    }

    pub(super) fn step(&mut self) -> Result<Step, RecordError> {
        Ok(match (self.next_step()?, self.known) {
            (Step::Over(verdict), Some(known)) => Step::Over(known.judge(verdict)),
            (step, _) => step,
        })
    }

    fn next_step(&mut self) -> Result<Step, RecordError> {
        let altered = |what, reader: &Reader| Step::Over(Verdict::Altered { what, chain: reader.chain() });
        let Some(file) = &mut self.file else {
            return Ok(altered(Alteration::Missing, &self.reader));
        };
        loop {
            match self.reader.next_part() {
                Ok(Some(Part::Lines(lines))) => {
                    if self.header.is_none() {
                        self.header = first_line(&lines);
                    }
                    // Nothing is shown of what is not asked for.
                    if let Some(known) = self.known {
                        if self.header.as_ref().is_none_or(|header| header.session != known.session) {
                            return Ok(altered(Alteration::Session, &self.reader));
                        }
                        if !known.allows(&self.reader.chain()) {
                            return Ok(altered(Alteration::OtherEnd, &self.reader));
                        }
                    }
                    return Ok(Step::Lines(lines));
                }
                Ok(Some(Part::End(signature))) => {
                    if !self.key.check(&self.reader.signed(), &signature) {
                        return Ok(altered(Alteration::Signature, &self.reader));
                    }
                    self.whole = Some(Verdict::Whole(self.reader.chain()));
                }
                Err(what) => return Ok(altered(what, &self.reader)),
                Ok(None) => {
                    let read = file.read(&mut self.piece);
                    let read =
                        read.map_err(|source| RecordError::Read { path: self.path.clone(), source })?;
                    match self.piece.get(..read) {
                        Some(piece) if !piece.is_empty() => self.reader.feed(piece),
                        _ => return Ok(Step::Over(self.whole.take().unwrap_or_else(|| self.reader.cut()))),
                    }
                }
            }
        }
    }

    /// A whole recording under another session's name is not what it seems.
    fn named(&self, verdict: Verdict, header: Option<&Header>) -> Verdict {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let named_after = name.strip_suffix(ENDING).and_then(|id| id.parse().ok());
        match (verdict, header, named_after) {
            (Verdict::Whole(chain), Some(header), Some(named)) if header.session != named => {
                Verdict::Altered { what: Alteration::Session, chain }
            }
            (verdict, ..) => verdict,
        }
    }
}

/// What a player shows next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scene {
    /// Text for the screen, `after` the scene before it.
    Show { after: Duration, text: String },
    /// There is no more; what was shown was this.
    Over(Verdict),
}

/// Gives scenes one by one, in bounded memory, without waiting between them.
pub struct Player {
    source: Option<Source>,
    path: PathBuf,
    script: Script,
    lines: Vec<u8>,
    place: usize,
    /// The time of the scene before, in milliseconds.
    at: u64,
    verdict: Option<Verdict>,
}

impl Player {
    /// Opens a recording at its start.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path, key: &PublicKey, known: Option<Known>) -> Result<Self, RecordError> {
        Ok(Self {
            source: Some(Source::open(path, key, known)?),
            path: path.to_owned(),
            script: Script::new(),
            lines: Vec::new(),
            place: 0,
            at: 0,
            verdict: None,
        })
    }

    /// What is shown next. After [`Scene::Over`] it stays over.
    ///
    /// # Errors
    /// When the file can't be read or holds lines that no recording has.
    pub async fn next_scene(&mut self) -> Result<Scene, RecordError> {
        loop {
            match self.next_script_line().await? {
                Ok(
                    ScriptLine::Data { at, shown: Some(text), .. } | ScriptLine::Cleared { at, shown: text },
                ) => {
                    let after = Duration::from_millis(at.saturating_sub(self.at));
                    self.at = at;
                    return Ok(Scene::Show { after, text });
                }
                Ok(_) => {}
                Err(verdict) => return Ok(Scene::Over(verdict)),
            }
        }
    }

    /// The next thing that the recording says, whether it shows or not; `Err` holds the
    /// verdict at its end.
    async fn next_script_line(&mut self) -> Result<Result<ScriptLine, Verdict>, RecordError> {
        loop {
            if let Some(verdict) = self.verdict {
                return Ok(Err(verdict));
            }
            let rest = self.lines.get(self.place..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.get(..length).unwrap_or_default();
                self.place += length + 1;
                let said = self.script.line(line);
                let wrong = |source| RecordError::Script { path: self.path.clone(), source };
                if let Some(said) = said.map_err(wrong)? {
                    return Ok(Ok(said));
                }
                continue;
            }
            self.verdict = self.load().await?;
        }
    }

    /// Reads the next frame's lines; the verdict when there is none.
    async fn load(&mut self) -> Result<Option<Verdict>, RecordError> {
        let Some(mut source) = self.source.take() else {
            let gone = std::io::Error::other("an earlier read failed");
            return Err(RecordError::Read { path: self.path.clone(), source: gone });
        };
        let work = move || source.step().map(|step| (source, step));
        let (source, step) = blocking(&self.path, work).await?;
        self.source = Some(source);
        match step {
            Step::Lines(lines) => {
                (self.lines, self.place) = (lines, 0);
                Ok(None)
            }
            Step::Over(verdict) => Ok(Some(verdict)),
        }
    }
}

/// Plays a recording as it was, `speed` times as fast, with pauses cut to `idle_limit`.
/// Drop the future to stop.
///
/// # Errors
/// When the recording can't be read or `out` takes no more.
pub async fn play(
    path: &Path,
    key: &PublicKey,
    known: Option<Known>,
    out: &mut (impl AsyncWrite + Unpin),
    speed: f64,
    idle_limit: Option<Duration>,
) -> Result<Verdict, RecordError> {
    let mut player = Player::open(path, key, known)?;
    let speed = if speed.is_finite() { speed.clamp(0.01, 1000.0) } else { 1.0 };
    // Text due at the same moment goes out at once.
    loop {
        match player.next_scene().await? {
            Scene::Over(verdict) => {
                out.flush().await.map_err(RecordError::Show)?;
                return Ok(verdict);
            }
            Scene::Show { after, text } => {
                let pause = idle_limit.map_or(after, |limit| after.min(limit)).div_f64(speed);
                if pause >= Duration::from_millis(1) {
                    out.flush().await.map_err(RecordError::Show)?;
                    tokio::time::sleep(pause).await;
                }
                out.write_all(text.as_bytes()).await.map_err(RecordError::Show)?;
            }
        }
    }
}

/// The version of asciicast to hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpFormat {
    /// As it is in the file.
    V3,
    /// For players that know nothing newer.
    V2,
}

/// Hands out a recording's lines, as far as they are good.
///
/// # Errors
/// When the recording can't be read or `out` takes no more.
pub async fn dump(
    path: &Path,
    key: &PublicKey,
    known: Option<Known>,
    out: &mut (impl AsyncWrite + Unpin),
    format: DumpFormat,
) -> Result<Verdict, RecordError> {
    let mut player = Player::open(path, key, known)?;
    let mut lines = Vec::new();
    let verdict = loop {
        match format {
            DumpFormat::V3 => {
                let verdict = player.load().await?;
                if let Some(verdict) = verdict {
                    break verdict;
                }
                lines.append(&mut player.lines);
            }
            DumpFormat::V2 => match player.next_script_line().await? {
                Ok(said) => line_v2(&said, &mut lines),
                Err(verdict) => break verdict,
            },
        }
        if lines.len() >= PIECE {
            out.write_all(&lines).await.map_err(RecordError::Show)?;
            lines.clear();
        }
    };
    out.write_all(&lines).await.map_err(RecordError::Show)?;
    out.flush().await.map_err(RecordError::Show)?;
    Ok(verdict)
}
