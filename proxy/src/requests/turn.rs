//! Changes one after the other. Those of this gate take turns, so that they are not in each
//! other's way; what counts is that the store refuses what was made of an earlier state, and
//! then it is made anew of the newest.

use tokio::sync::MutexGuard;

use super::{RequestError, Requests};

/// How often another gate may be faster.
const MOST_TRIES: u32 = 50;

/// A turn, and how often it was begun.
pub(super) struct Turn<'a> {
    _held: MutexGuard<'a, ()>,
    tries: u32,
}

impl Requests {
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn { _held: self.0.changing.lock().await, tries: 0 }
    }
}

impl Turn<'_> {
    /// Whether it is to be done again, because another gate was faster.
    pub(super) fn again<T>(&mut self, done: &Result<T, RequestError>) -> bool {
        self.tries += 1;
        self.tries < MOST_TRIES && done.as_ref().is_err_and(RequestError::is_changed)
    }
}
