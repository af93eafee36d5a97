//! The chain: each record's link covers its body and every record before it.

use super::{Entry, Record};
use crate::digest::Digest;

/// Keeps links of this log apart from every other use of BLAKE3.
const CONTEXT: &str = "tidegate audit log: link of records, version 1";

/// Where the log ends: what the next record is chained to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// The last record's place, 0 before the first.
    pub seq: u64,
    /// The last record's link, all zero before the first.
    pub link: Digest,
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<B> {
    /// The place it is stored under.
    pub seq: u64,
    /// Its JSON.
    pub body: B,
    /// Its link.
    pub link: Digest,
}

/// A record with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The record.
    pub record: Record,
    /// Its JSON: what is stored and hashed.
    pub body: String,
    /// Its link.
    pub link: Digest,
}

/// Where and how a chain does not hold. Whatever stands behind `seq` proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A record is missing or stands twice.
    #[error("record {seq} is missing: the log goes on with {found}")]
    Missing {
        /// What should have come.
        seq: u64,
        /// What came.
        found: u64,
    },
    /// The body, or something before it, is not what the link was made of.
    #[error("record {seq} was altered: its link does not follow from it and the record before")]
    Link {
        /// Which one.
        seq: u64,
    },
    /// The link holds, but the body is no record of this place.
    #[error("record {seq} does not read as a record of that number")]
    Body {
        /// Which one.
        seq: u64,
    },
}

impl Broken {
    /// The first record that does not hold.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Missing { seq, .. } | Self::Link { seq } | Self::Body { seq } => *seq,
        }
    }
}

impl Chain {
    /// Before the first record.
    #[must_use]
    pub fn start() -> Self {
        Self::default()
    }

    /// The next record of the log. The chain moves on; when it could not be stored,
    /// go on with a copy made before.
    ///
    /// # Errors
    /// When the record is no JSON, which no record of today's can be.
    pub fn append(&mut self, entry: Entry, at: jiff::Timestamp) -> Result<Linked, serde_json::Error> {
        let seq = self.seq.saturating_add(1);
        let Entry { actor, origin, event } = entry;
        let record = Record { seq, at, actor, origin, event };
        let body = serde_json::to_string(&record)?;
        let link = self.follow(body.as_bytes());
        *self = Self { seq, link };
        Ok(Linked { record, body, link })
    }

    /// Whether `stored` is the next record. The chain moves on only if it is.
    ///
    /// # Errors
    /// Says what does not hold.
    pub fn check<B: AsRef<[u8]>>(&mut self, stored: &Stored<B>) -> Result<Record, Broken> {
        let seq = self.seq.saturating_add(1);
        if stored.seq != seq {
            return Err(Broken::Missing { seq, found: stored.seq });
        }
        let body = stored.body.as_ref();
        if self.follow(body) != stored.link {
            return Err(Broken::Link { seq });
        }
        let record: Record = serde_json::from_slice(body).map_err(|_| Broken::Body { seq })?;
        if record.seq != seq {
            return Err(Broken::Body { seq });
        }
        *self = Self { seq, link: stored.link };
        Ok(record)
    }

    fn follow(&self, body: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&self.link.0);
        hasher.update(body);
        hasher.finalize().into()
    }
}

/// Walks a whole log from its first record.
///
/// # Errors
/// Says at which record it breaks. A log cut at its end still holds: compare the
/// end with one kept elsewhere, the JSON lines for example.
pub fn verify_chain<B: AsRef<[u8]>>(log: impl IntoIterator<Item = Stored<B>>) -> Result<Chain, Broken> {
    let mut chain = Chain::start();
    for stored in log {
        chain.check(&stored)?;
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, Note};
    use proptest::prelude::*;

    fn log(count: u64) -> Vec<Stored<String>> {
        let mut chain = Chain::start();
        (0..count)
            .map(|place| {
                let event = Event::ProxyStarted { version: Note::new(format!("{place}")) };
                let linked = chain.append(event.into(), jiff::Timestamp::UNIX_EPOCH).unwrap();
                Stored { seq: linked.record.seq, body: linked.body, link: linked.link }
            })
            .collect()
    }

    #[test]
    fn a_log_left_alone_holds_to_its_end() {
        let end = verify_chain(log(5)).unwrap();
        assert_eq!(end.seq, 5);
        assert_eq!(verify_chain(log(0)).unwrap(), Chain::start());
    }

    #[test]
    fn a_record_removed_is_named() {
        let mut log = log(5);
        log.remove(2);
        assert_eq!(verify_chain(log), Err(Broken::Missing { seq: 3, found: 4 }));
    }

    #[test]
    fn records_renumbered_to_hide_a_gap_are_named() {
        let mut log = log(5);
        log.remove(2);
        log.iter_mut().zip(1..).for_each(|(stored, seq)| stored.seq = seq);
        assert_eq!(verify_chain(log), Err(Broken::Link { seq: 3 }));
    }

    #[test]
    fn a_record_chained_anew_under_another_number_is_no_record_of_that_place() {
        let mut chain = Chain { seq: 7, link: Digest::default() };
        let linked =
            chain.append(Event::ProxyStopped { why: "x".into() }.into(), jiff::Timestamp::UNIX_EPOCH);
        let linked = linked.unwrap();
        let stored = Stored { seq: 1, body: linked.body, link: linked.link };
        assert_eq!(verify_chain([stored]), Err(Broken::Body { seq: 1 }));
    }

    proptest! {
        #[test]
        fn any_byte_changed_is_found_at_its_record(which in 0usize..5, place: usize, flip in 1u8..) {
            let mut log: Vec<_> = log(5)
                .into_iter()
                .map(|stored| Stored { seq: stored.seq, body: stored.body.into_bytes(), link: stored.link })
                .collect();
            let body = &mut log[which].body;
            let place = place % body.len();
            body[place] ^= flip;
            let seq = u64::try_from(which).unwrap() + 1;
            prop_assert_eq!(verify_chain(log), Err(Broken::Link { seq }));
        }
    }
}
