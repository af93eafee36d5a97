//! Two gates on one database: what one of them knows of the other, and of one that dies or stops.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate_tests::postgres::Server;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::scene::{Scene, Stand, text};

/// A gate of this name on a database.
pub fn gate(store: &str, name: &str) -> Options {
    let more = format!("[gate]\nname = \"{name}\"\n");
    Options { store: Some(store.to_owned()), more, ..Options::default() }
}

#[test]
fn a_session_of_one_gate_is_seen_and_ended_at_another_and_of_a_gate_that_died_nothing_is_said_to_live() {
    needs_devices!();
    let server = Server::start().unwrap();
    let store = server.database().unwrap();
    let stand = Stand::with("pg03", gate(&store, "gate1"));
    let two = World::start(gate(&store, "gate2")).unwrap();
    let scene = Scene::set(&stand.world, &stand.device, "twin", "{}");
    let newest = || two.json(&["session", "list", "--limit", "1"]).unwrap()[0].clone();

    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let live = two.json(&["session", "list", "--live"]).unwrap();
    let [session] = live.as_array().unwrap().as_slice() else { panic!("{live}") };
    assert_eq!((text(session, "gate").as_str(), &session["live"]), ("gate1", &true.into()), "{session}");
    let id = text(session, "id");
    let shown = two.admin(&["session", "show", &id]).unwrap().ok().unwrap().out();
    assert!(shown.contains("it lives") && shown.contains("on gate gate1; ask there"), "{shown}");
    let refused = two.admin(&["session", "play", &id]).unwrap().run().unwrap();
    assert!(!refused.success() && refused.all().contains("lies on gate gate1"), "{}", refused.all());
    two.admin(&["session", "kill", &id]).unwrap().ok().unwrap();
    pty.expect("an administrator ended the session").unwrap();
    scene.is_as_before_within(PATIENCE);
    let over =
        || text(&newest(), "outcome").contains("administrator") || !text(&newest(), "ended").is_empty();
    wait::until_true("the other gate knows of the end", PATIENCE, over).unwrap();

    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    stand.world.kill_proxy().unwrap();
    let unknown = || {
        // As if a minute had gone by.
        server.sql("t0", "UPDATE gate SET heard_millis = heard_millis - 60000 WHERE name = 'gate1'").unwrap();
        text(&newest(), "outcome").starts_with("not known: its gate gate1 was not heard of since")
    };
    wait::until_true("nothing is known of its session", PATIENCE, unknown).unwrap();
    assert_eq!(newest()["live"], false);
    assert_eq!(two.json(&["session", "list", "--live"]).unwrap().as_array().unwrap().len(), 0);
    let refused = two.admin(&["session", "kill", &text(&newest(), "id")]).unwrap().run().unwrap();
    assert!(!refused.success() && refused.all().contains("was not heard of"), "{}", refused.all());
    stand.world.start_proxy().unwrap();
    assert_eq!(text(&newest(), "outcome"), "the proxy was ended by force");
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn a_gate_that_is_stopped_in_the_middle_of_a_step_holds_up_the_others_for_seconds_only() {
    let server = Server::start().unwrap();
    let store = server.database().unwrap();
    let one = World::start(gate(&store, "gate1")).unwrap();
    let two = World::start(gate(&store, "gate2")).unwrap();
    let sql = |statement: &str| server.sql("t0", statement).unwrap();
    let seen = |what: &str, ask: &str| wait::until_true(what, PATIENCE, || sql(ask) != "0").unwrap();
    let user = |name: &str| format!("[[user]]\nname = \"{name}\"\n");
    std::thread::scope(|scope| {
        // The step comes as far as the table that somebody has locked.
        let lock = "BEGIN; LOCK TABLE resource IN EXCLUSIVE MODE; SELECT pg_sleep(600)";
        let locked = scope.spawn(|| server.sql("t0", lock));
        seen("the table is locked", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
        let apply = one.admin(&["apply", "-f", "-"]).unwrap().stdin(user("early")).start().unwrap();
        seen("the step waits", "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
        let pid = Pid::from_raw(one.proxy_pid().unwrap());
        kill(pid, Signal::SIGSTOP).unwrap();
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
        assert!(locked.join().unwrap().is_err());
        let start = Instant::now();
        let applied = two.apply(&user("late"));
        let took = start.elapsed();
        kill(pid, Signal::SIGCONT).unwrap();
        applied.unwrap();
        assert!(took < Duration::from_secs(20), "{took:?}");
        let refused = apply.done().unwrap();
        assert!(!refused.success(), "its step was not taken: {}", refused.all());
    });
    let again = || one.apply(&user("early")).is_ok();
    wait::until_true("the gate that was stopped goes on", PATIENCE, again).unwrap();
    let users = two.json(&["get", "users"]).unwrap().to_string();
    assert!(users.contains("early") && users.contains("late"), "{users}");
}
