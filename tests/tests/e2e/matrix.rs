//! Who opens which kind of channel under which condition: every pair is tried with a
//! stock client and compared with the golden file beside this one. A kind or a
//! condition that the file lacks fails, so none is added without being decided.

#[path = "matrix/row.rs"]
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use tidegate_common::audit::{ChannelKind, ForwardKind};
use tidegate_common::model::{PanicScope, RequestTerms, Role, Terms};
use tidegate_common::policy::{Miss, Why};
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::support::Scratch;
use crate::ways::{Street, street};
use row::Row;

const GOLDEN: &str = include_str!("matrix.txt");

/// The conditions: what is said of user and group, and the target that is asked for.
const CONDITIONS: [(&str, &str, &str, &str); 26] = [
    ("allowed", "", "session = {}", "matrix@db01"),
    (
        "forwards",
        "",
        "session = {}\nconditions = { forwards = [\"local\", \"remote\", \"x11\", \"agent\"] }",
        "matrix@db01",
    ),
    ("forwards-local", "", "session = {}\nconditions = { forwards = [\"local\"] }", "matrix@db01"),
    ("other-account", "", "session = {}", "ops@db01"),
    ("unknown-device", "", "session = {}", "matrix@db99"),
    ("disabled-user", "enabled = false", "session = {}", "matrix@db01"),
    ("no-session", "", "password = {}", "matrix@db01"),
    ("past", "", "session = {}\nlimitation = { until = 2020-01-01 }", "matrix@db01"),
    ("wrong-place", "email = \"matrix@example.org\"", "session = {}", "matrix@db01"),
    (
        "unconfirmed",
        "",
        "session = {}\nreview = { owners = [\"matrix-approver\"], every = \"30d\", from = 2020-01-01 }",
        "matrix@db01",
    ),
    ("no-justification", "", "session = { justification = true }", "matrix@db01"),
    ("change-missing", "", "session = { change = true }", "matrix@db01"),
    (
        "no-approval",
        "",
        "session = { approval = { needed = 1 } }\napprovers = [{ user = \"matrix-approver\" }]",
        "matrix@db01",
    ),
    (
        "emergency-allowed",
        "",
        "session = { emergency = true, approval = { needed = 1 } }\napprovers = [{ user = \"matrix-approver\" }]",
        "matrix@db01",
    ),
    ("panic-user", "", "session = {}", "matrix@db01"),
    ("panic-group", "", "session = {}", "matrix@db01"),
    (
        "sessions-at-once",
        "",
        "session = {}\nconditions = { sessions_at_once = { per_user = 1 } }",
        "matrix@db01",
    ),
    (
        "sessions-used-up",
        "",
        "session = { approval = { needed = 1 } }\napprovers = [{ user = \"matrix-approver\" }]",
        "matrix@db01",
    ),
    (
        "outside-days",
        "",
        "session = { approval = { needed = 1 } }\napprovers = [{ user = \"matrix-approver\" }]",
        "matrix@db01",
    ),
    (
        "rejected",
        "",
        "session = { approval = { needed = 1 } }\napprovers = [{ user = \"matrix-approver\" }]",
        "matrix@db01",
    ),
    (
        "expired",
        "",
        "session = { approval = { needed = 1 } }\napprovers = [{ user = \"matrix-approver\" }]",
        "matrix@db01",
    ),
    ("no-governance", "", "request = { governance = true }\nsession = {}", "matrix@db01"),
    (NO_REASON, "", "request = { reason = true }\nsession = {}", "matrix@db01"),
    // These are in no group.
    ("role-admin", "roles = [\"admin\"]", "session = {}", "matrix@db01"),
    ("role-auditor", "roles = [\"auditor\"]", "session = {}", "matrix@db01"),
    ("role-monitor", "roles = [\"monitor\"]", "session = {}", "matrix@db01"),
];

/// Where a reason is missing; on a gate of its own, for one that is registered is asked of everybody who
/// must justify.
const NO_REASON: &str = "no-reason";

