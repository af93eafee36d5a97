//! A gate whose own disk is full to the last byte: nothing is said to be done that is not
//! stored, and when there is room it goes on by itself.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::scene::{Scene, Stand, text};

/// Takes what is free on the file system of `dir`; the file that has it.
fn fill(dir: &Path) -> std::path::PathBuf {
    let filler = dir.join("filler");
    let mut file = OpenOptions::new().create(true).append(true).open(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    filler
}

fn user(world: &World, name: &str) -> bool {
    world.admin(&["get", "user", name]).unwrap().run().unwrap().success()
}

/// Each line of the log's copy.
fn copied(world: &World) -> Vec<Value> {
    let mut lines = Vec::new();
    for file in fs::read_dir(world.dir().join("audit")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        // The last line may be on its way.
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.extend(whole.map(|line| serde_json::from_str(line).unwrap()));
    }
    lines
}

fn records(world: &World) -> Vec<Value> {
    world.json(&["audit", "tail", "-n", "10000"]).unwrap().as_array().unwrap().clone()
}

/// How often the log has this event of this session.
fn told(world: &World, event: &str, session: &str) -> usize {
    let of = |record: &&Value| {
        text(&record["event"], "type") == event && text(&record["event"], "session") == session
    };
    records(world).iter().filter(of).count()
}

#[test]
fn a_full_disk_takes_no_yes_and_what_happened_meanwhile_is_stored_when_there_is_room() {
    needs_devices!();
    let options = Options { disk_bytes: Some(32 << 20), free_floor: "1 MiB", ..Options::default() };
    let stand = Stand::with("brim", options);
    let (world, device) = (&stand.world, &stand.device);
    let scene = Scene::set(world, device, "brim", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let session = text(&scene.sessions()[0], "id");

    let filler = fill(world.dir());
    for name in ["u1", "u2", "u3"] {
        let apply =
            world.admin(&["apply", "-f", "-"]).unwrap().stdin(format!("[[user]]\nname = \"{name}\"\n"));
        let refused = apply.run().unwrap();
        assert!(!refused.success() && refused.all().contains("nothing was done"), "{}", refused.all());
        assert!(!user(world, name), "{name} was refused");
    }
    let refused = world.client().ssh(&scene.operator, &scene.target(), &["id"]).unwrap().run().unwrap();
    assert!(!refused.success() && !refused.err().contains("panic"), "{}", refused.all());
    // Its recording takes no more.
    pty.send_line("head -c 1M /dev/urandom | base64").unwrap();
    pty.end(PATIENCE).unwrap();
    scene.is_as_before_within(PATIENCE);
    let over = || scene.sessions().iter().all(|one| one["live"] == false);
    wait::until_true("the list has no live session", PATIENCE, over).unwrap();
    let killed = world.admin(&["session", "kill", &session]).unwrap().run().unwrap();
    assert!(!killed.success(), "{}", killed.all());

    fs::remove_file(filler).unwrap();
    world.apply("[[user]]\nname = \"u9\"\n").unwrap();
    assert!(user(world, "u9") && !user(world, "u1"));
    let ended = || !scene.sessions()[0]["ended"].is_null();
    wait::until_true("the session's end is stored", PATIENCE, ended).unwrap();
    wait::until_true("the session's end is logged", PATIENCE, || told(world, "session-ended", &session) > 0)
        .unwrap();
    world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
    scene.works_within(PATIENCE);

    // What was stored is there in the next life, and the copy has it all.
    world.stop_proxy().unwrap();
    world.start_proxy().unwrap();
    assert!(user(world, "u9") && !user(world, "u1"));
    world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
    assert_eq!(told(world, "session-ended", &session), 1);
    let newest = || records(world).last().unwrap()["seq"].as_u64().unwrap();
    // Something may be logged between two looks.
    let all = || copied(world).len() as u64 == newest();
    wait::until_true("the copy has every record", PATIENCE, all).unwrap();
}

#[test]
fn a_damaged_copy_of_the_log_is_told_and_is_no_tampering_with_the_log() {
    let world = World::start(Options::default()).unwrap();
    world.apply("[[user]]\nname = \"u1\"\n").unwrap();
    let verify = || world.admin(&["audit", "verify"]).unwrap().run().unwrap();
    assert!(verify().success());
    let file = fs::read_dir(world.dir().join("audit")).unwrap().next().unwrap().unwrap().path();
    world.stop_proxy().unwrap();
    // As an older version left it when its disk was full: half a line, and the next one after it.
    let text = fs::read_to_string(&file).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    fs::write(&file, format!("{}{rest}", &first[..20])).unwrap();
    world.start_proxy().unwrap();
    let damaged = verify();
    assert!(!damaged.success(), "{}", damaged.all());
    for part in ["the audit log is whole", "its copy is damaged at line 1", "audit."] {
        assert!(damaged.all().contains(part), "{}", damaged.all());
    }
}
