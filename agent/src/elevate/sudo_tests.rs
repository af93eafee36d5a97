//! The text of rules, the listing of sudo, and both against the host's own sudo.

use super::*;
use crate::test::Scratch;

fn rule(json: &str) -> SudoRule {
    serde_json::from_str(json).unwrap()
}

fn account() -> AccountName {
    "ops".parse().unwrap()
}

fn end() -> Option<jiff::Timestamp> {
    Some("2026-11-23T19:00:00+01:00".parse().unwrap())
}

#[test]
fn a_rule_is_written_with_its_end_in_utc() {
    let rule =
        rule(r#"{"run_as":["www-data"],"commands":["/usr/bin/id","/usr/bin/a -x b@c"],"tags":["NOPASSWD"]}"#);
    let account = account();
    let rule = Rule { account: &account, rule: &rule, not_after: end() };
    let text = rule.text(Some(SudoVersion::Dated)).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(last, "ops ALL=(www-data) NOTAFTER=20261123180000Z NOPASSWD: /usr/bin/id, /usr/bin/a -x b@c");
    let text = rule.text(Some(SudoVersion::Undated)).unwrap();
    assert!(!text.contains("NOTAFTER"), "{text}");
}

#[test]
fn a_rule_that_asks_for_a_password_says_so_whatever_the_hosts_settings_are() {
    let account = account();
    for (tags, written) in
        [("[]", "PASSWD: ALL"), ("[\"PASSWD\"]", "PASSWD: ALL"), ("[\"NOEXEC\"]", "PASSWD: NOEXEC: ALL")]
    {
        let rule = rule(&format!("{{\"tags\":{tags}}}"));
        let rule = Rule { account: &account, rule: &rule, not_after: None };
        let text = rule.text(None).unwrap();
        assert_eq!(text.lines().last(), Some(format!("ops ALL=(root) {written}").as_str()), "{tags}");
    }
}

#[test]
fn a_line_that_would_have_commands_run_elsewhere_refuses_before_a_session_and_one_for_others_does_not() {
    let scratch = Scratch::new();
    let paths = scratch.paths();
    std::fs::write(paths.etc.join("passwd"), "ops:x:1000:1000::/:/bin/sh\n").unwrap();
    let (account, rule) = (account(), rule("{}"));
    let rule = Rule { account: &account, rule: &rule, not_after: None };
    let planned = |policy: &str| {
        std::fs::write(paths.etc.join("sudoers"), policy).unwrap();
        plan(paths, Some(SudoVersion::Dated), &rule, "01abc-0", false)
    };
    let wrong = planned("# ours\nDefaults:ops runchroot=/srv/jail\n").unwrap_err();
    let place = format!("line 2 of {}", paths.etc.join("sudoers").display());
    assert!(wrong.contains("in another root, /srv/jail") && wrong.contains(&place), "{wrong}");
    planned("Defaults:jane runchroot=/srv/jail\n").unwrap();
    let wrong = planned("Defaults !root_sudo\n").unwrap_err();
    assert!(wrong.contains("sudo does not answer root (`Defaults !root_sudo`, line 1 of"), "{wrong}");
    planned("Defaults:ops !root_sudo\n").unwrap();
    planned("Defaults !root_sudo\nDefaults root_sudo\n").unwrap();
}

#[test]
fn an_account_that_reads_as_an_alias_is_refused_and_a_plain_one_is_not() {
    let rule = rule("{}");
    for (name, fine) in [("ALL", false), ("ADMINS_2", false), ("Ops", true), ("ops", true)] {
        let account: AccountName = name.parse().unwrap();
        let rule = Rule { account: &account, rule: &rule, not_after: None };
        assert_eq!(rule.text(None).is_ok(), fine, "{name}");
    }
}

#[test]
fn versions_with_an_end_date_are_known() {
    for (text, version) in [
        ("visudo version 1.9.13p3\nvisudo grammar version 50", SudoVersion::Dated),
        ("visudo version 1.8.20", SudoVersion::Dated),
        ("visudo version 1.8.19p2", SudoVersion::Undated),
        ("visudo-rs 0.2.8", SudoVersion::Undated),
    ] {
        assert_eq!(SudoVersion::read(text), version, "{text}");
    }
}

#[test]
fn a_rule_is_in_force_only_when_all_its_fields_are_listed() {
    let listing = "User ops may run the following commands on vm:\n\nSudoers entry:\n    RunAsUsers: root\n    \
                   Options: !authenticate\n    NotAfter: 20261123180000Z\n    Commands:\n\t/usr/bin/id\n";
    let json = r#"{"commands":["/usr/bin/id"]}"#;
    let account = account();
    let plain = rule(json);
    let here = |rule: &SudoRule, not_after| {
        let rule = Rule { account: &account, rule, not_after };
        let entries = listing::entries(listing);
        listing::standing(&entries, &rule.granted(Some(SudoVersion::Dated), true)) == Standing::Decides
    };
    assert!(here(&plain, end()));
    assert!(!here(&plain, None), "another end");
    assert!(!here(&rule(r#"{"commands":["/usr/bin/id","/usr/bin/w"]}"#), end()), "another command");
    assert!(!here(&rule(r#"{"commands":["/usr/bin/id"],"run_as":["ops"]}"#), end()), "another account");
    assert!(!here(&rule(r#"{"commands":["/usr/bin/id"],"tags":[]}"#), end()), "asks for a password");
}

#[test]
fn a_drop_in_is_checked_placed_and_removed() {
    let scratch = Scratch::new();
    let paths = scratch.paths();
    std::fs::write(paths.etc.join("passwd"), "ops:x:1000:1000::/:/bin/sh\n").unwrap();
    let account = account();
    let rule = rule("{}");
    let rule = Rule { account: &account, rule: &rule, not_after: end() };
    let sudo = SudoVersion::of_host().unwrap();
    assert!(sudo.is_some(), "sudo is missing: apt-get install sudo");
    let Delta::Sudo { file, blake3 } = plan(paths, sudo, &rule, "01abc-0", false).unwrap() else { panic!() };
    apply(paths, sudo, &rule, &file).unwrap();
    let placed = paths.sudoers_d().join("01abc-0");
    assert!(placed.exists());
    assert_eq!(undo(paths, &file, &blake3, true), Ok(None));
    assert!(!placed.exists());
    let found = undo(paths, &file, &blake3, true).unwrap().unwrap();
    assert!(found.contains("was gone already"), "{found}");
    assert_eq!(undo(paths, &file, &blake3, false), Ok(None), "a crash before it was written");
    assert_eq!(std::fs::read_dir(paths.sudoers_d()).unwrap().count(), 0);
}

#[test]
fn a_rule_with_a_later_end_stands_beside_the_first_which_goes_alone() {
    let scratch = Scratch::new();
    let paths = scratch.paths();
    std::fs::write(paths.etc.join("passwd"), "ops:x:1000:1000::/:/bin/sh\n").unwrap();
    let (account, rule) = (account(), rule("{}"));
    let sudo = SudoVersion::of_host().unwrap();
    assert!(sudo.is_some(), "sudo is missing: apt-get install sudo");
    // Within one second sudo could not tell them apart, and the agent can.
    let later = end().unwrap() + jiff::SignedDuration::from_millis(1);
    let placed = [end(), Some(later)].map(|not_after| {
        let rule = Rule { account: &account, rule: &rule, not_after };
        let file = rule.file(SessionId::new(1, 1), 0);
        let Delta::Sudo { file, blake3 } = plan(paths, sudo, &rule, &file, false).unwrap() else { panic!() };
        apply(paths, sudo, &rule, &file).unwrap();
        (file, blake3)
    });
    let [(first, blake3), (second, _)] = &placed;
    assert_ne!(first, second);
    assert_eq!(undo(paths, first, blake3, true), Ok(None));
    assert!(!paths.sudoers_d().join(first).exists() && paths.sudoers_d().join(second).exists());
}

#[test]
fn a_drop_in_that_someone_changed_is_taken_away_kept_and_reported() {
    let scratch = Scratch::new();
    let paths = scratch.paths();
    std::fs::create_dir_all(paths.sudoers_d()).unwrap();
    std::fs::write(paths.sudoers_d().join("01abc-0"), "kim ALL=(ALL) ALL\n").unwrap();
    let found = undo(paths, "01abc-0", "00", true).unwrap().unwrap();
    assert!(found.contains("had been changed by someone else"), "{found}");
    let kept = std::fs::read_to_string(paths.state.join("changed-01abc-0")).unwrap();
    assert_eq!(kept, "kim ALL=(ALL) ALL\n");
    assert!(!paths.sudoers_d().join("01abc-0").exists());
}

#[test]
fn the_journal_cannot_lead_the_undo_out_of_the_agents_directory() {
    let scratch = Scratch::new();
    let error = undo(scratch.paths(), "../../etc/passwd", "00", true).unwrap_err();
    assert!(error.contains("no file of the agent's directory"), "{error}");
}
