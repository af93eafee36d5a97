//! The files that went through a session.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_common::audit::{Changed, Event, Note, Outcome, Transfer};
use tidegate_common::id::SessionId;

use crate::console::show::{maybe, moment};
use crate::console::table::Table;
use crate::console::{Failure, Services};

/// How many are shown; the audit log has all.
const SHOWN: u64 = 2_000;

/// The files that went through a session, for machines.
#[derive(Serialize)]
pub(super) struct Transfers {
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

impl Transfers {
    pub(super) async fn of(services: &Services, session: SessionId) -> Result<Self, Failure> {
        let transfers = services.store.transfers(session, SHOWN).await?;
        let listed = transfers.first.into_iter().map(|(at, event)| Listed { at, event }).collect();
        Ok(Self { transfers: listed, transfers_in_all: transfers.all })
    }

    /// The list for people; nothing where there are none.
    pub(super) fn text(&self, columns: Option<usize>) -> String {
        let table = table(&self.transfers);
        if table.is_empty() {
            return String::new();
        }
        let hidden = self.transfers_in_all.saturating_sub(SHOWN);
        let more = if hidden > 0 { format!("\n{hidden} more are in the audit log") } else { String::new() };
        format!("\n{}{more}\n", table.render(columns))
    }
}

fn table(transfers: &[Listed]) -> Table {
    let mut table = Table::new(["ENDED", "WHAT", "PATH", "BYTES", "SHA-256", "RESULT"]);
    for Listed { at, event } in transfers {
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
