//! What a person reads before the time of a session is over.

use jiff::{SignedDuration, Timestamp};
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, text};
use crate::ways::street;

#[test]
fn the_end_of_a_window_is_told_in_the_terminal_but_not_over_a_full_screen_program() {
    needs_devices!();
    let world = &street().world;
    let scene = Scene::share(street(), "warned", ASKS_AND_WAITS);
    let (mut pty, number) = scene.wait_for_yes();
    let number = number.to_string();
    let words = ["request", "approve", &number, "--duration", "90s"];
    world.client().console(&scene.approver, &words).unwrap().ok().unwrap();
    pty.expect("tidegate: this session ends in ").unwrap();
    pty.expect(" seconds (").unwrap();
    pty.expect(" UTC): save your work; going on needs another request\r\n").unwrap();
    pty.send_line("").unwrap();
    pty.expect("$ ").unwrap();

    pty.send_line(r"printf '\033[?10''49h full\n'").unwrap();
    pty.expect("\x1b[?1049h full").unwrap();
    let request = world.json(&["request", "show", &number]).unwrap();
    let end: Timestamp = text(request.get("window").unwrap(), "end").parse().unwrap();
    let last = end - SignedDuration::from_secs(59);
    wait::until_true("the last minute", PATIENCE, || Timestamp::now() > last).unwrap();
    pty.send_line("echo st''ill").unwrap();
    let over = pty.expect("still\r\n").unwrap();
    assert!(!over.contains("tidegate:"), "{over}");
    pty.send_line(r"printf '\033[?10''49l back\n'").unwrap();
    let left = pty.expect("this session ends in ").unwrap();
    assert!(left.contains("\x1b[?1049l back"), "{left}");
    pty.expect(" seconds (").unwrap();
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();

    let [session] = scene.sessions().try_into().unwrap();
    let play = ["session", "play", &text(&session, "id"), "--speed", "1000"];
    let played = || world.admin(&play).unwrap().ok().unwrap().out();
    let both = || played().matches("tidegate: this session ends in").count() == 2;
    // The recording is sealed a moment after the client has left.
    wait::until_true("both are in the recording", PATIENCE, both).unwrap_or_else(|_| panic!("{}", played()));
}
