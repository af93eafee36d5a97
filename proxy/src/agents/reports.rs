//! What agents tell of their hosts without being asked, kept: ends that nobody waited
//! for, what stands, drift, what sessions left behind, what kernels saw.
//!
//! Agents are hostile: each speaks only for sessions on its own device, and what it
//! says is bounded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_common::audit::{Actor, Event, Note, Notes};
use tidegate_common::grant::{Drift, Ended, Standing};
use tidegate_common::id::SessionId;
use tidegate_common::name::{CredentialName, DeviceName};
use tidegate_common::residue::Residue;
use tidegate_common::wire::{MOST_STANDING, Witnessed};

use super::link::LinkError;
use super::listener::Office;
use crate::store::StoreError;

/// Drift of one session that is kept, at most.
const MOST_DRIFT: usize = 64;

fn office(error: StoreError) -> LinkError {
    LinkError::Office(error.to_string())
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

impl Office {
    /// What a session was on, if it was on this device; otherwise the log hears what
    /// the agent claims to report.
    async fn served(
        &self,
        device: &DeviceName,
        session: SessionId,
        report: &str,
    ) -> Result<Option<CredentialName>, LinkError> {
        let row = self.store.session(session).await.map_err(office)?;
        let target = row.map(|row| row.target).filter(|target| target.device == *device);
        if target.is_none() {
            let why = Note::new(format!("it reports {report} session {session}, which it never served"));
            self.audit(Event::AgentRefused { device: Some(Note::new(device)), why }).await?;
        }
        Ok(target)
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
        self.append(event.by(Actor::Agent(device.clone()))).await?;
        if ended.standing.is_empty() {
            let known = self.standing(device).await?;
            let others: Vec<Standing> =
                known.iter().filter(|one| one.session != Some(session)).cloned().collect();
            if others != known {
                self.store.set_standing(device, &others).await.map_err(office)?;
            }
        }
        Ok(())
    }

    async fn standing(&self, device: &DeviceName) -> Result<Vec<Standing>, LinkError> {
        let standing = self.store.standing(Some(device)).await.map_err(office)?;
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
        // One that is full does not say what else stands.
        if standing.len() < MOST_STANDING {
            for (session, gone) in gone(&before, &standing) {
                let reported = self.served(device, session, "that nothing stands any more of").await?;
                let Some(target) = reported else { continue };
                let event = Event::GrantCleared { session, target, gone: Notes::of(gone) };
                self.append(event.by(Actor::Agent(device.clone()))).await?;
            }
        }
        self.store.set_standing(device, &standing).await.map_err(office)
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
        self.store.set_drift(device, session, &drift, Timestamp::now()).await.map_err(office)
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
        if self.store.residue(session).await.map_err(office)?.is_some() {
            return Ok(());
        }
        let residue = residue.bounded();
        let event = Event::residue_reported(session, target, &residue);
        self.append(event.by(Actor::Agent(device.clone()))).await?;
        self.store.residue_put(session, &residue).await.map_err(office)
    }

    /// Keeps what a kernel saw; `false` when it could not be kept, so that the agent
    /// tells it again on its next link.
    pub(super) async fn witnessed(&self, device: &DeviceName, said: Witnessed) -> Result<bool, LinkError> {
        let taken = match self.witnesses.take(device, said).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(%device, %error, "what the agent told of a session is not kept");
                return Ok(false);
            }
        };
        if taken.lost > 0 {
            self.store.agent_lost(device, taken.lost, Timestamp::now()).await.map_err(office)?;
        }
        if let Some(event) = taken.event {
            self.append(event.by(Actor::Agent(device.clone()))).await?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SessionRow;
    use crate::store::testing::Temporary;
    use tidegate_common::grant::Failure;
    use tidegate_common::residue::{Change, Finding, FindingKind};

    fn session() -> SessionRow {
        SessionRow {
            id: SessionId::new(1, 1),
            user: "operator".parse().unwrap(),
            target: "ops@db01".parse().unwrap(),
            group: "dba".parse().unwrap(),
            request: None,
            emergency: false,
            origin: "::1".parse().unwrap(),
            started: jiff::Timestamp::UNIX_EPOCH,
            ended: None,
            outcome: None,
        }
    }

    #[tokio::test]
    async fn only_its_own_agent_tells_what_a_session_left_behind_and_only_once() {
        let temporary = Temporary::new().await;
        let office = Office::testing(&temporary).await;
        let row = session();
        office.store.session_put(&row).await.unwrap();
        let (db01, db02) = ("db01".parse().unwrap(), "db02".parse().unwrap());
        let finding = |what: &str| {
            let (kind, change) = (FindingKind::Cron, Change::New);
            vec![Finding { kind, change, what: what.to_owned(), detail: String::new() }]
        };
        let residue = |what: &str| Residue { findings: finding(what), ..Residue::default() };
        office.left_behind(&db02, row.id, residue("forged")).await.unwrap();
        assert_eq!(office.store.residue(row.id).await.unwrap(), None);
        office.left_behind(&db01, row.id, residue("true\u{1b}[2J")).await.unwrap();
        office.left_behind(&db01, row.id, residue("second")).await.unwrap();
        let kept = office.store.residue(row.id).await.unwrap().unwrap();
        assert_eq!(kept.findings, finding("true\\u{1b}[2J"));
        let mut tail = office.audit.tail(10, false);
        let mut told = Vec::new();
        while let Some(record) = tail.next_record().await.unwrap() {
            told.push(record.event);
        }
        assert!(matches!(told.first(), Some(Event::AgentRefused { .. })), "{told:?}");
        assert!(matches!(told.get(1..), Some([Event::ResidueReported { .. }])), "{told:?}");
    }

    #[tokio::test]
    async fn what_an_agent_tells_is_bounded_and_of_its_own_sessions_only() {
        let temporary = Temporary::new().await;
        let office = Office::testing(&temporary).await;
        let store = &office.store;
        let row = session();
        store.session_put(&row).await.unwrap();
        let (db01, db02) = ("db01".parse().unwrap(), "db02".parse().unwrap());
        let kind = tidegate_common::grant::PrivilegeKind::Sudo;
        let drift: Vec<Drift> = (0..100).map(|_| Drift { kind, found: "x\u{1b}".repeat(1000) }).collect();
        office.drifted(&db02, row.id, &drift).await.unwrap();
        assert!(store.drifts().await.unwrap().is_empty(), "it never served that session");
        office.drifted(&db01, row.id, &drift).await.unwrap();
        let drifts = store.drifts().await.unwrap().remove(&db01).unwrap();
        assert_eq!(drifts.count, 64);
        assert!(drifts.last.found.len() <= 512 && !drifts.last.found.contains('\u{1b}'));
        let standing = |count: usize| {
            let one = Standing {
                session: None,
                account: "ops".parse().unwrap(),
                kind,
                what: "a rule".into(),
                why: "it is stuck".into(),
            };
            vec![one; count]
        };
        office.stands(&db01, standing(1000)).await.unwrap();
        assert_eq!(store.standing(None).await.unwrap().len(), MOST_STANDING);
        office.stands(&db01, standing(0)).await.unwrap();
        assert!(store.standing(None).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_stood_and_was_undone_by_a_sweep_or_by_the_agent_is_told_to_be_gone_once() {
        for by_sweep in [true, false] {
            let temporary = Temporary::new().await;
            let office = Office::testing(&temporary).await;
            let row = session();
            office.store.session_put(&row).await.unwrap();
            let db01 = "db01".parse().unwrap();
            let kind = tidegate_common::grant::PrivilegeKind::Groups;
            let standing = |what: &str, why: &str| Standing {
                session: Some(row.id),
                account: "ops".parse().unwrap(),
                kind,
                what: what.into(),
                why: why.into(),
            };
            let failure = Failure { kind, why: "busy".to_owned() };
            let stands = Ended { standing: vec![failure], ..Ended::default() };
            office.ended_late(&db01, row.id, &stands).await.unwrap();
            office.stands(&db01, vec![standing("adm", "busy"), standing("disk", "busy")]).await.unwrap();
            office.stands(&db01, vec![standing("adm", "read-only"), standing("disk", "busy")]).await.unwrap();
            // One by one, or with the end of the grant.
            if by_sweep {
                office.stands(&db01, vec![standing("disk", "busy")]).await.unwrap();
            } else {
                office.ended_late(&db01, row.id, &Ended::default()).await.unwrap();
            }
            office.stands(&db01, Vec::new()).await.unwrap();
            office.stands(&db01, Vec::new()).await.unwrap();
            let mut tail = office.audit.tail(10, false);
            let mut told = Vec::new();
            while let Some(record) = tail.next_record().await.unwrap() {
                told.push(record.event.to_string());
            }
            let expected: &[&str] = if by_sweep {
                &["STANDING", "no longer standing on ops@db01: adm", "no longer standing on ops@db01: disk"]
            } else {
                &["STANDING", "the host is what it was"]
            };
            assert_eq!(told.len(), expected.len(), "{told:#?}");
            assert!(told.iter().zip(expected).all(|(told, expected)| told.contains(expected)), "{told:#?}");
        }
    }
}
