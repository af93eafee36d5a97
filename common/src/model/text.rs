//! Free text that people write: bounded, printable, and harmless on a terminal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing there.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// More bytes than allowed.
    #[error("{what} is longer than {most} bytes")]
    Long {
        /// What was written.
        what: &'static str,
        /// How many bytes are allowed.
        most: usize,
    },
    /// A line break, an escape, or a character that turns the direction of writing.
    #[error("{what} may not contain {letter:?}: only printable characters on one line")]
    Letter {
        /// What was written.
        what: &'static str,
        /// The first character that is wrong.
        letter: char,
    },
    /// Not an address for mail.
    #[error("`{0}` is not an e-mail address; write it as name@example.org")]
    Email(String),
}

/// Control characters move the cursor; the others hide or reorder what is read.
pub(crate) fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn check(what: &'static str, text: &str, most: usize) -> Result<String, TextError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TextError::Empty(what));
    }
    if text.len() > most {
        return Err(TextError::Long { what, most });
    }
    match text.chars().find(|letter| is_harmful(*letter)) {
        Some(letter) => Err(TextError::Letter { what, letter }),
        None => Ok(text.to_owned()),
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $type:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// As written, without white space around it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                let parse: fn(&str) -> Result<String, TextError> = $parse;
                parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $type {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(text: $type) -> String {
                text.0
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

text! {
    /// A sentence or a few: a justification, a comment, a governance code. At most 1,000 bytes.
    Text, |text| check("the text", text, 1000)
}
text! {
    /// A short attribute: a tag, a product, a site, a full name. At most 128 bytes.
    Label, |text| check("the value", text, 128)
}
text! {
    /// An e-mail address, by its shape only.
    Email, |text| {
        let text = check("the e-mail address", text, 254)?;
        let fits = |part: &str| !part.is_empty() && !part.contains(['@', ' ', ',', ';', '<', '>', '"']);
        match text.split_once('@') {
            Some((local, domain)) if fits(local) && fits(domain) => Ok(text),
            _ => Err(TextError::Email(text.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_move_the_cursor_or_hide_is_refused() {
        for text in ["a\nb", "\u{1b}[2J", "a\u{202e}b", "a\u{200b}b", "a\u{9b}b"] {
            assert!(matches!(text.parse::<Text>(), Err(TextError::Letter { .. })), "{text:?}");
        }
        assert_eq!(" Größe prüfen, ticket 7 ".parse::<Text>().unwrap().as_str(), "Größe prüfen, ticket 7");
    }

    #[test]
    fn text_is_never_empty_and_never_too_long() {
        assert_eq!("  ".parse::<Text>(), Err(TextError::Empty("the text")));
        assert!("x".repeat(1000).parse::<Text>().is_ok());
        assert!(matches!("x".repeat(1001).parse::<Text>(), Err(TextError::Long { .. })));
    }

    #[test]
    fn an_address_without_a_name_or_a_domain_is_refused() {
        assert!("jane@example.org".parse::<Email>().is_ok());
        for text in ["jane", "@example.org", "jane@", "a@b@c", "jane doe@example.org"] {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
    }
}
