//! A privilege that the host's administrator wrote, and the values it is given.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::CustomName;

/// The most values of one privilege.
pub const MOST_VALUES: usize = 32;

/// The longest value, in bytes.
const LONGEST_VALUE: usize = 256;

/// A directory of `grant`, `verify` and `revoke` programs on the host, with typed values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// The directory's name under the agent's own directory of custom privileges.
    pub name: CustomName,
    /// Values handed to the programs in their environment, as `TIDEGATE_VALUE_NAME`.
    #[serde(default)]
    pub values: BTreeMap<ValueName, Value>,
}

impl fmt::Display for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "custom {}", self.name)?;
        self.values.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// Why a value or its name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Would not be an environment variable of its own.
    #[error("the value's name `{0}` must be 1 to 32 letters a-z or _")]
    Name(String),
    /// Too long, or not printable.
    #[error("the value `{0}` must be at most {LONGEST_VALUE} bytes without control characters")]
    Value(String),
}

fn printable(text: &str) -> String {
    crate::unseen::quoted(text, 64)
}

/// A value's name: `a` to `z` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ValueName(String);

impl ValueName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The environment variable that carries the value.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TIDEGATE_VALUE_{}", self.0.to_ascii_uppercase())
    }
}

impl TryFrom<String> for ValueName {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        match (1..=32).contains(&text.len()) && text.chars().all(plain) {
            true => Ok(Self(text)),
            false => Err(ValueError::Name(printable(&text))),
        }
    }
}

impl From<ValueName> for String {
    fn from(name: ValueName) -> String {
        name.0
    }
}

impl fmt::Display for ValueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A value: bounded text without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Value(String);

impl Value {
    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Value {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        match text.len() <= LONGEST_VALUE && !text.chars().any(char::is_control) {
            true => Ok(Self(text)),
            false => Err(ValueError::Value(printable(&text))),
        }
    }
}

impl From<Value> for String {
    fn from(value: Value) -> String {
        value.0
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_plain_variable_is_refused_and_a_plain_one_is_not() {
        let read = |name: &str, value: &str| {
            let text = serde_json::json!({ "name": "db-role", "values": { name: value } });
            serde_json::from_value::<Custom>(text).map_err(|error| error.to_string())
        };
        assert!(read("PATH", "x").unwrap_err().contains("must be 1 to 32 letters a-z or _"));
        assert!(read("a=b", "x").is_err() && read("", "x").is_err() && read(&"a".repeat(33), "x").is_err());
        assert!(read("role", "a\nb").unwrap_err().contains("without control characters"));
        assert!(read("role", &"x".repeat(257)).is_err());
        let custom = read("role", "read only").unwrap();
        assert_eq!(custom.to_string(), "custom db-role role=read only");
        assert_eq!(custom.values.keys().next().unwrap().variable(), "TIDEGATE_VALUE_ROLE");
    }
}
