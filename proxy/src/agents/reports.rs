//! What agents tell of their hosts without being asked, kept: ends that nobody waited
//! for, what stands, drift, what sessions left behind, what kernels saw.
//!
//! Agents are hostile: each speaks only for sessions on its own device, and what it
//! says is bounded.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use tidegate_common::audit::{Actor, Entry, Event, Note, Notes};
use tidegate_common::digest::Digest;
use tidegate_common::grant::{Drift, Ended, Standing};
use tidegate_common::id::SessionId;
use tidegate_common::name::{CredentialName, DeviceName};
use tidegate_common::residue::Residue;
use tidegate_common::wire::{MOST_STANDING, Witnessed};

use super::link::LinkError;
use super::listener::ListenerContext;
use crate::store::{Step, Store, StoreError};
use crate::witness::Extent;

/// Drift of one session that is kept, at most.
const MOST_DRIFT: usize = 64;
/// Ends of grants on one link whose last word is remembered, at most.
const MOST_TOLD: usize = 1024;

/// What an agent last said on its link of the ends that left something standing. It says it
/// after each try; what is no news needs no record.
#[derive(Default)]
pub(super) struct Told(HashMap<SessionId, Digest>);

impl Told {
    /// Whether this is what was said of the session before, but for the time it took.
    pub(super) fn again(&mut self, session: SessionId, ended: &Ended) -> bool {
        let before = self.0.remove(&session);
        if ended.standing.is_empty() || self.0.len() >= MOST_TOLD {
            return false;
        }
        let Ok(said) = serde_json::to_vec(&Ended { micros: 0, ..ended.clone() }) else { return false };
        let said = Digest::of(&said);
        self.0.insert(session, said);
        before == Some(said)
    }
}

fn context(error: StoreError) -> LinkError {
    LinkError::Ours(error.to_string())
}

/// What stood before and does not now, by the session that it was for. Why it stands may change.
fn gone<'a>(before: &'a [Standing], now: &[Standing]) -> BTreeMap<SessionId, Vec<&'a Note>> {
    let same = |one: &Standing, other: &Standing| {
        (one.session, &one.account, &one.what) == (other.session, &other.account, &other.what)
    };
    let mut gone: BTreeMap<SessionId, Vec<&Note>> = BTreeMap::new();
    for one in before.iter().filter(|one| !now.iter().any(|other| same(one, other))) {
        if let Some(session) = one.session {
            gone.entry(session).or_default().push(&one.what);
        }
    }
    gone
}

impl ListenerContext {
    /// What a session was on, if it was on this device; otherwise the log hears what
    /// the agent claims to report.
    async fn served(
        &self,
        device: &DeviceName,
        session: SessionId,
        report: &str,
    ) -> Result<Option<CredentialName>, LinkError> {
        let row = self.store.session(session).await.map_err(context)?;
        let target = row.map(|row| row.target).filter(|target| target.device == *device);
        if target.is_none() {
            self.not_served(device, session, report).await?;
        }
        Ok(target)
    }

    async fn not_served(
        &self,
        device: &DeviceName,
        session: SessionId,
        report: &str,
    ) -> Result<(), LinkError> {
        let why = Note::new(format!("it reports {report} session {session}, which it never served"));
        let event = Event::AgentRefused { device: Some(Note::new(device)), why };
        let room = self.registry.budgets().spend(device, "reports of sessions that it never served");
        self.append_within(room, event.by(Actor::Proxy)).await
    }

    /// Appends what is within a budget. Whoever is over theirs waits instead.
    pub(super) async fn append_within(&self, room: bool, entry: Entry) -> Result<(), LinkError> {
        if room {
            return self.append(entry).await;
        }
        self.registry.budgets().brake().await;
        Ok(())
    }

    /// Tells the log that a device's link came up or was lost, within its budget; a link
    /// that breaks all the time is no reason to hold it up.
    pub(super) async fn linking(
        &self,
        device: &DeviceName,
        what: &'static str,
        event: Event,
    ) -> Result<(), LinkError> {
        if self.registry.budgets().spend(device, what) { self.audit(event).await } else { Ok(()) }
    }

    /// Room for what an agent needs now and then, or the end of its link.
    pub(super) async fn now_and_then(
        &self,
        device: &DeviceName,
        what: &'static str,
    ) -> Result<(), LinkError> {
        if self.registry.budgets().spend(device, what) {
            return Ok(());
        }
        self.registry.budgets().brake().await;
        Err(LinkError::TooOften(what))
    }

    /// What of a session is due has its record, whatever else its device told.
    async fn due(
        &self,
        device: &DeviceName,
        session: SessionId,
        what: &'static str,
        event: Event,
    ) -> Result<(), LinkError> {
        let told = self.due_entry(device, session, what, event).await;
        self.append_all(told.into_iter().collect()).await
    }

    /// The record of what of a session is due; none for one who is over their budget, who waits
    /// instead.
    async fn due_entry(
        &self,
        device: &DeviceName,
        session: SessionId,
        what: &'static str,
        event: Event,
    ) -> Option<Entry> {
        if self.registry.budgets().due(device, session, what) {
            return Some(event.by(Actor::Agent(device.clone())));
        }
        self.registry.budgets().brake().await;
        None
    }

    async fn append_all(&self, entries: Vec<Entry>) -> Result<(), LinkError> {
        for entry in entries {
            self.append(entry).await?;
        }
        Ok(())
    }

    /// Takes a step with the records that tell of it. What is there already was told before.
    async fn take(&self, told: Vec<Entry>, step: Step) -> Result<(), LinkError> {
        match self.audit.step(told, step).await {
            Err(error) if !error.is_changed() => Err(LinkError::Ours(error.to_string())),
            _ => Ok(()),
        }
    }

