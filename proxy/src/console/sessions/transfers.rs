//! `session show`: a session, and the files that went through it.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::audit::{Event, Note, Outcome};

use super::{Line, details};
use crate::console::screen::Screen;
use crate::console::show::{maybe, moment};
use crate::console::table::Table;
use crate::console::{Failure, Services};
use crate::store::SessionRow;

/// How many are shown; the audit log has all.
const SHOWN: u64 = 2_000;

/// A session for machines, with its transfers.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    session: Line,
    transfers: Vec<Listed>,
    /// How many there are; beyond those that are shown, the audit log has them.
    transfers_in_all: u64,
}

#[derive(Serialize)]
struct Listed {
    at: Timestamp,
    #[serde(flatten)]
    event: Event,
}

pub(super) async fn show(
    services: &Services,
    session: &SessionRow,
    screen: &mut Screen<'_>,
) -> Result<(), Failure> {
    let transfers = services.store.transfers(session.id, SHOWN).await?;
    let listed: Vec<_> = transfers.first.into_iter().map(|(at, event)| Listed { at, event }).collect();
    let shown = Shown { session: Line::of(session), transfers: listed, transfers_in_all: transfers.all };
    let columns = screen.columns;
    let lines = || {
        let table = table(&shown.transfers);
        if table.is_empty() {
            return details(session);
        }
        let hidden = transfers.all.saturating_sub(SHOWN);
        let more = if hidden > 0 { format!("\n{hidden} more are in the audit log") } else { String::new() };
        format!("{}\n{}{more}", details(session), table.render(columns))
    };
    screen.one(&shown, lines).await
}

fn table(transfers: &[Listed]) -> Table {
    let mut table = Table::new(["ENDED", "WHAT", "PATH", "BYTES", "SHA-256", "RESULT"]);
    for Listed { at, event } in transfers {
        let at = moment(*at);
        match event {
            Event::FileTransferred { way, path, bytes, sha256, outcome, detail, .. } => table.row([
                at,
                way.to_string(),
                path.to_string(),
                bytes.to_string(),
                maybe(*sha256),
                result(*outcome, detail.as_ref()),
            ]),
            Event::FileChanged { change, path, to, attributes, outcome, detail, .. } => {
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
