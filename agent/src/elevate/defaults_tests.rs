//! Lines of settings, whom they count for, and what they do.

use super::*;
use crate::elevate::settings::{aliases, parse};
use crate::test::Scratch;

fn setting(binding: Binding, name: &str, value: &str, on: bool) -> Setting {
    Setting { binding, name: name.to_owned(), value: value.to_owned(), on }
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_line_is_read_with_what_it_is_bound_to_and_each_of_its_settings() {
    let all = |name: &str, value: &str, on| setting(Binding::All, name, value, on);
    let users =
        |names: &[&str], name: &str, value: &str| setting(Binding::Users(list(names)), name, value, true);
    for (line, expected) in [
        ("Defaults\trequiretty", vec![all("requiretty", "", true)]),
        (
            "Defaults !root_sudo, runcwd = \"/a, b\" , !!noexec # runchroot=/x",
            vec![all("root_sudo", "", false), all("runcwd", "/a, b", true), all("noexec", "", true)],
        ),
        ("Defaults env_keep += \"A B\"", vec![all("env_keep", "A B", true)]),
        ("Defaults:ops runcwd=/tmp", vec![users(&["ops"], "runcwd", "/tmp")]),
        (
            "Defaults:ops, %adm ,#1000 runchroot=/srv",
            vec![users(&["ops", "%adm", "#1000"], "runchroot", "/srv")],
        ),
        ("Defaults@web requiretty", vec![setting(Binding::Hosts(list(&["web"])), "requiretty", "", true)]),
        ("Defaults>root noexec", vec![setting(Binding::RunAs(list(&["root"])), "noexec", "", true)]),
        (
            "Defaults!/usr/bin/id, /bin/w runcwd=/x",
            vec![setting(Binding::Commands(list(&["/usr/bin/id", "/bin/w"])), "runcwd", "/x", true)],
        ),
    ] {
        assert_eq!(parse(line), expected, "{line}");
    }
    let found = aliases("User_Alias A = ops, jane : B = !A, ALL");
    assert_eq!(
        found,
        BTreeMap::from([("A".to_owned(), list(&["ops", "jane"])), ("B".to_owned(), list(&["!A", "ALL"]))])
    );
}

fn told(policy: &str, rule: &str) -> Vec<(String, bool, bool)> {
    let scratch = Scratch::new();
    let path = scratch.paths().etc.join("sudoers");
    std::fs::write(&path, policy).unwrap();
    let policy = Policy::read(&path, &scratch.paths().sudoers_d()).unwrap();
    let (account, rule) = ("ops".parse().unwrap(), serde_json::from_str(rule).unwrap());
    let whose = Whose { account: &account, rule: &rule, is_in: &|group| group == "adm" };
    let end = |said: String| said.split(" (").next().unwrap_or_default().to_owned();
    effects(&policy, &whose).into_iter().map(|one| (end(one.said), one.refuses, one.certain)).collect()
}

#[test]
fn a_line_counts_for_whom_it_is_bound_to_and_the_last_of_a_name_decides() {
    let counts = |policy: &str| told(policy, "{}").first().map(|(_, _, certain)| *certain);
    for (policy, expected) in [
        ("Defaults runcwd=/x", Some(true)),
        ("Defaults:ops runcwd=/x", Some(true)),
        ("Defaults:ALL runcwd=/x", Some(true)),
        ("Defaults:%adm runcwd=/x", Some(true)),
        ("Defaults:%wheel runcwd=/x", None),
        ("Defaults:jane runcwd=/x", None),
        ("Defaults:ALL, !ops runcwd=/x", None),
        ("Defaults:+net runcwd=/x", Some(false)),
        ("User_Alias A = jane, B : B = ops\nDefaults:A runcwd=/x", Some(true)),
        ("User_Alias A = jane\nDefaults:A runcwd=/x", None),
        ("Defaults@web runcwd=/x", Some(false)),
        ("Defaults>root runcwd=/x", Some(true)),
        ("Defaults>www-data runcwd=/x", None),
        ("Defaults!/usr/bin/id runcwd=/x", Some(false)),
        ("Defaults runcwd=/x\nDefaults !runcwd", None),
        ("Defaults !runcwd\nDefaults:ops runcwd=/x", Some(true)),
        ("Defaults runcwd=/x\nDefaults:jane !runcwd", Some(true)),
        ("Defaults runcwd=/x\nDefaults@web !runcwd", Some(true)),
        ("Defaults runcwd=*", None),
    ] {
        assert_eq!(counts(policy), expected, "{policy}");
    }
    let id = r#"{"commands":["/usr/bin/id"]}"#;
    assert_eq!(told("Defaults!/usr/bin/w runcwd=/x", id), []);
    assert_eq!(told("Defaults!/bin/id runcwd=/x", id).len(), 1);
}

#[test]
fn what_each_setting_does_is_said_and_only_another_root_refuses() {
    let limited = r#"{"commands":["/usr/bin/id"]}"#;
    let asks = r#"{"tags":[]}"#;
    for (line, rule, said) in [
        ("runchroot=/srv", "{}", Some("its commands would run in another root, /srv")),
        ("runcwd=/tmp", "{}", Some("its commands begin in /tmp")),
        ("requiretty", "{}", Some("sudo refuses whoever has no terminal")),
        ("noexec", "{}", Some("its commands cannot start others")),
        ("noexec", r#"{"tags":["NOPASSWD","EXEC"]}"#, None),
        ("rootpw", "{}", None),
        ("rootpw", asks, Some("sudo asks for root's")),
        ("targetpw", asks, Some("sudo asks for that of the account that it runs as")),
        ("exempt_group=adm", asks, Some("who is in adm gives none")),
        (
            "runas_default=postgres",
            "{}",
            Some("sudo means postgres where no account is named, which is not granted"),
        ),
        ("runas_default=postgres", r#"{"run_as":["postgres"]}"#, None),
        ("command_timeout=30", "{}", Some("its commands are ended after 30 s")),
        ("!env_reset", "{}", None),
        ("!env_reset", limited, Some("its commands get the caller's environment")),
        ("setenv", limited, Some("its commands get the caller's environment")),
        ("use_pty", "{}", None),
        ("lecture=always", "{}", None),
    ] {
        let found = told(&format!("Defaults {line}\n"), rule);
        let refuses = line.starts_with("runchroot");
        let expected: Vec<_> = said.map(|said| (said.to_owned(), refuses, true)).into_iter().collect();
        assert_eq!(found, expected, "{line} {rule}");
    }
}
