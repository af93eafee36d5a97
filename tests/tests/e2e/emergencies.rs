//! An emergency: in at once, for a bounded time, in everybody's sight until it is reviewed.

use serde_json::Value;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::Done;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, as_long_as_is_usual, leave, text};
use crate::ways::street;

const TERMS: &str = "{ justification = true, emergency = true, approval = { needed = 1 } }";

impl Scene<'_> {
    /// The console as this user.
    fn console(&self, user: &str, command: &[&str]) -> Done {
        self.world.client().console(user, command).unwrap().run().unwrap()
    }

    /// The requests as the approver sees them, in their order.
    fn approvers_list(&self, more: &[&str]) -> Vec<Value> {
        let done = self.console(&self.approver, &[&["request", "list", "-o", "json"], more].concat());
        serde_json::from_slice::<Value>(&done.stdout).unwrap().as_array().unwrap().clone()
    }

    /// At the prompt for an emergency.
    fn justified(&self) -> Pty {
        let mut pty = self.knock();
        pty.expect("Justification: ").unwrap();
        pty.send_line("a test").unwrap();
        pty.expect("Emergency, why it cannot wait (Enter: none): ").unwrap();
        pty
    }
}

fn number(request: &Value) -> u64 {
    request["id"].as_u64().unwrap()
}

#[test]
fn an_emergency_typed_while_a_request_waits_lets_in_at_once_and_is_seen_until_it_is_reviewed() {
    needs_devices!();
    let scene = Scene::share(street(), "urgent", TERMS);
    let mut waiting = scene.justified();
    waiting.send_line("").unwrap();
    as_long_as_is_usual(&mut waiting);
    waiting.expect("is made for 1 approval").unwrap();
    waiting.expect("Should it become an emergency, leave and come again.").unwrap();
    let ordinary = wait::until("the request is pending", PATIENCE, || scene.pending()).unwrap();

    // What was said already is not asked again.
    let mut pty = scene.knock();
    pty.expect("Emergency, why it cannot wait (Enter: none): ").unwrap();
    assert!(!pty.screen().contains("Justification"), "{}", pty.screen());
    pty.send_line("the shop is down").unwrap();
    scene.at_the_prompt(&mut pty);
    // A later request does not push it down.
    let [first, second] = scene.approvers_list(&[]).try_into().unwrap();
    let urgent = number(&first);
    assert_eq!((first["to_review"].as_bool(), second["to_review"].as_bool()), (Some(true), Some(false)));
    assert_eq!((number(&second), text(&second, "state")), (ordinary, "pending".to_owned()));
    assert!(urgent > ordinary && text(&first, "emergency") == "the shop is down", "{first}");
    assert_eq!(text(&first, "justification"), "a test", "{first}");
    let listed = scene.console(&scene.approver, &["request", "list"]).out();
    assert!(
        listed.contains("approved, TO REVIEW") && listed.contains("EMERGENCY: the shop is down"),
        "{listed}"
    );

    // Where approvers look: the console without a command, and the menu.
    let told = format!("request review {urgent}");
    let welcome = scene.console(&scene.approver, &[]).out();
    let at = |word: &str| welcome.find(word).unwrap_or_else(|| panic!("no `{word}` in {welcome}"));
    assert!(
        at("EMERGENCY: access that nobody approved") < at(&told) && at(&told) < at("These requests wait")
    );
    let mut menu = scene.world.client().terminal(&scene.approver, "", &[], &[]).unwrap();
    menu.expect("EMERGENCY: access that nobody approved").unwrap();
    menu.expect(&told).unwrap();
    let own = scene.console(&scene.operator, &[]).out();
    assert!(!own.contains("request review"), "{own}");

    let review =
        |who: &str| scene.console(who, &["request", "review", &urgent.to_string(), "-m", "I have seen it"]);
    let early = review(&scene.approver);
    assert!(
        !early.success() && early.err().contains("lives; review it once that is over"),
        "{}",
        early.all()
    );
    leave(&mut pty);
    let over = || !scene.sessions().iter().any(|session| session["live"] == true);
    wait::until_true("the session is over", PATIENCE, over).unwrap();
    let own = review(&scene.operator);
    assert!(!own.success() && own.err().contains("nobody reviews their own emergency"), "{}", own.all());
    let reviewed = review(&scene.approver);
    assert!(
        reviewed.success() && reviewed.out().contains("an EMERGENCY that was reviewed"),
        "{}",
        reviewed.all()
    );
    let shown = scene.console(&scene.operator, &["request", "show", &urgent.to_string()]).out();
    assert!(shown.contains(&format!("{} reviews the emergency at", scene.approver)), "{shown}");
    assert!(shown.contains("I have seen it"), "{shown}");
    assert_eq!(scene.approvers_list(&["--to-review"]), Vec::<Value>::new());
    assert!(!scene.console(&scene.approver, &[]).out().contains("EMERGENCY"));
    let log = scene.world.json(&["audit", "tail", "-n", "1000"]).unwrap();
    let events = log.as_array().unwrap().iter().map(|record| &record["event"]);
    let reviews: Vec<_> = events.filter(|event| text(event, "type") == "request-reviewed").collect();
    assert!(
        reviews.iter().any(|event| event["request"] == urgent && text(event, "comment") == "I have seen it")
    );

    // What was left of its time is over with the review; the ordinary request still waits.
    let mut again = scene.knock();
    again.expect("Emergency, why it cannot wait (Enter: none): ").unwrap();
    again.send_line("").unwrap();
    again.expect(&format!("Request {ordinary} for {} already waits", scene.target())).unwrap();
    scene.approver_says("approve", ordinary).ok().unwrap();
    for mut pty in [waiting, again] {
        scene.at_the_prompt(&mut pty);
        leave(&mut pty);
    }
}

#[test]
fn an_emergency_of_ten_years_is_one_of_the_groups_window_and_ends_with_it() {
    needs_devices!();
    let terms = TERMS.replace("emergency = true", "emergency = true, emergency_window = \"30s\"");
    let scene = Scene::share(street(), "decade", &terms);
    let target = scene.target();
    let ask =
        ["request", "create", &target, "-j", "a test", "--duration", "'120 months'", "--emergency", "fire"];
    let made = scene.console(&scene.operator, &[&ask[..], &["-o", "json"]].concat());
    let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{}", made.all()));
    let moment = |field: &str| text(&made[0]["window"], field).parse::<jiff::Timestamp>().unwrap();
    assert_eq!(moment("end").duration_since(moment("start")).as_secs(), 30, "{made}");
    assert_eq!(scene.approvers_list(&["--to-review"]).len(), 1);
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    pty.expect("the time of this access is over").unwrap();
    pty.end(PATIENCE).unwrap();
    scene.is_as_before_within(PATIENCE);
    assert_eq!(scene.approvers_list(&["--to-review"]).len(), 1, "it still waits for its review");
}
