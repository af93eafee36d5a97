//! The closed lists of words that events use.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($($(#[$doc:meta])* $type:ident { $($(#[$inner:meta])* $variant:ident = $shown:literal,)+ })+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $type { $($(#[$inner])* $variant,)+ }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $shown,)+ })
            }
        }
    )+ };
}

words! {
    /// How a user proved who they are.
    LoginMethod {
        PublicKey = "public key",
        Certificate = "certificate",
        Code = "the code of a link",
    }
    /// What becomes of a remote access.
    RemoteAccessStep {
        Requested = "requested",
        /// By joining a group.
        Automatic = "given automatically",
        Approved = "approved",
        Rejected = "rejected",
        Cancelled = "cancelled",
        /// Before anybody decided on it.
        Expired = "expired",
        CodeSent = "code sent",
        CodeUsed = "code used",
        CodeRevoked = "code revoked",
        KeyEnrolled = "key enrolled",
        EndTold = "ends soon",
        /// With the end of the last one of a limited user.
        UserRemoved = "takes its limited user away",
    }
    /// What a request asks for.
    Asked {
        Session = "a session",
        ViewPassword = "to view a password",
    }
    /// What a secret in the vault is.
    SecretKind {
        Password = "password",
        PrivateKey = "private key",
    }
    /// What a channel carries (RFC 4254).
    ChannelKind {
        Shell = "shell",
        Exec = "exec",
        Sftp = "sftp",
        Scp = "scp",
        Subsystem = "subsystem",
        DirectTcpip = "direct-tcpip",
        Jump = "jump",
        Other = "other",
    }
    /// What was to be forwarded (RFC 4254 and OpenSSH's PROTOCOL).
    ForwardKind {
        DirectTcpip = "direct-tcpip",
        TcpipForward = "tcpip-forward",
        ForwardedTcpip = "forwarded-tcpip",
        StreamlocalForward = "streamlocal-forward",
        ForwardedStreamlocal = "forwarded-streamlocal",
        DirectStreamlocal = "direct-streamlocal",
        X11 = "x11",
        Agent = "auth-agent",
        Tun = "tun",
    }
    /// Who says that a command ran.
    CommandSource {
        /// The exec request itself.
        Exec = "exec request",
        /// What was typed at a prompt: a heuristic.
        Typed = "typed",
        /// The host's kernel, through the agent.
        Witness = "witness",
    }
    /// Which way a file went.
    Way {
        Upload = "upload",
        Download = "download",
    }
    /// What was done with a file, other than to carry it.
    FileChange {
        Rename = "rename",
        Remove = "remove",
        MakeDirectory = "make directory",
        RemoveDirectory = "remove directory",
        SymbolicLink = "symbolic link",
        HardLink = "hard link",
        SetAttributes = "set attributes",
        /// On the device, without a byte through the gate.
        Copy = "copy",
    }
    /// How it went.
    Outcome {
        Done = "done",
        Failed = "failed",
        /// The channel closed before its end, or before an answer.
        Cut = "cut off",
        /// The channel could not be followed to its end.
        Unknown = "not known",
    }
    /// What applying did.
    Verb {
        Created = "created",
        Changed = "changed",
    }
    /// Why a session ended.
    EndCause {
        /// The user's side closed it.
        User = "the user left",
        /// The device's side closed it.
        Device = "the device closed it",
        /// A monitor ended it.
        Killed = "it was killed",
        /// Policy no longer permits it.
        Policy = "policy no longer permits it",
        /// The window or period is over.
        Window = "its window is over",
        /// Its recording could not be written.
        Recording = "its recording failed",
        /// There is no room for what it writes.
        Full = "the disk fills up",
        /// The grant could not be applied, or its agent was lost.
        Grant = "its grant failed",
        /// The device could not be reached or was not the one it should be.
        Unreachable = "the device could not be reached",
        /// A side broke the protocol or a bound.
        Protocol = "a side broke the protocol",
        /// A command ran that its change does not expect.
        Unexpected = "an unexpected command ran",
        /// Nothing happened for too long.
        Idle = "it was idle for too long",
        /// The proxy stopped.
        Shutdown = "the proxy stopped",
    }
    /// What a recording is found to be.
    Verdict {
        Whole = "whole",
        Incomplete = "incomplete",
        Altered = "altered",
    }
}

impl ForwardKind {
    /// Whether it is one connection, which a recording has a number for once it is made; not a
    /// place where a device listens, nor what a program may ask for.
    pub(super) fn is_connection(self) -> bool {
        matches!(
            self,
            Self::DirectTcpip | Self::DirectStreamlocal | Self::ForwardedTcpip | Self::ForwardedStreamlocal
        )
    }
}
