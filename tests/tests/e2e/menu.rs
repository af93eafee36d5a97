//! The menu of a login without a target, by stock ssh on a terminal.

use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, text};
use crate::ways::street;

fn menu(scene: &Scene<'_>) -> Pty {
    let mut pty = scene.world.client().terminal(&scene.operator, "", &[], &[]).unwrap();
    let shown = pty.expect("q leaves): ").unwrap();
    assert!(shown.contains(&format!("1  {}", scene.target())), "{shown}");
    assert!(!shown.contains('\x1b'), "no escape sequences: {shown:?}");
    pty
}

#[test]
fn a_menu_leads_to_a_session_in_place_by_the_same_admission() {
    needs_devices!();
    let scene = Scene::share(street(), "chosen", ASKS_AND_WAITS);
    let mut pty = menu(&scene);
    pty.send_line("nothing of this name").unwrap();
    pty.expect("Nothing matches").unwrap();
    pty.send_line("ops@nowhere").unwrap();
    pty.expect("tidegate: access to ops@nowhere is not given to you").unwrap();
    pty.send_line("chose").unwrap();
    pty.expect(&format!("Enter goes to {}.", scene.target())).unwrap();
    pty.send_line("").unwrap();
    pty.expect("Justification: ").unwrap();
    assert!(scene.sessions().is_empty(), "nothing reaches the device before admission");
    pty.send_line("from the menu").unwrap();
    pty.expect("For how long [1h]: ").unwrap();
    pty.send_line("30m").unwrap();
    pty.expect("is made for 1 approval").unwrap();
    let number = scene.pending().unwrap();
    scene.approver_says("approve", number).ok().unwrap();
    scene.at_the_prompt(&mut pty);
    pty.resize(30, 97).unwrap();
    pty.send_line("stty size; exit 7").unwrap();
    pty.expect("30 97").unwrap();
    assert_eq!(pty.end(PATIENCE).unwrap().code(), Some(7));
    scene.is_as_before_within(PATIENCE);
    let [session] = scene.sessions().try_into().unwrap();
    let id = text(&session, "id");
    // The recording is sealed a moment after the client has left.
    let whole = || scene.world.admin(&["session", "verify", &id]).unwrap().run().unwrap().success();
    wait::until_true("the recording is whole", PATIENCE, whole).unwrap();
}

#[test]
fn a_menu_is_left_with_status_0() {
    needs_devices!();
    let scene = Scene::share(street(), "unchosen", ASKS_AND_WAITS);
    for keys in ["q\r", "\x03", "\x04", "1\r\x03"] {
        let mut pty = menu(&scene);
        pty.send(keys).unwrap();
        assert_eq!(pty.end(PATIENCE).unwrap().code(), Some(0), "{keys:?}: {}", pty.screen());
    }
    let listed = scene.world.client().console(&scene.operator, &[]).unwrap().ok().unwrap().out();
    assert!(listed.contains(&scene.target()) && !listed.contains("q leaves"), "{listed}");
    assert!(scene.sessions().is_empty());
}
