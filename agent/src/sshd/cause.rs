//! Why sshd does not let an account in, or does something else with it than it is asked for: in
//! the order in which it looks, as functions of what it is told and what the host knows.

use std::net::IpAddr;

use jiff::civil::Date;
use jiff::{Span, ToSpan};
use tidegate_common::name::AccountName;

use super::account::{Account, Over};
use super::lines::{Line, Lines, place};
use super::{Settings, patterns};

/// The kind of the gate's certificates, and of the key that signs them.
const CERTIFICATE: &str = "ssh-ed25519-cert-v01@openssh.com";
const SIGNER: &str = "ssh-ed25519";

/// One sentence each, with the setting and, where it was found, its line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causes {
    /// It is not let in.
    pub refuses: Vec<String>,
    /// It is, and what it asks for is not what it gets.
    pub alters: Vec<String>,
}

/// What sshd has to be told for certificates of the gate to count here.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The file with the keys that sign them.
    pub user_ca: String,
    /// The command that tells whom they must name, where this host is enrolled.
    pub principals: Option<String>,
}

/// What keeps an account out that comes from an address; `settings` are those for it.
#[must_use]
pub fn of(
    settings: &Settings,
    lines: &Lines,
    name: &AccountName,
    account: Option<&Account>,
    from: IpAddr,
    trust: &Trust,
) -> Causes {
    let mut causes = of_everybody(settings, lines);
    causes.refuses.extend(not_in_force(settings, lines, trust));
    let Some(account) = account else {
        causes.refuses.insert(0, format!("there is no account {name} on this host"));
        return causes;
    };
    let keeps = [
        listed(settings, lines, name, account, from),
        of_shadow(settings, name, account),
        of_root(settings, lines, account),
        of_shell(settings, name, account),
    ];
    causes.refuses.extend(keeps.into_iter().flatten());
    if let Some(file) = account.nobody.as_ref().filter(|_| !account.is_root) {
        causes.refuses.push(format!("{} keeps everybody but root out", file.display()));
    }
    if account.shadow.must_change {
        causes.alters.push(format!("{name} has to change its password first (`chage -l {name}`)"));
    }
    let none = account.shell.file_name().is_some_and(|shell| shell == "nologin" || shell == "false");
    if none {
        causes
            .alters
            .push(format!("the shell of {name} is {}, which ends each session", account.shell.display()));
    }
    causes
}

/// What of this does not depend on the account.
#[must_use]
pub fn of_everybody(settings: &Settings, lines: &Lines) -> Causes {
    let mut refuses = Vec::new();
    let setting = |keyword: &'static str, written: &str| {
        let value = settings.value(keyword);
        let line = lines.that_says(keyword, value);
        format!("`{written} {value}`{}", place(line))
    };
    if settings.value("pubkeyauthentication") == "no" {
        refuses
            .push(format!("sshd takes no keys: {}", setting("pubkeyauthentication", "PubkeyAuthentication")));
    }
    for (keyword, written, algorithm) in [
        ("pubkeyacceptedalgorithms", "PubkeyAcceptedAlgorithms", CERTIFICATE),
        ("casignaturealgorithms", "CASignatureAlgorithms", SIGNER),
    ] {
        let value = settings.value(keyword);
        if value != "none" && !value.split(',').any(|one| one == algorithm) {
            let line = lines.of(keyword).next();
            refuses.push(format!("`{written}` leaves out {algorithm}{}", place(line)));
        }
    }
    let methods = settings.value("authenticationmethods");
    let one_is_enough = |list: &str| matches!(list, "any" | "none" | "publickey");
    if !methods.split_whitespace().any(one_is_enough) {
        refuses.push(format!(
            "sshd asks for more than a key, which the gate does not have: {}",
            setting("authenticationmethods", "AuthenticationMethods")
        ));
    }
    let mut alters = Vec::new();
    if settings.value("forcecommand") != "none" {
        alters.push(format!(
            "sshd runs something else than is asked for: {}",
            setting("forcecommand", "ForceCommand")
        ));
    }
    Causes { refuses, alters }
}

