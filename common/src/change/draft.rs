//! A change as somebody writes it, and what is wrong with it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};

use super::{Change, ChangeState, CommandPattern, Expected, MOST_DEVICES, MOST_EXPECTED, MOST_RESPONSIBLE};
use crate::model::{Mistake, Mistakes, Role, Snapshot, Text, line_and_column};
use crate::name::{AccessGroupName, ChangeId, DeviceName, UserName};
use crate::time::Length;

/// More than any plan.
const MOST_BYTES: usize = 1 << 20;

/// How far ahead a change may begin, and how long it may take.
const FARTHEST: SignedDuration = SignedDuration::from_hours(24 * 366);

/// A change that is not made yet; a TOML text reads as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// As the organisation calls it.
    pub id: ChangeId,
    /// In a few words.
    pub title: Text,
    /// In more.
    pub description: Option<Text>,
    /// From when.
    pub start: Timestamp,
    /// Until when.
    pub due: Timestamp,
    /// Under which access group.
    pub group: AccessGroupName,
    /// On which devices.
    pub devices: Vec<DeviceName>,
    /// What shall run.
    pub commands: Vec<Expected>,
    /// Whether in this order.
    pub ordered: bool,
    /// Who is told.
    pub responsible: Vec<UserName>,
    /// Whether what is not expected ends the session.
    pub interrupt: bool,
}

/// What is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// It ends before it begins.
    #[error("its due must come after its start")]
    Backwards,
    /// It is over already.
    #[error("its due is over already; give one that lies ahead")]
    Over,
    /// It begins more than a year ahead.
    #[error("its start lies more than a year ahead; give an earlier start")]
    Far,
    /// It takes longer than a year.
    #[error("its due comes more than a year after its start; give an earlier due")]
    Long,
    /// There is no such access group.
    #[error("there is no access group `{0}`")]
    Group(AccessGroupName),
    /// The access group gives no session.
    #[error("access group `{0}` gives no sessions")]
    NoSession(AccessGroupName),
    /// The author has nothing to do with the group.
    #[error(
        "access group `{0}` does not name you; its users, its approvers and administrators write changes for it"
    )]
    NotYours(AccessGroupName),
    /// Nobody but its author could approve it.
    #[error("access group `{0}` names no approver but you, so nobody could approve it")]
    NoApprover(AccessGroupName),
    /// No device, or too many.
    #[error("it must name 1 to {MOST_DEVICES} devices")]
    Devices,
    /// There is no such device.
    #[error("there is no device `{0}`")]
    Device(DeviceName),
    /// Too many commands.
    #[error("it names more than {MOST_EXPECTED} expected commands")]
    Commands,
    /// Nobody is responsible, or too many are.
    #[error("it must name 1 to {MOST_RESPONSIBLE} responsible users")]
    Responsible,
    /// There is no such user.
    #[error("there is no enabled user `{0}` who could be responsible")]
    User(UserName),
    /// A limited user would be responsible.
    #[error("`{0}` is a limited user, who cannot be responsible; name a [[user]]")]
    Limited(UserName),
}

impl Draft {
    /// Reads a TOML text; `now` is what its moments that are written as `+2h` count from.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn read(text: &str, now: Timestamp) -> Result<Self, Mistakes> {
        let wrong = |place, why: &str| Mistakes(vec![Mistake::at(place, why)]);
        if text.len() > MOST_BYTES {
            return Err(wrong((1, 1), &format!("the text is larger than {} MiB", MOST_BYTES >> 20)));
        }
        let written: Written = toml::from_str(text).map_err(|error| {
            let place = line_and_column(text, error.span().map_or(0, |span| span.start));
            wrong(place, error.message())
        })?;
        Ok(written.from(now))
    }

    /// The change that it makes, waiting for approval.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn made(
        self,
        snapshot: &Snapshot,
        author: &UserName,
        now: Timestamp,
    ) -> Result<Change, Vec<DraftError>> {
        let wrong = self.check(snapshot, author, now);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let Self {
            id,
            title,
            description,
            start,
            due,
            group,
            mut devices,
            commands,
            ordered,
            mut responsible,
            interrupt,
        } = self;
        devices.sort_unstable();
        devices.dedup();
        responsible.sort_unstable();
        responsible.dedup();
        Ok(Change {
            id,
            title,
            description,
            start,
            due,
            group,
            devices,
            expected: commands,
            ordered,
            responsible,
            interrupt,
            author: author.clone(),
            created: now,
            state: ChangeState::WaitingApproval,
        })
    }

    fn check(&self, snapshot: &Snapshot, author: &UserName, now: Timestamp) -> Vec<DraftError> {
        let parts = [
            DraftPart::Window { start: self.start, due: Some(self.due) },
            DraftPart::Group(&self.group),
            DraftPart::Devices(&self.devices),
            DraftPart::Commands(self.commands.len()),
            DraftPart::Responsible(&self.responsible),
        ];
        parts.into_iter().flat_map(|part| part.check(snapshot, author, now)).collect()
    }
}

