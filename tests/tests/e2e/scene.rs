//! A scene: an account that is given sudo and the group adm for a session, an operator
//! who must say why and wait for one yes, and an approver who says it.

use std::time::Duration;

use serde_json::Value;
use tidegate_tests::accounts::Accounts;
use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::Done;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::support::base;
use crate::ways::Street;

/// A report comes once the agent has rested from the look before.
const REPORT: Duration = Duration::from_secs(120);

/// A world with a device, for tests that break things.
pub struct Stand {
    pub world: World,
    pub device: Device,
}

impl Stand {
    /// A device of this name, enrolled, under a lease of so many seconds.
    pub fn new(device: &str, lease: u64) -> Self {
        Self::with(device, Options { lease: Duration::from_secs(lease), ..Options::default() })
    }

    /// A device of this name, enrolled with a gate of its own settings.
    pub fn with(device: &str, options: Options) -> Self {
        Self::on(Device::boot(&base(), device).unwrap(), options)
    }

    /// A gate of its own settings for this device, which is enrolled with it.
    pub fn on(device: Device, options: Options) -> Self {
        let world = World::start(options).unwrap();
        world
            .apply(&format!("[[device]]\nname = \"{}\"\naddress = \"{}\"\n", device.name(), device.address()))
            .unwrap();
        world.enrol(&device).unwrap();
        Self { world, device }
    }
}

/// Who plays, and where.
pub struct Scene<'a> {
    pub world: &'a World,
    pub device: &'a Device,
    pub account: String,
    pub operator: String,
    pub approver: String,
    pub group: String,
    whole: bool,
    before: Accounts,
}

/// What a session of most scenes must have: a reason and one yes.
pub const ASKS_AND_WAITS: &str = "{ justification = true, approval = { needed = 1 } }";

impl<'a> Scene<'a> {
    /// Sets the scene for an account of this name; `terms` is the group's `session`.
    pub fn set(world: &'a World, device: &'a Device, account: &str, terms: &str) -> Self {
        Self::set_on(world, device, account, terms, true)
    }

    /// As [`Self::set`], on a device that other scenes use at the same time: only what
    /// mentions the account is compared.
    pub fn share(street: &'a Street, account: &str, terms: &str) -> Self {
        Self::set_on(&street.world, &street.device, account, terms, false)
    }

    /// What the console answers a user to words.
    pub fn says(&self, user: &str, words: &[&str]) -> Done {
        self.world.client().console(user, words).unwrap().run().unwrap()
    }

    fn set_on(world: &'a World, device: &'a Device, account: &str, terms: &str, whole: bool) -> Self {
        device.add_account(account).unwrap();
        let (operator, approver) = (format!("{account}-operator"), format!("{account}-approver"));
        let group = format!("{account}-group");
        let key = |user: &str| world.client().public_key(user).unwrap();
        let resources = format!(
            r#"
            [[user]]
            name = "{operator}"
            keys = ["{}"]

            [[user]]
            name = "{approver}"
            keys = ["{}"]

            [[credential]]
            name = "{account}@{device}"
            privileges = [{{ kind = "sudo" }}, {{ kind = "groups", groups = ["adm"] }}]

            [[access_group]]
            name = "{group}"
            users = ["{operator}"]
            approvers = [{{ user = "{approver}" }}]
            criteria = {{ devices = ["{device}"], accounts = ["{account}"] }}
            session = {terms}
            "#,
            key(&operator),
            key(&approver),
            device = device.name(),
        );
        world.apply(&resources).unwrap();
        let before = picture(device, account, whole);
        Self { world, device, account: account.to_owned(), operator, approver, group, whole, before }
    }

    /// `account@device`.
    pub fn target(&self) -> String {
        format!("{}@{}", self.account, self.device.name())
    }

    /// Operator's ssh on a terminal, nothing typed yet.
    pub fn knock(&self) -> Pty {
        self.world.client().terminal(&self.operator, &self.target(), &[], &[]).unwrap()
    }

    /// Operator has said why and waits.
    pub fn wait_for_yes(&self) -> (Pty, u64) {
        let mut pty = self.knock();
        pty.expect("Justification: ").unwrap();
        pty.send_line("a test").unwrap();
        as_long_as_is_usual(&mut pty);
        let number = wait::until("the request is pending", PATIENCE, || self.pending());
        (pty, number.unwrap_or_else(|error| panic!("{error}; the proxy's log:\n{}", self.world.log())))
    }

    /// Operator's request that waits, if there is one.
    pub fn pending(&self) -> Option<u64> {
        let requests = self.world.json(&["request", "list"]).unwrap();
        let found = requests
            .as_array()?
            .iter()
            .find(|request| text(request, "user") == self.operator && text(request, "state") == "pending");
        found?.get("id")?.as_u64()
    }

