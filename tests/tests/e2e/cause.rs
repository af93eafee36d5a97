//! Why a device's sshd does not let a session in: the user, `doctor` and `install` name it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::Value;
use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Done;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::scene::{Scene, Stand, text};
use crate::support::base;

/// Whom a setting keeps out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Out {
    /// The account of the scene.
    One,
    /// Everybody, so that `install` refuses as well.
    All,
}

/// Before the agent's own drop-in, and after it.
const FIRST: &str = "/etc/ssh/sshd_config.d/00.conf";
const LAST: &str = "/etc/ssh/sshd_config.d/zz.conf";

/// What is done to the host, how it is taken back, and what is said of it. `FIRST` and `LAST`
/// stand for those files.
const CASES: [(&str, &str, Out, &str); 14] = [
    (
        "echo AllowUsers deploy git >LAST",
        "rm LAST",
        Out::One,
        "strict is not in `AllowUsers deploy git` (line 1 of LAST)",
    ),
    (
        "printf '\\nAllowUsers strict@192.0.2.0/24\\n' >LAST",
        "rm LAST",
        Out::One,
        "strict is not in `AllowUsers strict@192.0.2.0/24` (line 2 of LAST)",
    ),
    (
        "echo DenyUsers git 'str*' >LAST",
        "rm LAST",
        Out::One,
        "strict is kept out by `DenyUsers str*` (line 1 of LAST)",
    ),
    (
        "echo AllowGroups wheel >LAST",
        "rm LAST",
        Out::One,
        "no group of strict is in `AllowGroups wheel` (line 1 of LAST)",
    ),
    (
        "echo DenyGroups strict >LAST",
        "rm LAST",
        Out::One,
        "a group of strict is kept out by `DenyGroups strict` (line 1 of LAST)",
    ),
    (
        "printf 'Match User strict\\nAuthenticationMethods publickey,password\\n' >LAST",
        "rm LAST",
        Out::One,
        "sshd asks for more than a key, which the gate does not have: `AuthenticationMethods publickey,password` (line 2 \
         of LAST)",
    ),
    ("chage -E 1 strict", "chage -E -1 strict", Out::One, "the account strict has expired on 1970-01-02"),
    (
        "usermod -s /bin/none strict",
        "usermod -s /bin/bash strict",
        Out::One,
        "the shell of strict, /bin/none, is not there",
    ),
    ("touch /etc/nologin", "rm /etc/nologin", Out::One, "/etc/nologin keeps everybody but root out"),
    (
        "usermod -p '!*' strict; echo UsePAM no >FIRST",
        "usermod -p '*' strict; rm FIRST",
        Out::One,
        "the account strict is locked",
    ),
    (
        "echo AuthenticationMethods publickey,password >LAST",
        "rm LAST",
        Out::All,
        "`AuthenticationMethods publickey,password` (line 1 of LAST)",
    ),
    (
        "echo PubkeyAcceptedAlgorithms ssh-ed25519 >LAST",
        "rm LAST",
        Out::All,
        "`PubkeyAcceptedAlgorithms` leaves out ssh-ed25519-cert-v01@openssh.com (line 1 of LAST)",
    ),
    (
        "touch /etc/ssh/other.pub; echo TrustedUserCAKeys /etc/ssh/other.pub >FIRST",
        "rm FIRST /etc/ssh/other.pub",
        Out::All,
        "TrustedUserCAKeys",
    ),
    (
        "sed -i 's/^Include.*/Include sshd_config.d\\/device.conf\\nMatch User git\\nInclude sshd_config.d\\/tide*.conf\\n\
         Match all/' /etc/ssh/sshd_config",
        "cp -p /usr/share/openssh/sshd_config /etc/ssh/sshd_config",
        Out::All,
        "counts only under `Match User git` (line ",
    ),
];

fn real(text: &str) -> String {
    text.replace("FIRST", FIRST).replace("LAST", LAST)
}

fn restart_sshd(device: &Device) {
    // Not counted as one that fails again and again.
    device.ok(&["systemctl", "reset-failed", "ssh"]).unwrap();
    device.ok(&["systemctl", "restart", "ssh"]).unwrap();
    wait::until_true("sshd answers", PATIENCE, || device.sshd_answers()).unwrap();
}

