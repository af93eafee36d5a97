//! Governance codes of another form than the settings give: refused at the prompt and ahead.

use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::Done;
use tidegate_tests::world::{Options, World};

const SENTENCE: &str = "governance code `CHG7` is not of the form INC-[0-9]+";

fn world() -> World {
    let more = "\n[governance]\nform = \"INC-[0-9]+\"\n".to_owned();
    let world = World::start(Options { more, ..Options::default() }).unwrap();
    let resources = format!(
        "[[user]]\nname = \"olga\"\nkeys = [\"{}\"]\n[[device]]\nname = \"db01\"\n\
         [[credential]]\nname = \"ops@db01\"\n[[access_group]]\nname = \"dba\"\nusers = [\"olga\"]\n\
         criteria = {{ devices = [\"*\"] }}\nrequest = {{ governance = true }}\nsession = {{}}\n",
        world.client().public_key("olga").unwrap()
    );
    world.apply(&resources).unwrap();
    world
}

#[test]
fn a_code_out_of_form_opens_no_session_and_makes_no_request_and_its_sentence_is_read() {
    let world = world();
    let mut pty = world.client().terminal("olga", "ops@db01", &[], &[]).unwrap();
    pty.expect("Access to ops@db01 wants a governance code.").unwrap();
    for _ in 0..2 {
        pty.expect("Governance code: ").unwrap();
        pty.send_line("CHG7").unwrap();
        pty.expect(SENTENCE).unwrap();
    }
    // The third is the last.
    pty.expect("Governance code: ").unwrap();
    pty.send_line("CHG7").unwrap();
    pty.expect(SENTENCE).unwrap();
    assert_ne!(pty.end(PATIENCE).unwrap().code(), Some(0), "{}", pty.screen());
    assert_eq!(world.json(&["session", "list"]).unwrap(), serde_json::json!([]));

    let create = |code: &str| -> Done {
        let words = ["request", "create", "ops@db01", "--governance", code];
        world.client().console("olga", &words).unwrap().run().unwrap()
    };
    let refused = create("CHG7");
    let told = format!("access group `dba` asks for more: {SENTENCE}");
    assert!(!refused.success() && refused.err().contains(&told), "{}", refused.all());
    assert_eq!(world.json(&["request", "list"]).unwrap(), serde_json::json!([]));
    // The twin, whose code is of the form.
    let made = create("INC-7");
    assert!(made.success() && made.out().contains("is approved from"), "{}", made.all());
}
