//! What the host's sshd can do, and what it is told already (`sshd -T`).

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use tidegate_common::name::DeviceName;

use super::SetupError;
use crate::elevate::program::run;
use crate::paths::Paths;
use crate::shell::identity::Identity;
use crate::text::read_words;

const DEADLINE: Duration = Duration::from_secs(10);

/// The drop-in, below the root.
pub const DROP_IN: &str = "/etc/ssh/sshd_config.d/tidegate.conf";

/// Facts about sshd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sshd {
    /// The proxy's addresses, where this sshd (9.8 or later) slows sources down that
    /// open many connections and can be told whom to spare.
    pub spare: Vec<IpAddr>,
    /// The unit that runs it, when it runs.
    pub unit: Option<&'static str>,
}

impl Sshd {
    /// Asks the host.
    ///
    /// # Errors
    /// When sshd is missing, or is told things that the agent's drop-in would undo.
    pub fn of_host(proxy: &str) -> Result<Self, SetupError> {
        let ask = || {
            run("sshd", &["-T"], DEADLINE)
                .map_err(|error| SetupError::Host(format!("{error}; install openssh-server")))
        };
        let mut told = ask()?;
        if told.text.contains("Missing privilege separation directory") {
            // sshd has not run since the boot; its unit would make this directory.
            let _ = std::fs::create_dir("/run/sshd");
            told = ask()?;
        }
        if !told.status.success() {
            return Err(SetupError::Host(format!("sshd's configuration is wrong as it is: {}", told.line())));
        }
        check(&told.text, &Paths::default())?;
        let path = PathBuf::from("/etc/ssh/sshd_config");
        let config = read_words(&path).map_err(|source| SetupError::Unread { path, source })?;
        if !includes(&config) {
            return Err(SetupError::Host(
                "/etc/ssh/sshd_config does not read its drop-ins; add `Include /etc/ssh/sshd_config.d/*.conf` \
                 as its first line"
                    .to_owned(),
            ));
        }
        let penalties = run("sshd", &["-T", "-o", "PerSourcePenaltyExemptList=127.0.0.1"], DEADLINE)?;
        let addresses = proxy.to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        let spare = addresses.iter().map(std::net::SocketAddr::ip).filter(|_| penalties.status.success());
        let running = |unit: &&str| {
            run("systemctl", &["is-active", "--quiet", unit], DEADLINE)
                .is_ok_and(|answer| answer.status.success())
        };
        Ok(Self { spare: spare.collect(), unit: ["ssh.service", "sshd.service"].into_iter().find(running) })
    }

    /// The drop-in's text, on the host that is this device.
    #[must_use]
    pub fn drop_in(&self, device: &DeviceName) -> String {
        let user_ca = Paths::default().user_ca();
        let mut text = format!(
            "# Written by `tidegate-agent install`, removed by `tidegate-agent uninstall`.\n\
             # Certificates of Tidegate's user CA log in to the account that they name, on the\n\
             # device that they name: one that was made for another device is not taken here.\n\
             TrustedUserCAKeys {}\n\
             AuthorizedPrincipalsFile none\n\
             AuthorizedPrincipalsCommand {}\n\
             AuthorizedPrincipalsCommandUser nobody\n\
             # By this the agent finds a session's processes.\n\
             AcceptEnv {}\n",
            user_ca.display(),
            principals(device),
            tidegate_common::wire::SESSION_VARIABLE
        );
        if !self.spare.is_empty() {
            let list: Vec<String> = self.spare.iter().map(ToString::to_string).collect();
            text.push_str(
                "# All sessions come from the proxy: it is not slowed down for what its users do.\n",
            );
            text.push_str(&format!("PerSourcePenaltyExemptList {}\n", list.join(",")));
        }
        text
    }
}

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