    /// Tells the log what agents had to tell beyond their budgets, of the hours that are
    /// over or of all.
    pub async fn sum_up(&self, all: bool) {
        for sum in self.registry.budgets().take_sums(all) {
            let (device, since, more) = (sum.device.clone(), sum.since, sum.notes());
            let told = self.audit(Event::AgentSummedUp { device, since, more }).await;
            let kept = self.store.agent_summed(&sum.device, sum.count(), Timestamp::now()).await;
            if let Err(error) = told.and(kept.map_err(context)) {
                tracing::error!(device = %sum.device, %error, "what it told beyond its budget is not logged");
            }
        }
    }

    /// Logs the end of a grant that nobody here waited for: after a restart of the
    /// proxy, or when an undo succeeded late.
    pub(super) async fn ended_late(
        &self,
        device: &DeviceName,
        session: SessionId,
        ended: &Ended,
    ) -> Result<(), LinkError> {
        let Some(target) = self.served(device, session, "the end of").await? else { return Ok(()) };
        let event = Event::grant_over(session, target, ended);
        if !ended.standing.is_empty() {
            return self.due(device, session, "what could not be undone, again", event).await;
        }
        let told = self.due_entry(device, session, "ends of grants, again", event).await;
        let known = self.standing(device).await?;
        let others: Vec<Standing> =
            known.iter().filter(|one| one.session != Some(session)).cloned().collect();
        match others == known {
            true => self.append_all(told.into_iter().collect()).await,
            false => {
                self.take(told.into_iter().collect(), Store::standing_step(device.clone(), others)).await
            }
        }
    }

    async fn standing(&self, device: &DeviceName) -> Result<Vec<Standing>, LinkError> {
        let standing = self.store.standing(Some(device)).await.map_err(context)?;
        Ok(standing.into_iter().map(|(_, one)| one).collect())
    }

    /// Keeps what stands on a device, if it is another than before. The log hears of what
    /// has gone without the end of a grant that told it.
    pub(super) async fn stands(
        &self,
        device: &DeviceName,
        mut standing: Vec<Standing>,
    ) -> Result<(), LinkError> {
        standing.truncate(MOST_STANDING);
        let before = self.standing(device).await?;
        if before == standing {
            return Ok(());
        }
        if !self.registry.budgets().spend(device, "changes of what stands") {
            self.registry.budgets().brake().await;
        }
        let mut told = Vec::new();
        // One that is full does not say what else stands.
        if standing.len() < MOST_STANDING {
            for (session, gone) in gone(&before, &standing) {
                let reported = self.served(device, session, "that nothing stands any more of").await?;
                let Some(target) = reported else { continue };
                let event = Event::GrantCleared { session, target, gone: Notes::of(gone) };
                told.extend(self.due_entry(device, session, "what stands no more, again", event).await);
            }
        }
        self.take(told, Store::standing_step(device.clone(), standing)).await
    }

    /// Keeps what somebody else had changed when a grant was undone.
    pub(super) async fn drifted(
        &self,
        device: &DeviceName,
        session: SessionId,
        drift: &[Drift],
    ) -> Result<(), LinkError> {
        if drift.is_empty() || self.served(device, session, "drift of").await?.is_none() {
            return Ok(());
        }
        let plain = |one: &Drift| Drift { kind: one.kind, found: Note::<512>::new(&one.found).to_string() };
        let drift: Vec<Drift> = drift.iter().take(MOST_DRIFT).map(plain).collect();
        self.store.set_drift(device, session, &drift, Timestamp::now()).await.map_err(context)
    }

    /// Writes that these devices' agents are linked now. It is for people to look at, so
    /// that it can't be written ends no link.
    pub(super) async fn seen(&self, devices: &[DeviceName]) {
        if let Err(error) = self.store.agents_seen(devices, Timestamp::now()).await {
            tracing::warn!(%error, "when agents were seen last is not kept");
        }
    }

    /// Keeps what an agent says that a session left behind: once, and only of a session
    /// that was on its device.
    pub(super) async fn left_behind(
        &self,
        device: &DeviceName,
        session: SessionId,
        residue: Residue,
    ) -> Result<(), LinkError> {
        let Some(target) = self.served(device, session, "what was left behind by").await? else {
            return Ok(());
        };
        if self.store.residue(session).await.map_err(context)?.is_some() {
            return Ok(());
        }
        let residue = residue.bounded();
        let event = Event::residue_reported(session, target, &residue);
        let told = self.due_entry(device, session, "what was left behind, again", event).await;
        self.take(told.into_iter().collect(), Store::residue_reported(session, residue)).await
    }

    /// Keeps what a kernel saw; `false` when it could not be kept, so that the agent
    /// tells it again on its next link.
    pub(super) async fn witnessed(&self, device: &DeviceName, said: Witnessed) -> Result<bool, LinkError> {
        let session = said.session;
        let past = |bytes| self.registry.budgets().past(device, bytes);
        let compared = self.watchers.witnessed(&said);
        let taken = match self.witnesses.take(device, said, past).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(%device, %error, "what the agent told of a session is not kept");
                return Ok(false);
            }
        };
        if taken.lost > 0 {
            self.store.agent_lost(device, taken.lost, Timestamp::now()).await.map_err(context)?;
        }
        if let Some(event) = taken.event {
            self.due(device, session, "what a kernel saw last, again", event).await?;
        }
        match taken.kept {
            Extent::All => {
                if let Some(compared) = compared {
                    compared();
                }
            }
            Extent::Nothing => self.not_served(device, session, "what ran in").await?,
            Extent::Count => self.registry.budgets().brake().await,
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
