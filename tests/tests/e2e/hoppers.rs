//! What goes on after its session in ways that a look at a list of processes does not show:
//! programs that hop from one process to the next, and what others were asked to start.

use std::fs;

use serde_json::Value;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, Stand, leave, text};
use crate::ways::street;

fn newest(scene: &Scene<'_>) -> String {
    text(scene.sessions().last().unwrap(), "id")
}

/// So many at once, of which each lives for so many microseconds and makes the next, and hears of
/// no signal; for half a minute, so that a test that fails leaves the machine alone.
const HOPPER: &str = r#"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
    for (int more = argc > 2 ? atoi(argv[2]) : 1; more > 1; more--) if (!fork()) break;
    for (int left = 30000000 / atoi(argv[1]); left > 0; left--) {
        if (fork()) _exit(0);
        usleep(atoi(argv[1]));
    }
}
"#;

/// Puts it on the device under this name.
fn give_hopper(scene: &Scene<'_>, name: &str) {
    let source = scene.device.path(&format!("/usr/local/share/{name}.c"));
    fs::write(&source, HOPPER).unwrap();
    let program = format!("/usr/local/bin/{name}");
    scene.device.ok(&["cc", "-o", &program, &format!("/usr/local/share/{name}.c")]).unwrap();
}

/// Whether one of this name runs: at any moment one of a chain is listed.
fn hops(scene: &Scene<'_>, name: &str) -> bool {
    // A zombie's name is shown in brackets.
    let script =
        format!("for i in 1 2 3 4 5; do pgrep -x {name} -r R,S,D >/dev/null && exit 0; done; exit 1");
    scene.device.run(&["sh", "-c", &script]).unwrap().success()
}

#[test]
fn a_program_that_forks_faster_than_it_is_looked_for_ends_with_its_session() {
    needs_devices!();
    let scene = Scene::share(street(), "hopping", "{}");
    give_hopper(&scene, "hopper");
    let away = "echo $$ >/sys/fs/cgroup/cgroup.procs;";
    for (micros, out) in [("500", ""), ("1000", away), ("2000", ""), ("500", away), ("2000", away)] {
        let mut pty = scene.knock();
        scene.at_the_prompt(&mut pty);
        let start = format!(
            "sudo -n sh -c '{out} setsid -f hopper {micros} >/dev/null 2>&1 </dev/null'; echo it-\"hops\""
        );
        pty.send_line(&start).unwrap();
        pty.expect("it-hops\r\n").unwrap();
        wait::until_true("it hops", PATIENCE, || hops(&scene, "hopper")).unwrap();
        let id = newest(&scene);
        leave(&mut pty);
        let began = std::time::Instant::now();
        wait::until_true(&format!("{micros} us ({out}): its end"), PATIENCE, || !hops(&scene, "hopper"))
            .unwrap_or_else(|error| panic!("{error}\n{}", scene.device.journal("tidegate-agent")));
        eprintln!("{micros} us ({out}): gone {:?} after the client", began.elapsed());
        let found = scene.left_behind(&id);
        let hopped = found.iter().any(|one| text(one, "what").contains("hopper"));
        let page = scene.world.json(&["session", "show", &id]).unwrap();
        assert!(hopped, "{page:#}\n{}", scene.device.journal("tidegate-agent"));
    }
}

