//! Gates whose store is a database of PostgreSQL.

use std::fs;
use std::os::unix::fs::FileExt as _;

use tidegate_tests::postgres::Server;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::gates::gate;
use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, Stand, leave, text};
use crate::story::is_told_to_its_end;
use crate::support::Scratch;

#[test]
fn on_postgresql_a_person_is_asked_approved_elevated_recorded_and_all_is_taken_back() {
    needs_devices!();
    let server = Server::start().unwrap();
    let options = Options { store: Some(server.database().unwrap()), ..Options::default() };
    let stand = Stand::with("pg01", options);
    is_told_to_its_end(&Scene::set(&stand.world, &stand.device, "tale", ASKS_AND_WAITS));
    assert!(!stand.world.state().join("tidegate.db").exists());
    let kept = || server.sql("t0", "SELECT count(*) FROM session WHERE ended IS NOT NULL").unwrap();
    wait::until_true("the session's end is stored", PATIENCE, || kept() == "1").unwrap();
}

/// People of the first world, who may ask and approve.
fn people(world: &World) -> String {
    let users: String = ["operator", "one", "two"]
        .iter()
        .map(|user| {
            let key = world.client().public_key(user).unwrap();
            format!("[[user]]\nname = \"{user}\"\nkeys = [\"{key}\"]\n")
        })
        .collect();
    users
        + "[[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n[[access_group]]\nname = \"dba\"\n\
           users = [\"operator\"]\napprovers = [\"one\", \"two\"]\ncriteria = { accounts = [\"ops\"] }\n\
           session = { approval = { needed = 2 } }\n"
}

/// A command of a gate's console, as a person of `home`.
fn says(home: &World, at: &World, user: &str, command: &[&str]) -> Run {
    let (key, gate) = (home.client().key(user).unwrap(), at.ssh().unwrap());
    Run::new("ssh")
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i"])
        .arg(key)
        .args(["-p", &gate.port().to_string(), "-l", user, &gate.ip().to_string()])
        .args(command)
}

fn ask(home: &World, at: &World) -> Done {
    says(home, at, "operator", &["request", "create", "ops@db01"]).run().unwrap()
}

fn newest(world: &World) -> serde_json::Value {
    world.json(&["request", "list"]).unwrap()[0].clone()
}

#[test]
fn two_gates_on_one_database_vote_and_decide_at_once_and_lose_nothing() {
    let server = Server::start().unwrap();
    let store = server.database().unwrap();
    let one = World::start(gate(&store, "gate1")).unwrap();
    let two = World::start(gate(&store, "gate2")).unwrap();
    one.apply(&people(&one)).unwrap();
    let known = || says(&one, &two, "operator", &["request", "list"]).run().unwrap().success();
    wait::until_true("the second gate knows its people", PATIENCE, known).unwrap();
    for round in 0..5 {
        let made = ask(&one, if round % 2 == 0 { &one } else { &two });
        made.ok().unwrap();
        let number = newest(&two)["id"].as_u64().unwrap().to_string();
        let words = ["request", "approve", &number];
        let first = says(&one, &one, "one", &words).start().unwrap();
        let second = says(&one, &two, "two", &words).start().unwrap();
        for voted in [first, second] {
            voted.done().unwrap().ok().unwrap();
        }
        for world in [&one, &two] {
            let request = newest(world);
            assert_eq!(text(&request, "state"), "approved", "{request}");
        }
        let votes =
            server.sql("t0", &format!("SELECT count(*) FROM vote WHERE request_id = {number}")).unwrap();
        assert_eq!(votes, "2");
        says(&one, &one, "operator", &["request", "cancel", &number]).ok().unwrap();
    }
    let verified = two.admin(&["audit", "verify"]).unwrap().ok().unwrap().out();
    assert!(verified.contains("of gate gate1: "), "{verified}");
    // A gate that dies and comes back goes on with its chain, and takes nothing from the other.
    one.kill_proxy().unwrap();
    assert!(says(&one, &two, "operator", &["request", "list"]).run().unwrap().success());
    one.start_proxy().unwrap();
    one.admin(&["audit", "verify"]).unwrap().ok().unwrap();
    assert_eq!(server.sql("t0", "SELECT count(*) FROM gate").unwrap(), "2");
}

#[test]
fn a_gate_whose_database_is_away_at_start_says_so_and_starts_when_it_is_there() {
    let server = Server::start().unwrap();
    let world = World::start(gate(&server.database().unwrap(), "gate1")).unwrap();
    world.stop_proxy().unwrap();
    server.stop().unwrap();
    let refused = format!("{:#}", world.start_proxy().unwrap_err());
    assert!(refused.contains("the database postgres:///t0?user=tidegate&host="), "{refused}");
    assert!(
        refused.contains("cannot be opened: ") && refused.contains("see that its server runs"),
        "{refused}"
    );
    server.go_on().unwrap();
    world.start_proxy().unwrap();
}

