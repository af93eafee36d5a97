//! What outlives a session: processes, whichever way they hide, are ended; changes of
//! the host are reported.

use serde_json::Value;
use std::fs;
use tidegate_tests::host::Host;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, Stand, text};
use crate::ways::street;

/// Each way to hide, with the number of seconds by which its process is known.
const WAYS: [(&str, &str); 12] = [
    ("71001", "nohup sleep 71001 >/dev/null 2>&1 &"),
    ("71002", "(setsid sh -c 'sleep 71002 &' &)"),
    ("71003", "setsid env -i /bin/sleep 71003 </dev/null >/dev/null 2>&1 &"),
    ("71004", "sudo sh -c 'setsid env -i /bin/sleep 71004 </dev/null >/dev/null 2>&1 &'"),
    ("71005", "tmux -L hidden new-session -d 'exec sleep 71005'"),
    ("71006", "systemd-run --user --quiet sleep 71006"),
    ("71007", "setsid systemd-run --user --scope --quiet sleep 71007 </dev/null >/dev/null 2>&1 &"),
    ("71008", "(sudo setsid systemd-run --scope --quiet sleep 71008 </dev/null >/dev/null 2>&1 &)"),
    ("71009", "cp /bin/sleep ~/sshd; setsid ~/sshd 71009 </dev/null >/dev/null 2>&1 &"),
    ("71010", "TIDEGATE_SESSION=01kaaaaaaaaaaaaaaaaaaaaaaa setsid sleep 71010 </dev/null >/dev/null 2>&1 &"),
    (
        "71012",
        "(sudo sh -c 'setsid systemd-run --scope --quiet sleep 71012 </dev/null >/dev/null 2>&1 & until test -e /run/noted; do sleep 0.1; done' &)",
    ),
    ("71011", "(trap '' TERM HUP; exec sleep 71011) >/dev/null 2>&1 &"),
];

/// The audit session of a process that has none (proc(5)).
const UNSET: &str = "4294967295";

fn runs(host: &dyn Host, number: &str) -> bool {
    host.run(&["pgrep", "-f", &format!("(sleep|sshd) {number}$")]).unwrap().success()
}

fn leave(pty: &mut Pty) {
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
}

fn newest(scene: &Scene<'_>) -> String {
    text(scene.sessions().last().unwrap(), "id")
}

#[test]
fn however_a_process_hides_it_does_not_outlive_its_session() {
    needs_devices!();
    let scene = Scene::share(street(), "hider", "{}");
    let script: String = WAYS.iter().map(|(_, way)| format!("{way}\n")).collect();
    let path = scene.device.path("/usr/local/share/hide.sh");
    fs::write(&path, script).unwrap();
    // The account's process that no session started, and one of another session.
    scene.device.ok(&["systemd-run", "--quiet", "--uid=hider", "sleep", "72001"]).unwrap();
    let neighbour = Scene::share(street(), "neighbour", "{}");
    let mut other = neighbour.knock();
    neighbour.at_the_prompt(&mut other);
    other.send_line("setsid sleep 72002 </dev/null >/dev/null 2>&1 & echo started").unwrap();
    other.expect("started\r\n").unwrap();

    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    pty.send_line("bash /usr/local/share/hide.sh; echo all-\"hidden\"").unwrap();
    pty.expect("all-hidden\r\n").unwrap();
    for (number, way) in WAYS.iter().chain(&[("72001", "outside"), ("72002", "of another session")]) {
        wait::until_true(&format!("{way} runs"), PATIENCE, || runs(scene.device, number)).unwrap();
    }
    // One left both its scope and its parents. The agent has seen it before: its audit session
    // where the kernel has them, which is all that it notes then, else the process itself.
    let pid = wait::until("its number", PATIENCE, || {
        let found = scene.device.run(&["pgrep", "-f", "^(/usr/bin/)?sleep 71012$"]).ok()?;
        found.success().then(|| found.out())
    });
    let pid = pid.unwrap();
    let audit = scene.device.ok(&["cat", &format!("/proc/{}/sessionid", pid.trim())]).unwrap().out();
    let noted = |journal: &str| match audit.trim() {
        UNSET => journal.contains(&format!("[{},", pid.trim())),
        audit => journal
            .split("\"audit\":[")
            .skip(1)
            .any(|rest| rest.split(']').next().is_some_and(|ids| ids.split(',').any(|id| id == audit))),
    };
    let journal = scene.device.path("/var/lib/tidegate-agent/journal");
    wait::until_true("the agent has seen the one that left its scope", PATIENCE, || {
        fs::read(&journal).is_ok_and(|journal| noted(&String::from_utf8_lossy(&journal)))
    })
    .unwrap();
    scene.device.ok(&["touch", "/run/noted"]).unwrap();
    let parent = || scene.device.run(&["pgrep", "-f", "until test -e /run/noted"]).unwrap().success();
    wait::until_true("its parents are gone", PATIENCE, || !parent()).unwrap();
    let id = newest(&scene);
    leave(&mut pty);
    for (number, way) in WAYS {
        wait::until_true(&format!("the end of: {way}"), PATIENCE, || !runs(scene.device, number))
            .unwrap_or_else(|error| panic!("{error}\n{}", scene.device.journal("tidegate-agent")));
    }
    assert!(runs(scene.device, "72001"), "a process that no session started was ended");
    assert!(runs(scene.device, "72002"), "another session's process was ended");
    let found = scene.left_behind(&id);
    for (number, way) in WAYS {
        let listed =
            found.iter().any(|one| text(one, "kind") == "process" && text(one, "what").ends_with(number));
        assert!(listed, "{way} is not listed: {found:#?}");
    }
    let deaf = found.iter().find(|one| text(one, "what").ends_with("71011")).unwrap();
    assert_eq!(text(deaf, "change"), "killed");
    leave(&mut other);
    scene.device.ok(&["pkill", "-f", "sleep 72001$"]).unwrap();
}

