//! What people are told: a request that leads to a mail, and a mail that leads to an approval.

use std::time::Duration;

use serde_json::Value;
use tidegate_tests::client::run_of;
use tidegate_tests::sinks::{HttpServer, Mail, MailServer};
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World, with_resources};

/// How long a notice may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

const RESOURCES: &str = r#"
[[user]]
name = "operator"
email = "operator@example.org"
[[user]]
name = "approver"
email = "approver@example.org"
[[user]]
name = "boss"
email = "boss@example.org"
[[user]]
name = "admin"
roles = ["admin"]
[[device]]
name = "db01"
[[credential]]
name = "ops@db01"
privileges = [{ kind = "groups", groups = ["adm"] }]
[[access_group]]
name = "dba"
users = ["operator"]
approvers = ["approver", { user = "boss", level = 2 }]
criteria = { devices = ["db*"] }
session = { justification = true, approval = { needed = 1, levels = true } }
"#;

/// The command of a mail to this person that stands below these words.
fn command(mails: &[Mail], to: &str, below: &str) -> Option<String> {
    let mail = mails.iter().rev().find(|mail| mail.to == [format!("{to}@example.org")])?;
    let (_, rest) = mail.text.split_once(below)?;
    Some(rest.lines().nth(1)?.trim().to_owned())
}

#[test]
fn who_is_asked_to_approve_gets_a_mail_and_typing_its_command_approves() {
    let (server, chat) = (MailServer::start(&[]).unwrap(), HttpServer::start(&[]).unwrap());
    let more = format!(
        "[notify.mail]\nserver = \"{}\"\ntls = \"none\"\nfrom = \"Tidegate <tidegate@example.org>\"\n\
         [notify.webhook]\nurl = \"http://{}/\"\nform = \"chat\"\nkinds = [\"approval-asked\"]\n",
        server.address(),
        chat.address()
    );
    let environment = vec![("TIDEGATE__LISTEN__SSH_NAME".to_owned(), "127.0.0.1".to_owned())];
    let world = World::start(Options { more, environment, ..Options::default() }).unwrap();
    world.apply(&with_resources(RESOURCES, world.client(), &[]).unwrap()).unwrap();
    let console = |user: &str, words: &[&str]| world.client().console(user, words).unwrap();
    console("operator", &["request", "create", "ops@db01", "--justification", "the disk is full"])
        .ok()
        .unwrap();

    // Each level in its turn; who types what the mail says has approved.
    for (approver, other) in [("approver", "boss"), ("boss", "operator")] {
        let typed = wait::until("the mail with the command is there", PATIENCE, || {
            command(&server.mails(), approver, "To approve, type:")
        });
        let typed = typed.unwrap();
        let port = world.ssh().unwrap().port();
        assert_eq!(typed, format!("ssh -p {port} {approver}@127.0.0.1 request approve 1"));
        assert!(command(&server.mails(), other, "").is_none(), "{other} is told too early");
        let words: Vec<String> = typed.split(' ').skip(1).map(str::to_owned).collect();
        let ssh = world.client().words("ssh", approver, &["-o", "BatchMode=yes"]).unwrap();
        run_of(&[ssh, words].concat()).ok().unwrap();
    }
    let mails = server.mails();
    let asked = &mails[0].text;
    for says in [
        "Subject: operator asks for ops@db01 (request 1)",
        "operator, from 127.0.0.1",
        "the disk is full",
        "Changes on the host:",
        "adm",
    ] {
        assert!(asked.contains(says), "no `{says}` in {asked}");
    }
    let decided =
        || server.mails().iter().any(|mail| mail.text.contains("your request 1 for ops@db01 was approved"));
    wait::until_true("the requester is told", PATIENCE, decided).unwrap();
    let posted =
        || chat.posted().iter().filter(|posted| posted.body.contains("asks for ops@db01")).count() == 2;
    wait::until_true("the chat has both levels", PATIENCE, posted).unwrap();

    // What came of it is listed, and a test says whether one arrives.
    let sent = || {
        let listed = world.json(&["notify", "list", "--state", "sent"]).unwrap();
        let listed =
            listed.as_array().unwrap().iter().map(|one| one["recipient"].as_str().unwrap().to_owned());
        let mut listed: Vec<_> = listed.collect();
        listed.sort();
        listed == ["all", "all", "approver", "boss", "operator"]
    };
    wait::until_true("all are listed as sent", PATIENCE, sent).unwrap();
    let own = console("operator", &["notify", "list", "-o", "json"]).ok().unwrap().out();
    assert_eq!(serde_json::from_str::<Value>(&own).unwrap().as_array().unwrap().len(), 1, "{own}");
    let none = console("admin", &["notify", "test", "admin"]).run().unwrap();
    assert!(!none.success() && none.err().contains("user `admin` has no `email`"), "{}", none.all());
    console("admin", &["notify", "test", "boss"]).ok().unwrap();
    let tested = || server.mails().iter().any(|mail| mail.text.contains("Subject: a test of notices"));
    wait::until_true("the test arrives", PATIENCE, tested).unwrap();
}
