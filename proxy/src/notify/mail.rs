//! Notices by mail (RFC 5321), each on a connection of its own.
//!
//! Addresses and subject are checked values: what people write cannot end a header.

use std::path::PathBuf;

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{Letter, SendError, secret};

/// What a server answers that wants another log-in (RFC 4954): nothing is wrong with the mail, and
/// it goes once the password is mended.
const OF_LOG_IN: [u16; 4] = [530, 534, 535, 538];

/// `[notify.mail]`
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host name of the mail server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: Encryption,
    /// Who mails are from.
    pub from: Mailbox,
    /// Who logs in there.
    pub user: Option<String>,
    /// What holds their password.
    pub password_file: Option<PathBuf>,
    /// Authorities beside the host's.
    pub ca_file: Option<PathBuf>,
}

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte (port 465).
    Implicit,
    /// After STARTTLS, or else nothing is sent (port 587).
    StartTls,
    /// Not at all (port 25).
    None,
}

/// RFC 3834: nobody's vacation answers.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

pub(super) struct Mail {
    settings: Settings,
    /// What the gate calls itself to the server.
    hello: ClientId,
}

impl Mail {
    pub fn new(settings: Settings) -> Self {
        let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let fits = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        let hello = if fits { ClientId::Domain(host) } else { ClientId::default() };
        Self { settings, hello }
    }

    pub async fn send(&self, letter: &Letter, to: &str) -> Result<(), SendError> {
        let message = self.message(letter, to)?;
        let server = self.server().await?;
        server.send(message).await.map(drop).map_err(|error| {
            let why = told(&error);
            let about_us = error.status().is_some_and(|code| OF_LOG_IN.contains(&u16::from(code)));
            if error.is_permanent() && !about_us { SendError::Never(why) } else { SendError::Later(why) }
        })
    }

    fn message(&self, letter: &Letter, to: &str) -> Result<Message, SendError> {
        let to: Mailbox =
            to.parse().map_err(|why| SendError::Never(format!("`{to}` is no address for mail: {why}")))?;
        let domain = self.settings.from.email.domain();
        Message::builder()
            .from(self.settings.from.clone())
            .to(to)
            .subject(letter.text.subject())
            .message_id(Some(format!("<{}@{domain}>", letter.message_id())))
            .date_now()
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(letter.text.plain(), letter.text.html()))
            .map_err(|why| SendError::Never(why.to_string()))
    }

    async fn server(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
        let Settings { server, port, tls, user, password_file, .. } = &self.settings;
        let tls = match tls {
            Encryption::None => Tls::None,
            Encryption::StartTls => Tls::Required(self.parameters().await?),
            Encryption::Implicit => Tls::Wrapper(self.parameters().await?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.as_str())
            .port(*port)
            .tls(tls)
            .hello_name(self.hello.clone());
        if let (Some(user), Some(path)) = (user, password_file) {
            let password = secret(path).await?;
            transport = transport.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
        }
        Ok(transport.build())
    }

    async fn parameters(&self) -> Result<TlsParameters, SendError> {
        let mut parameters = TlsParameters::builder(self.settings.server.clone());
        if let Some(path) = &self.settings.ca_file {
            let later = |why: &dyn std::fmt::Display| SendError::Later(format!("{}: {why}", path.display()));
            let pem = tokio::fs::read(path).await.map_err(|why| later(&why))?;
            let authority = Certificate::from_pem(&pem).map_err(|why| later(&why))?;
            parameters = parameters.add_root_certificate(authority);
        }
        parameters.build_rustls().map_err(|why| SendError::Later(told(&why)))
    }
}

/// An error with what caused it.
fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_told = cause.to_string();
        if !told.contains(&cause_told) {
            told.push_str(": ");
            told.push_str(&cause_told);
        }
        source = cause.source();
    }
    told
}
