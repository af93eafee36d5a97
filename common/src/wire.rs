//! What proxy and agent say to each other: one JSON document a frame, each
//! frame behind its length as a big-endian `u32`, over mutually authenticated
//! TLS 1.3. The agent dials; its certificate says which device it is.
//!
//! Bounds: a frame holds at most [`MAX_FRAME`] bytes. Each side states the versions that it
//! speaks, and a link speaks the newest that both do ([`common_version`]), because a fleet is
//! never upgraded in one moment. A field that is not known is passed over, but not in a
//! [`GrantOrder`], which means all that it says; an unknown message ends the link.

mod frame;
mod witness;

pub use frame::{Decoder, FrameError, encode};
pub use witness::{Exec, MOST_ARG_BYTES, MOST_ARGS, MOST_EXECS, Sight, Witnessed};

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::grant::{Ended, Failure, Privilege, PrivilegeKind, Receipt, Standing};
use crate::id::SessionId;
use crate::name::{AccountName, DeviceName, GateName};
use crate::note::Note;
use crate::residue::Residue;
use crate::secret::Secret;

/// The newest version of the protocol that is spoken here.
pub const VERSION: u16 = 3;

/// The oldest one.
pub const OLDEST: u16 = 1;

/// From this version on an order names its gate ([`GrantOrder::gate`]).
pub const NAMES_GATES: u16 = 2;

/// From this version on a grant can be given a later end ([`FromProxy::Extend`]).
pub const EXTENDS: u16 = 3;

/// The version that a link speaks: the newest one that both sides do. None where one side
/// is too old for the other.
#[must_use]
pub fn common_version(ours: &RangeInclusive<u16>, theirs: &RangeInclusive<u16>) -> Option<u16> {
    let (oldest, newest) = (ours.start().max(theirs.start()), ours.end().min(theirs.end()));
    (oldest <= newest).then_some(*newest)
}

/// The longest frame, in bytes.
pub const MAX_FRAME: usize = 256 * 1024;

/// The most privileges that one message tells of as standing.
pub const MOST_STANDING: usize = 128;

/// How far the clocks of proxy and device may be apart, in seconds: a session's
/// certificate is valid for so long before and after it was made.
pub const MOST_SKEW_SECONDS: u64 = 60;

/// The name the proxy's link certificate carries, whatever its address.
pub const SERVER_NAME: &str = "tidegate-proxy";

/// From the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromAgent {
    /// First on a link without a client certificate: asks for one.
    Enrol(Enrol),
    /// First on a link with one.
    Hello(Hello),
    /// The grant is applied, verified and durable in the journal.
    Granted { session: SessionId, receipt: Receipt },
    /// Nothing of the grant is left on the host, and it was never (fully) there.
    Refused { session: SessionId, failure: Failure },
    /// The order was not taken, because the agent is about to be replaced: it may be given
    /// again on the next link.
    Later { session: SessionId },
    /// The last word of an agent that is replaced in place. What it has not answered on
    /// this link it has not taken; the next link is its successor's.
    Replaced,
    /// Answers [`FromProxy::Extend`]: all of the grant ends then, on the host and in the journal.
    Extended { session: SessionId, until: jiff::Timestamp },
    /// Answers it as well: the grant ends when it was to end before, or not all of it ends later; `why` is
    /// one sentence.
    NotExtended { session: SessionId, until: jiff::Timestamp, why: Note },
    /// The grant has ended, for whatever reason; sent again while something stands.
    Ended { session: SessionId, ended: Ended },
    /// All that stands now (at most [`MOST_STANDING`]), whenever it is another than was told last.
    Standing { standing: Vec<Standing> },
    /// What the session left behind, told some time after its end.
    Residue { session: SessionId, residue: Residue },
    /// Asks for a new certificate before the old one expires.
    Renew { csr: Csr },
    /// What the host's kernel saw run in a session; the proxy answers [`FromProxy::Noted`].
    Witnessed(Witnessed),
    /// Answers [`FromProxy::Lease`], so that each side knows that the other lives.
    Alive,
    /// Answers [`FromProxy::Plan`]: one sentence for each thing that would change.
    Planned { question: u64, lines: Vec<String> },
    /// Answers [`FromProxy::Explain`]: one sentence for each thing that keeps the account out; and
    /// [`FromProxy::Remarks`]: one for each thing that is done otherwise. None where the host knows of
    /// none.
    Explained { question: u64, lines: Vec<String> },
}

impl FromAgent {
    /// Cut to its bounds, so that it fits a frame; what has its bounds by itself stays.
    #[must_use]
    pub fn bounded(self) -> Self {
        match self {
            Self::Granted { session, receipt } => Self::Granted { session, receipt: receipt.bounded() },
            Self::Refused { session, failure } => Self::Refused { session, failure: failure.bounded() },
            Self::Ended { session, ended } => Self::Ended { session, ended: ended.bounded() },
            Self::Planned { question, lines } => {
                let lines = Receipt { applied: lines, micros: 0 }.bounded().applied;
                Self::Planned { question, lines }
            }
            Self::Explained { question, lines } => {
                let lines = Receipt { applied: lines, micros: 0 }.bounded().applied;
                Self::Explained { question, lines }
            }
            other => other,
        }
    }
}

