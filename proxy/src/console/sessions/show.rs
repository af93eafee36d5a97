//! `session show`: a session, the files that went through it, what its kernel did not tell,
//! and what it left behind.

use tidegate_common::residue::Residue;
use tidegate_common::unseen::printable;

use super::super::changes::compared;
use super::super::show::{maybe, moment, sheet};
use super::super::table::Table;
use super::super::{Failure, Screen};
use super::{took, transfers};
use crate::service::commands::Unseen;
use crate::service::live::{Standing, Watched};
use crate::service::sessions::ShownSession;

pub(super) async fn show(shown: &ShownSession, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let columns = screen.columns;
    let lines = || {
        details(shown)
            + &transfers::text(shown, columns)
            + &compared(shown.compared.as_ref())
            + &gaps(&shown.unseen)
            + &left_behind(shown.left_behind.as_ref(), columns)
    };
    screen.one_told(shown, lines).await
}

fn details(shown: &ShownSession) -> String {
    let (session, said) = (&shown.session, &shown.said);
    let now = shown.now.as_ref();
    let traffic = |now: &Standing| {
        let channels = if now.channels == 1 { "channel" } else { "channels" };
        let Standing { channels: open, bytes_in, bytes_out, .. } = now;
        format!("{open} {channels}, {bytes_in} bytes in, {bytes_out} bytes out")
    };
    let locked = |by: &String| format!("locked by {by}");
    sheet([
        ("session", session.id.to_string()),
        ("user", session.user.to_string()),
        ("credential", session.target.to_string()),
        ("access group", session.group.to_string()),
        ("request", maybe(session.request)),
        ("emergency", if session.emergency { "yes".to_owned() } else { String::new() }),
        ("justification", maybe(said.justification.as_ref())),
        ("reason", maybe(said.reason.as_ref())),
        ("change", maybe(said.change.as_ref())),
        ("governance code", maybe(said.governance.as_ref())),
        ("from", session.origin.to_string()),
        ("gate", maybe(session.gate.as_ref())),
        ("recording", maybe(shown.recording_on.as_ref().map(|gate| format!("on gate {gate}; ask there")))),
        ("started", moment(session.started)),
        ("ended", if session.live { "it lives".to_owned() } else { maybe(session.ended.map(moment)) }),
        ("took", took(session)),
        ("end", maybe(session.outcome.as_ref())),
        ("now", maybe(now.map(traffic))),
        ("keyboard", maybe(now.and_then(|now| now.locked_by.as_ref()).map(locked))),
        ("watched by", shown.watched.iter().map(watched).collect::<Vec<_>>().join("; ")),
    ])
}

fn watched(time: &Watched) -> String {
    let until = time.until.map(|until| format!(" until {}", moment(until))).unwrap_or_default();
    format!("{} from {}{until}", time.by, moment(time.from))
}

/// What the kernel's witness did not see; nothing where all was seen.
pub(super) fn gaps(unseen: &Unseen) -> String {
    let mut lines = Vec::new();
    if unseen.lost > 0 {
        lines.push(format!("  at least {} records were LOST", unseen.lost));
    }
    lines.extend(unseen.remarks.iter().map(|remark| format!("  {remark}")));
    if lines.is_empty() {
        return String::new();
    }
    format!("\nWhat the host's kernel told has GAPS, the agent says:\n{}\n", lines.join("\n"))
}

/// What the agent found after the session; nothing when no report came.
fn left_behind(residue: Option<&Residue>, columns: Option<usize>) -> String {
    let Some(residue) = residue else { return String::new() };
    let mut text = if residue.findings.is_empty() {
        "\nLeft behind: nothing\n".to_owned()
    } else {
        let mut table = Table::new(["KIND", "CHANGE", "WHAT", "DETAIL"]);
        for finding in &residue.findings {
            let (kind, change) = (finding.kind.to_string(), finding.change.to_string());
            table.row([kind, change, finding.what.clone(), finding.detail.clone()]);
        }
        format!("\nLeft behind, as the host differs from before:\n{}\n", table.render(columns))
    };
    if residue.more > 0 {
        text.push_str(&format!("and {} more\n", residue.more));
    }
    for unseen in &residue.unseen {
        let unseen: String = unseen.chars().map(printable).collect();
        text.push_str(&format!("Not looked at: {unseen}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_is_told_and_nothing_where_all_was() {
        assert_eq!(gaps(&Unseen::default()), "");
        let unseen = Unseen { lost: 6, remarks: vec!["somebody switched the kernel's audit off".to_owned()] };
        let told = gaps(&unseen);
        assert!(
            told.ends_with("\n  at least 6 records were LOST\n  somebody switched the kernel's audit off\n"),
            "{told}"
        );
    }
}
