//! Notices as SMS: no provider's way is another's, so the request is a template of the settings,
//! with `{to}` (the number as E.164 writes it), `{text}` and `{secret}`.

use std::path::PathBuf;

use tidegate_common::secret::Secret;

use super::{Letter, SendError, secret, taken};
use crate::http::{Client, Template};

/// `[notify.sms]`
#[derive(Debug, Clone)]
pub struct Settings {
    /// With `{to}`, `{text}` and `{secret}`.
    pub template: Template,
    /// What `{secret}` stands for.
    pub secret_file: Option<PathBuf>,
    /// Authorities beside the host's.
    pub ca_file: Option<PathBuf>,
}

pub(super) struct Sms {
    settings: Settings,
    client: Client,
}

impl Sms {
    pub fn new(settings: Settings) -> Result<Self, SendError> {
        let client = Client::new(settings.ca_file.as_deref())?;
        Ok(Self { settings, client })
    }

    pub async fn send(&self, letter: &Letter, to: &str) -> Result<(), SendError> {
        let Settings { template, secret_file, .. } = &self.settings;
        let secret = match secret_file {
            Some(path) => secret(path).await?,
            None => Secret::new(String::new()),
        };
        let text = letter.text.short();
        let call = template.call(&[("to", to), ("text", &text), ("secret", secret.reveal())])?;
        taken(self.client.send(call).await?)
    }
}
