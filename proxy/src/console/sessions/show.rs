//! `session show`: a session, the files that went through it, what its kernel did not tell,
//! and what it left behind.

use serde::Serialize;
use tidegate_common::residue::Residue;

use super::residue::left_behind;
use super::transfers::Transfers;
use super::{Line, details};
use crate::console::commands::Unseen;
use crate::console::screen::Screen;
use crate::console::{Failure, Services};
use crate::store::SessionRow;

/// A session with all that is known of it, for machines.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    session: Line,
    #[serde(flatten)]
    transfers: &'a Transfers,
    unseen: &'a Unseen,
    /// None until the agent's report came.
    left_behind: Option<&'a Residue>,
}

pub(super) async fn show(
    services: &Services,
    session: &SessionRow,
    screen: &mut Screen<'_>,
) -> Result<(), Failure> {
    let transfers = Transfers::of(services, session.id).await?;
    let residue = services.store.residue(session.id).await?;
    let unseen = Unseen::of(services, session).await?;
    let left = residue.as_ref();
    let shown =
        Shown { session: Line::of(session), transfers: &transfers, unseen: &unseen, left_behind: left };
    let columns = screen.columns;
    let lines = || details(session) + &transfers.text(columns) + &unseen.text() + &left_behind(left, columns);
    screen.one_told(&shown, lines).await
}
