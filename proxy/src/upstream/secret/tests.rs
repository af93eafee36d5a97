//! Devices that know one way to log in, played by a server of russh's.

use std::borrow::Cow;
use std::sync::Mutex;

use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};
use russh::server::{self, Auth, Response, VerifiedPublicKey};
use russh::{MethodSet, keys};

use super::*;

/// What is tried, one word each.
type Tried = Arc<Mutex<Vec<String>>>;

struct Device {
    password: &'static str,
    /// What it asks, each with whether it would show.
    questions: &'static [(Cow<'static, str>, bool)],
    key: Option<PublicKey>,
    tried: Tried,
}

impl Device {
    fn tried(&self, what: impl Into<String>) {
        self.tried.lock().unwrap().push(what.into());
    }

    fn answer(right: bool) -> Auth {
        if right { Auth::Accept } else { Auth::reject() }
    }
}

impl server::Handler for Device {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.tried(format!("password of {user}"));
        Ok(Self::answer(password == self.password))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut response) = response else {
            let (name, instructions) = (Cow::Borrowed(""), Cow::Borrowed("what you know"));
            return Ok(Auth::Partial { name, instructions, prompts: Cow::Borrowed(self.questions) });
        };
        self.tried("answer");
        let right = response.next().is_some_and(|answer| *answer == *self.password.as_bytes());
        Ok(Self::answer(right))
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.tried("key");
        let _ = key;
        Ok(Self::answer(self.key.is_some()))
    }

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        offer: server::PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Self::answer(self.key.as_ref().is_some_and(|key| key.key_data() == offer.public_key.key_data())))
    }
}

struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Logs in to a device that knows one way; says what came of it and what was tried.
async fn log_in_to(way: MethodKind, device: Device, secret: &CredentialSecret) -> (Answer, Vec<String>) {
    let tried = Arc::clone(&device.tried);
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let config = server::Config {
        keys: vec![key],
        // Another beside it, as a server that knows no other way goes away when that one fails.
        methods: MethodSet::from(&[way, MethodKind::HostBased][..]),
        auth_rejection_time: std::time::Duration::ZERO,
        ..server::Config::default()
    };
    let (near, far) = tokio::io::duplex(64 * 1024);
    let there = tokio::spawn(server::run_stream(Arc::new(config), far, device));
    let mut handle = client::connect_stream(Arc::default(), near, Client).await.unwrap();
    let running = tokio::spawn(there.await.unwrap().unwrap());
    let answer = log_in(&mut handle, &"ops".parse().unwrap(), secret).await.unwrap();
    drop(handle);
    running.abort();
    let tried = tried.lock().unwrap().clone();
    (answer, tried)
}

const ASKS: &[(Cow<'static, str>, bool)] = &[(Cow::Borrowed("Password: "), false)];
const ASKS_MORE: &[(Cow<'static, str>, bool)] =
    &[(Cow::Borrowed("Password: "), false), (Cow::Borrowed("Code: "), false)];
const SHOWS: &[(Cow<'static, str>, bool)] = &[(Cow::Borrowed("Your name: "), true)];

fn device(questions: &'static [(Cow<'static, str>, bool)]) -> Device {
    Device { password: "hunter2", questions, key: None, tried: Tried::default() }
}

fn password(text: &str) -> CredentialSecret {
    CredentialSecret::Password(Secret::new(text.to_owned()))
}

#[tokio::test]
async fn a_password_logs_in_by_the_way_that_the_device_knows_and_is_tried_once() {
    let (right, wrong) = (password("hunter2"), password("hunter3"));
    for (way, tries) in
        [(MethodKind::Password, "password of ops"), (MethodKind::KeyboardInteractive, "answer")]
    {
        assert_eq!(log_in_to(way, device(ASKS), &right).await, (Answer::In, vec![tries.to_owned()]));
        let refused = (Answer::Refused(WRONG_PASSWORD), vec![tries.to_owned()]);
        assert_eq!(log_in_to(way, device(ASKS), &wrong).await, refused);
    }
}

#[tokio::test]
async fn a_device_that_asks_for_more_or_for_what_would_show_is_told_nothing() {
    let way = MethodKind::KeyboardInteractive;
    for questions in [ASKS_MORE, SHOWS] {
        let found = log_in_to(way, device(questions), &password("hunter2")).await;
        assert_eq!(found, (Answer::Refused(MORE_QUESTIONS), Vec::new()), "{questions:?}");
    }
    let found = log_in_to(MethodKind::PublicKey, device(ASKS), &password("hunter2")).await;
    assert_eq!(found, (Answer::Refused(NO_PASSWORDS), Vec::new()));
}

#[tokio::test]
async fn a_private_key_logs_in_where_the_device_takes_it() {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let text = key.to_openssh(keys::ssh_key::LineEnding::LF).unwrap();
    let secret = CredentialSecret::PrivateKey(Secret::new((*text).clone()));
    let takes = Device { key: Some(key.public_key().clone()), ..device(ASKS) };
    let (answer, tried) = log_in_to(MethodKind::PublicKey, takes, &secret).await;
    assert_eq!((answer, tried), (Answer::In, vec!["key".to_owned()]));
    let (answer, tried) = log_in_to(MethodKind::PublicKey, device(ASKS), &secret).await;
    assert_eq!((answer, tried), (Answer::Refused(WRONG_KEY), Vec::new()));
}
