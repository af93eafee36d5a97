//! What the host's sshd can do, and what it is told already (`sshd -T`).

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;

use tidegate_common::name::DeviceName;

use super::{SetupError, says};
use crate::paths::Paths;
use crate::sshd::{self, Line, Lines, Settings, asks_by_device, place, principals, trust};
use crate::text::read_words;

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
        let told = sshd::ask(&["-T"])
            .map_err(|error| SetupError::Host(format!("{error}; install openssh-server")))?;
        if !told.status.success() {
            return Err(SetupError::Host(format!("sshd's configuration is wrong as it is: {}", told.line())));
        }
        let path = PathBuf::from("/etc/ssh/sshd_config");
        let _ = read_words(&path).map_err(|source| SetupError::Unread { path, source })?;
        let (settings, lines) = (Settings::new(told.text), Lines::read(&Paths::default()));
        check(&settings, &lines, &Paths::default())?;
        includes(&lines)?;
        let penalties = sshd::ask(&["-T", "-o", "PerSourcePenaltyExemptList=127.0.0.1"])?;
        let addresses = proxy.to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        let spare = addresses.iter().map(std::net::SocketAddr::ip).filter(|_| penalties.status.success());
        let running = |unit: &&str| says("is-active", unit);
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

/// Looks that what was written is what sshd goes by.
///
/// # Errors
/// The setting that stands in the way, with its line.
pub fn in_force(paths: &Paths) -> Result<(), SetupError> {
    let settings = Settings::new(sshd::ask(&["-T"])?.text);
    match sshd::not_in_force(&settings, &Lines::read(paths), &trust(paths)) {
        Some(why) => Err(SetupError::Host(why)),
        None => Ok(()),
    }
}

/// What sshd is told that may be meant so, and that sessions will meet.
///
/// # Errors
/// When sshd does not answer.
pub fn remarks(paths: &Paths) -> Result<Vec<String>, SetupError> {
    let settings = Settings::new(sshd::ask(&["-T"])?.text);
    let lines = Lines::read(paths);
    let lists = sshd::lists(&settings, &lines).into_iter();
    let lists = lists.map(|list| {
        format!("sshd goes by {list}; `tidegate-agent doctor --account NAME` tells whom it lets in")
    });
    Ok(sshd::of_everybody(&settings, &lines).alters.into_iter().chain(lists).collect())
}

/// sshd takes the first value it reads: ours would silence the administrator's. And what keeps
/// every session out is not for us to change.
fn check(settings: &Settings, lines: &Lines, paths: &Paths) -> Result<(), SetupError> {
    let refuse = |what: String| Err(SetupError::Host(what));
    let at = |keyword| place(lines.that_says(keyword, settings.value(keyword)));
    let user_ca = settings.value("trustedusercakeys");
    if user_ca != "none" && user_ca != paths.user_ca().to_string_lossy() {
        return refuse(format!(
            "sshd trusts the user CAs in {user_ca} and can read only one such file; remove TrustedUserCAKeys{} from \
             its configuration first",
            at("trustedusercakeys")
        ));
    }
    let principals = settings.value("authorizedprincipalsfile");
    if principals != "none" {
        return refuse(format!(
            "sshd reads principals from {principals}, which Tidegate's certificates do not use; remove \
             AuthorizedPrincipalsFile{} from its configuration first",
            at("authorizedprincipalsfile")
        ));
    }
    let command = settings.value("authorizedprincipalscommand");
    if command != "none" && !asks_by_device(command) {
        return refuse(format!(
            "sshd asks `{command}` for principals and can ask only one command; remove AuthorizedPrincipalsCommand{} \
             from its configuration first",
            at("authorizedprincipalscommand")
        ));
    }
    match sshd::of_everybody(settings, lines).refuses.into_iter().next() {
        Some(why) => refuse(format!("no session could log in: {why}; change that first")),
        None => Ok(()),
    }
}

/// Whether drop-ins are read, and for everybody.
fn includes(lines: &Lines) -> Result<(), SetupError> {
    let drop_ins: Vec<&Line> =
        lines.of("include").filter(|line| line.value().contains("sshd_config.d/")).collect();
    let (first, for_all) = (drop_ins.first(), drop_ins.iter().find(|line| line.under().is_none()));
    match (for_all, first.and_then(|line| line.under())) {
        (Some(_), _) => Ok(()),
        (None, Some(bound)) => Err(SetupError::Host(format!(
            "sshd reads its drop-ins only under `Match {}` ({bound}); move the Include above every Match",
            bound.value()
        ))),
        (None, None) => Err(SetupError::Host(
            "/etc/ssh/sshd_config does not read its drop-ins; add `Include /etc/ssh/sshd_config.d/*.conf` as its \
             first line"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    const TOLD: &str =
        "port 22\npubkeyauthentication yes\ntrustedusercakeys none\nauthorizedprincipalsfile none\n";

    #[test]
    fn an_sshd_that_trusts_another_ca_is_left_alone_and_a_plain_one_is_not() {
        let check = |told: &str| check(&Settings::new(told), &Lines::default(), &Paths::default());
        assert!(check(TOLD).is_ok());
        let ours = TOLD.replace("keys none", "keys /var/lib/tidegate-agent/user_ca.pub");
        assert!(check(&ours).is_ok(), "a second run");
        let theirs = TOLD.replace("keys none", "keys /etc/ssh/ca.pub");
        let error = check(&theirs).unwrap_err().to_string();
        assert!(error.contains("/etc/ssh/ca.pub"), "{error}");
        assert!(check(&TOLD.replace("file none", "file /etc/p/%u")).is_err());
        assert!(check(&TOLD.replace(" yes", " no")).is_err());
        let error =
            check(&format!("{TOLD}authenticationmethods publickey,password\n")).unwrap_err().to_string();
        assert!(error.contains("`AuthenticationMethods publickey,password`"), "{error}");
        let asks = |command: &str| format!("{TOLD}authorizedprincipalscommand {command}\n");
        for ours in ["none", "/bin/echo %u@db01", "/bin/echo %u@another"] {
            assert!(check(&asks(ours)).is_ok(), "{ours}");
        }
        let error = check(&asks("/usr/bin/sss %u")).unwrap_err().to_string();
        assert!(error.contains("`/usr/bin/sss %u`"), "{error}");
    }

    #[test]
    fn only_an_include_of_the_drop_ins_that_counts_for_everybody_counts() {
        let scratch = Scratch::new();
        let ssh = scratch.paths().etc.join("ssh");
        std::fs::create_dir_all(&ssh).unwrap();
        let check = |config: &str| {
            std::fs::write(ssh.join("sshd_config"), config).unwrap();
            includes(&Lines::read(scratch.paths())).map_err(|error| error.to_string())
        };
        const INCLUDE: &str = "Include /etc/ssh/sshd_config.d/*.conf\n";
        check(&format!("# x\n{INCLUDE}Match User git\nUseDNS no\n")).unwrap();
        check(&format!("Match User git\n{INCLUDE}Match all\n{INCLUDE}")).unwrap();
        let error = check(&format!("#{INCLUDE}Include /etc/other/*\n")).unwrap_err();
        assert!(error.contains("does not read its drop-ins"), "{error}");
        let error = check(&format!("\nMatch User git\n{INCLUDE}")).unwrap_err();
        assert!(error.contains("only under `Match User git` (line 2 of"), "{error}");
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
    }
}
