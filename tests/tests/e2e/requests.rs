//! Requests ahead: for several accounts, bounded, extended while in use, step by step; and
//! exceptional access, which needs none.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::Done;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, text};
use crate::ways::street;

impl Scene<'_> {
    fn runs(&self, target: &str, command: &str) -> Done {
        self.world.client().ssh(&self.operator, target, &[command]).unwrap().run().unwrap()
    }

    /// Another account beside the scene's, under the same group.
    fn widen(&self, other: &str, terms: &str) -> String {
        self.device.add_account(other).unwrap();
        let target = format!("{other}@{}", self.device.name());
        let group = format!(
            "[[credential]]\nname = \"{target}\"\n\n\
             [[access_group]]\nname = \"{}\"\nusers = [\"{}\"]\napprovers = [\"{}\"]\n\
             criteria = {{ devices = [\"{}\"], accounts = [\"{}\", \"{other}\"] }}\nsession = {terms}\n",
            self.group,
            self.operator,
            self.approver,
            self.device.name(),
            self.account
        );
        self.world.apply(&group).unwrap();
        target
    }

    fn end_of(&self, request: u64) -> Timestamp {
        let shown = self.world.json(&["request", "show", &request.to_string()]).unwrap();
        text(&shown["window"], "end").parse().unwrap()
    }
}

fn made(done: &Done) -> u64 {
    let list: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", done.all()));
    list[0]["id"].as_u64().unwrap()
}

#[test]
fn a_request_for_two_accounts_is_decided_in_part_and_opens_as_many_sessions_as_it_is_for() {
    needs_devices!();
    let scene = Scene::share(street(), "several", ASKS_AND_WAITS);
    let (target, other) = (scene.target(), scene.widen("several2", ASKS_AND_WAITS));
    let words = ["request", "create", &target, &other, "--sessions", "1", "-o", "json", "-j", "two of them"];
    let number = made(&scene.says(&scene.operator, &words)).to_string();
    let part = ["request", "approve", &number, "--only", &target];
    let told = scene.says(&scene.approver, &part).ok().unwrap().out();
    assert!(told.contains(&format!("for {target} is approved from")), "{told}");

    assert_eq!(scene.runs(&target, "echo in").ok().unwrap().out(), "in\n");
    let again = scene.runs(&target, "echo in");
    let spent =
        format!("request {number} is approved, but its 1 session is used up; `request create` asks for more");
    assert!(!again.success() && again.err().contains(&spent), "{}", again.all());
    let explain = |target: &str| {
        let words = ["access", "explain", &scene.operator, target];
        scene.world.admin(&words).unwrap().ok().unwrap().out()
    };
    assert!(
        explain(&target).contains(&format!("decides and asks for more; {spent}")),
        "{}",
        explain(&target)
    );
    let left_out = explain(&other);
    assert!(left_out.contains("decides and asks for more") && !left_out.contains("used up"), "{left_out}");

    let story = scene.says(&scene.operator, &["request", "show", &number]).ok().unwrap().out();
    let approver = &scene.approver;
    for part in [
        "1 of 1, 0 left".to_owned(),
        format!("{approver} leaves {other} out at"),
        format!("{approver} approves (level 1) at"),
        "sessions that rested on it:".to_owned(),
        format!("{target} from "),
    ] {
        assert!(story.contains(&part), "no `{part}` in {story}");
    }
}

/// A session whose request is for less than a minute, and so much more is asked for and approved while it
/// lives; its terminal, the request's number, and its first end.
fn extended(scene: &Scene<'_>, more: &str) -> (Pty, u64, Timestamp) {
    let (mut pty, number) = scene.wait_for_yes();
    let first = number.to_string();
    scene.says(&scene.approver, &["request", "approve", &first, "--duration", "50s"]).ok().unwrap();
    pty.expect("this session ends in ").unwrap();
    pty.expect(" seconds (").unwrap();
    pty.send_line("").unwrap();
    scene.at_the_prompt(&mut pty);
    let end = scene.end_of(number);
    let words = ["request", "extend", &first, more, "-o", "json", "-j", "the copy takes longer"];
    let more = made(&scene.says(&scene.operator, &words));
    let shown = scene.says(&scene.approver, &["request", "list", "--to-approve"]).ok().unwrap().out();
    assert!(shown.contains("the copy takes longer"), "{shown}");
    scene.approver_says("approve", more).ok().unwrap();
    (pty, number, end)
}

/// Beyond its first end the session has what it was granted.
fn goes_on(scene: &Scene<'_>, pty: &mut Pty, end: Timestamp) {
    let beyond = end + SignedDuration::from_secs(2);
    wait::until_true("the first end", PATIENCE, || Timestamp::now() > beyond).unwrap();
    scene.is_root(pty);
}

#[test]
fn more_time_is_given_while_a_session_lives_and_all_of_it_ends_with_the_first_request() {
    needs_devices!();
    let scene = Scene::share(street(), "longer", ASKS_AND_WAITS);
    let (mut pty, number, end) = extended(&scene, "1h");
    assert_eq!(scene.end_of(number), end + SignedDuration::from_hours(1));
    goes_on(&scene, &mut pty, end);
    scene.approver_says("revoke", number).ok().unwrap();
    pty.expect(&format!("request {number} was revoked by {}", scene.approver)).unwrap();
    pty.end(PATIENCE).unwrap();
    scene.is_as_before_within(PATIENCE);
}

