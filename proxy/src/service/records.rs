//! What the audit log has of a session, which has no bound: it is asked for by type and read page
//! by page.

use tidegate_common::audit::Record;
use tidegate_common::id::SessionId;

use super::{Failure, Services};

/// Records read at once.
const PAGE: u64 = 1_000;

/// Each record of an event of this type that the log has of a session; of each gate in its order.
pub(super) async fn each(
    services: &Services,
    session: SessionId,
    kind: &str,
    mut with: impl FnMut(Record),
) -> Result<(), Failure> {
    // As records are written: the type is an event's first field.
    let typed = format!("\"event\":{{\"type\":\"{kind}\"");
    let mut after = None;
    loop {
        let page = services.store.audit_of_session(session, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.gate, last.seq));
        for row in page.iter().filter(|row| row.body.contains(&typed)) {
            // One that does not read is told of by `audit verify`.
            if let Ok(record) = serde_json::from_str::<Record>(&row.body) {
                with(record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tidegate_common::audit::{Actor, Event};
    use tidegate_common::digest::Digest;

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
