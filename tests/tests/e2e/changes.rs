//! Sessions under planned changes, by stock ssh: which change lets in where and when, and what is
//! told of what it does not expect.

use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::sinks::MailServer;
use tidegate_tests::wait;
use tidegate_tests::world::Options;

use crate::needs_devices;
use crate::scene::{Scene, Stand, text};
use crate::ways::street;

/// From the line that is typed to the mail that tells of it, at most.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

impl Scene<'_> {
    /// Operator plans a change, approver approves it.
    fn planned(&self, id: &str, more: &[&str]) {
        let device = if more.contains(&"--device") { vec![] } else { vec!["--device", self.device.name()] };
        let due = if more.contains(&"--due") { vec![] } else { vec!["--due", "+1h"] };
        let all = ["--title", "'Echo a little'", "--group", &self.group, "--responsible", &self.approver];
        let words = [&["change", "create", id], &all[..], &device[..], &due[..], more].concat();
        self.says(&self.operator, &words).ok().unwrap();
        self.says(&self.approver, &["change", "approve", id]).ok().unwrap();
    }

    /// Operator is in under the change.
    fn enter_under(&self, id: &str) -> Pty {
        let mut pty = self.knock();
        pty.expect("Change (number or ID): ").unwrap();
        pty.send_line(id).unwrap();
        pty.expect("$ ").unwrap();
        pty
    }

    /// The change's report once all its sessions are compared to their end.
    fn report(&self, id: &str, sessions: usize) -> Value {
        let report = wait::until("the report", PATIENCE, || {
            let report = self.world.json(&["change", "report", id]).ok()?;
            let all = report["sessions"].as_array()?;
            let done = all.len() == sessions && all.iter().all(|session| session["complete"] == true);
            done.then_some(report)
        });
        report.unwrap_or_else(|error| panic!("{error}; the proxy's log:\n{}", self.world.log()))
    }
}

#[test]
fn a_session_rests_on_the_change_that_covers_it_and_what_it_does_not_expect_is_told() {
    needs_devices!();
    let scene = Scene::share(street(), "planned", "{ change = true }");
    let target = scene.target();
    let mut pty = scene.knock();
    pty.expect("wants an approved change, and none is open for it now").unwrap();
    drop(pty);

    scene.world.apply("[[device]]\nname = \"elsewhere\"\n").unwrap();
    scene.planned("CHG-2", &["--device", "elsewhere"]);
    scene.planned("CHG-3", &["--start", "+1h", "--due", "+2h"]);
    scene
        .planned("CHG-1", &["--expect", "'echo stopped'", "--expect", "'echo started'", "--allow", "'df *'"]);
    let own = scene.says(&scene.operator, &["change", "create", "CHG-1", "-f", "-"]);
    assert!(!own.success(), "an id or a text, not both");

    let mut pty = scene.knock();
    pty.expect("1  CHG-1  Echo a little").unwrap();
    for (id, why) in [
        ("CHG-9", "there is no change `CHG-9` that is open to you"),
        ("CHG-2", "change `CHG-2` is not for db01, only for elsewhere"),
        ("CHG-3", "change `CHG-3` begins only at "),
    ] {
        pty.expect("Change (number or ID): ").unwrap();
        pty.send_line(id).unwrap();
        pty.expect(why).unwrap();
    }
    pty.expect("Change (number or ID): ").unwrap();
    pty.send_line("1").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("echo started").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("echo surprise").unwrap();
    pty.expect("$ ").unwrap();
    let [session] = scene.sessions().try_into().unwrap();
    let id = text(&session, "id");
    let told = wait::until("the unexpected command is on the session's page", PATIENCE, || {
        let shown = scene.world.json(&["session", "show", &id]).ok()?;
        let unexpected = shown["compared"]["report"]["unexpected"].as_array()?.clone();
        (!unexpected.is_empty()).then_some(unexpected)
    });
    let told = told.unwrap();
    assert_eq!(
        (text(&told[0], "command"), text(&told[0], "source")),
        ("echo surprise".to_owned(), "typed".to_owned())
    );
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
    let first = scene.report("CHG-1", 1);
    assert_eq!(first["expected_not_run"], serde_json::json!(["echo stopped"]), "{first:#}");
    assert_eq!(first["percent"], 33);

    // Without a terminal the change is said ahead.
    scene.says(&scene.operator, &["request", "create", &target, "--change", "CHG-1"]).ok().unwrap();
    let client = scene.world.client();
    for line in ["echo stopped", "echo sneaky", "echo sneaky"] {
        client.ssh(&scene.operator, &target, &[line]).unwrap().ok().unwrap();
    }
    let all = scene.report("CHG-1", 4);
    let unexpected = all["run_not_expected"].as_array().unwrap();
    let told: Vec<_> = unexpected.iter().map(|one| (text(one, "command"), text(one, "source"))).collect();
    assert_eq!(
        told,
        [("echo surprise", "typed"), ("echo sneaky", "exec")]
            .map(|(line, source)| (line.to_owned(), source.to_owned()))
    );
    let export = scene.world.admin(&["session", "export", &id]).unwrap().ok().unwrap().out();
    assert!(export.contains("unexpected: echo surprise"), "a mark in the recording");

    // Closing it ends what rests on it.
    let mut pty = scene.knock();
    pty.expect("$ ").unwrap();
    let closed = scene.says(&scene.approver, &["change", "close", "CHG-1"]).ok().unwrap().out();
    assert!(closed.contains("closed as executed"), "{closed}");
    pty.expect("change `CHG-1` is executed; the session ends").unwrap();
    pty.end(PATIENCE).unwrap();
}

