//! Names of things that are configured. Parsing is the only way in: a name can
//! not start with a dash, hold a control character, a slash or white space, or
//! be longer than its kind allows, so it is safe as an argument and as a file name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::as_text::as_text;
use crate::id::SessionId;
use crate::unseen::{is_unseen, number};

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("{what} is empty")]
    Empty {
        /// What was to be named.
        what: &'static str,
    },
    /// Longer than `most` bytes.
    #[error("{what} is longer than {most} characters")]
    Long {
        /// What was to be named.
        what: &'static str,
        /// How many are allowed.
        most: usize,
    },
    /// A character that the kind of name does not allow, or not in that place.
    #[error("{what} `{text}` may not contain {} there; allowed are {allowed}", shown(*letter))]
    Letter {
        /// What was to be named.
        what: &'static str,
        /// The text, printable.
        text: String,
        /// The first letter that is wrong.
        letter: char,
        /// What is allowed instead.
        allowed: &'static str,
    },
    /// `account@device` was expected.
    #[error("`{text}` is not a credential; write it as account@device, for example ops@db01")]
    Credential {
        /// The text, printable.
        text: String,
    },
}

fn shown(letter: char) -> String {
    if is_unseen(letter) { number(letter) } else { format!("{letter:?}") }
}

fn printable(text: &str) -> String {
    crate::unseen::quoted(text, 64)
}

fn check(
    what: &'static str,
    text: &str,
    most: usize,
    allowed: &'static str,
    first: fn(char) -> bool,
    rest: fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > most {
        return Err(NameError::Long { what, most });
    }
    let wrong = text
        .chars()
        .enumerate()
        .find(|(place, letter)| if *place == 0 { !first(*letter) } else { !rest(*letter) });
    match wrong {
        Some((_, letter)) => Err(NameError::Letter { what, text: printable(text), letter, allowed }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $most:literal, $allowed:literal, $first:expr, $rest:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check($what, text, $most, $allowed, $first, $rest)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                check($what, &text, $most, $allowed, $first, $rest)?;
                Ok(Self(text))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

fn word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn word_dash_dot(letter: char) -> bool {
    word(letter) || letter == '-' || letter == '.'
}

name! {
    /// A person known to Tidegate, as they write themselves before the `@gate`.
    UserName, "a user's name", 64, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}
name! {
    /// A gate among those that share a store.
    GateName, "a gate's name", 64, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}
name! {
    /// A device, as written after the `@` of a credential; a host name fits.
    DeviceName, "a device's name", 64, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}
name! {
    /// An account on a device: useradd(8)'s portable names, with dots allowed.
    AccountName, "an account's name", 32, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}
name! {
    /// A Unix group on a device.
    UnixGroupName, "a group's name", 32, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}
name! {
    /// An access group.
    AccessGroupName, "an access group's name", 64, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}
name! {
    /// A user group.
    UserGroupName, "a user group's name", 64, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}
name! {
    /// A registered reason.
    ReasonName, "a reason's name", 64, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}
name! {
    /// A custom privilege: the name of a directory that the host's administrator wrote.
    CustomName, "a custom privilege's name", 64, "letters, digits and _ -, no dash first", word,
    |letter| word(letter) || letter == '-'
}
name! {
    /// A change's id, as the organisation writes it (for example `CHG-2041`).
    ChangeId, "a change's id", 64, "letters, digits and . _ -, no dash or dot first", word, word_dash_dot
}

impl AccountName {
    /// The name of the account that is made for one session: useradd(8) takes it, and
    /// no other session ever has the same.
    #[must_use]
    pub fn of_session(session: SessionId) -> Self {
        Self(format!("tg-{session}"))
    }
}

/// One account on one device, written `account@device`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialName {
    /// The account.
    pub account: AccountName,
    /// The device that holds it.
    pub device: DeviceName,
}

impl FromStr for CredentialName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (account, device) =
            text.split_once('@').ok_or_else(|| NameError::Credential { text: printable(text) })?;
        Ok(Self { account: account.parse()?, device: device.parse()? })
    }
}

as_text!(CredentialName);

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.account, self.device))
    }
}

impl fmt::Debug for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.account, self.device)
    }
}

/// Who logs in to the gate and where they want to go, as read from the SSH user name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The person.
    pub user: UserName,
    /// The credential, when the user name carries one.
    pub target: Option<CredentialName>,
}

impl FromStr for Login {
    type Err = NameError;

    /// Reads `operator`, `operator[ops@db01]` or `operator:ops@db01`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bracketed = text.strip_suffix(']').and_then(|text| text.split_once('['));
        let (user, target) = match bracketed.or_else(|| text.split_once(':')) {
            Some((user, target)) => (user, Some(target.parse()?)),
            None => (text, None),
        };
        Ok(Self { user: user.parse()?, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_with_a_leading_dash_or_control_or_path_characters_are_refused() {
        for text in ["-oProxyCommand=x", ".hidden", "a b", "a/b", "a\nb", "a\0", "", "é", "a@b"] {
            assert!(text.parse::<UserName>().is_err(), "{text:?}");
            assert!(text.parse::<AccountName>().is_err(), "{text:?}");
        }
        assert!("jane.doe-2".parse::<UserName>().is_ok());
    }

    #[test]
    fn a_refusal_names_the_letter_and_what_is_allowed() {
        let error = "web server".parse::<DeviceName>().unwrap_err().to_string();
        assert_eq!(
            error,
            "a device's name `web server` may not contain ' ' there; \
             allowed are letters, digits and . _ -, no dash or dot first"
        );
    }

    #[test]
    fn both_ways_to_write_a_target_read_the_same() {
        let bracketed: Login = "operator[ops@db01]".parse().unwrap();
        let coloned: Login = "operator:ops@db01".parse().unwrap();
        assert_eq!(bracketed, coloned);
        assert_eq!(bracketed.target.unwrap().to_string(), "ops@db01");
        assert_eq!("operator".parse::<Login>().unwrap().target, None);
    }

    #[test]
    fn a_target_without_a_device_is_told_how_to_write_it() {
        let error = "operator:ops".parse::<Login>().unwrap_err().to_string();
        assert!(error.contains("write it as account@device"), "{error}");
    }

    proptest! {
        #[test]
        fn a_parsed_name_is_a_safe_argument_and_file_name(text in ".{0,80}") {
            if let Ok(name) = text.parse::<DeviceName>() {
                prop_assert!(!name.as_str().starts_with(['-', '.']));
                prop_assert!(!name.as_str().contains(['/', '\0', '\n', ' ', '@']));
            }
        }
    }
}
