use jiff::{Span, Timestamp};
use proptest::prelude::*;

use super::command::{pieces, takes};
use super::*;
use crate::audit::{CommandSource, CommandText, Note};
use crate::model::{Resources, Snapshot};
use crate::testing::{self, noon};
use crate::wire::Exec;

mod drafts;
mod kernel;

fn after(seconds: i64) -> Timestamp {
    noon().checked_add(Span::new().seconds(seconds)).unwrap()
}

/// A change that is approved, from noon for an hour, and expects these; one that ends in `?` is
/// optional.
fn change(expected: &[&str]) -> Change {
    let expected = expected.iter().map(|line| {
        let (line, optional) = line.strip_suffix('?').map_or((*line, false), |line| (line, true));
        Expected { command: line.parse().unwrap(), optional }
    });
    Change { expected: expected.collect(), ..testing::change() }
}

fn typed(comparer: &mut Comparer, line: &str) -> bool {
    comparer.line(CommandSource::Typed, line).is_none()
}

fn score(report: &Report) -> (u64, u64, u64) {
    let Score { matched, unexpected, missing } = report.score();
    (matched, unexpected, missing)
}

#[test]
fn a_change_covers_its_group_its_devices_and_its_window_and_says_why_not() {
    let (dba, db01) = ("dba".parse().unwrap(), "db01".parse().unwrap());
    let covers = |change: &Change, now| change.covers(&dba, &db01, now).map_err(|why| why.to_string());
    assert_eq!(covers(&change(&[]), noon()), Ok(()));
    let why = |change: Change, now| covers(&change, now).unwrap_err();
    assert_eq!(why(change(&[]), after(-1)), "change `CHG-1` begins only at 2026-06-01T12:00:00Z");
    assert_eq!(why(change(&[]), after(3600)), "the time of change `CHG-1` was over at 2026-06-01T13:00:00Z");
    let elsewhere = Change { devices: vec!["web01".parse().unwrap()], ..change(&[]) };
    assert_eq!(why(elsewhere, noon()), "change `CHG-1` is not for db01, only for web01");
    let other = Change { group: "web".parse().unwrap(), ..change(&[]) };
    assert_eq!(why(other, noon()), "there is no change `CHG-1` that is open to you");
    let waiting = Change { state: ChangeState::WaitingApproval, ..change(&[]) };
    assert_eq!(why(waiting, noon()), "change `CHG-1` is waiting for approval");
}

#[test]
fn a_change_that_nobody_approved_until_it_was_due_reads_as_expired_and_no_other_does() {
    let waiting = Change { state: ChangeState::WaitingApproval, ..change(&[]) };
    assert_eq!(waiting.clone().read_at(after(3599)), waiting);
    let expired = waiting.clone().read_at(after(3600));
    assert_eq!(expired.state, ChangeState::Expired { at: waiting.due });
    assert_eq!(expired.state_word().word().parse::<ChangeStateWord>(), Ok(ChangeStateWord::Expired));
    assert_eq!(Change { state: ChangeState::WaitingApproval, ..expired }, waiting);
    let (dba, db01) = ("dba".parse().unwrap(), "db01".parse().unwrap());
    let why = waiting.covers(&dba, &db01, after(3600)).unwrap_err();
    assert_eq!(why.to_string(), "change `CHG-1` is expired");
    assert_eq!(change(&[]).read_at(after(7200)), change(&[]), "one that is approved is still to be closed");
}

#[test]
fn what_ran_is_matched_unexpected_or_missing_and_the_score_counts_them() {
    let mut comparer = Comparer::new(&change(&["systemctl restart postgresql", "df -h", "uptime?"]));
    assert!(typed(&mut comparer, "  systemctl   restart 'postgresql'"));
    assert!(!typed(&mut comparer, "rm -rf /srv"));
    let report = comparer.report();
    assert_eq!(score(&report), (1, 1, 1));
    assert_eq!(report.score().percent(), 33);
    assert_eq!(report.missing().map(|outcome| outcome.command.as_str()).collect::<Vec<_>>(), ["df -h"]);
    assert_eq!(Comparer::new(&change(&[])).report().score().percent(), 100, "nothing was to run");
}

#[test]
fn each_unexpected_command_is_told_once_whichever_source_tells_of_it() {
    let mut comparer = Comparer::new(&change(&["df -h"]));
    let told = comparer.line(CommandSource::Typed, "rm  'x y'").unwrap();
    assert_eq!((told.command.as_str(), told.source), ("rm  'x y'", CommandSource::Typed));
    assert!(comparer.line(CommandSource::Exec, "/bin/rm 'x y'").is_none());
    assert!(comparer.line(CommandSource::Typed, "rm x y").is_some(), "two files are not one");
    assert_eq!(comparer.report().unexpected.len(), 2);
}

#[test]
fn a_star_stands_for_arguments_and_never_for_another_command() {
    for (line, expected) in [
        ("systemctl restart nginx", true),
        ("systemctl restart nginx postgresql", true),
        ("/usr/bin/systemctl restart nginx", true),
        ("systemctl stop nginx", false),
        ("/tmp/systemctl restart nginx", false),
        ("systemctl restart nginx; rm -rf /srv", false),
        ("systemctl restart nginx && rm -rf /srv", false),
        ("systemctl restart nginx | sh", false),
        ("systemctl restart nginx & rm -rf /srv", false),
        ("systemctl restart $(rm -rf /srv)", false),
        ("systemctl restart \"$(rm -rf /srv)\"", false),
        ("systemctl restart `rm -rf /srv`", false),
        ("systemctl restart <(rm -rf /srv)", false),
        ("(systemctl restart nginx)", true),
        ("systemctl restart nginx; systemctl restart postgresql", true),
        ("systemctl restart nginx 2>&1", true),
        ("systemctl restart ';' rm", true),
        ("", true),
        ("# a remark", true),
        ("exit", true),
        ("exit 7; rm -rf /srv", false),
    ] {
        let mut comparer = Comparer::new(&change(&["systemctl restart *"]));
        assert_eq!(typed(&mut comparer, line), expected, "{line}");
    }
}

