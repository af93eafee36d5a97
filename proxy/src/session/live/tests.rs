use tidegate_common::audit::EndCause;

use super::*;
use crate::testing::permit;

fn session(end: mpsc::Sender<End>) -> LiveSession {
    LiveSession::new(SessionId::new(1, 1), Arc::new(permit("{}")), "192.0.2.7".parse().unwrap(), end)
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_an_end_hears_of_it_when_it_comes_and_of_none_in_time() {
    let register = LiveSessions::default();
    let session = session(mpsc::channel(1).0);
    let (id, within) = (session.id(), Duration::from_secs(3));
    assert!(register.gone(id, within).await, "it was never there");
    let entry = register.enter(session);
    assert!(!register.gone(id, within).await, "it lives");
    let waiting = register.clone();
    let asked = tokio::spawn(async move { waiting.gone(id, within).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(entry);
    assert!(asked.await.unwrap());
}

#[tokio::test]
async fn the_first_end_counts() {
    let (end, mut ends) = mpsc::channel(1);
    let session = session(end);
    for cause in [EndCause::Killed, EndCause::Shutdown] {
        session.end(End { cause, message: None });
    }
    assert_eq!(ends.recv().await.unwrap().cause, EndCause::Killed);
    assert!(ends.try_recv().is_err());
}

#[test]
fn a_keyboard_is_locked_once_and_unlocked_once_and_says_by_whom() {
    let session = session(mpsc::channel(1).0);
    let locked = |who: &str| Keyboard::Locked(who.into());
    let mut oversight = session.oversight();
    assert_eq!(session.set_keyboard(Keyboard::Free), Err(Keyboard::Free));
    assert!(!oversight.has_changed().unwrap());
    assert_eq!(session.set_keyboard(locked("olga")), Ok(()));
    assert_eq!(session.set_keyboard(locked("adam")), Err(locked("olga")));
    assert_eq!(oversight.borrow_and_update().keyboard, locked("olga"));
    assert_eq!(session.set_keyboard(Keyboard::Free), Ok(()));
    assert_eq!(session.facts().oversight, Oversight::default());
}

#[test]
fn who_watches_is_known_as_long_as_they_do_and_no_more_than_may() {
    let session = session(mpsc::channel(1).0);
    let first = session.watched_by("olga").unwrap();
    let others: Vec<_> = (1..MOST_WATCHERS).map(|_| session.watched_by("adam").unwrap()).collect();
    assert!(session.watched_by("olga").is_none(), "as many watch as may");
    drop(others);
    assert_eq!(session.facts().oversight.watchers, ["olga".into()] as [Arc<str>; 1]);
    drop(first);
    assert!(session.facts().oversight.watchers.is_empty());
}

#[test]
fn channels_are_counted_while_they_are_open() {
    let session = session(mpsc::channel(1).0);
    let (one, two) = (session.has_channel(), session.has_channel());
    session.count(3, 5);
    drop(one);
    let facts = session.facts();
    assert_eq!((facts.channels, facts.bytes_in, facts.bytes_out), (1, 3, 5));
    drop(two);
    assert_eq!(session.facts().channels, 0);
}