    /// Approver says something about a request: `approve`, `reject`, `revoke`.
    pub fn approver_says(&self, word: &str, number: u64) -> Done {
        self.world
            .client()
            .console(&self.approver, &["request", word, &number.to_string()])
            .unwrap()
            .run()
            .unwrap()
    }

    /// Operator is in, at the shell's prompt.
    pub fn enter(&self) -> Pty {
        let (mut pty, number) = self.wait_for_yes();
        self.approver_says("approve", number).ok().unwrap();
        self.at_the_prompt(&mut pty);
        pty
    }

    /// Waits for the shell's prompt, and that sudo works.
    pub fn at_the_prompt(&self, pty: &mut Pty) {
        pty.expect("$ ").unwrap();
        self.is_root(pty);
    }

    /// At the prompt, sudo works.
    pub fn is_root(&self, pty: &mut Pty) {
        pty.send_line("sudo -n id -un; id -nG").unwrap();
        pty.expect("root\r\n").unwrap();
        pty.expect("adm").unwrap();
        pty.expect("$ ").unwrap();
        assert_ne!(self.difference(), "", "the comparison must see what is granted");
    }

    /// A session begins, works and ends, and leaves nothing.
    pub fn works_within(&self, within: Duration) {
        let mut pty = self.knock();
        self.at_the_prompt(&mut pty);
        leave(&mut pty);
        self.is_as_before_within(within);
    }

    /// What differs on the device from before the scene.
    pub fn difference(&self) -> String {
        self.before.difference(&picture(self.device, &self.account, self.whole))
    }

    /// Waits until the device is what it was before the scene.
    pub fn is_as_before_within(&self, within: Duration) {
        let same = wait::until_true("the device is what it was", within, || self.difference().is_empty());
        assert!(
            same.is_ok(),
            "after {within:?}: {}\nthe agent's journal:\n{}\nthe proxy's log:\n{}",
            self.difference(),
            self.device.journal("tidegate-agent"),
            self.world.log()
        );
    }

    /// What a session's page says was left behind, once the report came.
    pub fn left_behind(&self, session: &str) -> Vec<Value> {
        let report = wait::until("the report of what was left behind", REPORT, || {
            let shown = self.world.json(&["session", "show", session]).ok()?;
            shown.get("left_behind").filter(|report| !report.is_null()).cloned()
        });
        let report = report.unwrap_or_else(|error| {
            panic!("{error}\n{}\n{}", self.device.journal("tidegate-agent"), self.world.log())
        });
        report["findings"].as_array().unwrap().clone()
    }

    /// The sessions of operator, oldest first.
    pub fn sessions(&self) -> Vec<Value> {
        let sessions = self.world.json(&["session", "list"]).unwrap();
        let mut own: Vec<Value> = sessions.as_array().unwrap().clone();
        own.retain(|session| text(session, "user") == self.operator);
        own.sort_by_key(|session| text(session, "id"));
        own
    }
}

/// Has the device's agent begin anew, and waits for its new link.
pub fn restart_agent(world: &World, device: &Device) {
    let links = world.links(device).unwrap();
    device.ok(&["systemctl", "restart", "tidegate-agent"]).unwrap();
    world.await_agent_again(device, links).unwrap();
}

/// Waits until a unit's journal has this line.
pub fn journal_tells(device: &Device, unit: &str, what: impl Fn(&str) -> bool) {
    let told = || device.journal(unit).lines().any(&what);
    wait::until_true("the journal tells of it", PATIENCE, told)
        .unwrap_or_else(|error| panic!("{error}:\n{}", device.journal(unit)));
}

/// Operator is asked for how long a request shall open, and takes what is usual.
pub fn as_long_as_is_usual(pty: &mut Pty) {
    pty.expect("For how long [").unwrap();
    pty.send_line("").unwrap();
}

/// What a program wrote to the journal is text, without colours, that each reader of it shows as it is.
pub fn journal_is_plain(device: &Device, program: &str) {
    let journal = |more: &[&str]| {
        device.ok(&[&["journalctl", "--no-pager", "-q", "-u", program], more].concat()).unwrap().out()
    };
    let (shown, whole) = (journal(&[]), journal(&["--all"]));
    assert!(shown.contains(&format!(" {program}[")), "it wrote nothing: {shown}");
    assert!(!shown.contains("blob data"), "{shown}");
    assert!(!whole.contains('\u{1b}'), "{whole:?}");
}

/// The person leaves by themselves.
pub fn leave(pty: &mut Pty) {
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();
}

/// A field as text; empty if it is not there.
pub fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn picture(device: &Device, account: &str, whole: bool) -> Accounts {
    if whole { Accounts::of(device, account) } else { Accounts::of_only(device, account) }.unwrap()
}
