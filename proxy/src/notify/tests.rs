use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_common::audit::{Event, Note};
use tidegate_common::notice::NoticeKind;
use tidegate_common::policy::{Notification, notify};
use tokio::task::JoinHandle;

use super::mail::Encryption;
use super::webhook::Form;
use super::*;
use crate::access::By;
use crate::audit_log::{OfEvent, Rules, Telling};
use crate::service::testing::World;
use crate::ssh_name::SshName;
use crate::store::testing::on_both;
use crate::store::{NotificationFilter, NotificationRow, NotificationState};
use crate::testing::until;

mod over;
mod servers;
mod tls;
mod unread;

#[path = "../../../tests/src/sinks.rs"]
#[allow(dead_code, reason = "the end-to-end tests use the rest")]
mod sinks;

use sinks::{HttpServer, MailServer};
use tls::behind_tls;

const PEOPLE: &str = r#"
[[user]]
name = "olga"
email = "olga@example.org"
phone = "+34600123456"
[user.notify]
agent_away = ["webhook"]
link = ["sms"]
"#;

struct Gate {
    world: World,
    workers: Option<JoinHandle<()>>,
}

fn none() -> Settings {
    let (pause, timeout) = (Duration::from_millis(100), Duration::from_secs(20));
    Settings { pause, timeout, mail: None, sms: None, webhook: None }
}

fn mail(address: SocketAddr, tls: Encryption) -> mail::Settings {
    mail::Settings {
        server: "localhost".to_owned(),
        port: address.port(),
        tls,
        from: "Tidegate <tidegate@example.org>".parse().unwrap(),
        user: None,
        password_file: None,
        ca_file: None,
    }
}

fn webhook(address: SocketAddr, form: Form) -> webhook::Settings {
    webhook::Settings {
        url: format!("http://{address}/hook?x=1").parse().unwrap(),
        secret_file: None,
        form,
        kinds: Vec::new(),
        ca_file: None,
    }
}

impl Gate {
    async fn new() -> Self {
        let world = World::new().await;
        world.services.access.apply(PEOPLE, &By::proxy(), false).await.unwrap();
        // An agent that is not back.
        world.services.store.enrol(&"db01".parse().unwrap(), "x", Timestamp::UNIX_EPOCH).await;
        Self { world, workers: None }
    }

    fn send(&mut self, settings: Settings) {
        self.send_and_tell(settings, Box::new(|_| Vec::new()));
    }

    fn send_and_tell(&mut self, settings: Settings, of_event: OfEvent) {
        let about = About {
            gate: "gate1".to_owned(),
            ssh: SshName { host: "gate.example.org".to_owned(), port: 2222 },
        };
        let services = &self.world.services;
        let kinds = settings.webhook.iter().flat_map(|webhook| webhook.kinds.clone()).collect();
        services.audit.tell_by(Rules { posted: kinds, of_event });
        let (store, audit, access) =
            (services.store.clone(), services.audit.clone(), services.access.clone());
        let sent = run(store, audit, access, services.vault.clone(), about, settings);
        self.workers = Some(tokio::spawn(sent));
    }

    async fn tell(&self, notice: &Notice) {
        let told = notify(&self.world.services.access.snapshot(), [&"olga".parse().unwrap()], notice);
        self.put(told).await;
    }

    async fn put(&self, told: Vec<Notification>) {
        let event = Event::ProxyStopped { why: Note::new("a test") };
        self.world.services.audit.append(Telling::new(event, told)).await.unwrap();
    }

    async fn rows(&self) -> Vec<NotificationRow> {
        self.world.services.store.notifications(&NotificationFilter::default()).await.unwrap()
    }

    /// Waits until the only notification stands so.
    async fn until(&self, what: &str, fits: impl Fn(&NotificationRow) -> bool) -> NotificationRow {
        until(what, async || self.rows().await.into_iter().find(|row| fits(row))).await
    }

    async fn sent(&self) -> NotificationRow {
        self.until("it is sent", |row| row.state == NotificationState::Sent).await
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(workers) = &self.workers {
            workers.abort();
        }
    }
}

fn test() -> Notice {
    Notice::Test { by: Note::new("admin") }
}

async fn a_notice_goes_by_mail_as_text_and_html_and_answers_to_nobody() {
    let (mut gate, server) = (Gate::new().await, MailServer::start(&[]).unwrap());
    gate.send(Settings { mail: Some(mail(server.address(), Encryption::None)), ..none() });
    gate.tell(&test()).await;
    let row = gate.sent().await;
    let mail = server.mails().pop().unwrap();
    assert_eq!((mail.from.as_str(), mail.to), ("tidegate@example.org", vec!["olga@example.org".to_owned()]));
    let id = format!("Message-ID: <tidegate-{}-{}@example.org>", row.id, row.created.as_millisecond());
    for says in [
        "To: olga@example.org",
        "Subject: a test of notices",
        id.as_str(),
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        "admin looks whether notices arrive.",
        "Tidegate, gate gate1, notification 1",
    ] {
        assert!(mail.text.contains(says), "no `{says}` in {}", mail.text);
    }
}