/// A part of a draft, for who writes one after the other.
#[derive(Debug, Clone, Copy)]
pub enum DraftPart<'a> {
    /// From when, and until when if that is known.
    Window {
        /// From when.
        start: Timestamp,
        /// Until when.
        due: Option<Timestamp>,
    },
    /// The access group.
    Group(&'a AccessGroupName),
    /// The devices.
    Devices(&'a [DeviceName]),
    /// How many commands are expected.
    Commands(usize),
    /// Who is told.
    Responsible(&'a [UserName]),
}

impl DraftPart<'_> {
    /// Everything that is wrong with it.
    #[must_use]
    pub fn check(self, snapshot: &Snapshot, author: &UserName, now: Timestamp) -> Vec<DraftError> {
        match self {
            Self::Window { start, due } => window(start, due, now),
            Self::Group(name) => group(name, snapshot, author, now),
            Self::Devices(names) => devices(names, snapshot),
            Self::Commands(count) if count > MOST_EXPECTED => vec![DraftError::Commands],
            Self::Commands(_) => Vec::new(),
            Self::Responsible(names) => responsible(names, snapshot),
        }
    }
}

fn window(start: Timestamp, due: Option<Timestamp>, now: Timestamp) -> Vec<DraftError> {
    let mut wrong = Vec::new();
    if due.is_some_and(|due| due <= start) {
        wrong.push(DraftError::Backwards);
    }
    if due.is_some_and(|due| due <= now) {
        wrong.push(DraftError::Over);
    }
    if start.duration_since(now) > FARTHEST {
        wrong.push(DraftError::Far);
    }
    if due.is_some_and(|due| due.duration_since(start) > FARTHEST) {
        wrong.push(DraftError::Long);
    }
    wrong
}

fn group(name: &AccessGroupName, snapshot: &Snapshot, author: &UserName, now: Timestamp) -> Vec<DraftError> {
    let Some(group) = snapshot.group(name) else { return vec![DraftError::Group(name.clone())] };
    if group.session.is_none() {
        return vec![DraftError::NoSession(name.clone())];
    }
    let mut wrong = Vec::new();
    let is_admin = snapshot.user(author).is_some_and(|user| user.has_role(Role::Admin));
    if snapshot.named(group, author).all(|(person, _)| person == author) {
        wrong.push(DraftError::NoApprover(name.clone()));
    }
    if !is_admin && !group.users.contains(author) && !super::approves(snapshot, group, author, author, now) {
        wrong.push(DraftError::NotYours(name.clone()));
    }
    wrong
}

fn devices(names: &[DeviceName], snapshot: &Snapshot) -> Vec<DraftError> {
    let mut wrong = Vec::new();
    if names.is_empty() || names.len() > MOST_DEVICES {
        wrong.push(DraftError::Devices);
    }
    let unknown = names.iter().take(MOST_DEVICES).filter(|name| snapshot.device(name).is_none());
    wrong.extend(unknown.cloned().map(DraftError::Device));
    wrong
}

fn responsible(names: &[UserName], snapshot: &Snapshot) -> Vec<DraftError> {
    let mut wrong = Vec::new();
    if names.is_empty() || names.len() > MOST_RESPONSIBLE {
        wrong.push(DraftError::Responsible);
    }
    let nobody = |name: &&UserName| !snapshot.user(name).is_some_and(|user| user.enabled);
    let named = || names.iter().take(MOST_RESPONSIBLE);
    wrong.extend(named().filter(nobody).cloned().map(DraftError::User));
    let limited = named().filter(|name| snapshot.is_limited(name));
    wrong.extend(limited.cloned().map(DraftError::Limited));
    wrong
}

/// A draft as its text has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: ChangeId,
    title: Text,
    #[serde(default)]
    description: Option<Text>,
    #[serde(default = "at_once", deserialize_with = "moment")]
    start: Moment,
    #[serde(deserialize_with = "moment")]
    due: Moment,
    access_group: AccessGroupName,
    devices: Vec<DeviceName>,
    #[serde(default, deserialize_with = "commands")]
    commands: Vec<Expected>,
    #[serde(default)]
    ordered: bool,
    responsible: Vec<UserName>,
    #[serde(default)]
    interrupt: bool,
}

impl Written {
    fn from(self, now: Timestamp) -> Draft {
        Draft {
            id: self.id,
            title: self.title,
            description: self.description,
            start: self.start.from(now),
            due: self.due.from(now),
            group: self.access_group,
            devices: self.devices,
            commands: self.commands,
            ordered: self.ordered,
            responsible: self.responsible,
            interrupt: self.interrupt,
        }
    }
}

/// A moment, or so long from now.
enum Moment {
    Now,
    At(Timestamp),
    In(Length),
}

impl Moment {
    fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Now => now,
            Self::At(moment) => moment,
            Self::In(length) => length.after(now),
        }
    }
}

fn at_once() -> Moment {
    Moment::Now
}

/// A moment as TOML writes it, or as text, always with its offset from UTC; or `+2h`.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Date(toml::value::Datetime),
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Date(date) => date.to_string(),
        Written::Text(text) => text,
    };
    let moment = match text.strip_prefix('+') {
        Some(length) => length.parse().ok().map(Moment::In),
        None => text.parse().ok().map(Moment::At),
    };
    moment.ok_or_else(|| {
        let text = crate::unseen::quoted(&text, 40);
        let how = "write it as 2026-12-24T18:00:00Z, or \"+2h\" for two hours from now";
        serde::de::Error::custom(format!("`{text}` is no moment; {how}"))
    })
}

/// Lines, or tables that also say whether they are optional.
fn commands<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Expected>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Line(String),
        Table(Table),
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        command: String,
        #[serde(default)]
        optional: bool,
    }
    let written = Vec::<Written>::deserialize(deserializer)?;
    let expected = written.into_iter().map(|written| {
        let (line, optional) = match written {
            Written::Line(line) => (line, false),
            Written::Table(Table { command, optional }) => (command, optional),
        };
        let command: CommandPattern = line.parse().map_err(serde::de::Error::custom)?;
        Ok(Expected { command, optional })
    });
    expected.collect()
}
