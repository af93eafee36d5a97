//! Sessions that are compared while they run.

use tidegate_common::audit::{CommandSource, CommandText, Event, Note, Record};
use tidegate_common::notice::Notice;
use tidegate_common::policy::Recipient;
use tidegate_common::wire::{Exec, Witnessed};

use super::*;
use crate::service::testing::shown;
use crate::store::testing::lose_answers;
use crate::store::{NotificationFilter, SessionRow};
use crate::testing::until;

struct Watched {
    world: World,
    watchers: Watchers,
    feed: Feed,
    watching: Option<Watching>,
    ended: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

const SESSION: (u64, u128) = (1, 7);

fn session() -> SessionId {
    SessionId::new(SESSION.0, SESSION.1)
}

async fn watched(witnessed: bool, interrupt: bool) -> Watched {
    let world = World::new(RESOURCES).await;
    let recorder = shown(&world.recordings(), session(), "").await;
    let ended = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
    let told = std::sync::Arc::clone(&ended);
    let compared = Compared {
        session: session(),
        change: Change { interrupt, ..change("CHG-1", "dba", &["stop", "start"]) }.into(),
        user: user("operator"),
        origin: "192.0.2.7".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        witnessed,
        recorder,
        store: world.store.clone(),
        end: Box::new(move |why| told.lock().unwrap().push(why)),
    };
    let watchers = Watchers::default();
    let Changes(inner) = &world.changes;
    let (feed, watching) = watchers.begin(compared, inner.access.clone(), inner.audit.clone());
    Watched { world, watchers, feed, watching: Some(watching), ended }
}

impl Watched {
    fn line(&self, text: &str) {
        self.feed.line(CommandSource::Typed, &CommandText::new(text));
    }

    /// The comparison once it is so.
    async fn until(&self, is_so: impl Fn(&Comparison) -> bool) -> Comparison {
        let look = async || self.world.store.comparison(session()).await.unwrap().filter(&is_so);
        until("the comparison is so", look).await
    }
}

/// What of reports those who are responsible are told.
async fn reports(store: &Store) -> Vec<Notice> {
    let told = store.notifications(&NotificationFilter::default()).await.unwrap();
    let reports = told.into_iter().filter(|one| matches!(one.notice, Notice::ChangeReported { .. }));
    reports.map(|one| one.notice).collect()
}

fn kernel(words: &[&str], last: bool) -> Witnessed {
    let exec = Exec {
        at: moment(),
        pid: 2,
        ppid: 1,
        uid: 0,
        exit: 0,
        tty: Note::new("pts0"),
        exe: CommandText::new(format!("/usr/bin/{}", words[0].trim_start_matches('-'))),
        argv: words.iter().map(CommandText::new).collect(),
        cut: 0,
        cwd: CommandText::new("/"),
    };
    Witnessed { number: 1, session: session(), execs: vec![exec], lost: 0, remarks: Vec::new(), last }
}

async fn an_unexpected_command_is_in_the_log_and_the_report_at_once_and_the_last_follows_the_session() {
    let mut watched = watched(true, false).await;
    watched.line("stop");
    watched.line("rm -rf /srv");
    watched.line("rm -rf /srv");
    let live = watched.until(|found| !found.report.unexpected.is_empty()).await;
    assert!(!live.complete);
    let rows = watched.world.store.audit_of_session(session(), None, 10).await.unwrap();
    let record = |body: &str| serde_json::from_str::<Record>(body).unwrap();
    let told: Vec<_> = rows.iter().map(|row| record(&row.body).event.to_string()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].ends_with("UNEXPECTED by change CHG-1, typed: rm -rf /srv"), "{told:?}");
    assert_eq!(*watched.ended.lock().unwrap(), Vec::<String>::new());
    let store = &watched.world.store;
    let [notice] = store.notifications(&NotificationFilter::default()).await.unwrap().try_into().unwrap();
    assert_eq!(notice.recipient, Recipient::User(user("olga")));
    let Notice::UnexpectedCommand { command, change, ended: false, .. } = notice.notice else {
        panic!("{:?}", notice.notice)
    };
    assert_eq!((command.as_str(), change), ("rm -rf /srv", Some("CHG-1".parse().unwrap())));
    watched.watching.take();
    // The kernel tells the last after the session.
    watched.watchers.witnessed(&kernel(&["start"], true)).unwrap()();
    let over = watched.until(|found| found.complete).await;
    let score = over.report.score();
    assert_eq!((score.matched, score.unexpected, score.missing), (2, 1, 0));
    // Its report is in the outbox with it.
    let store = &watched.world.store;
    let told = store.notifications(&NotificationFilter::default()).await.unwrap();
    let reports = told.iter().filter(|one| matches!(one.notice, Notice::ChangeReported { .. }));
    let [report] = reports.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(report.recipient, Recipient::User(user("olga")));
    let Notice::ChangeReported { percent, missing, unexpected, whole, .. } = &report.notice else { panic!() };
    assert_eq!((*percent, missing.is_empty(), *whole), (66, true, true));
    assert_eq!(unexpected.to_string(), "rm -rf /srv (typed)");
    assert!(watched.watchers.witnessed(&kernel(&["start"], true)).is_none(), "nobody compares it any more");
}