/// What doctor says of an account and of access at all that is not well.
fn doctor(device: &Device, account: &str) -> Vec<Value> {
    let done = device.run(&["tidegate-agent", "doctor", "--account", account, "-o", "json"]).unwrap();
    let points: Vec<Value> =
        serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", done.all()));
    let of_sshd =
        |point: &Value| ["access", "account", "user CA", "keys"].contains(&text(point, "point").as_str());
    points.into_iter().filter(|point| of_sshd(point) && text(point, "verdict") != "ok").collect()
}

fn ask(scene: &Scene) -> Done {
    scene.world.client().ssh(&scene.operator, &scene.target(), &["id"]).unwrap().run().unwrap()
}

#[test]
fn what_sshd_refuses_is_told_with_its_setting_and_line() {
    needs_devices!();
    let stand = Stand::new("strait", 30);
    let device = &stand.device;
    let scene = Scene::set(&stand.world, device, "strict", "{}");
    assert!(ask(&scene).success(), "{}", stand.world.log());
    assert_eq!(doctor(device, "strict"), [Value::Null; 0]);
    for (damage, mend, out, said) in CASES {
        let (damage, said) = (real(damage), real(said));
        device.ok(&["sh", "-c", &damage]).unwrap();
        restart_sshd(device);
        let refused = ask(&scene);
        let points = doctor(device, "strict");
        let install = device.run(&["tidegate-agent", "install"]).unwrap();
        device.ok(&["sh", "-c", &real(mend)]).unwrap();
        restart_sshd(device);
        assert!(!refused.success() && refused.err().contains(&said), "{damage}: {}", refused.all());
        assert!(refused.err().contains("sshd on strait does not let strict in: "), "{}", refused.all());
        let wrong = points.iter().filter(|point| text(point, "verdict") == "wrong");
        let mut told = wrong.map(|point| text(point, "found") + &text(point, "mend"));
        assert!(told.any(|told| told.contains(&said)), "{damage}: {points:#?}");
        match out {
            Out::One => assert!(install.success(), "{damage}: {}", install.all()),
            Out::All => assert!(install.err().contains(&said), "{damage}: {}", install.all()),
        }
    }
    // What changes every session, and what may keep some out, is pointed out.
    device
        .ok(&["sh", "-c", &real("echo ForceCommand /bin/true >FIRST; echo AllowUsers strict >LAST")])
        .unwrap();
    let install = device.ok(&["tidegate-agent", "install"]).unwrap().out();
    device.ok(&["sh", "-c", &real("rm FIRST LAST")]).unwrap();
    for said in ["`ForceCommand /bin/true` (line 1 of FIRST)", "`AllowUsers strict` (line 1 of LAST)"] {
        assert!(install.contains(&real(said)), "{install}");
    }
    // The twin with nothing in the way.
    assert!(ask(&scene).success(), "{}", stand.world.log());
    assert_eq!(doctor(device, "strict"), [Value::Null; 0]);
    let install = device.ok(&["tidegate-agent", "install"]).unwrap();
    assert_eq!(install.out(), "nothing to do\n");
}

#[test]
fn an_account_that_is_not_there_is_told_and_what_only_sshd_knows() {
    needs_devices!();
    let stand = Stand::new("vacant", 30);
    let scene = Scene::set(&stand.world, &stand.device, "absent", "{}");
    let resources = "[[credential]]\nname = \"absent@vacant\"\n";
    stand.world.apply(resources).unwrap();
    assert!(ask(&scene).success());
    // What no setting tells, sshd's own log does.
    let pam = stand.device.path("/etc/pam.d/sshd");
    let stack = std::fs::read_to_string(&pam).unwrap();
    std::fs::write(&pam, format!("account requisite pam_deny.so\n{stack}")).unwrap();
    let refused = ask(&scene);
    std::fs::write(&pam, stack).unwrap();
    let said = "let absent in: its log says: ";
    assert!(!refused.success() && refused.err().contains(said), "{}", refused.all());
    assert!(refused.err().contains("ccess denied for user absent by PAM"), "{}", refused.all());
    assert!(ask(&scene).success());
    stand.device.ok(&["userdel", "-f", "absent"]).unwrap();
    let refused = ask(&scene);
    let said = "sshd on vacant does not let absent in: there is no account absent on this host";
    assert!(!refused.success() && refused.err().contains(said), "{}", refused.all());
}

