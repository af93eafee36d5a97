//! The loop: events in, [`step`], effects out to the worker.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_common::wire::FromProxy;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::identity;
use super::journal::{Journal, JournalError};
use super::uplink::Uplink;
use super::worker::{Link, Tools, Worker, start_reaper};
use super::{Message, clock, leases};
use crate::config::{Config, Watch};
use crate::core::{Event, State, step};
use crate::elevate::Elevator;
use crate::residue::{Job, Keeper, Lates};
use crate::witness::{self, Witness};
use tidegate_common::wire::FromAgent;

/// Messages that may wait for the loop.
const INBOX: usize = 256;

/// A look at the clock at least this often while a lease runs: timers stand still
/// while the host sleeps, leases do not.
const LOOK: Duration = Duration::from_secs(5);

/// A change of the host that takes longer is stuck: no more signs of life to systemd.
/// Longer than three programs of a custom privilege may take.
const STUCK: Duration = Duration::from_secs(40);

/// How long a stop may take; what is left then is the sweep's.
const STOP: Duration = Duration::from_secs(20);

/// How long the last answers may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("{0}")]
    Identity(#[from] identity::IdentityError),
    #[error("{0}")]
    Journal(#[from] JournalError),
    #[error("{0}")]
    Lock(#[from] super::sweep::SweepError),
    #[error("the agent could not start: {0}")]
    Start(#[from] std::io::Error),
    #[error("the thread that changes the host died; see the log above")]
    Worker,
}

/// Runs until a stop.
///
/// # Errors
/// When it cannot start, or cannot go on.
pub async fn run(config: Config) -> Result<(), DriverError> {
    let paths = config.paths.clone();
    identity::make_state(&paths)?;
    std::fs::create_dir_all(&paths.run)?;
    let _lock = super::sweep::lock(&paths)?;
    // Not enrolled is told at once, not in a loop of attempts.
    identity::Identity::load(&paths)?;
    let journal = Journal::open(&paths.journal())?;
    let ledger = journal.ledger().clone();
    let (ledger, deadlines) = match leases::read(&paths) {
        Some(leases) => (ledger, leases.deadlines),
        None => (ledger.after_boot(), BTreeMap::new()),
    };
    let (inbox, mut messages) = mpsc::channel(INBOX);
    let link = Link::default();
    let leisure = link.clone();
    let notes = Keeper::start(&paths, move |session, residue| {
        leisure.send_at_leisure(FromAgent::Residue { session, residue })
    })?;
    let (witness, witnessing) = match config.witness {
        Watch::Sessions => witness::start(&paths, link.clone(), &ledger)?,
        Watch::Nothing => (Witness::default(), witness::Running::none()),
    };
    let mut state = State::recovered(ledger);
    let lates = Lates::open(&paths);
    let reaper = start_reaper(paths.clone(), config.grace, inbox.clone(), notes.clone())?;
    for late in lates.list().iter().cloned() {
        let _ = reaper.send(Job::Late { session: late.session, lost: late.lost });
    }
    let worker = Worker::start(Tools {
        host_keys: identity::host_keys(&paths),
        elevator: Elevator::new(paths.clone()),
        paths: paths.clone(),
        journal,
        reaper,
        notes,
        lates,
        link: link.clone(),
        witness: witness.clone(),
        inbox: inbox.clone(),
    })?;
    let uplink = tokio::spawn(Uplink { proxy: config.proxy, paths, inbox }.run());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut watchdog =
        tokio::time::interval(sd_notify::watchdog_enabled().unwrap_or(Duration::from_secs(60)) / 3);
    let mut stop_by = None;
    let mut event = Some(Event::Started { deadlines });
    notify(sd_notify::NotifyState::Ready);
    loop {
        if let Some(event) = event.take() {
            let (next, effects) = step(state, event, clock::now());
            state = next;
            if !worker.give(effects) {
                return Err(DriverError::Worker);
            }
        }
        event = tokio::select! {
            message = messages.recv() => match message {
                Some(Message::Event(Event::Proxy(FromProxy::Noted { number }))) => {
                    witness.noted(number);
                    None
                }
                Some(Message::Event(event)) => {
                    if matches!(event, Event::Proxy(FromProxy::Welcome(_))) {
                        witness.linked();
                    }
                    Some(event)
                }
                Some(Message::Linked(outbox)) => {
                    link.set(Some(outbox));
                    Some(Event::Connected)
                }
                Some(Message::Unlinked) => {
                    link.set(None);
                    witness.unlinked();
                    Some(Event::Disconnected)
                }
                Some(Message::Finished) | None => break,
            },
            () = until(&state) => Some(Event::Tick),
            _ = terminate.recv() => Some(Event::Stop),
            _ = interrupt.recv() => Some(Event::Stop),
            _ = watchdog.tick() => {
                if worker.busy_for() < STUCK {
                    notify(sd_notify::NotifyState::Watchdog);
                }
                None
            }
            () = given_up(stop_by) => {
                tracing::error!("not everything ended in time; the sweep takes over");
                break;
            }
        };
        if matches!(event, Some(Event::Stop)) && stop_by.is_none() {
            notify(sd_notify::NotifyState::Stopping);
            stop_by = Some(tokio::time::Instant::now() + STOP);
        }
    }
    witnessing.stop(&witness).await;
    // What was told last shall reach the proxy.
    if link.set(None) {
        let _ = tokio::time::timeout(FAREWELL, told(&mut messages)).await;
    }
    uplink.abort();
    Ok(())
}

/// Waits until the link has fallen.
async fn told(messages: &mut mpsc::Receiver<Message>) {
    while let Some(message) = messages.recv().await {
        if matches!(message, Message::Unlinked) {
            return;
        }
    }
}

/// Waits until something is due, or for ever.
async fn until(state: &State) {
    let now = clock::now();
    match state.next_deadline(now) {
        Some(at) => tokio::time::sleep(Duration::from_micros(at.saturating_sub(now.boot)).min(LOOK)).await,
        None => std::future::pending().await,
    }
}

async fn given_up(by: Option<tokio::time::Instant>) {
    match by {
        Some(by) => tokio::time::sleep_until(by).await,
        None => std::future::pending().await,
    }
}

fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
