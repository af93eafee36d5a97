//! Ids of things that happen: sessions, requests and notifications.
//!
//! A session's id is a ULID (48 bits of Unix milliseconds, 80 random bits, in
//! Crockford's base 32), so that names sort by time and carry no meaning. A
//! request's id is a small number, because people type it, and so is a notification's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::as_text::as_text;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The text given is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct ParseIdError {
    what: &'static str,
    text: String,
}

impl ParseIdError {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: crate::unseen::quoted(text, 40) }
    }
}

/// One admitted connection to one credential; also names the grant that serves it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(u128);

impl SessionId {
    /// A new id from the time in Unix milliseconds and 80 random bits (the low ones of `random`).
    #[must_use]
    pub fn new(unix_millis: u64, random: u128) -> Self {
        let time = u128::from(unix_millis & ((1 << 48) - 1));
        Self((time << 80) | (random & ((1 << 80) - 1)))
    }

    /// The time it was made, in Unix milliseconds.
    #[must_use]
    pub fn unix_millis(self) -> u64 {
        u64::try_from(self.0 >> 80).unwrap_or_default()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..26).rev().try_for_each(|place| {
            let index = usize::try_from((self.0 >> (5 * place)) & 31).unwrap_or_default();
            let letter = ALPHABET.get(index).copied().unwrap_or(b'0');
            write!(f, "{}", char::from(letter))
        })
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseIdError::new("a session id", text);
        if text.len() != 26 {
            return Err(wrong());
        }
        let mut value = 0u128;
        for (place, letter) in text.bytes().enumerate() {
            let digit =
                ALPHABET.iter().position(|known| *known == letter.to_ascii_lowercase()).ok_or_else(wrong)?;
            // 26 letters hold 130 bits; the first may use only three of its five.
            if place == 0 && digit > 7 {
                return Err(wrong());
            }
            value = (value << 5) | u128::try_from(digit).map_err(|_| wrong())?;
        }
        Ok(Self(value))
    }
}

as_text!(SessionId);

macro_rules! number {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub u64);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl FromStr for $type {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = text.strip_prefix('#').unwrap_or(text);
                match digits.parse() {
                    Ok(number) if number > 0 => Ok(Self(number)),
                    _ => Err(ParseIdError::new($what, text)),
                }
            }
        }
    };
}

number! {
    /// A request's number, counted from 1.
    RequestId, "a request's number"
}
number! {
    /// A notification's number, counted from 1.
    NotificationId, "a notification's number"
}

/// A remote access's number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteAccessId(pub u64);

impl fmt::Display for RemoteAccessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for RemoteAccessId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        match digits.parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(ParseIdError::new("a remote access's number", text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_session_id_reads_back_from_its_text(millis in 0u64..(1 << 48), random: u128) {
            let id = SessionId::new(millis, random);
            prop_assert_eq!(id.to_string().parse::<SessionId>(), Ok(id));
            prop_assert_eq!(id.unix_millis(), millis);
        }

        #[test]
        fn session_ids_sort_by_time(a in 0u64..(1 << 48), b in 0u64..(1 << 48), r: u128, s: u128) {
            prop_assume!(a < b);
            prop_assert!(SessionId::new(a, r).to_string() < SessionId::new(b, s).to_string());
        }
    }

    #[test]
    fn text_that_is_no_session_id_is_refused() {
        for text in ["", "../../etc/passwd", "zzzzzzzzzzzzzzzzzzzzzzzzzz", "0123"] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_number_may_carry_a_hash_sign() {
        assert_eq!("#12".parse(), Ok(RequestId(12)));
        assert!("0".parse::<RequestId>().is_err());
        assert!("-1".parse::<RequestId>().is_err());
    }
}
