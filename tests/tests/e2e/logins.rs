//! What a log-in rests on: when the key, the certificate or the user goes, so does all that
//! was begun with it, and nothing new begins.

use std::path::Path;
use std::time::Duration;

use tidegate_tests::client::run_of;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::{Run, Running};
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::scene::{Scene, Stand, text};
use crate::support::Scratch;
use crate::ways::street;

/// How fast everything is over once its ground is gone.
const SOON: Duration = Duration::from_secs(30);
const KEY_GONE: &str = "the key that you logged in with is no longer yours";

/// A connection without a target, as `ssh -N -M operator@gate` holds it.
struct Master<'a> {
    scene: &'a Scene<'a>,
    running: Running,
    control: String,
}

impl<'a> Master<'a> {
    fn new(scene: &'a Scene<'a>, scratch: &Scratch) -> Self {
        let path = scratch.path("master");
        let control = format!("ControlPath={}", path.display());
        let words = ["-N", "-M", "-o", &control, "-o", "BatchMode=yes", "-l", &scene.operator, "gate"];
        let words = scene.world.client().words("ssh", &scene.operator, &words).unwrap();
        let running = run_of(&words).start().unwrap();
        wait::until_true("the master is up", PATIENCE, || path.exists()).unwrap();
        Self { scene, running, control }
    }

    fn words(&self, more: &[&str]) -> Vec<String> {
        let words = [&["-o", &self.control, "-l", &self.scene.operator], more].concat();
        self.scene.world.client().words("ssh", &self.scene.operator, &words).unwrap()
    }

    /// The menu, on a terminal that shares the connection.
    fn menu(&self) -> Pty {
        let mut pty = Pty::start(&self.words(&["-t", "gate"])).unwrap();
        pty.expect("q leaves): ").unwrap();
        pty
    }

    /// A session from the menu.
    fn session(&self) -> Pty {
        let mut pty = self.menu();
        pty.send_line("1").unwrap();
        self.scene.at_the_prompt(&mut pty);
        pty
    }

    /// Waits for its end, with the sentence.
    fn ends_with(mut self, sentence: &str) {
        let ended = wait::until_true("the connection ends", SOON, || !self.running.is_running());
        let still = || format!("{}\n{}", self.running.stderr_so_far(), self.scene.world.log());
        assert!(ended.is_ok(), "still connected: {}", still());
        // Whole only once it is done: what it said last is read beside its end.
        let said = self.running.done().unwrap().err();
        assert!(said.contains(sentence), "{said}");
    }
}

/// A session through `ssh -J`, at its prompt.
fn jumped(scene: &Scene<'_>) -> Pty {
    let client = scene.world.client();
    let key = client.key(&scene.operator).unwrap().display().to_string();
    let config = client.config().display().to_string();
    let proxy = format!("ProxyCommand=ssh -F {config} -i {key} -l {} -W %h:22 gate", scene.operator);
    let words = ["-o", &proxy, "-o", "HostName=db01", "-l", &scene.account, "db01"];
    let mut pty = Pty::start(&client.words("ssh", &scene.operator, &words).unwrap()).unwrap();
    scene.at_the_prompt(&mut pty);
    pty
}

fn ends_with(pty: &mut Pty, sentence: &str) {
    pty.expect_within(sentence, SOON).unwrap();
    pty.end(SOON).unwrap();
}

fn user(name: &str, more: &str) -> String {
    format!("[[user]]\nname = \"{name}\"\n{more}\n")
}

#[test]
fn a_key_that_is_taken_away_ends_all_that_was_begun_with_it_and_starts_nothing_more() {
    needs_devices!();
    let scratch = Scratch::new("keygone");
    let scene = Scene::share(street(), "keygone", "{}");
    let world = scene.world;
    let key = world.client().public_key(&scene.operator).unwrap();
    let second = world.client().public_key("keygone-second").unwrap();
    let master = Master::new(&scene, &scratch);
    let mut menu = master.menu();
    let mut chosen = master.session();
    let mut direct = scene.knock();
    scene.at_the_prompt(&mut direct);
    let mut jump = jumped(&scene);
    // A second key, and another comment, change nothing.
    let renamed = key.replace(&scene.operator, "renamed");
    world.apply(&user(&scene.operator, &format!("keys = [\"{renamed}\", \"{second}\"]"))).unwrap();
    for pty in [&mut chosen, &mut direct, &mut jump] {
        scene.is_root(pty);
    }
    let mut another = master.session();

    world.apply(&user(&scene.operator, &format!("keys = [\"{second}\"]"))).unwrap();
    for pty in [&mut menu, &mut chosen, &mut another, &mut direct, &mut jump] {
        ends_with(pty, KEY_GONE);
    }
    let words = master.words(&["-o", "BatchMode=yes", "gate", "access", "list"]);
    master.ends_with(KEY_GONE);
    let late = run_of(&words).run().unwrap();
    assert!(!late.success() && late.err().contains("Permission denied"), "{}", late.all());
    scene.is_as_before_within(SOON);
    assert!(
        scene.sessions().iter().all(|session| text(session, "outcome").contains("policy")),
        "{:#?}",
        scene.sessions()
    );
}

