//! What proves one person must not prove another: keys and principals that two users have.
//! Whoever logs in by such a one could approve their own request under the second name.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::{KeyMaterial, Problem, PublicKey, ResourceName, Resources};
use crate::model::Kind;
use crate::name::UserName;

/// Something that logs a user in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    Key(KeyMaterial),
    Principal(String),
}

/// One user who has it, and where it is written.
struct Owner<'a> {
    user: &'a UserName,
    field: String,
    shown: Shown<'a>,
}

/// Something that logs in more than one user, and so none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The key with its comment, or the principal.
    pub what: String,
    /// Whose it is, the oldest user first; at least two.
    pub users: Vec<UserName>,
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users: Vec<_> = self.users.iter().map(|user| format!("`{user}`")).collect();
        write!(f, "{} is written for the users {}: it logs none of them in", self.what, users.join(" and "))
    }
}

#[derive(Clone, Copy)]
enum Shown<'a> {
    Key(&'a PublicKey),
    Principal(&'a str),
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => {
                // Enough to find the line by: an RSA key has a thousand letters.
                let mut words = key.as_str().splitn(3, ' ');
                let (kind, encoded) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let end = encoded.get(encoded.len().saturating_sub(8)..).unwrap_or_default();
                let comment = words.next().map(|comment| format!(" {comment}")).unwrap_or_default();
                write!(f, "the key `{kind} …{end}{comment}`")
            }
            Self::Principal(name) => write!(f, "the principal `{name}`"),
        }
    }
}

