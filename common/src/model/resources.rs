//! Everything configured, as one value: lists in the order they were created.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::check::Checker;
use super::read::Fields;
use super::{AccessGroup, Credential, Device, ExceptionalAccess, Reason, User, UserGroup};
use crate::kind::{Kind, kinds};

/// What makes a type a kind of resource.
pub(super) trait ResourceType: Clone + PartialEq + Serialize + DeserializeOwned {
    /// Its type of names.
    type Name: PartialEq + fmt::Display;

    /// What heads the columns of a list of them.
    const HEADING: &'static [&'static str];

    /// Its name, which no other of its kind has.
    fn name(&self) -> &Self::Name;

    /// Reads one from the table that stands for it; nothing where it has a mistake.
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self>;

    /// Looks at what no single field of it can tell: names that lead nowhere, and the like.
    fn check(_: &mut Checker<'_>) {}

    /// What stands in the columns of a list of them.
    fn cells(&self) -> Vec<String>;
}

/// A value as a cell of a table, or an empty one.
pub(super) fn cell<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// Values as a cell of a table.
pub(super) fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A resource's kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceName {
    /// Its kind.
    pub kind: Kind,
    /// Its name within the kind.
    pub name: String,
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As somebody wrote it, who may ask for what is not there.
        write!(f, "{} `{}`", self.kind, crate::unseen::quoted(&self.name, 128))
    }
}

/// What writing a resource over another did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Written {
    Created,
    Changed,
    Unchanged,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        })
    }
}

fn write<T: ResourceType>(list: &mut Vec<T>, new: T) -> Written {
    match list.iter_mut().find(|old| old.name() == new.name()) {
        Some(old) if *old == new => Written::Unchanged,
        Some(old) => {
            *old = new;
            Written::Changed
        }
        None => {
            list.push(new);
            Written::Created
        }
    }
}

fn take<T: ResourceType>(list: &mut Vec<T>, name: &str) -> bool {
    let before = list.len();
    list.retain(|old| old.name().to_string() != name);
    list.len() < before
}

macro_rules! define {
    ($( $kind:ident in $list:ident: $key:literal, $argument:literal, $word:literal; )+) => {
        /// One resource of any kind.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Resource {
            $( #[doc = concat!("One `[[", $key, "]]`.")] $kind(Box<$kind>), )+
        }

        impl Resource {
            /// Its kind and name.
            #[must_use]
            pub fn name(&self) -> ResourceName {
                let (kind, name) = match self {
                    $( Self::$kind(one) => (Kind::$kind, ResourceType::name(&**one).to_string()), )+
                };
                ResourceName { kind, name }
            }

            /// As a JSON document, for the store and for machines.
            ///
            /// # Errors
            /// Never for a resource that was parsed; serde's signature has it.
            pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
                serde_json::to_value(self)
            }

            /// Back from a JSON document; each field is parsed as strictly as in a file.
            ///
            /// # Errors
            /// When the document is not one of that kind.
            pub fn from_json(kind: Kind, document: serde_json::Value) -> serde_json::Result<Self> {
                Ok(match kind {
                    $( Kind::$kind => Self::$kind(serde_json::from_value(document)?), )+
                })
            }

            /// What stands in the columns of a list of its kind, which [`Kind::heading`] heads.
            #[must_use]
            pub fn cells(&self) -> Vec<String> {
                match self {
                    $( Self::$kind(one) => one.cells(), )+
                }
            }

            /// Reads one from the table that stands for it.
            pub(super) fn read(kind: Kind, fields: &mut Fields<'_, '_>) -> Option<Self> {
                match kind {
                    $( Kind::$kind => $kind::read(fields).map(Box::new).map(Self::$kind), )+
                }
            }
        }

        impl Kind {
            /// What heads the columns of a list of this kind.
            #[must_use]
            pub fn heading(self) -> &'static [&'static str] {
                match self {
                    $( Self::$kind => $kind::HEADING, )+
                }
            }
        }

        /// All resources; within a list the oldest is first.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Resources {
            $(
                #[doc = concat!("Every `[[", $key, "]]`.")]
                #[serde(default, rename = $key, skip_serializing_if = "Vec::is_empty")]
                pub $list: Vec<$kind>,
            )+
        }

        impl Resources {
            /// Creates the resource, or replaces the one of that name in its place.
            pub fn put(&mut self, resource: Resource) -> Written {
                match resource {
                    $( Resource::$kind(new) => write(&mut self.$list, *new), )+
                }
            }

            /// Adds a resource whose name is known to be new, without a search.
            pub fn push(&mut self, resource: Resource) {
                match resource {
                    $( Resource::$kind(new) => self.$list.push(*new), )+
                }
            }

            /// Removes the resource; says whether it was there.
            pub fn remove(&mut self, which: &ResourceName) -> bool {
                match which.kind {
                    $( Kind::$kind => take(&mut self.$list, &which.name), )+
                }
            }

            /// Every resource of a kind, the oldest first.
            #[must_use]
            pub fn of_kind(&self, kind: Kind) -> Vec<Resource> {
                match kind {
                    $( Kind::$kind => {
                        self.$list.iter().cloned().map(Box::new).map(Resource::$kind).collect()
                    } )+
                }
            }
        }

        /// Looks at every kind's whole.
        pub(super) fn check(checker: &mut Checker<'_>) {
            $( $kind::check(checker); )+
        }
    };
}

kinds!(define);
