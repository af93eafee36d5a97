//! The main job: asked, approved, elevated, recorded, taken away.

use tidegate_tests::host::Host;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, text};
use crate::support::Scratch;
use crate::ways::street;

#[test]
fn a_person_is_asked_approved_elevated_recorded_and_all_is_taken_back() {
    needs_devices!();
    is_told_to_its_end(&Scene::share(street(), "tale", ASKS_AND_WAITS));
}

/// The main job, whatever the gate keeps its store in.
pub fn is_told_to_its_end(scene: &Scene<'_>) {
    let (world, device, account) = (scene.world, scene.device, scene.account.as_str());
    let mut pty = scene.enter();
    pty.send_line("sudo id").unwrap();
    pty.expect("uid=0(root)").unwrap();
    // What is typed before the shell is back may still be sudo's.
    pty.expect("$ ").unwrap();
    pty.send_line("exit").unwrap();
    assert_eq!(pty.end(PATIENCE).unwrap().code(), Some(0));
    scene.is_as_before_within(PATIENCE);
    assert!(!device.run_as(account, &["sudo", "-n", "id"]).unwrap().success());

    let [session] = scene.sessions().try_into().unwrap();
    let id = text(&session, "id");
    let verdict = world.admin(&["session", "verify", &id]).unwrap().ok().unwrap().out();
    assert!(verdict.contains("whole"), "{verdict}");
    let played = world.admin(&["session", "play", &id, "--speed", "1000"]).unwrap().ok().unwrap().out();
    assert!(played.contains("uid=0(root)"), "{played}");
    world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
    let records = || -> Vec<String> {
        let log = world.json(&["audit", "tail", "-n", "100000"]).unwrap();
        let records = log.as_array().unwrap().iter().map(ToString::to_string);
        records.filter(|record| record.contains(account) || record.contains(&id)).collect()
    };
    for step in [
        "request-created",
        "request-approved",
        "session-admitted",
        "grant-applied",
        "grant-ended",
        "session-ended",
    ] {
        // The log hears of an end a moment after the client has left.
        let told = || records().iter().any(|record| record.contains(step));
        wait::until_true(step, PATIENCE, told).unwrap_or_else(|error| panic!("{error}: {:#?}", records()));
    }
}

#[test]
fn a_rejected_request_ends_the_wait_with_a_sentence() {
    needs_devices!();
    let scene = Scene::share(street(), "rejected", ASKS_AND_WAITS);
    let (mut pty, number) = scene.wait_for_yes();
    scene.approver_says("reject", number).ok().unwrap();
    pty.expect("rejected").unwrap();
    assert!(!pty.end(PATIENCE).unwrap().success());
    assert_eq!(scene.difference(), "");
}

#[test]
fn nobody_approves_their_own_request() {
    needs_devices!();
    let scene = Scene::share(street(), "own", ASKS_AND_WAITS);
    let (_pty, number) = scene.wait_for_yes();
    let own = scene.world.client().console(&scene.operator, &["request", "approve", &number.to_string()]);
    let own = own.unwrap().run().unwrap();
    assert!(!own.success(), "{}", own.all());
    assert_eq!(scene.pending(), Some(number));
    // The twin that differs in who says it.
    scene.approver_says("approve", number).ok().unwrap();
    assert_eq!(scene.pending(), None);
}

#[test]
fn a_revoked_request_ends_the_live_session_with_a_message() {
    needs_devices!();
    let scene = Scene::share(street(), "revoked", ASKS_AND_WAITS);
    let (mut pty, number) = scene.wait_for_yes();
    scene.approver_says("approve", number).ok().unwrap();
    scene.at_the_prompt(&mut pty);
    scene.approver_says("revoke", number).ok().unwrap();
    pty.expect("revoked").unwrap();
    pty.end(PATIENCE).unwrap();
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn an_edited_group_ends_the_live_session() {
    needs_devices!();
    let scene = Scene::share(street(), "edited", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    scene.world.admin(&["delete", "access-group", &scene.group]).unwrap().ok().unwrap();
    pty.end(PATIENCE).unwrap();
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn an_administrator_can_end_a_live_session() {
    needs_devices!();
    let scene = Scene::share(street(), "ended", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let [session] = scene.sessions().try_into().unwrap();
    scene.world.admin(&["session", "kill", &text(&session, "id")]).unwrap().ok().unwrap();
    pty.end(PATIENCE).unwrap();
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn the_last_of_two_sessions_takes_the_privilege_away() {
    needs_devices!();
    let scene = Scene::share(street(), "counted", "{}");
    let (mut first, mut second) = (scene.knock(), scene.knock());
    scene.at_the_prompt(&mut first);
    scene.at_the_prompt(&mut second);
    first.send_line("exit").unwrap();
    first.end(PATIENCE).unwrap();
    scene.is_root(&mut second);
    second.send_line("exit").unwrap();
    second.end(PATIENCE).unwrap();
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn what_a_session_left_running_does_not_outlive_it() {
    needs_devices!();
    let scene = Scene::share(street(), "leftover", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    pty.send_line("setsid sudo sleep 98765 </dev/null >/dev/null 2>&1 & disown; echo started").unwrap();
    pty.expect("started\r\n").unwrap();
    pty.expect("$ ").unwrap();
    let runs = || scene.device.run(&["pgrep", "-f", "sleep 98765"]).unwrap().success();
    wait::until_true("the process runs", PATIENCE, runs).unwrap();
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
    wait::until_true("the process is ended", PATIENCE, || !runs()).unwrap();
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn the_asciinema_that_a_host_has_shows_what_a_session_showed() {
    needs_devices!();
    let scene = Scene::share(street(), "played", "{}");
    let said = scene.world.client().ssh(&scene.operator, &scene.target(), &["echo ebb; sudo -n id -un"]);
    assert_eq!(said.unwrap().ok().unwrap().out(), "ebb\nroot\n");
    let [session] = scene.sessions().try_into().unwrap();
    let export = ["session", "export", &text(&session, "id"), "--asciicast", "2"];
    let exported = || scene.world.admin(&export).unwrap().run().unwrap();
    wait::until_true("the recording is there", PATIENCE, || exported().out().contains("root")).unwrap();
    let scratch = Scratch::new("asciinema");
    let file = scratch.file("session.cast", exported().out().as_bytes());
    let mut asciinema = Pty::start(&["asciinema", "cat", file.to_str().unwrap()]).unwrap();
    asciinema.expect("ebb\r\nroot\r\n").unwrap();
    assert!(asciinema.end(PATIENCE).unwrap().success(), "{}", asciinema.screen());
}
