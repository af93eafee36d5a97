mod notices;

use tidegate_common::audit::{Note, Notes};
use tidegate_common::id::NotificationId;
use tidegate_common::notice::{Notice, NoticeKind, Wanted};
use tidegate_common::secret::Secret;

use super::template::Reader;
use super::*;
use notices::{about, each, moment, others, wanted};

#[test]
fn each_kind_says_what_happened_where_and_what_to_do() {
    let (secret, id) = (Secret::new("4711-tide".to_owned()), NotificationId(12));
    let says: [(&str, &str); 13] = [
        ("operator asks for ops@db01 (request 7)", "ssh -p 2222 approver@gate.example.org request approve 7"),
        ("your request 7 for ops@db01 was approved", "Your request was approved: connect with ssh."),
        ("request 7 of operator for ops@db01 was rejected", "You need not do anything."),
        ("the window of request 7 ends at", "sessions that rest on it end with it"),
        ("EMERGENCY: operator has access to ops@db01 (request 7)", "request revoke 7"),
        ("unexpected command of operator on ops@db01", "rm -rf /srv"),
        ("report of change CHG-1: operator on ops@db01, 33 %", "change report CHG-1"),
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

/// All texts, as they are laid out.
fn laid_out() -> String {
    let (secret, mut all) = (Secret::new("4711-tide".to_owned()), String::new());
    for notice in each().iter().chain(&others()) {
        let kind = notice.kind();
        let code = (kind == NoticeKind::Link).then_some(&secret);
        let reader = Reader { user: Some("approver"), id: NotificationId(12), secret: code };
        let text = Text::of(notice, &reader, &about());
        let parts = [
            ("subject", text.subject()),
            ("plain", text.plain()),
            ("html", text.html()),
            ("sms", text.short()),
        ];
        all.push_str(&format!("==== {kind}\n"));
        for (part, said) in parts {
            all.push_str(&format!("---- {part}\n{}\n", said.trim_end()));
        }
    }
    all
}

/// Each change of a text is to be seen in the file that has them all. WRITE_TEXTS=1 writes it anew.
#[test]
fn every_text_is_as_the_file_of_all_texts_has_it() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/notify/text/tests/texts.txt");
    let now = laid_out();
    if std::env::var_os("WRITE_TEXTS").is_some() {
        std::fs::write(file, &now).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    for (place, (kept, now)) in kept.lines().zip(now.lines()).enumerate() {
        assert_eq!(kept, now, "line {} of {file}; WRITE_TEXTS=1 writes it anew", place + 1);
    }
    assert_eq!(kept.lines().count(), now.lines().count(), "{file}; WRITE_TEXTS=1 writes it anew");
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
}
