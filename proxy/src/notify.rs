//! Sends what people are told: takes notifications out of the store's outbox, says what they say,
//! and hands them to mail, SMS or a webhook.
//!
//! Each channel has a worker with a bound on what is under way, and each send has a time-out and a
//! connection of its own: a server that is dead or hangs holds up its own channel and nothing else.
//! What fails for now is tried again after growing pauses, for a day; what fails for good, or too
//! long, is listed with the reason. A notification is sent at least once: a gate that dies between
//! the send and writing that down leaves it to be sent again under the same id.

pub mod mail;
mod pause;
pub mod sms;
mod text;
pub mod webhook;
mod worker;

pub use text::{About, about};

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_common::id::NotificationId;
use tidegate_common::model::RequestState;
use tidegate_common::name::UserName;
use tidegate_common::notice::{Channel, Ending, Notice};
use tidegate_common::policy::Recipient;
use tidegate_common::secret::Secret;

use crate::access::Access;
use crate::audit_log::AuditLog;
use crate::files;
use crate::http::{Answer, HttpError};
use crate::store::{AgentRow, Claimed, Store, StoreError};
use crate::vault::Vault;
use mail::Mail;
use sms::Sms;
use text::{Reader, Text};
use webhook::Webhook;

/// How far a gate's clock may be from another's.
const A_MOMENT: SignedDuration = SignedDuration::from_secs(5);

/// `[notify]`
#[derive(Debug, Clone)]
pub struct Settings {
    /// The first pause before another try; each is twice as long as the one before, up to an hour.
    pub pause: Duration,
    /// How long one send may take.
    pub timeout: Duration,
    /// `[notify.mail]`
    pub mail: Option<mail::Settings>,
    /// `[notify.sms]`
    pub sms: Option<sms::Settings>,
    /// `[notify.webhook]`
    pub webhook: Option<webhook::Settings>,
}

/// Why a send failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may go another time: nobody answered, or the answer says so.
    #[error("{0}")]
    Later(String),
    /// It will never go.
    #[error("{0}")]
    Never(String),
    /// It need not go any more.
    #[error("{0}")]
    Over(String),
}

/// What a channel sends.
struct Letter {
    id: NotificationId,
    created: Timestamp,
    /// The user it is for.
    user: Option<UserName>,
    notice: Notice,
    text: Text,
}

impl Letter {
    /// The same at each try, and no other's.
    fn message_id(&self) -> String {
        format!("tidegate-{}-{}", self.id, self.created.as_millisecond())
    }
}

/// The way to the servers of a channel.
enum Carrier {
    Mail(Mail),
    Sms(Sms),
    Webhook(Webhook),
}

impl Carrier {
    fn channel(&self) -> Channel {
        match self {
            Self::Mail(_) => Channel::Mail,
            Self::Sms(_) => Channel::Sms,
            Self::Webhook(_) => Channel::Webhook,
        }
    }
}

/// What workers share.
struct Shared {
    store: Store,
    audit: AuditLog,
    access: Access,
    vault: Vault,
    about: About,
    pause: Duration,
    timeout: Duration,
}

impl Shared {
    /// Makes what is to be said, and sends it.
    async fn send(&self, carrier: &Carrier, claimed: &Claimed) -> Result<(), SendError> {
        let Claimed { row, secret, .. } = claimed;
        let (user, address) = self.reader(&row.recipient, carrier.channel())?;
        let secret = match (&row.notice, secret) {
            (Notice::Link { access, .. }, Some(kept)) => {
                let opened = self.vault.open_waiting(access.as_str(), kept).await;
                Some(opened.map_err(|error| SendError::Later(error.to_string()))?)
            }
            (Notice::Link { .. }, None) => {
                return Err(SendError::Never("the code is forgotten; make another link".to_owned()));
            }
            (_, secret) => secret.clone(),
        };
        if let Some(why) = self.over(&row.notice).await? {
            return Err(SendError::Over(why));
        }
        let reader =
            Reader { user: user.as_ref().map(UserName::as_str), id: row.id, secret: secret.as_ref() };
        let text = Text::of(&row.notice, &reader, &self.about);
        let letter = Letter { id: row.id, created: row.created, user, notice: row.notice.clone(), text };
        let sent = async {
            match carrier {
                Carrier::Mail(mail) => mail.send(&letter, &address).await,
                Carrier::Sms(sms) => sms.send(&letter, &address).await,
                Carrier::Webhook(webhook) => webhook.send(&letter).await,
            }
        };
        tokio::time::timeout(self.timeout, sent).await.unwrap_or_else(|_| {
            Err(SendError::Later(format!("the server did not take it within {} s", self.timeout.as_secs())))
        })
    }

