//! Changes one after the other. Those of this gate take turns, so that they are not in each
//! other's way; what counts is that the store refuses what was made of an earlier state, and
//! then it is made anew of the newest.

use tokio::sync::{Mutex, MutexGuard};

/// How often another gate may be faster.
const MOST_TRIES: u32 = 50;

/// An error that may say so.
pub trait Retryable {
    /// Whether somebody else changed what was read, so that it is to be read again.
    fn is_changed(&self) -> bool;
}

/// A turn, and how often it was begun.
pub struct Turn<'a> {
    _held: MutexGuard<'a, ()>,
    tries: u32,
}

impl<'a> Turn<'a> {
    /// Waits for those before it.
    pub async fn take(changing: &'a Mutex<()>) -> Self {
        Self { _held: changing.lock().await, tries: 0 }
    }

    /// Whether it is to be done again, because another gate was faster.
    pub fn again<T, E: Retryable>(&mut self, done: &Result<T, E>) -> bool {
        self.tries += 1;
        self.tries < MOST_TRIES && done.as_ref().is_err_and(E::is_changed)
    }
}
