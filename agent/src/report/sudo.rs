//! sudo's rules, as cvtsudoers(1) writes them in JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::Deserialize;

use super::accounts::Accounts;

/// Aliases in aliases, at most.
const MOST_NESTED: u8 = 8;

/// `NOPASSWD`, as cvtsudoers calls it.
const NO_PASSWORD: &str = "authenticate=false";

#[derive(Debug, Deserialize)]
struct Policy {
    #[serde(default, rename = "User_Aliases")]
    user_aliases: BTreeMap<String, Vec<Member>>,
    #[serde(default, rename = "Command_Aliases")]
    command_aliases: BTreeMap<String, Vec<Member>>,
    #[serde(default, rename = "Cmnd_Aliases")]
    cmnd_aliases: BTreeMap<String, Vec<Member>>,
    #[serde(default, rename = "User_Specs")]
    user_specs: Vec<Spec>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    #[serde(rename = "User_List")]
    users: Vec<Member>,
    #[serde(rename = "Cmnd_Specs")]
    commands: Vec<Commands>,
}

#[derive(Debug, Deserialize)]
struct Commands {
    #[serde(default)]
    runasusers: Vec<Member>,
    #[serde(default, rename = "Options")]
    options: Vec<BTreeMap<String, serde_json::Value>>,
    #[serde(default, rename = "Commands")]
    commands: Vec<Member>,
}

/// A user, a group, a command, an alias, each in its own key.
#[derive(Debug, Clone, Deserialize)]
struct Member {
    #[serde(default)]
    negated: bool,
    #[serde(flatten)]
    names: BTreeMap<String, serde_json::Value>,
}

/// One rule for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    who: BTreeSet<Who>,
    run_as: Vec<String>,
    commands: Vec<String>,
    options: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Everybody,
    Account(String),
    Group(String),
    GroupId(u32),
    /// A netgroup or a group of a plugin: who is in it, only the directory knows.
    Other(String),
}

/// Reads them.
///
/// # Errors
/// When it is not what cvtsudoers writes.
pub fn parse(told: &[u8]) -> Result<Vec<Rule>, serde_json::Error> {
    let text = escaped(told);
    // Warnings go to the same stream, before.
    let text = text.get(text.find('{').unwrap_or_default()..).unwrap_or_default();
    let policy: Policy = serde_json::from_str(text)?;
    let mut rules = Vec::new();
    for spec in &policy.user_specs {
        let mut who = BTreeSet::new();
        policy.resolve(&spec.users, MOST_NESTED, &mut who);
        for commands in &spec.commands {
            let options = commands.options.iter().flatten().map(|(name, value)| format!("{name}={value}"));
            rules.push(Rule {
                who: who.clone(),
                run_as: names(&commands.runasusers),
                commands: policy.commands(&commands.commands, MOST_NESTED),
                options: options.collect(),
            });
        }
    }
    Ok(rules)
}

/// Names come as they are in the policy, in any encoding; a byte that is no UTF-8 is read as
/// the account files' are, `\xff`.
fn escaped(told: &[u8]) -> String {
    let mut text = String::with_capacity(told.len());
    for chunk in told.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\\\x{byte:02x}");
        }
    }
    text
}

fn names(members: &[Member]) -> Vec<String> {
    members.iter().filter_map(Member::shown).collect()
}

impl Member {
    fn text(&self, key: &str) -> Option<&str> {
        self.names.get(key).and_then(serde_json::Value::as_str)
    }

    fn shown(&self) -> Option<String> {
        let name = self.names.values().find_map(|value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(format!("#{number}")),
            _ => None,
        })?;
        Some(if self.negated { format!("!{name}") } else { name })
    }
}

impl Policy {
    fn resolve(&self, members: &[Member], left: u8, who: &mut BTreeSet<Who>) {
        for member in members.iter().filter(|member| !member.negated) {
            if let Some(name) = member.text("username") {
                who.insert(if name == "ALL" { Who::Everybody } else { Who::Account(name.to_owned()) });
            } else if let Some(name) = member.text("usergroup") {
                who.insert(Who::Group(name.to_owned()));
            } else if let Some(gid) = member.names.get("usergid").and_then(serde_json::Value::as_u64) {
                who.insert(Who::GroupId(u32::try_from(gid).unwrap_or(u32::MAX)));
            } else if let Some(alias) = member.text("useralias") {
                match self.user_aliases.get(alias) {
                    Some(inner) if left > 0 => self.resolve(inner, left - 1, who),
                    _ => _ = who.insert(Who::Other(alias.to_owned())),
                }
            } else if let Some(name) = member.shown() {
                who.insert(Who::Other(name));
            }
        }
    }

    fn commands(&self, members: &[Member], left: u8) -> Vec<String> {
        let mut shown = Vec::new();
        for member in members {
            let alias = member.text("cmndalias").or_else(|| member.text("commandalias"));
            let inner =
                alias.and_then(|name| self.cmnd_aliases.get(name).or_else(|| self.command_aliases.get(name)));
            match inner.filter(|_| left > 0 && !member.negated) {
                Some(inner) => shown.extend(self.commands(inner, left - 1)),
                None => shown.extend(member.shown()),
            }
        }
        shown
    }
}

impl Rule {
    /// The accounts that have it, each with where from. root needs no rule.
    #[must_use]
    pub fn who(&self, accounts: &Accounts) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for who in &self.who {
            match who {
                Who::Everybody => {
                    found.extend(
                        accounts.people().map(|one| (one.to_owned(), "the rule for everybody".to_owned())),
                    );
                }
                Who::Account(name) => {
                    found.insert(name.clone(), "its own rule".to_owned());
                }
                Who::Group(name) => {
                    let members = accounts.members(name).into_iter();
                    found.extend(members.map(|one| (one, format!("the rule for group {name}"))));
                }
                Who::GroupId(gid) => {
                    let name = accounts.group_named(*gid).unwrap_or_default();
                    let members = accounts.members(name).into_iter();
                    found.extend(members.map(|one| (one, format!("the rule for group {name}"))));
                }
                Who::Other(name) => {
                    found.insert(name.clone(), "a rule for a netgroup or an unknown alias".to_owned());
                }
            }
        }
        found.remove("root");
        found
    }
}

/// `ALL as root without a password`
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<&str> = self.commands.iter().take(4).map(String::as_str).collect();
        write!(f, "{}", shown.join(", "))?;
        if self.commands.len() > shown.len() {
            write!(f, " and {} more", self.commands.len() - shown.len())?;
        }
        let run_as = if self.run_as.is_empty() { "root".to_owned() } else { self.run_as.join(", ") };
        write!(
            f,
            " as {run_as}{}",
            if self.options.iter().any(|one| one == NO_PASSWORD) { " without a password" } else { "" }
        )
    }
}