/// Who has what, in the order of the users; only what more than one user has.
fn owners(resources: &Resources) -> Vec<(Token, Vec<Owner<'_>>)> {
    let mut places: HashMap<Token, usize> = HashMap::new();
    let mut all: Vec<(Token, Vec<Owner<'_>>)> = Vec::new();
    for user in &resources.users {
        let keys = user
            .keys
            .iter()
            .enumerate()
            .map(|(index, key)| (Token::Key(key.identity()), format!("keys.{index}"), Shown::Key(key)));
        let principals = user.principals.iter().enumerate().map(|(index, name)| {
            let name = name.as_str();
            (Token::Principal(name.to_owned()), format!("principals.{index}"), Shown::Principal(name))
        });
        let own = user.principals.is_empty().then(|| {
            let name = user.name.as_str();
            (Token::Principal(name.to_owned()), "name".to_owned(), Shown::Principal(name))
        });
        for (token, field, shown) in keys.chain(principals).chain(own) {
            let place = *places.entry(token).or_insert_with_key(|token| {
                all.push((token.clone(), Vec::new()));
                all.len() - 1
            });
            let Some((_, owners)) = all.get_mut(place) else { continue };
            // A person may have the same key in two lines.
            if owners.last().is_none_or(|last| last.user != &user.name) {
                owners.push(Owner { user: &user.name, field, shown });
            }
        }
    }
    all.retain(|(_, owners)| owners.len() > 1);
    all
}

impl Resources {
    /// Every key and principal that more than one user has.
    #[must_use]
    pub fn shared(&self) -> Vec<Shared> {
        let shared = |(_, owners): (Token, Vec<Owner<'_>>)| {
            let what = owners.first()?.shown.to_string();
            Some(Shared { what, users: owners.iter().map(|owner| owner.user.clone()).collect() })
        };
        owners(self).into_iter().filter_map(shared).collect()
    }

    /// The same, for a snapshot to look up.
    pub(crate) fn shared_tokens(&self) -> HashSet<Token> {
        owners(self).into_iter().map(|(token, _)| token).collect()
    }

    /// What the users whom a text creates or changes would share with others. What was shared
    /// before, and stays as it was, is no problem of this text: it must be possible to write
    /// another resource meanwhile.
    pub(super) fn newly_shared(&self, written: &HashSet<UserName>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (_, owners) in owners(self) {
            // Of several that are written, the first may keep it.
            let keeps = owners.iter().find(|owner| !written.contains(owner.user)).or(owners.first());
            let Some(keeps) = keeps else { continue };
            for owner in owners.iter().filter(|owner| owner.user != keeps.user) {
                if !written.contains(owner.user) {
                    continue;
                }
                let why = format!(
                    "{} is user `{}`'s already; what logs one person in must not log in another, so take it \
                     from one of them",
                    owner.shown, keeps.user
                );
                let of = ResourceName { kind: Kind::User, name: owner.user.to_string() };
                problems.push(Problem { of, field: owner.field.clone(), why });
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn user(name: &str, more: &str) -> String {
        format!("[[user]]\nname = \"{name}\"\n{more}\n")
    }

    fn keyed(name: &str, comment: &str) -> String {
        user(name, &format!("keys = [\"{KEY} {comment}\"]"))
    }

    fn why(before: &Resources, text: &str) -> Vec<String> {
        before
            .update(text)
            .map_or_else(|mistakes| mistakes.0.iter().map(ToString::to_string).collect(), |_| Vec::new())
    }

    #[test]
    fn a_key_that_is_another_users_is_refused_with_that_users_name() {
        let nobody = Resources::default();
        let both = keyed("alice", "one") + &keyed("bob", "two");
        let found = why(&nobody, &both);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with("line 6, column 9: the key `ssh-ed25519 …GhscHR4f two`")
                && found[0].contains("is user `alice`'s already"),
            "{found:#?}"
        );
        let alice = Resources::read(&keyed("alice", "one")).unwrap();
        let found = why(&alice, &keyed("bob", "two"));
        assert!(found[0].contains("is user `alice`'s already"), "{found:#?}");
        // The twins: another key, the same user again, a user who gives it up in the same text.
        assert_eq!(why(&alice, &keyed("bob", "two").replace("0fg", "0fh").replace("HR4f", "HR4e")), [""; 0]);
        assert_eq!(why(&alice, &keyed("alice", "other-comment")), [""; 0]);
        assert_eq!(why(&alice, &(user("alice", "") + &keyed("bob", "two"))), [""; 0]);
        let twice = user("alice", &format!("keys = [\"{KEY} a\", \"{KEY} b\"]"));
        assert_eq!(why(&nobody, &twice), [""; 0]);
        // Whoever is disabled may be enabled again.
        let off = Resources::read(&keyed("alice", "one\"]\nenabled = false\nprincipals = [\"x")).unwrap();
        assert_eq!(why(&off, &keyed("bob", "two")).len(), 1);
    }

    #[test]
    fn a_principal_that_is_another_users_is_refused_also_where_it_is_their_name() {
        let nobody = Resources::default();
        let named = user("alice", "") + &user("bob", "principals = [\"bob\", \"alice\"]");
        let found = why(&nobody, &named);
        assert!(
            found.len() == 1 && found[0].contains("principal `alice` is user `alice`'s already"),
            "{found:#?}"
        );
        let listed = user("alice", "principals = [\"ops\"]") + &user("bob", "principals = [\"ops\"]");
        assert_eq!(why(&nobody, &listed).len(), 1);
        let late = Resources::read(&user("bob", "principals = [\"alice\"]")).unwrap();
        let found = why(&late, &user("alice", ""));
        assert!(found.len() == 1 && found[0].contains("is user `bob`'s already"), "{found:#?}");
        // The twin that has another one, so its name is free.
        assert_eq!(why(&late, &user("alice", "principals = [\"a\"]")), [""; 0]);
    }

    #[test]
    fn what_was_shared_before_stops_no_other_change_and_can_be_given_up() {
        let mut old = Resources::read(&keyed("alice", "one")).unwrap();
        old.users.extend(Resources::read(&keyed("bob", "two")).unwrap().users);
        let [shared] = old.shared().try_into().unwrap();
        assert!(
            shared.to_string().ends_with("the users `alice` and `bob`: it logs none of them in"),
            "{shared}"
        );
        assert_eq!(why(&old, "[[device]]\nname = \"db01\"\n"), [""; 0]);
        assert_eq!(why(&old, &keyed("bob", "two")), [""; 0], "nothing changes");
        assert_eq!(why(&old, &keyed("bob", "three")).len(), 1);
        assert_eq!(why(&old, &user("alice", "enabled = false")), [""; 0], "alice gives it up");
        assert_eq!(old.update(&user("alice", "")).unwrap().whole.shared(), []);
    }
}
