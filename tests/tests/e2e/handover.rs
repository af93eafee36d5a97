//! An update of the agent under live sessions: they go on, and end as they would have.
//! One that goes wrong takes everything back.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::programs::program;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;
use tidegate_tests::world::Options;

use crate::needs_devices;
use crate::scene::{Scene, Stand, journal_tells, leave, text};
use crate::support::base;

/// The lease of these worlds, in seconds, and what a machine under load takes to look.
const LEASE: u64 = 10;
const WITHIN: Duration = Duration::from_secs(LEASE + 15);

const AGENT: &str = "/usr/local/bin/tidegate-agent";

fn main_pid(stand: &Stand) -> String {
    stand
        .device
        .ok(&["systemctl", "show", "-P", "MainPID", "tidegate-agent"])
        .unwrap()
        .out()
        .trim()
        .to_owned()
}

/// The inode of the program that the agent's process runs.
fn runs(stand: &Stand) -> u64 {
    fs::metadata(stand.device.path(&format!("/proc/{}/exe", main_pid(stand)))).unwrap().ino()
}

/// Puts a script in the place of the agent's program, as a broken package would.
fn break_program(stand: &Stand, script: &str) {
    let path = stand.device.path(AGENT);
    fs::remove_file(&path).unwrap();
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn mend_program(stand: &Stand) {
    stand.device.install(&program("tidegate-agent").unwrap(), AGENT).unwrap();
}

#[test]
fn sessions_go_on_over_an_update_of_the_agent_and_end_as_they_would_have() {
    needs_devices!();
    let stand = Stand::new("update", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    let guest = format!(
        "[[credential]]\nname = \"guest@update\"\nprivileges = [{{ kind = \"account-create\" }}, {{ kind = \"sudo\" }}]\n\
         [[access_group]]\nname = \"guests\"\nusers = [\"{}\"]\n\
         criteria = {{ devices = [\"update\"], accounts = [\"guest\"] }}\nsession = {{}}\n",
        scene.operator
    );
    stand.world.apply(&guest).unwrap();
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let mut created = stand.world.client().terminal(&scene.operator, "guest@update", &[], &[]).unwrap();
    created.expect("$ ").unwrap();
    pty.send_line("sudo sh -c 'echo >/etc/cron.d/before'; echo was-\"written\"").unwrap();
    pty.expect("was-written\r\n").unwrap();

    let (pid, program) = (main_pid(&stand), runs(&stand));
    for _ in 0..2 {
        mend_program(&stand);
        let reload = device.run(&["systemctl", "reload", "tidegate-agent"]).unwrap();
        assert!(reload.success(), "{}\n{}", reload.all(), device.journal("tidegate-agent"));
        assert_eq!(main_pid(&stand), pid, "systemd started another");
        stand.world.await_agent(device).unwrap();
    }
    assert_ne!(runs(&stand), program, "the replaced program still runs");
    let state = device.ok(&["systemctl", "is-active", "tidegate-agent"]).unwrap().out();
    assert_eq!(state.trim(), "active");
    assert!(!device.path("/var/lib/tidegate-agent/previous").exists());

    let sessions = scene.sessions();
    assert!(sessions.len() == 2 && sessions.iter().all(|session| session["live"] == true), "{sessions:#?}");
    scene.is_root(&mut pty);
    created.send_line("sudo -n id -un; id -un").unwrap();
    created.expect("root\r\n").unwrap();
    created.expect("tg-").unwrap();
    pty.send_line("sudo sh -c 'echo >/etc/cron.d/after'; setsid sleep 73001 </dev/null >/dev/null 2>&1 & echo it-\"runs\"")
        .unwrap();
    pty.expect("it-runs\r\n").unwrap();
    let id = text(&sessions[0], "id");
    leave(&mut pty);
    leave(&mut created);
    scene.is_as_before_within(WITHIN);
    let found: Vec<String> = scene.left_behind(&id).iter().map(|one| text(one, "what")).collect();
    for expected in ["/etc/cron.d/before", "/etc/cron.d/after"] {
        assert!(found.iter().any(|what| what == expected), "{expected}: {found:#?}");
    }
    assert!(found.iter().any(|what| what.contains("sleep 73001")), "{found:#?}");
    assert!(!found.iter().any(|what| what.contains("tg-") || what == "adm"), "{found:#?}");
    // The proxy has confirmed the reports: nothing of the sessions is kept any more.
    let kept = || {
        let entries = fs::read_dir(device.path("/run/tidegate/residue")).unwrap().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|of| of == "session")).count()
    };
    wait::until_true("the confirmation", PATIENCE, || kept() == 0).unwrap();
}