/// What keeps the agent's own settings from being in force.
#[must_use]
pub fn not_in_force(settings: &Settings, lines: &Lines, trust: &Trust) -> Option<String> {
    let wanted = [
        ("trustedusercakeys", "TrustedUserCAKeys", Some(trust.user_ca.as_str())),
        ("authorizedprincipalsfile", "AuthorizedPrincipalsFile", Some("none")),
        ("authorizedprincipalscommand", "AuthorizedPrincipalsCommand", trust.principals.as_deref()),
    ];
    let other = wanted
        .into_iter()
        .find(|(keyword, _, wanted)| wanted.is_some_and(|wanted| settings.value(keyword) != wanted));
    let (keyword, written, wanted) = other?;
    let own = lines.that_says(keyword, wanted.unwrap_or_default());
    if let Some(bound) = own.and_then(Line::under) {
        return Some(format!(
            "what is in {} counts only under `Match {}`{}: move the Include above every Match",
            own.map(|own| own.file.display().to_string()).unwrap_or_default(),
            bound.value(),
            place(Some(bound))
        ));
    }
    let value = settings.value(keyword);
    match lines.that_says(keyword, value).filter(|_| value != "none") {
        Some(line) => Some(format!("`{written} {value}` ({line}) stands in the place of the agent's")),
        None => Some(format!(
            "sshd is not told `{written}` as the agent needs it; run `tidegate-agent install` on that host"
        )),
    }
}

/// The lists by which sshd lets some accounts in and others not, as they are written.
#[must_use]
pub fn lists(settings: &Settings, lines: &Lines) -> Vec<String> {
    let lists = [
        ("allowusers", "AllowUsers"),
        ("allowgroups", "AllowGroups"),
        ("denyusers", "DenyUsers"),
        ("denygroups", "DenyGroups"),
    ];
    let lists = lists.iter().filter_map(|(keyword, written)| {
        let all: Vec<&str> = settings.values(keyword).collect();
        let line = lines.of(keyword).next();
        (!all.is_empty()).then(|| format!("`{written} {}`{}", all.join(" "), place(line)))
    });
    lists.collect()
}

fn listed(
    settings: &Settings,
    lines: &Lines,
    name: &AccountName,
    account: &Account,
    from: IpAddr,
) -> Option<String> {
    let is_user = |pattern: &&str| patterns::is_user(pattern, name.as_str(), from);
    let said = |keyword: &'static str, written: &str, one: Option<&str>| {
        let all: Vec<&str> = settings.values(keyword).collect();
        let shown = one.map_or_else(|| all.join(" "), str::to_owned);
        let has = |line: &&Line| match one {
            Some(one) => line.value().split(' ').any(|word| word == one),
            None => true,
        };
        format!("`{written} {shown}`{}", place(lines.of(keyword).find(has)))
    };
    if let Some(pattern) = settings.values("denyusers").find(is_user) {
        return Some(format!("{name} is kept out by {}", said("denyusers", "DenyUsers", Some(pattern))));
    }
    if settings.values("allowusers").next().is_some()
        && !settings.values("allowusers").any(|one| is_user(&one))
    {
        return Some(format!("{name} is not in {}", said("allowusers", "AllowUsers", None)));
    }
    let is_group = |list: &str| patterns::any_listed(&account.groups, std::iter::once(list));
    if let Some(list) = settings.values("denygroups").find(|list| is_group(list)) {
        return Some(format!(
            "a group of {name} is kept out by {}",
            said("denygroups", "DenyGroups", Some(list))
        ));
    }
    if settings.values("allowgroups").next().is_some() && !settings.values("allowgroups").any(is_group) {
        return Some(format!("no group of {name} is in {}", said("allowgroups", "AllowGroups", None)));
    }
    None
}

fn of_shadow(settings: &Settings, name: &AccountName, account: &Account) -> Option<String> {
    match account.shadow.over {
        Some(Over::Expired(day)) => {
            let day = date(day).map_or_else(String::new, |day| format!(" on {day}"));
            return Some(format!("the account {name} has expired{day} (`chage -l {name}`)"));
        }
        Some(Over::Inactive) => {
            return Some(format!(
                "the account {name} is inactive, because its password was not changed in time (`chage -l {name}`)"
            ));
        }
        None => {}
    }
    // PAM looks at the password only when it is asked for one.
    (account.shadow.locked && settings.value("usepam") != "yes").then(|| {
        format!("the account {name} is locked, which counts where sshd does not use PAM (`passwd -S {name}`)")
    })
}

fn date(days: i64) -> Option<Date> {
    let span: Span = i32::try_from(days).ok()?.days();
    jiff::civil::date(1970, 1, 1).checked_add(span).ok()
}

fn of_root(settings: &Settings, lines: &Lines, account: &Account) -> Option<String> {
    let value = settings.value("permitrootlogin");
    let forced = value == "forced-commands-only" && settings.value("forcecommand") == "none";
    (account.is_root && (value == "no" || forced)).then(|| {
        format!(
            "sshd does not let root in: `PermitRootLogin {value}`{}",
            place(lines.of("permitrootlogin").next())
        )
    })
}

fn of_shell(settings: &Settings, name: &AccountName, account: &Account) -> Option<String> {
    // Inside a chroot it is another.
    (!account.has_shell && settings.value("chrootdirectory") == "none").then(|| {
        format!("the shell of {name}, {}, is not there or cannot be started", account.shell.display())
    })
}
