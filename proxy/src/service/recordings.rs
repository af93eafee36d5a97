//! Recordings: played, handed out, judged.

mod evidence;

pub use evidence::Listed;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tidegate_common::audit::{Event, Verdict as Judged};
use tidegate_common::id::SessionId;
use tidegate_common::recording::Verdict;
use tidegate_common::time::Length;
use tokio::io::AsyncWrite;

use super::operation::{Operation, while_reading};
use super::sessions::find;
use super::{Actor, Failure, Services, commands};
use crate::recordings::{DumpFormat as Format, Ending, Known, Recording};
use crate::store::SessionRow;
use crate::witness::Checked;

/// How long is waited for a session to end and be sealed.
const SEALED: Duration = Duration::from_secs(3);

/// The version of asciicast to hand out.
pub use crate::recordings::DumpFormat as Asciicast;

/// How fast to play.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    /// So many times as fast as it was.
    pub times: f64,
    /// Pauses take at most so long.
    pub longest_pause: Length,
}

/// What a recording that was shown is found to be.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// The verdict.
    pub verdict: Judged,
    /// The verdict and why, as the end of a sentence.
    pub detail: String,
}

impl Shown {
    fn of(verdict: &Verdict, lives: bool) -> Self {
        Self { verdict: judged(verdict), detail: told(verdict, lives) }
    }

    /// Whether it is not what was written.
    #[must_use]
    pub fn is_altered(&self) -> bool {
        self.verdict == Judged::Altered
    }
}

/// What takes the bytes of a recording.
pub type Sink<'a> = &'a mut (dyn AsyncWrite + Unpin + Send);

/// Plays a recording: what its screen showed goes to `sink` as it did then.
///
/// # Errors
/// When the actor reads only their own, or no longer more than that; when there is no such
/// session, its recording cannot be read, or the sink takes no more.
pub async fn play(
    services: &Services,
    actor: &Actor,
    id: &str,
    speed: Speed,
    mut sink: Sink<'_>,
) -> Result<Shown, Failure> {
    let work = async {
        let Begun { recording, known, lives } = begin(services, actor, id).await?;
        let pause = Some(speed.longest_pause.approximate());
        Ok(Shown::of(&recording.play(Some(known), &mut sink, speed.times, pause).await?, lives))
    };
    Operation::RecordingPlay.perform(services, actor, while_reading(services, actor, work)).await
}

/// Hands a recording out as asciicast.
///
/// # Errors
/// As [`play`].
pub async fn export(
    services: &Services,
    actor: &Actor,
    id: &str,
    format: Format,
    mut sink: Sink<'_>,
) -> Result<Shown, Failure> {
    let work = async {
        let Begun { recording, known, lives } = begin(services, actor, id).await?;
        Ok(Shown::of(&recording.dump(Some(known), &mut sink, format).await?, lives))
    };
    Operation::RecordingExport.perform(services, actor, while_reading(services, actor, work)).await
}

/// A recording that is about to be shown.
struct Begun {
    recording: Recording,
    known: Known,
    /// Whether its session lives, so that it is not sealed yet.
    lives: bool,
}

/// The recording that is about to be shown, which the log knows by then.
async fn begin(services: &Services, actor: &Actor, id: &str) -> Result<Begun, Failure> {
    let session = found_here(services, actor, id).await?;
    let played = Event::RecordingPlayed { session: session.id };
    services.audit.append(actor.by().did(played)).await?;
    let (known, lives) = settled(services, &session).await?;
    Ok(Begun { recording: services.recordings.of(session.id), known, lives })
}

/// What is known of a session's recording, and whether the session lives. Whoever was just in
/// it has left before it is sealed, so that is waited for, unless somebody is still in it.
async fn settled(services: &Services, session: &SessionRow) -> Result<(Known, bool), Failure> {
    if let Some(live) = services.live.get(session.id) {
        let known = evidence::known(services, session).await?;
        let sealed = matches!(known.end, Some(Ending::Sealed { .. }));
        if sealed || live.facts().channels > 0 {
            return Ok((known, !sealed));
        }
    }
    let lives = !services.live.gone(session.id, SEALED).await;
    Ok((evidence::known(services, session).await?, lives))
}

