//! A limited remote access at work: from outside to a device, as far as it reaches, for as many
//! sessions as it has, until it is cancelled.

use std::net::Ipv4Addr;

use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::Done;
use tidegate_tests::world::Options;

use crate::needs_devices;
use crate::scene::{Scene, Stand};

/// Not inside, as the gate's settings have it.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

impl Scene<'_> {
    /// Operator may log in to another account too, see the passwords of both, and enter from outside
    /// with a remote access.
    fn roams(&self, other: &str) -> String {
        let (device, operator) = (self.device.name(), &self.operator);
        let target = format!("{other}@{device}");
        let key = self.world.client().public_key(operator).unwrap();
        let resources = format!(
            "[[user]]\nname = \"{operator}\"\nemail = \"{operator}@example.org\"\nkeys = [\"{key}\"]\n\
             [[credential]]\nname = \"{target}\"\n\
             [[access_group]]\nname = \"{}\"\nusers = [\"{operator}\"]\n\
             criteria = {{ devices = [\"{device}\"], accounts = [\"{}\", \"{other}\"] }}\n\
             session = {{}}\npassword = {{}}\n\
             [[user_group]]\nname = \"field\"\nusers = [\"{operator}\"]\n",
            self.group, self.account
        );
        self.world.apply(&resources).unwrap();
        target
    }

    fn run_outside(&self, target: &str, command: &[&str]) -> Done {
        let from = OUTSIDE.to_string();
        let ssh = self.world.client().ssh_with(&self.operator, target, &["-b", &from], command);
        ssh.unwrap().run().unwrap()
    }

    fn on_terminal_from_outside(&self) -> Pty {
        let (from, target) = (OUTSIDE.to_string(), self.target());
        self.world.client().terminal(&self.operator, &target, &["-b", &from], &[]).unwrap()
    }

    /// How many sessions the list says the remote access has left.
    fn left(&self) -> u64 {
        let listed = self.world.json(&["remote-access", "list", "--user", &self.operator]).unwrap();
        listed[0]["left"].as_u64().unwrap_or_else(|| panic!("{listed}"))
    }
}

fn is_refused(done: &Done, says: &str) {
    assert!(!done.success() && done.all().contains(says), "no `{says}` in {}", done.all());
}

#[test]
fn a_limited_remote_access_opens_what_it_names_as_often_as_it_says_until_it_is_cancelled() {
    needs_devices!();
    let more = "\n[remote_access]\ninside = [\"127.0.0.1\"]\n".to_owned();
    let stand = Stand::with("roamed", Options { more, ..Options::default() });
    stand.device.add_account("roamer2").unwrap();
    let scene = Scene::set(&stand.world, &stand.device, "roamer", "{}");
    let (target, other) = (scene.target(), scene.roams("roamer2"));
    let none = scene.run_outside(&target, &["echo in"]);
    is_refused(&none, "you come from outside (127.0.0.2) and have no remote access");

    let admin = |words: &[&str]| scene.world.admin(words).unwrap().ok().unwrap().out();
    let login = format!("{target}:login");
    let scope = ["--credential", &login, "--sessions", "1", "--duration", "2h"];
    admin(&[&["remote-access", "request", "field", &scene.operator, "-j", "on site"], &scope[..]].concat());
    assert_eq!(scene.left(), 1);
    // Another account, and the password of the same: the group gives both, the remote access neither.
    is_refused(
        &scene.run_outside(&other, &["echo in"]),
        &format!("remote access 1 does not reach {other} for that"),
    );
    let password = ["credential", "show-password", &target, "--yes"];
    is_refused(
        &scene.run_outside("", &password),
        &format!("remote access 1 does not reach {target} for that"),
    );
    assert_eq!(scene.left(), 1, "what is refused is no session");

    let mut pty = scene.on_terminal_from_outside();
    scene.at_the_prompt(&mut pty);
    assert_eq!(scene.left(), 0);
    let second = scene.run_outside(&target, &["echo in"]);
    is_refused(&second, "the 1 session of remote access 1 is used up");
    let list = admin(&["remote-access", "list"]);
    assert!(list.contains("USER GROUP") && list.contains("limited"), "{list}");

    // The session goes on at no sessions left, and ends with the access.
    pty.send_line("echo still''here").unwrap();
    pty.expect("stillhere").unwrap();
    admin(&["remote-access", "cancel", "1", "--comment", "the work is done"]);
    pty.expect("remote access 1 was cancelled by an administrator: the work is done").unwrap();
    assert_ne!(pty.end(PATIENCE).unwrap().code(), Some(0), "{}", pty.screen());
    scene.is_as_before_within(PATIENCE);
    is_refused(
        &scene.run_outside(&target, &["echo in"]),
        "remote access 1 was cancelled by an administrator: the work is done",
    );
}
