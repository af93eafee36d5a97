//! An HTTP endpoint that knows the organisation's governance codes.
//!
//! It answers `yes` or `no`, or `{"valid": true}` or `{"valid": false}`, with 200; 404 is a no. All
//! else (another status, a redirect, too long a body, anything else in it, no answer in its time) is
//! silence, and what comes of that is for the settings. A yes is remembered for a while, so that a
//! session that is asked for step by step asks once; a no is not: the code may be made meanwhile.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use tidegate_common::audit::Note;
use tidegate_common::model::Text;
use tidegate_common::secret::Secret;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Checked;
use crate::files;
use crate::http::{Answer, Client, HttpError, Template};

/// Questions that are open at once.
const AT_ONCE: usize = 8;

/// Codes that are remembered at once.
const MOST_REMEMBERED: usize = 4096;

/// `[governance]`, where it names an endpoint.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is asked, with `{code}` and `{secret}`.
    pub template: Template,
    /// What `{secret}` stands for.
    pub secret_file: Option<PathBuf>,
    /// Authorities beside the host's.
    pub ca_file: Option<PathBuf>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What comes of none.
    pub silence: Silence,
    /// For how long a yes is remembered.
    pub remember: Duration,
}

/// What comes of a code that nobody could say anything about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It is refused.
    Refuse,
    /// It is taken, as free evidence.
    Accept,
}

/// See the module.
pub struct Endpoint {
    settings: Settings,
    client: Client,
    open: Semaphore,
    /// Codes that were good, and when they were.
    good: Mutex<HashMap<String, GoodAt>>,
}

/// A moment by the clock that nobody sets, and by the one that goes on while the machine sleeps.
struct GoodAt {
    steady: Instant,
    wall: Timestamp,
}

impl GoodAt {
    /// Whether less time than this has passed, by either clock.
    fn is_within(&self, most: Duration, now: Timestamp) -> bool {
        let by_wall = Duration::try_from(now.duration_since(self.wall)).unwrap_or_default();
        self.steady.elapsed() < most && by_wall < most
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    valid: bool,
}

impl Endpoint {
    /// Asks as these settings say.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub fn new(settings: Settings) -> Result<Self, HttpError> {
        let client = Client::new(settings.ca_file.as_deref())?;
        Ok(Self { settings, client, open: Semaphore::new(AT_ONCE), good: Mutex::default() })
    }

    /// What comes of a code.
    pub(super) async fn check(&self, code: &Text) -> Checked {
        if self.remembers(code, Timestamp::now()) {
            return Checked::Good;
        }
        let asked = tokio::time::timeout(self.settings.timeout, self.ask(code)).await;
        let late = || format!("no answer within {} s", self.settings.timeout.as_secs());
        match asked.unwrap_or_else(|_| Err(late())) {
            Ok(true) => {
                self.remember(code);
                Checked::Good
            }
            Ok(false) => {
                Checked::Refused(format!("governance code `{code}` is not known to who gives out such codes"))
            }
            Err(why) => {
                tracing::warn!(%why, silence = ?self.settings.silence, "a governance code could not be checked");
                match self.settings.silence {
                    Silence::Accept => {
                        Checked::Unasked { code: Note::new(code.as_str()), why: Note::new(why) }
                    }
                    Silence::Refuse => Checked::Refused(format!(
                        "governance code `{code}` cannot be checked now; try again later"
                    )),
                }
            }
        }
    }

    async fn ask(&self, code: &Text) -> Result<bool, String> {
        // Who waits for a turn waits within the same time.
        let _turn = self.open.acquire().await.map_err(|error| error.to_string())?;
        let Settings { template, secret_file, .. } = &self.settings;
        let secret = match secret_file {
            Some(path) => files::read_secret(path).await?,
            None => Secret::new(String::new()),
        };
        let call = template.call(&[("code", code.as_str()), ("secret", secret.reveal())]);
        let call = call.map_err(|error| error.to_string())?;
        verdict(&self.client.send(call).await.map_err(|error| error.to_string())?)
    }

    fn remembers(&self, code: &Text, now: Timestamp) -> bool {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        good.retain(|_, since| since.is_within(self.settings.remember, now));
        good.contains_key(code.as_str())
    }

    fn remember(&self, code: &Text) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        // One more is asked for again; that is all.
        if good.len() < MOST_REMEMBERED {
            let since = GoodAt { steady: Instant::now(), wall: Timestamp::now() };
            good.insert(code.as_str().to_owned(), since);
        }
    }
}

/// What an answer says, or why it says nothing.
fn verdict(answer: &Answer) -> Result<bool, String> {
    let Answer { status, body } = answer;
    match *status {
        StatusCode::NOT_FOUND => return Ok(false),
        StatusCode::OK => {}
        other => return Err(format!("it answered {other}")),
    }
    let body = body.as_ref().ok_or("it answered more than is read, or broke off")?;
    match body.trim_ascii() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        other => match serde_json::from_slice(other) {
            Ok(Valid { valid }) => Ok(valid),
            Err(_) => Err("it answered neither yes nor no".to_owned()),
        },
    }
}

#[cfg(test)]
pub(super) mod tests;
