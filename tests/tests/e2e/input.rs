//! What is typed is recorded where the access group says so, and nowhere else.

use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, text};
use crate::ways::street;

/// Types a password where the device does not echo it; gives the recording's `i` events.
/// Its markers are the lines that were echoed.
fn typed_in(scene: &Scene<'_>) -> String {
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let ask = r#"stty -echo; printf 'Sec''ret? '; read -r secret; stty echo; echo "${#secret} letters""#;
    pty.send_line(ask).unwrap();
    pty.expect("Secret? ").unwrap();
    pty.send_line("hunter2hunter2").unwrap();
    pty.expect("14 letters").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
    let sealed = wait::until("the session is over and its recording sealed", PATIENCE, || {
        let session = scene.sessions().pop()?;
        (session.get("live")? == false).then(|| text(&session, "id"))
    });
    let id = sealed.unwrap();
    let cast = scene.world.admin(&["session", "export", &id]).unwrap().ok().unwrap().out();
    let events = |code: &str| -> String {
        let events = cast.lines().filter_map(|line| serde_json::from_str::<(f64, String, String)>(line).ok());
        events.filter(|(_, found, _)| found == code).map(|(_, _, text)| text).collect()
    };
    let shown = events("o");
    assert!(shown.contains("14 letters") && !shown.contains("hunter2"), "what was not echoed is not shown");
    let marks = events("m");
    assert!(
        marks.contains("stty -echo") && marks.ends_with("exit") && !marks.contains("hunter2"),
        "{marks:?}"
    );
    events("i")
}

#[test]
fn what_is_typed_is_recorded_only_where_the_group_says_so_also_what_is_not_echoed() {
    needs_devices!();
    let scene = Scene::share(street(), "unasked", "{}");
    assert_eq!(typed_in(&scene), "");
    let scene = Scene::share(street(), "asked", "{}\nconditions = { record_input = true }");
    let typed = typed_in(&scene);
    assert!(typed.contains("hunter2hunter2\r"), "{typed:?}");
}

/// Terminals bracket what is pasted, since bash asks for it.
#[test]
fn each_line_that_is_pasted_into_bash_is_in_the_list_of_commands() {
    needs_devices!();
    let scene = Scene::share(street(), "paster", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    assert!(pty.screen().contains("\x1b[?2004h"), "bash asks for it: {:?}", pty.screen());
    pty.send("\x1b[200~echo one-$((1))\recho zwölf-$((2))\recho three-$((3))\x1b[201~").unwrap();
    pty.expect("three-$((3))").unwrap();
    pty.send("\r").unwrap();
    pty.expect("three-3\r\n").unwrap();
    // The same, and a letter is put in before the last of the last line, by somebody who looks.
    pty.expect("$ ").unwrap();
    pty.send("\x1b[200~echo four\recho fie\x1b[201~").unwrap();
    pty.expect("echo fie").unwrap();
    pty.send("\x1b[D").unwrap();
    pty.send("v").unwrap();
    pty.expect("v").unwrap();
    pty.send("\r").unwrap();
    pty.expect("\nfive\r\n").unwrap();
    let id = text(&scene.sessions()[0], "id");
    let pasted = ["echo one-$((1))", "echo zwölf-$((2))", "echo three-$((3))", "echo four", "echo five"];
    let mut typed = Vec::new();
    let listed = wait::until_true("all of them are listed", PATIENCE, || {
        let told = scene.world.json(&["session", "commands", &id]).unwrap();
        let commands = told["commands"].as_array().unwrap().iter();
        let commands = commands.filter(|command| command["source"] == "typed");
        typed = commands.map(|command| text(command, "command")).collect();
        typed.ends_with(&pasted.map(str::to_owned))
    });
    assert!(listed.is_ok(), "{typed:#?}");
    pty.kill().unwrap();
}

/// ssh asks for a terminal of nothing when it has none itself.
#[test]
fn a_terminal_of_0_by_0_is_recorded_as_one_that_players_take() {
    needs_devices!();
    let scene = Scene::share(street(), "sizeless", "{}");
    let client = scene.world.client();
    let ssh = client.ssh_with(&scene.operator, &scene.target(), &["-tt"], &["stty size"]).unwrap();
    // The device has what the client said.
    assert_eq!(ssh.stdin("").ok().unwrap().out(), "0 0\r\n");
    let id = text(&scene.sessions()[0], "id");
    scene.world.admin(&["session", "verify", &id]).unwrap().ok().unwrap();
    let cast = scene.world.unpack(&id).unwrap().ok().unwrap().out();
    assert!(cast.contains(r#"\"size\":{\"cols\":80,\"rows\":24}"#), "{cast}");
}
