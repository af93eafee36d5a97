//! Mail servers that want more than a mail, and what they are sent of gates and agents.

use jiff::SignedDuration;
use tidegate_common::policy::notify_of_event;

use super::*;

const ADMINISTRATOR: &str = r#"
[[user]]
name = "olga"
email = "olga@example.org"
roles = ["admin"]
"#;

/// What a server answers to EHLO that has STARTTLS (RFC 3207).
const OFFERED: &str = "250-sink\r\n250 STARTTLS\r\n";

/// The password's file, with what is in it.
fn password(gate: &Gate, text: &str) -> std::path::PathBuf {
    let file = gate.world.temporary.directory().join("password");
    std::fs::write(&file, text).unwrap();
    file
}

async fn a_mail_goes_by_starttls_and_not_to_a_server_that_does_not_offer_it() {
    let (mut gate, server) = (Gate::new().await, MailServer::start(&[]).unwrap());
    let (address, file) = behind_tls(&gate, server.address(), Some(OFFERED)).await;
    let known = mail::Settings { ca_file: Some(file), ..mail(address, Encryption::StartTls) };
    gate.send(Settings { mail: Some(known), ..none() });
    gate.tell(&test()).await;
    gate.sent().await;
    assert_eq!(server.mails().len(), 1);

    // Whoever stands between takes the offer out.
    let (mut gate, server) = (Gate::new().await, MailServer::start(&[]).unwrap());
    let (address, file) = behind_tls(&gate, server.address(), Some("250 sink\r\n")).await;
    let known = mail::Settings { ca_file: Some(file), ..mail(address, Encryption::StartTls) };
    gate.send(Settings { mail: Some(known), ..none() });
    gate.tell(&test()).await;
    let refused = gate.until("it is not sent", |row| row.reason.is_some()).await;
    assert!(refused.reason.as_ref().unwrap().to_lowercase().contains("starttls"), "{refused:?}");
    assert_eq!((refused.state, server.mails().len()), (NotificationState::Waiting, 0));

    // And a certificate that nobody vouches for ends it there, too.
    let (mut gate, server) = (Gate::new().await, MailServer::start(&[]).unwrap());
    let (address, _) = behind_tls(&gate, server.address(), Some(OFFERED)).await;
    gate.send(Settings { mail: Some(mail(address, Encryption::StartTls)), ..none() });
    gate.tell(&test()).await;
    let refused = gate.until("it is refused", |row| row.reason.is_some()).await;
    assert!(refused.reason.as_ref().unwrap().contains("certificate"), "{refused:?}");
    assert_eq!(server.mails().len(), 0);
}

async fn a_password_logs_the_gate_in_and_a_wrong_one_loses_no_mail() {
    let (mut gate, user) = (Gate::new().await, "tidegate");
    let login = format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0right one")));
    let server = MailServer::start_for(&login).unwrap();
    let file = password(&gate, "an older one\n");
    let known = mail::Settings {
        user: Some(user.to_owned()),
        password_file: Some(file),
        ..mail(server.address(), Encryption::None)
    };
    gate.send(Settings { mail: Some(known), ..none() });
    gate.tell(&test()).await;
    let refused = gate.until("the log-in is refused", |row| row.reason.is_some()).await;
    assert!(refused.reason.as_ref().unwrap().contains("wrong user or password"), "{refused:?}");
    assert_eq!((refused.state, server.mails().len()), (NotificationState::Waiting, 0));
    // The file is read at each send: it is enough to put the right one there.
    password(&gate, "right one\n");
    gate.sent().await;
    assert_eq!(server.mails().len(), 1);
}

async fn administrators_are_sent_that_a_disk_is_low_and_that_an_agent_stays_away() {
    let (mut gate, server) = (Gate::new().await, MailServer::start(&[]).unwrap());
    gate.world.services.access.apply(ADMINISTRATOR, &By::proxy(), false).await.unwrap();
    let access = gate.world.services.access.clone();
    // The agent was lost so long ago that somebody is told.
    let lost = Timestamp::now() - SignedDuration::from_mins(6);
    let of_event: OfEvent =
        Box::new(move |event| notify_of_event(&access.snapshot(), &"gate1".parse().unwrap(), event, lost));
    gate.send_and_tell(Settings { mail: Some(mail(server.address(), Encryption::None)), ..none() }, of_event);
    let (place, device) = (Note::new("/var/lib/tidegate"), "db01".parse().unwrap());
    let low = Event::DiskLow { place, free: 300 << 20, floor: 256 << 20 };
    let away = Event::AgentLost { device, why: Note::new("it was cut") };
    for event in [low, away] {
        gate.world.services.audit.append(event).await.unwrap();
    }
    for (subject, says) in [
        ("gate gate1 runs out of disk", "300 MiB"),
        ("the agent of db01 is away", "ssh -p 2222 olga@gate.example.org agent list"),
    ] {
        gate.until(subject, |row| {
            crate::notify::about(&row.notice) == subject && row.state == NotificationState::Sent
        })
        .await;
        let mail = server.mails().into_iter().find(|mail| mail.header("Subject") == subject).unwrap();
        assert!(mail.plain().contains(says), "{}", mail.plain());
    }
}

on_both! {
    a_mail_goes_by_starttls_and_not_to_a_server_that_does_not_offer_it,
    a_password_logs_the_gate_in_and_a_wrong_one_loses_no_mail,
    administrators_are_sent_that_a_disk_is_low_and_that_an_agent_stays_away,
}
