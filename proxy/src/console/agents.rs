//! `agent …`

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::Rng as _;
use serde::Serialize;
use tidegate_common::audit::Event;
use tidegate_common::grant::Standing;
use tidegate_common::name::DeviceName;
use tidegate_common::secret::Secret;
use tidegate_common::time::Length;
use tidegate_common::wire::Sight;

use super::grammar::Agent;
use super::screen::Screen;
use super::show::{ago, moment, span};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::store::Drifts;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Agent,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Agent::Token { device, valid } => token(services, actor, &device, valid, screen).await,
        Agent::List => list(services, actor, screen).await,
        Agent::Revoke { device } => {
            actor.must_be_admin()?;
            let agent = services.store.agent(&device).await?;
            if agent.is_none_or(|agent| agent.revoked) {
                return Err(Failure::Missing(format!(
                    "device `{device}` has no agent that could be revoked"
                )));
            }
            let entry = actor.by().did(Event::AgentRevoked { device: device.clone() });
            let (audit, store) = (services.audit.clone(), services.store.clone());
            let (agents, gone) = (Arc::clone(&services.agents), device.clone());
            // Done to its end, also when the one who asked leaves meanwhile: no link stays
            // up whose agent is revoked.
            let done = tokio::spawn(async move {
                audit.append(entry).await?;
                store.revoke_agent(&gone).await?;
                agents.disconnect(&gone);
                Ok::<_, Failure>(())
            });
            done.await.map_err(std::io::Error::other)??;
            let json = serde_json::json!({ "device": device, "revoked": true });
            screen
                .one(&json, || format!("the agent of {device} is out; its live sessions end with its lease"))
                .await?;
            Ok(0)
        }
    }
}

async fn token(
    services: &Services,
    actor: &Actor,
    device: &DeviceName,
    valid: Length,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    actor.must_be_admin()?;
    if services.access.snapshot().device(device).is_none() {
        return Err(Failure::Missing(format!("there is no device `{device}`; apply it first")));
    }
    let now = Timestamp::now();
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let expires = valid.after(now);
    let mut random = [0u8; 32];
    rand::rng().fill_bytes(&mut random);
    let secret = Secret::new(URL_SAFE_NO_PAD.encode(random));
    let minted = Event::TokenMinted { device: device.clone(), expires };
    services.audit.append(actor.by().did(minted)).await?;
    services.store.token_minted(device, &secret, now, expires).await?;
    let token = format!("tg1.{}.{}", services.ca_fingerprint, secret.reveal());
    let line = format!("tidegate-agent install --proxy {} --token {token}", services.agents_address);
    let json = serde_json::json!({
        "device": device, "token": token, "expires": expires, "proxy": services.agents_address, "install": line,
    });
    screen.one(&json, || token).await?;
    if !screen.json {
        let text = format!("It enrols {device} once, until {}. There, as root:\n  {line}", moment(expires));
        screen.remark(&text).await?;
    }
    Ok(0)
}

#[derive(Serialize)]
struct Line {
    device: DeviceName,
    state: &'static str,
    /// What it said when it was linked last.
    version: Option<String>,
    connected: bool,
    linked_seconds: Option<u64>,
    /// When it was linked last.
    seen: Option<Timestamp>,
    certified: Option<Timestamp>,
    witness: Option<Sight>,
    /// Host keys of other devices that it vouches for, and whose they are.
    foreign_keys: Vec<String>,
    /// Records of its witness that were lost on the way, at least.
    lost: u64,
    lost_at: Option<Timestamp>,
    /// What it had to tell beyond what is taken of one agent in an hour, which was only
    /// counted: in this hour, and before.
    over_now: u64,
    over_before: u64,
    over_at: Option<Timestamp>,
    /// What somebody else had changed when grants were undone.
    drift: Option<Drifts>,
    /// What outlived its session and could not be undone yet.
    standing: Vec<Standing>,
}

impl Line {
    fn cells(&self, now: Timestamp) -> [String; 8] {
        let seen = match self.linked_seconds.and_then(|seconds| i64::try_from(seconds).ok()) {
            Some(up) => format!("now, for {}", span(up)),
            None => self.seen.map(|at| ago(at, now)).unwrap_or_default(),
        };
        [
            self.device.to_string(),
            self.state.to_owned(),
            seen,
            self.version.clone().unwrap_or_default(),
            self.standing.len().to_string(),
            self.drift.as_ref().map_or(0, |drift| drift.count).to_string(),
            self.lost.to_string(),
            self.witness.as_ref().map(sight).unwrap_or_default(),
        ]
    }

