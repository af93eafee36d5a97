//! The files that went through a session.

use tidegate_common::audit::{Changed, Event, Note, Outcome, Transfer};

use super::super::show::{maybe, moment};
use super::super::table::Table;
use crate::service::sessions::{ListedTransfer, ShownSession};

/// The list for people; nothing where there are none.
pub(super) fn text(session: &ShownSession, columns: Option<usize>) -> String {
    let table = table(&session.transfers);
    if table.is_empty() {
        return String::new();
    }
    let told = u64::try_from(session.transfers.len()).unwrap_or(u64::MAX);
    let hidden = session.transfers_in_all.saturating_sub(told);
    let more = if hidden > 0 { format!("\n{hidden} more are in the audit log") } else { String::new() };
    format!("\n{}{more}\n", table.render(columns))
}

fn table(transfers: &[ListedTransfer]) -> Table {
    let mut table = Table::new(["ENDED", "WHAT", "PATH", "BYTES", "SHA-256", "RESULT"]);
    for ListedTransfer { at, event } in transfers {
        let at = moment(*at);
        match event {
            Event::FileTransferred {
                transfer: Transfer { way, path, bytes, sha256, outcome, detail },
                ..
            } => table.row([
                at,
                way.to_string(),
                path.to_string(),
                bytes.to_string(),
                maybe(*sha256),
                result(*outcome, detail.as_ref()),
            ]),
            Event::FileChanged {
                changed: Changed { change, path, to, attributes, outcome, detail }, ..
            } => {
                let to = to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default();
                let set = attributes.as_ref().map(|set| format!(": {set}")).unwrap_or_default();
                let path = format!("{path}{to}{set}");
                let result = result(*outcome, detail.as_ref());
                table.row([at, change.to_string(), path, String::new(), String::new(), result]);
            }
            Event::TransfersNotFollowed { why, .. } => {
                table.row([
                    at,
                    "NOT KNOWN".into(),
                    "the rest of its channel".into(),
                    "".into(),
                    "".into(),
                    why.to_string(),
                ]);
            }
            Event::TransfersNotListed { more, .. } => {
                table.row([at, "not listed".into(), format!("{more} more"), "".into(), "".into(), "".into()]);
            }
            _ => {}
        }
    }
    table
}

fn result(outcome: Outcome, detail: Option<&Note>) -> String {
    match detail {
        Some(detail) => format!("{outcome}: {detail}"),
        None => outcome.to_string(),
    }
}