#[test]
fn what_is_done_in_the_place_of_what_is_asked_for_is_warned_of() {
    needs_devices!();
    let stand = Stand::new("detour", 30);
    let device = &stand.device;
    let scene = Scene::set(&stand.world, device, "bent", "{}");
    let plain = ask(&scene);
    assert!(plain.success() && plain.err().is_empty(), "{}", plain.all());
    for (damage, mend, said) in [
        (
            "printf 'Match User bent\\nForceCommand /bin/true\\n' >LAST",
            "rm LAST",
            "`ForceCommand /bin/true` (line 2 of LAST)",
        ),
        (
            "usermod -s /usr/sbin/nologin bent",
            "usermod -s /bin/bash bent",
            "the shell of bent is /usr/sbin/nologin, which ends each session",
        ),
        ("chage -d 0 bent", "chage -d 2026-01-01 bent", "bent has to change its password first"),
    ] {
        assert_eq!(doctor(device, "bent"), [Value::Null; 0]);
        device.ok(&["sh", "-c", &real(damage)]).unwrap();
        restart_sshd(device);
        let points = doctor(device, "bent");
        let met = ask(&scene);
        device.ok(&["sh", "-c", &real(mend)]).unwrap();
        restart_sshd(device);
        // Whoever comes reads it as well, before what happens in the place of their command.
        assert!(!met.out().contains("uid="), "{damage}: {}", met.all());
        assert!(met.err().starts_with("tidegate: on detour "), "{damage}: {}", met.all());
        assert!(met.err().contains(&real(said)), "{damage}: {}", met.all());
        assert_eq!(points.len(), 1, "{points:#?}");
        assert_eq!(text(&points[0], "verdict"), "warning");
        assert!(text(&points[0], "found").contains(&real(said)), "{points:#?}");
    }
    // The twin with nothing in the way, right afterwards.
    let plain = ask(&scene);
    assert!(plain.out().contains("uid=") && plain.err().is_empty(), "{}", plain.all());
}

#[test]
fn install_and_doctor_agree_on_what_is_switched_off() {
    needs_devices!();
    let stand = Stand::new("halved", 30);
    let device = &stand.device;
    for unit in ["tidegate-sweep.service", "tidegate-sweep.timer", "tidegate-agent.service"] {
        device.ok(&["systemctl", "disable", unit]).unwrap();
        let install = device.ok(&["tidegate-agent", "install"]).unwrap().out();
        assert_eq!(install, format!("run systemctl enable {unit}\ndone\n"));
        device.ok(&["systemctl", "is-enabled", unit]).unwrap();
    }
}

/// Carries connections on to an sshd that sees them come from another address than they do.
fn translates(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(device)) = (client, TcpStream::connect(to)) else { return };
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), device.try_clone().unwrap()), (device, client)]
            {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    address
}

#[test]
fn behind_address_translation_the_true_cause_is_told_and_a_setting_lets_sessions_in() {
    needs_devices!();
    let device = Device::boot(&base(), "abroad").unwrap();
    let world = World::start(Options::default()).unwrap();
    let relay = translates(device.sshd());
    let place = |seen_from: &str| {
        let (ip, port) = (relay.ip(), relay.port());
        world
            .apply(&format!(
                "[[device]]\nname = \"abroad\"\naddress = \"{ip}\"\nport = {port}\n{seen_from}\n"
            ))
            .unwrap();
    };
    place("");
    world.enrol(&device).unwrap();
    let scene = Scene::set(&world, &device, "far", "{}");
    let seen = device.host_address();
    for elsewhere in ["", "seen_from = [\"192.0.2.0/24\"]"] {
        place(elsewhere);
        let refused = ask(&scene);
        let said =
            format!("it sees the gate come from {seen}, and the gate's certificate is for another address");
        assert!(!refused.success() && refused.err().contains(&said), "{}", refused.all());
        assert!(refused.err().contains("`seen_from` of the device"), "{}", refused.all());
    }
    let network = format!("seen_from = [\"192.0.2.0/24\", \"{seen}\"]");
    for right in [network.as_str(), "seen_from = [\"0.0.0.0/0\", \"::/0\"]"] {
        place(right);
        assert!(ask(&scene).success(), "{}\n{}", world.log(), device.journal("ssh"));
    }
    // What a session leaves running is found and ended here, too.
    let leaves = ["setsid sleep 4711 </dev/null >/dev/null 2>&1 & sleep 0.1; pgrep -f 'sleep 4711'"];
    let left = world.client().ssh(&scene.operator, &scene.target(), &leaves).unwrap().run().unwrap();
    assert!(left.success() && !left.out().is_empty(), "{}", left.all());
    let gone = || !device.run(&["pgrep", "-x", "sleep", "-u", "far"]).unwrap().success();
    wait::until_true("what was left behind is ended", PATIENCE, gone).unwrap();
    scene.is_as_before_within(PATIENCE);
}
