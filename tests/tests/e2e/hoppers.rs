//! What goes on after its session in ways that a look at a list of processes does not show:
//! programs that hop from one process to the next, and what others were asked to start, at once
//! or at its time.

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
        "sudo -n sh -c 'setsid -f locust 1000000 1000 >/dev/null 2>&1 </dev/null'; echo they-\"hop\"",
    )
    .unwrap();
    pty.expect("they-hop\r\n").unwrap();
    wait::until_true("all of them hop", PATIENCE, || {
        let counted = scene.device.run(&["pgrep", "-c", "-x", "locust", "-r", "R,S,D"]).unwrap().out();
        counted.trim().parse::<u32>().is_ok_and(|counted| counted > 950)
    })
    .unwrap();
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
    // Who is killed with its control group before anybody has looked is in no count.
    assert!(listed > 0 && listed < 100 && more > 100, "{listed} listed, {more} more");
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

/// What at(1), cron(8) and other systemds start at their time, and the number of seconds; none
/// has the session's name in its environment.
const JOBS: [(&str, &str); 8] = [
    ("75001", "echo exec sleep 75001 | env -u TIDEGATE_SESSION at now"),
    ("75002", "echo exec sleep 75002 | sudo -n env -u TIDEGATE_SESSION at now"),
    ("75003", "echo setsid -f env -i /bin/sleep 75003 | sudo -n env -u TIDEGATE_SESSION at now"),
    (
        "75004",
        "echo 'echo $$ >/sys/fs/cgroup/cgroup.procs; setsid -f sleep 75004' | sudo -n env -u TIDEGATE_SESSION at now",
    ),
    ("75005", "echo exec sleep 75005 | env -u TIDEGATE_SESSION batch"),
    ("75006", "sudo -n systemd-run -q --on-active=1s --timer-property=AccuracySec=10ms sleep 75006"),
    (
        "75007",
        "sudo -n sh -c 'exec runuser -u lingerer -- env XDG_RUNTIME_DIR=/run/user/$(id -u lingerer) systemd-run --user -q sleep 75007'",
    ),
    ("75008", "echo '@reboot root sleep 75008' | sudo -n tee /etc/cron.d/once; sudo -n systemctl start cron"),
];

/// What the host has of the same kinds by itself.
const OWN_JOBS: [&str; 3] = ["74011", "74012", "74013"];

#[test]
fn a_job_that_at_or_cron_has_begun_for_a_session_ends_with_it_and_the_hosts_own_do_not() {
    needs_devices!();
    let stand = Stand::new("punctual", 30);
    let device = &stand.device;
    // However busy the machine is: batch(1) waits for an idle one.
    let busy = "mkdir -p /etc/systemd/system/atd.service.d /etc/cron.d; \
        printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/atd -f -l 10000 -b 1\\n' >/etc/systemd/system/atd.service.d/busy.conf; \
        echo '@reboot root sleep 74012' >/etc/cron.d/before; \
        systemctl daemon-reload; systemctl start atd; echo exec sleep 74011 | at now";
    device.ok(&["sh", "-c", busy]).unwrap();
    device.add_account("lingerer").unwrap();
    device.ok(&["loginctl", "enable-linger", "lingerer"]).unwrap();
    let scene = Scene::set(&stand.world, device, "keeper", "{}");
    let start = "runuser -u lingerer -- env XDG_RUNTIME_DIR=/run/user/$(id -u lingerer) systemd-run --user -q sleep 74013";
    wait::until_true("lingerer's systemd runs", PATIENCE, || {
        device.run(&["sh", "-c", start]).unwrap().success()
    })
    .unwrap();
    let runs =
        |number: &str| device.run(&["pgrep", "-f", &format!("(^|/)sleep {number}$")]).unwrap().success();
    // The kernel counts a file's changes in seconds.
    let table = device.path("/etc/cron.d/before");
    wait::until_true("the host's table is older than the session", PATIENCE, || {
        let changed = fs::metadata(&table).unwrap().modified().unwrap();
        changed.elapsed().is_ok_and(|age| age > std::time::Duration::from_secs(3))
    })
    .unwrap();

    let script: String = JOBS.iter().map(|(_, job)| format!("{job}\n")).collect();
    fs::write(device.path("/usr/local/share/jobs.sh"), script).unwrap();
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    pty.send_line("bash /usr/local/share/jobs.sh; echo all-\"given\"").unwrap();
    pty.expect("all-given\r\n").unwrap();
    for number in JOBS.iter().map(|(number, _)| number).chain(&OWN_JOBS) {
        wait::until_true(&format!("{number} runs"), PATIENCE, || runs(number))
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", device.journal("atd"), device.journal("cron")));
    }
    // Nothing tells of the line afterwards.
    pty.send_line("sudo -n rm /etc/cron.d/once; echo it-\"went\"").unwrap();
    pty.expect("it-went\r\n").unwrap();
    let id = newest(&scene);
    leave(&mut pty);
    for (number, job) in JOBS {
        wait::until_true(&format!("the end of: {job}"), PATIENCE, || !runs(number))
            .unwrap_or_else(|error| panic!("{error}\n{}", device.journal("tidegate-agent")));
    }
    let found = scene.left_behind(&id);
    for (number, job) in JOBS {
        let listed =
            found.iter().any(|one| text(one, "kind") == "process" && text(one, "what").ends_with(number));
        assert!(listed, "{job} is not listed: {found:#?}");
    }
    for number in OWN_JOBS {
        assert!(runs(number), "{number}, which the host began, was ended: {found:#?}");
    }
    for daemon in ["atd", "cron"] {
        device.ok(&["systemctl", "is-active", daemon]).unwrap();
    }
}
