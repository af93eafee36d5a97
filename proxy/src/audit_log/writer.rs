//! The task that owns the chain's end.
//!
//! What is to happen and can't be written is refused. What has happened already can't be,
//! so it is kept in memory, in its order and before all that is newer, until the store
//! takes it: a disk that was full for a while leaves no gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;
use tidegate_common::audit::{Chain, Event, Linked, Stored};
use tidegate_common::digest::Digest;
use tidegate_common::id::SessionId;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::lines::{self, Lines};
use super::{AuditError, Telling, Waiting, With, read_error};
use crate::store::{AuditRow, GateId, LastingStep, Step, Store, StoreError, with_notifications};

/// The most records of one transaction.
const BATCH: usize = 256;

/// The most records that are kept while the store takes none; those beyond are counted.
pub const MOST_KEPT: usize = 4096;

/// How long until what is kept is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// An entry, and when it was handed in.
type Moment = (Telling, Timestamp);

/// What others watch: the newest record's number, and how often people were told of some.
pub struct Watched {
    pub newest: watch::Sender<u64>,
    pub told: watch::Sender<u64>,
}

/// Records that were handed in together, and the step that goes with them.
struct Batch {
    entries: Vec<Moment>,
    step: Option<LastingStep>,
}

/// Writes until nobody can append any more. Ends without a wake-up in between.
pub async fn run(
    store: Store,
    lines: Lines,
    chain: Chain,
    mut waiting: mpsc::Receiver<Waiting>,
    watched: Watched,
) {
    let (tell_copy, copied_to) = watch::channel(chain.seq);
    let copying = tokio::spawn(lines::follow(store.clone(), lines, copied_to));
    let mut writer = Writer {
        store,
        chain,
        sure: true,
        kept: VecDeque::new(),
        tried: (0, None),
        dropped: 0,
        away: None,
        watched,
    };
    let mut batch = Vec::new();
    loop {
        let next = waiting.recv_many(&mut batch, BATCH);
        let came = if writer.has_kept() {
            let Ok(came) = timeout(AGAIN, next).await else {
                // Whoever told them knows already that they wait.
                let _ = writer.settle().await;
                tell_copy.send_replace(writer.chain.seq);
                continue;
            };
            came
        } else {
            next.await
        };
        if came == 0 {
            break;
        }
        writer.write(&mut batch).await;
        tell_copy.send_replace(writer.chain.seq);
    }
    if let Err(error) = writer.settle().await {
        let records = writer.kept_entries();
        tracing::error!(%error, records, "what happened last could not be logged before the end");
    }
    // The copy is complete before whoever watches is told of the end.
    tell_copy.send_replace(writer.chain.seq);
    drop(tell_copy);
    let _ = copying.await;
}

struct Writer {
    store: Store,
    /// The log's end, as far as it is known.
    chain: Chain,
    /// Whether `chain` is the stored log's end: a transaction that failed may have been
    /// written all the same.
    sure: bool,
    /// What has happened and is not in the store yet.
    kept: VecDeque<Batch>,
    /// How many of them, from the first on, the last transaction was for, and where it would end.
    tried: (usize, Option<Chain>),
    /// How many there was no room for.
    dropped: u64,
    /// When the database was found away last, and what it said: those who waited already then
    /// are not kept waiting for the same.
    away: Option<(Instant, AuditError)>,
    watched: Watched,
}

impl Writer {
    fn has_kept(&self) -> bool {
        !self.kept.is_empty() || self.dropped > 0
    }

    fn kept_entries(&self) -> usize {
        self.kept.iter().map(|kept| kept.entries.len()).sum()
    }

    /// Writes what waits in its order. Each step has a transaction of its own, so that one
    /// that can't be taken refuses nobody else's records.
    async fn write(&mut self, batch: &mut Vec<Waiting>) {
        let mut together = Vec::new();
        for mut waiting in batch.drain(..) {
            let (step, lasting) = match std::mem::replace(&mut waiting.with, With::Nothing) {
                With::Nothing => {
                    together.push(waiting);
                    continue;
                }
                With::Step(step) => (step, None),
                With::Lasting(lasting) => (lasting.step(), Some(lasting)),
            };
            self.write_together(std::mem::take(&mut together), None).await;
            waiting.with = lasting.map_or(With::Nothing, With::Lasting);
            self.write_together(vec![waiting], Some(step)).await;
        }
        self.write_together(together, None).await;
    }

