//! Accounts that a session is given: one that is there and made usable, or one that
//! exists only for the session.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Privilege;
use crate::id::SessionId;
use crate::name::AccountName;

/// An existing account made usable: its password's lock and its expiry. The login
/// shell is touched only where the account has none and the privilege names one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountEnable {
    /// In the place of `nologin` or `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Shell>,
}

/// An account that is made for the session and removed after it. The credential's own
/// account is then only a name for policy: it need not exist on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountCreate {
    /// Its login shell; the host's own default where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Shell>,
}

impl fmt::Display for AccountEnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("account enabled")?;
        self.shell.iter().try_for_each(|shell| write!(f, ", with {shell} if it has no shell"))
    }
}

impl fmt::Display for AccountCreate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("account created for the session")?;
        self.shell.iter().try_for_each(|shell| write!(f, ", with {shell}"))
    }
}

/// The account that a session logs in to. Both proxy and agent derive it, so that
/// neither has to believe the other.
#[must_use]
pub fn login_account(session: SessionId, account: &AccountName, privileges: &[Privilege]) -> AccountName {
    match privileges.iter().any(|one| matches!(one, Privilege::AccountCreate(_))) {
        true => AccountName::of_session(session),
        false => account.clone(),
    }
}

/// Neither an absolute path nor plain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shell `{0}` must be an absolute path of letters, digits and . _ + -, for example /bin/bash")]
pub struct ShellError(String);

/// A login shell: an absolute path that fits into a line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shell(String);

impl Shell {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Shell {
    type Error = ShellError;
    fn try_from(text: String) -> Result<Self, ShellError> {
        let plain =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '/' | '.' | '_' | '-' | '+');
        let traverses = text.split('/').any(|part| part == "..");
        let absolute = text.starts_with('/') && !text.ends_with('/') && !traverses;
        if absolute && text.len() <= 128 && text.chars().all(plain) {
            Ok(Self(text))
        } else {
            Err(ShellError(crate::unseen::quoted(&text, 64)))
        }
    }
}

impl From<Shell> for String {
    fn from(shell: Shell) -> String {
        shell.0
    }
}

impl fmt::Display for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_that_could_change_its_line_is_refused_and_a_plain_one_is_not() {
        for text in ["bash", "/bin/sh:x", "/bin/../sh", "/bin/a b", "/bin/\n", "", "/bin/"] {
            assert!(Shell::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        assert!(Shell::try_from("/usr/bin/zsh".to_owned()).is_ok());
    }

    #[test]
    fn only_a_created_account_is_logged_in_to_by_a_name_of_the_sessions_own() {
        let (session, account) = (SessionId::new(1, 2), "ops".parse().unwrap());
        let enable = Privilege::AccountEnable(AccountEnable::default());
        assert_eq!(login_account(session, &account, &[enable]), account);
        let create = Privilege::AccountCreate(AccountCreate::default());
        let login = login_account(session, &account, &[create]);
        assert_eq!(login.as_str(), format!("tg-{session}"));
        assert_eq!(login.as_str().parse(), Ok(login));
    }

    #[test]
    fn the_kinds_without_fields_are_written_as_before() {
        for text in [r#"{"kind":"account-enable"}"#, r#"{"kind":"account-create"}"#] {
            let privilege: Privilege = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&privilege).unwrap(), text);
        }
    }
}
