//! What an approver reads before they say yes: what the session will change on its host,
//! as the host's agent says over its link.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::privileges::Kinds;

/// Each credential, and what the plan for it says.
const PLANS: [(&str, &[&str]); 4] = [
    (
        "rooted",
        &[
            "lets `rooted` sudo (root) NOPASSWD: /usr/bin/id, by a file in /run/tidegate/sudoers.d",
            "adds `rooted` to the group `adm`",
        ],
    ),
    (
        "asleep",
        &[
            "enables `asleep`: lifts the lock of its password, which stays unusable, lifts its expiry (day 1)",
            "gives `asleep` the shell /bin/sh instead of /usr/sbin/nologin",
            "adds `asleep` to the group `adm`",
        ],
    ),
    (
        "guest",
        &[
            "creates an account for the session, with a home in /home and the shell",
            "lets the new account sudo",
            "adds the new account to the group `adm`",
        ],
    ),
    ("awake", &["db-role", "read"]),
];

struct Desk {
    kinds: Kinds,
}

impl Desk {
    fn new(device: &str) -> Self {
        let mut kinds = Kinds::new(device);
        kinds.add_account("rooted");
        let resources = format!(
            r#"
            [[credential]]
            name = "rooted@{device}"
            privileges = [{{ kind = "sudo", commands = ["/usr/bin/id"] }}, {{ kind = "groups", groups = ["adm"] }}]

            [[access_group]]
            name = "all"
            users = ["olga"]
            approvers = [{{ user = "anna" }}]
            criteria = {{ devices = ["{device}"] }}
            session = {{ approval = {{ needed = 1 }} }}
            "#
        );
        kinds.stand.world.apply(&resources).unwrap();
        Self { kinds }
    }

    /// olga asks for the credential; the request's number.
    fn asked(&self, account: &str) -> String {
        let target = format!("{account}@{}", self.kinds.stand.device.name());
        let console = |words: &[&str]| self.kinds.stand.world.client().console("olga", words).unwrap();
        let made = console(&["request", "create", &target, "-o", "json"]).ok().unwrap();
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        made[0]["id"].to_string()
    }

    /// What anna reads of it.
    fn shown(&self, request: &str) -> String {
        let console = self.kinds.stand.world.client().console("anna", &["request", "show", request]);
        console.unwrap().ok().unwrap().out()
    }

    fn plan(&self, request: &str) -> Value {
        let shown = self.kinds.stand.world.json(&["request", "show", request]).unwrap();
        shown["plan"][0].clone()
    }
}

#[test]
fn an_approver_reads_what_each_kind_of_privilege_will_change_and_that_is_what_changes() {
    needs_devices!();
    let desk = Desk::new("planner");
    for (account, plan) in PLANS {
        let request = desk.asked(account);
        let shown = desk.shown(&request);
        let (_, told) =
            shown.split_once("what will change on planner:\n").unwrap_or_else(|| panic!("{shown}"));
        for part in plan {
            assert!(told.contains(part), "{account}: `{part}` is not in:\n{shown}");
        }
        assert_eq!(desk.plan(&request)["checked"], true);
        desk.kinds.is_as_before();
        let yes = desk.kinds.stand.world.client().console("anna", &["request", "approve", &request]);
        yes.unwrap().ok().unwrap();
        let done = desk.kinds.ssh(account, "id -un; id -nG; ls /var/lib").ok().unwrap().out();
        let changed = match account {
            "awake" => done.contains("role-of-awake"),
            "guest" => done.starts_with("tg-") && done.contains("adm"),
            _ => done.starts_with(account) && done.contains("adm"),
        };
        assert!(changed, "{account}: {done}");
        desk.kinds.is_as_before();
    }
}

#[test]
fn a_plan_says_what_cannot_be_granted_and_that_an_agent_is_away() {
    needs_devices!();
    let desk = Desk::new("doubter");
    let device = &desk.kinds.stand.device;
    let request = desk.asked("awake");
    let grant = device.path("/etc/tidegate-agent/custom/db-role/grant");
    let mode = |mode: u32| fs::set_permissions(&grant, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    let shown = desk.shown(&request);
    assert!(shown.contains("cannot be granted: ") && shown.contains("writable by nobody else"), "{shown}");
    mode(0o755);
    assert!(!desk.shown(&request).contains("cannot be granted"));

    device.ok(&["systemctl", "stop", "tidegate-agent"]).unwrap();
    wait::until_true("the agent is away", PATIENCE, || {
        !desk.kinds.stand.world.agent_is_connected(device.name())
    })
    .unwrap();
    let shown = desk.shown(&request);
    assert!(shown.contains("(its agent does not answer, so not checked there):\n"), "{shown}");
    let plan = desk.plan(&request);
    assert_eq!(plan["checked"], false, "{plan}");
    // What the credential has is told all the same.
    assert!(plan["lines"][0].as_str().unwrap().contains("db-role"), "{plan}");
    // Once somebody has said no, nothing will change.
    let no = desk.kinds.stand.world.client().console("anna", &["request", "reject", &request]);
    no.unwrap().ok().unwrap();
    assert!(!desk.shown(&request).contains("what will change"));
}
