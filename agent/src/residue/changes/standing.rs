//! The pictures that sessions which begin now are compared with.

use std::sync::Arc;

use super::records::{Clock, Picture};

/// The newest picture and the one before it. Taking one lasts seconds; what a session
/// changes meanwhile may be in it already, so such a session needs the one before.
#[derive(Debug, Default)]
pub struct Standing {
    newest: Arc<Picture>,
    before: Arc<Picture>,
}

impl Standing {
    /// A new picture is complete.
    pub fn add(&mut self, picture: Arc<Picture>) {
        self.before = std::mem::replace(&mut self.newest, picture);
    }

    #[must_use]
    pub fn newest(&self) -> &Arc<Picture> {
        &self.newest
    }

    /// The newest that was complete when a session began. After each picture the comparer
    /// rests for longer than a session's beginning takes to reach it, so that two are enough.
    #[must_use]
    pub fn at(&self, began: Clock) -> &Arc<Picture> {
        if self.newest.taken <= began.boot { &self.newest } else { &self.before }
    }
}
