//! How people dial the gate, for the texts that say what to type.

use tidegate_common::name::{CredentialName, UserName};

/// SSH's own port, which nobody has to say.
const USUAL: u16 = 22;

/// What stands for the gate's host where nobody has said it (`listen.ssh_name`).
const UNSAID: &str = "GATE";

/// The host and port that people dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshName {
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl SshName {
    /// Of a gate whose host the reader knows and puts in.
    #[must_use]
    pub fn unsaid(port: u16) -> Self {
        Self { host: UNSAID.to_owned(), port }
    }

    /// What the reader has to put in first, as the rest of a sentence.
    #[must_use]
    pub fn remark(&self) -> &'static str {
        if self.host == UNSAID { ", with this gate's name for GATE" } else { "" }
    }

    fn option(&self) -> String {
        if self.port == USUAL { String::new() } else { format!("-p {} ", self.port) }
    }

    /// The command that a user types to have the gate do something.
    #[must_use]
    pub fn command(&self, user: Option<&str>, words: &str) -> String {
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        format!("ssh {}{user}{} {words}", self.option(), self.host).trim_end().to_owned()
    }

    /// The command for a session.
    #[must_use]
    pub fn session(&self, user: &UserName, target: &CredentialName) -> String {
        format!("ssh {}'{user}[{target}]'@{}", self.option(), self.host)
    }

    /// The same by a jump.
    #[must_use]
    pub fn jump(&self, user: &UserName, target: &CredentialName) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = if self.port == USUAL { String::new() } else { format!(":{}", self.port) };
        format!("ssh -J {user}@{host}{port} {target}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_names_the_gate_and_a_port_that_is_not_the_usual_one() {
        let (olga, target) = ("olga".parse().unwrap(), "ops@db01".parse().unwrap());
        let typed = |name: &SshName| {
            [
                name.command(Some("olga"), "access list"),
                name.session(&olga, &target),
                name.jump(&olga, &target),
            ]
        };
        let near = SshName { host: "gate.example.org".to_owned(), port: 22 };
        let there = [
            "ssh olga@gate.example.org access list",
            "ssh 'olga[ops@db01]'@gate.example.org",
            "ssh -J olga@gate.example.org ops@db01",
        ];
        assert_eq!(typed(&near), there);
        let there = [
            "ssh -p 2222 olga@::1 access list",
            "ssh -p 2222 'olga[ops@db01]'@::1",
            "ssh -J olga@[::1]:2222 ops@db01",
        ];
        assert_eq!(typed(&SshName { host: "::1".to_owned(), port: 2222 }), there);
        assert_eq!(near.command(Some("olga"), ""), "ssh olga@gate.example.org");
        assert_eq!(SshName::unsaid(2222).command(None, "audit tail"), "ssh -p 2222 GATE audit tail");
        assert_eq!((near.remark(), SshName::unsaid(22).remark().is_empty()), ("", false));
    }
}
