//! What can be granted: one type for each kind.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::account::{AccountCreate, AccountEnable};
use super::custom::Custom;
use crate::name::{AccountName, UnixGroupName};

/// One typed, reversible change on a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Privilege {
    /// A sudo rule for the account (sudoers(5)).
    Sudo(SudoRule),
    /// Membership of supplementary groups.
    Groups(Groups),
    /// An existing, locked or expired account made usable.
    AccountEnable(AccountEnable),
    /// An account that exists only for the session.
    AccountCreate(AccountCreate),
    /// Programs that the host's administrator wrote.
    Custom(Custom),
}

/// The kinds, as an agent announces what it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivilegeKind {
    Sudo,
    Groups,
    AccountEnable,
    AccountCreate,
    Custom,
}

impl Privilege {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> PrivilegeKind {
        match self {
            Self::Sudo(_) => PrivilegeKind::Sudo,
            Self::Groups(_) => PrivilegeKind::Groups,
            Self::AccountEnable(_) => PrivilegeKind::AccountEnable,
            Self::AccountCreate(_) => PrivilegeKind::AccountCreate,
            Self::Custom(_) => PrivilegeKind::Custom,
        }
    }
}

impl fmt::Display for PrivilegeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sudo => "sudo",
            Self::Groups => "groups",
            Self::AccountEnable => "account enable",
            Self::AccountCreate => "account create",
            Self::Custom => "custom",
        })
    }
}

/// Says what will change on the host, in one line for an approver.
impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sudo(rule) => write!(f, "sudo {rule}"),
            Self::Groups(groups) => {
                let names: Vec<_> = groups.groups.iter().map(UnixGroupName::as_str).collect();
                write!(f, "groups {}", names.join(", "))
            }
            Self::AccountEnable(enable) => write!(f, "{enable}"),
            Self::AccountCreate(create) => write!(f, "{create}"),
            Self::Custom(custom) => write!(f, "{custom}"),
        }
    }
}

/// Why a privilege's fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivilegeError {
    /// Neither `ALL` nor an absolute path in printable ASCII without sudoers' wildcards.
    #[error(
        "sudo command `{0}` must be `ALL` or an absolute path with plain arguments: \
         printable ASCII, no quotes, no wildcards, no `..`"
    )]
    Command(String),
    /// A list that may not be empty is.
    #[error("{0} must name at least one")]
    Empty(&'static str),
}

/// One user specification of sudoers(5) for the credential's account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SudoRule {
    /// Runas_List: whom the account may become. Empty means root.
    #[serde(default)]
    pub run_as: Vec<AccountName>,
    /// Cmnd_Spec_List.
    #[serde(default = "all_commands")]
    pub commands: Vec<SudoCommand>,
    /// Tag_Spec, for all commands of the rule.
    #[serde(default = "no_password")]
    pub tags: Vec<SudoTag>,
}

fn all_commands() -> Vec<SudoCommand> {
    vec![SudoCommand::ALL]
}

fn no_password() -> Vec<SudoTag> {
    vec![SudoTag::NoPasswd]
}

impl fmt::Display for SudoRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run_as: Vec<_> = self.run_as.iter().map(AccountName::as_str).collect();
        let commands: Vec<_> = self.commands.iter().map(SudoCommand::as_str).collect();
        let run_as = if run_as.is_empty() { "root".to_owned() } else { run_as.join(", ") };
        write!(f, "({run_as})")?;
        self.tags.iter().try_for_each(|tag| write!(f, " {}:", tag.as_str()))?;
        write!(f, " {}", commands.join(", "))
    }
}

/// `ALL`, or an absolute path with optional arguments. Wildcards, quotes,
/// backslashes and sudoers' own separators are refused rather than escaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SudoCommand(std::borrow::Cow<'static, str>);

impl SudoCommand {
    /// Every command.
    pub const ALL: Self = Self(std::borrow::Cow::Borrowed("ALL"));

    /// As sudoers(5) writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SudoCommand {
    type Error = PrivilegeError;
    fn try_from(text: String) -> Result<Self, PrivilegeError> {
        let plain = |letter: char| {
            letter.is_ascii_alphanumeric() || matches!(letter, '/' | '.' | '_' | '-' | '+' | ' ' | '@')
        };
        let path = text.split(' ').next().unwrap_or_default();
        let traverses = path.split('/').any(|part| part == "..");
        let absolute = path.starts_with('/') && !path.ends_with('/') && !traverses;
        if text == "ALL" || (absolute && text.len() <= 512 && text.chars().all(plain)) {
            Ok(Self(text.into()))
        } else {
            Err(PrivilegeError::Command(crate::unseen::quoted(&text, 64)))
        }
    }
}

impl From<SudoCommand> for String {
    fn from(command: SudoCommand) -> String {
        command.0.into_owned()
    }
}

/// Tags of sudoers(5) that a rule may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SudoTag {
    NoPasswd,
    Passwd,
    NoExec,
    Exec,
    SetEnv,
    NoSetEnv,
}

impl SudoTag {
    /// As sudoers(5) writes it, without the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPasswd => "NOPASSWD",
            Self::Passwd => "PASSWD",
            Self::NoExec => "NOEXEC",
            Self::Exec => "EXEC",
            Self::SetEnv => "SETENV",
            Self::NoSetEnv => "NOSETENV",
        }
    }
}

/// Supplementary groups to join.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// At least one.
    pub groups: Vec<UnixGroupName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sudo_command_that_could_change_the_rule_is_refused() {
        let wrong = [
            "id",
            "",
            "/bin/*",
            "/bin/a, ALL",
            "/bin/a\nops ALL=ALL",
            "/bin/../bin/sh",
            "/bin/\"x\"",
            "/bin/",
            "!/bin/sh",
            "/bin/a:x",
            "/bin/a=b",
            "/bin/a\\b",
            "all",
        ];
        for text in wrong {
            assert!(SudoCommand::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        for text in ["ALL", "/usr/bin/systemctl restart postgresql@15-main.service", "/usr/bin/id"] {
            assert!(SudoCommand::try_from(text.to_owned()).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_rule_without_fields_means_root_everything_and_no_password() {
        let rule: Privilege = serde_json::from_str(r#"{"kind":"sudo"}"#).unwrap();
        assert_eq!(rule.to_string(), "sudo (root) NOPASSWD: ALL");
    }

    #[test]
    fn unknown_fields_of_a_privilege_are_refused() {
        let error = serde_json::from_str::<Privilege>(r#"{"kind":"sudo","comand":["ALL"]}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `comand`"), "{error}");
    }
}