#[test]
fn a_live_session_goes_on_while_the_database_is_away_and_nothing_new_begins_until_it_is_back() {
    needs_devices!();
    let server = Server::start().unwrap();
    let options = Options { store: Some(server.database().unwrap()), ..Options::default() };
    let stand = Stand::with("pg02", options);
    let scene = Scene::set(&stand.world, &stand.device, "ebb", ASKS_AND_WAITS);
    let (mut pty, number) = scene.wait_for_yes();
    scene.approver_says("approve", number).ok().unwrap();
    scene.at_the_prompt(&mut pty);

    server.stop().unwrap();
    scene.is_root(&mut pty);
    let refused =
        scene.world.client().ssh(&scene.operator, &scene.target(), &["true"]).unwrap().run().unwrap();
    assert!(!refused.success() && refused.all().contains("away"), "{}", refused.all());
    // Longer than the gate takes to look again.
    scene.is_root(&mut pty);
    leave(&mut pty);
    scene.is_as_before_within(PATIENCE);

    server.go_on().unwrap();
    let ended = || scene.sessions().iter().all(|session| !text(session, "ended").is_empty());
    wait::until_true("the session's end is in the store", PATIENCE, ended).unwrap();
    let again = scene.world.client().ssh(&scene.operator, &scene.target(), &["echo back"]).unwrap();
    assert_eq!(again.ok().unwrap().out(), "back\n");
    // What was told meanwhile is in the log, once.
    let first = text(&scene.sessions()[0], "id");
    let of_first = |kind: &str| {
        let log = scene.world.json(&["audit", "tail", "-n", "1000"]).unwrap();
        let records = log.as_array().unwrap().iter().map(ToString::to_string);
        records.filter(|record| record.contains(&first) && record.contains(kind)).count()
    };
    wait::until_true("the session's end is in the log", PATIENCE, || of_first("\"session-ended\"") > 0)
        .unwrap();
    let counted = [of_first("\"session-ended\""), of_first("\"command-run\"")];
    assert_eq!(counted, [1, 4], "{:#}", scene.world.json(&["audit", "tail", "-n", "1000"]).unwrap());
    scene.world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
}

#[test]
fn a_gate_whose_clock_is_wrong_begins_nothing_new_on_a_shared_database() {
    let scratch = Scratch::new("clock");
    let (library, off) = (scratch.path("clock.so"), scratch.file("off", &[0; 8]));
    let source = scratch.file("clock.c", include_bytes!("clock.c"));
    Run::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).ok().unwrap();
    let set = |seconds: i64| {
        let file = fs::OpenOptions::new().write(true).open(&off).unwrap();
        file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    };
    let server = Server::start().unwrap();
    let environment = vec![
        ("LD_PRELOAD".to_owned(), library.display().to_string()),
        ("TIDEGATE_CLOCK".to_owned(), off.display().to_string()),
    ];
    let options = Options { environment, ..gate(&server.database().unwrap(), "gate1") };
    let world = World::start(options).unwrap();
    world.apply(&people(&world)).unwrap();
    for (seconds, way) in [(3600, "ahead of"), (-3600, "behind")] {
        set(seconds);
        // Some seconds less, which the database may take to answer.
        let tells = |said: &str| {
            (3570..=3600).any(|seconds| {
                said.contains(&format!(
                    "this gate's clock is {seconds} s {way} the database's, so nothing new begins"
                ))
            })
        };
        // Whatever is done has a record first.
        let seen = || tells(&world.admin(&["audit", "verify"]).unwrap().run().unwrap().all());
        wait::until_true("the clock is seen to be wrong", PATIENCE, seen).unwrap();
        let refused = ask(&world, &world).all();
        assert!(tells(&refused), "{refused}");
        assert_eq!(world.json(&["request", "list"]).unwrap().as_array().unwrap().len(), 0);
    }
    world.kill_proxy().unwrap();
    let refused = format!("{:#}", world.start_proxy().unwrap_err());
    assert!(refused.contains("behind the database's"), "{refused}");
    set(0);
    world.start_proxy().unwrap();
    ask(&world, &world).ok().unwrap();
}

#[test]
fn a_store_is_copied_to_postgresql_with_its_log_and_the_gate_goes_on_there() {
    let server = Server::start().unwrap();
    let store = server.database().unwrap();
    let world = World::start(Options::default()).unwrap();
    world.apply(&people(&world)).unwrap();
    ask(&world, &world).ok().unwrap();
    let file = format!("sqlite:{}", world.state().join("tidegate.db").display());
    let copy = || {
        let program = tidegate_tests::programs::program("tidegate-proxy").unwrap();
        let run = Run::new(program).arg("--config").arg(world.config());
        run.args(["store", "copy", &file, &store]).run().unwrap()
    };
    let running = copy();
    assert!(!running.success() && running.all().contains("stop it first"), "{}", running.all());
    world.stop_proxy().unwrap();
    let copied = copy().ok().unwrap().out();
    assert!(copied.contains("is whole: "), "{copied}");
    let again = copy();
    assert!(!again.success() && again.all().contains("is not empty"), "{}", again.all());
    let records = server.sql("t0", "SELECT count(*) FROM audit").unwrap();
    // Its name is the machine's, as it was.
    let moved = World::start(Options { store: Some(store.clone()), ..Options::default() }).unwrap();
    assert_eq!(newest(&moved)["user"], "operator");
    let verified = moved.json(&["audit", "verify"]).unwrap();
    assert!(verified["records"].as_u64().unwrap() > records.parse().unwrap(), "{verified}");
    assert_eq!(server.sql("t0", "SELECT count(*) FROM gate").unwrap(), "1");
}
