use std::sync::Arc;

use futures::FutureExt as _;
use tidegate_common::id::SessionId;
use tokio::sync::mpsc;

use super::*;
use crate::testing::permit;

fn live(terms: &str) -> LiveSession {
    let (permit, origin) = (Arc::new(permit(terms)), "192.0.2.7".parse().unwrap());
    LiveSession::new(SessionId::new(1, 1), permit, origin, mpsc::channel(1).0)
}

/// What is told at once.
fn told(notices: &mut Notices) -> Option<String> {
    let text = |data: Bytes| String::from_utf8(data.to_vec()).unwrap();
    Some(match notices.due().now_or_never()? {
        ChannelMsg::Data { data } => text(data),
        ChannelMsg::ExtendedData { data, ext: 1 } => format!("stderr: {}", text(data)),
        other => panic!("{other:?}"),
    })
}

#[test]
fn who_comes_to_watch_and_who_goes_is_told_where_the_group_does_not_say_otherwise() {
    let (open, silent) = (live("{}"), live("{ silent_watch = true }"));
    for session in [&open, &silent] {
        let warnings = watch::Sender::new(None);
        let mut notices = Notices::new(session, Some(warnings.subscribe()));
        assert_eq!(told(&mut notices), None);
        let (adam, olga) = (session.watched_by("adam").unwrap(), session.watched_by("olga").unwrap());
        let come = told(&mut notices);
        drop(adam);
        let gone = told(&mut notices);
        drop((session.watched_by("boss").unwrap(), olga));
        let last = told(&mut notices);
        let line = |text: &str| Some(format!("\r\ntidegate: {text}\r\n"));
        let expected = [
            line("adam watches this session; olga watches this session"),
            line("adam no longer watches this session"),
            line("olga no longer watches this session"),
        ];
        let is_told = !std::ptr::eq(session, &silent);
        assert_eq!([come, gone, last], if is_told { expected } else { [None, None, None] });
    }
}

#[test]
fn a_locked_keyboard_is_told_also_over_a_full_screen_program_and_to_standard_error() {
    let live = live("{}");
    let warnings = watch::Sender::new(None);
    let mut terminal = Notices::new(&live, Some(warnings.subscribe()));
    let mut plain = Notices::new(&live, None);
    live.set_keyboard(Keyboard::Locked("adam".into())).unwrap();
    let sentence = "tidegate: adam locked the keyboard; what you type is held back until it is unlocked";
    assert_eq!(told(&mut plain), Some(format!("stderr: \r\n{sentence}\r\n")));
    terminal.see(b"\x1b[?1049h\x1b[3");
    assert_eq!(told(&mut terminal), None, "not in the middle of a sequence");
    terminal.see(b"1m");
    let shown = told(&mut terminal).unwrap();
    assert!(shown.starts_with("\x1b7") && shown.contains(sentence) && shown.ends_with("\x1b8"), "{shown:?}");
    assert_eq!(told(&mut terminal), None, "it is told once");
    terminal.see(b"\x1b[?1049l");
    live.set_keyboard(Keyboard::Free).unwrap();
    let sentence = "\r\ntidegate: the keyboard is unlocked; what you typed meanwhile goes on\r\n";
    assert_eq!(told(&mut terminal).as_deref(), Some(sentence));
}