    /// What the numbers stand for.
    fn notes(&self, now: Timestamp) -> Vec<String> {
        let Self { device, .. } = self;
        let standing = self.standing.iter().map(|one| {
            let of = one.session.map(|id| format!(" from session {id}")).unwrap_or_default();
            format!("{device}: stands{of}: {}: {}", one.what, one.why)
        });
        let drift = self.drift.iter().map(|drift| {
            let (at, session, found) = (ago(drift.at, now), drift.session, &drift.last.found);
            format!("{device}: the last drift, {at} in session {session}: {found}")
        });
        let lost = self
            .lost_at
            .iter()
            .map(|at| format!("{device}: the witness lost records, the last of them {}", ago(*at, now)));
        let foreign = self.foreign_keys.iter().map(|key| {
            format!("{device}: its agent vouches for the host key {key}; nobody trusts it there: look at both hosts")
        });
        standing.chain(drift).chain(lost).chain(foreign).chain(self.over(now)).collect()
    }

    fn over(&self, now: Timestamp) -> Option<String> {
        let Self { device, over_now, over_before, over_at, .. } = self;
        let (count, when) = match (over_now, over_at) {
            (0, None) => return None,
            (0, Some(at)) => (over_before, ago(*at, now)),
            (count, _) => (count, "in this hour".to_owned()),
        };
        Some(format!(
            "{device}: its agent told more than is taken of one in an hour: {count} times, {when}; they were \
             only counted, `audit tail` says what: look at that host"
        ))
    }
}

async fn list(services: &Services, actor: &Actor, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    actor.must_read_all()?;
    let lines = gather(services).await?;
    let now = Timestamp::now();
    let table = || {
        let heading = ["DEVICE", "STATE", "SEEN", "VERSION", "STANDING", "DRIFT", "LOST", "WITNESS"];
        let mut table = Table::new(heading);
        lines.iter().for_each(|line| table.row(line.cells(now)));
        table
    };
    let empty = "There is no device with an agent; `apply` a device, then `agent token DEVICE`.";
    screen.list_or(&lines, table, empty).await?;
    let notes: Vec<String> = lines.iter().flat_map(|line| line.notes(now)).collect();
    screen.notes(&notes).await?;
    Ok(0)
}

/// Every device that has, had or shall have an agent, by name.
async fn gather(services: &Services) -> Result<Vec<Line>, Failure> {
    let enrolled = services.store.agents().await?;
    let now = Timestamp::now();
    let mut tokens = services.store.tokens().await?;
    tokens.retain(|token| token.used.is_none() && token.expires > now);
    let mut devices: Vec<DeviceName> = enrolled.iter().map(|agent| agent.device.clone()).collect();
    let resources = services.access.resources().await?;
    devices.extend(resources.devices.iter().filter(|device| device.agent).map(|device| device.name.clone()));
    devices.sort();
    devices.dedup();
    let all_standing = services.store.standing(None).await?;
    let mut drifts = services.store.drifts().await?;
    let lines = devices.into_iter().map(|device| {
        let agent = enrolled.iter().find(|agent| agent.device == device);
        let link = services.agents.link(&device);
        let state = match (agent, &link) {
            (Some(agent), _) if agent.revoked => "revoked",
            (_, Some(_)) => "linked",
            (Some(_), None) => "away",
            (None, None) if tokens.iter().any(|token| token.device == device) => "token waits",
            (None, None) => "not enrolled",
        };
        let version = link.as_ref().map(|link| link.version.clone());
        let standing = all_standing.iter().filter(|(of, _)| *of == device);
        Line {
            state,
            version: version.or_else(|| agent.and_then(|agent| agent.version.clone())),
            connected: link.is_some(),
            linked_seconds: link.as_ref().map(|link| link.up.as_secs()),
            seen: if link.is_some() { Some(now) } else { agent.and_then(|agent| agent.seen) },
            certified: agent.map(|agent| agent.certified),
            foreign_keys: link.as_ref().map(|link| link.foreign_keys.clone()).unwrap_or_default(),
            witness: link.map(|link| link.witness),
            lost: agent.map_or(0, |agent| agent.lost),
            lost_at: agent.and_then(|agent| agent.lost_at),
            over_now: services.agents.more(&device),
            over_before: agent.map_or(0, |agent| agent.summed),
            over_at: agent.and_then(|agent| agent.summed_at),
            drift: drifts.remove(&device),
            standing: standing.map(|(_, one)| one.clone()).collect(),
            device,
        }
    });
    Ok(lines.collect())
}

/// What a witness can say, in a few words.
fn sight(witness: &Sight) -> String {
    match witness {
        Sight::Sees => "sees".to_owned(),
        Sight::Blind { why } => format!("blind: {why}"),
    }
}
