//! What a client asked for and a person typed in a session, beside what the kernel saw run.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::audit::{CommandSource, Event, Verdict};
use tidegate_common::id::SessionId;
use tidegate_common::name::GateName;
use tidegate_common::wire::{Exec, Witnessed};

use super::operation::Operation;
use super::sessions::find;
use super::{Actor, Failure, Services, records};
use crate::store::SessionRow;
use crate::witness::{self, Checked, Logged, Mark};

/// Sentences of the agent on what is missing, told of one session.
const MOST_REMARKS: usize = 64;

/// Lines of the audit log that are told of one session.
const MOST_LINES: usize = if cfg!(test) { 50 } else { 100_000 };

/// What failed because there is no such file: most often a search of `PATH`.
const NO_FILE: i32 = -2;

/// By how much a line may be told later than it was entered.
const SLACK: Duration = Duration::from_millis(20);

/// One command.
#[derive(Debug, Clone, Serialize)]
pub struct CommandLine {
    /// When it was entered, or run.
    pub at: Timestamp,
    /// Who says so.
    pub source: CommandSource,
    /// Its words, as a shell would need them.
    pub command: String,
    /// What is odd about it; heuristics.
    pub marks: Vec<Mark>,
    /// What the kernel saw, where it is the one who says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
}

impl CommandLine {
    /// Kernels tell the time to their tick, and lines are logged after their Enter: of what
    /// is about as old, the line comes before what it ran.
    fn place(&self) -> Timestamp {
        if self.exec.is_some() { self.at } else { self.at - SLACK }
    }
}

/// What the files and the log say of a session.
#[derive(Debug, Clone, Serialize)]
pub struct SessionCommands {
    /// Which.
    pub session: SessionId,
    /// What the witness's file is found to be; none where there is none.
    pub witness: Option<Checked>,
    /// Execs and records that were lost on the way, at least.
    pub lost: u64,
    /// What the agent says is missing.
    pub remarks: Vec<String>,
    /// The gate on whose disk lies what the kernel saw, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness_on: Option<GateName>,
    /// The commands, in the order in which they came.
    pub commands: Vec<CommandLine>,
    /// How many more lines the audit log has than are told here.
    pub more: u64,
}

impl SessionCommands {
    /// Whether what the kernel saw is not what was written.
    #[must_use]
    pub fn is_altered(&self) -> bool {
        self.witness.as_ref().is_some_and(|witness| witness.verdict == Verdict::Altered)
    }
}

/// The commands of a session; with `all` also what failed because there was no such file.
///
/// # Errors
/// When the actor reads only their own, there is no such session, or something cannot be read.
pub async fn list(
    services: &Services,
    actor: &Actor,
    id: &str,
    all: bool,
) -> Result<SessionCommands, Failure> {
    let work = async {
        let (session, gates) = find(services, actor, id).await?;
        let mut commands = gather(services, &session, all).await?;
        commands.witness_on = gates.elsewhere(services, &session).await.cloned();
        Ok(commands)
    };
    Operation::CommandList.perform(services, actor, work).await
}

async fn gather(services: &Services, session: &SessionRow, all: bool) -> Result<SessionCommands, Failure> {
    let (said, witness) = witnessed(services, session).await?;
    let (mut commands, more) = asked(services, session).await?;
    let lines: Vec<String> = commands.iter().map(|line| line.command.clone()).collect();
    let seen = witness::names(said.iter().flat_map(|message| &message.execs));
    for line in &mut commands {
        line.marks.extend(witness::mark_of_line(&line.command, &seen));
    }
    let mut unseen = Unseen::default();
    for message in said {
        unseen.add(&message);
        let shown = message.execs.into_iter().filter(|exec| all || exec.exit != NO_FILE);
        commands.extend(shown.map(|exec| CommandLine {
            at: exec.at,
            source: CommandSource::Witness,
            command: command(&exec),
            marks: witness::marks(&exec, &lines),
            exec: Some(exec),
        }));
    }
    commands.sort_by_key(CommandLine::place);
    let Unseen { lost, remarks } = unseen;
    let witness_on = None;
    Ok(SessionCommands { session: session.id, witness, witness_on, lost, remarks, commands, more })
}

