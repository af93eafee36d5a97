//! Values of criteria: text with `*` for anything and `[#USERNAME#]` for the
//! user's own login, compared without regard to case.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::name::UserName;
use crate::unseen::is_unseen;

const USERNAME: &str = "[#USERNAME#]";
const USERNAME_LOWER: &str = "[#username#]";
const MOST: usize = 128;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing, too much, or unprintable.
    #[error("a criterion is 1 to {MOST} printable characters; leave the field out to match everything")]
    Shape,
    /// `[#…#]` with another word.
    #[error("`{0}` holds a placeholder that is not known; the only one is {USERNAME}")]
    Placeholder(String),
}

/// A value to match; `*` stands for any run of characters, also none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    written: String,
    /// In lower case, as compared; a short one stands in place, as a decision may
    /// look at thousands.
    lower: CompactString,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    Literal,
    Glob,
    /// Holds the placeholder, and maybe `*` too.
    User,
}

impl Pattern {
    /// Whether `value` matches; `value` and `user` must already be in lower case.
    #[must_use]
    pub fn matches(&self, value: &str, user: &str) -> bool {
        match self.shape {
            Shape::Literal => self.lower == value,
            Shape::Glob => glob(&self.lower, value),
            Shape::User => glob(&self.lower.replace(USERNAME_LOWER, user), value),
        }
    }

    /// Whether it stands for something else for each user.
    pub(crate) fn names_user(&self) -> bool {
        self.shape == Shape::User
    }

    /// As [`Self::matches`], for texts in any case.
    #[must_use]
    pub fn matches_any_case(&self, value: &str, user: &UserName) -> bool {
        self.matches(&value.to_lowercase(), &user.as_str().to_lowercase())
    }
}

/// Greedy: each piece between stars is taken at its first place, the last one at the end.
/// Linear in stars times length, never exponential.
pub(crate) fn glob(pattern: &str, value: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == value;
    };
    let Some(mut value) = value.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        // Values are short, and std would prepare a searcher for each.
        match memmem::find(value.as_bytes(), piece.as_bytes()) {
            Some(place) => value = value.get(place + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    value.ends_with(tail)
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::read(text, is_unseen)
    }
}

impl Pattern {
    fn read(text: &str, refused: fn(char) -> bool) -> Result<Self, PatternError> {
        let written = text.trim();
        if written.is_empty() || written.len() > MOST || written.chars().any(refused) {
            return Err(PatternError::Shape);
        }
        let lower = written.to_lowercase();
        let without = lower.replace(USERNAME_LOWER, "");
        if without.contains("[#") || without.contains("#]") {
            return Err(PatternError::Placeholder(written.to_owned()));
        }
        let shape = match (without.len() < lower.len(), lower.contains('*')) {
            (true, _) => Shape::User,
            (false, true) => Shape::Glob,
            (false, false) => Shape::Literal,
        };
        Ok(Self { written: written.to_owned(), lower: lower.into(), shape })
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        // As it was stored, perhaps when the list was shorter.
        Self::read(&text, char::is_control)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.written
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, value: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches_any_case(value, &"Jane".parse().unwrap())
    }

    #[test]
    fn a_star_stands_for_anything_anywhere_and_case_does_not_matter() {
        for (pattern, value) in [
            ("db*", "DB01"),
            ("*01", "db01"),
            ("d*0*1", "db01"),
            ("*", "x"),
            ("DB01", "db01"),
            ("*b*", "db01"),
        ] {
            assert!(matches(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in
            [("db", "db01"), ("*02", "db01"), ("b*", "db01"), ("db01*1", "db01"), ("a*a", "a")]
        {
            assert!(!matches(pattern, value), "{pattern} {value}");
        }
    }

    #[test]
    fn the_placeholder_stands_for_the_users_own_login() {
        assert!(matches("adm-[#USERNAME#]", "adm-jane"));
        assert!(matches("*-[#username#]", "adm-jane"));
        assert!(!matches("adm-[#USERNAME#]", "adm-john"));
        let unknown = "adm-[#LOGIN#]".parse::<Pattern>();
        assert!(matches!(unknown, Err(PatternError::Placeholder(_))));
    }

    fn slow(pattern: &[char], value: &[char]) -> bool {
        match (pattern, value) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=value.len()).any(|skip| slow(rest, &value[skip..])),
            ([p, rest @ ..], [v, more @ ..]) => p == v && slow(rest, more),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_greedy_match_agrees_with_trying_everything(pattern in "[ab*]{0,8}", value in "[ab]{0,8}") {
            let (p, v): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
            prop_assert_eq!(glob(&pattern, &value), slow(&p, &v));
        }
    }
}
