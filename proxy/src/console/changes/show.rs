//! A change as people read it, and what came of it.

use tidegate_common::change::{Change, ChangeState, Report};
use tidegate_common::model::Text;

use super::super::show::{maybe, moment, sheet};
use super::super::table::Table;
use crate::service::changes::ChangeReport;
use crate::store::Comparison;

/// One sentence on where a change stands.
pub(super) fn sentence(change: &Change) -> String {
    let Change { id, start, due, .. } = change;
    let told = |what: &str, by: &str, comment: &Option<Text>| {
        let comment = comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        format!("change {id} was {what} by {by}{comment}")
    };
    match &change.state {
        ChangeState::WaitingApproval => {
            format!("change {id} waits for the approval of somebody else than {}", change.author)
        }
        ChangeState::Approved { by, comment, .. } => {
            let told = told("approved", by, comment);
            format!("{told}; it is open from {} until {}", moment(*start), moment(*due))
        }
        ChangeState::Rejected { by, comment, .. } => told("rejected", by, comment),
        ChangeState::Cancelled { by, comment, .. } => told("cancelled", by, comment),
        ChangeState::Executed { by, comment, .. } => told("closed as executed", by, comment),
        ChangeState::PartiallyExecuted { by, comment, .. } => {
            told("closed as partially executed", by, comment)
        }
        ChangeState::Expired { at } => {
            format!("change {id} has expired: nobody approved it until {}", moment(*at))
        }
    }
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn details(change: &Change) -> String {
    let mut text = sheet([
        ("change", change.id.to_string()),
        ("title", change.title.to_string()),
        ("description", maybe(change.description.as_ref())),
        ("state", sentence(change)),
        ("access group", change.group.to_string()),
        ("devices", joined(&change.devices)),
        ("start", moment(change.start)),
        ("due", moment(change.due)),
        ("responsible", joined(&change.responsible)),
        ("author", change.author.to_string()),
        ("made", moment(change.created)),
        ("on unexpected", if change.interrupt { "the session ends".to_owned() } else { String::new() }),
    ]);
    let order = if change.ordered { ", in this order" } else { "" };
    text.push_str(&format!("\nExpected commands{order}:\n"));
    for expected in &change.expected {
        let optional = if expected.optional { "  (optional)" } else { "" };
        text.push_str(&format!("  {}{optional}\n", expected.command));
    }
    if change.expected.is_empty() {
        text.push_str("  none\n");
    }
    text
}

/// What came of a comparison.
fn outcome(report: &Report) -> String {
    let mut text = String::new();
    let missing: Vec<_> = report.missing().map(|outcome| format!("  {}\n", outcome.command)).collect();
    if !missing.is_empty() {
        text.push_str(&format!("\nExpected, and did not run:\n{}", missing.concat()));
    }
    if !report.unexpected.is_empty() || report.more > 0 {
        text.push_str("\nRan, and was NOT EXPECTED:\n");
        for unexpected in &report.unexpected {
            let order = if unexpected.out_of_order { ", out of order" } else { "" };
            text.push_str(&format!("  {}  ({}{order})\n", unexpected.command, unexpected.source));
        }
        if report.more > 0 {
            text.push_str(&format!("  and {} more\n", report.more));
        }
    }
    if report.not_compared > 0 {
        text.push_str(&format!(
            "\n{} commands came faster than they could be compared\n",
            report.not_compared
        ));
    }
    text
}

fn score(report: &Report) -> String {
    let score = report.score();
    format!(
        "{} % ({} matched, {} unexpected, {} missing)",
        score.percent(),
        score.matched,
        score.unexpected,
        score.missing
    )
}

pub(super) fn report(shown: &ChangeReport, columns: Option<usize>) -> String {
    let ChangeReport { change, expected, run_not_expected, more, not_compared, sessions, .. } = shown;
    let total = Report {
        expected: expected.clone(),
        unexpected: run_not_expected.clone(),
        more: *more,
        not_compared: *not_compared,
    };
    let mut text = sheet([
        ("change", change.id.to_string()),
        ("title", change.title.to_string()),
        ("state", sentence(change)),
        ("score", score(&total)),
    ]);
    let ran = expected.iter().filter_map(|outcome| {
        let source = outcome.source?;
        Some(format!("  {}  ({source})\n", outcome.command))
    });
    let ran: String = ran.collect();
    if !ran.is_empty() {
        text.push_str(&format!("\nRan as expected:\n{ran}"));
    }
    text.push_str(&outcome(&total));
    if sessions.is_empty() {
        text.push_str("\nNo session has rested on it yet.\n");
        return text;
    }
    let mut table = Table::new(["SESSION", "SCORE", "COMPARED"]);
    for session in sessions {
        table.row([session.session.to_string(), score(&session.report), compared_by(session)]);
    }
    text.push_str(&format!("\n{}\n", table.render(columns)));
    text
}

fn compared_by(comparison: &Comparison) -> String {
    let by = match comparison.witnessed {
        true => "with the host's kernel",
        false => "by lines only",
    };
    if comparison.complete { by.to_owned() } else { format!("{by}, not to its end yet") }
}

/// What came of a session under its change; nothing where it rests on none.
pub(in crate::console) fn compared(comparison: Option<&Comparison>) -> String {
    let Some(comparison) = comparison else { return String::new() };
    let Comparison { change, report, .. } = comparison;
    format!("\nUnder change {change}: {}, {}\n{}", score(report), compared_by(comparison), outcome(report))
}