    /// Why there is nothing to tell any more, of what waited for its moment.
    async fn over(&self, notice: &Notice) -> Result<Option<String>, SendError> {
        let later = |error: StoreError| SendError::Later(error.to_string());
        match notice {
            Notice::AgentAway { device, since, .. } => {
                let agent = self.store.agent(device).await.map_err(later)?;
                // Its row is written at the end of a link, too.
                let back = since.checked_add(A_MOMENT).unwrap_or(*since);
                let is_back = |agent: &AgentRow| agent.seen.is_some_and(|seen| seen > back);
                Ok(match agent {
                    None => Some("the device has no agent any more".to_owned()),
                    Some(agent) if agent.revoked => Some("the agent was taken out".to_owned()),
                    Some(agent) if is_back(&agent) => Some("the agent is back".to_owned()),
                    Some(_) => None,
                })
            }
            Notice::EndsSoon { what: Ending::Window, name, ends, .. } => {
                let Ok(id) = name.as_str().parse() else { return Ok(None) };
                let request = self.store.request(id).await.map_err(later)?;
                let same = request.is_some_and(|request| match request.state {
                    RequestState::Approved { window } => window.end == *ends,
                    _ => false,
                });
                Ok((!same).then(|| "the window is over, or has another end".to_owned()))
            }
            Notice::EndsSoon { what: Ending::ExceptionalAccess, name, user, ends, .. } => {
                // What this gate decides by may be behind what the notice was put in with.
                let resources = self.store.resources().await.map_err(later)?;
                let mut all = resources.exceptional_accesses.iter();
                let same = all.find(|access| access.name.as_str() == name.as_str());
                let same = same.is_some_and(|access| access.until == *ends && access.users.contains(user));
                Ok((!same).then(|| "the exceptional access is gone, or has another end".to_owned()))
            }
            _ => Ok(None),
        }
    }

    /// The user, and where the channel reaches them now.
    fn reader(
        &self,
        recipient: &Recipient,
        channel: Channel,
    ) -> Result<(Option<UserName>, String), SendError> {
        let never = |why: String| Err(SendError::Never(why));
        let name = match recipient {
            Recipient::User(name) => name,
            Recipient::Mail(address) => return Ok((None, address.as_str().to_owned())),
            Recipient::Phone(phone) => return Ok((None, phone.as_str().to_owned())),
            Recipient::Everybody => return Ok((None, String::new())),
        };
        let snapshot = self.access.snapshot();
        let Some(user) = snapshot.user(name).filter(|user| user.enabled) else {
            return never(format!("user {name} is gone or disabled"));
        };
        let address = match channel {
            Channel::Mail => user.email.as_ref().map(|email| email.as_str().to_owned()),
            Channel::Sms => user.phone.as_ref().map(|phone| phone.as_str().to_owned()),
            Channel::Webhook => Some(String::new()),
        };
        match address {
            Some(address) => Ok((Some(name.clone()), address)),
            None if channel == Channel::Mail => never(format!("user {name} has no `email`")),
            None => never(format!("user {name} has no `phone`")),
        }
    }
}

/// Sends, for as long as it is polled.
pub async fn run(
    store: Store,
    audit: AuditLog,
    access: Access,
    vault: Vault,
    about: About,
    settings: Settings,
) {
    let Settings { pause, timeout, mail, sms, webhook } = settings;
    let shared = Shared { store, audit, access, vault, about, pause, timeout };
    let mut carriers = Vec::new();
    carriers.extend(mail.map(|settings| Carrier::Mail(Mail::new(settings))));
    let sms = sms.map(|settings| Sms::new(settings).map(Carrier::Sms));
    let webhook = webhook.map(|settings| Webhook::new(settings).map(Carrier::Webhook));
    for carrier in [sms, webhook].into_iter().flatten() {
        match carrier {
            Ok(carrier) => carriers.push(carrier),
            Err(error) => tracing::error!(%error, "a channel of notices cannot be used"),
        }
    }
    let workers = carriers.iter().map(|carrier| worker::run(&shared, carrier));
    tokio::join!(futures::future::join_all(workers), worker::keep_house(&shared));
}

impl From<HttpError> for SendError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Silent(why) => Self::Later(why),
            HttpError::Wrong(why) => Self::Never(why),
        }
    }
}

/// Whether what was answered means that it is taken; 2xx does.
fn taken(answer: Answer) -> Result<(), SendError> {
    let Answer { status, body } = answer;
    if status.is_success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&body.unwrap_or_default()).chars().take(200).collect();
    let why = format!("the server answered {status}: {said}");
    // 408, 425 and 429 ask to come again, as 5xx does.
    if status.is_server_error() || [408, 425, 429].contains(&status.as_u16()) {
        Err(SendError::Later(why))
    } else {
        Err(SendError::Never(why))
    }
}

/// What a file holds, for as long as a send takes.
async fn secret(path: &Path) -> Result<Secret, SendError> {
    files::read_secret(path).await.map_err(SendError::Later)
}

#[cfg(test)]
mod tests;
