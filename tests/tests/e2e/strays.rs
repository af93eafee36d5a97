//! What a session's root takes out of its login, its control group and its parents, or has others
//! begin in a login of its own: it ends with the session, or its page tells of it.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, Stand, leave, text};

fn newest(scene: &Scene<'_>) -> String {
    text(scene.sessions().last().unwrap(), "id")
}

fn runs(device: &Device, number: &str) -> bool {
    let pattern = format!("(^|/)(sleep|sshd) {number}$");
    device.run(&["pgrep", "-f", &pattern]).unwrap().success()
}

/// What a session's page says of its findings, and of what is not certain.
fn told(scene: &Scene<'_>, session: &str) -> (Vec<String>, Vec<String>) {
    let what = |one: &Value| format!("{} {}", text(one, "change"), text(one, "what"));
    let findings = scene.left_behind(session).iter().map(what).collect();
    let page = scene.world.json(&["session", "show", session]).unwrap();
    let unseen = page["left_behind"]["unseen"].as_array().cloned().unwrap_or_default();
    (findings, unseen.iter().map(|line| line.as_str().unwrap().to_owned()).collect())
}

/// Runs a script in a session, to its end.
fn carry_out(scene: &Scene<'_>, pty: &mut Pty, name: &str, script: &str) {
    let path = format!("/usr/local/share/{name}.sh");
    fs::write(scene.device.path(&path), script).unwrap();
    pty.send_line(&format!("bash {path} >/tmp/{name}.log 2>&1; echo all-\"done\"")).unwrap();
    pty.expect_within("all-done\r\n", PATIENCE * 2).unwrap_or_else(|error| {
        panic!("{error}: {}", scene.device.run(&["cat", &format!("/tmp/{name}.log")]).unwrap().all())
    });
}

/// Where root moves a process, and the number of its seconds.
const PLACES: [(&str, &str); 7] = [
    ("76001", ""),
    ("76002", "system.slice/dbus.service/"),
    ("76003", "system.slice/ssh.service/"),
    ("76004", "astray/"),
    ("76005", "system.slice/tidegate-agent.service/"),
    // The login of somebody else.
    ("76007", "$other/"),
    ("76008", "system.slice/ssh.service/"),
];

/// That of the account's own systemd, all of which goes with the session.
const OWN: (&str, &str) = ("76006", "user.slice/user-$UID.slice/user@$UID.service/init.scope/");

/// Out of its login for the kernel, and in the control group `place`.
fn stray(place: &str, program: &str) -> String {
    format!(
        "sudo -n setsid -f env -i bash -c \"echo \\$\\$ >/sys/fs/cgroup/{place}cgroup.procs; \
         echo 4294967295 >/proc/self/loginuid; exec {program}\" </dev/null >/dev/null 2>&1"
    )
}

