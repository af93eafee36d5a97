//! A session under a change is held against it while it runs.

use std::sync::Arc;

use tidegate_common::audit::EndCause;
use tidegate_common::wire::Sight;

use super::Requested;
use crate::changes::{Compared, Feed, Watching};
use crate::recordings::Recorder;
use crate::session::End;

impl Requested {
    /// Begins to compare; nothing where the session rests on no change.
    pub(super) fn compare(&self, recorder: &Recorder) -> Option<(Feed, Watching)> {
        let Self { sessions, live, id, permit, origin, .. } = self;
        let change = Arc::clone(permit.change()?);
        let seen = sessions.agents.status(&permit.target().device);
        let live = live.clone();
        let compared = Compared {
            session: *id,
            change,
            user: permit.user().clone(),
            origin: *origin,
            target: permit.target().clone(),
            witnessed: seen.is_some_and(|status| status.witness == Sight::Sees),
            recorder: recorder.clone(),
            store: sessions.store.clone(),
            end: Box::new(move |why| live.end(End { cause: EndCause::Unexpected, message: Some(why) })),
        };
        let (access, audit) = (sessions.access.clone(), sessions.audit.clone());
        Some(sessions.watchers.begin(compared, access, audit))
    }
}