#[test]
fn a_change_is_planned_step_by_step_on_a_terminal_and_gone_back_to_before_it_is_made() {
    needs_devices!();
    let scene = Scene::share(street(), "drawn", "{ change = true }");
    let client = scene.world.client();
    let plain = scene.says(&scene.operator, &["change", "create"]);
    assert!(!plain.success() && plain.err().contains("use a terminal (ssh -t)"), "{}", plain.all());
    let mut pty = client.terminal(&scene.operator, "", &["-t"], &["change", "create"]).unwrap();
    for (prompt, typed) in [
        ("1/12 ID", "CHG-7"),
        ("2/12 Title", "Look arund"),
        ("3/12 Description", ""),
        ("4/12 Access group", "nobody"),
        // What stands against it is told at once, and asked again.
        ("there is no access group `nobody`", &scene.group),
        ("5/12 Devices", scene.device.name()),
        ("6/12 Start", ""),
        ("7/12 Due", "+1h"),
        ("8/12 A command that has to run", "df *"),
        ("8/12 A command that has to run", ""),
        ("9/12 A command that may run", ""),
        ("10/12 In this order?", ""),
        ("11/12 Responsible", &scene.approver),
        ("12/12 End a session", ""),
    ] {
        pty.expect(prompt).unwrap();
        pty.expect(": ").unwrap();
        pty.send_line(typed).unwrap();
    }
    // All of it is shown, and can be changed.
    pty.expect("cancel leaves: ").unwrap();
    pty.send_line("2").unwrap();
    for typed in ["Look around", "save"] {
        pty.expect(": ").unwrap();
        pty.send_line(typed).unwrap();
    }
    pty.end(PATIENCE).unwrap();
    let made = scene.world.json(&["change", "show", "CHG-7"]).unwrap();
    assert_eq!((text(&made, "group"), text(&made, "title")), (scene.group.clone(), "Look around".to_owned()));
}

#[test]
fn who_is_responsible_has_a_mail_within_two_seconds_of_the_unexpected_line() {
    needs_devices!();
    let server = MailServer::start(&[]).unwrap();
    let more = format!(
        "[notify.mail]\nserver = \"{}\"\ntls = \"none\"\nfrom = \"Tidegate <tidegate@example.org>\"\n",
        server.address()
    );
    let stand = Stand::with("mailed", Options { more, ..Options::default() });
    let scene = Scene::set(&stand.world, &stand.device, "hasty", "{ change = true }");
    let (approver, key) = (&scene.approver, scene.world.client().public_key(&scene.approver).unwrap());
    let address = format!("{approver}@example.org");
    let reached = format!("[[user]]\nname = \"{approver}\"\nemail = \"{address}\"\nkeys = [\"{key}\"]\n");
    scene.world.apply(&reached).unwrap();
    scene.planned("CHG-1", &["--expect", "'echo fine'"]);
    let mut pty = scene.enter_under("CHG-1");
    pty.send_line("echo fine").unwrap();
    pty.expect("$ ").unwrap();
    for line in ["echo surprise", "echo another"] {
        let typed = Instant::now();
        pty.send_line(line).unwrap();
        let told =
            || server.mails().iter().any(|mail| mail.to == [address.as_str()] && mail.text.contains(line));
        wait::until_true("the mail is there", PATIENCE, told).unwrap();
        let took = typed.elapsed();
        assert!(took < TOLD_WITHIN, "{line}: {took:?}; the proxy's log:\n{}", scene.world.log());
        pty.expect("$ ").unwrap();
    }
    let mails = server.mails();
    let of = |line: &str| mails.iter().filter(|mail| mail.text.contains(line)).count();
    assert_eq!((of("echo surprise"), of("echo another"), of("echo fine")), (1, 1, 0), "{mails:?}");
    pty.kill().unwrap();
}

#[test]
fn a_change_that_interrupts_ends_the_session_with_what_it_did_not_expect() {
    needs_devices!();
    let scene = Scene::share(street(), "interrupted", "{ change = true }");
    scene.planned("CHG-4", &["--expect", "'echo fine'", "--interrupt"]);
    let mut pty = scene.enter_under("CHG-4");
    pty.send_line("echo fine").unwrap();
    pty.expect("fine").unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("echo not-fine").unwrap();
    pty.expect("change `CHG-4` does not expect `echo not-fine`, so the session ends").unwrap();
    pty.end(PATIENCE).unwrap();
    scene.is_as_before_within(PATIENCE);
    let report = scene.report("CHG-4", 1);
    assert_eq!(report["percent"], 50, "{report:#}");
}
