//! Agents on devices: enrolled, listed, taken out.

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

use super::operation::Operation;
use super::{Actor, Failure, Services};
use crate::store::{Drifts, Store};

/// A token that enrols one device's agent once.
#[derive(Clone, Serialize)]
pub struct Token {
    /// Which device.
    pub device: DeviceName,
    /// Until when it can be used.
    pub expires: Timestamp,
    /// The command that uses it, for root on the device.
    pub install: String,
    /// Where agents dial: host and port.
    pub proxy: String,
    /// The token itself: a secret.
    pub token: String,
}

/// Makes a token; an earlier one of the device that nobody used is void.
///
/// # Errors
/// When the actor is no administrator, there is no such device, or nothing could be written.
pub async fn token(
    services: &Services,
    actor: &Actor,
    device: &DeviceName,
    valid: Length,
) -> Result<Token, Failure> {
    let work = async {
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
        let step = Store::token_minted(device, &secret, now, expires);
        services.audit.step(vec![actor.by().did(minted)], step).await?;
        let token = format!("tg1.{}.{}", services.ca_fingerprint, secret.reveal());
        let proxy = services.agents_address.clone();
        let install = format!("tidegate-agent install --proxy {proxy} --token {token}");
        Ok(Token { device: device.clone(), expires, install, proxy, token })
    };
    Operation::AgentToken.perform(services, actor, work).await
}

/// A device whose agent was taken out.
#[derive(Debug, Clone, Serialize)]
pub struct Revoked {
    /// Which.
    pub device: DeviceName,
    /// That it is out.
    pub revoked: bool,
}

/// Takes a device's agent out; it needs a new token to come back.
///
/// # Errors
/// When the actor is no administrator, the device has no agent, or nothing could be written.
pub async fn revoke(services: &Services, actor: &Actor, device: &DeviceName) -> Result<Revoked, Failure> {
    let work = async {
        let agent = services.store.agent(device).await?;
        if agent.is_none_or(|agent| agent.revoked) {
            return Err(Failure::Missing(format!("device `{device}` has no agent that could be revoked")));
        }
        let entry = actor.by().did(Event::AgentRevoked { device: device.clone() });
        let audit = services.audit.clone();
        let (agents, gone) = (Arc::clone(&services.agents), device.clone());
        // Done to its end, also when the one who asked leaves meanwhile: no link stays
        // up whose agent is revoked.
        let done = tokio::spawn(async move {
            match audit.step(vec![entry], Store::agent_revoked(&gone)).await {
                // Somebody else did at the same moment.
                Err(error) if error.is_changed() => {}
                done => done?,
            }
            agents.disconnect(&gone);
            Ok::<_, Failure>(())
        });
        done.await.map_err(std::io::Error::other)??;
        Ok(Revoked { device: device.clone(), revoked: true })
    };
    Operation::AgentRevoke.perform(services, actor, work).await
}

/// A device that has, had or shall have an agent.
#[derive(Debug, Clone, Serialize)]
pub struct AgentView {
    /// Which.
    pub device: DeviceName,
    /// `linked`, `away`, `revoked`, `token waits` or `not enrolled`.
    pub state: &'static str,
    /// What it said when it was linked last.
    pub version: Option<String>,
    /// Whether its link is up.
    pub connected: bool,
    /// For how long its link has been up.
    pub linked_seconds: Option<u64>,
    /// When it was linked last.
    pub seen: Option<Timestamp>,
    /// When it was given its certificate.
    pub certified: Option<Timestamp>,
    /// Whether its host's kernel tells what runs.
    pub witness: Option<Sight>,
    /// Host keys of other devices that it vouches for, and whose they are.
    pub foreign_keys: Vec<String>,
    /// Records of its witness that were lost on the way, at least.
    pub lost: u64,
    /// When the last of them were.
    pub lost_at: Option<Timestamp>,
    /// What it had to tell beyond what is taken of one agent in an hour, which was only
    /// counted: in this hour.
    pub over_now: u64,
    /// The same before this hour.
    pub over_before: u64,
    /// When the last before this hour was.
    pub over_at: Option<Timestamp>,
    /// What somebody else had changed when grants were undone.
    pub drift: Option<Drifts>,
    /// What outlived its session and could not be undone yet.
    pub standing: Vec<Standing>,
}

/// Every device that has, had or shall have an agent, by name.
///
/// # Errors
/// When the actor reads only their own, or the store fails.
pub async fn list(services: &Services, actor: &Actor) -> Result<Vec<AgentView>, Failure> {
    let work = async {
        let enrolled = services.store.agents().await?;
        let now = Timestamp::now();
        let mut tokens = services.store.tokens().await?;
        tokens.retain(|token| token.used.is_none() && token.expires > now);
        let mut devices: Vec<DeviceName> = enrolled.iter().map(|agent| agent.device.clone()).collect();
        let resources = services.access.resources().await?;
        devices
            .extend(resources.devices.iter().filter(|device| device.agent).map(|device| device.name.clone()));
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
            AgentView {
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
    };
    Operation::AgentList.perform(services, actor, work).await
}
