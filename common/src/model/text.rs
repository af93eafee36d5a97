//! Free text that people write: bounded, printable, and harmless on a terminal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::unseen::{is_unseen, number, quoted};

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
    #[error("{what} may not contain {letter}: only characters that show, on one line")]
    Letter {
        /// What was written.
        what: &'static str,
        /// The first character that is wrong, by its number.
        letter: String,
    },
    /// Not an address for mail.
    #[error("`{0}` is not an e-mail address; write it as name@example.org")]
    Email(String),
    /// Not a telephone number.
    #[error("`{0}` is not a telephone number; write it with its country, as +34600123456")]
    Phone(String),
}

/// Whether a character is none that the text may have.
type Refused = fn(char) -> bool;

fn check(what: &'static str, text: &str, most: usize, refused: Refused) -> Result<String, TextError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TextError::Empty(what));
    }
    if text.len() > most {
        return Err(TextError::Long { what, most });
    }
    match text.chars().find(|letter| refused(*letter)) {
        Some(letter) => Err(TextError::Letter { what, letter: number(letter) }),
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
                let parse: fn(&str, Refused) -> Result<String, TextError> = $parse;
                parse(text, is_unseen).map(Self)
            }
        }

        impl TryFrom<String> for $type {
            type Error = TextError;
            /// As it was stored, perhaps when the list was shorter.
            fn try_from(text: String) -> Result<Self, TextError> {
                let parse: fn(&str, Refused) -> Result<String, TextError> = $parse;
                parse(&text, char::is_control).map(Self)
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
    Text, |text, refused| check("the text", text, 1000, refused)
}
text! {
    /// A short attribute: a tag, a product, a site, a full name. At most 128 bytes.
    Label, |text, refused| check("the value", text, 128, refused)
}
text! {
    /// An e-mail address, by its shape only.
    Email, |text, refused| {
        let text = check("the e-mail address", text, 254, refused)?;
        let fits = |part: &str| !part.is_empty() && !part.contains(['@', ' ', ',', ';', '<', '>', '"']);
        match text.split_once('@') {
            Some((local, domain)) if fits(local) && fits(domain) => Ok(text),
            _ => Err(TextError::Email(quoted(&text, 64))),
        }
    }
}

text! {
    /// A telephone number as E.164 writes it: `+`, the country and the number, 7 to 15 digits.
    Phone, |text, refused| {
        let text = check("the telephone number", text, 64, refused)?;
        let digits = text.strip_prefix('+').unwrap_or_default();
        let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if fits && !digits.starts_with('0') { Ok(text) } else { Err(TextError::Phone(quoted(&text, 64))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_move_the_cursor_or_hide_is_refused() {
        for text in [
            "a\nb",
            "\u{1b}[2J",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{9b}b",
            "\u{3164}",
            "a\u{61c}b",
            "a\u{fe0f}",
        ] {
            let refused = text.parse::<Text>().unwrap_err();
            assert!(matches!(refused, TextError::Letter { .. }), "{text:?}");
            assert!(refused.to_string().is_ascii() && refused.to_string().contains("U+"), "{refused}");
        }
        // What was stored when the list was shorter is read.
        assert!(serde_json::from_str::<Text>("\"a\u{fe0f}\"").is_ok());
        assert!(serde_json::from_str::<Text>("\"a\\u001b\"").is_err());
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

    #[test]
    fn a_telephone_number_has_its_country_and_digits_only() {
        assert!("+34600123456".parse::<Phone>().is_ok());
        for number in
            ["600123456", "+0600123456", "+34 600 123 456", "+346", "+3460012345678901", "+34600a23456"]
        {
            let refused = number.parse::<Phone>().unwrap_err();
            assert!(refused.to_string().contains("write it with its country"), "{refused}");
        }
    }
}