async fn who_says_later_is_asked_again_and_who_says_never_is_not() {
    let (mut gate, server) = (Gate::new().await, MailServer::start(&["451 later", "451 later"]).unwrap());
    gate.send(Settings { mail: Some(mail(server.address(), Encryption::None)), ..none() });
    gate.tell(&test()).await;
    assert_eq!(gate.sent().await.attempts, 3);
    assert_eq!(server.mails().len(), 1);

    let (mut gate, server) = (Gate::new().await, MailServer::start(&["550 no such person here"]).unwrap());
    gate.send(Settings { mail: Some(mail(server.address(), Encryption::None)), ..none() });
    gate.tell(&test()).await;
    let failed = gate.until("it is given up", |row| row.state == NotificationState::Failed).await;
    assert!(failed.reason.as_ref().unwrap().contains("no such person here"), "{failed:?}");
    assert_eq!((failed.attempts, server.mails().len()), (1, 0));
    let last = gate.world.services.audit.last(1).await;
    assert!(matches!(last[0].event, Event::NotificationFailed { .. }), "{}", last[0]);
}

async fn a_mail_server_that_hangs_holds_up_no_other_channel() {
    let (mut gate, hangs, chat) =
        (Gate::new().await, MailServer::start(&["hang"]).unwrap(), HttpServer::start(&[]).unwrap());
    gate.send(Settings {
        timeout: Duration::from_secs(1),
        mail: Some(mail(hangs.address(), Encryption::None)),
        webhook: Some(webhook(chat.address(), Form::Chat)),
        ..none()
    });
    gate.tell(&test()).await;
    gate.tell(&away()).await;
    let sent =
        gate.until("the webhook has it", |row| row.channel == Channel::Webhook && row.settled.is_some());
    assert_eq!(sent.await.state, NotificationState::Sent);
    assert_eq!(
        chat.posted().pop().unwrap().body,
        r#"{"text":"olga: the agent of db01 is away: ssh -p 2222 olga@gate.example.org agent list"}"#
    );
    let late = gate
        .until("the mail is given up for now", |row| row.channel == Channel::Mail && row.reason.is_some());
    assert!(late.await.reason.unwrap().contains("did not take it within 1 s"));
    // The next try finds a server that answers.
    gate.until("the mail is sent", |row| row.channel == Channel::Mail && row.settled.is_some()).await;
    assert_eq!(hangs.mails().len(), 1);
}

async fn a_server_whose_certificate_nobody_vouches_for_gets_nothing() {
    let (mut gate, server) = (Gate::new().await, MailServer::start(&[]).unwrap());
    let (address, _) = behind_tls(&gate, server.address(), None).await;
    gate.send(Settings { mail: Some(mail(address, Encryption::Implicit)), ..none() });
    gate.tell(&test()).await;
    let refused = gate.until("it is refused", |row| row.reason.is_some()).await;
    assert!(refused.reason.as_ref().unwrap().contains("certificate"), "{refused:?}");
    assert_eq!((refused.state, server.mails().len()), (NotificationState::Waiting, 0));

    // The same server where a file vouches for it; also for HTTP.
    let (mut gate, server) = (Gate::new().await, MailServer::start(&[]).unwrap());
    let (address, file) = behind_tls(&gate, server.address(), None).await;
    let known = mail::Settings { ca_file: Some(file), ..mail(address, Encryption::Implicit) };
    gate.send(Settings { mail: Some(known), ..none() });
    gate.tell(&test()).await;
    gate.sent().await;
    assert_eq!(server.mails().len(), 1);

    let (mut gate, server) = (Gate::new().await, HttpServer::start(&["500 busy"]).unwrap());
    let (address, file) = behind_tls(&gate, server.address(), None).await;
    let url = format!("https://localhost:{}/hook", address.port()).parse().unwrap();
    let known = webhook::Settings { url, ca_file: Some(file), ..webhook(address, Form::Chat) };
    gate.send(Settings { webhook: Some(known), ..none() });
    gate.tell(&away()).await;
    assert_eq!(gate.sent().await.attempts, 2);
    assert_eq!(server.posted().len(), 2);
}

fn away() -> Notice {
    Notice::AgentAway {
        device: "db01".parse().unwrap(),
        since: Timestamp::UNIX_EPOCH,
        why: Note::new("it was cut"),
    }
}

async fn what_is_over_before_it_is_due_is_told_to_nobody() {
    let (mut gate, chat) = (Gate::new().await, HttpServer::start(&[]).unwrap());
    let (store, db01) = (&gate.world.services.store, "db01".parse().unwrap());
    store.agent_seen(&db01, "0.1.0", false, Timestamp::now()).await.unwrap();
    gate.send(Settings { webhook: Some(webhook(chat.address(), Form::Chat)), ..none() });
    gate.tell(&away()).await;
    let dropped = gate.until("it is dropped", |row| row.settled.is_some()).await;
    assert_eq!(dropped.state, NotificationState::Dropped);
    assert_eq!((dropped.reason.as_deref(), chat.posted().len()), (Some("the agent is back"), 0));
}

