//! `session commands …`: what a client asked for and a person typed, beside what the
//! kernel saw run.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::audit::{CommandSource, Event, Record, Verdict};
use tidegate_common::wire::{Exec, Witnessed};

use super::screen::Screen;
use super::table::Table;
use super::{Failure, Services};
use crate::store::SessionRow;
use crate::witness::{self, Checked, Logged, Mark};

/// Sentences of the agent on what is missing, shown of one session.
const MOST_REMARKS: usize = 64;

/// What failed because there is no such file: most often a search of `PATH`.
const NO_FILE: i32 = -2;

/// By how much a line may be told later than it was entered.
const SLACK: Duration = Duration::from_millis(20);

#[derive(Serialize)]
struct Line {
    at: Timestamp,
    source: CommandSource,
    command: String,
    marks: Vec<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exec: Option<Exec>,
}

impl Line {
    /// Kernels tell the time to their tick, and lines are logged after their Enter: of what
    /// is about as old, the line comes before what it ran.
    fn place(&self) -> Timestamp {
        if self.exec.is_some() { self.at } else { self.at - SLACK }
    }
}

/// What the files and the log say of a session.
#[derive(Serialize)]
struct Answer {
    session: String,
    /// What the witness's file is found to be; none where there is none.
    witness: Option<Checked>,
    /// Execs and records that were lost on the way, at least.
    lost: u64,
    remarks: Vec<String>,
    commands: Vec<Line>,
}

impl Answer {
    fn is_altered(&self) -> bool {
        self.witness.as_ref().is_some_and(|witness| witness.verdict == Verdict::Altered)
    }
}

pub(super) async fn run(
    services: &Services,
    session: &SessionRow,
    all: bool,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let answer = gather(services, session, all).await?;
    if screen.json {
        screen.one(&answer, String::new).await?;
        return Ok(u8::from(answer.is_altered()));
    }
    if answer.commands.is_empty() {
        screen.remark("No command is known of this session.").await?;
    } else {
        let mut table = Table::new(["TIME", "SOURCE", "PID", "PARENT", "UID", "COMMAND", "MARKS"]);
        for line in &answer.commands {
            let number = |pick: fn(&Exec) -> u32| {
                line.exec.as_ref().map(|exec| pick(exec).to_string()).unwrap_or_default()
            };
            let marks: Vec<String> = line.marks.iter().map(Mark::to_string).collect();
            table.row([
                line.at.strftime("%H:%M:%S%.3f").to_string(),
                line.source.to_string(),
                number(|exec| exec.pid),
                number(|exec| exec.ppid),
                number(|exec| exec.uid),
                line.command.clone(),
                marks.join(", "),
            ]);
        }
        screen.line(&table.render(screen.columns)).await?;
    }
    for remark in notes(&answer) {
        screen.remark(&remark).await?;
    }
    Ok(u8::from(answer.is_altered()))
}

fn notes(answer: &Answer) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(witness) = answer.witness.as_ref().filter(|_| answer.is_altered()) {
        notes.push(format!("The witness's file was ALTERED ({}).", witness.told));
    }
    if answer.lost > 0 {
        notes.push(format!("At least {} records of the witness were LOST.", answer.lost));
    }
    notes.extend(answer.remarks.iter().map(|remark| format!("The agent says: {remark}.")));
    match &answer.witness {
        None => notes.push("No kernel has told anything of this session.".to_owned()),
        Some(Checked { verdict: Verdict::Incomplete, told }) => {
            notes.push(format!("What the kernel saw is {told}."));
        }
        Some(_) => {}
    }
    notes.push(
        "Marks are heuristics, by names and arguments. So are typed lines: what the screen echoed when \
         Enter was pressed, which a program may draw otherwise."
            .to_owned(),
    );
    notes
}

async fn gather(services: &Services, session: &SessionRow, all: bool) -> Result<Answer, Failure> {
    let records = services.audit.of_session(session.id, session.started).await?;
    let (said, witness) = witnessed(services, session, &records).await?;
    let mut commands = asked(session, records);
    let lines: Vec<String> = commands.iter().map(|line| line.command.clone()).collect();
    let seen = witness::names(said.iter().flat_map(|message| &message.execs));
    for line in &mut commands {
        line.marks.extend(witness::mark_of_line(&line.command, &seen));
    }
    let mut unseen = Unseen::default();
    for message in said {
        unseen.add(&message);
        let shown = message.execs.into_iter().filter(|exec| all || exec.exit != NO_FILE);
        commands.extend(shown.map(|exec| Line {
            at: exec.at,
            source: CommandSource::Witness,
            command: command(&exec),
            marks: witness::marks(&exec, &lines),
            exec: Some(exec),
        }));
    }
    commands.sort_by_key(Line::place);
    let Unseen { lost, remarks } = unseen;
    Ok(Answer { session: session.id.to_string(), witness, lost, remarks, commands })
}

/// What the kernel saw, and what the file of it is found to be.
async fn witnessed(
    services: &Services,
    session: &SessionRow,
    records: &[Record],
) -> Result<(Vec<Witnessed>, Option<Checked>), Failure> {
    let (path, key) = (witness::path(&services.recordings, session.id), services.recordings.public_key());
    let (id, logged) = (session.id, Logged::find(session.id, records));
    let read = tokio::task::spawn_blocking(move || {
        let mut said: Vec<Witnessed> = Vec::new();
        let checked = witness::check(&path, id, &key, logged, |message| said.push(message));
        checked.map(|checked| (said, checked))
    });
    Ok(read.await.map_err(std::io::Error::other)??)
}

/// What of a session its kernel's witness did not see, as the agent tells it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Unseen {
    lost: u64,
    remarks: Vec<String>,
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

    /// Nothing, where all was seen.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        if self.lost > 0 {
            lines.push(format!("  at least {} records were LOST", self.lost));
        }
        lines.extend(self.remarks.iter().map(|remark| format!("  {remark}")));
        if lines.is_empty() {
            return String::new();
        }
        format!("\nWhat the host's kernel told has GAPS, the agent says:\n{}\n", lines.join("\n"))
    }
}

/// Judges the file of what the kernel saw.
pub(super) async fn verify(services: &Services, session: &SessionRow) -> Result<Option<Checked>, Failure> {
    let records = services.audit.of_session(session.id, session.started).await?;
    Ok(witnessed(services, session, &records).await?.1)
}

/// The lines that the proxy knows of a session, from the audit log.
fn asked(session: &SessionRow, records: Vec<Record>) -> Vec<Line> {
    let commands = records.into_iter().filter_map(|record| match record.event {
        Event::CommandRun { session: of, source, command, .. } if of == session.id => {
            let command = command.to_string();
            Some(Line { at: record.at, source, command, marks: Vec::new(), exec: None })
        }
        _ => None,
    });
    commands.collect()
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
    use tidegate_common::id::SessionId;

    #[test]
    fn what_was_not_seen_is_summed_up_bounded_and_nothing_where_all_was() {
        let told = |lost: u64, remark: &str| {
            let (session, remarks) = (SessionId::new(1, 1), vec![Note::new(remark)]);
            Witnessed { number: 1, session, execs: Vec::new(), lost, remarks, last: false }
        };
        let mut unseen = Unseen::default();
        assert_eq!(unseen.text(), "");
        (0..3).for_each(|_| unseen.add(&told(2, "somebody switched the kernel's audit off")));
        assert!(
            unseen
                .text()
                .ends_with("\n  at least 6 records were LOST\n  somebody switched the kernel's audit off\n")
        );
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
