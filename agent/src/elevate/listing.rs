//! What sudo says that an account may run (`sudo -ll -U ACCOUNT`), rule by rule in the
//! order in which it reads them: of those that match a command, the last decides.

use std::fmt;

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands; sudo tells since 1.9.14.
    pub place: Option<String>,
    run_as: Vec<String>,
    options: Vec<String>,
    not_after: Option<String>,
    commands: Vec<String>,
}

/// A rule as it was granted.
#[derive(Debug, Clone)]
pub struct Granted<'a> {
    pub run_as: Vec<&'a str>,
    pub commands: Vec<&'a str>,
    pub asks_password: bool,
    pub not_after: Option<String>,
    /// Whether rules that say neither ask for one.
    pub asks_by_default: bool,
}

/// What comes of a rule among all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It decides.
    Decides,
    /// sudo does not list it.
    Missing,
    /// A later one does otherwise for a command that it allows.
    Overridden(Entry),
}

/// The rules of a listing.
pub fn entries(listing: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut in_commands = false;
    for line in listing.lines() {
        let trimmed = line.trim();
        // "Sudoers entry:", and of other sources "LDAP Role:" and "SSSD Role:".
        let heading = ["Sudoers entry:", "LDAP Role:", "SSSD Role:"];
        if let Some(place) = heading.iter().find_map(|heading| trimmed.strip_prefix(heading)) {
            let place = Some(place.trim()).filter(|place| !place.is_empty()).map(str::to_owned);
            entries.push(Entry { place, ..Entry::default() });
            in_commands = false;
            continue;
        }
        let Some(entry) = entries.last_mut() else { continue };
        let list = |list: &str| list.split(',').map(|word| word.trim().to_owned()).collect();
        if trimmed == "Commands:" {
            in_commands = true;
        } else if in_commands && !trimmed.is_empty() {
            entry.commands.push(trimmed.to_owned());
        } else if let Some(value) = trimmed.strip_prefix("RunAsUsers:") {
            entry.run_as = list(value);
        } else if let Some(value) = trimmed.strip_prefix("Options:") {
            entry.options = list(value);
        } else if let Some(value) = trimmed.strip_prefix("NotAfter:") {
            entry.not_after = Some(value.trim().to_owned());
        }
    }
    entries
}

/// The settings that sudo finds to match the account, as it writes them: `runcwd=/tmp`, `!lecture`.
/// Those bound to commands or to run-as accounts are not among them.
pub fn settings(listing: &str) -> Vec<String> {
    let mut lines = listing.lines().skip_while(|line| !line.starts_with("Matching Defaults entries"));
    lines.next();
    let text: Vec<&str> = lines.map(str::trim).take_while(|line| !line.is_empty()).collect();
    let text = text.join(" ");
    let settings = text.split(", ").map(|setting| setting.trim_end_matches(',').trim().to_owned());
    settings.filter(|setting| !setting.is_empty()).collect()
}

/// Whether the granted rule is what sudo goes by.
pub fn standing(entries: &[Entry], granted: &Granted<'_>) -> Standing {
    let Some(place) = entries.iter().rposition(|entry| entry.is(granted)) else { return Standing::Missing };
    let (_, later) = entries.split_at(place.saturating_add(1));
    let Some(own) = entries.get(place) else { return Standing::Missing };
    match later.iter().rev().find(|entry| entry.overrides(granted, own)) {
        Some(entry) => Standing::Overridden(entry.clone()),
        None => Standing::Decides,
    }
}

impl Entry {
    fn is(&self, granted: &Granted<'_>) -> bool {
        self.run_as == granted.run_as
            && self.commands == granted.commands
            && self.asks_password(granted.asks_by_default) == granted.asks_password
            && self.not_after == granted.not_after
    }

    fn asks_password(&self, by_default: bool) -> bool {
        let said = self.options.iter().rev().find_map(|option| match option.as_str() {
            "authenticate" => Some(true),
            "!authenticate" => Some(false),
            _ => None,
        });
        said.unwrap_or(by_default)
    }

    /// Whether it may match a command of the granted rule, and does otherwise with it. Where
    /// that cannot be told apart it does.
    fn overrides(&self, granted: &Granted<'_>, own: &Self) -> bool {
        let run_as = self.run_as.iter().any(|name| {
            let plain = |name: &str| name != "ALL" && !name.starts_with(['%', '#', '+', '!']);
            granted.run_as.iter().any(|wanted| !plain(name) || !plain(wanted) || name == wanted)
        });
        let matched = |command: &&String| granted.commands.iter().any(|wanted| may_match(command, wanted));
        let matching: Vec<&String> = self.commands.iter().filter(matched).collect();
        // `setenv` comes with ALL, and forbids nothing; whether it asks is compared by itself.
        let apart = ["setenv", "authenticate", "!authenticate"];
        let same = |one: &[String], other: &[String]| {
            one.iter().filter(|option| !apart.contains(&option.as_str())).all(|option| other.contains(option))
        };
        let asks = |entry: &Self| entry.asks_password(granted.asks_by_default);
        let otherwise = matching.iter().any(|command| command.starts_with('!'))
            || asks(self) != asks(own)
            || !same(&self.options, &own.options)
            || !same(&own.options, &self.options);
        run_as && !matching.is_empty() && otherwise
    }
}

