//! `grant …`: what is on devices now, and for whom.

use jiff::Timestamp;

use super::grammar::GrantList;
use super::screen::Screen;
use super::show::{ago, maybe, until};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::grants::{self, Filter, GrantView, State};

pub(super) async fn list(
    services: &Services,
    actor: &Actor,
    asked: GrantList,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    let GrantList { device, user } = asked;
    let grants = grants::list(services, actor, Filter { device, user }).await?;
    let now = Timestamp::now();
    let table = || {
        let heading = ["SESSION", "USER", "CREDENTIAL", "STATE", "SINCE", "LEASE", "PRIVILEGES"];
        let mut table = Table::new(heading);
        grants.iter().for_each(|grant| table.row(cells(grant, now)));
        table
    };
    screen.list_or(&grants, table, "Nothing is granted anywhere, and nothing stands.").await?;
    let notes: Vec<String> = grants.iter().filter_map(|grant| note(grant, now)).collect();
    screen.notes(&notes).await?;
    Ok(0)
}

fn word(state: State) -> &'static str {
    match state {
        State::Applying => "applying",
        State::Active => "active",
        State::Ending => "ending",
        State::Standing => "standing",
    }
}

fn cells(grant: &GrantView, now: Timestamp) -> [String; 7] {
    [
        maybe(grant.session),
        maybe(grant.user.as_ref()),
        grant.credential.as_ref().map_or_else(|| grant.device.to_string(), ToString::to_string),
        word(grant.state).to_owned(),
        grant.since.map(|at| ago(at, now)).unwrap_or_default(),
        left(grant, now),
        grant.privileges.join("; "),
    ]
}

/// For how long without word from the proxy, and until when at the latest.
fn left(grant: &GrantView, now: Timestamp) -> String {
    let lease = grant.lease_left_seconds.map(|seconds| format!("{seconds}s"));
    let expires = grant.expires.map(|at| until(at, now));
    lease.into_iter().chain(expires).collect::<Vec<_>>().join(", ")
}

/// What the table has no room for.
fn note(grant: &GrantView, now: Timestamp) -> Option<String> {
    let privileges = grant.privileges.join("; ");
    let away = if grant.agent_linked { "" } else { "; its agent is away, so this is what it said last" };
    if let Some(why) = &grant.why {
        let whose = grant.session.map(|id| format!(" from session {id}")).unwrap_or_default();
        let ended =
            grant.session_ended.map(|at| format!(", which ended {}", ago(at, now))).unwrap_or_default();
        return Some(format!("{}: {privileges}: stands{whose}{ended}: {why}{away}", grant.device));
    }
    let session = maybe(grant.session);
    (!grant.agent_linked).then(|| {
        format!("{}: the agent is away; it ends session {session} when the lease is over", grant.device)
    })
}