    async fn write_together(&mut self, together: Vec<Waiting>, step: Option<Step>) {
        if together.is_empty() {
            return;
        }
        let at = now();
        let newest = together.iter().map(|waiting| waiting.since).max().unwrap_or_else(Instant::now);
        let mut entries = Vec::with_capacity(together.len());
        let mut waiting = Vec::with_capacity(together.len());
        for Waiting { entries: some, done, happened, with, .. } in together {
            waiting.push((some.len(), done, happened, with));
            entries.extend(some.into_iter().map(|entry| (entry, at)));
        }
        let written = match &self.away {
            Some((found, error)) if newest < *found => Err(error.clone()),
            _ => self.try_together(&entries, step).await,
        };
        let mut entries = entries.into_iter();
        let mut next = written.as_ref().copied().unwrap_or_default();
        for (count, done, happened, with) in waiting {
            let own: Vec<Moment> = entries.by_ref().take(count).collect();
            let answer = match &written {
                Ok(_) => Ok(next),
                Err(error) if happened => Err(self.keep(own, with, error)),
                Err(error) => Err(error.clone()),
            };
            next = next.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            // Whoever no longer waits has its record all the same.
            let _ = done.send(answer);
        }
        // What is kept from here on was in no transaction yet.
        self.tried.0 = self.tried.0.min(self.kept.len());
    }

    async fn try_together(&mut self, entries: &[Moment], step: Option<Step>) -> Result<u64, AuditError> {
        let written = match self.settle().await {
            Ok(()) => {
                let written = self.commit(entries, step).await;
                // If it was written all the same, so were those of it that are kept now.
                self.tried.0 = usize::MAX;
                written
            }
            Err(error) => Err(error),
        };
        self.away = match &written {
            Err(error) if error.is_away() => Some((Instant::now(), error.clone())),
            _ => None,
        };
        written
    }

    fn keep(&mut self, entries: Vec<Moment>, with: With, error: &AuditError) -> AuditError {
        // Refused or not: what met another's step is taken the next time.
        let step = match with {
            With::Lasting(step) => Some(step),
            With::Nothing | With::Step(_) => None,
        };
        if self.kept_entries().saturating_add(entries.len()) <= MOST_KEPT && self.kept.len() < MOST_KEPT {
            self.kept.push_back(Batch { entries, step });
        } else {
            let lost = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            self.dropped = self.dropped.saturating_add(lost);
        }
        AuditError::Kept(Arc::new(error.clone()))
    }