async fn a_change_that_says_so_has_the_session_ended_once_with_the_reason() {
    let mut watched = watched(false, true).await;
    watched.line("reboot");
    watched.line("poweroff");
    watched.until(|found| found.report.unexpected.len() == 2).await;
    let why = "change `CHG-1` does not expect `reboot`, so the session ends";
    assert_eq!(*watched.ended.lock().unwrap(), [why]);
    watched.watching.take();
    assert!(watched.until(|found| found.complete).await.report.score().missing == 2);
    let store = &watched.world.store;
    let told = store.notifications(&NotificationFilter::default()).await.unwrap();
    let missing = told.iter().find_map(|one| match &one.notice {
        Notice::ChangeReported { missing, .. } => Some(missing.to_string()),
        _ => None,
    });
    assert_eq!(missing.as_deref(), Some("stop; start"));
}

async fn what_comes_faster_than_it_is_compared_is_counted_and_holds_nobody_up() {
    let mut watched = watched(false, false).await;
    // Nothing of this yields to the task that compares.
    for _ in 0..5000 {
        watched.line("stop");
    }
    watched.watching.take();
    let over = watched.until(|found| found.complete).await;
    assert!(
        over.report.not_compared > 0 && over.report.not_compared < 5000,
        "{:?}",
        over.report.not_compared
    );
}

async fn a_session_that_the_gates_stop_cuts_off_is_reported_once_at_its_next_start_and_no_other() {
    for cut in [true, false] {
        let mut watched = watched(false, false).await;
        let world = &watched.world;
        let planned = change("CHG-1", "dba", &["stop", "start"]);
        assert!(world.store.takes(Store::change_made(planned)).await);
        let row = SessionRow { id: session(), ..crate::store::testing::session(1_800_000_000) };
        world.store.session_put(&row).await.unwrap();
        watched.line("stop");
        watched.line("rm -rf /srv");
        watched.until(|found| !found.report.unexpected.is_empty()).await;
        if !cut {
            watched.watching.take();
            watched.until(|found| found.complete).await;
        }
        for _ in 0..2 {
            watched.world.changes.report_cut_off().await.unwrap();
            let [report] = reports(&watched.world.store).await.try_into().unwrap();
            let Notice::ChangeReported { percent, missing, unexpected, whole, cut_off, .. } = report else {
                panic!("{report:?}")
            };
            assert_eq!((percent, missing.to_string().as_str()), (33, "start"));
            assert_eq!(unexpected.to_string(), "rm -rf /srv (typed)");
            assert_eq!((whole, cut_off), (!cut, cut));
        }
        let kept = watched.world.store.comparison(session()).await.unwrap().unwrap();
        assert_eq!(kept.complete, !cut);
    }
}

async fn a_report_whose_writing_nobody_answered_for_is_sent_once() {
    let mut watched = watched(false, false).await;
    watched.until(|_| true).await;
    let audit = watched.world.audit.clone();
    let mark = || Event::ProxyStarted { version: Note::new("1") };
    // Once this is written, so is the start of the comparison.
    audit.append(mark()).await.unwrap();
    lose_answers(1);
    watched.watching.take();
    watched.until(|found| found.complete).await;
    // What is kept comes before what is newer.
    for _ in 0..3 {
        audit.append(mark()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(reports(&watched.world.store).await.len(), 1);
    let records = watched.world.records().await;
    let compared = |record: &&Record| matches!(record.event, Event::SessionCompared { .. });
    assert_eq!(records.iter().filter(compared).count(), 1);
    audit.verify().await.unwrap();
}

async fn a_comparison_that_cannot_be_read_holds_up_no_report_and_is_not_tried_again() {
    let world = World::new(RESOURCES).await;
    let store = &world.store;
    assert!(store.takes(Store::change_made(change("CHG-1", "dba", &["stop"]))).await);
    let sessions = [1, 2].map(|began| SessionId::new(began, 7));
    for session in sessions {
        let row = SessionRow { id: session, ..crate::store::testing::session(1_800_000_000) };
        store.session_put(&row).await.unwrap();
        let change = "CHG-1".parse().unwrap();
        let report = Report::default();
        let comparison = Comparison { session, change, complete: false, witnessed: false, report };
        assert!(store.takes(store.comparing(comparison)).await);
    }
    store.comparison_damaged(sessions[0]).await;
    for _ in 0..2 {
        world.changes.report_cut_off().await.unwrap();
        let [report] = reports(store).await.try_into().unwrap();
        let Notice::ChangeReported { session, cut_off: true, .. } = report else { panic!("{report:?}") };
        assert_eq!(session, sessions[1]);
    }
    assert!(store.cut_off().await.unwrap().is_empty());
    assert!(store.comparison(sessions[0]).await.is_err(), "what is written of it stays");
}

on_both! {
    a_comparison_that_cannot_be_read_holds_up_no_report_and_is_not_tried_again,
    a_report_whose_writing_nobody_answered_for_is_sent_once,
    a_session_that_the_gates_stop_cuts_off_is_reported_once_at_its_next_start_and_no_other,
    an_unexpected_command_is_in_the_log_and_the_report_at_once_and_the_last_follows_the_session,
    a_change_that_says_so_has_the_session_ended_once_with_the_reason,
    what_comes_faster_than_it_is_compared_is_counted_and_holds_nobody_up,
}