#[test]
fn what_root_takes_out_of_every_login_and_service_is_told_and_the_hosts_own_daemons_are_not() {
    needs_devices!();
    let stand = Stand::new("strays", 30);
    let device = &stand.device;
    // A service of the host's that leaves two daemons and no main process.
    let pair = "printf '[Service]\\nType=forking\\nGuessMainPID=no\\nExecStart=/bin/sh -c \
        \"setsid -f sleep 77001; setsid -f sleep 77002\"\\n' >/etc/systemd/system/pair.service; systemctl daemon-reload";
    device.ok(&["sh", "-c", pair]).unwrap();
    let scene = Scene::set(&stand.world, device, "strayer", "{}");
    let neighbour = Scene::set(&stand.world, device, "neighbour", "{}");
    let mut other = neighbour.knock();
    neighbour.at_the_prompt(&mut other);

    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    // Meanwhile somebody restarts what the host runs.
    device.ok(&["systemctl", "restart", "ssh", "cron", "systemd-journald", "pair"]).unwrap();
    let mut script = "sudo -n mkdir /sys/fs/cgroup/astray; sudo -n cp /bin/sleep /usr/local/bin/sshd\n\
        other=$(ls -d /sys/fs/cgroup/user.slice/user-$(id -u neighbour).slice/session-*.scope)\n\
        other=${other#/sys/fs/cgroup/}\n"
        .to_owned();
    for (number, place) in PLACES.iter().chain(&[OWN]) {
        let program = if *number == "76008" { "/usr/local/bin/sshd" } else { "sleep" };
        script += &(stray(place, &format!("{program} {number}")) + "\n");
    }
    carry_out(&scene, &mut pty, "strays", &script);
    for (number, place) in PLACES.iter().chain(&[OWN]) {
        wait::until_true(&format!("{number} runs in {place}"), PATIENCE, || runs(device, number)).unwrap();
    }
    let id = newest(&scene);
    leave(&mut pty);
    let (findings, unseen) = told(&scene, &id);
    for (number, place) in PLACES {
        let of = |line: &&String| line.starts_with("who asked for process") && line.contains(number);
        let it = unseen.iter().find(of);
        let it = it.unwrap_or_else(|| panic!("{number} in {place} is not told: {unseen:#?} {findings:#?}"));
        assert!(it.contains("it began meanwhile in /"), "{it}");
    }
    let asked = unseen.iter().filter(|line| line.starts_with("who asked for"));
    assert_eq!(asked.count(), PLACES.len(), "{unseen:#?}");
    wait::until_true("the end of the one beside the account's own systemd", PATIENCE, || {
        !runs(device, OWN.0)
    })
    .unwrap();
    device.ok(&["pkill", "-f", "(sleep|sshd) 7600.$"]).unwrap();

    // A session that does nothing, while daemons are restarted, is told nothing of.
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    device.ok(&["systemctl", "restart", "ssh", "cron", "atd", "pair"]).unwrap();
    let id = newest(&scene);
    leave(&mut pty);
    let (_, unseen) = told(&scene, &id);
    assert!(!unseen.iter().any(|line| line.contains("who asked") || line.contains("whose")), "{unseen:#?}");

    // One that is over as soon as it can be.
    let line = stray("system.slice/dbus.service/", "sleep 76009");
    let line = format!("{line}; until pgrep -f '^sleep 76009$' >/dev/null; do :; done");
    scene.world.client().ssh(&scene.operator, &scene.target(), &[&line]).unwrap().ok().unwrap();
    let (_, unseen) = told(&scene, &newest(&scene));
    assert!(unseen.iter().any(|line| line.contains("76009")), "{unseen:#?}");
    leave(&mut other);
}

/// Each way to a login that systemd makes, and the number of its process. The last two are in none,
/// and nobody else was there who could have asked for them.
const CALLS: [(&str, &str); 4] = [
    (
        "76011",
        "(sudo -n setsid machinectl shell root@.host /bin/bash -c 'trap \"\" HUP; exec sleep 76011' </dev/null >/dev/null 2>&1 &)\n\
         until pgrep -f '^sleep 76011$'; do sleep 0.1; done",
    ),
    (
        "76012",
        "sudo -n systemd-run -q -p PAMName=login -p User=lingerer -p Restart=always sleep 76012\n\
         until pgrep -f '(^|/)sleep 76012$'; do sleep 0.1; done",
    ),
    (
        "76013",
        "sudo -n loginctl enable-linger lingerer\n\
         until sudo -n systemd-run --machine=lingerer@.host --user -q sleep 76013; do sleep 0.1; done",
    ),
    ("76014", "sudo -n systemd-run -q sleep 76014"),
];

/// Its first process is gone again, so nothing says which service the login was for.
const LOOSE: &str = "sudo -n systemd-run -q -p PAMName=login -p User=lingerer sh -c 'setsid -f sleep 76015'";