#[test]
fn a_session_that_begins_while_the_agent_is_replaced_waits_for_its_successor() {
    needs_devices!();
    let stand = Stand::new("succession", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    // A successor that takes as long as this test wants.
    device.install(&program("tidegate-agent").unwrap(), "/usr/local/bin/successor").unwrap();
    break_program(
        &stand,
        "#!/bin/sh\n[ \"$1\" = check-handover ] && exit\n[ -p /run/go ] && read -r _ </run/go\n\
         exec /usr/local/bin/successor \"$@\"\n",
    );
    device.ok(&["mkfifo", "/run/go"]).unwrap();
    device.ok(&["systemctl", "kill", "--kill-who=main", "--signal=HUP", "tidegate-agent"]).unwrap();
    let agent = || stand.world.json(&["agent", "list"]).unwrap()[0].clone();
    wait::until_true("the end of the link", PATIENCE, || agent()["connected"] == false).unwrap();
    let mut pty = scene.knock();
    let ordered = || {
        let log = stand.world.json(&["audit", "tail", "-n", "100"]).unwrap();
        log.as_array().unwrap().iter().any(|record| record["event"]["type"] == "grant-ordered")
    };
    wait::until_true("the order", PATIENCE, ordered).unwrap();
    fs::write(device.path("/run/go"), "\n").unwrap();
    scene.at_the_prompt(&mut pty);
    leave(&mut pty);
    scene.is_as_before_within(WITHIN);
}

#[test]
fn a_handover_waits_for_an_administrators_program_that_is_under_way() {
    needs_devices!();
    let stand = Stand::new("patience", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    let place = device.path("/etc/tidegate-agent/custom/slow");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("privilege.toml"), "deadline_seconds = 10\n").unwrap();
    for (name, line) in [
        ("grant", "echo >/run/began; read -r _ </run/go; echo >/run/granted"),
        ("verify", "test -e /run/granted"),
        ("revoke", "rm -f /run/granted"),
    ] {
        fs::write(place.join(name), format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    device.ok(&["mkfifo", "/run/go"]).unwrap();
    let custom = "privileges = [{ kind = \"custom\", name = \"slow\" }]";
    stand.world.apply(&format!("[[credential]]\nname = \"{}\"\n{custom}\n", scene.target())).unwrap();
    mend_program(&stand);
    let (pid, before) = (main_pid(&stand), runs(&stand));
    let mut pty = scene.knock();
    let there = |path: &'static str| move || device.path(path).exists();
    wait::until_true("the program runs", PATIENCE, there("/run/began")).unwrap();
    device.ok(&["systemctl", "kill", "--kill-who=main", "--signal=HUP", "tidegate-agent"]).unwrap();
    // The successor was found fit, and there is nothing else to wait for.
    wait::until_true("the old program is kept aside", PATIENCE, there("/var/lib/tidegate-agent/previous"))
        .unwrap();
    assert_eq!(runs(&stand), before);
    fs::write(device.path("/run/go"), "\n").unwrap();
    pty.expect("$ ").unwrap();
    wait::until_true("the new program runs", PATIENCE, || runs(&stand) != before).unwrap();
    assert_eq!(main_pid(&stand), pid);
    stand.world.await_agent(device).unwrap();
    assert!(device.path("/run/granted").exists());
    leave(&mut pty);
    wait::until_true("the revocation", WITHIN, || !device.path("/run/granted").exists()).unwrap();
}

#[test]
fn a_handover_on_a_full_disk_is_refused_and_the_session_lives_and_ends_as_ever() {
    needs_devices!();
    const STATE: &str = "/var/lib/tidegate-agent";
    let device = Device::boot(&base(), "crowded").unwrap();
    device.ok(&["mkdir", "-m", "700", STATE]).unwrap();
    device.ok(&["mount", "-t", "tmpfs", "-o", "size=128m", "state", STATE]).unwrap();
    let stand = Stand::on(device, Options { lease: Duration::from_secs(LEASE), ..Options::default() });
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let (pid, before) = (main_pid(&stand), runs(&stand));
    mend_program(&stand);
    // There is some room, but not for the program that is kept aside.
    let ballast = format!("{STATE}/ballast");
    device.ok(&["fallocate", "-l", "120M", &ballast]).unwrap();
    assert!(!device.run(&["systemctl", "reload", "tidegate-agent"]).unwrap().success());
    journal_tells(device, "tidegate-agent", |line| {
        line.contains("could not be kept aside") && line.contains("is the disk full?")
    });
    assert!(!device.path(&format!("{STATE}/previous.new")).exists(), "it takes the room that there was");
    assert_eq!((main_pid(&stand), runs(&stand)), (pid, before));
    scene.is_root(&mut pty);
    // And now there is none at all.
    device.run(&["dd", "if=/dev/zero", "bs=4k", &format!("of={STATE}/more")]).unwrap();
    assert!(!device.run(&["systemctl", "reload", "tidegate-agent"]).unwrap().success());
    scene.is_root(&mut pty);
    leave(&mut pty);
    scene.is_as_before_within(WITHIN);
    device.ok(&["rm", &ballast, &format!("{STATE}/more")]).unwrap();
    device.ok(&["systemctl", "reload", "tidegate-agent"]).unwrap();
    stand.world.await_agent(device).unwrap();
    assert_ne!(runs(&stand), before);
    scene.works_within(WITHIN);
}

#[test]
fn a_program_or_a_configuration_that_cannot_take_over_is_refused_and_the_session_lives() {
    needs_devices!();
    let stand = Stand::new("unfit", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let (pid, program) = (main_pid(&stand), runs(&stand));
    let refused = |why: &str| {
        journal_tells(device, "tidegate-agent", |line| {
            line.contains(why) && line.contains("this agent stays")
        });
    };

    let config = device.path("/etc/tidegate/agent.toml");
    let fine = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("nonsense = 1\n{fine}")).unwrap();
    let reload = device.run(&["systemctl", "reload", "tidegate-agent"]).unwrap();
    assert!(!reload.success(), "{}", reload.all());
    refused("nonsense");
    fs::write(&config, fine).unwrap();

    // A program that is none cannot even ask; what runs finds out by itself.
    break_program(&stand, "#!/bin/sh\necho 'not this one'\nexit 1\n");
    assert!(!device.run(&["systemctl", "reload", "tidegate-agent"]).unwrap().success());
    device.ok(&["systemctl", "kill", "--kill-who=main", "--signal=HUP", "tidegate-agent"]).unwrap();
    refused("not this one");

    assert_eq!((main_pid(&stand), runs(&stand)), (pid, program));
    scene.is_root(&mut pty);
    // The twin that differs in the program alone.
    mend_program(&stand);
    device.ok(&["systemctl", "reload", "tidegate-agent"]).unwrap();
    stand.world.await_agent(device).unwrap();
    scene.is_root(&mut pty);
    leave(&mut pty);
    scene.is_as_before_within(WITHIN);
}

#[test]
fn a_program_that_dies_as_it_starts_leaves_nothing_granted() {
    needs_devices!();
    let stand = Stand::new("stillborn", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    // It says that it can, and can neither run nor sweep.
    break_program(&stand, "#!/bin/sh\n[ \"$1\" = check-handover ]\n");
    device.ok(&["systemctl", "kill", "--kill-who=main", "--signal=HUP", "tidegate-agent"]).unwrap();
    scene.is_as_before_within(WITHIN);
    let sudo = device.run_as(&scene.account, &["sudo", "-n", "id"]).unwrap();
    assert!(!sudo.success(), "{}", sudo.all());
    pty.end(WITHIN).unwrap();
    mend_program(&stand);
    stand.world.await_agent(device).unwrap();
    scene.works_within(WITHIN);
}

#[test]
fn an_installation_over_an_agent_that_runs_ends_no_session_and_says_so_beforehand() {
    needs_devices!();
    let stand = Stand::new("anew", LEASE);
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let (pid, before) = (main_pid(&stand), runs(&stand));
    // Another version, unpacked somewhere.
    device.install(&program("tidegate-agent").unwrap(), "/root/tidegate-agent").unwrap();
    let unpacked = device.path("/root/tidegate-agent");
    fs::OpenOptions::new().append(true).open(unpacked).unwrap().write_all(b"newer").unwrap();
    let install = |more: &[&str]| {
        let done = device.run(&[&["/root/tidegate-agent", "install"], more].concat()).unwrap();
        assert!(done.success(), "{}\n{}", done.all(), device.journal("tidegate-agent"));
        done.out()
    };
    let told = install(&["--dry-run"]);
    assert!(told.contains("would run systemctl reload tidegate-agent.service\n"), "{told}");
    assert!(told.contains("no grant ends by it") && !told.contains("restart"), "{told}");
    assert_eq!(runs(&stand), before);
    let done = install(&[]);
    assert!(done.contains("\nrun systemctl reload tidegate-agent.service\n"), "{done}");
    assert_eq!(main_pid(&stand), pid, "systemd started another");
    assert_ne!(runs(&stand), before, "the replaced program still runs");
    stand.world.await_agent(device).unwrap();
    scene.is_root(&mut pty);
    assert_eq!(install(&[]), "nothing to do\n");
    leave(&mut pty);
    scene.is_as_before_within(WITHIN);
    // One that does not run is started.
    device.ok(&["systemctl", "stop", "tidegate-agent"]).unwrap();
    let started = install(&[]);
    assert!(started.contains("run systemctl restart tidegate-agent.service\n"), "{started}");
    stand.world.await_agent(device).unwrap();
}
