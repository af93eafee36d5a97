//! The second thread that changes the host: grants, and what takes time to take back, so that
//! what must not wait for them does not. It executes what the worker hands it, in that order; the core sees to it
//! that the two never change the same thing, and the host's lock keeps their changes of the
//! account files apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::{Inbox, Message};
use crate::clock;
use crate::core::{Effect, Event, Pace};
use crate::elevate::Elevator;

/// Starts the thread; it ends when nobody can hand it anything. `busy` is since when it has
/// been at one change, 0 when it is at none.
///
/// # Errors
/// When the host has no thread left.
pub fn start(elevator: Elevator, inbox: Inbox, busy: Arc<AtomicU64>) -> std::io::Result<Sender<Effect>> {
    let (effects, queue) = channel();
    let slow = Slow { elevator, inbox, busy };
    std::thread::Builder::new().name("slow".to_owned()).spawn(move || slow.work(&queue))?;
    Ok(effects)
}

struct Slow {
    elevator: Elevator,
    inbox: Inbox,
    busy: Arc<AtomicU64>,
}

impl Slow {
    fn work(mut self, queue: &Receiver<Effect>) {
        loop {
            let Ok(effect) = queue.recv() else { return };
            self.begins();
            let event = self.execute(effect);
            self.busy.store(0, Ordering::Relaxed);
            if let Some(event) = event {
                let _ = self.inbox.blocking_send(Message::Event(event));
            }
        }
    }

    fn begins(&self) {
        self.busy.store(clock::now().boot, Ordering::Relaxed);
    }

    fn execute(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Plan { session, units } => {
                Some(Event::Planned { session, plan: self.elevator.plan(session, units) })
            }
            Effect::LetGo => {
                self.elevator.let_go();
                None
            }
            Effect::Apply { session, fresh, joined } => {
                Some(Event::Applied { session, result: self.elevator.apply(&fresh, &joined) })
            }
            Effect::Extend { session, from, until, fresh, joined, accounts } => {
                let result = self.elevator.extend(from, until, &fresh, &joined, &accounts);
                Some(Event::Extended { session, result })
            }
            Effect::Retire { session, from, until, accounts, units } => {
                let expires = self.elevator.expire_later(from, until, &accounts);
                self.begins();
                Some(Event::Retired { session, expires, outcomes: self.elevator.undo(units) })
            }
            Effect::Undo { session, units, .. } => {
                // One at a time: many that are slow are not one that hangs. None of them is a
                // membership, after which somebody may still hold a group.
                let mut outcomes = Vec::new();
                for held in units {
                    self.begins();
                    outcomes.extend(self.elevator.undo(vec![held]));
                }
                Some(Event::Undone { session, pace: Pace::Slow, outcomes })
            }
            _ => None,
        }
    }
}