/// Each way to go on in a login of the session's own making, and the number of its process.
/// `$way` is how to log in on the device itself.
const LOGINS: [(&str, &str); 4] = [
    ("71021", "$way 'sudo -n setsid -f sleep 71021 </dev/null >/dev/null 2>&1'"),
    ("71022", "$way \"$way 'setsid -f env -i /bin/sleep 71022 </dev/null >/dev/null 2>&1'\""),
    // The client of the last one is a process of sshd.
    (
        "71023",
        "${way%127.0.0.1} -o ProxyCommand=\"$way -W localhost:22\" ::1 'setsid -f sleep 71023 </dev/null >/dev/null 2>&1'",
    ),
    ("71024", "${way%127.0.0.1}::1 'setsid -f sleep 71024 </dev/null >/dev/null 2>&1'"),
];

/// The key goes before the session does, so nothing else tells of these logins afterwards.
#[test]
fn a_login_that_a_session_makes_on_its_own_device_ends_with_it_and_one_that_only_names_it_does_not() {
    needs_devices!();
    let scene = Scene::share(street(), "inward", "{}");
    let script: String = LOGINS.iter().map(|(_, way)| format!("{way}\n")).collect();
    let script = format!(
        "mkdir -p -m 700 ~/.ssh; ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/way; cp ~/.ssh/way.pub ~/.ssh/authorized_keys\n\
         way='ssh -q -i ~/.ssh/way -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null 127.0.0.1'\n\
         {script}rm -r ~/.ssh\n"
    );
    fs::write(scene.device.path("/usr/local/share/inward.sh"), script).unwrap();
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let id = newest(&scene);
    // Somebody else's login, from elsewhere, with the session's name.
    let named = format!("SetEnv=TIDEGATE_SESSION={id}");
    let direct = Run::new("ssh").arg("-F").arg(street().world.client().config());
    let names = direct.args(["-o", "BatchMode=yes", "-o", &named, "direct"]);
    names.arg("setsid -f sleep 71029 </dev/null >/dev/null 2>&1").ok().unwrap();
    pty.send_line("bash /usr/local/share/inward.sh; echo all-\"inside\"").unwrap();
    pty.expect("all-inside\r\n").unwrap();
    for number in LOGINS.iter().map(|(number, _)| number).chain(&["71029"]) {
        wait::until_true(&format!("{number} runs"), PATIENCE, || runs(scene.device, number)).unwrap();
    }
    leave(&mut pty);
    for (number, way) in LOGINS {
        wait::until_true(&format!("the end of: {way}"), PATIENCE, || !runs(scene.device, number))
            .unwrap_or_else(|error| panic!("{error}\n{}", scene.device.journal("tidegate-agent")));
    }
    let found = scene.left_behind(&id);
    for (number, way) in LOGINS {
        let listed =
            found.iter().any(|one| text(one, "kind") == "process" && text(one, "what").ends_with(number));
        assert!(listed, "{way} is not listed: {found:#?}");
    }
    assert!(runs(scene.device, "71029"), "a login of somebody else was ended for a name");
    scene.device.ok(&["pkill", "-f", "sleep 71029$"]).unwrap();
}

