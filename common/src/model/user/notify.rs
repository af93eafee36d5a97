//! By which channels a user is told of what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::read::Fields;
use crate::notice::{Channel, NoticeKind};

/// `[user.notify]`: the channels for each kind that is named; the others go by mail where the
/// user has an address, and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotifyChoice(BTreeMap<NoticeKind, Vec<Channel>>);

impl NotifyChoice {
    /// Whether nothing is chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is chosen for a kind; none where it is left open, an empty list for `[]`.
    #[must_use]
    pub fn of(&self, kind: NoticeKind) -> Option<&[Channel]> {
        self.0.get(&kind).map(Vec::as_slice)
    }

    /// The first kind for which this channel is chosen.
    #[must_use]
    pub fn names(&self, channel: Channel) -> Option<NoticeKind> {
        self.0.iter().find(|(_, channels)| channels.contains(&channel)).map(|(kind, _)| *kind)
    }

    /// Chooses for a kind; without channels it is left open again.
    pub fn choose(&mut self, kind: NoticeKind, channels: Option<&[Channel]>) {
        let Some(channels) = channels else {
            self.0.remove(&kind);
            return;
        };
        let mut channels = channels.to_vec();
        channels.sort_unstable();
        channels.dedup();
        self.0.insert(kind, channels);
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let read = |fields: &mut Fields<'_, '_>| {
            let mut chosen = BTreeMap::new();
            for kind in NoticeKind::ALL {
                let named = fields.has(kind.key());
                let mut channels: Vec<Channel> = fields.list(kind.key());
                channels.sort_unstable();
                channels.dedup();
                if named {
                    chosen.insert(kind, channels);
                }
            }
            Self(chosen)
        };
        fields.table("notify", "[user.notify]", read).unwrap_or_default()
    }
}