/// sshd takes the first value it reads: ours would silence the administrator's.
fn check(told: &str, paths: &Paths) -> Result<(), SetupError> {
    let value = |key: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.unwrap_or("none").trim().to_owned()
    };
    let user_ca = value("trustedusercakeys");
    if user_ca != "none" && user_ca != paths.user_ca().to_string_lossy() {
        return Err(SetupError::Host(format!(
            "sshd trusts the user CAs in {user_ca} and can read only one such file; remove TrustedUserCAKeys from \
             its configuration first"
        )));
    }
    let principals = value("authorizedprincipalsfile");
    if principals != "none" {
        return Err(SetupError::Host(format!(
            "sshd reads principals from {principals}, which Tidegate's certificates do not use; remove \
             AuthorizedPrincipalsFile from its configuration first"
        )));
    }
    let command = value("authorizedprincipalscommand");
    if command != "none" && !asks_by_device(&command) {
        return Err(SetupError::Host(format!(
            "sshd asks `{command}` for principals and can ask only one command; remove AuthorizedPrincipalsCommand \
             from its configuration first"
        )));
    }
    if value("pubkeyauthentication") != "yes" {
        return Err(SetupError::Host("sshd takes no keys; set PubkeyAuthentication yes".to_owned()));
    }
    Ok(())
}

fn includes(config: &str) -> bool {
    config.lines().map(str::trim).any(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|word| word.eq_ignore_ascii_case("include"))
            && words.any(|word| word.contains("sshd_config.d/"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str =
        "port 22\npubkeyauthentication yes\ntrustedusercakeys none\nauthorizedprincipalsfile none\n";

    #[test]
    fn an_sshd_that_trusts_another_ca_is_left_alone_and_a_plain_one_is_not() {
        assert!(check(TOLD, &Paths::default()).is_ok());
        let ours = TOLD.replace("keys none", "keys /var/lib/tidegate-agent/user_ca.pub");
        assert!(check(&ours, &Paths::default()).is_ok(), "a second run");
        let theirs = TOLD.replace("keys none", "keys /etc/ssh/ca.pub");
        let error = check(&theirs, &Paths::default()).unwrap_err().to_string();
        assert!(error.contains("/etc/ssh/ca.pub"), "{error}");
        assert!(check(&TOLD.replace("file none", "file /etc/p/%u"), &Paths::default()).is_err());
        assert!(check(&TOLD.replace(" yes", " no"), &Paths::default()).is_err());
        let asks = |command: &str| format!("{TOLD}authorizedprincipalscommand {command}\n");
        for ours in ["none", "/bin/echo %u@db01", "/bin/echo %u@another"] {
            assert!(check(&asks(ours), &Paths::default()).is_ok(), "{ours}");
        }
        let error = check(&asks("/usr/bin/sss %u"), &Paths::default()).unwrap_err().to_string();
        assert!(error.contains("`/usr/bin/sss %u`"), "{error}");
    }

    #[test]
    fn only_an_include_of_the_drop_ins_counts() {
        assert!(includes("# x\nInclude /etc/ssh/sshd_config.d/*.conf\n"));
        assert!(!includes("#Include /etc/ssh/sshd_config.d/*.conf\nInclude /etc/other/*\n"));
    }

    #[test]
    fn only_an_sshd_that_knows_penalties_is_told_of_them() {
        let old = Sshd::default();
        let db01 = "db01".parse().unwrap();
        assert!(!old.drop_in(&db01).contains("PerSource"));
        let new = Sshd { spare: vec!["192.0.2.1".parse().unwrap()], unit: None };
        assert!(new.drop_in(&db01).contains("PerSourcePenaltyExemptList 192.0.2.1\n"));
    }

    #[test]
    fn sshd_asks_for_the_account_of_this_device() {
        let text = Sshd::default().drop_in(&"db01".parse().unwrap());
        assert!(text.contains("\nAuthorizedPrincipalsCommand /bin/echo %u@db01\n"), "{text}");
        assert!(text.contains("\nAuthorizedPrincipalsCommandUser nobody\n"), "{text}");
        for line in text.lines() {
            assert!(line.len() < 100 && !line.starts_with(' '), "{line}");
        }
        assert!(asks_by_device("/bin/echo %u@db01"));
        for other in ["none", "/bin/echo %u", "/bin/echo %u@", "/bin/echo %u@a b", "/bin/cat %u@db01"] {
            assert!(!asks_by_device(other), "{other}");
        }
    }
}
