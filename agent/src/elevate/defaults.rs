//! Settings of sudoers(5), `Defaults`, by which sudo does other than a rule says: in another
//! directory or root, only on a terminal, with somebody else's password.
//!
//! Each is told with its file and line before a session. One that would have a command run
//! elsewhere than on the host refuses the grant. A heuristic where a line is bound to hosts, or to
//! aliases in aliases: such a line is taken to count, and sudo itself decides when the rule stands.

use std::collections::BTreeMap;

use tidegate_common::grant::{SudoRule, SudoTag};
use tidegate_common::name::AccountName;

use super::listing::may_match;
use super::settings::{Binding, Setting};
use super::sudoers::{FileLine, Policy};

/// Aliases in aliases, at most.
const MOST_NESTED: u8 = 8;

/// Whose commands, and which.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    pub account: &'a AccountName,
    pub rule: &'a SudoRule,
    /// Whether the account is in a group.
    pub is_in: &'a dyn Fn(&str) -> bool,
}

/// What a setting does to a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// One clause: `its commands begin in /tmp (`Defaults:ops runcwd=/tmp`, line 3 of /etc/sudoers)`.
    pub said: String,
    /// Whether what would run is not what was granted.
    pub refuses: bool,
    /// Whether it is certain that the line counts here.
    pub certain: bool,
}

/// What the policy's settings do to a rule, the last of each name first asked.
pub fn effects(policy: &Policy, whose: &Whose<'_>) -> Vec<Effect> {
    let mut last: BTreeMap<(&str, bool), (&FileLine, &Setting, bool)> = BTreeMap::new();
    // Whether root may ask is of no account's.
    for (line, setting) in policy.settings.iter().filter(|(_, setting)| setting.name != "root_sudo") {
        let (Some(certain), narrow) = applies(policy, setting, whose) else { continue };
        // One that may not count does not take another's place.
        let known = last.contains_key(&(setting.name.as_str(), narrow));
        if certain || setting.on || !known {
            last.insert((&setting.name, narrow), (line, setting, certain));
        }
    }
    let told = last.values().filter_map(|(line, setting, certain)| {
        let (what, refuses) = what(setting, Some(whose.rule))?;
        Some(Effect { said: format!("{what} (`{setting}`, {line})"), refuses, certain: *certain })
    });
    told.collect()
}

/// The same for whoever is granted anything: every line that does something to some rule.
pub fn notable(policy: &Policy) -> Vec<String> {
    let mut last: BTreeMap<(&str, String), (&FileLine, &Setting)> = BTreeMap::new();
    // Whether root may ask is told by itself.
    for (line, setting) in policy.settings.iter().filter(|(_, setting)| setting.name != "root_sudo") {
        last.insert((&setting.name, format!("{:?}", setting.binding)), (line, setting));
    }
    let told = last.values().filter_map(|(line, setting)| {
        let (what, _) = what(setting, None)?;
        Some(format!("{line}: `{setting}`, so {what}"))
    });
    told.collect()
}

/// The line that keeps sudo from answering root, and with it the agent.
pub fn root_kept_out(policy: &Policy) -> Option<(&FileLine, &Setting)> {
    let one = |name: &str| Some(matches!(name, "root" | "#0" | "%root" | "%#0"));
    let about_root = policy.settings.iter().filter(|(_, setting)| setting.name == "root_sudo");
    let mut counts = about_root.filter(|(_, setting)| match &setting.binding {
        Binding::Users(list) => matched(policy, list, MOST_NESTED, &one).is_some(),
        _ => true,
    });
    let (line, setting) = counts.next_back()?;
    (!setting.on).then_some((line, setting))
}

/// The last line that sets this.
pub fn line_of<'p>(policy: &'p Policy, name: &str, on: bool) -> Option<(&'p FileLine, &'p Setting)> {
    let mut all = policy.settings.iter().rev();
    all.find(|(_, setting)| setting.name == name && setting.on == on).map(|(line, setting)| (line, setting))
}

