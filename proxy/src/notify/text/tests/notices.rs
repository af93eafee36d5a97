//! A notice of each kind, and those that read otherwise.

use jiff::Timestamp;
use tidegate_common::audit::{Asked, CommandSource, CommandText, Note, Notes, Verdict};
use tidegate_common::id::{RemoteAccessId, RequestId, SessionId};
use tidegate_common::notice::{Decided, Ending, Notice, Outcome, Remote, Wanted};

use super::{About, SshName};

pub(super) fn about() -> About {
    About { gate: "gate1".to_owned(), ssh: SshName { host: "gate.example.org".to_owned(), port: 2222 } }
}

pub(super) fn moment(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
}

pub(super) fn wanted() -> Wanted {
    Wanted {
        request: RequestId(7),
        user: "operator".parse().unwrap(),
        targets: Notes::of(["ops@db01"]),
        asked: Asked::Session,
        justification: Some(Note::new("the disk <is> \"full\" & slow")),
        reason: Some("incident".parse().unwrap()),
        change: None,
        governance: None,
        from: None,
        length: Some(Note::new("2h")),
        until: None,
        origin: Some("192.0.2.7".parse().unwrap()),
    }
}

/// One of each kind, in the order of the list of kinds.
pub(super) fn each() -> Vec<Notice> {
    let (session, target) = (SessionId::new(1_800_000_000_000, 7), || "ops@db01".parse().unwrap());
    let user = || "operator".parse().unwrap();
    let decided =
        |outcome| Decided { outcome, by: Some(Note::new("approver")), comment: Some(Note::new("go ahead")) };
    let approved = Wanted { from: Some(moment(0)), until: Some(moment(2)), ..wanted() };
    vec![
        Notice::ApprovalAsked {
            wanted: wanted(),
            level: Some(2),
            changes: Notes::of(["sudo as root: everything", "group adm"]),
            expires: moment(24),
        },
        Notice::RequestDecided { wanted: approved.clone(), decided: decided(Outcome::Approved) },
        Notice::DecisionCopied { wanted: approved, decided: decided(Outcome::Rejected) },
        Notice::EndsSoon {
            what: Ending::Window,
            name: Note::new("7"),
            user: user(),
            ends: moment(1),
            from: moment(0),
        },
        Notice::EmergencyUsed { wanted: wanted(), emergency: Note::new("the shop is down") },
        Notice::UnexpectedCommand {
            session,
            user: user(),
            target: target(),
            source: CommandSource::Witness,
            command: CommandText::new("rm -rf /srv"),
            change: Some("CHG-1".parse().unwrap()),
            rule: None,
            ended: false,
        },
        Notice::ChangeReported {
            change: "CHG-1".parse().unwrap(),
            title: Note::new("Restart the database"),
            session,
            user: user(),
            target: target(),
            percent: 33,
            missing: Notes::of(["systemctl start postgresql"]),
            unexpected: Notes::of(["rm -rf /srv (witness)"]),
            not_compared: 3,
            whole: false,
            cut_off: false,
        },
        Notice::PrivilegeStands { session, target: target(), standing: Notes::of(["sudo: read-only"]) },
        Notice::AgentAway { device: "db01".parse().unwrap(), since: moment(0), why: Note::new("it was cut") },
        Notice::Link {
            by: Some("approver".parse().unwrap()),
            access: Note::new("all of it"),
            expires: moment(1),
        },
        Notice::RecordingDamaged {
            session: Some(session),
            found: Verdict::Altered,
            what: Note::new("a link"),
        },
        Notice::DiskLow {
            gate: "gate1".parse().unwrap(),
            place: Note::new("/var/lib/tidegate"),
            free: 300 << 20,
            floor: 256 << 20,
        },
        Notice::Test { by: Note::new("admin") },
    ]
}

/// Those of the same kinds that read otherwise.
pub(super) fn others() -> Vec<Notice> {
    let (session, decided) = (SessionId::new(1_800_000_000_000, 7), |outcome| Decided {
        outcome,
        by: Some(Note::new("approver")),
        comment: None,
    });
    let ends = |what, name: &str| Notice::EndsSoon {
        what,
        name: Note::new(name),
        user: "operator".parse().unwrap(),
        ends: moment(1),
        from: moment(0),
    };
    let mut all = vec![
        asked(false, &["operator"], &["2 sessions at most", "ops@db01:login"]),
        asked(true, &["operator", "approver"], &["all that access groups allow"]),
        remote_decided(false, Outcome::Approved),
        remote_decided(true, Outcome::Rejected),
        remote_decided(false, Outcome::Expired),
        remote_decided(true, Outcome::Expired),
        ends(Ending::RemoteAccess, "3"),
        ends(Ending::ExceptionalAccess, "move-of-db01"),
        ends(Ending::GroupReview, "dba"),
        Notice::UnexpectedCommand {
            session,
            user: "operator".parse().unwrap(),
            target: "ops@db01".parse().unwrap(),
            source: CommandSource::Typed,
            command: CommandText::new("reboot"),
            change: Some("CHG-1".parse().unwrap()),
            rule: None,
            ended: true,
        },
        Notice::ChangeReported {
            change: "CHG-1".parse().unwrap(),
            title: Note::new("Restart the database"),
            session,
            user: "operator".parse().unwrap(),
            target: "ops@db01".parse().unwrap(),
            percent: 100,
            missing: Notes::default(),
            unexpected: Notes::default(),
            not_compared: 0,
            whole: true,
            cut_off: false,
        },
        Notice::ChangeReported {
            change: "CHG-1".parse().unwrap(),
            title: Note::new("Restart the database"),
            session,
            user: "operator".parse().unwrap(),
            target: "ops@db01".parse().unwrap(),
            percent: 50,
            missing: Notes::of(["systemctl start postgresql"]),
            unexpected: Notes::default(),
            not_compared: 0,
            whole: false,
            cut_off: true,
        },
        Notice::RecordingDamaged { session: None, found: Verdict::Incomplete, what: Note::new("a file") },
    ];
    let outcomes = [Outcome::Rejected, Outcome::Cancelled, Outcome::Revoked, Outcome::Expired];
    all.extend(
        outcomes.map(|outcome| Notice::RequestDecided { wanted: wanted(), decided: decided(outcome) }),
    );
    all
}

fn asked(batch: bool, users: &[&str], reaches: &[&str]) -> Notice {
    Notice::RemoteAccessAsked { remote: remote(batch, users, reaches), expires: moment(24) }
}

fn remote_decided(batch: bool, outcome: Outcome) -> Notice {
    let users: &[&str] = if batch { &["operator", "approver"] } else { &["operator"] };
    let remote = remote(batch, users, &["all that access groups allow"]);
    let decided = outcome != Outcome::Expired;
    let by = decided.then(|| Note::new("approver"));
    let comment = decided.then(|| Note::new("until Monday only"));
    Notice::RemoteAccessDecided { remote, decided: Decided { outcome, by, comment } }
}

fn remote(batch: bool, users: &[&str], reaches: &[&str]) -> Remote {
    Remote {
        access: RemoteAccessId(3),
        batch,
        users: Notes::of(users),
        count: u64::try_from(users.len()).unwrap(),
        group: "field-engineers".parse().unwrap(),
        reaches: Notes::of(reaches),
        justification: Some(Note::new("migration weekend")),
        reason: None,
        governance: Some(Note::new("CHG123456")),
        from: moment(0),
        until: moment(48),
        by: Note::new("admin"),
        origin: Some("192.0.2.7".parse().unwrap()),
    }
}
