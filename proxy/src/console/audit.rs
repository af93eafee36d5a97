//! `audit …`

use tidegate_common::audit::Event;

use super::grammar::Audit;
use super::screen::Screen;
use super::{Actor, Failure, Services};
use crate::audit_log::AuditError;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Audit,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    actor.must_read_all()?;
    match asked {
        Audit::Tail { count, follow } => {
            let mut tail = services.audit.tail(count, follow);
            // An array is written as it is read: a long log needs no memory for it.
            let array = screen.json && !follow;
            let mut before = "[\n";
            while let Some(record) = tail.next_record().await? {
                match (screen.json, follow) {
                    // An array has no end while one follows: a line for each record then.
                    (true, true) => {
                        screen.json_text(&record).await?;
                        screen.text("\n").await?;
                    }
                    (true, false) => {
                        screen.text(std::mem::replace(&mut before, ",\n")).await?;
                        screen.json_text(&record).await?;
                    }
                    (false, _) => screen.plain(&record.to_string()).await?,
                }
                if follow {
                    screen.flush().await?;
                }
            }
            if array {
                screen.text(if before == "[\n" { "[]\n" } else { "\n]\n" }).await?;
            }
            Ok(0)
        }
        Audit::Verify => {
            let verified = services.audit.verify().await;
            let (records, whole) = match &verified {
                Ok(verified) => (verified.records, true),
                Err(AuditError::Copy { records, .. }) => (*records, true),
                Err(AuditError::Broken(broken)) => (broken.seq(), false),
                Err(AuditError::Short { found, .. }) => (*found, false),
                Err(AuditError::Differs(seq)) => (*seq, false),
                Err(other) => return Err(other.clone().into()),
            };
            let event = Event::AuditVerified { records, whole };
            services.audit.append(actor.by().did(event)).await?;
            match &verified {
                Ok(verified) => {
                    let link = verified.link.to_string();
                    let json = serde_json::json!({ "whole": true, "records": records, "link": link });
                    let text = format!("the audit log is whole: {records} records, the last link is {link}");
                    screen.one(&json, || text).await?;
                    Ok(0)
                }
                Err(damaged @ AuditError::Copy { link, .. }) => {
                    let json = serde_json::json!({
                        "whole": true, "records": records, "link": link.to_string(), "why": damaged.to_string(),
                    });
                    screen.one(&json, || damaged.to_string()).await?;
                    Ok(1)
                }
                Err(broken) => {
                    let json =
                        serde_json::json!({ "whole": false, "record": records, "why": broken.to_string() });
                    screen.one(&json, || broken.to_string()).await?;
                    Ok(1)
                }
            }
        }
    }
}