/// Whether a line counts for a rule, for certain or perhaps; `None` when it does not. And whether
/// it is bound to commands or run-as accounts, which sudo looks at last.
fn applies(policy: &Policy, setting: &Setting, whose: &Whose<'_>) -> (Option<bool>, bool) {
    match &setting.binding {
        Binding::All => (Some(true), false),
        Binding::Hosts(list) => (Some(list.iter().any(|host| host == "ALL")), false),
        Binding::Users(list) => {
            let one = |name: &str| match name.strip_prefix('%') {
                Some(group) => Some((whose.is_in)(group)),
                None if name.starts_with(['#', '+']) => None,
                None => Some(name == whose.account.as_str()),
            };
            (matched(policy, list, MOST_NESTED, &one), false)
        }
        Binding::RunAs(list) => {
            let run_as = &whose.rule.run_as;
            let one = |name: &str| match name.starts_with(['#', '+', '%']) {
                true => None,
                false => Some(match run_as.is_empty() {
                    true => name == "root",
                    false => run_as.iter().any(|one| one.as_str() == name || one.as_str() == "ALL"),
                }),
            };
            (matched(policy, list, MOST_NESTED, &one), true)
        }
        Binding::Commands(list) => {
            let wanted = &whose.rule.commands;
            let one = |name: &str| {
                let may = wanted.iter().any(|wanted| may_match(name, wanted.as_str()));
                if may { None } else { Some(false) }
            };
            (matched(policy, list, MOST_NESTED, &one), true)
        }
    }
}

/// Of a list the last that matches decides. `Some(false)`: perhaps.
fn matched(policy: &Policy, list: &[String], left: u8, one: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
    let mut may = false;
    for item in list.iter().rev() {
        let name = item.trim_start_matches('!').trim();
        let negated = (item.len() - item.trim_start_matches('!').len()) % 2 == 1;
        let found = match (name, policy.aliases.get(name)) {
            ("ALL", _) => Some(true),
            (_, Some(inner)) if left > 0 => match matched(policy, inner, left - 1, one) {
                Some(true) => Some(true),
                Some(false) => None,
                None => Some(false),
            },
            _ => one(name),
        };
        match (found, negated) {
            (Some(true), false) => return Some(true),
            (Some(true), true) => return may.then_some(false),
            (None, false) => may = true,
            (None, true) | (Some(false), _) => {}
        }
    }
    may.then_some(false)
}

/// What a setting does to a rule, or to some rule, and whether it refuses it; `None` when nothing.
fn what(setting: &Setting, rule: Option<&SudoRule>) -> Option<(String, bool)> {
    let Setting { name, value, on, .. } = setting;
    let has = |tag: SudoTag| rule.is_some_and(|rule| rule.tags.contains(&tag));
    let asks = !has(SudoTag::NoPasswd);
    let other_than_root = rule.is_none_or(|rule| rule.run_as.iter().any(|name| name.as_str() != "root"));
    let named = |name: &str| rule.is_some_and(|rule| rule.run_as.iter().any(|one| one.as_str() == name));
    let limited = rule.is_none_or(|rule| rule.commands.iter().any(|command| command.as_str() != "ALL"));
    let where_asked = if rule.is_none() { "where a rule asks for a password, " } else { "" };
    let said = match (name.as_str(), on) {
        ("runchroot", true) if value != "*" => {
            return Some((format!("its commands would run in another root, {value}"), true));
        }
        ("runcwd", true) if value != "*" => format!("its commands begin in {value}"),
        ("requiretty", true) => "sudo refuses whoever has no terminal".to_owned(),
        ("noexec", true) if !has(SudoTag::Exec) && !has(SudoTag::NoExec) => {
            "its commands cannot start others".to_owned()
        }
        ("intercept", true) => "what its commands start must be granted as well".to_owned(),
        ("rootpw", true) if asks => format!("{where_asked}sudo asks for root's"),
        ("targetpw", true) if asks => {
            format!("{where_asked}sudo asks for that of the account that it runs as")
        }
        ("runaspw", true) if asks => format!("{where_asked}sudo asks for that of runas_default"),
        ("exempt_group", true) if asks => format!("{where_asked}who is in {value} gives none"),
        ("runas_default", true) if value != "root" && !named(value) => {
            format!("sudo means {value} where no account is named, which is not granted")
        }
        ("command_timeout", true) if !value.is_empty() && value != "0" => {
            format!("its commands are ended after {value} s")
        }
        ("runas_check_shell", true) if other_than_root => {
            "sudo refuses accounts whose shell is not in /etc/shells".to_owned()
        }
        ("env_reset", false) | ("setenv", true) if limited && !has(SudoTag::SetEnv) => {
            "its commands get the caller's environment".to_owned()
        }
        ("role" | "type" | "apparmor_profile", true) => {
            format!("its commands are confined by {name} {value}")
        }
        _ => return None,
    };
    Some((said, false))
}

#[cfg(test)]
#[path = "defaults_tests.rs"]
mod tests;