#[test]
fn a_login_that_a_session_had_systemd_make_ends_with_it_and_passes_for_nobody_else() {
    needs_devices!();
    let stand = Stand::new("callers", 30);
    let device = &stand.device;
    device.add_account("lingerer").unwrap();
    let scene = Scene::set(&stand.world, device, "caller", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let script: String = CALLS.iter().map(|(_, call)| format!("{call}\n")).collect();
    let script = format!("{script}{LOOSE}\nsudo -n pkill -KILL machinectl\n");
    carry_out(&scene, &mut pty, "calls", &script);
    for number in CALLS.iter().map(|(number, _)| number).chain(&["76015"]) {
        wait::until_true(&format!("{number} runs"), PATIENCE, || runs(device, number)).unwrap();
    }
    let id = newest(&scene);
    leave(&mut pty);
    for (number, call) in CALLS {
        wait::until_true(&format!("the end of: {call}"), PATIENCE, || !runs(device, number))
            .unwrap_or_else(|error| panic!("{error}\n{}", device.journal("tidegate-agent")));
    }
    let (findings, unseen) = told(&scene, &id);
    for (number, call) in CALLS {
        assert!(findings.iter().any(|line| line.ends_with(number)), "{call} is not listed: {findings:#?}");
    }
    assert!(
        unseen.iter().any(|line| line.contains("76015")),
        "{unseen:#?} {findings:#?} {}",
        device.journal("tidegate-agent")
    );
    assert!(findings.iter().any(|line| line == "new /var/lib/systemd/linger/lingerer"), "{findings:#?}");
    assert!(!runs(device, "76012"), "systemd made the login again");
    device.ok(&["pkill", "-f", "sleep 76015$"]).unwrap();

    // Where somebody else is, what they could have asked for goes on and is told; whose terminal
    // a process of the session showed is the session's all the same.
    let neighbour = Scene::set(&stand.world, device, "neighbour", "{}");
    let mut other = neighbour.knock();
    neighbour.at_the_prompt(&mut other);
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let script: String = CALLS.iter().take(2).map(|(_, call)| format!("{call}\n")).collect();
    carry_out(&scene, &mut pty, "calls", &script);
    let id = newest(&scene);
    leave(&mut pty);
    let (findings, unseen) = told(&scene, &id);
    assert!(findings.iter().any(|line| line.ends_with("76011")) && !runs(device, "76011"), "{findings:#?}");
    assert!(unseen.iter().any(|line| line.contains("76012")) && runs(device, "76012"), "{unseen:#?}");
    leave(&mut other);
}

/// cron looks at its tables each minute.
const MINUTE: Duration = Duration::from_secs(150);

#[test]
fn a_job_of_a_running_cron_whose_table_is_gone_again_is_told_and_ends_with_the_last_who_could_have_asked() {
    needs_devices!();
    let stand = Stand::new("hourly", 30);
    let device = &stand.device;
    let own =
        "mkdir -p /etc/cron.d; echo '* * * * * root sleep 77031' >/etc/cron.d/own; systemctl start cron";
    device.ok(&["sh", "-c", own]).unwrap();
    let neighbour = Scene::set(&stand.world, device, "neighbour", "{}");
    let scene = Scene::set(&stand.world, device, "tabler", "{}");
    // The kernel counts a file's changes in seconds.
    let table = device.path("/etc/cron.d/own");
    wait::until_true("the host's table is older than the session", PATIENCE, || {
        let changed = fs::metadata(&table).unwrap().modified().unwrap();
        changed.elapsed().is_ok_and(|age| age > Duration::from_secs(3))
    })
    .unwrap();
    let mut other = neighbour.knock();
    neighbour.at_the_prompt(&mut other);
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let give = "echo '* * * * * root sleep 76031' | sudo -n tee /etc/cron.d/gone; \
        echo '* * * * * sleep 76032' | sudo -n crontab -";
    carry_out(&scene, &mut pty, "give", give);
    for number in ["76031", "76032", "77031"] {
        wait::until_true(&format!("{number} runs"), MINUTE, || runs(device, number)).unwrap();
    }
    carry_out(&scene, &mut pty, "take", "sudo -n rm /etc/cron.d/gone; sudo -n crontab -r");
    let id = newest(&scene);
    leave(&mut pty);
    let (findings, unseen) = told(&scene, &id);
    for number in ["76031", "76032"] {
        let of = |line: &String| line.starts_with("who asked for process") && line.contains(number);
        assert!(unseen.iter().any(of) && runs(device, number), "{number}: {unseen:#?} {findings:#?}");
    }
    assert!(!unseen.iter().any(|line| line.contains("77031")), "{unseen:#?}");

    // Now nobody else is left who could have asked.
    let id = newest(&neighbour);
    leave(&mut other);
    let (findings, unseen) = told(&neighbour, &id);
    for number in ["76031", "76032"] {
        let listed = findings.iter().any(|line| line.ends_with(number));
        assert!(listed && !runs(device, number), "{number}: {findings:#?} {unseen:#?}");
    }
    assert!(runs(device, "77031"), "the host's own job was ended: {findings:#?}");
}
