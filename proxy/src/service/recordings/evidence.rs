//! What the audit log knows of a session's recording and of its list of transfers, so that
//! a file or a list that is not what was written shows.

use std::collections::HashMap;

use serde::Serialize;
use tidegate_common::audit::{Event, Verdict};
use tidegate_common::digest::Digest;

use crate::recordings::{Ending, Known, Recording};
use crate::service::{Failure, Services, records};
use crate::store::SessionRow;

/// Entries read at once.
const PAGE: u64 = 1_000;

/// Events that are also in the list of transfers.
const LISTED: [&str; 4] =
    ["file-transferred", "file-changed", "transfers-not-followed", "transfers-not-listed"];

/// What is known of a session's recording.
pub(super) async fn known(services: &Services, session: &SessionRow) -> Result<Known, Failure> {
    let mut known = Known { session: session.id, begun: false, end: None };
    records::each(services, session.id, "session-started", |_| known.begun = true).await?;
    records::each(services, session.id, "recording-sealed", |record| {
        if let Event::RecordingSealed { frames, link, .. } = record.event {
            (known.begun, known.end) = (true, Some(Ending::Sealed { frames, link }));
        }
    })
    .await?;
    if known.end.is_none() {
        known.end = services.recordings.written(session.id).await;
    }
    Ok(known)
}

/// What is known of a recording that was kept elsewhere: where its session was sealed, if the
/// gate knows the session. (A copy of a live one may be older.)
pub(super) async fn of_copy(services: &Services, copy: &Recording) -> Result<Option<Known>, Failure> {
    let Some(header) = copy.verify(None).await?.header else { return Ok(None) };
    let Some(row) = services.store.session(header.session).await? else { return Ok(None) };
    let Known { session, end, .. } = known(services, &row).await?;
    let end = end.filter(|end| matches!(end, Ending::Sealed { .. }));
    Ok(Some(Known { session, begun: false, end }))
}

/// What a list of transfers is found to be.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict and why, as the end of a sentence.
    #[serde(rename = "detail")]
    pub told: String,
}

/// Compares the list of a session's transfers with the audit log; nothing where neither
/// tells of any. While the session lives, the log may be ahead.
pub(super) async fn transfers(services: &Services, session: &SessionRow) -> Result<Option<Listed>, Failure> {
    let (mut counts, mut listed, mut after) = (HashMap::<Digest, i64>::new(), 0u64, 0);
    loop {
        let page = services.store.transfers_after(session.id, after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, document) in &page {
            listed += 1;
            *counts.entry(Digest::of(document.as_bytes())).or_default() += 1;
        }
    }
    let mut logged = 0u64;
    for kind in LISTED {
        records::each(services, session.id, kind, |record| {
            logged += 1;
            let document = serde_json::to_string(&record.event).unwrap_or_default();
            *counts.entry(Digest::of(document.as_bytes())).or_default() -= 1;
        })
        .await?;
    }
    if listed == 0 && logged == 0 {
        return Ok(None);
    }
    let over: i64 = counts.values().filter(|count| **count > 0).sum();
    let missing: i64 = counts.values().filter(|count| **count < 0).map(|count| -count).sum();
    let (verdict, told) = match (over, missing) {
        (0, 0) => (Verdict::Whole, format!("whole: {listed} entries, as the audit log has them")),
        (0, missing) if session.ended.is_none() => {
            (Verdict::Whole, format!("whole so far: {listed} entries, and {missing} are on their way"))
        }
        (0, missing) => {
            (Verdict::Incomplete, format!("incomplete: {missing} entries that the audit log has are missing"))
        }
        (over, _) => {
            (Verdict::Altered, format!("altered: {over} entries are not those that the audit log has"))
        }
    };
    Ok(Some(Listed { verdict, told }))
}
