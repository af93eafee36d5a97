//! Everything the log can say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::words::{
    Asked, ChannelKind, CommandSource, EndCause, ForwardKind, LoginMethod, RemoteAccessStep, SecretKind,
    Verb, Verdict,
};
use super::{ChangeStep, Changed, CommandText, Note, Notes, Transfer};
use crate::digest::Digest;
use crate::grant::{Ended, Privilege, Receipt};
use crate::id::{NotificationId, RemoteAccessId, RequestId, SessionId};
use crate::kind::Kind;
use crate::name::{
    AccessGroupName, ChangeId, CredentialName, DeviceName, ReasonName, UserGroupName, UserName,
};
use crate::panic::PanicScope;
use crate::residue::Residue;

/// What happened. Who did it stands beside it in the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    // The proxy.
    /// The proxy serves from here on.
    ProxyStarted { version: Note },
    /// The proxy stops; what was live has ended.
    ProxyStopped { why: Note },
    /// Someone walked the chain of this log.
    AuditVerified { records: u64, whole: bool },
    /// The log could not be written for so long that so many records of what had happened
    /// were dropped; they would stand before this one.
    AuditDropped { records: u64 },

    // Coming in.
    /// A user proved who they are. `key` is the key's or the CA's SHA-256 fingerprint.
    LoginAccepted { user: UserName, method: LoginMethod, key: Note },
    /// Nobody was let in. `user` is what the client wrote, `why` is the true reason.
    LoginRefused { user: Note, why: Note },
    /// A user came in who would be refused where they come from, if that were not only told.
    EntryReported { user: UserName, why: Note },
    /// A step of a user's remote access; `said` is what belongs to it.
    RemoteAccess {
        access: RemoteAccessId,
        user: UserName,
        group: UserGroupName,
        step: RemoteAccessStep,
        said: Note,
    },
    /// A GeoIP database is in use from here on.
    LocationsRead { file: Note },
    /// A new one could not be read; what was in use stays.
    LocationsRefused { why: Note },

    // A session.
    /// A user asks for a session; nothing is open yet.
    SessionRequested { session: SessionId, user: UserName, target: CredentialName },
    /// Policy said yes.
    SessionAdmitted {
        session: SessionId,
        user: UserName,
        target: CredentialName,
        group: AccessGroupName,
        request: Option<RequestId>,
        justification: Option<Note>,
        reason: Option<ReasonName>,
        change: Option<ChangeId>,
        emergency: bool,
        expires: Option<Timestamp>,
    },
    /// Policy, or what must hold before a session, said no; `why` is the true reason.
    SessionRefused { session: SessionId, user: UserName, target: CredentialName, why: Note },
    /// The device answered: the session is open and recorded.
    SessionStarted { session: SessionId, user: UserName, target: CredentialName, recording: Note },
    /// A monitor orders it to end.
    SessionKillOrdered { session: SessionId },
    /// A monitor sees its screen from here on.
    SessionWatched { session: SessionId },
    /// And no longer.
    SessionWatchEnded { session: SessionId },
    /// A monitor has what is typed held back.
    KeyboardLocked { session: SessionId },
    /// And let through again.
    KeyboardUnlocked { session: SessionId },
    /// It is over. Bytes are what the user's side sent and was sent.
    SessionEnded {
        session: SessionId,
        user: UserName,
        target: CredentialName,
        cause: EndCause,
        detail: Option<Note>,
        millis: u64,
        bytes_in: u64,
        bytes_out: u64,
    },

    // Its channels.
    /// A channel passed admission and is asked for on the device; the next two tell what became
    /// of it. The log calls it `channel-opened`, as ever.
    ChannelOpened { session: SessionId, channel: u32, kind: ChannelKind },
    /// A channel did not, or what was asked for on it did not begin.
    ChannelRefused { session: SessionId, kind: ChannelKind, why: Note },
    /// A channel closed; `exit` is its status or signal.
    ChannelClosed { session: SessionId, channel: u32, exit: Option<Note>, bytes_in: u64, bytes_out: u64 },
    /// A port, X11 or agent forward was let through and is asked for (`forward-opened`, as
    /// ever); `from` is who connected, as the side that opened it says.
    ForwardOpened {
        session: SessionId,
        kind: ForwardKind,
        to: Note,
        #[serde(default)]
        from: Option<Note>,
    },
    /// It is over, or nothing came of it. `channel` is its number in the recording, if it
    /// carried anything; bytes are what the user's side sent and was sent.
    ForwardClosed {
        session: SessionId,
        channel: Option<u32>,
        kind: ForwardKind,
        to: Note,
        why: Option<Note>,
        bytes_in: u64,
        bytes_out: u64,
    },
    /// It was not.
    ForwardRefused { session: Option<SessionId>, kind: ForwardKind, to: Note, why: Note },
    /// A command, and which source says so.
    CommandRun { session: SessionId, channel: u32, source: CommandSource, command: CommandText },
    /// A channel's list of typed lines is full: so many more were typed and are not in it.
    TypedNotListed { session: SessionId, channel: u32, more: u64 },
    /// The host's kernel told the last of what ran in a session. `link` ends the chain of
    /// the file that holds it.
    CommandsWitnessed { session: SessionId, target: CredentialName, execs: u64, lost: u64, link: Digest },
    /// A file went through.
    FileTransferred { session: SessionId, channel: u32, transfer: Transfer },
    /// A file or directory was changed by a request of its own.
    FileChanged { session: SessionId, channel: u32, changed: Changed },
    /// From here on a channel's transfers are not known: a side left the protocol or a bound.
    TransfersNotFollowed { session: SessionId, channel: u32, why: Note },
    /// A channel's list is full: so many more went through and are not in it.
    TransfersNotListed { session: SessionId, channel: u32, more: u64 },

    // Its grant.
    /// The agent is about to be told.
    GrantOrdered { session: SessionId, target: CredentialName, privileges: Notes },
    /// Applied and verified on the host.
    GrantApplied { session: SessionId, target: CredentialName, applied: Notes, micros: u64 },
    /// Not applied; nothing is left of it.
    GrantRefused { session: SessionId, target: CredentialName, why: Note },
    /// The agent is about to be told of a later end.
    GrantExtensionOrdered { session: SessionId, target: CredentialName, until: Timestamp },
    /// What was granted ends then, and its session too.
    GrantExtended { session: SessionId, target: CredentialName, until: Timestamp },
    /// It ends when it was to end before.
    GrantExtensionRefused { session: SessionId, target: CredentialName, until: Timestamp, why: Note },
    /// The host is what it was, apart from what someone else changed (`drift`).
    GrantEnded { session: SessionId, target: CredentialName, drift: Notes, leftovers: Notes, micros: u64 },
    /// Something could not be undone yet.
    GrantStanding {
        session: SessionId,
        target: CredentialName,
        standing: Notes,
        drift: Notes,
        leftovers: Notes,
    },
    /// What stood is gone, and not by an undo that the agent told of: a sweep's, or a reboot's.
    GrantCleared { session: SessionId, target: CredentialName, gone: Notes },
    /// What the session left behind on the host; `more` counts what is not listed.
    ResidueReported { session: SessionId, target: CredentialName, findings: Notes, more: u64, unseen: Notes },

    // Requests.
    /// A wish for access.
    RequestCreated {
        request: RequestId,
        user: UserName,
        targets: Notes,
        asked: Asked,
        justification: Option<Note>,
        reason: Option<ReasonName>,
        change: Option<ChangeId>,
        governance: Option<Note>,
        emergency: bool,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        /// Days, times and number of sessions.
        #[serde(default)]
        limits: Option<Note>,
        /// The request that it wants more time for.
        #[serde(default)]
        extends: Option<RequestId>,
    },
    /// One approval; `complete` when it was the last one needed, then the window is set.
    RequestApproved {
        request: RequestId,
        level: u8,
        comment: Option<Note>,
        complete: bool,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        /// Credentials that were asked for and are not approved.
        #[serde(default)]
        left_out: Option<Notes>,
        /// In whose place, where not in their own.
        #[serde(default)]
        stands_in_for: Option<UserName>,
    },
    /// More time was given to a request that was approved before; `by` asked for it.
    RequestExtended { request: RequestId, by: RequestId, until: Timestamp },
    /// One rejection; `complete` when it ended the request.
    RequestRejected {
        request: RequestId,
        level: u8,
        comment: Option<Note>,
        complete: bool,
        /// In whose place, where not in their own.
        #[serde(default)]
        stands_in_for: Option<UserName>,
    },
    /// An approver has looked at an emergency, which nobody had approved.
    RequestReviewed { request: RequestId, comment: Option<Note> },
    /// By the one who asked.
    RequestCancelled { request: RequestId, comment: Option<Note> },
    /// By an approver or an administrator, live sessions included.
    RequestRevoked { request: RequestId, comment: Option<Note> },
    /// Nobody decided in time, or its window is over.
    RequestExpired { request: RequestId },
    /// A governance code was taken for that, although who knows such codes could not be asked.
    GovernanceUnchecked { code: Note, taken_for: Note, why: Note },

    // Changes.
    /// A step of a change's workflow.
    ChangeStepped { change: ChangeId, did: ChangeStep },
    /// A command ran that the session's change does not expect.
    CommandUnexpected { session: SessionId, change: ChangeId, source: CommandSource, command: CommandText },
    /// What ran in a session was held against its change.
    SessionCompared { session: SessionId, change: ChangeId, matched: u64, unexpected: u64, missing: u64 },

    // Resources and the console.
    /// A resource was written.
    ResourceApplied {
        #[serde(with = "crate::kind::logged")]
        kind: Kind,
        name: Note,
        verb: Verb,
    },
    /// A resource was removed.
    ResourceDeleted {
        #[serde(with = "crate::kind::logged")]
        kind: Kind,
        name: Note,
    },
    /// An owner confirmed who is in an access group; it is due again then.
    GroupConfirmed {
        group: AccessGroupName,
        users: Notes,
        due: Timestamp,
        /// In which owner's place, where not in their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stands_in_for: Option<UserName>,
    },
    /// The owners of an access group were told that its users are to be confirmed.
    GroupReviewDue { group: AccessGroupName, lapses: Timestamp },
    /// An administrator stopped something at once.
    PanicBegan { scope: PanicScope, justification: Note },
    /// An administrator lets it begin again.
    PanicLifted { scope: PanicScope },
    /// A console command is about to run; secrets are left out by the one who writes it.
    ConsoleCommand { command: CommandText },
    /// A console command was refused, for lack of a role for example.
    ConsoleRefused { command: CommandText, why: Note },

    // The vault.
    /// A credential's secret was put into the vault, the first or another.
    SecretSet { credential: CredentialName, kind: SecretKind },
    /// It was taken out.
    SecretForgotten { credential: CredentialName },
    /// A user is about to be shown a credential's password.
    PasswordViewed {
        user: UserName,
        target: CredentialName,
        group: AccessGroupName,
        request: Option<RequestId>,
        justification: Option<Note>,
        reason: Option<ReasonName>,
        emergency: bool,
    },
    /// The data keys of so many secrets are under another master key; `key` is its id.
    SecretsRewrapped { key: Note, secrets: u64 },

    // What people are told.
    /// A notice could not be sent, and is given up.
    NotificationFailed {
        notification: NotificationId,
        notice: Note,
        recipient: Note,
        channel: Note,
        why: Note,
    },
    /// Somebody has one tried again.
    NotificationRetried { notification: NotificationId, notice: Note, recipient: Note, channel: Note },
    /// Somebody looks whether notices reach a user.
    NotificationTested { user: UserName, channels: Notes },

    // Agents.
    /// A one-time token was made.
    TokenMinted { device: DeviceName, expires: Timestamp },
    /// A token was presented that is unknown, used or too old.
    TokenRefused { why: Note },
    /// Of a source that has not proved who it is, more was refused since then than has a
    /// record of its own; from several sources where no origin stands beside it.
    RefusalsSummedUp { since: Timestamp, refused: Notes },
    /// A token was exchanged for a certificate; `certificate` is its BLAKE3.
    AgentEnrolled { device: DeviceName, certificate: Digest },
    /// A certificate was renewed.
    AgentRenewed { device: DeviceName, certificate: Digest },
    /// A link is up.
    AgentConnected { device: DeviceName, version: Note },
    /// A link is down.
    AgentLost { device: DeviceName, why: Note },
    /// A link was refused. `device` is what the peer's certificate says, where it has one.
    AgentRefused { device: Option<Note>, why: Note },
    /// An administrator took a device's agent out.
    AgentRevoked { device: DeviceName },
    /// The agent vouched for other host keys than before; SHA-256 fingerprints.
    HostKeysChanged { device: DeviceName, before: Notes, now: Notes },
    /// The agent vouches for host keys of other devices, which nobody trusts for its own:
    /// SHA-256 fingerprints, and whose they are.
    HostKeysRefused { device: DeviceName, keys: Notes },
    /// The agent had more to tell since then than is taken from one in an hour.
    AgentSummedUp { device: DeviceName, since: Timestamp, more: Notes },

    // Recordings.
    /// Closed, signed and read back. `link` ends its chain.
    RecordingSealed { session: SessionId, bytes: u64, frames: u64, link: Digest },
    /// Could not be written or sealed: the session ended with it.
    RecordingFailed { session: SessionId, why: Note },
    /// Found unsealed at start: an earlier run was ended by force.
    RecordingIncomplete { file: Note },
    /// The disk of a directory is near the floor below which sessions end; bytes.
    DiskLow { place: Note, free: u64, floor: u64 },
    /// Somebody watched it.
    RecordingPlayed { session: SessionId },
    /// Somebody checked it.
    RecordingVerified { session: SessionId, verdict: Verdict },
    /// Somebody checked the file of what the kernel saw.
    CommandsVerified { session: SessionId, verdict: Verdict },
}

