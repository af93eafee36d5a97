//! The loop: events in, [`step`], effects out to the worker.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tidegate_common::wire::FromProxy;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::explain::Explainer;
use super::handover;
use super::journal::{Journal, JournalError};
use super::reload::{ReloadError, Successor};
use super::reloads::{Reloads, notify};
use super::signals::Signals;
use super::uplink::Uplink;
use super::watchdog::Watchdog;
use super::worker::{Tools, Worker, start_reaper};
use super::{Message, leases};
use crate::clock;
use crate::config::{Config, Watch};
use crate::core::{Carried, Event, State, step};
use crate::elevate::{self, Elevator};
use crate::identity;
use crate::link::Link;
use crate::logins::{Logins, News};
use crate::residue::{Beginning, Comparer, Job, Lates};
use crate::sshd::LogIn;
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
/// How long an agent that is replaced may take to put down what sessions were like at their
/// beginning: with low priority, on a host that may be busy.
const SETTLE: Duration = Duration::from_secs(2);

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
    #[error("{0}; what was granted is taken back")]
    Reload(#[from] ReloadError),
}

/// How the loop ends.
enum End {
    Stopped,
    HandedOver(Successor, Carried),
}

/// Runs until a stop, or until the program now installed runs in its place. `file` is
/// the configuration that was named.
///
/// # Errors
/// When it cannot start, or cannot go on.
pub async fn run(config: Config, file: Option<&Path>) -> Result<(), DriverError> {
    let mut signals = Signals::listen()?;
    let paths = config.paths.clone();
    identity::make_state(&paths)?;
    std::fs::create_dir_all(&paths.run)?;
    let (left, lock) = match handover::take(&paths) {
        Some((left, lock)) => (Some(left), lock),
        None => (None, super::sweep::lock(&paths)?),
    };
    let reloads = left.as_ref().map_or(0, |left| left.reloads);
    let (carried, watched) = left.map(|left| (left.core, left.witness)).unzip();
    // Not enrolled is told at once, not in a loop of attempts.
    identity::Identity::load(&paths)?;
    let journal = Journal::open(&paths.journal())?;
    let ledger = journal.ledger().clone();
    let (ledger, deadlines) = match leases::read(&paths) {
        Some(leases) => (ledger, leases.of_the_living()),
        None => (ledger.after_boot(), BTreeMap::new()),
    };
    let (inbox, mut messages) = mpsc::channel(INBOX);
    let link = Link::default();
    let leisure = link.clone();
    let beginning = Beginning { ledger: ledger.clone(), without: elevate::without, at_once: reloads > 0 };
    let notes = Comparer::start(&paths, beginning, move |session, residue| {
        leisure.send_at_leisure(FromAgent::Residue { session, residue })
    })?;
    let logins = Logins::recovered(&paths, &ledger);
    let (witness, witnessing) = match config.witness {
        Watch::Sessions => witness::start(&paths, link.clone(), &ledger, &logins, watched.flatten())?,
        Watch::Nothing => {
            witness::let_go(&paths, watched.flatten());
            (Witness::default(), witness::Running::none())
        }
    };
    let mut state = State::recovered(ledger);
    let lates = Lates::open(&paths);
    let reaper = start_reaper(paths.clone(), config.grace, inbox.clone(), notes.clone(), logins.clone())?;
    let (seer, finder) = (witness.clone(), reaper.clone());
    logins.start(move |news| {
        // Whoever ends processes looks at once: the client of a login may be gone soon.
        if !matches!(news, News::Doubt { .. } | News::Rivals { .. }) {
            let _ = finder.send(Job::Look);
        }
        seer.news(news);
    })?;
    for late in lates.list().iter().cloned() {
        let _ = reaper.send(Job::Late { session: late.session, lost: late.lost });
    }
    crate::elevate::remove_in_background(&paths);
    let (elevator, slow_since) = (Elevator::new(paths.clone()), Arc::default());
    let worker = Worker::start(Tools {
        host_keys: identity::host_keys(&paths),
        slow: super::slow::start(elevator.beside(), inbox.clone(), Arc::clone(&slow_since))?,
        slow_since,
        again: super::again::start(elevator.beside(), notes.clone())?,
        elevator,
        paths: paths.clone(),
        journal,
        reaper,
        notes: notes.clone(),
        lates,
        link: link.clone(),
        witness: witness.clone(),
        logins: logins.clone(),
        inbox: inbox.clone(),
    })?;
    let uplink =
        tokio::spawn(Uplink { proxy: config.proxy, paths: paths.clone(), inbox: inbox.clone() }.run());
    let explainer = Explainer::new(paths.clone(), link.clone());
    let mut watchdog = Watchdog::start()?;
    let mut stop_by = None;
    let mut reloading = Reloads::new(&paths, file, inbox.clone(), reloads);
    let mut event = Some(Event::Started { deadlines, carried });
    if reloads > 0 {
        tracing::info!("this version has taken over, with every grant whose lease still runs");
    }
    reloading.ready();
    let end = loop {
        if let Some(event) = event.take() {
            let (next, effects) = step(state, event, clock::now());
            state = next;
            if !worker.give(effects) {
                return Err(DriverError::Worker);
            }
        }
        // A handover that had begun when it was told to stop did not come to be.
        if !state.is_handed_over() && signals.not_for_next() {
            event = Some(Event::Stop);
            stop_by = Some(Instant::now() + STOP);
            continue;
        }
        event = tokio::select! {
            message = messages.recv() => match message {
                Some(Message::Event(Event::Proxy(FromProxy::Noted { number }))) => {
                    witness.noted(number);
                    None
                }
                Some(Message::Event(Event::Proxy(FromProxy::Dialled { session, from }))) => {
                    logins.dialled(session, from);
                    None
                }
                Some(Message::Event(Event::Proxy(FromProxy::Explain { question, account, from, to }))) => {
                    explainer.explain(question, LogIn { account, from, to });
                    None
                }
                Some(Message::Event(Event::Proxy(FromProxy::Remarks { question, account, from, to }))) => {
                    explainer.remark(question, LogIn { account, from, to });
                    None
                }
                Some(Message::Event(Event::Proxy(FromProxy::Reported { session }))) => {
                    notes.reported(session);
                    None
                }
                Some(Message::Event(event)) => {
                    if let Event::Proxy(FromProxy::Attached { session }) = &event {
                        logins.attached(*session);
                    }
                    if matches!(event, Event::Proxy(FromProxy::Welcome(_))) {
                        witness.linked();
                        notes.linked();
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
                Some(Message::Prepared(prepared)) => reloading.prepared(prepared),
                Some(Message::HandedOver(carried)) => match reloading.successor() {
                    Some(successor) => break End::HandedOver(successor, carried),
                    None => break End::Stopped,
                },
                Some(Message::Finished) | None => break End::Stopped,
            },
            () = until(&state) => Some(Event::Tick),
            signal = signals.next() => match signal {
                Signal::SIGHUP => {
                    reloading.asked();
                    None
                }
                signal if state.is_handed_over() => {
                    signals.later(signal);
                    None
                }
                _ => Some(Event::Stop),
            },
            () = watchdog.due() => {
                if worker.busy_for() < STUCK {
                    watchdog.alive();
                }
                None
            }
            () = given_up(reloading.until().filter(|_| !state.is_handed_over())) => {
                reloading.refuse(&ReloadError::Busy);
                Some(Event::StayOn)
            }
            () = given_up(stop_by) => {
                tracing::error!("not everything ended in time; the sweep takes over");
                break End::Stopped;
            }
        };
        if matches!(event, Some(Event::Stop)) && stop_by.is_none() {
            notify(&[sd_notify::NotifyState::Stopping]);
            stop_by = Some(Instant::now() + STOP);
        }
    };
    let watched = match end {
        End::Stopped => {
            witnessing.stop(&witness).await;
            None
        }
        End::HandedOver(..) => witnessing.hand_over(&witness).await,
    };
    // What was told last shall reach the proxy.
    if link.set(None) {
        let _ = tokio::time::timeout(FAREWELL, told(&mut messages)).await;
    }
    uplink.abort();
    let End::HandedOver(successor, carried) = end else { return Ok(()) };
    notes.settle(SETTLE);
    // From here on there is no way back: what fails ends the agent, and then the sweep
    // takes everything back.
    handover::leave(&paths, lock, reloading.count().saturating_add(1), carried, watched)?;
    signals.keep_for_next().await?;
    Err(successor.replace().into())
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

async fn given_up(by: Option<Instant>) {
    match by {
        Some(by) => tokio::time::sleep_until(by).await,
        None => std::future::pending().await,
    }
}