/// The session, whose recording lies on this gate.
async fn found_here(services: &Services, actor: &Actor, id: &str) -> Result<SessionRow, Failure> {
    let (session, gates) = find(services, actor, id).await?;
    gates.must_be_here(services, &session).await?;
    Ok(session)
}

/// What a recording, what the kernel saw and the list of transfers are found to be.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// What the kernel saw.
    pub commands: Option<Checked>,
    /// The recording's verdict and why, as the end of a sentence.
    pub detail: String,
    /// The recording's file.
    pub file: PathBuf,
    /// The fingerprint of the key that it must be signed with.
    pub key: String,
    /// Whose recording it is, where that is known.
    pub session: Option<SessionId>,
    /// The list of transfers.
    pub transfers: Option<Listed>,
    /// What the kernel's witness did not see.
    pub unseen: commands::Unseen,
    /// The recording's verdict.
    pub verdict: Judged,
    /// Whether it is a file that was kept elsewhere.
    #[serde(skip)]
    pub elsewhere: bool,
}

impl Verified {
    /// Whether any of it is not as it shall be. An agent that is away may keep the rest of what
    /// the kernel saw for days; that alone is no bad sign.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.verdict != Judged::Whole
            || self.transfers.as_ref().is_some_and(|transfers| transfers.verdict != Judged::Whole)
            || self.commands.as_ref().is_some_and(|commands| commands.verdict == Judged::Altered)
    }
}

/// Judges a recording, what the kernel saw and the list of transfers. For the local
/// administrator `id` may also be the path of a recording that was kept elsewhere.
///
/// # Errors
/// When the actor reads only their own, there is no such session, or something cannot be read.
pub async fn verify(services: &Services, actor: &Actor, id: &str) -> Result<Verified, Failure> {
    let work = async {
        let elsewhere = actor.name().is_none() && id.contains('/');
        let row = match elsewhere {
            true => None,
            false => Some(found_here(services, actor, id).await?),
        };
        let recording = match &row {
            Some(row) => services.recordings.of(row.id),
            None => services.recordings.copy(id),
        };
        let (known, lives) = match &row {
            Some(row) => {
                let (known, lives) = settled(services, row).await?;
                (Some(known), lives)
            }
            None => (evidence::of_copy(services, &recording).await?, false),
        };
        let checked = recording.verify(known).await?;
        let verdict = judged(&checked.verdict);
        let session = row.as_ref().map(|row| row.id).or(checked.header.map(|header| header.session));
        if let Some(session) = session {
            let event = Event::RecordingVerified { session, verdict };
            services.audit.append(actor.by().did(event)).await?;
        }
        let (commands, transfers, unseen) = match &row {
            Some(row) => (
                commands::verify(services, row).await?,
                evidence::transfers(services, row).await?,
                commands::Unseen::of(services, row).await?,
            ),
            None => (None, None, commands::Unseen::default()),
        };
        if let (Some(row), Some(Checked { verdict, .. })) = (&row, &commands) {
            let event = Event::CommandsVerified { session: row.id, verdict: *verdict };
            services.audit.append(actor.by().did(event)).await?;
        }
        let detail = told(&checked.verdict, lives);
        let (key, file) = (services.recordings.public_key().fingerprint(), recording.location().to_owned());
        Ok(Verified { commands, detail, file, key, session, transfers, unseen, verdict, elsewhere })
    };
    Operation::RecordingVerify.perform(services, actor, work).await
}

fn judged(verdict: &Verdict) -> Judged {
    match verdict {
        Verdict::Whole(_) => Judged::Whole,
        Verdict::Incomplete { .. } => Judged::Incomplete,
        Verdict::Altered { .. } => Judged::Altered,
    }
}

fn told(verdict: &Verdict, lives: bool) -> String {
    match verdict {
        Verdict::Whole(chain) => {
            format!("whole: {} frames, {} bytes of text, signed", chain.frames, chain.bytes)
        }
        Verdict::Incomplete { chain, .. } => {
            let then = if lives { "and not sealed yet: its session lives" } else { "then it was cut off" };
            format!("incomplete: good up to frame {}, {then}", chain.frames)
        }
        Verdict::Altered { what, chain } => format!("altered after frame {}: {what}", chain.frames),
    }
}
