//! The kinds of resources: the one list of them. Whoever adds a kind adds a row here and a file in
//! [`crate::model`] with the type and what [`crate::model`]'s `ResourceType` asks of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Hands every kind to the macro `$then`: its type, the list of all of it, and its name as TOML,
/// a command line and a sentence write it; in the order in which they build on each other.
macro_rules! kinds {
    ($then:ident) => {
        $then! {
            User in users: "user", "user", "user";
            Device in devices: "device", "device", "device";
            Credential in credentials: "credential", "credential", "credential";
            AccessGroup in access_groups: "access_group", "access-group", "access group";
            Reason in reasons: "reason", "reason", "reason";
            UserGroup in user_groups: "user_group", "user-group", "user group";
            ExceptionalAccess in exceptional_accesses:
                "exceptional_access", "exceptional-access", "exceptional access";
        }
    };
}
pub(crate) use kinds;

macro_rules! define {
    ($( $kind:ident in $list:ident: $key:literal, $argument:literal, $word:literal; )+) => {
        /// The kinds of resources.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $( #[doc = concat!("`[[", $key, "]]`")] #[serde(rename = $key)] $kind, )+
        }

        impl Kind {
            /// In the order in which they build on each other.
            pub const ALL: [Self; [$( $key ),+].len()] = [$( Self::$kind, )+];

            /// As the TOML writes it: `[[access_group]]`.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self { $( Self::$kind => $key, )+ }
            }

            /// As a command line and the audit log write it: `get access-group`.
            #[must_use]
            pub fn argument(self) -> &'static str {
                match self { $( Self::$kind => $argument, )+ }
            }

            /// As a sentence says it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $( Self::$kind => $word, )+ }
            }
        }
    };
}

kinds!(define);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Reads `user`, `users`, `access_group`, `access-groups`, `groups` …
impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase().replace('-', "_");
        let single = lower.strip_suffix('s').unwrap_or(&lower);
        let said = [lower.as_str(), single, lower.strip_suffix("es").unwrap_or(single)];
        match single {
            "group" => Ok(Self::AccessGroup),
            _ => Self::ALL.into_iter().find(|kind| said.contains(&kind.key())).ok_or_else(|| {
                let shown = crate::unseen::quoted(text, 40);
                let [rest @ .., last] = Self::ALL.map(Self::argument);
                format!("`{shown}` is no kind of resource; use {} or {last}", rest.join(", "))
            }),
        }
    }
}

/// A kind as the audit log writes it: as a command line does.
pub(crate) mod logged {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Kind;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub fn serialize<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.argument())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.argument() == text);
        kind.ok_or_else(|| D::Error::custom("no kind of resource that is known"))
    }
}