#[test]
fn a_thousand_hopping_processes_end_with_their_session_and_are_counted() {
    needs_devices!();
    let stand = Stand::new("meadow", 30);
    let scene = Scene::set(&stand.world, &stand.device, "thousands", "{}");
    give_hopper(&scene, "locust");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    pty.send_line(
        "sudo -n sh -c 'setsid -f locust 200000 1000 >/dev/null 2>&1 </dev/null'; echo they-\"hop\"",
    )
    .unwrap();
    pty.expect("they-hop\r\n").unwrap();
    let id = newest(&scene);
    leave(&mut pty);
    let took = wait::until("the end of its grant in the log", PATIENCE, || {
        let log = stand.world.json(&["audit", "tail", "-n", "50"]).ok()?;
        let mut events = log.as_array()?.iter().map(|record| &record["event"]);
        let end =
            events.find(|event| text(event, "type") == "grant-ended" && text(event, "session") == id)?;
        end.get("micros").and_then(Value::as_u64)
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", stand.device.journal("tidegate-agent")));
    eprintln!("a session with 1,000 hopping processes ended in {} ms", took / 1000);
    assert!(!hops(&scene, "locust"));
    let page = stand.world.json(&["session", "show", &id]).unwrap();
    let more = || {
        let page = stand.world.json(&["session", "show", &id]).ok()?;
        page["left_behind"]["more"].as_u64().filter(|more| *more > 0)
    };
    let more = wait::until("the report", PATIENCE, more).unwrap_or_else(|error| panic!("{error}: {page:#}"));
    let listed = scene.left_behind(&id).iter().filter(|one| text(one, "what").contains("locust")).count();
    assert!(listed > 0 && listed < 100 && more > 900, "{listed} listed, {more} more");
}

/// What others start for a session, and how it hides: the number of seconds, and the way.
const ERRANDS: [(&str, &str); 5] = [
    ("73001", "sudo -n systemd-run -q --unit=user-x sleep 73001"),
    ("73002", "sudo -n systemd-run -q --unit=tidegate-x -p Restart=always sleep 73002"),
    (
        "73003",
        "sudo -n sh -c 'cp /bin/sleep /tmp/sshd; echo $$ >/sys/fs/cgroup/cgroup.procs; setsid /tmp/sshd 73003 >/dev/null 2>&1 </dev/null &'",
    ),
    (
        "73004",
        "n=$(printf '/tmp/y\\377'); cp /bin/sleep \"$n\"; sudo -n sh -c \"setsid -f \\\"$n\\\" 73004 >/dev/null 2>&1 </dev/null\"",
    ),
    (
        "73005",
        "printf '[Service]\\nExecStart=/bin/sleep 73005\\n' | sudo -n tee /run/systemd/system/gone.service >/dev/null; sudo -n systemctl daemon-reload; sudo -n systemctl start gone; sudo -n rm /run/systemd/system/gone.service",
    ),
];

#[test]
fn what_others_were_asked_to_start_ends_with_the_session_and_what_was_there_before_does_not() {
    needs_devices!();
    let stand = Stand::new("errands", 30);
    stand.device.ok(&["systemd-run", "--quiet", "--unit=before", "sleep", "74001"]).unwrap();
    let scene = Scene::set(&stand.world, &stand.device, "sender", "{}");
    let script: String = ERRANDS.iter().map(|(_, errand)| format!("{errand}\n")).collect();
    fs::write(stand.device.path("/usr/local/share/errands.sh"), script).unwrap();
    let runs = |number: &str| {
        let pattern = format!("(sleep|sshd|y.*) {number}$");
        stand.device.run(&["pgrep", "-f", &pattern]).unwrap().success()
    };
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    pty.send_line("bash /usr/local/share/errands.sh; echo all-\"sent\"").unwrap();
    pty.expect("all-sent\r\n").unwrap();
    for (number, errand) in ERRANDS {
        wait::until_true(&format!("{errand} runs"), PATIENCE, || runs(number)).unwrap();
    }
    let id = newest(&scene);
    leave(&mut pty);
    for (number, errand) in ERRANDS {
        wait::until_true(&format!("the end of: {errand}"), PATIENCE, || !runs(number))
            .unwrap_or_else(|error| panic!("{error}\n{}", stand.device.journal("tidegate-agent")));
    }
    let found = scene.left_behind(&id);
    for (number, errand) in ERRANDS {
        let listed =
            found.iter().any(|one| text(one, "kind") == "process" && text(one, "what").ends_with(number));
        assert!(listed, "{errand} is not listed: {found:#?}");
    }
    assert!(runs("74001"), "a unit that was there before was ended");
    // By then a unit that systemd starts again would have been.
    assert!(!runs("73002"), "a unit of the session came back");
}