#[test]
fn a_user_who_is_disabled_leaves_the_menu_and_the_connection_that_carries_it() {
    needs_devices!();
    let scratch = Scratch::new("menuoff");
    let scene = Scene::share(street(), "menuoff", "{}");
    let key = scene.world.client().public_key(&scene.operator).unwrap();
    let master = Master::new(&scene, &scratch);
    let mut menu = master.menu();
    scene.world.apply(&user(&scene.operator, &format!("keys = [\"{key}\"]\nenabled = false"))).unwrap();
    ends_with(&mut menu, "your account in Tidegate was disabled");
    master.ends_with("your account in Tidegate was disabled");
}

#[test]
fn who_waits_for_approval_with_a_key_that_is_taken_away_is_told_and_gets_in_no_more() {
    needs_devices!();
    let scene = Scene::share(street(), "waitgone", crate::scene::ASKS_AND_WAITS);
    let (mut pty, number) = scene.wait_for_yes();
    scene.world.apply(&user(&scene.operator, "")).unwrap();
    ends_with(&mut pty, KEY_GONE);
    scene.approver_says("approve", number).ok().unwrap();
    assert!(scene.sessions().is_empty());
}

fn certified(ca: &Path, world: &World, user: &str, principal: &str, validity: &str) {
    let key = world.client().key(user).unwrap();
    let sign = Run::new("ssh-keygen").args(["-q", "-s"]).arg(ca).args(["-I", "a-test", "-n", principal]);
    sign.args(["-V", validity]).arg(key.with_extension("key.pub")).ok().unwrap();
}

#[test]
fn a_certificate_ends_what_was_begun_with_it_at_its_time_with_its_principal_and_with_its_ca() {
    needs_devices!();
    let scratch = Scratch::new("certgone");
    let ca = scratch.path("ca");
    Run::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&ca).ok().unwrap();
    let line = std::fs::read_to_string(ca.with_extension("pub")).unwrap();
    let more = format!("\n[ssh]\ntrusted_user_cas = [\"{}\"]\n", line.trim());
    let stand = Stand::with("certgone", Options { more, ..Options::default() });
    let scene = Scene::set(&stand.world, &stand.device, "certgone", "{}");
    let operator = &scene.operator;
    // From here on nothing but a certificate lets them in.
    stand.world.apply(&user(operator, "")).unwrap();

    certified(&ca, &stand.world, operator, operator, "-1m:+1h");
    let master = Master::new(&scene, &scratch);
    let mut session = scene.knock();
    scene.at_the_prompt(&mut session);
    stand.world.apply(&user(operator, "principals = [\"somebody\"]")).unwrap();
    let gone = "the certificate that you logged in with no longer names you";
    ends_with(&mut session, gone);
    master.ends_with(gone);
    scene.is_as_before_within(SOON);

    // Nothing happens at all, but time goes by.
    certified(&ca, &stand.world, operator, "somebody", "-1m:+25s");
    let since = std::time::Instant::now();
    let master = Master::new(&scene, &scratch);
    let mut session = scene.knock();
    scene.at_the_prompt(&mut session);
    let over = "the certificate that you logged in with has expired";
    session.expect_within(over, SOON * 2).unwrap();
    assert!(since.elapsed() >= Duration::from_secs(20), "{:?}", since.elapsed());
    master.ends_with(over);
    scene.is_as_before_within(SOON);

    // A CA is a setting: without it the gate ends all on its way down, and lets nobody in by it.
    certified(&ca, &stand.world, operator, "somebody", "-1m:+1h");
    let mut master = Master::new(&scene, &scratch);
    let enters = || stand.world.client().console(operator, &["access", "list"]).unwrap().run().unwrap();
    assert!(enters().success(), "{}", enters().all());
    stand.world.stop_proxy().unwrap();
    wait::until_true("the connection ends", SOON, || !master.running.is_running()).unwrap();
    let _later = World::start_in(stand.world.dir(), Options::default(), false).unwrap();
    let refused = enters();
    assert!(!refused.success() && refused.err().contains("Permission denied"), "{}", refused.all());
}

#[test]
fn a_key_or_principal_of_another_user_is_refused_by_apply_with_that_users_name() {
    let world = World::start(Options::default()).unwrap();
    let key = world.client().public_key("alice").unwrap();
    let keyed = |name: &str, comment: &str| {
        user(name, &format!("keys = [\"{}\"]", key.replace(" alice", &format!(" {comment}"))))
    };
    let refused = |text: &str, names: &str| {
        let done = world.admin(&["apply", "-f", "-"]).unwrap().stdin(text).run().unwrap();
        assert!(!done.success() && done.err().contains(names), "{}", done.all());
        assert!(!world.admin(&["get", "user", "bob"]).unwrap().run().unwrap().success());
    };
    refused(&(keyed("alice", "a") + &keyed("bob", "b")), "user `alice`'s already");
    world.apply(&keyed("alice", "a")).unwrap();
    refused(&keyed("bob", "b"), "user `alice`'s already");
    refused(&user("bob", "principals = [\"bob\", \"alice\"]"), "user `alice`'s already");
    // What alice gives up in the same text is bob's from then on, and lets only him in.
    world.apply(&(user("alice", "") + &keyed("bob", "b"))).unwrap();
    let words = world.client().words("ssh", "alice", &["-o", "BatchMode=yes"]).unwrap();
    let enters = |name: &str| run_of(&words).args(["-l", name, "gate", "access", "list"]).run().unwrap();
    assert!(enters("bob").success(), "{}", enters("bob").all());
    assert!(!enters("alice").success());
}
