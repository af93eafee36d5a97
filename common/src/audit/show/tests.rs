use super::*;
use crate::audit::{Chain, Changed, CommandText, EndCause, FileChange, Note, Outcome, Stored, Transfer, Way};
use crate::grant::{Ended, Failure, PrivilegeKind};
use crate::id::SessionId;

#[test]
fn a_record_reads_as_one_line_with_who_where_and_what() {
    let event = Event::SessionRefused {
        session: SessionId::new(0, 0),
        user: "jane".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        why: Note::new("no group\nlists her"),
    };
    let entry = event.by_user(&"jane".parse().unwrap(), "192.0.2.7".parse().unwrap());
    let linked = Chain::start().append(entry, jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(
        linked.record.to_string(),
        "     1  1970-01-01T00:00:00.000Z  jane from 192.0.2.7: session 00000000000000000000000000: \
         jane refused to ops@db01: no group\\nlists her"
    );
    let stored = Stored { seq: 1, body: linked.body, link: linked.link };
    assert_eq!(Chain::start().check(&stored), Ok(linked.record));
}

#[test]
fn a_record_of_before_the_list_of_letters_grew_verifies() {
    // As it stands in a log of before: U+FE0F was no letter that is escaped.
    let why: Note = serde_json::from_str("\"it was told to stop \u{fe0f}\u{3164}\"").unwrap();
    let entry = Event::ProxyStopped { why }.by(Actor::Proxy);
    let linked = Chain::start().append(entry, jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert!(linked.body.contains('\u{fe0f}'), "{}", linked.body);
    let stored = Stored { seq: 1, body: linked.body, link: linked.link };
    assert_eq!(Chain::start().check(&stored), Ok(linked.record));
}

#[test]
fn a_transfer_and_a_change_read_as_one_line() {
    let session = SessionId::new(0, 0);
    let transfer = Transfer {
        way: Way::Upload,
        path: CommandText::new("/tmp/a\nb"),
        bytes: 3,
        sha256: None,
        outcome: Outcome::Failed,
        detail: Some(Note::new("permission denied")),
    };
    let told = Event::FileTransferred { session, channel: 2, transfer }.to_string();
    assert!(
        told.ends_with("channel 2 upload of /tmp/a\\nb, 3 bytes, failed, detail: permission denied"),
        "{told}"
    );
    let changed = Changed {
        change: FileChange::Rename,
        path: CommandText::new("/tmp/a"),
        to: Some(CommandText::new("/tmp/b")),
        attributes: None,
        outcome: Outcome::Done,
        detail: None,
    };
    let told = Event::FileChanged { session, channel: 2, changed }.to_string();
    assert!(told.ends_with("channel 2 rename: /tmp/a, to: /tmp/b, done"), "{told}");
}

#[test]
fn what_is_asked_for_is_not_called_open_and_what_became_of_it_is_told() {
    let session = SessionId::new(0, 0);
    let told = |event: &str| {
        let body = event.replace("SESSION", &session.to_string());
        let event: Event = serde_json::from_str(&body).unwrap();
        // Its name in the log is what it was in every log before.
        assert_eq!(serde_json::to_string(&event).unwrap(), body);
        event.to_string().split_once(": ").unwrap().1.to_owned()
    };
    let asked = told(r#"{"type":"channel-opened","session":"SESSION","channel":0,"kind":"exec"}"#);
    assert_eq!(asked, "channel 0 asked for: exec");
    let asked = told(
        r#"{"type":"forward-opened","session":"SESSION","kind":"direct-tcpip","to":"127.0.0.1:1","from":null}"#,
    );
    assert_eq!(asked, "direct-tcpip to 127.0.0.1:1 asked for");
    for (kind, channel, became) in [
        ("direct-tcpip", "null", "failed: no"),
        ("direct-tcpip", "7", "closed, channel: 7, why: no, 0 bytes in, 0 out"),
        ("tcpip-forward", "null", "closed, why: no"),
    ] {
        let over = told(&format!(
            r#"{{"type":"forward-closed","session":"SESSION","channel":{channel},"kind":"{kind}","to":"x","why":"no","bytes_in":0,"bytes_out":0}}"#
        ));
        assert_eq!(over, format!("{kind} to x {became}"));
    }
}

#[test]
fn what_could_not_be_undone_shows_as_standing() {
    let ended = Ended {
        standing: vec![Failure { kind: PrivilegeKind::Sudo, why: "read-only file system".to_owned() }],
        ..Ended::default()
    };
    let event = Event::grant_over(SessionId::new(0, 0), "ops@db01".parse().unwrap(), &ended);
    assert!(event.to_string().contains("still STANDING: sudo: read-only file system"), "{event}");
    let clean = Event::grant_over(SessionId::new(0, 0), "ops@db01".parse().unwrap(), &Ended::default());
    assert!(matches!(clean, Event::GrantEnded { .. }), "{clean}");
}

#[test]
fn a_later_end_of_a_grant_reads_as_ordered_as_given_and_as_refused() {
    let (session, until) = (SessionId::new(0, 0), jiff::Timestamp::UNIX_EPOCH);
    let target: crate::name::CredentialName = "ops@db01".parse().unwrap();
    let ordered = Event::GrantExtensionOrdered { session, target: target.clone(), until };
    assert!(ordered.to_string().ends_with("ordered to end later, at 1970-01-01T00:00:00Z"), "{ordered}");
    let given = Event::GrantExtended { session, target: target.clone(), until };
    assert!(given.to_string().ends_with("grant on ops@db01 ends at 1970-01-01T00:00:00Z instead"), "{given}");
    let refused = Event::GrantExtensionRefused { session, target, until, why: Note::new("it ends") };
    assert!(
        refused.to_string().ends_with("will not end later, at 1970-01-01T00:00:00Z: it ends"),
        "{refused}"
    );
}

#[test]
fn an_unknown_field_or_event_in_a_body_is_refused() {
    let body = r#"{"type":"proxy-stopped","why":"x","more":1}"#;
    assert!(serde_json::from_str::<Event>(body).unwrap_err().to_string().contains("unknown field `more`"));
    assert!(serde_json::from_str::<Event>(r#"{"type":"tea-made"}"#).is_err());
    let event: Event = serde_json::from_str(r#"{"type":"proxy-stopped","why":"x"}"#).unwrap();
    assert_eq!(event, Event::ProxyStopped { why: Note::new("x") });
}

#[test]
fn causes_are_written_in_kebab_case() {
    assert_eq!(serde_json::to_string(&EndCause::Unreachable).unwrap(), "\"unreachable\"");
}

#[test]
fn a_governance_code_that_nobody_checked_reads_so() {
    let (code, taken_for, why) = (Note::new("INC-7"), Note::new("request 7"), Note::new("it answered 500"));
    let told = Event::GovernanceUnchecked { code, taken_for, why }.to_string();
    assert_eq!(told, "governance code INC-7 was taken UNCHECKED for request 7: it answered 500");
}

#[test]
fn a_confirmation_of_before_deputies_reads_and_verifies_and_one_of_a_deputy_names_both() {
    let before = r#"{"type":"group-confirmed","group":"dba","users":["olga"],"due":"1970-01-02T00:00:00Z"}"#;
    let event: Event = serde_json::from_str(before).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), before);
    assert_eq!(event.to_string(), "access group dba: confirmed until 1970-01-02T00:00:00Z, users: olga");
    let linked = Chain::start().append(event.clone().by(Actor::Proxy), jiff::Timestamp::UNIX_EPOCH).unwrap();
    let stored = Stored { seq: 1, body: linked.body, link: linked.link };
    assert_eq!(Chain::start().check(&stored), Ok(linked.record));
    let Event::GroupConfirmed { group, users, due, .. } = event else { panic!("another event") };
    let stands_in_for = Some("boss".parse().unwrap());
    let told = Event::GroupConfirmed { group, users, due, stands_in_for }.to_string();
    assert_eq!(told, "access group dba: confirmed until 1970-01-02T00:00:00Z, for: boss, users: olga");
}
