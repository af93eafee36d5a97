//! The command line: one grammar over `ssh operator@gate <command>` and
//! `tidegate-proxy admin <command>`, and one place that says who may do what.
//!
//! Users see and do what is their own, approvers what they approve, auditors read
//! everything and end live sessions, administrators configure. Nobody but an approver approves, not even
//! the local administrator.

mod agents;
mod audit;
mod commands;
mod failure;
mod grammar;
mod grants;
mod line;
mod menu;
mod requests;
mod resources;
mod screen;
mod sessions;
mod show;
mod socket;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod texts;
mod welcome;

pub use failure::Failure;
pub use line::{Line, Typed};
pub use menu::{Choice, Menu, PROMPT};
pub use socket::{admin, listen};
pub use texts::words;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _};
use futures::future::BoxFuture;
use tidegate_common::audit::{Actor as AuditActor, Event, Note};
use tidegate_common::digest::Digest;
use tidegate_common::id::SessionId;
use tidegate_common::model::{Credential, Role, Snapshot};
use tidegate_common::name::{DeviceName, UserName};
use tidegate_common::policy::{Login, Proved};
use tidegate_common::wire::Sight;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::access::{Access, By};
use crate::agents::GrantSeen;
use crate::audit_log::AuditLog;
use crate::record::Recordings;
use crate::requests::Requests;
use crate::store::Store;
use grammar::{Cli, Command, Grant};
use screen::Screen;

/// The sessions that live now, as far as the console touches them.
pub trait LiveSessions: Send + Sync {
    /// Ends one, telling its user by whom; `false` when it does not live.
    fn kill(&self, id: SessionId, by: &str) -> bool;
    /// Whether it lives.
    fn lives(&self, id: SessionId) -> bool;
    /// Whether it has ended and is sealed, or does within this time.
    fn gone(&self, id: SessionId, within: Duration) -> BoxFuture<'static, bool>;
}

/// The links to agents, as far as the console touches them.
pub trait AgentLinks: Send + Sync {
    /// The device's link, if it is up.
    fn link(&self, device: &DeviceName) -> Option<Link>;
    /// Every grant that lives or is being ended.
    fn grants(&self) -> Vec<GrantSeen>;
    /// What the credential's privileges would change, as the device's agent says now.
    fn plan(&self, credential: Arc<Credential>) -> BoxFuture<'static, Option<Vec<String>>>;
    /// How much the device's agent had to tell in this hour that was only counted.
    fn more(&self, device: &DeviceName) -> u64;
    /// Ends the device's link, because its enrolment was revoked.
    fn disconnect(&self, device: &DeviceName);
}

/// A link that is up.
#[derive(Debug, Clone)]
pub struct Link {
    /// The agent's version, as it says.
    pub version: String,
    /// For how long it has been up.
    pub up: Duration,
    /// Whether its host's kernel tells what runs.
    pub witness: Sight,
    /// Host keys of other devices that it vouches for, and whose they are.
    pub foreign_keys: Vec<String>,
}

/// What commands work on.
pub struct Services {
    /// What survives a restart.
    pub store: Store,
    /// Policy and resources.
    pub access: Access,
    /// Requests and approvals.
    pub requests: Requests,
    /// The audit log.
    pub audit: AuditLog,
    /// Recordings.
    pub recordings: Recordings,
    /// Live sessions.
    pub live: Arc<dyn LiveSessions>,
    /// Links to agents.
    pub agents: Arc<dyn AgentLinks>,
    /// SHA-256 of the agents' CA certificate, for tokens.
    pub ca_fingerprint: Digest,
    /// Host name and port that agents dial, for people to copy.
    pub agents_address: String,
}

/// Who types.
#[derive(Debug, Clone)]
pub struct Actor {
    who: Who,
    origin: Option<IpAddr>,
}

#[derive(Debug, Clone)]
enum Who {
    /// Whoever may use the local socket.
    LocalAdmin,
    /// An authenticated user.
    User {
        name: UserName,
        roles: Vec<Role>,
        /// What they logged in with; none in tests of what they may.
        login: Option<Arc<Login>>,
    },
}

/// A terminal's size.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Characters in a line.
    pub columns: u32,
}

impl Actor {
    /// A user who has logged in from an address, with the roles they have now.
    #[must_use]
    pub fn proved(snapshot: &Snapshot, proved: &Proved, origin: IpAddr) -> Self {
        let mut actor = Self::user(snapshot, &proved.user, origin);
        if let Who::User { login, .. } = &mut actor.who {
            *login = Some(Arc::clone(&proved.login));
        }
        actor
    }

    fn user(snapshot: &Snapshot, name: &UserName, origin: IpAddr) -> Self {
        let user = snapshot.user(name).filter(|user| user.enabled);
        let roles = user.map(|user| user.roles.clone()).unwrap_or_default();
        Self { who: Who::User { name: name.clone(), roles, login: None }, origin: Some(origin) }
    }

    /// Whoever may use the local socket.
    #[must_use]
    pub fn local_admin() -> Self {
        Self { who: Who::LocalAdmin, origin: None }
    }

    /// The user, unless it is the local administrator.
    fn name(&self) -> Option<&UserName> {
        match &self.who {
            Who::LocalAdmin => None,
            Who::User { name, .. } => Some(name),
        }
    }

    fn by(&self) -> By {
        let (actor, login) = match &self.who {
            Who::LocalAdmin => (AuditActor::LocalAdmin, None),
            Who::User { name, login, .. } => (AuditActor::User(name.clone()), login.clone()),
        };
        By { actor, origin: self.origin, login }
    }

