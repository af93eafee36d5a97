//! What the audit log knows of a session's recording and of its list of transfers, so that
//! a file or a list that is not what was written shows.

use std::collections::HashMap;

use serde::Serialize;
use tidegate_common::audit::{Event, Record, Verdict};
use tidegate_common::digest::Digest;

use crate::recordings::{Ending, Known, Recording};
use crate::service::{Failure, Services};
use crate::store::SessionRow;

/// Records read at once.
const PAGE: u64 = 1_000;

/// Events that are also in the list of transfers.
const LISTED: [&str; 4] =
    ["file-transferred", "file-changed", "transfers-not-followed", "transfers-not-listed"];

/// What is known of a session's recording.
pub(super) async fn known(services: &Services, session: &SessionRow) -> Result<Known, Failure> {
    let mut known = Known { session: session.id, begun: false, end: None };
    each(services, session, "session-started", |_| known.begun = true).await?;
    each(services, session, "recording-sealed", |event| {
        if let Event::RecordingSealed { frames, link, .. } = event {
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
        each(services, session, kind, |event| {
            logged += 1;
            let document = serde_json::to_string(&event).unwrap_or_default();
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

/// Each event of this type that the log has of a session. (A session's records have no
/// bound, so they are asked for by type.)
async fn each(
    services: &Services,
    session: &SessionRow,
    kind: &str,
    mut with: impl FnMut(Event),
) -> Result<(), Failure> {
    // As records are written: the type is an event's first field.
    let typed = format!("\"event\":{{\"type\":\"{kind}\"");
    let mut after = None;
    loop {
        let page = services.store.audit_of_session(session.id, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.gate, last.seq));
        for row in page.iter().filter(|row| row.body.contains(&typed)) {
            // One that does not read is told of by `audit verify`.
            if let Ok(record) = serde_json::from_str::<Record>(&row.body) {
                with(record.event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tidegate_common::audit::Actor;
    use tidegate_common::id::SessionId;

    use super::*;

    #[test]
    fn a_record_names_the_type_of_its_event_first() {
        let (session, link) = (SessionId::new(1, 1), Digest::default());
        let event = Event::RecordingSealed { session, bytes: 1, frames: 2, link };
        let record = Record { seq: 1, at: Timestamp::UNIX_EPOCH, actor: Actor::Proxy, origin: None, event };
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains("\"event\":{\"type\":\"recording-sealed\""), "{text}");
    }
}
