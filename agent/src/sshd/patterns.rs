//! Patterns and lists of them, as sshd matches names and addresses (ssh_config(5), PATTERNS).

use std::net::IpAddr;

use tidegate_common::model::Network;

/// Whether a text matches a pattern with `*` and `?`.
pub fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut next) = (0, 0);
    // Where the last `*` stood, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(next) {
            Some('*') => {
                star = Some((next, at));
                next += 1;
            }
            Some(letter) if *letter == '?' || text.get(at) == Some(letter) => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((place, reach)) = star else { return false };
                star = Some((place, reach + 1));
                (at, next) = (reach + 1, place + 1);
            }
        }
    }
    pattern.get(next..).unwrap_or_default().iter().all(|letter| *letter == '*')
}

/// Whether a list between commas takes it; one with `!` that matches rules it out.
fn listed(list: &str, one: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    for pattern in list.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if one(pattern) => return false,
            Some(_) => {}
            None => found |= one(pattern),
        }
    }
    found
}

/// Whether one of the names is in one of the lists.
pub fn any_listed<'a>(names: &[String], mut lists: impl Iterator<Item = &'a str>) -> bool {
    lists.any(|list| names.iter().any(|name| listed(list, |pattern| matches(name, pattern))))
}

/// Whether `USER` or `USER@HOST` takes a user from an address. A host's name counts only where
/// sshd looks names up, which is not asked here.
pub fn is_user(pattern: &str, user: &str, from: IpAddr) -> bool {
    match pattern.rsplit_once('@') {
        None => matches(user, pattern),
        Some((name, hosts)) => matches(user, name) && listed(hosts, |host| is_address(host, from)),
    }
}

fn is_address(pattern: &str, address: IpAddr) -> bool {
    match pattern.parse::<Network>() {
        Ok(network) => network.holds(address),
        Err(_) => matches(&address.to_string(), pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_what_sshd_takes() {
        for (text, pattern) in [("ops", "ops"), ("ops", "o*"), ("ops", "?ps"), ("", "*"), ("a.b.c", "a*b*c*")]
        {
            assert!(matches(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in [("ops", "op"), ("ops", "?"), ("", "?"), ("abcd", "a*c"), ("ops", "")] {
            assert!(!matches(text, pattern), "{text} {pattern}");
        }
    }

    #[test]
    fn a_user_may_be_bound_to_addresses_and_a_list_rules_out() {
        let from: IpAddr = "192.0.2.7".parse().unwrap();
        for pattern in ["ops", "ops@192.0.2.7", "ops@192.0.2.0/24", "*@192.0.2.*", "ops@10.0.0.1,192.0.2.7"] {
            assert!(is_user(pattern, "ops", from), "{pattern}");
        }
        for pattern in
            ["deploy", "ops@192.0.3.0/24", "ops@192.0.2.0/24,!192.0.2.7", "ops@::/0", "ops@192.0.2.7/33"]
        {
            assert!(!is_user(pattern, "ops", from), "{pattern}");
        }
        assert!(
            is_user("ops@0.0.0.0/0", "ops", from) && is_user("ops@::/0", "ops", "fd00::1".parse().unwrap())
        );
        let groups = ["ops".to_owned(), "adm".to_owned()];
        assert!(any_listed(&groups, ["wheel", "ad?"].into_iter()));
        assert!(!any_listed(&groups, ["wheel"].into_iter()));
    }
}