#[test]
fn a_line_of_several_commands_has_run_when_all_of_them_were_seen() {
    let mut comparer = Comparer::new(&change(&["cat /etc/passwd | sort | head -5"]));
    assert!(typed(&mut comparer, "cat /etc/passwd"));
    assert!(typed(&mut comparer, "sort"));
    assert_eq!(score(&comparer.report()), (0, 0, 1));
    assert!(typed(&mut comparer, "head -5"));
    assert_eq!(score(&comparer.report()), (1, 0, 0));
}

#[test]
fn in_order_a_command_waits_for_those_that_have_to_run_before_it() {
    let ordered = Change { ordered: true, ..change(&["stop a", "note?", "copy b", "start a"]) };
    let mut comparer = Comparer::new(&ordered);
    let early = comparer.line(CommandSource::Typed, "start a").unwrap();
    assert!(early.out_of_order);
    for line in ["stop a", "copy b", "stop a", "start a"] {
        assert!(typed(&mut comparer, line), "{line}");
    }
    assert_eq!(score(&comparer.report()), (3, 1, 0));
    let mut any = Comparer::new(&Change { ordered: false, ..ordered });
    assert!(typed(&mut any, "start a"));
}

#[test]
fn two_sessions_under_a_change_are_reported_together() {
    let plan = change(&["one", "two", "three"]);
    let run = |lines: &[&str]| {
        let mut comparer = Comparer::new(&plan);
        lines.iter().for_each(|line| drop(comparer.line(CommandSource::Exec, line)));
        comparer.report()
    };
    let both = Report::default().with(&run(&["one", "bad"])).with(&run(&["two", "bad", "worse"]));
    assert_eq!(score(&both), (2, 2, 1));
}

#[test]
fn what_is_unexpected_without_end_is_counted_and_not_kept() {
    let mut comparer = Comparer::new(&change(&["df"]));
    for number in 0..700 {
        let _ = comparer.line(CommandSource::Typed, &format!("rm {number}"));
    }
    let report = comparer.report();
    assert_eq!((report.unexpected.len(), report.more), (500, 200));
    assert_eq!(report.score().unexpected, 700);
}

#[test]
fn a_pattern_that_would_take_anything_is_no_expected_command() {
    for text in ["", "  ", "*", "* -rf", "df; *", "a\nb", "#x"] {
        assert!(text.parse::<CommandPattern>().is_err(), "{text:?}");
    }
    assert!("df *".parse::<CommandPattern>().is_ok());
}

/// The stars of a pattern, tried in every way.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, _) => text.is_empty(),
        (Some(('*', rest)), None) => naive(rest, text),
        (Some(('*', rest)), Some((_, after))) => naive(rest, text) || naive(pattern, after),
        (Some((one, rest)), Some((other, after))) => one == other && naive(rest, after),
        (Some(_), None) => false,
    }
}

proptest! {
    #[test]
    fn stars_match_as_trying_every_way_does(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(takes(&pattern, &text), naive(&letters(&pattern), &letters(&text)));
    }

    #[test]
    fn whatever_a_line_is_it_is_cut_into_commands_of_some_words(line in "[-a-c'\"\\\\$()`;|&<>{} \n*=0#~]{0,60}") {
        for piece in pieces(&line) {
            prop_assert!(!piece.words().is_empty() && !piece.program().is_empty());
            piece.as_run();
        }
    }

    #[test]
    fn a_line_is_expected_by_a_plan_that_names_it(line in "[a-c][-a-c'$();|&> ]{0,40}") {
        prop_assume!(line.parse::<CommandPattern>().is_ok());
        let expected = Expected { command: line.parse().unwrap(), optional: false };
        let mut comparer = Comparer::new(&Change { expected: vec![expected], ..change(&[]) });
        prop_assert_eq!(comparer.line(CommandSource::Typed, line.trim()), None);
        prop_assert_eq!(score(&comparer.report()), (1, 0, 0));
    }

    #[test]
    fn the_score_adds_up_whatever_ran(lines in proptest::collection::vec("[a-d]( [a-c;|]){0,3}", 0..30), ordered: bool) {
        let plan = Change { ordered, ..change(&["a", "b *", "c a | d?", "d"]) };
        let mut comparer = Comparer::new(&plan);
        let mut told = 0;
        for line in &lines {
            told += u64::from(comparer.line(CommandSource::Typed, line).is_some());
        }
        let report = comparer.report();
        let Score { matched, unexpected, missing } = report.score();
        prop_assert_eq!(unexpected, told);
        prop_assert!(matched + missing <= 4 && missing <= 3);
        prop_assert!(report.score().percent() <= 100);
        // Told again, nothing is new.
        for line in &lines {
            prop_assert!(ordered || comparer.line(CommandSource::Exec, line).is_none());
        }
        let twice = report.clone().with(&report);
        prop_assert_eq!(twice.score(), report.score());
    }
}