/// What the kernel saw, and what the file of it is found to be.
async fn witnessed(
    services: &Services,
    session: &SessionRow,
) -> Result<(Vec<Witnessed>, Option<Checked>), Failure> {
    let mut ends = Vec::new();
    records::each(services, session.id, "commands-witnessed", |record| ends.push(record)).await?;
    let (path, key) = (witness::path(&services.recordings, session.id), services.recordings.public_key());
    let (id, logged) = (session.id, Logged::find(session.id, &ends));
    let read = tokio::task::spawn_blocking(move || {
        let mut said: Vec<Witnessed> = Vec::new();
        let checked = witness::check(&path, id, &key, logged, |message| said.push(message));
        checked.map(|checked| (said, checked))
    });
    Ok(read.await.map_err(std::io::Error::other)??)
}

/// What of a session its kernel's witness did not see, as the agent tells it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Unseen {
    /// Execs and records that were lost on the way, at least.
    pub lost: u64,
    /// What the agent says is missing.
    pub remarks: Vec<String>,
}

impl Unseen {
    /// Of the session's file, whatever that is found to be.
    pub(super) async fn of(services: &Services, session: &SessionRow) -> Result<Self, Failure> {
        let (path, key) = (witness::path(&services.recordings, session.id), services.recordings.public_key());
        let (id, logged) = (session.id, Logged::find(session.id, &[]));
        let read = tokio::task::spawn_blocking(move || {
            let mut unseen = Self::default();
            witness::check(&path, id, &key, logged, |message| unseen.add(&message)).map(|_| unseen)
        });
        Ok(read.await.map_err(std::io::Error::other)??)
    }

    fn add(&mut self, message: &Witnessed) {
        self.lost = self.lost.saturating_add(message.lost);
        for remark in &message.remarks {
            let remark = remark.to_string();
            if self.remarks.len() < MOST_REMARKS && !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
    }
}

/// Judges the file of what the kernel saw.
pub(super) async fn verify(services: &Services, session: &SessionRow) -> Result<Option<Checked>, Failure> {
    Ok(witnessed(services, session).await?.1)
}

/// The lines that the proxy knows of a session, from the audit log, and how many more there are
/// than are told.
async fn asked(services: &Services, session: &SessionRow) -> Result<(Vec<CommandLine>, u64), Failure> {
    let (mut commands, mut more) = (Vec::new(), 0u64);
    records::each(services, session.id, "command-run", |record| match record.event {
        Event::CommandRun { source, command, .. } if commands.len() < MOST_LINES => {
            let command = command.to_string();
            commands.push(CommandLine { at: record.at, source, command, marks: Vec::new(), exec: None });
        }
        _ => more = more.saturating_add(1),
    })
    .await?;
    Ok((commands, more))
}

/// The words as a shell would need them, for reading.
fn command(exec: &Exec) -> String {
    if exec.argv.is_empty() {
        return exec.exe.to_string();
    }
    let mut words: Vec<String> = exec.argv.iter().map(|word| quoted(word.as_str())).collect();
    if exec.cut > 0 {
        words.push(format!("… ({} more)", exec.cut));
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=@%+,…".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_common::audit::Note;

    #[test]
    fn what_was_not_seen_is_summed_up_and_bounded() {
        let told = |lost: u64, remark: &str| {
            let (session, remarks) = (SessionId::new(1, 1), vec![Note::new(remark)]);
            Witnessed { number: 1, session, execs: Vec::new(), lost, remarks, last: false }
        };
        let mut unseen = Unseen::default();
        (0..3).for_each(|_| unseen.add(&told(2, "somebody switched the kernel's audit off")));
        assert_eq!((unseen.lost, unseen.remarks.len()), (6, 1));
        (0..1000).for_each(|number| unseen.add(&told(u64::MAX, &number.to_string())));
        assert_eq!((unseen.lost, unseen.remarks.len()), (u64::MAX, MOST_REMARKS));
    }

    #[test]
    fn words_read_as_a_shell_would_need_them() {
        assert_eq!(quoted("/usr/bin/ls"), "/usr/bin/ls");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
