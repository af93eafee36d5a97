//! The audit log, read and judged.

use std::collections::BTreeMap;
use std::future::Future;

use serde::Serialize;
use tidegate_common::audit::{Chain, Event, Record};
use tidegate_common::name::GateName;

use super::operation::{Operation, while_reading};
use super::{Actor, Failure, Services};
use crate::audit_log::AuditError;

/// What takes the log's records, one by one.
pub trait Records: Send {
    /// Takes the next record, with its gate where several share the log.
    ///
    /// # Errors
    /// When it takes no more; the log is read no further then.
    fn record(
        &mut self,
        gate: Option<&GateName>,
        record: Record,
    ) -> impl Future<Output = std::io::Result<()>> + Send;
}

/// Gives the last `count` records, and with `follow` those that come, for ever.
///
/// # Errors
/// When the actor reads only their own, or no longer more than that; when the log cannot be
/// read, or `sink` takes no more.
pub async fn tail(
    services: &Services,
    actor: &Actor,
    count: u64,
    follow: bool,
    sink: &mut impl Records,
) -> Result<(), Failure> {
    let work = async {
        let mut tail = services.audit.tail(count, follow);
        while let Some(record) = tail.next_record().await? {
            sink.record(tail.gate(), record).await?;
        }
        Ok(())
    };
    Operation::AuditTail.perform(services, actor, while_reading(services, actor, work)).await
}

/// What the log is found to be.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Verified {
    /// It holds, from its first record to its last.
    Whole {
        /// The last record's link.
        link: String,
        /// How many records it has.
        records: u64,
        /// Always true.
        whole: bool,
        /// The same of each other gate that shares the log, by name.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        others: BTreeMap<String, Part>,
    },
    /// It holds, but its copy does not.
    Copy {
        /// The last record's link.
        link: String,
        /// How many records it has.
        records: u64,
        /// Always true.
        whole: bool,
        /// What is wrong with the copy, in one sentence.
        why: String,
    },
    /// It does not hold.
    Broken {
        /// The first record that does not.
        record: u64,
        /// Always false.
        whole: bool,
        /// What is wrong, in one sentence.
        why: String,
    },
}

/// Another gate's part of the log, which holds.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// The last record's link.
    pub link: String,
    /// How many records it has.
    pub records: u64,
}

/// Walks the chain and tells whether anything was altered.
///
/// # Errors
/// When the actor reads only their own, or the log cannot be read.
pub async fn verify(services: &Services, actor: &Actor) -> Result<Verified, Failure> {
    let work = async {
        let (records, found) = match services.audit.verify().await {
            Ok(verified) => {
                let (records, link) = (verified.records, verified.link.to_string());
                let part = |end: Chain| Part { link: end.link.to_string(), records: end.seq };
                let others: BTreeMap<String, Part> =
                    verified.others.into_iter().map(|(gate, end)| (gate.to_string(), part(end))).collect();
                let all = others.values().fold(records, |all, part| all.saturating_add(part.records));
                (all, Verified::Whole { link, records, whole: true, others })
            }
            Err(error) => {
                let why = error.to_string();
                let broken = |record| (record, Verified::Broken { record, whole: false, why: why.clone() });
                match error {
                    AuditError::Copy { records, link, .. } => {
                        (records, Verified::Copy { link: link.to_string(), records, whole: true, why })
                    }
                    AuditError::Broken(at) => broken(at.seq()),
                    AuditError::Short { found, .. } => broken(found),
                    AuditError::Differs(seq) => broken(seq),
                    AuditError::Other { why: of, gate } => match *of {
                        AuditError::Broken(at) => broken(at.seq()),
                        of => return Err(AuditError::Other { why: of.into(), gate }.into()),
                    },
                    other => return Err(other.into()),
                }
            }
        };
        let event = Event::AuditVerified { records, whole: !matches!(found, Verified::Broken { .. }) };
        services.audit.append(actor.by().did(event)).await?;
        Ok(found)
    };
    Operation::AuditVerify.perform(services, actor, work).await
}
