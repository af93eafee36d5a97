//! `session commands …`: what a client asked for and a person typed, beside what the
//! kernel saw run.

use tidegate_common::audit::Verdict;
use tidegate_common::wire::Exec;

use super::screen::Screen;
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::commands::{self, SessionCommands};
use crate::witness::{Checked, Mark};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    id: &str,
    all: bool,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let answer = commands::list(services, actor, id, all).await?;
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

fn notes(answer: &SessionCommands) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(witness) = answer.witness.as_ref().filter(|_| answer.is_altered()) {
        notes.push(format!("The witness's file was ALTERED ({}).", witness.told));
    }
    if answer.lost > 0 {
        notes.push(format!("At least {} records of the witness were LOST.", answer.lost));
    }
    notes.extend(answer.remarks.iter().map(|remark| format!("The agent says: {remark}.")));
    if answer.more > 0 {
        notes.push(format!(
            "{} MORE lines are in the audit log and not told here: `audit tail -n` shows them.",
            answer.more
        ));
    }
    match (&answer.witness, &answer.witness_on) {
        (None, Some(gate)) => {
            notes.push(format!(
                "What the kernel saw lies on gate {gate}, which the session is on; ask there."
            ));
        }
        (None, None) => notes.push("No kernel has told anything of this session.".to_owned()),
        (Some(Checked { verdict: Verdict::Incomplete, told }), _) => {
            notes.push(format!("What the kernel saw is {told}."));
        }
        (Some(_), _) => {}
    }
    notes.push(
        "Marks are heuristics, by names and arguments. So are typed lines: what the screen echoed when \
         Enter was pressed, which a program may draw otherwise."
            .to_owned(),
    );
    notes
}
