//! A notification as others see it.

use jiff::Timestamp;
use tidegate_common::audit::Note;
use tidegate_common::id::NotificationId;
use tidegate_common::name::UserName;
use tidegate_common::notice::{Channel, Notice, NoticeKind};
use tidegate_common::policy::Recipient;
use tidegate_common::secret::Secret;

/// What has become of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationState {
    /// It is to be sent, or is being sent.
    Waiting,
    /// It was taken by the server of its channel.
    Sent,
    /// It was given up.
    Failed,
    /// What it would have told of was over before.
    Dropped,
}

impl NotificationState {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Sent, Self::Failed, Self::Dropped];

    /// As the store and a command line write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

impl std::fmt::Display for NotificationState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for NotificationState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.word() == text);
        known.ok_or_else(|| {
            format!(
                "`{}` is no state of a notification; use waiting, sent, failed or dropped",
                text.escape_default()
            )
        })
    }
}

/// A notification as it is listed: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRow {
    /// Its number.
    pub id: NotificationId,
    /// For whom.
    pub recipient: Recipient,
    /// By what.
    pub channel: Channel,
    /// What it says.
    pub notice: Notice,
    /// What has become of it.
    pub state: NotificationState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, or when whoever tries it now must be done.
    pub next_try: Timestamp,
    /// When it was made.
    pub created: Timestamp,
    /// When it is given up.
    pub expires: Timestamp,
    /// When it was sent or given up.
    pub settled: Option<Timestamp>,
    /// Why the last try failed.
    pub reason: Option<String>,
}

/// A notification that this gate is to send, alone until its claim expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The notification.
    pub row: NotificationRow,
    /// The code of a link.
    pub secret: Option<Secret>,
    /// By which claim.
    pub claim: i64,
}

/// One that is claimed and cannot be read, since a newer gate wrote it; what stands beside what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its number.
    pub id: NotificationId,
    /// Of which kind.
    pub kind: String,
    /// For whom.
    pub recipient: String,
    /// By what.
    pub channel: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is given up.
    pub expires: Timestamp,
    /// By which claim.
    pub claim: i64,
    /// Why it cannot be read.
    pub why: String,
}

/// What a gate has claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// What it can read.
    pub rows: Vec<Claimed>,
    /// What it cannot, which it leaves to one that can.
    pub unread: Vec<Unread>,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The server took it.
    Sent,
    /// Not now: once more at this time.
    Again(Timestamp, Note),
    /// Never.
    Failed(Note),
    /// No more: what it tells of is over.
    Dropped(Note),
}

/// Which notifications to read; the newest come first.
#[derive(Debug, Clone, Default)]
pub struct NotificationFilter {
    /// For this user only.
    pub user: Option<UserName>,
    /// Of this kind only.
    pub kind: Option<NoticeKind>,
    /// In this state only.
    pub state: Option<NotificationState>,
    /// At most so many, 1,001 at the most; 0 means so many.
    pub limit: u64,
}