#[test]
fn a_live_session_goes_on_to_the_end_that_it_was_given_meanwhile_and_no_further() {
    needs_devices!();
    let scene = Scene::share(street(), "further", ASKS_AND_WAITS);
    let (mut pty, number, end) = extended(&scene, "30s");
    let until = scene.end_of(number);
    assert_eq!(until, end + SignedDuration::from_secs(30));
    goes_on(&scene, &mut pty, end);
    pty.expect("the time of this access is over").unwrap();
    pty.end(PATIENCE).unwrap();
    assert!(Timestamp::now() >= until);
    scene.is_as_before_within(PATIENCE);
    // The log had the order before the agent had it.
    let session = text(&scene.sessions()[0], "id");
    let log = scene.world.admin(&["audit", "tail", "-n", "5000"]).unwrap().ok().unwrap().out();
    let told = |what: &str| log.lines().position(|line| line.contains(&session) && line.contains(what));
    let (ordered, given) = (told("ordered to end later, at"), told("instead"));
    assert!(ordered.is_some() && ordered < given, "{log}");
}

#[test]
fn exceptional_access_opens_without_a_group_and_ends_a_live_session_at_its_end() {
    needs_devices!();
    let scene = Scene::share(street(), "except", ASKS_AND_WAITS);
    let until = Timestamp::now() + SignedDuration::from_secs(45);
    let access = |until: Timestamp| {
        format!(
            "[[exceptional_access]]\nname = \"except-night\"\ndescription = \"the night of the move\"\n\
             users = [\"{}\"]\ncredential = \"{}\"\nuntil = \"{until}\"\n",
            scene.operator,
            scene.target()
        )
    };
    scene.world.apply(&access(until)).unwrap();
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let words = ["access", "explain", &scene.operator, &scene.target()];
    let explained = scene.world.admin(&words).unwrap().ok().unwrap().out();
    assert!(explained.contains("is exceptional access and governs; demands nothing, ends at"), "{explained}");
    assert!(explained.contains("permitted by exceptional access `except-night`"), "{explained}");
    let listed = scene.says(&scene.operator, &["access", "list"]).ok().unwrap().out();
    assert!(listed.contains("except-night"), "{listed}");
    pty.expect("the time of this access is over").unwrap();
    pty.end(PATIENCE).unwrap();
    assert!(Timestamp::now() >= until);
    // The group asks as before.
    let mut pty = scene.knock();
    pty.expect("Justification: ").unwrap();
    pty.kill().unwrap();
}

#[test]
fn a_request_is_made_step_by_step_on_a_terminal_and_from_a_text_elsewhere() {
    needs_devices!();
    let scene = Scene::share(street(), "steps", "{ justification = true }");
    let client = scene.world.client();
    let mut pty = client.terminal(&scene.operator, "", &["-t"], &["request", "create"]).unwrap();
    pty.expect("Credentials, by number or name: ").unwrap();
    pty.send_line(&scene.target()).unwrap();
    pty.expect("Justification: ").unwrap();
    pty.send_line("a tipo").unwrap();
    pty.expect("Governance code, if any: ").unwrap();
    pty.send_line("<").unwrap();
    pty.expect("Justification [a tipo]: ").unwrap();
    pty.send_line("ticket 4711").unwrap();
    for step in ["Governance code", "Change ID", "Start", "Duration", "Days", "Times", "Number of sessions"] {
        pty.expect(step).unwrap();
        pty.expect(": ").unwrap();
        pty.send_line("").unwrap();
    }
    let review = pty.expect("cancel leaves: ").unwrap();
    assert!(review.contains("ticket 4711") && !review.contains("a tipo"), "{review}");
    pty.send_line("save").unwrap();
    pty.expect("is approved from").unwrap();
    pty.end(PATIENCE).unwrap();
    // The rules approved it: nothing is asked any more.
    assert_eq!(scene.runs(&scene.target(), "echo in").ok().unwrap().out(), "in\n");

    let text = format!(
        "credentials = [\"{}\"]\njustification = \"from a text\"\nduration = \"2h\"\nsessions = 2\n",
        scene.target()
    );
    let words = ["request", "create", "-f", "-", "-o", "json"];
    let from_text = client.console(&scene.operator, &words).unwrap().stdin(text.clone()).run().unwrap();
    let shown = scene.world.json(&["request", "show", &made(&from_text).to_string()]).unwrap();
    assert_eq!((shown["remaining"].as_u64(), self::text(&shown, "duration")), (Some(2), "2h".to_owned()));
    let wrong = text.replace("2h", "2 fortnights");
    let refused = client.console(&scene.operator, &words).unwrap().stdin(wrong).run().unwrap();
    assert!(refused.err().contains("line 3 of the request: "), "{}", refused.all());
    let nothing = scene.says(&scene.operator, &["request", "create"]);
    assert!(nothing.err().contains("use a terminal (ssh -t) or a text (-f -)"), "{}", nothing.all());
}
