//! Sessions that are watched, locked and ended while they live, by stock ssh on terminals.

use serde_json::Value;
use tidegate_screen::{Screen, Size};
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, text};
use crate::ways::street;

/// What a terminal of 80x24 shows that was sent this.
fn shown(pty: &Pty) -> String {
    let mut screen = Screen::new(Size::USUAL);
    screen.write(pty.screen().as_bytes());
    screen.text()
}

fn same(user: &Pty, watcher: &Pty) {
    let same = || shown(user) == shown(watcher);
    wait::until_true("the watcher sees the same screen", PATIENCE, same)
        .unwrap_or_else(|_| panic!("the user sees:\n{}\nthe watcher:\n{}", shown(user), shown(watcher)));
}

#[test]
fn a_monitor_watches_locks_and_ends_a_session_its_user_reads_it_and_the_log_has_it() {
    needs_devices!();
    let scene = Scene::share(street(), "overseen", "{}");
    let (world, monitor) = (scene.world, "overseen-monitor");
    let key = world.client().public_key(monitor).unwrap();
    world
        .apply(&format!("[[user]]\nname = \"{monitor}\"\nkeys = [\"{key}\"]\nroles = [\"monitor\"]\n"))
        .unwrap();
    let mut user = scene.knock();
    scene.at_the_prompt(&mut user);
    let [session] = scene.sessions().try_into().unwrap();
    let id = text(&session, "id");
    let says = |who: &str, words: &[&str]| world.client().console(who, words).unwrap().run().unwrap();
    let now = |field: &str| world.json(&["session", "show", &id]).unwrap()["now"][field].clone();

    // Its user does not see to it that they are watched, and who has no terminal sees nothing.
    let refused = says(&scene.operator, &["session", "lock", &id]);
    assert!(refused.err().contains("this needs a monitor"), "{}", refused.err());
    let plain = says(monitor, &["session", "watch", &id]);
    assert!(plain.err().contains("is watched on a terminal"), "{}", plain.err());

    // What stood on the screen before somebody joined is there at once.
    user.send_line(r"printf '\033[2J\033[H\033[1;31mre''d\033[0m and w\303\244gen\n'").unwrap();
    user.expect("wägen").unwrap();
    let watch = |id: &str| world.client().terminal(monitor, "", &["-t"], &["session", "watch", id]).unwrap();
    let mut watcher = watch(&id);
    user.expect(&format!("tidegate: {monitor} watches this session")).unwrap();
    same(&user, &watcher);
    assert!(watcher.screen().contains("\x1b[0;1;31m"), "with its colours: {:?}", watcher.screen());
    user.send_line(r"seq 100 140; printf '\033[10;20Hhe''re'").unwrap();
    user.expect("here").unwrap();
    same(&user, &watcher);

    // Locked, what is typed is held back; unlocked, it goes on.
    assert!(says(monitor, &["session", "lock", &id]).success());
    user.expect(&format!("tidegate: {monitor} locked the keyboard")).unwrap();
    user.send_line("echo go''es on").unwrap();
    assert_eq!(now("locked_by"), monitor);
    let again = says(monitor, &["session", "lock", &id]);
    assert!(again.err().contains("locked the keyboard of session"), "{}", again.err());
    assert!(!user.unread().contains("goes on"), "{}", user.screen());
    assert!(says(monitor, &["session", "unlock", &id]).success());
    user.expect("the keyboard is unlocked").unwrap();
    user.expect("goes on").unwrap();
    same(&user, &watcher);
    assert_eq!((now("locked_by"), now("channels")), (Value::Null, 1.into()));

    // `q` leaves the session as it is.
    watcher.send("q").unwrap();
    assert_eq!(watcher.end(PATIENCE).unwrap().code(), Some(0), "{}", watcher.screen());
    user.expect(&format!("tidegate: {monitor} no longer watches this session")).unwrap();

    // The local administrator watches too, and sees it end.
    let words = [world.admin_words().unwrap(), vec!["session".into(), "watch".into(), id.clone()]].concat();
    let mut local = Pty::start(&words).unwrap();
    user.expect("an administrator watches this session").unwrap();
    assert!(says(monitor, &["session", "end", &id]).success());
    user.expect(&format!("tidegate: {monitor} ended the session")).unwrap();
    assert_eq!(user.end(PATIENCE).unwrap().code(), Some(255));
    local.expect("is over: it was killed").unwrap();
    assert_eq!(local.end(PATIENCE).unwrap().code(), Some(0), "{}", local.screen());
    let late = says(monitor, &["session", "watch", &id]);
    assert!(!late.success(), "a session that is over is not watched");

    let watched = || {
        let shown = world.json(&["session", "show", &id]).unwrap();
        let watched = shown["watched"].as_array().unwrap().clone();
        (watched.iter().all(|time| time["until"].is_string())).then_some(watched)
    };
    let watched = wait::until("both have left", PATIENCE, watched).unwrap();
    let by: Vec<_> = watched.iter().map(|time| text(time, "by")).collect();
    assert_eq!(by, [monitor, "local admin"]);
    let log = world.json(&["audit", "tail", "-n", "10000"]).unwrap();
    let kinds = log.as_array().unwrap().iter().filter(|record| record["event"]["session"] == id.as_str());
    let kinds: Vec<_> = kinds.map(|record| text(&record["event"], "type")).collect();
    for kind in ["session-watched", "keyboard-locked", "keyboard-unlocked", "session-kill-ordered"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind}: {kinds:?}");
    }
    scene.is_as_before_within(std::time::Duration::from_secs(2));
}

