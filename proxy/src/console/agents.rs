//! `agent …`

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::Rng as _;
use serde::Serialize;
use tidegate_common::audit::Event;
use tidegate_common::name::DeviceName;
use tidegate_common::secret::Secret;
use tidegate_common::time::Length;
use tidegate_common::wire::Sight;

use super::grammar::Agent;
use super::screen::Screen;
use super::show::{ago, moment, span};
use super::table::Table;
use super::{Actor, Failure, Services};

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
    device: String,
    state: &'static str,
    version: Option<String>,
    connected: bool,
    linked_seconds: Option<u64>,
    seen: Option<Timestamp>,
    certified: Option<Timestamp>,
    standing: Vec<String>,
    witness: Option<Sight>,
}

async fn list(services: &Services, actor: &Actor, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    actor.must_read_all()?;
    let enrolled = services.store.agents().await?;
    let now = Timestamp::now();
    let mut tokens = services.store.tokens().await?;
    tokens.retain(|token| token.used.is_none() && token.expires > now);
    let mut devices: Vec<DeviceName> = enrolled.iter().map(|agent| agent.device.clone()).collect();
    let resources = services.access.resources().await?;
    devices.extend(resources.devices.iter().filter(|device| device.agent).map(|device| device.name.clone()));
    devices.sort();
    devices.dedup();
    let lines: Vec<_> = devices
        .iter()
        .map(|device| {
            let agent = enrolled.iter().find(|agent| agent.device == *device);
            let link = services.agents.link(device);
            let state = match (agent, &link) {
                (Some(agent), _) if agent.revoked => "revoked",
                (_, Some(_)) => "linked",
                (Some(_), None) => "away",
                (None, None) if tokens.iter().any(|token| token.device == *device) => "token waits",
                (None, None) => "not enrolled",
            };
            Line {
                device: device.to_string(),
                state,
                version: link.as_ref().map(|link| link.version.clone()),
                connected: link.is_some(),
                seen: agent.and_then(|agent| agent.seen),
                linked_seconds: link.as_ref().map(|link| link.up.as_secs()),
                certified: agent.map(|agent| agent.certified),
                witness: link.as_ref().map(|link| link.witness.clone()),
                standing: link.map(|link| link.standing).unwrap_or_default(),
            }
        })
        .collect();
    let table = || {
        let now = Timestamp::now();
        let mut table = Table::new(["DEVICE", "STATE", "FOR", "SEEN", "VERSION", "WITNESS", "STANDING"]);
        for line in &lines {
            let up = line.linked_seconds.and_then(|seconds| i64::try_from(seconds).ok()).map(span);
            table.row([
                line.device.clone(),
                line.state.to_owned(),
                up.unwrap_or_default(),
                line.seen.map(|at| ago(at, now)).unwrap_or_default(),
                line.version.clone().unwrap_or_default(),
                line.witness.as_ref().map(sight).unwrap_or_default(),
                line.standing.join("; "),
            ]);
        }
        table
    };
    let empty = "There is no device with an agent; `apply` a device, then `agent token DEVICE`.";
    screen.list_or(&lines, table, empty).await?;
    Ok(0)
}

/// What a witness can say, in a few words.
fn sight(witness: &Sight) -> String {
    match witness {
        Sight::Sees => "sees".to_owned(),
        Sight::Blind { why } => format!("blind: {why}"),
    }
}
