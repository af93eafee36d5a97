//! Where things are on the host. One value handed down, so that a test can put
//! every one of them into a directory of its own.

use std::path::{Path, PathBuf};

/// There when systemd runs the host (sd_booted(3)).
pub const SYSTEMD: &str = "/run/systemd/system";

/// The roots below which the agent reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/`: homes, mail, crontabs and temporary directories of accounts that are created.
    pub root: PathBuf,
    /// `/etc`: accounts, sshd's and sudo's configuration.
    pub etc: PathBuf,
    /// What survives a reboot: the journal, the agent's key and certificate.
    pub state: PathBuf,
    /// What does not: sudo rules, leases.
    pub run: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            root: "/".into(),
            etc: "/etc".into(),
            state: "/var/lib/tidegate-agent".into(),
            run: "/run/tidegate".into(),
            proc: "/proc".into(),
        }
    }
}

impl Paths {
    /// Drop-ins that sudo reads.
    #[must_use]
    pub fn sudoers_d(&self) -> PathBuf {
        self.run.join("sudoers.d")
    }

    /// The host administrator's own privileges, one directory each.
    #[must_use]
    pub fn custom(&self) -> PathBuf {
        self.etc.join("tidegate-agent/custom")
    }

    /// The last user id given to a created account.
    #[must_use]
    pub fn last_uid(&self) -> PathBuf {
        self.state.join("last-uid")
    }

    /// The journal's file.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal")
    }

    /// Locked by whoever may change the host: the agent, or the sweep.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// The leases of live grants, for the sweep.
    #[must_use]
    pub fn leases(&self) -> PathBuf {
        self.run.join("leases")
    }

    /// What may still come after a session's end, for the next agent and the sweep.
    #[must_use]
    pub fn lates(&self) -> PathBuf {
        self.run.join("late")
    }

    /// What an agent leaves to the one that takes its place.
    #[must_use]
    pub fn handover(&self) -> PathBuf {
        self.run.join("handover")
    }

    /// Which agent runs, and how its last reload went.
    #[must_use]
    pub fn running(&self) -> PathBuf {
        self.run.join("agent")
    }

    /// The agent's program before a reload, until the one after it runs.
    #[must_use]
    pub fn previous(&self) -> PathBuf {
        self.state.join("previous")
    }

    /// Takes room on the disk that an undo may need.
    #[must_use]
    pub fn reserve(&self) -> PathBuf {
        self.state.join("reserve")
    }

    /// The same, as agents of before named it.
    #[must_use]
    pub fn former_reserve(&self) -> PathBuf {
        self.state.join("room")
    }

    /// What hosts were like when their sessions began, for reports after a restart.
    #[must_use]
    pub fn residue(&self) -> PathBuf {
        self.run.join("residue")
    }

    /// How the link to the proxy stands.
    #[must_use]
    pub fn link(&self) -> PathBuf {
        self.run.join("link")
    }

    /// What the kernel's audit was before the witness changed it.
    #[must_use]
    pub fn audit_before(&self) -> PathBuf {
        self.state.join("audit_before")
    }

    /// What sshd trusts to sign users' certificates.
    #[must_use]
    pub fn user_ca(&self) -> PathBuf {
        self.state.join("user_ca.pub")
    }

    /// A file of the agent's identity.
    #[must_use]
    pub fn identity(&self, file: &str) -> PathBuf {
        self.state.join(file)
    }

    /// Whether the account files are the host's own, so that its name service knows them.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.etc == Path::new("/etc")
    }
}