async fn a_webhook_is_signed_and_told_once_for_all_who_read_it() {
    let (mut gate, server) = (Gate::new().await, HttpServer::start(&[]).unwrap());
    let (key, file) = ([7u8; 32], gate.world.temporary.directory().join("secret"));
    std::fs::write(&file, format!("whsec_{}\n", STANDARD.encode(key))).unwrap();
    let kinds = vec![NoticeKind::Test];
    let signed =
        webhook::Settings { secret_file: Some(file), kinds, ..webhook(server.address(), Form::Full) };
    gate.send(Settings { webhook: Some(signed), ..none() });
    // Its user is told by mail, which there is none of; the webhook has it all the same.
    gate.tell(&test()).await;
    gate.sent().await;
    let posted = server.posted().pop().unwrap();
    assert_eq!(posted.what, "POST /hook?x=1");
    let (id, sent) = (posted.header("webhook-id"), posted.header("webhook-timestamp"));
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &key),
        format!("{id}.{sent}.{}", posted.body).as_bytes(),
    );
    assert_eq!(posted.header("webhook-signature"), format!("v1,{}", STANDARD.encode(tag.as_ref())));
    let body: serde_json::Value = serde_json::from_str(&posted.body).unwrap();
    assert_eq!((body["type"].as_str(), body["data"]["notice"]["by"].as_str()), (Some("test"), Some("admin")));
    assert!(body["data"]["user"].is_null(), "{body}");
}

async fn an_sms_has_the_code_of_a_link_and_the_list_has_not() {
    let (mut gate, server) = (Gate::new().await, HttpServer::start(&[]).unwrap());
    let file = gate.world.temporary.directory().join("secret");
    std::fs::write(&file, "k3y").unwrap();
    let template = crate::http::Template {
        method: hyper::Method::POST,
        url: format!("http://{}/send?to={{to}}", server.address()),
        headers: vec![
            ("authorization".parse().unwrap(), "Bearer {secret}".to_owned()),
            ("content-type".parse().unwrap(), "application/json".to_owned()),
        ],
        body: r#"{"to":"{to}","text":"{text}"}"#.to_owned(),
    };
    let sms = sms::Settings { template, secret_file: Some(file), ca_file: None };
    gate.send(Settings { sms: Some(sms), ..none() });
    let expires = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let notice = Notice::Link { by: None, access: Note::new("the \"gate\""), expires };
    let snapshot = gate.world.services.access.snapshot();
    let told = notify(&snapshot, [&"olga".parse().unwrap()], &notice)
        .into_iter()
        .map(|one| Notification { secret: Some(Secret::new("4711-tide".to_owned())), ..one });
    gate.put(told.collect()).await;
    let row = gate.sent().await;
    assert!(!format!("{row:?}").contains("4711"));
    let posted = server.posted().pop().unwrap();
    assert_eq!(posted.what, "POST /send?to=%2B34600123456");
    assert_eq!(posted.header("authorization"), "Bearer k3y");
    let body: serde_json::Value = serde_json::from_str(&posted.body).unwrap();
    assert_eq!(body["to"].as_str(), Some("+34600123456"));
    assert_eq!(
        body["text"].as_str(),
        Some("your code to enter: 4711-tide: ssh -p 2222 olga@gate.example.org")
    );
}

async fn ten_thousand_that_wait_hold_up_no_record() {
    let (mut gate, server) = (Gate::new().await, MailServer::start(&[]).unwrap());
    let many = (0..10_000).map(|number| Notification {
        recipient: Recipient::Mail(format!("p{number}@example.org").parse().unwrap()),
        channel: Channel::Mail,
        notice: test(),
        secret: None,
    });
    gate.put(many.collect()).await;
    gate.send(Settings { mail: Some(mail(server.address(), Encryption::None)), ..none() });
    until("one is sent", async || server.mails().pop()).await;
    // What a session waits for: its records are on the disk.
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let start = Instant::now();
        gate.put(Vec::new()).await;
        longest = longest.max(start.elapsed());
    }
    let left = gate.rows().await.iter().filter(|row| row.state == NotificationState::Waiting).count();
    assert!(left > 0, "they were gone before anything was measured");
    assert!(longest < Duration::from_secs(2), "a record waited {longest:?}");
}

on_both! {
    a_notice_goes_by_mail_as_text_and_html_and_answers_to_nobody,
    who_says_later_is_asked_again_and_who_says_never_is_not,
    a_mail_server_that_hangs_holds_up_no_other_channel,
    a_server_whose_certificate_nobody_vouches_for_gets_nothing,
    what_is_over_before_it_is_due_is_told_to_nobody,
    a_webhook_is_signed_and_told_once_for_all_who_read_it,
    an_sms_has_the_code_of_a_link_and_the_list_has_not,
    ten_thousand_that_wait_hold_up_no_record,
}