/// Whether one command may match what the other does. sudo compares the last part of the
/// path first, so different ones never do.
pub fn may_match(command: &str, wanted: &str) -> bool {
    let name = |command: &str| {
        let command = command.trim_start_matches('!').trim_start();
        // Digests stand before the path.
        let mut words = command.split_whitespace().skip_while(|word| word.contains(':'));
        let path = words.next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        // `ALL`, a directory, a pattern or a regular expression.
        let open = path == "ALL" || name.is_empty() || path.contains(['*', '?', '[', '^', '\\']);
        (!open).then(|| name.to_owned())
    };
    match (name(command), name(wanted)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// `(ALL) NOPASSWD: ALL`
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) ", self.run_as.join(", "))?;
        if !self.asks_password(true) {
            f.write_str("NOPASSWD: ")?;
        }
        f.write_str(&self.commands.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "Sudoers entry:\n    RunAsUsers: root\n    Options: !authenticate\n    NotAfter: 2Z\n    \
                       Commands:\n\t/usr/bin/id\n\t/usr/bin/systemctl restart *\n\n";

    fn rule(run_as: &str, options: &str, commands: &str) -> String {
        let options = if options.is_empty() { String::new() } else { format!("    Options: {options}\n") };
        format!(
            "Sudoers entry: /etc/sudoers.d/zz\n    RunAsUsers: {run_as}\n{options}    Commands:\n\t{commands}\n\n"
        )
    }

    fn judged(listing: &str) -> Standing {
        let granted = Granted {
            run_as: vec!["root"],
            commands: vec!["/usr/bin/id", "/usr/bin/systemctl restart *"],
            asks_password: false,
            not_after: Some("2Z".to_owned()),
            asks_by_default: true,
        };
        standing(&entries(listing), &granted)
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let everything = rule("ALL", "", "ALL");
        assert_eq!(judged(&everything), Standing::Missing);
        assert_eq!(judged(&(everything.clone() + OWN)), Standing::Decides, "it comes before");
        let Standing::Overridden(entry) = judged(&(OWN.to_owned() + &everything)) else { panic!() };
        assert_eq!(entry.place.as_deref(), Some("/etc/sudoers.d/zz"));
        assert_eq!(entry.to_string(), "(ALL) ALL");
        // The same, twice: another session's.
        assert_eq!(judged(&(OWN.to_owned() + &everything + OWN)), Standing::Decides);
    }

    #[test]
    fn a_rule_that_says_nothing_of_a_password_asks_as_the_settings_say() {
        let own = rule("root", "authenticate", "ALL");
        let silent = rule("ALL", "", "ALL");
        let judged = |asks_by_default: bool| {
            let (run_as, commands) = (vec!["root"], vec!["ALL"]);
            let granted = Granted { run_as, commands, asks_password: true, not_after: None, asks_by_default };
            standing(&entries(&(own.clone() + &silent)), &granted)
        };
        assert_eq!(judged(true), Standing::Decides);
        assert!(matches!(judged(false), Standing::Overridden(_)), "the later one asks for none");
    }

    #[test]
    fn the_settings_of_a_listing_are_read_over_its_lines() {
        let listing = "Matching Defaults entries for ops on vm:\n    env_reset, secure_path=/bin\\:/sbin,\n    \
                       runchroot=/srv, env_keep+=\"A B\", !authenticate\n\nRunas and Command-specific defaults for ops:\n    \
                       Defaults>root noexec\n\nUser ops may run\n";
        let expected =
            ["env_reset", "secure_path=/bin\\:/sbin", "runchroot=/srv", "env_keep+=\"A B\"", "!authenticate"];
        assert_eq!(settings(listing), expected);
        assert_eq!(settings("User ops may run\n"), [""; 0]);
    }

    #[test]
    fn a_later_rule_counts_where_it_may_match_and_does_otherwise() {
        for (run_as, options, commands, overrides) in [
            ("ALL", "", "ALL", true),
            ("root", "", "!ALL", true),
            ("root", "!authenticate", "ALL\n\t!/usr/bin/id", true),
            ("root", "!authenticate", "ALL\n\t!/usr/bin/su", false),
            ("root", "!authenticate, noexec", "ALL", true),
            ("#0", "", "/usr/bin/id", true),
            ("%adm", "", "/bin/id", true),
            ("root", "", "/usr/bin/i*", true),
            ("root", "", "/usr/bin/", true),
            ("root", "", "sha224:00 /usr/bin/systemctl stop x", true),
            ("root", "setenv, !authenticate", "ALL", false),
            ("root", "", "/usr/bin/w", false),
            ("www-data, jane", "", "ALL", false),
            ("root", "", "sudoedit /etc/hosts", false),
        ] {
            let judged = judged(&(OWN.to_owned() + &rule(run_as, options, commands)));
            assert_eq!(judged != Standing::Decides, overrides, "{run_as} {options} {commands}");
        }
    }
}
