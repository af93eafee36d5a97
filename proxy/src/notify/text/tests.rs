use jiff::Timestamp;
use tidegate_common::audit::{Asked, CommandSource, CommandText, Note, Notes, Verdict};
use tidegate_common::id::{NotificationId, RequestId, SessionId};
use tidegate_common::notice::{Decided, Ending, Notice, NoticeKind, Outcome, Wanted};
use tidegate_common::secret::Secret;

use super::template::Reader;
use super::*;

fn about() -> About {
    About { gate: "gate1".to_owned(), ssh: Ssh { host: "gate.example.org".to_owned(), port: 2222 } }
}

fn moment(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
}

fn wanted() -> Wanted {
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

fn each() -> Vec<Notice> {
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

#[test]
fn each_kind_says_what_happened_where_and_what_to_do() {
    let (secret, id) = (Secret::new("4711-tide".to_owned()), NotificationId(12));
    let says: [(&str, &str); 12] = [
        ("operator asks for ops@db01 (request 7)", "ssh -p 2222 approver@gate.example.org request approve 7"),
        ("your request 7 for ops@db01 was approved", "Your request was approved: connect with ssh."),
        ("request 7 of operator for ops@db01 was rejected", "You need not do anything."),
        ("the window of request 7 ends at", "sessions that rest on it end with it"),
        ("EMERGENCY: operator has access to ops@db01 (request 7)", "request revoke 7"),
        ("unexpected command of operator on ops@db01", "rm -rf /srv"),
        ("a privilege stands on ops@db01", "grant list"),
        ("the agent of db01 is away", "agent list"),
        ("your code to enter", "4711-tide"),
        ("a recording was ALTERED", "session verify"),
        ("gate gate1 runs out of disk", "300 MiB"),
        ("a test of notices", "admin looks whether notices arrive"),
    ];
    assert_eq!(each().len(), NoticeKind::ALL.len());
    for ((notice, kind), (subject, plain)) in each().iter().zip(NoticeKind::ALL).zip(says) {
        assert_eq!(notice.kind(), kind);
        let code = (kind == NoticeKind::Link).then_some(&secret);
        let text = Text::of(notice, &Reader { user: Some("approver"), id, secret: code }, &about());
        assert!(text.subject().starts_with(subject), "{}", text.subject());
        assert!(!text.subject().contains("4711"), "a subject is shown in lists");
        assert!(text.plain().contains(plain), "no `{plain}` in {}", text.plain());
        assert!(text.html().contains("notification 12"), "{}", text.html());
        assert_eq!(text.short().contains("4711"), code.is_some(), "{}", text.short());
    }
}

#[test]
fn what_people_write_ends_no_header_and_opens_no_tag() {
    let evil = "x\r\nBcc: all@example.org\r\n\r\n<script>alert('x')</script>\u{202e}";
    let wanted = Wanted { targets: Notes::of([evil]), justification: Some(Note::new(evil)), ..wanted() };
    let (changes, expires) = (Notes::of([evil]), moment(1));
    let notice = Notice::ApprovalAsked { wanted, level: None, changes, expires };
    let reader = Reader { user: None, id: NotificationId(1), secret: None };
    let text = Text::of(&notice, &reader, &about());
    assert!(!text.subject().chars().any(char::is_control), "{:?}", text.subject());
    assert!(text.subject().len() <= SUBJECT);
    assert!(!text.plain().lines().any(|line| line.starts_with("Bcc")), "{}", text.plain());
    let html = text.html();
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{html}");
}

#[test]
fn a_command_in_a_short_text_is_whole_or_left_out() {
    let long = Notes::of(["a-long-account-name@a-device-with-a-long-name"; 20]);
    let notice = Notice::ApprovalAsked {
        wanted: Wanted { targets: long, ..wanted() },
        level: None,
        changes: Notes::default(),
        expires: moment(1),
    };
    let reader = Reader { user: Some("approver"), id: NotificationId(1), secret: None };
    let short = Text::of(&notice, &reader, &about()).short();
    assert!(short.chars().count() <= SHORT && !short.contains("ssh "), "{short}");
    let near = Ssh { host: "gate.example.org".to_owned(), port: 22 };
    assert_eq!(near.command(Some("olga"), ""), "ssh olga@gate.example.org");
}