    /// Writes what is kept, and makes sure of where the log ends.
    async fn settle(&mut self) -> Result<(), AuditError> {
        loop {
            if !self.sure {
                let end = last(&self.store).await?;
                self.kept.drain(..self.written(end));
                self.moved(end);
                self.sure = true;
            }
            if self.dropped > 0 && self.kept_entries() < MOST_KEPT {
                let entries = vec![(Event::AuditDropped { records: self.dropped }.into(), now())];
                self.kept.push_back(Batch { entries, step: None });
                self.dropped = 0;
            }
            let Some(first) = self.kept.front() else { return Ok(()) };
            let step = first.step.as_ref().map(LastingStep::step);
            // Each step has a transaction of its own.
            self.tried.0 = match &step {
                Some(_) => 1,
                None => self.kept.iter().take(BATCH).take_while(|kept| kept.step.is_none()).count(),
            };
            let some: Vec<Moment> =
                self.kept.iter().take(self.tried.0).flat_map(|kept| kept.entries.iter().cloned()).collect();
            match (self.commit(&some, step).await, self.kept.front_mut()) {
                (Ok(_), _) => drop(self.kept.drain(..self.tried.0)),
                (Err(error), Some(Batch { step: refused @ Some(_), .. })) if error.is_for_good() => {
                    tracing::error!(%error, "what goes with records of the audit log was not stored");
                    *refused = None;
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    /// How many of what is kept, from the first on, a log has that ends there: the last transaction's,
    /// or those of one before it whose answer came after it was given up.
    fn written(&self, end: Chain) -> usize {
        if end == self.chain {
            return 0;
        }
        let (tried, would_end) = self.tried;
        if would_end == Some(end) {
            return tried.min(self.kept.len());
        }
        let mut chain = self.chain;
        let leads_there = |kept: &Batch| {
            let moved =
                kept.entries.iter().all(|(telling, at)| chain.append(telling.entry.clone(), *at).is_ok());
            moved && chain == end
        };
        self.kept.iter().position(leads_there).map_or(0, |last| last.saturating_add(1))
    }

    /// Writes all of them, with the step, or none; returns the first one's number.
    async fn commit(&mut self, entries: &[Moment], step: Option<Step>) -> Result<u64, AuditError> {
        let mut next = self.chain;
        let linked: Result<Vec<Linked>, _> =
            entries.iter().map(|(telling, at)| next.append(telling.entry.clone(), *at)).collect();
        let linked = linked.map_err(|error| StoreError::damaged("record of the audit log", error));
        let told: Vec<_> = entries
            .iter()
            .flat_map(|(telling, at)| telling.told.iter().map(|one| (one.clone(), *at)))
            .collect();
        let tells = !told.is_empty();
        let step = with_notifications(step, told);
        let written = match linked {
            Ok(linked) => {
                let gate = self.store.own_gate();
                let rows = linked.iter().map(|linked| row(gate, linked)).collect();
                self.store.audit_append_all(rows, step).await
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {
                let first = self.chain.seq.saturating_add(1);
                self.moved(next);
                if tells {
                    self.watched.told.send_modify(|times| *times = times.wrapping_add(1));
                }
                Ok(first)
            }
            // Refused by the store before anything of it was committed.
            Err(error @ StoreError::Changed) => Err(AuditError::Append(Arc::new(error))),
            Err(error) => {
                self.sure = false;
                self.tried.1 = Some(next);
                Err(AuditError::Append(Arc::new(error)))
            }
        }
    }

    fn moved(&mut self, end: Chain) {
        self.chain = end;
        self.watched.newest.send_replace(end.seq);
    }
}

/// Where the stored log ends.
pub async fn last(store: &Store) -> Result<Chain, AuditError> {
    match store.audit_last(store.own_gate()).await.map_err(read_error)? {
        None => Ok(Chain::start()),
        Some(row) => {
            stored(row).map(|stored| Chain { seq: stored.seq, link: stored.link }).map_err(read_error)
        }
    }
}

/// A row as the chain knows it.
pub fn stored(row: AuditRow) -> Result<Stored<String>, StoreError> {
    let what = || format!("record {} of the audit log", row.seq);
    let seq = u64::try_from(row.seq).map_err(|error| StoreError::damaged(what(), error))?;
    let link = Digest::try_from(row.link.as_slice()).map_err(|error| StoreError::damaged(what(), error))?;
    Ok(Stored { seq, body: row.body, link })
}

fn row(gate: GateId, linked: &Linked) -> AuditRow {
    AuditRow {
        gate,
        seq: i64::try_from(linked.record.seq).unwrap_or(i64::MAX),
        at_millis: linked.record.at.as_millisecond(),
        body: linked.body.clone(),
        link: linked.link.0.to_vec(),
        session: session(&linked.body),
    }
}

/// The session that a record's event names.
fn session(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        event: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        session: Option<SessionId>,
    }
    let named = serde_json::from_str::<Body>(body).ok()?.event.session;
    named.map(|session| session.to_string())
}

/// To the millisecond, as records have it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use tidegate_common::audit::Note;

    use super::*;
    use crate::store::testing::Temporary;

    #[tokio::test]
    async fn what_came_into_the_log_after_it_was_given_up_is_known_and_nothing_beside_it_counts_as_written() {
        let store = Temporary::new().await.store.clone();
        let watched = Watched { newest: watch::channel(0).0, told: watch::channel(0).0 };
        let mut writer = Writer {
            store,
            chain: Chain::start(),
            sure: false,
            kept: VecDeque::new(),
            tried: (0, None),
            dropped: 0,
            away: None,
            watched,
        };
        let (mut end, mut ends) = (Chain::start(), vec![Chain::start()]);
        for why in ["first", "second", "third"] {
            let moment: Moment = (Event::ProxyStopped { why: Note::new(why) }.into(), now());
            end.append(moment.0.entry.clone(), moment.1).unwrap();
            ends.push(end);
            writer.kept.push_back(Batch { entries: vec![moment], step: None });
        }
        // The last transaction was for the first two; the answer to one of the first alone is here now.
        writer.tried = (2, Some(ends[2]));
        let known: Vec<_> = ends.iter().map(|end| writer.written(*end)).collect();
        assert_eq!(known, [0, 1, 2, 3]);
        // Whose end that is nobody knows: all are written again.
        assert_eq!(writer.written(Chain { seq: 2, ..ends[1] }), 0);
        // What was refused stood between, and came into the log with what is kept of its transaction.
        writer.tried = (1, Some(Chain { seq: 2, ..ends[1] }));
        assert_eq!(writer.written(Chain { seq: 2, ..ends[1] }), 1);
    }
}
