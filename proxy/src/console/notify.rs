//! `notify …`: what people are told.

use jiff::Timestamp;
use tidegate_common::notice::Channel;

use super::grammar::{NONE, Notify, NotifyList, USUAL};
use super::screen::Screen;
use super::show::ago;
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::notifications::{self, ChannelsView, Filter, NotificationView};
use crate::store::NotificationState;

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Notify,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Notify::List(asked) => list(services, actor, asked, screen).await?,
        Notify::Retry { id } => {
            let again = notifications::retry(services, actor, id).await?;
            let lines = || format!("notification {id} to {} is tried again", again.recipient);
            screen.one_told(&again, lines).await?;
        }
        Notify::Test { user, channel } => {
            let tested = notifications::test(services, actor, &user, channel).await?;
            let lines = || {
                let channels: Vec<_> = tested.channels.iter().map(ToString::to_string).collect();
                let by = channels.join(" and ");
                format!("a test goes to {user} by {by}; `notify list --user {user}` tells what becomes of it")
            };
            screen.one(&tested, lines).await?;
        }
        Notify::Channels { user } => {
            let listed = notifications::channels(services, actor, user).await?;
            let table = || {
                let mut table = Table::new(["KIND", "BY", "CHOSEN"]);
                let chosen = |one: &ChannelsView| if one.chosen { "yes" } else { "" }.to_owned();
                listed.iter().for_each(|one| table.row([one.kind.to_owned(), by(one), chosen(one)]));
                table
            };
            screen.list(&listed, table).await?;
        }
        Notify::Choose { kind, channels } => {
            let channels = chosen(&channels).map_err(Failure::Usage)?;
            let now = notifications::choose(services, actor, kind, channels.as_deref()).await?;
            screen.one(&now, || format!("{} is told to you by {}", now.kind, by(&now))).await?;
        }
    }
    Ok(0)
}

fn by(one: &ChannelsView) -> String {
    match one.channels.as_slice() {
        [] => "no channel".to_owned(),
        channels => channels.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
    }
}

/// The channels that were written; nothing for the usual one.
fn chosen(words: &[String]) -> Result<Option<Vec<Channel>>, String> {
    match words {
        [word] if word == USUAL => Ok(None),
        [word] if word == NONE => Ok(Some(Vec::new())),
        words if words.iter().any(|word| word == USUAL || word == NONE) => {
            Err(format!("`{NONE}` and `{USUAL}` stand alone"))
        }
        words => words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Some),
    }
}

async fn list(
    services: &Services,
    actor: &Actor,
    asked: NotifyList,
    screen: &mut Screen<'_>,
) -> Result<(), Failure> {
    let NotifyList { state, user, kind, limit } = asked;
    let narrowed = state.is_some() || user.is_some() || kind.is_some();
    let state = state.and_then(|word| word.parse().ok());
    let listed = notifications::list(services, actor, Filter { state, user, kind, limit }).await?;
    let now = Timestamp::now();
    let table = || {
        let mut table = Table::new(["ID", "MADE", "TO", "BY", "STATE", "TRIES", "ABOUT"]);
        listed.iter().for_each(|one| table.row(cells(one, now)));
        table
    };
    let empty = if narrowed { "No notification matches." } else { "Nobody was told anything." };
    screen.list_or(&listed, table, empty).await?;
    let notes: Vec<String> = listed.iter().filter_map(note).collect();
    screen.notes(&notes).await
}

fn cells(one: &NotificationView, now: Timestamp) -> [String; 7] {
    let state = match one.next_try {
        Some(next) if one.attempts > 0 => format!("{}, again {}", one.state, ago(next, now)),
        _ => one.state.to_string(),
    };
    [
        one.id.to_string(),
        ago(one.created, now),
        one.recipient.clone(),
        one.channel.to_string(),
        state,
        one.attempts.to_string(),
        one.about.clone(),
    ]
}

/// Why one was not sent.
fn note(one: &NotificationView) -> Option<String> {
    let reason = one.reason.as_ref().filter(|_| one.state != NotificationState::Sent)?;
    Some(format!("{}: {reason}", one.id))
}