    fn is_admin(&self) -> bool {
        match &self.who {
            Who::LocalAdmin => true,
            Who::User { roles, .. } => roles.contains(&Role::Admin),
        }
    }

    /// Whether they may read what is not their own.
    fn reads_all(&self) -> bool {
        match &self.who {
            Who::LocalAdmin => true,
            Who::User { roles, .. } => !roles.is_empty(),
        }
    }

    /// A connection may outlive its user's place in Tidegate; a command does not.
    fn must_be_enabled(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let enabled = |name| snapshot.user(name).is_some_and(|user| user.enabled);
        if self.name().is_none_or(enabled) { Ok(()) } else { Err(Failure::Disabled) }
    }

    fn must_be_admin(&self) -> Result<(), Failure> {
        if self.is_admin() { Ok(()) } else { Err(Failure::Role("an administrator")) }
    }

    fn must_read_all(&self) -> Result<(), Failure> {
        if self.reads_all() { Ok(()) } else { Err(Failure::Role("an auditor or an administrator")) }
    }

    fn must_be_user(&self) -> Result<&UserName, Failure> {
        self.name().ok_or(Failure::Local)
    }
}

/// Runs one command; gives its exit status: 0 done, 1 refused or failed, 2 not understood.
pub async fn run<I, O, E>(
    services: &Services,
    actor: &Actor,
    terminal: Option<Terminal>,
    words: &[String],
    stdin: I,
    mut out: O,
    mut err: E,
) -> u8
where
    I: AsyncRead + Unpin + Send,
    O: AsyncWrite + Unpin + Send,
    E: AsyncWrite + Unpin + Send,
{
    let columns =
        terminal.and_then(|terminal| usize::try_from(terminal.columns).ok()).filter(|columns| *columns > 0);
    let mut screen = Screen { out: &mut out, err: &mut err, columns, json: false };
    let calls = match actor.name() {
        None => "tidegate-proxy admin".to_owned(),
        Some(name) => format!("ssh {name}@GATE"),
    };
    let grammar = Cli::command().bin_name(calls).term_width(columns.unwrap_or(100).clamp(40, 120));
    let matches = match grammar.try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(told) => return screen.usage(&told).await,
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(told) => return screen.usage(&told).await,
    };
    screen.json = cli.output == grammar::Format::Json;
    let ran = dispatch(services, actor, cli.command, words, &mut screen, stdin).await;
    let status = match ran {
        Ok(status) => status,
        Err(failure) => {
            if failure.is_refusal() {
                let (command, why) = (command_text(words), Note::new(failure.to_string()));
                let refused = actor.by().did(Event::ConsoleRefused { command, why });
                if let Err(error) = services.audit.append(refused).await {
                    tracing::error!(%error, "a refusal could not be logged");
                }
            }
            let _ = screen.complain(&failure.to_string()).await;
            failure.status()
        }
    };
    match screen.flush().await {
        Ok(()) => status,
        Err(_) => 1,
    }
}

fn command_text(words: &[String]) -> tidegate_common::audit::CommandText {
    Note::new(split::join(words))
}

async fn dispatch(
    services: &Services,
    actor: &Actor,
    command: Option<Command>,
    words: &[String],
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    actor.must_be_enabled(&services.access.snapshot())?;
    let Some(command) = command else {
        return welcome::show(services, actor, screen).await;
    };
    // What changes something or hands out evidence is known before it happens.
    if command.is_notable() {
        let event = Event::ConsoleCommand { command: command_text(words) };
        services.audit.append(actor.by().did(event)).await?;
    }
    let streams = command.streams();
    let work = async move { act(services, actor, command, screen, stdin).await };
    if !streams {
        return work.await;
    }
    tokio::select! {
        done = work => done,
        lost = role_lost(services, actor) => Err(lost),
    }
}

/// Returns when somebody who reads what is not their own no longer may.
async fn role_lost(services: &Services, actor: &Actor) -> Failure {
    let mut changed = services.access.changed();
    // What has changed since the roles were read counts, too.
    changed.mark_changed();
    while let (Some(name), Some(origin), Ok(())) = (actor.name(), actor.origin, changed.changed().await) {
        let snapshot = services.access.snapshot();
        let now = Actor::user(&snapshot, name, origin);
        if let Err(lost) = now.must_be_enabled(&snapshot).and_then(|()| now.must_read_all()) {
            return lost;
        }
    }
    std::future::pending().await
}

async fn act(
    services: &Services,
    actor: &Actor,
    command: Command,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    match command {
        Command::Apply(asked) => resources::apply(services, actor, &asked, screen, stdin).await,
        Command::Get(asked) => resources::get(services, actor, &asked, screen).await,
        Command::Delete(asked) => resources::delete(services, actor, &asked, screen).await,
        Command::Export => resources::export(services, actor, screen).await,
        Command::Access(asked) => resources::access(services, actor, asked, screen).await,
        Command::Request(asked) => requests::run(services, actor, asked, screen).await,
        Command::Session(asked) => sessions::run(services, actor, asked, screen).await,
        Command::Agent(asked) => agents::run(services, actor, asked, screen).await,
        Command::Grant(Grant::List(asked)) => grants::list(services, actor, asked, screen).await,
        Command::Audit(asked) => audit::run(services, actor, asked, screen).await,
    }
}
