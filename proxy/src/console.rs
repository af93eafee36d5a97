//! The command line: one grammar over `ssh operator@gate <command>` and
//! `tidegate-proxy admin <command>`. It reads words and prints answers; who may do what, and
//! the doing, is [`crate::service`]'s.

mod access;
mod agents;
mod answers;
mod audit;
mod changes;
mod commands;
mod failure;
mod form;
mod grammar;
mod grants;
mod group_reviews;
mod line;
mod menu;
mod notify;
mod panics;
mod passwords;
mod remote_accesses;
mod requests;
mod resources;
mod screen;
mod secrets;
mod sessions;
mod show;
mod socket;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod texts;
mod watch;
mod welcome;

pub use failure::Failure;
pub use line::{Line, Typed};
pub use menu::{Choice, Menu, PROMPT};
pub use socket::{admin, listen};
pub use texts::words;

use clap::{CommandFactory as _, FromArgMatches as _};
use serde::{Deserialize, Serialize};
use tidegate_common::audit::Note;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch::Receiver;

use crate::service::{Actor, Services};
use grammar::{Cli, Command, Credential, Grant};
use screen::Screen;

/// How the local administrator calls it.
const ADMIN: &str = "tidegate-proxy admin";

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
}

/// A terminal: how large it is, now and later.
pub type Terminal = Receiver<Size>;

/// Whether a command takes keys as they are typed, Ctrl-C too.
#[must_use]
pub fn takes_keys(words: &[String]) -> bool {
    let cli = <Cli as clap::Parser>::try_parse_from(words);
    cli.is_ok_and(|cli| cli.command.is_some_and(|command| command.takes_keys()))
}

/// What gives a terminal back that a command had, where it was cut off, without what nobody else is to see.
#[must_use]
pub fn gives_back(words: &[String]) -> &'static str {
    let cli = <Cli as clap::Parser>::try_parse_from(words);
    match cli.ok().and_then(|cli| cli.command) {
        Some(Command::Credential(Credential::ShowPassword(asked))) => passwords::gives_back(&asked),
        Some(command) if command.takes_keys() => watch::GIVES_BACK,
        _ => "",
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
    let columns = terminal.as_ref().and_then(|terminal| usize::try_from(terminal.borrow().columns).ok());
    let columns = columns.filter(|columns| *columns > 0);
    let mut screen = Screen { out: &mut out, err: &mut err, columns, terminal, json: false, csv: false };
    let calls = match actor.name() {
        None => ADMIN.to_owned(),
        Some(name) => services.ssh_name.command(Some(name.as_str()), ""),
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
    screen.csv = cli.output == grammar::Format::Csv;
    let actor = match words {
        [] => actor.clone(),
        words => actor.clone().in_words(Note::new(split::join(words))),
    };
    let status = match act(services, &actor, cli.command, &mut screen, stdin).await {
        Ok(status) => status,
        Err(failure) => {
            let _ = screen.complain(&failure.to_string()).await;
            failure.status()
        }
    };
    match screen.flush().await {
        Ok(()) => status,
        Err(_) => 1,
    }
}

async fn act(
    services: &Services,
    actor: &Actor,
    command: Option<Command>,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let Some(command) = command else {
        return welcome::show(services, actor, screen).await;
    };
    match command {
        Command::Apply(asked) => resources::apply(services, actor, asked, screen, stdin).await,
        Command::Get(asked) => resources::get(services, actor, &asked, screen).await,
        Command::Delete(asked) => resources::delete(services, actor, &asked, screen).await,
        Command::Export => resources::export(services, actor, screen).await,
        Command::Access(asked) => access::run(services, actor, asked, screen).await,
        Command::GroupReview(asked) => group_reviews::run(services, actor, asked, screen, stdin).await,
        Command::Request(asked) => requests::run(services, actor, asked, screen, stdin).await,
        Command::Change(asked) => changes::run(services, actor, asked, screen, stdin).await,
        Command::RemoteAccess(asked) => remote_accesses::run(services, actor, asked, screen, stdin).await,
        Command::Session(asked) => sessions::run(services, actor, asked, screen, stdin).await,
        Command::Agent(asked) => agents::run(services, actor, asked, screen).await,
        Command::Grant(Grant::List(asked)) => grants::list(services, actor, asked, screen).await,
        Command::Notify(asked) => notify::run(services, actor, asked, screen).await,
        Command::Credential(Credential::Secret(asked)) => {
            // Boxed, as what is held while somebody types is not small.
            Box::pin(secrets::run(services, actor, asked, screen, stdin)).await
        }
        Command::Credential(Credential::ShowPassword(asked)) => {
            Box::pin(passwords::run(services, actor, asked, screen, stdin)).await
        }
        Command::Vault(asked) => Box::pin(secrets::vault(services, actor, asked, screen)).await,
        Command::Panic(asked) => panics::run(services, actor, asked, screen, stdin).await,
        Command::Audit(asked) => audit::run(services, actor, asked, screen).await,
    }
}
