//! What sshd has to be told for the gate's certificates to count on this host.

use tidegate_common::name::DeviceName;

use super::Trust;
use crate::identity::Identity;
use crate::paths::Paths;

/// The drop-in, below the root.
pub const DROP_IN: &str = "/etc/ssh/sshd_config.d/tidegate.conf";

/// The command that tells sshd whom a certificate must name: a program of every host, so
/// that none of ours runs at each log-in, and none of it as root.
#[must_use]
pub fn principals(device: &DeviceName) -> String {
    format!("{ECHO}{device}")
}

/// sshd writes the account for `%u` (sshd_config(5), TOKENS).
const ECHO: &str = "/bin/echo %u@";

/// Whether a command is one that this program wrote, for whichever device.
#[must_use]
pub fn asks_by_device(command: &str) -> bool {
    command.strip_prefix(ECHO).is_some_and(|device| device.parse::<DeviceName>().is_ok())
}

/// Whether the drop-in that is there has sshd take certificates only for the device that
/// this host is enrolled as.
#[must_use]
pub fn is_bound(paths: &Paths) -> bool {
    let Some(device) = Identity::load(paths).ok().and_then(|identity| identity.device()) else {
        return false;
    };
    let line = format!("AuthorizedPrincipalsCommand {}", principals(&device));
    let text = std::fs::read(paths.etc.join(DROP_IN.trim_start_matches("/etc/"))).unwrap_or_default();
    text.split(|byte| *byte == b'\n').any(|there| there == line.as_bytes())
}

/// What sshd has to be told for the proxy's certificates to count on this host.
#[must_use]
pub fn trust(paths: &Paths) -> Trust {
    let device = Identity::load(paths).ok().and_then(|identity| identity.device());
    Trust {
        user_ca: paths.user_ca().to_string_lossy().into_owned(),
        principals: device.as_ref().map(principals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_command_of_our_own_is_one_that_asks_by_device() {
        assert!(asks_by_device("/bin/echo %u@db01"));
        for other in ["none", "/bin/echo %u", "/bin/echo %u@", "/bin/echo %u@a b", "/bin/cat %u@db01"] {
            assert!(!asks_by_device(other), "{other}");
        }
    }
}