/// From the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromProxy {
    /// Answers [`FromAgent::Enrol`] and [`FromAgent::Renew`].
    Enrolled(Certificate),
    /// Answers [`FromAgent::Hello`].
    Welcome(Welcome),
    /// Apply and verify these privileges for the account, or leave nothing behind.
    Grant(GrantOrder),
    /// What would these privileges change? Nothing is. Asked only of agents that can
    /// grant [`PrivilegeKind::Custom`]; those before them do not know the question.
    Plan { question: u64, account: AccountName, privileges: Vec<Privilege> },
    /// sshd refused to let the proxy log in to the account, on a connection of these ends by
    /// the proxy's own addresses: why? Asked only of agents that say [`Hello::explains`].
    Explain { question: u64, account: AccountName, from: SocketAddr, to: SocketAddr },
    /// What does sshd otherwise than a session asks, in a log-in to the account on a connection of these
    /// ends? Asked only of agents that say [`Hello::remarks`].
    Remarks { question: u64, account: AccountName, from: SocketAddr, to: SocketAddr },
    /// A connection of the session is about to log in on the host; it comes `from` there.
    Dialled { session: SessionId, from: SocketAddr },
    /// The session's login has reached the host: its processes can be found now
    /// (their environment carries [`SESSION_VARIABLE`]).
    Attached { session: SessionId },
    /// The grant, which is this gate's, shall end later than it was to: then. One that is not
    /// applied, that ends, or that has a later end than this or none is answered with a sentence and
    /// stays as it is. One that has this end is answered as given, once the account's day is moved where
    /// it was not yet. Of several ends that wait while another is given, the last that came counts, and
    /// the others are answered with a sentence. Sent on links of version [`EXTENDS`] on; given again
    /// while there is no answer.
    Extend { session: SessionId, gate: GateName, until: jiff::Timestamp },
    /// End the grant and the session's processes now.
    Revoke { session: SessionId },
    /// Every grant of this gate that shall live on, for another `lease`. One of the same gate that is
    /// not listed ends at once; what another gate ordered is not touched. Sent after `Welcome` and then
    /// every third of a lease. Gates of version 1 have no name.
    Lease {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<GateName>,
        live: Vec<SessionId>,
    },
    /// Answers [`FromAgent::Witnessed`]: it is on the proxy's disk, the agent may forget it.
    Noted { number: u64 },
    /// Answers [`FromAgent::Residue`]: it is in the proxy's store, the agent may forget it.
    Reported { session: SessionId },
    /// The link ends; `why` is a sentence for the agent's log (never a secret).
    Goodbye { why: String },
}

/// The environment variable that the proxy sets on every channel it opens on a
/// device, so that the agent can find the session's processes. sshd's `AcceptEnv`
/// must list it; `tidegate-agent install` writes that.
pub const SESSION_VARIABLE: &str = "TIDEGATE_SESSION";

/// A one-time token in exchange for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// The newest version of the protocol that the agent speaks.
    pub protocol: u16,
    /// The oldest one, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u16>,
    /// The secret part of the token.
    pub token: Secret,
    /// The request for a certificate; its subject is ignored.
    pub csr: Csr,
}

/// A PKCS#10 certificate signing request (RFC 2986) in PEM (RFC 7468).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Csr(pub String);

/// An X.509 certificate for the agent's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The device it speaks for.
    pub device: DeviceName,
    /// The certificate, PEM.
    pub certificate: String,
    /// The CA's certificate, PEM; the agent pins it.
    pub ca: String,
}

/// Who the agent is and what it finds on its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The newest version of the protocol that the agent speaks.
    pub protocol: u16,
    /// The oldest one, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u16>,
    /// The agent's version.
    pub version: String,
    /// sshd's public host keys, one OpenSSH line each (sshd(8)); at most 16.
    pub host_keys: Vec<String>,
    /// What it can grant.
    pub kinds: Vec<PrivilegeKind>,
    /// Grants of this proxy that are alive in its journal.
    pub live: Vec<SessionId>,
    /// What it could not undo.
    pub standing: Vec<Standing>,
    /// Whether the kernel tells what runs.
    #[serde(default)]
    pub witness: Sight,
    /// Whether its sshd takes a certificate only if it names [`device_principal`]. Said only
    /// where it is so: proxies before this know no such field and refuse the link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bound: bool,
    /// Whether it answers [`FromProxy::Explain`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explains: bool,
    /// Whether it answers [`FromProxy::Remarks`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remarks: bool,
}

impl Hello {
    /// Of an agent of this version that can do nothing and knows nothing.
    #[must_use]
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            protocol: VERSION,
            oldest: oldest(),
            version: version.into(),
            host_keys: Vec::new(),
            kinds: Vec::new(),
            live: Vec::new(),
            standing: Vec::new(),
            witness: Sight::default(),
            bound: false,
            explains: false,
            remarks: false,
        }
    }
}