impl Event {
    /// The order for a grant.
    pub fn grant_ordered(session: SessionId, target: CredentialName, privileges: &[Privilege]) -> Self {
        Self::GrantOrdered { session, target, privileges: Notes::of(privileges) }
    }

    /// What the agent says it applied.
    pub fn grant_applied(session: SessionId, target: CredentialName, receipt: &Receipt) -> Self {
        Self::GrantApplied { session, target, applied: Notes::of(&receipt.applied), micros: receipt.micros }
    }

    /// What the agent says of what a session left behind.
    pub fn residue_reported(session: SessionId, target: CredentialName, residue: &Residue) -> Self {
        let (findings, unseen) = (Notes::of(&residue.findings), Notes::of(&residue.unseen));
        Self::ResidueReported { session, target, findings, more: residue.more, unseen }
    }

    /// What the agent says of a grant's end: ended, or standing.
    pub fn grant_over(session: SessionId, target: CredentialName, ended: &Ended) -> Self {
        let drift = Notes::of(ended.drift.iter().map(|drift| format!("{}: {}", drift.kind, drift.found)));
        let unseen = ended.unseen.iter().map(|unseen| format!("not certain: {unseen}"));
        let listed = ended.leftovers.iter().map(|process| {
            let how = if process.killed { "killed" } else { "terminated" };
            let what = if process.command.is_empty() { &process.comm } else { &process.command };
            format!("{} {what} ({how})", process.pid)
        });
        let leftovers = Notes::of_some(unseen.chain(listed), ended.more);
        if ended.standing.is_empty() {
            Self::GrantEnded { session, target, drift, leftovers, micros: ended.micros }
        } else {
            Self::GrantStanding { session, target, standing: Notes::of(&ended.standing), drift, leftovers }
        }
    }
}
