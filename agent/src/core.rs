//! What the agent decides, as a function of values: [`step`] takes the state, one
//! event and the time, and returns the state after it and the effects to execute.
//!
//! Invariants, whatever the order of events and wherever a crash falls:
//! - the record of a change is among the effects before the change itself, and the
//!   shell executes nothing after a record that could not be made durable;
//! - a unit of privilege is undone when its last holder ends, not before, and its
//!   undo is the delta that was planned before it was applied;
//! - one quick job and one slow job change the host at a time, and where a grant is one of
//!   them never the same account; an end goes before grants that wait, and what is quick of
//!   it before what is slow;
//! - a later end of a grant is in the journal before anything has it, and no order makes an end earlier;
//! - a handover leaves nothing half done, and nothing is decided after it.
//!
//! No I/O and no clock here: `now` is handed in.

mod broker;
mod carried;
mod ending;
mod extension;
mod handover;
mod jobs;
mod lease;
mod ledger;
mod messages;
mod running;
mod state;
mod unit;

#[cfg(test)]
mod tests;

pub use carried::Carried;
pub use ledger::{Held, Ledger, Record, Traces};
pub use messages::{Effect, Event, Gone, NotApplied, Now, Reaped};
pub use state::State;
pub use unit::{Delta, Lifted, Pace, Swap, Unit};

/// One event, one decision.
#[must_use]
pub fn step(mut state: State, event: Event, now: Now) -> (State, Vec<Effect>) {
    let mut effects = Vec::new();
    for event in state.now_or_later(event) {
        state.take(event, now, &mut effects);
        state.end_overdue(now, &mut effects);
        state.next_jobs(now, &mut effects);
        state.catch_up(now, &mut effects);
        state.tell_standing(&mut effects);
        state.hand_over_when_quiet(&mut effects);
    }
    (state, effects)
}
