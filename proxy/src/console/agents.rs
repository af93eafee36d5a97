//! `agent …`

use jiff::Timestamp;
use tidegate_common::wire::Sight;

use super::grammar::Agent;
use super::screen::Screen;
use super::show::{ago, moment, span};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::agents::{self, AgentView};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Agent,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Agent::Token { device, valid } => {
            let made = agents::token(services, actor, &device, valid).await?;
            screen.one(&made, || made.token.clone()).await?;
            if !screen.json {
                let (until, line) = (moment(made.expires), &made.install);
                let text = format!("It enrols {device} once, until {until}. There, as root:\n  {line}");
                screen.remark(&text).await?;
            }
        }
        Agent::List => list(services, actor, screen).await?,
        Agent::Revoke { device } => {
            let gone = agents::revoke(services, actor, &device).await?;
            screen
                .one(&gone, || format!("the agent of {device} is out; its live sessions end with its lease"))
                .await?;
        }
    }
    Ok(0)
}

async fn list(services: &Services, actor: &Actor, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let listed = agents::list(services, actor).await?;
    let now = Timestamp::now();
    let table = || {
        let heading = ["DEVICE", "STATE", "SEEN", "VERSION", "STANDING", "DRIFT", "LOST", "WITNESS"];
        let mut table = Table::new(heading);
        listed.iter().for_each(|agent| table.row(cells(agent, now)));
        table
    };
    let empty = "There is no device with an agent; `apply` a device, then `agent token DEVICE`.";
    screen.list_or(&listed, table, empty).await?;
    let notes: Vec<String> = listed.iter().flat_map(|agent| notes(agent, now)).collect();
    screen.notes(&notes).await
}

fn cells(agent: &AgentView, now: Timestamp) -> [String; 8] {
    let seen = match agent.linked_seconds.and_then(|seconds| i64::try_from(seconds).ok()) {
        Some(up) => format!("now, for {}", span(up)),
        None => agent.seen.map(|at| ago(at, now)).unwrap_or_default(),
    };
    [
        agent.device.to_string(),
        agent.state.to_owned(),
        seen,
        agent.version.clone().unwrap_or_default(),
        agent.standing.len().to_string(),
        agent.drift.as_ref().map_or(0, |drift| drift.count).to_string(),
        agent.lost.to_string(),
        agent.witness.as_ref().map(sight).unwrap_or_default(),
    ]
}

/// What the numbers stand for.
fn notes(agent: &AgentView, now: Timestamp) -> Vec<String> {
    let AgentView { device, .. } = agent;
    let standing = agent.standing.iter().map(|one| {
        let of = one.session.map(|id| format!(" from session {id}")).unwrap_or_default();
        format!("{device}: stands{of}: {}: {}", one.what, one.why)
    });
    let drift = agent.drift.iter().map(|drift| {
        let (at, session, found) = (ago(drift.at, now), drift.session, &drift.last.found);
        format!("{device}: the last drift, {at} in session {session}: {found}")
    });
    let lost = agent
        .lost_at
        .iter()
        .map(|at| format!("{device}: the witness lost records, the last of them {}", ago(*at, now)));
    let foreign = agent.foreign_keys.iter().map(|key| {
        format!(
            "{device}: its agent vouches for the host key {key}; nobody trusts it there: look at both hosts"
        )
    });
    standing.chain(drift).chain(lost).chain(foreign).chain(over(agent, now)).collect()
}

fn over(agent: &AgentView, now: Timestamp) -> Option<String> {
    let AgentView { device, over_now, over_before, over_at, .. } = agent;
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

/// What a witness can say, in a few words.
fn sight(witness: &Sight) -> String {
    match witness {
        Sight::Sees => "sees".to_owned(),
        Sight::Blind { why } => format!("blind: {why}"),
    }
}