/// The oldest version that is spoken here, where it is another than [`VERSION`].
#[must_use]
pub const fn oldest() -> Option<u16> {
    if OLDEST == VERSION { None } else { Some(OLDEST) }
}

/// What a session's certificate names, so that no other device takes it.
#[must_use]
pub fn device_principal(account: &AccountName, device: &DeviceName) -> String {
    format!("{account}@{device}")
}

/// What the agent needs to know of the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the protocol that the link speaks.
    pub protocol: u16,
    /// How long a grant lives without word from the proxy, in milliseconds.
    pub lease_millis: u64,
    /// Public keys of the user CA, one OpenSSH line each, for sshd's `TrustedUserCAKeys`.
    pub user_ca: Vec<String>,
    /// What the proxy's clock says.
    pub now: jiff::Timestamp,
}

/// One grant for one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantOrder {
    /// The session it serves; names the grant.
    pub session: SessionId,
    /// The account on this host.
    pub account: AccountName,
    /// What to grant; may be empty (then only the session's processes are looked after).
    pub privileges: Vec<Privilege>,
    /// When it ends at the latest, whatever the lease says.
    pub expires: Option<jiff::Timestamp>,
    /// Whose word it lives by; said on links of version [`NAMES_GATES`] on. One that names none
    /// lives by any gate's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello as agents before [`Hello::bound`] say it.
    const BEFORE: &str = r#"{"type":"hello","protocol":1,"version":"0.1.0","host_keys":[],"kinds":[],"live":[],
        "standing":[],"witness":{"witness":"sees"}}"#;

    #[test]
    fn a_hello_of_before_is_understood_and_one_that_says_nothing_new_is_as_before() {
        let FromAgent::Hello(hello) = serde_json::from_str(BEFORE).unwrap() else { panic!("no hello") };
        assert!(!hello.bound && !hello.explains && !hello.remarks);
        let said = serde_json::to_value(FromAgent::Hello(hello)).unwrap();
        assert_eq!(said, serde_json::from_str::<serde_json::Value>(BEFORE).unwrap());
    }

    #[test]
    fn what_a_newer_side_says_beside_is_passed_over_but_not_in_a_grant() {
        let newer = BEFORE.replace("\"live\"", "\"tea\":true,\"live\"");
        assert!(matches!(serde_json::from_str(&newer), Ok(FromAgent::Hello(_))));
        let welcome = r#"{"type":"welcome","protocol":1,"lease_millis":1,"user_ca":[],"now":"2026-01-01T00:00:00Z",
            "tea":true}"#;
        assert!(matches!(serde_json::from_str(welcome), Ok(FromProxy::Welcome(_))));
        let revoke = r#"{"type":"revoke","session":"00000000000000000000000000","tea":true}"#;
        assert!(matches!(serde_json::from_str(revoke), Ok(FromProxy::Revoke { .. })));
        let grant = r#"{"type":"grant","session":"00000000000000000000000000","account":"ops","privileges":[],
            "expires":null}"#;
        assert!(matches!(serde_json::from_str(grant), Ok(FromProxy::Grant(_))));
        let named = grant.replace("null", "null,\"gate\":\"gate1\"");
        assert!(matches!(
            serde_json::from_str(&named),
            Ok(FromProxy::Grant(GrantOrder { gate: Some(_), .. }))
        ));
        let more = grant.replace("null", "null,\"tea\":true");
        assert!(serde_json::from_str::<FromProxy>(&more).is_err(), "a grant means all that it says");
    }

    #[test]
    fn the_order_for_a_later_end_and_its_answers_read_as_they_are_written() {
        let (session, until) = (SessionId::new(0, 0), jiff::Timestamp::UNIX_EPOCH);
        let order = FromProxy::Extend { session, gate: "gate1".parse().unwrap(), until };
        let text = r#"{"type":"extend","session":"00000000000000000000000000","gate":"gate1",
            "until":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(serde_json::from_str::<FromProxy>(text).unwrap(), order);
        for answer in [
            FromAgent::Extended { session, until },
            FromAgent::NotExtended { session, until, why: Note::new("it ends") },
        ] {
            let text = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<FromAgent>(&text).unwrap(), answer);
        }
    }

    #[test]
    fn neighbouring_versions_speak_the_newest_that_both_know_and_strangers_nothing() {
        assert_eq!(common_version(&(1..=2), &(1..=1)), Some(1));
        assert_eq!(common_version(&(1..=1), &(1..=2)), Some(1));
        assert_eq!(common_version(&(1..=3), &(2..=4)), Some(3));
        assert_eq!(common_version(&(3..=4), &(1..=2)), None);
        assert_eq!(common_version(&(1..=2), &(3..=4)), None);
        // One that states nonsense speaks with nobody.
        assert_eq!(common_version(&(1..=2), &RangeInclusive::new(9, 0)), None);
    }
}
