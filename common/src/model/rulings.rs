//! What people have ruled about resources beside their text. It takes effect at once, without the
//! resources being read again.

use std::collections::{HashMap, HashSet};

use super::{GroupReview, Panic, PanicScope};
use crate::name::AccessGroupName;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rulings {
    /// What is stopped.
    pub panics: Vec<Panic>,
    /// What is known of reviews of groups, where anything is.
    pub reviews: HashMap<AccessGroupName, GroupReview>,
    /// Groups of whose reviews more is known than can be read, since a newer gate wrote it. In `reviews` is
    /// what was known before, on which what lives rests.
    pub unread: HashSet<AccessGroupName>,
}

impl Rulings {
    /// Whether this is stopped by a panic that names it.
    #[must_use]
    pub fn is_stopped(&self, scope: &PanicScope) -> bool {
        self.panics.iter().any(|panic| panic.scope == *scope)
    }

    /// The first panic whose scope fits.
    pub(crate) fn stopping(&self, fits: impl Fn(&PanicScope) -> bool) -> Option<&PanicScope> {
        self.panics.iter().map(|panic| &panic.scope).find(|scope| fits(scope))
    }
}
