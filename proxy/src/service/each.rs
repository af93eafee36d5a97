//! One deed done to several things.

use super::Failure;

/// What came of each; those that could be done are done.
#[derive(Debug)]
pub struct Each<T> {
    /// What was done, in the order in which it was asked for.
    pub done: Vec<T>,
    /// What was not, in the same order.
    pub failed: Vec<Failure>,
}

impl<T> Default for Each<T> {
    fn default() -> Self {
        Self { done: Vec::new(), failed: Vec::new() }
    }
}

impl<T> Each<T> {
    pub(super) fn add(&mut self, result: Result<T, Failure>) {
        match result {
            Ok(done) => self.done.push(done),
            Err(failure) => self.failed.push(failure),
        }
    }
}
