//! What an agent says of a grant: what it applied, how it ended, why it could not.

use serde::{Deserialize, Serialize};

use super::PrivilegeKind;
use crate::id::SessionId;
use crate::name::AccountName;
use crate::note::Note;

/// The most ended processes that are listed of one session; what is over it is only counted.
pub const MOST_LEFTOVERS: usize = 128;

/// The most sentences on what is not certain of them.
pub const MOST_UNSEEN: usize = 16;

/// The most of anything else that one message tells, and the longest text of it, in bytes.
const MOST_TOLD: usize = 64;
type Told = Note<768>;

/// A grant applied and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// One sentence for each privilege: what changed on the host.
    pub applied: Vec<String>,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// A grant that has ended. Empty `standing` means the host is what it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What could not be undone yet; it is retried and reported until it is.
    pub standing: Vec<Failure>,
    /// What someone else changed meanwhile, reported and left alone.
    pub drift: Vec<Drift>,
    /// Processes of the session that were ended, at most [`MOST_LEFTOVERS`].
    pub leftovers: Vec<Leftover>,
    /// How many more there were.
    #[serde(default)]
    pub more: u64,
    /// What is not certain of them, one sentence each, at most [`MOST_UNSEEN`].
    #[serde(default)]
    pub unseen: Vec<String>,
    /// From the order to the last check, in microseconds.
    pub micros: u64,
}

impl Receipt {
    /// Cut to its bounds, whoever made it: it fits a frame.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        cut(&mut self.applied);
        self
    }
}

impl Ended {
    /// Cut to its bounds, whoever made it: it fits a frame.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.standing.truncate(MOST_TOLD);
        self.standing.iter_mut().for_each(|failure| shorten(&mut failure.why));
        self.drift.truncate(MOST_TOLD);
        self.drift.iter_mut().for_each(|drift| shorten(&mut drift.found));
        let over = self.leftovers.len().saturating_sub(MOST_LEFTOVERS);
        self.more = self.more.saturating_add(u64::try_from(over).unwrap_or(u64::MAX));
        self.leftovers.truncate(MOST_LEFTOVERS);
        for Leftover { comm, command, .. } in &mut self.leftovers {
            *comm = Note::<64>::new(&*comm).as_str().to_owned();
            *command = Note::<192>::new(&*command).as_str().to_owned();
        }
        self.unseen.truncate(MOST_UNSEEN);
        cut(&mut self.unseen);
        self
    }
}

impl Failure {
    /// Cut to its bounds, whoever made it: it fits a frame.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        shorten(&mut self.why);
        self
    }
}

fn cut(texts: &mut Vec<String>) {
    let over = texts.len().saturating_sub(MOST_TOLD);
    if over > 0 {
        texts.truncate(MOST_TOLD - 1);
        texts.push(format!("and {} more", over + 1));
    }
    texts.iter_mut().for_each(shorten);
}

fn shorten(text: &mut String) {
    *text = Told::new(&*text).as_str().to_owned();
}

/// A privilege that could not be applied, verified or undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind}: {why}")]
pub struct Failure {
    /// Which kind of privilege.
    pub kind: PrivilegeKind,
    /// One sentence: what is wrong and what to do.
    pub why: String,
}

/// A privilege that is on the host although the session it was for is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The session that held it last; not known of one that a crash left.
    pub session: Option<SessionId>,
    /// Whose it is.
    pub account: AccountName,
    /// Which kind.
    pub kind: PrivilegeKind,
    /// What it is, in a few words.
    pub what: Note,
    /// Why it could not be undone yet.
    pub why: Note,
}

/// Something the grant touched that is no longer as the grant left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Which kind of privilege.
    pub kind: PrivilegeKind,
    /// One sentence: what was found instead.
    pub found: String,
}

/// A process that outlived its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Its process id on the host.
    pub pid: u32,
    /// The name of its program (at most 15 bytes, as the kernel keeps it).
    pub comm: String,
    /// Its command line, as far as it was read; empty when it could not be.
    #[serde(default)]
    pub command: String,
    /// Whether it needed SIGKILL.
    pub killed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FromAgent, MAX_FRAME, encode};

    #[test]
    fn an_end_fits_a_frame_whatever_it_tells_and_counts_what_it_leaves_out() {
        // What takes most room in a frame: escaped for the log, and then for JSON.
        let worst = "\\\u{1b}\u{e0001}\"".repeat(2000);
        let leftover = Leftover { pid: u32::MAX, comm: worst.clone(), command: worst.clone(), killed: true };
        let ended = Ended {
            standing: vec![Failure { kind: PrivilegeKind::AccountCreate, why: worst.clone() }; 500],
            drift: vec![Drift { kind: PrivilegeKind::AccountCreate, found: worst.clone() }; 500],
            leftovers: vec![leftover; 30_000],
            unseen: vec![worst.clone(); 500],
            ..Ended::default()
        };
        let ended = ended.bounded();
        assert_eq!(ended.leftovers.len() as u64 + ended.more, 30_000);
        let session = SessionId::new(1, 1);
        let length = encode(&FromAgent::Ended { session, ended: ended.clone() }).unwrap().len();
        assert!(length < MAX_FRAME, "{length}");
        assert_eq!(ended.clone().bounded(), ended, "what is within its bounds stays as it is");
        let receipt = Receipt { applied: vec![worst; 500], micros: 1 }.bounded();
        assert!(receipt.applied.len() == MOST_TOLD && receipt.applied[63] == "and 437 more");
        assert!(encode(&FromAgent::Granted { session, receipt }).is_ok());
        let planned = FromAgent::Planned { question: 1, lines: vec!["x".repeat(9000); 900] };
        assert!(encode(&planned.bounded()).is_ok());
    }

    #[test]
    fn an_end_as_agents_told_it_before_still_reads() {
        let before = r#"{"standing":[],"drift":[],"leftovers":[],"micros":5}"#;
        let ended: Ended = serde_json::from_str(before).unwrap();
        assert_eq!((ended.more, ended.micros), (0, 5));
    }
}