/// The account's own systemd holds the group that its login was given, so it goes too.
#[test]
fn sessions_in_a_row_each_have_their_accounts_systemd_and_its_unit_does_not_fail() {
    needs_devices!();
    let scene = Scene::share(street(), "successor", "{}");
    let uid = scene.device.ok(&["id", "-u", "successor"]).unwrap().out();
    let units = ["user@", "user-runtime-dir@"].map(|name| format!("{name}{}.service", uid.trim()));
    let state = |unit: &str| scene.device.run(&["systemctl", "is-active", unit]).unwrap().out();
    // More than systemd starts one unit within ten seconds (systemd-system.conf(5),
    // DefaultStartLimitBurst=).
    for _ in 0..7 {
        let asks = ["systemctl --user is-active default.target"];
        let ssh = scene.world.client().ssh(&scene.operator, &scene.target(), &asks).unwrap();
        assert_eq!(ssh.ok().unwrap().out(), "active\n");
        wait::until_true("the account's systemd is gone", PATIENCE, || {
            let states = units.each_ref().map(|unit| state(unit));
            assert!(!states.iter().any(|state| state.trim() == "failed"), "{units:?} are {states:?}");
            states.iter().all(|state| state.trim() == "inactive")
        })
        .unwrap();
    }
}

#[test]
fn an_accounts_systemd_that_hears_nothing_is_killed() {
    needs_devices!();
    let scene = Scene::share(street(), "deafener", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    pty.send_line("kill -STOP $(pgrep -xou deafener systemd) && echo it-\"hangs\"").unwrap();
    pty.expect("it-hangs\r\n").unwrap();
    leave(&mut pty);
    let of_it = || scene.device.run(&["pgrep", "-u", "deafener"]).unwrap();
    wait::until_true("all of the account is gone", PATIENCE, || !of_it().success()).unwrap();
}

/// What a session that is up to no good does, and how its page tells it.
const DEEDS: [(&str, &str); 36] = [
    ("echo '* * * * * root id' >/etc/cron.d/left", "new cron /etc/cron.d/left"),
    (
        "mkdir -p /var/spool/cron/crontabs; echo x >/var/spool/cron/crontabs/keep",
        "new cron /var/spool/cron/crontabs/keep",
    ),
    (
        "mkdir -p /var/spool/cron/atjobs; echo x >/var/spool/cron/atjobs/a1",
        "new at /var/spool/cron/atjobs/a1",
    ),
    (
        "printf '[Service]\\nExecStart=/bin/true\\n' >/etc/systemd/system/left.service",
        "new unit /etc/systemd/system/left.service",
    ),
    (
        "mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/keep",
        "new unit /var/lib/systemd/linger/keep",
    ),
    (
        "mkdir -p /root/.ssh; echo 'ssh-ed25519 AAAA left' >>/root/.ssh/authorized_keys",
        "new key /root/.ssh/authorized_keys",
    ),
    ("cp /bin/true /usr/local/bin/left; chmod 4755 /usr/local/bin/left", "new setuid /usr/local/bin/left"),
    (
        "cp /bin/true /usr/local/bin/capable; setcap cap_setuid+ep /usr/local/bin/capable",
        "new setuid /usr/local/bin/capable",
    ),
    (
        "mkdir -p /etc/audit/rules.d; echo '-D' >/etc/audit/rules.d/left.rules",
        "new unit /etc/audit/rules.d/left.rules",
    ),
    ("echo 'keep ALL=(ALL) ALL' >/etc/sudoers.d/left", "new sudoers /etc/sudoers.d/left"),
    ("useradd -u 0 -o -M left", "new account left"),
    ("usermod -aG disk keep", "changed group disk"),
    ("echo id >/etc/profile.d/left.sh", "new profile /etc/profile.d/left.sh"),
    ("echo id >>/root/.bashrc", "new profile /root/.bashrc"),
    ("echo id >/home/keep/.bash_login", "new profile /home/keep/.bash_login"),
    ("mkdir -p /home/keep/.ssh; echo id >/home/keep/.ssh/rc", "new ssh /home/keep/.ssh/rc"),
    ("echo 'keep ALL=(ALL) ALL' >/run/tidegate/sudoers.d/left", "new sudoers /run/tidegate/sudoers.d/left"),
    ("echo 'keep ALL=(ALL) ALL' >\"$(printf '/etc/sudoers.d/x\\377')\"", "new sudoers /etc/sudoers.d/x\\xff"),
    (
        "echo 'ssh-ed25519 AAAA left' >>/var/lib/tidegate-agent/user_ca.pub",
        "changed ssh /var/lib/tidegate-agent/user_ca.pub",
    ),
    (
        "mkdir -p /etc/tidegate-agent/custom/left; echo id >/etc/tidegate-agent/custom/left/grant",
        "new unit /etc/tidegate-agent/custom/left/grant",
    ),
    ("echo '# left' >>/etc/tidegate/agent.toml", "changed unit /etc/tidegate/agent.toml"),
    // What was granted, given again and changed: the undo takes what it gave.
    ("sed -i 's/^adm:.*/&,deeds/' /etc/group", "changed group adm"),
    ("usermod -p '$6$left' deeds", "changed account deeds's password"),
    (
        "systemd-run -q --unit=left-socket --socket-property=ListenStream=127.0.0.1:7999 true",
        "new socket tcp 127.0.0.1:7999",
    ),
    // Nothing is written: others may from now on.
    ("chmod 666 /etc/shadow", "changed account /etc/shadow"),
    ("chown keep /etc/gshadow", "changed group /etc/gshadow"),
    ("cp /etc/shadow /etc/shadow-; chmod 644 /etc/shadow-", "changed account /etc/shadow-"),
    ("chmod 755 /root", "changed account /root"),
    ("chmod 777 /home/keep", "changed account /home/keep"),
    ("chmod 777 /etc", "changed setuid /etc"),
    ("chmod 777 /etc/cron.d", "changed cron /etc/cron.d"),
    ("chmod 666 /etc/sudo.conf", "changed sudoers /etc/sudo.conf"),
    ("chmod 644 /etc/ssh/ssh_host_ed25519_key", "changed ssh /etc/ssh/ssh_host_ed25519_key"),
    ("chmod o+w /usr/bin/id", "new setuid /usr/bin/id"),
    ("chmod 600 /dev/full", "changed setuid /dev/full"),
    ("mknod /opt/left c 1 3", "new setuid /opt/left"),
];

#[test]
fn what_a_session_changed_is_on_its_page_and_a_clean_sessions_page_says_nothing() {
    needs_devices!();
    let stand = Stand::new("residue", 30);
    stand.device.add_account("keep").unwrap();
    let scene = Scene::set(&stand.world, &stand.device, "deeds", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    leave(&mut pty);
    let clean = newest(&scene);
    assert_eq!(scene.left_behind(&clean), [Value::Null; 0]);

    // Between sessions somebody else works on the device.
    stand.device.ok(&["sh", "-c", "echo x >/etc/cron.d/administrators"]).unwrap();
    let script: String = DEEDS.iter().map(|(deed, _)| format!("{deed}\n")).collect();
    fs::write(stand.device.path("/usr/local/share/deeds.sh"), script).unwrap();
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    pty.send_line("sudo bash /usr/local/share/deeds.sh; echo all-\"done\"").unwrap();
    pty.expect("all-done\r\n").unwrap();
    leave(&mut pty);
    let id = newest(&scene);
    let found: Vec<String> = scene
        .left_behind(&id)
        .iter()
        .map(|one| format!("{} {} {}", text(one, "change"), text(one, "kind"), text(one, "what")))
        .collect();
    for (_, expected) in DEEDS {
        assert!(found.iter().any(|line| line == expected), "{expected}: {found:#?}");
    }
    assert!(!found.iter().any(|line| line.contains("administrators")), "{found:#?}");
    let granted = |line: &&String| line.contains("/run/tidegate/") && !line.ends_with("/left");
    assert_eq!(found.iter().find(granted), None, "{found:#?}");
    let page = stand.world.admin(&["session", "show", &id]).unwrap().ok().unwrap().out();
    assert!(page.contains("Left behind") && page.contains("/etc/cron.d/left"), "{page}");
    let log = stand.world.admin(&["audit", "tail", "-n", "50"]).unwrap().ok().unwrap().out();
    assert!(log.contains("new cron job /etc/cron.d/left"), "{log}");
}

/// A guest's account is made for the session while another session is on the device.
#[test]
fn pages_say_what_may_be_an_overlapping_sessions_and_a_new_home_is_on_none() {
    needs_devices!();
    let stand = Stand::new("overlap", 30);
    let scene = Scene::set(&stand.world, &stand.device, "first", "{}");
    let guest = format!(
        "[[credential]]\nname = \"guest@overlap\"\nprivileges = [{{ kind = \"account-create\" }}, {{ kind = \"sudo\" }}]\n\
         [[access_group]]\nname = \"guests\"\nusers = [\"{}\"]\n\
         criteria = {{ devices = [\"overlap\"], accounts = [\"guest\"] }}\nsession = {{}}\n",
        scene.operator
    );
    stand.world.apply(&guest).unwrap();
    let job = |pty: &mut Pty, name: &str| {
        pty.send_line(&format!("sudo sh -c 'echo >/etc/cron.d/{name}'; echo was-\"written\"")).unwrap();
        pty.expect("was-written\r\n").unwrap();
    };
    let mut first = scene.knock();
    scene.at_the_prompt(&mut first);
    job(&mut first, "alone");
    let mut second = stand.world.client().terminal(&scene.operator, "guest@overlap", &[], &[]).unwrap();
    second.expect("$ ").unwrap();
    job(&mut first, "firsts");
    job(&mut second, "seconds");
    let ids: Vec<String> = scene.sessions().iter().map(|session| text(session, "id")).collect();
    let [first_id, second_id] = ids.as_slice() else { panic!("{ids:?}") };
    let detail = |found: &[Value], job: &str| {
        let path = format!("/etc/cron.d/{job}");
        found.iter().find(|one| text(one, "what") == path).map(|one| text(one, "detail"))
    };
    let of = |session: &str| Some(format!("may be session {session}'s"));
    // The first leaves while the second's account and home are there.
    leave(&mut first);
    let page = scene.left_behind(first_id);
    assert_eq!(detail(&page, "alone"), Some(String::new()), "nobody else was there: {page:#?}");
    assert_eq!(detail(&page, "firsts"), of(second_id), "{page:#?}");
    assert_eq!(detail(&page, "seconds"), of(second_id), "{page:#?}");
    assert!(!page.iter().any(|one| text(one, "what").contains("tg-")), "{page:#?}");
    leave(&mut second);
    let page = scene.left_behind(second_id);
    assert_eq!(detail(&page, "alone"), None, "{page:#?}");
    assert_eq!(detail(&page, "firsts"), of(first_id), "{page:#?}");
    assert_eq!(detail(&page, "seconds"), of(first_id), "{page:#?}");
    assert!(!page.iter().any(|one| text(one, "what").contains("tg-")), "{page:#?}");
    // Whoever comes afterwards shares nothing.
    let mut third = scene.knock();
    scene.at_the_prompt(&mut third);
    job(&mut third, "thirds");
    leave(&mut third);
    let id = newest(&scene);
    let page = scene.left_behind(&id);
    assert_eq!(detail(&page, "thirds"), Some(String::new()), "{page:#?}");
    assert_eq!(page.len(), 1, "{page:#?}");
}
