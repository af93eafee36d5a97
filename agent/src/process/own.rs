//! Units of systemd in which the agent itself runs programs, for sessions whose name they
//! carry: no process of theirs is the session's.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

static RUNNING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A unit that runs for the agent, until this is dropped.
#[derive(Debug)]
pub struct Own(String);

impl Own {
    /// From now on its processes are let alone.
    #[must_use]
    pub fn unit(name: String) -> Self {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        Self(name)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Whether the agent runs something in it now.
#[must_use]
pub fn is_own(unit: &str) -> bool {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).contains(unit)
}