/// The condition that tries what a role opens by itself. A role that is added has no arm here, and does
/// not compile before a condition is named for it, which the test then looks for among the rows.
fn condition_of_role(role: Role) -> &'static str {
    match role {
        Role::Admin => "role-admin",
        Role::Auditor => "role-auditor",
        Role::Monitor => "role-monitor",
    }
}

/// The condition of each field of the type. One that is not named does not compile.
macro_rules! conditions_of_fields {
    ($type:ident { $($field:ident: $condition:expr),+ $(,)? }) => {{
        let $type { $($field: _,)+ } = $type::default();
        [$($condition,)+]
    }};
}

/// The conditions that try what a group can demand where it is missing. A demand that is added does not
/// compile before a condition is named for it here, or a word on why there is none; the test then looks
/// for it among the rows.
fn conditions_of_demands() -> impl Iterator<Item = &'static str> {
    let of_request =
        conditions_of_fields!(RequestTerms { governance: Some("no-governance"), reason: Some(NO_REASON) });
    let of_action = conditions_of_fields!(Terms {
        justification: Some("no-justification"),
        change: Some("change-missing"),
        approval: Some("no-approval"),
        emergency: Some("emergency-allowed"),
        // For how long it opens, not whether.
        emergency_window: None,
        // Asks for nothing.
        silent_watch: None,
    });
    of_request.into_iter().chain(of_action).flatten()
}

/// The condition that each way of policy to say no is tried under. A way that is added has no
/// arm here, and does not compile before a condition is named for it.
fn condition_of(why: &Why) -> &'static str {
    match why {
        Why::UnknownUser | Why::DisabledUser | Why::Login(_) => "disabled-user",
        Why::Panic(PanicScope::User(_)) => "panic-user",
        Why::Panic(PanicScope::All | PanicScope::Device(_) | PanicScope::AccessGroup(_)) => "panic-group",
        Why::UnknownCredential => "unknown-device",
        Why::NoGroup { closest: Some((_, Miss::Closed)) } | Why::TooLong => "past",
        Why::NoGroup { closest: Some((_, Miss::Unconfirmed(_))) } => "unconfirmed",
        Why::NoGroup { closest: Some((_, Miss::Action(_))) } => "no-session",
        Why::NoGroup { .. } => "other-account",
        Why::Full(_) => "sessions-at-once",
        Why::Entry(_) => "wrong-place",
    }
}

/// The kinds of channel, and the ways in that are not a channel's.
const KINDS: [&str; 18] = [
    "shell",
    "exec",
    "exec-terminal",
    "menu",
    "emergency",
    "sftp",
    "scp",
    "scp-legacy",
    "jump-exec",
    "jump-sftp",
    "jump-other-port",
    "jump-forward",
    "forward-local",
    "forward-socket",
    "forward-remote",
    "forward-remote-socket",
    "forward-agent",
    "forward-x11",
];

/// The rows that try each kind of channel. A kind that is added has no arm here, and does not compile
/// before it has a row, or a word on why no stock client asks for it.
fn rows_of_channel(kind: ChannelKind) -> &'static [&'static str] {
    match kind {
        ChannelKind::Shell => &["shell", "menu"],
        ChannelKind::Exec => &["exec", "exec-terminal", "emergency", "jump-exec"],
        ChannelKind::Sftp => &["sftp", "scp", "jump-sftp"],
        ChannelKind::Scp => &["scp-legacy"],
        ChannelKind::DirectTcpip => &["forward-local", "jump-forward"],
        ChannelKind::Jump => &["jump-exec", "jump-other-port"],
        // Other subsystems and unknown types are refused to everybody, before policy is asked.
        ChannelKind::Subsystem | ChannelKind::Other => &[],
    }
}

/// The same of what is forwarded.
fn rows_of_forward(kind: ForwardKind) -> &'static [&'static str] {
    match kind {
        ForwardKind::DirectTcpip => &["forward-local", "jump-forward"],
        ForwardKind::DirectStreamlocal => &["forward-socket"],
        ForwardKind::TcpipForward | ForwardKind::ForwardedTcpip => &["forward-remote"],
        ForwardKind::StreamlocalForward | ForwardKind::ForwardedStreamlocal => &["forward-remote-socket"],
        ForwardKind::X11 => &["forward-x11"],
        ForwardKind::Agent => &["forward-agent"],
        // Refused to everybody: the gate carries no network interface.
        ForwardKind::Tun => &[],
    }
}