#[test]
fn a_watcher_whose_log_in_ends_gets_their_terminal_back_and_reads_why() {
    needs_devices!();
    let scene = Scene::share(street(), "overlooked", "{}");
    let (world, monitor) = (scene.world, "overlooked-monitor");
    let monitor_with = |key: &str| {
        let key = world.client().public_key(key).unwrap();
        let user = format!("[[user]]\nname = \"{monitor}\"\nkeys = [\"{key}\"]\nroles = [\"monitor\"]\n");
        world.apply(&user).unwrap();
    };
    monitor_with(monitor);
    let mut user = scene.knock();
    scene.at_the_prompt(&mut user);
    let [session] = scene.sessions().try_into().unwrap();
    let words = ["session", "watch", &text(&session, "id")];
    let mut watcher = world.client().terminal(monitor, "", &["-t"], &words).unwrap();
    watcher.expect("\x1b[?1049h").unwrap();
    user.send_line("echo se''en").unwrap();
    watcher.expect("seen").unwrap();
    // They have the role still, and no longer the key that they logged in with.
    monitor_with("overlooked-other");
    watcher.expect("\x1b[?1049l").unwrap();
    watcher.expect("tidegate: ").unwrap();
    assert_ne!(watcher.end(PATIENCE).unwrap().code(), Some(0), "{}", watcher.screen());
    user.send_line("exit").unwrap();
    user.end(PATIENCE).unwrap();
}

#[test]
fn a_panic_of_a_user_ends_their_live_session_with_its_sentence_until_it_is_lifted() {
    needs_devices!();
    let scene = Scene::share(street(), "stopped", "{}");
    let (world, operator) = (scene.world, scene.operator.as_str());
    let mut user = scene.knock();
    scene.at_the_prompt(&mut user);
    let panic = ["panic", "user", operator, "--justification", "the laptop was stolen"];
    let begun = world.admin(&panic).unwrap().ok().unwrap().out();
    let stopped = format!("access of user `{operator}` is stopped");
    assert!(begun.starts_with(&stopped), "{begun}");
    user.expect(&format!("{stopped} by a panic until an administrator lifts it")).unwrap();
    assert_eq!(user.end(PATIENCE).unwrap().code(), Some(255), "{}", user.screen());
    scene.is_as_before_within(PATIENCE);
    let ended = || scene.sessions().iter().all(|session| session["ended"].is_string());
    wait::until_true("the session is over", PATIENCE, ended).unwrap();
    let again = world.client().ssh(operator, &scene.target(), &["echo in"]).unwrap().run().unwrap();
    assert!(!again.success() && !again.out().contains("in"), "{}", again.all());

    world.admin(&["panic", "lift", "user", operator]).unwrap().ok().unwrap();
    scene.works_within(PATIENCE);
}
