//! Why a grant is not there.

use tidegate_common::grant::{Failure, PrivilegeKind};
use tidegate_common::name::DeviceName;

/// Why a grant is not there. The sentences are for the user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GrantError {
    /// No link.
    #[error(
        "the agent on {0} is away, so nothing can be granted there; ask its administrator to look at tidegate-agent.service"
    )]
    Away(DeviceName),
    /// The agent is being replaced, and its successor did not come in time.
    #[error("the agent on {0} is being replaced and not back yet; try again in a moment")]
    Replaced(DeviceName),
    /// The agent could not apply or verify it.
    #[error("{device} could not grant the privileges ({failure}); nothing was left behind")]
    Refused {
        /// Where.
        device: DeviceName,
        /// What the agent said.
        failure: Failure,
    },
    /// The agent does not answer.
    #[error("the agent on {0} does not answer; try again, or ask its administrator")]
    Silent(DeviceName),
    /// The agent can't do that kind.
    #[error(
        "the agent on {device} can't grant `{kind}`: {}",
        match .kind {
            PrivilegeKind::Sudo => "sudo is not installed there; install it, and restart tidegate-agent",
            _ => "it is too old; update it",
        }
    )]
    Kind {
        /// Where.
        device: DeviceName,
        /// Which kind.
        kind: PrivilegeKind,
    },
}