#[test]
fn every_kind_of_channel_and_of_forward_has_its_rows_and_every_row_has_a_kind() {
    use ChannelKind as Channel;
    use ForwardKind as Forward;
    let channels = [
        Channel::Shell,
        Channel::Exec,
        Channel::Sftp,
        Channel::Scp,
        Channel::Subsystem,
        Channel::DirectTcpip,
        Channel::Jump,
        Channel::Other,
    ];
    let forwards = [
        Forward::DirectTcpip,
        Forward::TcpipForward,
        Forward::ForwardedTcpip,
        Forward::StreamlocalForward,
        Forward::ForwardedStreamlocal,
        Forward::DirectStreamlocal,
        Forward::X11,
        Forward::Agent,
        Forward::Tun,
    ];
    let channels = channels.into_iter().flat_map(rows_of_channel);
    let named: BTreeSet<&str> =
        channels.chain(forwards.into_iter().flat_map(rows_of_forward)).copied().collect();
    assert_eq!(named, BTreeSet::from(KINDS));
}

#[test]
fn every_kind_of_channel_opens_under_the_conditions_in_the_golden_file_only() {
    needs_devices!();
    let street = street();
    street.device.add_account("matrix").unwrap();
    let mut found = BTreeMap::new();
    std::thread::scope(|scope| {
        let tries: Vec<_> = CONDITIONS
            .iter()
            .map(|condition| (condition.0, scope.spawn(|| row(street, condition))))
            .collect();
        for (name, row) in tries {
            found.insert(name, row.join().unwrap());
        }
    });
    let all = [Why::UnknownUser, Why::UnknownCredential, Why::TooLong, Why::Panic(PanicScope::All)];
    let roles = Role::ALL.map(condition_of_role);
    let covered = all.iter().map(condition_of).chain(roles).chain(conditions_of_demands());
    let lacking: Vec<_> = covered.filter(|condition| !found.contains_key(condition)).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
    let mut table = String::new();
    for (condition, ..) in CONDITIONS {
        for (kind, became) in KINDS.iter().zip(&found[condition]) {
            let _ = writeln!(table, "{condition:<18}{kind:<24}{became}");
        }
    }
    let golden: Vec<&str> =
        GOLDEN.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let differing: Vec<_> = table.lines().zip(&golden).filter(|(is, was)| is != *was).collect();
    assert!(differing.is_empty() && table.lines().count() == golden.len(), "{differing:#?}\n{table}");
}

/// A gate where a reason is registered, and no device is there to be reached.
fn with_a_reason() -> World {
    let world = World::start(Options::default()).unwrap();
    world.apply("[[device]]\nname = \"db01\"\n\n[[reason]]\nname = \"incident\"\n").unwrap();
    world
}

fn row(street: &Street, (name, user, group, target): &(&str, &str, &str, &str)) -> Vec<String> {
    let own = (*name == NO_REASON).then(with_a_reason);
    let world = own.as_ref().unwrap_or(&street.world);
    let person = format!("matrix-{name}");
    let key = world.client().public_key(&person).unwrap();
    // A role is no way into a group.
    let users = if name.starts_with("role-") { "matrix-approver" } else { &person };
    world
        .apply(&format!(
            "[[user]]\nname = \"matrix-approver\"\nkeys = [\"{}\"]\n\n\
             [[user]]\nname = \"{person}\"\nkeys = [\"{key}\"]\n{user}\n\n\
             [[credential]]\nname = \"matrix@db01\"\n\n\
             [[access_group]]\nname = \"{person}\"\nusers = [\"{users}\"]\n\
             criteria = {{ devices = [\"db01\"], accounts = [\"matrix\"] }}\n{group}\n",
            world.client().public_key("matrix-approver").unwrap()
        ))
        .unwrap();
    let row = Row { world, person, target, scratch: Scratch::new("matrix") };
    let held = row.rule(name);
    let became = KINDS.iter().map(|kind| row.became(kind)).collect();
    if let Some(held) = held {
        held.kill().unwrap();
    }
    became
}
